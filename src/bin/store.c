#include "bin/store.h"

#include <stdio.h>

#include "base/log.h"
#include "store/copy.h"

static enum err open_etcd(const struct conf *c, const struct host_tls *tls, struct store **ret)
{
	const struct store_etcd_config config = {
		.endpoints = c->etcd_endpoints, .endpoint_cnt = c->etcd_endpoint_cnt, .ca_pem = tls->ca_pem,
		.cert_pem = tls->cert_pem, .key_pem = tls->key_pem, .prefix = c->etcd_prefix,
		.timeout_ms = c->etcd_timeout_ms,
	};
	char first[ADDR_ENDPOINT_TEXT_MAX];

	enum err e = store_etcd_open(&config, ret);
	if (e != ERR_NONE)
		log_error("cannot use etcd at %s and %u more: %s", addr_endpoint_format(&c->etcd_endpoints[0], first),
			  c->etcd_endpoint_cnt - 1u,
			  e == ERR_AWAY ? "no member answers; is etcd up, and do the certificates fit?" : err_text(e));
	return e;
}

const char *bin_store_path(const struct conf *c, char ret[static BIN_STORE_PATH_MAX])
{
	snprintf(ret, BIN_STORE_PATH_MAX, "%s/onramp.db", c->state_dir);
	return ret;
}

static enum err open_sqlite(const struct conf *c, struct store **ret)
{
	char path[BIN_STORE_PATH_MAX];

	enum err e = store_sqlite_open(bin_store_path(c, path), ret);
	if (e != ERR_NONE)
		log_error("cannot open %s: %s", path,
			  e == ERR_VERSION ? "a newer onrampd made it; start that one, or put a copy of before back"
					   : err_text(e));
	return e;
}

MUST_USE enum err bin_store_open(const struct conf *c, const struct host_tls *tls, struct store **ret)
{
	return c->store_engine == CONF_STORE_ETCD ? open_etcd(c, tls, ret) : open_sqlite(c, ret);
}

MUST_USE enum err bin_store_use(const struct conf *c, const struct host_tls *tls, struct store **ret)
{
	struct store *s;

	enum err e = bin_store_open(c, tls, &s);
	if (e != ERR_NONE)
		return e;
	e = store_copy_check(s);
	if (e == ERR_NONE) {
		*ret = s;
		return ERR_NONE;
	}
	log_error("this store cannot be used: %s",
		  e == ERR_CLOSED  ? "onrampd --migrate has moved its content to another one: start with that configuration, "
				     "or move it back into a new store"
		  : e == ERR_AGAIN ? "onrampd --migrate was interrupted while it filled it: run it again"
				   : err_text(e));
	store_free(s);
	return e;
}
