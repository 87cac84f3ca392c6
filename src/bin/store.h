// Opening the store that a configuration names. Wiring only; failures are logged with their remedy.
// The gateway process, and onrampd --migrate.
#pragma once

#include "host/open.h"
#include "store/store.h"

MUST_USE enum err bin_store_open(const struct conf *c, const struct host_tls *tls, struct store **ret);

/* The same for a gateway. ERR_CLOSED, ERR_AGAIN: store/copy.h. */
MUST_USE enum err bin_store_use(const struct conf *c, const struct host_tls *tls, struct store **ret);

/* The file of the SQLite engine. */
#define BIN_STORE_PATH_MAX (CONF_PATH_MAX + 16)
const char *bin_store_path(const struct conf *c, char ret[static BIN_STORE_PATH_MAX]);
