// The configuration file /etc/onramp/onramp.conf: INI, few keys, every key with a working default.
// One thread, at start. man page: onramp.conf(5), made from the same table.
#pragma once

#include <stdio.h>

#include "base/addr.h"
#include "base/log.h"
#include "crypt/esp_cipher.h"

#define CONF_ADDRESSES_MAX 16
#define CONF_PATH_MAX 256
#define CONF_DOMAIN_MAX 128
#define CONF_ETCD_ENDPOINTS_MAX 16
#define CONF_ETCD_PREFIX_MAX 65 /* with its NUL */
#define CONF_NODE_NAME_MAX 64    /* with its NUL */
#define CONF_FILE_DEFAULT "/etc/onramp/onramp.conf"

enum conf_store_engine { CONF_STORE_SQLITE, CONF_STORE_ETCD };

/* [cluster]: many gateways over one store. */
struct conf_cluster {
	struct addr_endpoint mesh_address; /* ours on the management network; port 0: there is no cluster */
	char node[CONF_NODE_NAME_MAX];     /* our name; "": that of the host */
	char site[CONF_NODE_NAME_MAX];     /* default: gateways that the same routers reach */
};

struct conf {
	/* [node] */
	uint8_t gateway_address_cnt;
	struct addr gateway_addresses[CONF_ADDRESSES_MAX]; /* the pool of anycast addresses; required */
	char identity_domain[CONF_DOMAIN_MAX];             /* ipsec.cloudflare.com */
	char state_dir[CONF_PATH_MAX];                     /* /var/lib/onramp: the database */
	char seal_key[CONF_PATH_MAX];                      /* /etc/onramp/seal.key: made at the first start */
	char run_dir[CONF_PATH_MAX];                       /* /run/onramp: admin.sock */
	char user[64];                                     /* onramp: gateway and api run as this user */
	enum log_level log_level;                          /* info */
	/* [gateway] */
	unsigned workers;             /* 0: one a core */
	unsigned half_open_max;       /* 10000: half-open IKE SAs in all */
	unsigned half_open_per_address; /* 16 */
	unsigned half_open_per_prefix;  /* 256: from one /24 or /48 */
	unsigned cookie_threshold;    /* 100: half-open IKE SAs from which cookies are asked; 0: always */
	unsigned dh_threads;          /* 1 */
	unsigned ike_fragment_mtu;    /* 1280: longest IP packet of IKE, where the peer takes fragments */
	bool native_esp;              /* yes: open the sockets for IP protocol 50 */
	uint32_t outer_mark;          /* of a site alone: the mark of what its outer sockets send; 0: none */
	enum crypt_esp_choice esp_crypto; /* auto */
	/* [store] */
	unsigned store_engine;        /* enum conf_store_engine; sqlite */
	uint8_t etcd_endpoint_cnt;
	struct addr_endpoint etcd_endpoints[CONF_ETCD_ENDPOINTS_MAX]; /* these four are needed for etcd */
	char etcd_ca[CONF_PATH_MAX];
	char etcd_cert[CONF_PATH_MAX];
	char etcd_key[CONF_PATH_MAX];
	char etcd_prefix[CONF_ETCD_PREFIX_MAX]; /* onramp/ */
	unsigned etcd_timeout_ms;     /* 4000 */
	struct conf_cluster cluster;
	/* [offramp] */
	unsigned offramp_mtu;         /* 1500 */
	bool install_routes;          /* yes: kernel routes for the accounts' prefixes to the TUN */
	/* [api] */
	struct addr_endpoint api_listen; /* 127.0.0.1:8080 */
	char api_tls_cert[CONF_PATH_MAX]; /* both needed for any address that is not loopback */
	char api_tls_key[CONF_PATH_MAX];
};

/* The defaults; gateway_addresses is empty. */
void conf_init(struct conf *c);

/* Reads a file over the defaults. On failure *error says "FILE:LINE: what is wrong, and the nearest
 * known key" in one line. ERR_NOTFOUND: no file; ERR_SYNTAX; ERR_RANGE: a value, or values that do
 * not go together (no gateway address; api_listen off loopback without TLS). */
#define CONF_ERROR_MAX 512
MUST_USE enum err conf_read(const char *path, struct conf *ret, char error[static CONF_ERROR_MAX]);

/* Writes every key with its help and its default: the example configuration and the man page's list. */
void conf_print_example(FILE *f);
void conf_print_man(FILE *f); /* scdoc */
