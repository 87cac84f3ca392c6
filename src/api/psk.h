// Pre-shared keys: sealed to the gateway as soon as they are here; the api process cannot open one.
// Inside api only; its one thread. Design section 6.4.
#pragma once

#include "api/edit.h"
#include "api/tunnel_json.h"

/* Seals the key and queues its record; the former one is kept beside it. Sets t->psk_set_us: the caller
 * queues the tunnel itself. Warns of a short key. */
void api_psk_put(struct api_edit *e, struct model_tunnel *t, const struct secret *psk);
