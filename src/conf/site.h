// The configuration of the site role, /etc/onramp/onramp-site.conf: the customer side of one or many tunnels.
// One thread, at start. man page: onramp-site.conf(5), made from the same table.
#pragma once

#include "base/secret.h"
#include "conf/conf.h"

#define CONF_SITE_FILE_DEFAULT "/etc/onramp/onramp-site.conf"
#define CONF_TUNNEL_NAME_MAX 33 /* with the NUL */
#define CONF_IDENTITY_MAX 192
#define CONF_DEVICE_MAX 16      /* IFNAMSIZ */
#define CONF_PREFIXES_MAX 4096
#define CONF_REKEY_BYTES_MIN (1u << 20) /* as MODEL_REKEY_BYTES_MIN and so on */
#define CONF_REKEY_PACKETS_MIN 100
#define CONF_REKEY_MAX (UINT64_C(1) << 40)
#define CONF_SELECTORS_MAX 8    /* a side; MODEL_TS_MAX */

/* A list that grows on the heap; host bits are kept. */
struct conf_prefixes {
	unsigned cnt, cap;
	struct addr_prefix *p;
};

#define CONF_WORDS_MAX 16
#define CONF_WORD_LEN_MAX 16 /* with its NUL */
struct conf_words {
	unsigned cnt;
	char word[CONF_WORDS_MAX][CONF_WORD_LEN_MAX];
};

/* An identity as IKE sends it. type 0: not set. */
struct conf_identity {
	uint8_t type; /* enum ike_id_type */
	uint8_t len;
	uint8_t b[CONF_IDENTITY_MAX];
};

enum conf_encap { CONF_ENCAP_AUTO, CONF_ENCAP_UDP, CONF_ENCAP_NATIVE };
enum conf_profile { CONF_PROFILE_MAGIC, CONF_PROFILE_MODERN };

struct conf_tunnel {
	char name[CONF_TUNNEL_NAME_MAX];
	int line;                          /* where its section begins */
	struct addr gateway;
	struct conf_identity gateway_id;   /* conf_site_read fills in the gateway's address */
	struct addr local_address;         /* family none: the one that the kernel routes from (host/site.h fills it) */
	bool local_found;                  /* it is not of the file, and may change while we run */
	struct conf_identity identity;     /* type 0: the local address */
	char psk_file[CONF_PATH_MAX];
	struct secret psk;
	unsigned start_port;               /* 0: 500, 1: 4500 */
	unsigned encap;                    /* enum conf_encap */
	unsigned profile;                  /* enum conf_profile */
	struct conf_words ike_algorithms, esp_algorithms; /* none: all of the profile */
	uint32_t ike_rows, child_rows;     /* the same as sets of model_transforms; 0: all */
	struct conf_prefixes addresses;    /* of our own, put on the TUN */
	struct conf_prefixes routes;       /* masked */
	bool default_route;
	bool mobike;
	struct conf_prefixes local_ts, remote_ts; /* masked; both empty in the file: everything */
	unsigned dpd_delay, ike_lifetime, child_lifetime;
	unsigned mtu, mss_clamp, replay_window;
	bool null_encryption;
	bool esn;                          /* extended sequence numbers are offered */
	uint64_t rekey_bytes, rekey_packets; /* 0: what suits the algorithms */
};

struct conf_site {
	char state_dir[CONF_PATH_MAX];
	char seal_key[CONF_PATH_MAX];
	char run_dir[CONF_PATH_MAX];
	char user[64];
	enum log_level log_level;
	unsigned workers, dh_threads;
	char tun[CONF_DEVICE_MAX];
	unsigned tun_mtu;
	bool install_routes;
	unsigned route_table;              /* into which they go */
	unsigned mark;                     /* of what the outer sockets send; 0: none */
	bool native_esp;
	unsigned ike_fragment_mtu;
	unsigned nat_keepalive;
	enum crypt_esp_choice esp_crypto;
	unsigned tunnel_cnt, tunnel_cap;
	struct conf_tunnel *tunnels;
};

/* Reads a file over the defaults, and the pre-shared keys that its tunnels name. On failure *error says "FILE:LINE: what is
 * wrong". ERR_NOTFOUND, ERR_DENIED (others may read a key), ERR_SYNTAX, ERR_RANGE, ERR_MEMORY; *ret is then untouched. */
MUST_USE enum err conf_site_read(const char *path, struct conf_site *ret, char error[static CONF_ERROR_MAX]);
void conf_site_free(struct conf_site *s); /* wipes the keys */

/* What the site has in common with the gateway, as the processes take it. gateway_addresses are the tunnels' local
 * addresses. ERR_FULL: they are more than CONF_ADDRESSES_MAX. */
MUST_USE enum err conf_site_base(const struct conf_site *s, struct conf *ret);

void conf_site_print_example(FILE *f);
void conf_site_print_man(FILE *f); /* scdoc */
