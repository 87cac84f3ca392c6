#include "conf/table.h"

#define AT(member) offsetof(struct conf, member)
#define ROOM(member) 0, sizeof(((struct conf *)NULL)->member)

const struct conf_row conf_rows[] = {
	{ "node", "gateway_addresses", CONF_ADDRESSES, AT(gateway_addresses), 0, CONF_ADDRESSES_MAX, "",
	  "192.0.2.1, 2001:db8::1",
	  "The anycast addresses of this gateway, IPv4 or IPv6, with commas between them. Required. They are "
	  "the pool out of which tunnels take their cloudflare_endpoint, and must be set on an interface of "
	  "the host. The list may go on in indented lines." },
	{ "node", "identity_domain", CONF_DOMAIN, AT(identity_domain), ROOM(identity_domain), "ipsec.cloudflare.com",
	  NULL, "The domain at the end of the IKE identities by which routers name their tunnels." },
	{ "node", "state_dir", CONF_PATH, AT(state_dir), ROOM(state_dir), "/var/lib/onramp", NULL,
	  "Where the database is." },
	{ "node", "seal_key", CONF_PATH, AT(seal_key), ROOM(seal_key), "/etc/onramp/seal.key", NULL,
	  "The key that opens the pre-shared keys of the database; made at the first start. Without it they "
	  "are lost, so keep a copy, but never beside one of the database." },
	{ "node", "run_dir", CONF_PATH, AT(run_dir), 0, 91, "/run/onramp", NULL,
	  "Where the administrator's socket admin.sock is." },
	{ "node", "user", CONF_USER, AT(user), ROOM(user), "onramp", NULL,
	  "The user as which the gateway and the API run. Only the parent process is root." },
	{ "node", "log_level", CONF_LEVEL, AT(log_level), 0, 0, "info", NULL,
	  "How much is logged: error, warn, info or debug." },

	{ "gateway", "workers", CONF_NUMBER, AT(workers), 0, 256, "0", NULL,
	  "Threads that carry packets; 0 is one for each core." },
	{ "gateway", "half_open_max", CONF_NUMBER, AT(half_open_max), 1, 1000000, "10000", NULL,
	  "How many handshakes may be half open at a time." },
	{ "gateway", "half_open_per_address", CONF_NUMBER, AT(half_open_per_address), 1, 1000000, "16", NULL,
	  "How many of them may come from one address." },
	{ "gateway", "cookie_threshold", CONF_NUMBER, AT(cookie_threshold), 0, 1000000, "100", NULL,
	  "From how many half-open handshakes on a cookie is asked of newcomers; 0 is always." },
	{ "gateway", "dh_threads", CONF_NUMBER, AT(dh_threads), 1, 64, "1", NULL,
	  "Threads that do the slow arithmetic of handshakes." },
	{ "gateway", "ike_fragment_mtu", CONF_NUMBER, AT(ike_fragment_mtu), 576, 9000, "1280", NULL,
	  "The longest IP packet that IKE sends to a router that takes IKE fragments (RFC 7383); what is longer goes "
	  "in several." },
	{ "gateway", "native_esp", CONF_BOOL, AT(native_esp), 0, 0, "yes", NULL,
	  "Whether ESP is also taken as IP protocol 50, from routers that are not behind NAT." },
	{ "gateway", "esp_crypto", CONF_ESP_CRYPTO, AT(esp_crypto), 0, 0, "auto", NULL,
	  "Which library encrypts packets: ipsec-mb, openssl, or auto for the fastest that is there. Both "
	  "make the same packets; ipsec-mb exists for amd64 only." },

	{ "offramp", "offramp_mtu", CONF_NUMBER, AT(offramp_mtu), 1280, 9000, "1500", NULL,
	  "MTU of the TUN devices towards the networks behind the gateway." },
	{ "offramp", "install_routes", CONF_BOOL, AT(install_routes), 0, 0, "yes", NULL,
	  "Whether kernel routes for the accounts' prefixes towards the TUN devices are installed." },

	{ "api", "api_listen", CONF_ENDPOINT, AT(api_listen), 0, 0, "127.0.0.1:8080", NULL,
	  "Address and port of the HTTP API. Any address that is not a loopback address needs api_tls_cert "
	  "and api_tls_key." },
	{ "api", "api_tls_cert", CONF_PATH_OR_EMPTY, AT(api_tls_cert), ROOM(api_tls_cert), "", NULL,
	  "Certificate chain of the API, in PEM. Set together with api_tls_key." },
	{ "api", "api_tls_key", CONF_PATH_OR_EMPTY, AT(api_tls_key), ROOM(api_tls_key), "", NULL,
	  "Private key of the API, in PEM, not encrypted." },
};
const size_t conf_row_cnt = ARRAY_LEN(conf_rows);
