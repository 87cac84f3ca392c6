#include "conf/read.h"

#define AT(member) offsetof(struct conf, member)
#define ROOM(member) 0, sizeof(((struct conf *)NULL)->member)

static const char *const engine_words[] = { [CONF_STORE_SQLITE] = "sqlite", [CONF_STORE_ETCD] = "etcd", NULL };

static const struct conf_row rows[] = {
	{ "node", "gateway_addresses", CONF_ADDRESSES, AT(gateway_addresses), 0, CONF_ADDRESSES_MAX, "",
	  "192.0.2.1, 2001:db8::1",
	  "The anycast addresses of this gateway, IPv4 or IPv6, with commas between them. Required. They are "
	  "the pool out of which tunnels take their cloudflare_endpoint, and must be set on an interface of "
	  "the host. The list may go on in indented lines.", NULL },
	{ "node", "identity_domain", CONF_DOMAIN, AT(identity_domain), ROOM(identity_domain), "ipsec.cloudflare.com",
	  NULL, "The domain at the end of the IKE identities by which routers name their tunnels.", NULL },
	{ "node", "state_dir", CONF_PATH, AT(state_dir), ROOM(state_dir), "/var/lib/onramp", NULL,
	  "Where the database is.", NULL },
	{ "node", "seal_key", CONF_PATH, AT(seal_key), ROOM(seal_key), "/etc/onramp/seal.key", NULL,
	  "The key that opens the pre-shared keys of the database; made at the first start. Without it they "
	  "are lost, so keep a copy, but never beside one of the database.", NULL },
	{ "node", "run_dir", CONF_PATH, AT(run_dir), 0, 91, "/run/onramp", NULL,
	  "Where the administrator's socket admin.sock is.", NULL },
	{ "node", "user", CONF_USER, AT(user), ROOM(user), "onramp", NULL,
	  "The user as which the gateway and the API run. Only the parent process is root.", NULL },
	{ "node", "log_level", CONF_LEVEL, AT(log_level), 0, 0, "info", NULL,
	  "How much is logged: error, warn, info or debug.", NULL },

	{ "gateway", "workers", CONF_NUMBER, AT(workers), 0, 256, "0", NULL,
	  "Threads that carry packets; 0 is one for each core.", NULL },
	{ "gateway", "half_open_max", CONF_NUMBER, AT(half_open_max), 1, 1000000, "10000", NULL,
	  "How many handshakes may be half open at a time.", NULL },
	{ "gateway", "half_open_per_address", CONF_NUMBER, AT(half_open_per_address), 1, 1000000, "16", NULL,
	  "How many of them may come from one address.", NULL },
	{ "gateway", "half_open_per_prefix", CONF_NUMBER, AT(half_open_per_prefix), 1, 1000000, "256", NULL,
	  "How many of them may come from one network: a /24 of IPv4, a /48 of IPv6. A number below "
	  "half_open_per_address counts as that one.", NULL },
	{ "gateway", "cookie_threshold", CONF_NUMBER, AT(cookie_threshold), 0, 1000000, "100", NULL,
	  "From how many half-open handshakes on a cookie is asked of newcomers; 0 is always.", NULL },
	{ "gateway", "dh_threads", CONF_NUMBER, AT(dh_threads), 1, 64, "1", NULL,
	  "Threads that do the slow arithmetic of handshakes.", NULL },
	{ "gateway", "ike_fragment_mtu", CONF_NUMBER, AT(ike_fragment_mtu), 576, 9000, "1280", NULL,
	  "The longest IP packet that IKE sends to a router that takes IKE fragments (RFC 7383); what is longer goes "
	  "in several.", NULL },
	{ "gateway", "native_esp", CONF_BOOL, AT(native_esp), 0, 0, "yes", NULL,
	  "Whether ESP is also taken as IP protocol 50, from routers that are not behind NAT.", NULL },
	{ "gateway", "esp_crypto", CONF_ESP_CRYPTO, AT(esp_crypto), 0, 0, "auto", NULL,
	  "Which library encrypts packets: ipsec-mb, openssl, or auto for the fastest that is there. Both "
	  "make the same packets; ipsec-mb exists for amd64 only.", NULL },

	{ "store", "engine", CONF_WORD, AT(store_engine), 0, 0, "sqlite", NULL,
	  "Where accounts, tunnels and the state of their SAs are kept: sqlite is a file in state_dir, etcd is a cluster "
	  "of etcd 3.4 or newer.", engine_words },
	{ "store", "etcd_endpoints", CONF_ETCD_ENDPOINTS, AT(etcd_endpoints), 0, CONF_ETCD_ENDPOINTS_MAX, "",
	  "192.0.2.11:2379, 192.0.2.12:2379, 192.0.2.13:2379",
	  "The members of etcd, as addresses and ports with commas between them; the next one is asked when one does not "
	  "answer. Names are not looked up: their certificates must carry the addresses. The list may go on in indented "
	  "lines.", NULL },
	{ "store", "etcd_ca", CONF_PATH_OR_EMPTY, AT(etcd_ca), ROOM(etcd_ca), "", "/etc/onramp/etcd/ca.pem",
	  "The certificate, in PEM, of the authority that signed those of the members.", NULL },
	{ "store", "etcd_cert", CONF_PATH_OR_EMPTY, AT(etcd_cert), ROOM(etcd_cert), "", "/etc/onramp/etcd/gateway.pem",
	  "The certificate, in PEM, by which this gateway names itself to etcd; its CN is the user, where etcd has users.",
	  NULL },
	{ "store", "etcd_key", CONF_PATH_OR_EMPTY, AT(etcd_key), ROOM(etcd_key), "", "/etc/onramp/etcd/gateway.key",
	  "The private key of that certificate, in PEM, not encrypted. Like the other two files it is read once, as root, "
	  "at the start.", NULL },
	{ "store", "etcd_prefix", CONF_ETCD_PREFIX, AT(etcd_prefix), ROOM(etcd_prefix), "onramp/", NULL,
	  "What all keys in etcd begin with. Gateways with the same prefix share everything.", NULL },
	{ "store", "etcd_timeout_ms", CONF_NUMBER, AT(etcd_timeout_ms), 1000, 60000, "4000", NULL,
	  "How long one request may take, over all members, before it counts as failed.", NULL },

	{ "cluster", "mesh_address", CONF_ENDPOINT_OR_EMPTY, AT(cluster.mesh_address), 0, 0, "", NULL,
	  "Address and UDP port of this node on the management network, such as 192.0.2.21:4700, where the other nodes "
	  "of the cluster reach it. Set, this gateway is one of many that share the store in etcd and serve the same "
	  "addresses; not set, it is alone.", NULL },
	{ "cluster", "node", CONF_NAME, AT(cluster.node), ROOM(cluster.node), "", NULL,
	  "The name of this node, which no other one has; the name of the host if not set.", NULL },
	{ "cluster", "site", CONF_NAME, AT(cluster.site), ROOM(cluster.site), "default", NULL,
	  "The nodes of one site stand behind the same routers: what one of them has agreed on is waited for, a short "
	  "while, until the others have it.", NULL },

	{ "offramp", "offramp_mtu", CONF_NUMBER, AT(offramp_mtu), 1280, 9000, "1500", NULL,
	  "MTU of the TUN devices towards the networks behind the gateway.", NULL },
	{ "offramp", "install_routes", CONF_BOOL, AT(install_routes), 0, 0, "yes", NULL,
	  "Whether kernel routes for the accounts' prefixes towards the TUN devices are installed.", NULL },

	{ "api", "api_listen", CONF_ENDPOINT, AT(api_listen), 0, 0, "127.0.0.1:8080", NULL,
	  "Address and port of the HTTP API. Any address that is not a loopback address needs api_tls_cert "
	  "and api_tls_key.", NULL },
	{ "api", "api_tls_cert", CONF_PATH_OR_EMPTY, AT(api_tls_cert), ROOM(api_tls_cert), "", NULL,
	  "Certificate chain of the API, in PEM. Set together with api_tls_key.", NULL },
	{ "api", "api_tls_key", CONF_PATH_OR_EMPTY, AT(api_tls_key), ROOM(api_tls_key), "", NULL,
	  "Private key of the API, in PEM, not encrypted.", NULL },
};

/* ---- the whole ---- */

static void *begin(struct conf_reading *r, const char *section, const char *name)
{
	(void)section;
	(void)name;
	return r->value;
}

static bool is_loopback(const struct addr *a)
{
	static const struct addr loopback6 = { .b = { [15] = 1 }, .family = ADDR_V6 };
	return a->family == ADDR_V4 ? a->b[0] == 127 : addr_eq(a, &loopback6);
}

/* False: something that etcd needs is missing. */
static bool check_store(struct conf_reading *r)
{
	const struct conf *c = r->value;
	const char *missing = c->etcd_endpoint_cnt == 0 ? "etcd_endpoints"
			      : c->etcd_ca[0] == 0	 ? "etcd_ca"
			      : c->etcd_cert[0] == 0	 ? "etcd_cert"
			      : c->etcd_key[0] == 0	 ? "etcd_key"
							 : NULL;

	if (c->store_engine != CONF_STORE_ETCD || missing == NULL)
		return true;
	conf_at(r, "engine");
	conf_fail(r, ERR_RANGE, "engine = etcd needs %s as well", missing);
	return false;
}

static void check_api(struct conf_reading *r)
{
	const struct conf *c = r->value;
	bool cert = c->api_tls_cert[0] != 0, key = c->api_tls_key[0] != 0;
	char text[ADDR_ENDPOINT_TEXT_MAX];

	if (cert != key) {
		conf_at(r, cert ? "api_tls_cert" : "api_tls_key");
		conf_fail(r, ERR_RANGE, "api_tls_cert and api_tls_key belong together; %s is missing",
			  cert ? "api_tls_key" : "api_tls_cert");
	} else if (!cert && !is_loopback(&c->api_listen.addr)) {
		conf_at(r, "api_listen");
		conf_fail(r, ERR_RANGE, "api_listen is %s, which is not a loopback address; set api_tls_cert and "
			  "api_tls_key, or listen on 127.0.0.1:8080", addr_endpoint_format(&c->api_listen, text));
	}
}

/* Values that do not go together. */
static void check_together(struct conf_reading *r)
{
	const struct conf *c = r->value;

	if (c->gateway_address_cnt == 0) {
		conf_at(r, "gateway_addresses");
		conf_fail(r, ERR_RANGE, "gateway_addresses is missing; put a line such as \"gateway_addresses = "
			  "192.0.2.1\" under [node]");
		return;
	}
	check_api(r);
	if (r->result != ERR_NONE || !check_store(r))
		return;
	if (c->cluster.mesh_address.port != 0 && c->store_engine != CONF_STORE_ETCD) {
		conf_at(r, "mesh_address");
		conf_fail(r, ERR_RANGE, "mesh_address makes this node one of many, which needs [store] engine = etcd");
	} else if (c->half_open_per_address > c->half_open_max) {
		conf_at(r, "half_open_per_address");
		if (r->line == 0)
			conf_at(r, "half_open_max");
		conf_fail(r, ERR_RANGE, "half_open_per_address is %u and half_open_max %u; the first must not be "
			  "the greater", c->half_open_per_address, c->half_open_max);
	}
}

static const struct conf_schema gateway_schema = { .rows = rows, .row_cnt = ARRAY_LEN(rows), .begin = begin,
					 .check = check_together };

void conf_init(struct conf *c)
{
	*c = (struct conf){ 0 };
	conf_defaults(&gateway_schema, NULL, c);
}

enum err conf_read(const char *path, struct conf *ret, char error[static CONF_ERROR_MAX])
{
	struct conf c;

	conf_init(&c);
	enum err e = conf_read_by(&gateway_schema, path, &c, error);
	if (e == ERR_NONE)
		*ret = c;
	return e;
}

void conf_print_example(FILE *f)
{
	conf_print_example_of(&gateway_schema, "# Configuration of onrampd, see onramp.conf(5). The values shown are the "
					    "defaults.\n", f);
}

void conf_print_man(FILE *f)
{
	conf_print_man_of(&gateway_schema, f);
}
