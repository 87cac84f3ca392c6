#include "conf/site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/iana.h"
#include "conf/read.h"
#include "model/proposal.h"

#define TABLE_LOCAL 255 /* RT_TABLE_LOCAL */

#define AT(member) offsetof(struct conf_site, member)
#define ROOM(member) 0, sizeof(((struct conf_site *)NULL)->member)
#define IN(member) offsetof(struct conf_tunnel, member)
#define IN_ROOM(member) 0, sizeof(((struct conf_tunnel *)NULL)->member)

static const char *const port_words[] = { "500", "4500", NULL };
static const char *const encap_words[] = { "auto", "udp", "native", NULL };
static const char *const profile_words[] = { "magic", "modern", NULL };

static const struct conf_row rows[] = {
	{ "site", "state_dir", CONF_PATH, AT(state_dir), ROOM(state_dir), "/var/lib/onramp-site", NULL,
	  "Where the database is; it holds the tunnels' keys, sealed, so that a restart goes on with them.", NULL },
	{ "site", "seal_key", CONF_PATH, AT(seal_key), ROOM(seal_key), "/etc/onramp/site-seal.key", NULL,
	  "The key that opens the database; made at the first start. Without it the tunnels are set up anew.", NULL },
	{ "site", "run_dir", CONF_PATH, AT(run_dir), 0, 91, "/run/onramp-site", NULL,
	  "Where the socket site.sock is, which answers \"onramp site status\".", NULL },
	{ "site", "user", CONF_USER, AT(user), ROOM(user), "onramp", NULL,
	  "The user as which the tunnels run. Only the parent process is root.", NULL },
	{ "site", "log_level", CONF_LEVEL, AT(log_level), 0, 0, "info", NULL,
	  "How much is logged: error, warn, info or debug.", NULL },
	{ "site", "workers", CONF_NUMBER, AT(workers), 0, 256, "0", NULL,
	  "Threads that carry packets; 0 is one for each core.", NULL },
	{ "site", "dh_threads", CONF_NUMBER, AT(dh_threads), 1, 64, "1", NULL,
	  "Threads that do the slow arithmetic of handshakes.", NULL },
	{ "site", "tun", CONF_DEVICE, AT(tun), ROOM(tun), "onr0", NULL,
	  "The name of the TUN device of all tunnels.", NULL },
	{ "site", "tun_mtu", CONF_NUMBER, AT(tun_mtu), 1280, 9000, "1400", NULL,
	  "MTU of the TUN device. 1400 fits into a path of 1500 bytes with any algorithm.", NULL },
	{ "site", "install_routes", CONF_BOOL, AT(install_routes), 0, 0, "yes", NULL,
	  "Whether the tunnels' routes are put into the kernel's routing table.", NULL },
	{ "site", "route_table", CONF_NUMBER, AT(route_table), 1, UINT32_MAX, "254", NULL,
	  "The number of the table that they are put into; 254 is the main one. Another one counts where a rule of yours leads to it "
	  "(ip-rule(8)).", NULL },
	{ "site", "mark", CONF_MARK, AT(mark), 0, 0, "0", NULL,
	  "The firewall mark of what the tunnels send outside, in decimal or as 0xHEX, by which rules and the firewall can tell it; "
	  "0 is none.", NULL },
	{ "site", "native_esp", CONF_BOOL, AT(native_esp), 0, 0, "yes", NULL,
	  "Whether sockets for ESP as IP protocol 50 are opened, for gateways that are reached without NAT.", NULL },
	{ "site", "ike_fragment_mtu", CONF_NUMBER, AT(ike_fragment_mtu), 576, 9000, "1280", NULL,
	  "The longest IP packet that IKE sends to a gateway that takes IKE fragments (RFC 7383).", NULL },
	{ "site", "nat_keepalive", CONF_NUMBER, AT(nat_keepalive), 0, 3600, "20", NULL,
	  "Seconds without a packet to a gateway after which one of a byte keeps the mapping of the NAT before us "
	  "(RFC 3948 4); 0 is never.", NULL },
	{ "site", "esp_crypto", CONF_ESP_CRYPTO, AT(esp_crypto), 0, 0, "auto", NULL,
	  "Which library encrypts packets: ipsec-mb, openssl, or auto for the fastest that is there.", NULL },

	{ "tunnel", "gateway", CONF_ADDRESS, IN(gateway), 0, 0, "", "192.0.2.1",
	  "The address of the gateway, IPv4 or IPv6. Required.", NULL },
	{ "tunnel", "gateway_id", CONF_IDENTITY, IN(gateway_id), 0, 0, "", "fqdn:gateway.example.net",
	  "The identity that the gateway proves. Not set: its address, as Onramp and Magic WAN have it.", NULL },
	{ "tunnel", "local_address", CONF_ADDRESS, IN(local_address), 0, 0, "", "203.0.113.2",
	  "Our outer address. Not set: the one from which the kernel reaches the gateway, also when that changes.", NULL },
	{ "tunnel", "identity", CONF_IDENTITY, IN(identity), 0, 0, "",
	  "fqdn:0123456789abcdef0123456789abcdef.1.ipsec.cloudflare.com",
	  "Our identity: fqdn:NAME, user:NAME@DOMAIN, keyid:TEXT, keyid:0xHEX, or an IP address. A tunnel of "
	  "Onramp or Magic WAN shows its own as fqdn_id, user_id and hex_id. Not set: our outer address.", NULL },
	{ "tunnel", "psk_file", CONF_PATH_OR_EMPTY, IN(psk_file), IN_ROOM(psk_file), "", "/etc/onramp/branch.psk",
	  "The file with the pre-shared key as its only line, of mode 0600. Required, or psk.", NULL },
	{ "tunnel", "psk", CONF_SECRET, IN(psk), 0, 0, "", NULL,
	  "The pre-shared key itself, only where this file has mode 0600: all that stands in the line, but for blanks at "
	  "its ends, for which psk_file is needed.", NULL },
	{ "tunnel", "start_port", CONF_WORD, IN(start_port), 0, 0, "500", NULL,
	  "The UDP port to which the handshake is sent: 500, or 4500 where 500 does not pass.", port_words },
	{ "tunnel", "encap", CONF_WORD, IN(encap), 0, 0, "auto", NULL,
	  "How ESP travels: udp is inside UDP 4500, native is IP protocol 50, auto is udp where there is NAT or where "
	  "start_port is 4500, else native.", encap_words },
	{ "tunnel", "mobike", CONF_BOOL, IN(mobike), 0, 0, "yes", NULL,
	  "Whether the gateway is asked for MOBIKE (RFC 4555): when our address changes the tunnel moves with it instead "
	  "of being set up anew. IKE then goes to UDP 4500 after the first exchange, unless encap is native.", NULL },
	{ "tunnel", "profile", CONF_WORD, IN(profile), 0, 0, "magic", NULL,
	  "The algorithms that are offered: magic has those that Magic WAN takes, modern is without SHA-1 and "
	  "MODP-1536 and has more groups.", profile_words },
	{ "tunnel", "ike_algorithms", CONF_WORDS, IN(ike_algorithms), 0, 0, "", "aes256gcm16-prfsha384-ecp384",
	  "The algorithms of the IKE SA, by strongSwan's words, separated by hyphens or commas. Of a kind of algorithm that "
	  "is named only those are offered and taken, of the others all of the profile.", NULL },
	{ "tunnel", "esp_algorithms", CONF_WORDS, IN(esp_algorithms), 0, 0, "", "aes128gcm16-ecp384",
	  "The same for packets. A group among them means that rekeys must have a Diffie-Hellman exchange of their own.", NULL },
	{ "tunnel", "addresses", CONF_PREFIXES, IN(addresses), 0, 0, "", "10.252.0.3/31, fd00::3/127",
	  "Our inner addresses, with their prefix length; they are put on the TUN device.", NULL },
	{ "tunnel", "routes", CONF_PREFIXES, IN(routes), 0, 0, "", "192.168.0.0/24, fd00:0:0:1::/64",
	  "What is reached through the tunnel. A prefix of several tunnels is shared by those that are up.", NULL },
	{ "tunnel", "default_route", CONF_BOOL, IN(default_route), 0, 0, "no", NULL,
	  "Whether 0.0.0.0/0 and ::/0 may stand among the routes. The gateways themselves stay "
	  "on the way that the kernel's other routes have to them.", NULL },
	{ "tunnel", "local_ts", CONF_PREFIXES, IN(local_ts), 0, 0, "", "0.0.0.0/0, ::/0",
	  "Traffic selectors of our side. Not set: everything, IPv4 and IPv6.", NULL },
	{ "tunnel", "remote_ts", CONF_PREFIXES, IN(remote_ts), 0, 0, "", "0.0.0.0/0, ::/0",
	  "Traffic selectors of the gateway's side. Not set: everything, IPv4 and IPv6.", NULL },
	{ "tunnel", "dpd_delay", CONF_NUMBER, IN(dpd_delay), 0, 3600, "15", NULL,
	  "Seconds of silence after which the gateway is asked whether it is there; 0 is never.", NULL },
	{ "tunnel", "ike_lifetime", CONF_NUMBER, IN(ike_lifetime), 60, 604800, "86400", NULL,
	  "Seconds after which an IKE SA ends; it is rekeyed well before.", NULL },
	{ "tunnel", "child_lifetime", CONF_NUMBER, IN(child_lifetime), 60, 604800, "28800", NULL,
	  "Seconds after which a Child SA ends; it is rekeyed well before.", NULL },
	{ "tunnel", "mtu", CONF_NUMBER, IN(mtu), 576, 9000, "1500", NULL,
	  "The MTU of the path to the gateway.", NULL },
	{ "tunnel", "mss_clamp", CONF_NUMBER, IN(mss_clamp), 0, 9000, "0", NULL,
	  "The largest segment that TCP connections through the tunnel agree on: 0 is what fits, 1 is off.", NULL },
	{ "tunnel", "replay_window", CONF_NUMBER, IN(replay_window), 0, 4096, "0", NULL,
	  "Packets of the window against replay; 0 is off, as an anycast gateway of several nodes needs it.", NULL },
	{ "tunnel", "null_encryption", CONF_BOOL, IN(null_encryption), 0, 0, "no", NULL,
	  "Whether NULL encryption is offered too, after the real ones.", NULL },
	{ "tunnel", "esn", CONF_BOOL, IN(esn), 0, 0, "no", NULL,
	  "Whether extended sequence numbers (64 bits) are offered, before those of 32 bits. Our window is then 64 packets "
	  "where replay_window is 0. Magic WAN does not take them.", NULL },
	{ "tunnel", "rekey_bytes", CONF_COUNT, IN(rekey_bytes), CONF_REKEY_BYTES_MIN, CONF_REKEY_MAX, "0", NULL,
	  "Inner bytes in one direction after which a Child SA is rekeyed, at least 1048576; 0 is what suits the cipher "
	  "(1 TiB).", NULL },
	{ "tunnel", "rekey_packets", CONF_COUNT, IN(rekey_packets), CONF_REKEY_PACKETS_MIN, CONF_REKEY_MAX, "0", NULL,
	  "Packets in one direction after which a Child SA is rekeyed, at least 100; 0 is what suits the sequence numbers "
	  "(half of them).", NULL },
};

/* ---- sections ---- */

static bool name_ok(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	return n != 0 && name[n] == 0 && n < CONF_TUNNEL_NAME_MAX;
}

static const struct conf_schema schema;

static void *begin_tunnel(struct conf_reading *r, const char *name)
{
	struct conf_site *s = r->value;

	if (!name_ok(name)) {
		conf_fail(r, ERR_RANGE, "the name of a tunnel has 1 to %d letters, digits, dots, hyphens and "
					"underscores", CONF_TUNNEL_NAME_MAX - 1);
		return NULL;
	}
	if (s->tunnel_cnt == s->tunnel_cap) {
		unsigned cap = s->tunnel_cap == 0 ? 8 : s->tunnel_cap * 2;
		struct conf_tunnel *all = calloc(cap, sizeof(*all));
		if (all == NULL) {
			conf_fail(r, ERR_MEMORY, "%s", err_text(ERR_MEMORY));
			return NULL;
		}
		for (unsigned i = 0; i < s->tunnel_cnt; i++)
			all[i] = s->tunnels[i];
		if (s->tunnels != NULL)
			secret_wipe(s->tunnels, s->tunnel_cnt * sizeof(*all));
		free(s->tunnels);
		s->tunnels = all;
		s->tunnel_cap = cap;
	}
	struct conf_tunnel *t = &s->tunnels[s->tunnel_cnt++];
	*t = (struct conf_tunnel){ .line = r->line };
	snprintf(t->name, sizeof(t->name), "%s", name);
	conf_defaults(&schema, "tunnel", t);
	return t;
}

static void *begin(struct conf_reading *r, const char *section, const char *name)
{
	return strcmp(section, "tunnel") == 0 ? begin_tunnel(r, name) : r->value;
}

/* ---- keys ---- */

static bool private_file(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && (st.st_mode & 077) == 0;
}

/* One newline at the end is the editor's; anything else belongs to the key. */
static struct bytes strip_newline(struct bytes b)
{
	if (b.len != 0 && b.p[b.len - 1] == '\n')
		b.len--;
	if (b.len != 0 && b.p[b.len - 1] == '\r')
		b.len--;
	return b;
}

static void read_key(struct conf_reading *r, struct conf_tunnel *t)
{
	uint8_t room[SECRET_MAX + 3];

	int fd = open(t->psk_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		conf_fail(r, ERR_RANGE, "psk_file %s: %s", t->psk_file, strerror(errno));
		return;
	}
	ssize_t n = read(fd, room, sizeof(room));
	struct bytes key = strip_newline(bytes_of(room, n < 0 ? 0 : (size_t)n));
	if (n < 0)
		conf_fail(r, ERR_RANGE, "psk_file %s: %s", t->psk_file, strerror(errno));
	else if (!private_file(fd))
		conf_fail(r, ERR_DENIED, "psk_file: others may read %s; chmod 0600 it", t->psk_file);
	else if (key.len == 0)
		conf_fail(r, ERR_RANGE, "psk_file %s is empty", t->psk_file);
	else if (memchr(key.p, '\n', key.len) != NULL)
		conf_fail(r, ERR_RANGE, "psk_file %s has more than one line", t->psk_file);
	else if (secret_set(&t->psk, key) != ERR_NONE)
		conf_fail(r, ERR_RANGE, "psk_file %s: a key has at most %d characters", t->psk_file, SECRET_MAX);
	secret_wipe(room, sizeof(room));
	close(fd);
}

static void check_key(struct conf_reading *r, struct conf_tunnel *t)
{
	if ((t->psk.len != 0) == (t->psk_file[0] != 0))
		conf_fail(r, ERR_RANGE, "tunnel %s: %s", t->name,
			  t->psk.len != 0 ? "psk and psk_file are both given; leave one out"
					  : "psk_file is missing: the file with the pre-shared key");
	else if (t->psk.len == 0)
		read_key(r, t);
	else if (!private_file(fileno(r->f)))
		conf_fail(r, ERR_DENIED, "tunnel %s has a psk in this file, which others may read; chmod 0600 it, or "
					 "put the key into a psk_file", t->name);
}

/* ---- values that do not go together ---- */

static void check_selectors(struct conf_reading *r, struct conf_tunnel *t, struct conf_prefixes *list, const char *key)
{
	static const char everything[] = "0.0.0.0/0, ::/0";
	const struct conf_row row = { .kind = CONF_PREFIXES };
	char why[CONF_WHY_MAX];

	if (list->cnt == 0 && conf_value_apply(&row, bytes_str(everything), list, why) != ERR_NONE)
		conf_fail(r, ERR_MEMORY, "%s", err_text(ERR_MEMORY));
	if (list->cnt > CONF_SELECTORS_MAX)
		conf_fail(r, ERR_RANGE, "tunnel %s: %s has %u prefixes, of at most %d", t->name, key, list->cnt,
			  CONF_SELECTORS_MAX);
	for (unsigned i = 0; i < list->cnt; i++)
		list->p[i] = addr_prefix_mask(&list->p[i]);
}

/* A route to one gateway's very address would lead its own packets into the tunnel, whatever other routes there are; but
 * where they bear a mark it is up to the host's rules. */
static bool leads_outer_inside(const struct conf_site *s, const struct addr_prefix *p)
{
	if (!s->install_routes || s->mark != 0 || p->len != 8 * addr_len(p->addr.family))
		return false;
	for (unsigned i = 0; i < s->tunnel_cnt; i++)
		if (addr_eq(&s->tunnels[i].gateway, &p->addr))
			return true;
	return false;
}

static void check_routes(struct conf_reading *r, const struct conf_tunnel *t)
{
	char text[ADDR_PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < t->routes.cnt; i++) {
		struct addr_prefix *p = &t->routes.p[i];
		*p = addr_prefix_mask(p);
		if (p->len == 0 && !t->default_route)
			conf_fail(r, ERR_RANGE, "tunnel %s: the route %s takes all of the host's traffic; say "
						"default_route = yes if that is meant", t->name,
				  addr_prefix_format(p, text));
		if (leads_outer_inside(r->value, p))
			conf_fail(r, ERR_RANGE, "tunnel %s: the route %s is the outer address of a gateway, which must stay "
						"outside the tunnels; leave it out, or set mark and have rules for it",
				  t->name, addr_prefix_format(p, text));
	}
}

static void check_addresses(struct conf_reading *r, const struct conf_tunnel *t)
{
	char text[ADDR_TEXT_MAX];

	for (unsigned i = 0; i < t->addresses.cnt; i++) {
		const struct addr *a = &t->addresses.p[i].addr;
		if (addr_is_multicast(a) || addr_is_unspecified(a))
			conf_fail(r, ERR_RANGE, "tunnel %s: %s among addresses is not a unicast address", t->name,
				  addr_format(a, text));
		if (addr_eq(a, &t->gateway))
			conf_fail(r, ERR_RANGE, "tunnel %s: %s is the gateway's outer address and cannot be our inner one",
				  t->name, addr_format(a, text));
	}
}

static void check_numbers(struct conf_reading *r, const struct conf_tunnel *t)
{
	if (t->dpd_delay != 0 && t->dpd_delay < 5)
		conf_fail(r, ERR_RANGE, "tunnel %s: dpd_delay is %u; it must be 5 to 3600 seconds, or 0", t->name,
			  t->dpd_delay);
	if (t->mss_clamp > 1 && t->mss_clamp < 536)
		conf_fail(r, ERR_RANGE, "tunnel %s: mss_clamp is %u; it must be 536 to 9000, or 0 or 1", t->name,
			  t->mss_clamp);
	if (t->replay_window != 0 && t->replay_window < 32)
		conf_fail(r, ERR_RANGE, "tunnel %s: replay_window is %u; it must be 32 to 4096, or 0", t->name,
			  t->replay_window);
	if (t->gateway.family == ADDR_V6 && t->mtu < 1280)
		conf_fail(r, ERR_RANGE, "tunnel %s: mtu is %u, and a path of IPv6 has at least 1280", t->name, t->mtu);
}

static struct conf_identity identity_of(const struct addr *a)
{
	struct conf_identity id = { .type = a->family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR };
	struct bytes b = addr_bytes(a);
	struct rd r = rd_of(b);

	rd_copy(&r, id.b, b.len);
	id.len = (uint8_t)b.len;
	return id;
}

static uint32_t rows_of(struct conf_reading *r, const struct conf_tunnel *t, enum model_phase phase,
			const struct conf_words *words, const char *key)
{
	enum model_profile profile = t->profile == CONF_PROFILE_MODERN ? MODEL_PROFILE_MODERN : MODEL_PROFILE_MAGIC;
	uint32_t set = MODEL_ROWS_ALL, named = 0;

	for (unsigned i = 0; i < words->cnt; i++)
		if (model_rows_name(phase, profile, bytes_str(words->word[i]), &set, &named) != ERR_NONE)
			conf_fail(r, ERR_RANGE, "tunnel %s: %s: the profile %s has no \"%s\" there; doc/suites.md lists what it "
						"has", t->name, key, profile_words[t->profile], words->word[i]);
	return words->cnt == 0 ? 0 : set;
}

static void check_algorithms(struct conf_reading *r, struct conf_tunnel *t)
{
	t->ike_rows = rows_of(r, t, MODEL_PHASE_IKE, &t->ike_algorithms, "ike_algorithms");
	t->child_rows = rows_of(r, t, MODEL_PHASE_CHILD, &t->esp_algorithms, "esp_algorithms");
	for (unsigned i = 0; i < t->esp_algorithms.cnt; i++) {
		const char *word = t->esp_algorithms.word[i];
		if ((strcmp(word, "null") == 0 && !t->null_encryption) || (strcmp(word, "esn") == 0 && !t->esn))
			conf_fail(r, ERR_RANGE, "tunnel %s: esp_algorithms has \"%s\", which needs %s = yes", t->name, word,
				  word[0] == 'n' ? "null_encryption" : "esn");
	}
}

static void check_tunnel(struct conf_reading *r, struct conf_tunnel *t)
{
	const struct conf_site *s = r->value;

	r->line = t->line;
	if (t->gateway.family == ADDR_NONE)
		conf_fail(r, ERR_RANGE, "tunnel %s: gateway is missing; put a line such as \"gateway = 192.0.2.1\"",
			  t->name);
	else if (t->local_address.family != ADDR_NONE && t->local_address.family != t->gateway.family)
		conf_fail(r, ERR_RANGE, "tunnel %s: local_address and gateway are of two IP versions", t->name);
	else if (t->encap == CONF_ENCAP_NATIVE && t->start_port != 0)
		conf_fail(r, ERR_RANGE, "tunnel %s: encap = native does not go with start_port = 4500", t->name);
	else if (t->encap == CONF_ENCAP_NATIVE && !s->native_esp)
		conf_fail(r, ERR_RANGE, "tunnel %s: encap = native needs native_esp = yes under [site]", t->name);
	check_numbers(r, t);
	check_algorithms(r, t);
	check_routes(r, t);
	check_addresses(r, t);
	check_selectors(r, t, &t->local_ts, "local_ts");
	check_selectors(r, t, &t->remote_ts, "remote_ts");
	if (r->result == ERR_NONE)
		check_key(r, t);
	if (t->gateway_id.type == 0)
		t->gateway_id = identity_of(&t->gateway);
}

static int compare_names(const void *a, const void *b)
{
	const struct conf_tunnel *const *x = a, *const *y = b;
	int c = strcmp((*x)->name, (*y)->name);
	return c != 0 ? c : ((*x)->line > (*y)->line) - ((*x)->line < (*y)->line);
}

static void check_names(struct conf_reading *r)
{
	const struct conf_site *s = r->value;
	const struct conf_tunnel **all = calloc(s->tunnel_cnt + 1, sizeof(const struct conf_tunnel *));

	for (unsigned i = 0; all != NULL && i < s->tunnel_cnt; i++)
		all[i] = &s->tunnels[i];
	if (all != NULL)
		qsort(all, s->tunnel_cnt, sizeof(all[0]), compare_names);
	for (unsigned i = 1; all != NULL && i < s->tunnel_cnt; i++) {
		if (strcmp(all[i - 1]->name, all[i]->name) != 0)
			continue;
		r->line = all[i]->line;
		conf_fail(r, ERR_RANGE, "there are two tunnels \"%s\"; the other one begins in line %d", all[i]->name,
			  all[i - 1]->line);
	}
	free(all);
}

static void check_together(struct conf_reading *r)
{
	struct conf_site *s = r->value;

	if (s->route_table == TABLE_LOCAL) {
		conf_at(r, "route_table");
		conf_fail(r, ERR_RANGE, "route_table = %d is the kernel's table of the host's own addresses", TABLE_LOCAL);
	}
	r->line = 0;
	if (s->tunnel_cnt == 0)
		conf_fail(r, ERR_RANGE, "there is no tunnel; add a section [tunnel NAME] with gateway, identity, "
					"psk_file, addresses and routes");
	check_names(r);
	for (unsigned i = 0; r->result == ERR_NONE && i < s->tunnel_cnt; i++)
		check_tunnel(r, &s->tunnels[i]);
}

/* ---- the whole ---- */

static const struct conf_schema schema = { .rows = rows, .row_cnt = ARRAY_LEN(rows), .named = "tunnel", .begin = begin,
					   .check = check_together };

enum err conf_site_read(const char *path, struct conf_site *ret, char error[static CONF_ERROR_MAX])
{
	struct conf_site s = { 0 };

	conf_defaults(&schema, "site", &s);
	enum err e = conf_read_by(&schema, path, &s, error);
	if (e == ERR_NONE)
		*ret = s;
	else
		conf_site_free(&s);
	return e;
}

void conf_site_free(struct conf_site *s)
{
	for (unsigned i = 0; i < s->tunnel_cnt; i++) {
		struct conf_tunnel *t = &s->tunnels[i];
		free(t->addresses.p);
		free(t->routes.p);
		free(t->local_ts.p);
		free(t->remote_ts.p);
		secret_fini(&t->psk);
	}
	free(s->tunnels);
	s->tunnels = NULL;
	s->tunnel_cnt = s->tunnel_cap = 0;
}

static bool has_address(const struct conf *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->gateway_address_cnt; i++)
		if (addr_eq(&c->gateway_addresses[i], a))
			return true;
	return false;
}

enum err conf_site_base(const struct conf_site *s, struct conf *ret)
{
	struct conf c;

	conf_init(&c);
	snprintf(c.state_dir, sizeof(c.state_dir), "%s", s->state_dir);
	snprintf(c.seal_key, sizeof(c.seal_key), "%s", s->seal_key);
	snprintf(c.run_dir, sizeof(c.run_dir), "%s", s->run_dir);
	snprintf(c.user, sizeof(c.user), "%s", s->user);
	c.log_level = s->log_level;
	c.workers = s->workers;
	c.dh_threads = s->dh_threads;
	c.native_esp = s->native_esp;
	c.outer_mark = s->mark;
	c.ike_fragment_mtu = s->ike_fragment_mtu;
	c.esp_crypto = s->esp_crypto;
	c.offramp_mtu = s->tun_mtu;
	c.install_routes = s->install_routes;
	for (unsigned i = 0; i < s->tunnel_cnt; i++) {
		const struct addr *a = &s->tunnels[i].local_address;
		if (a->family == ADDR_NONE || has_address(&c, a))
			continue;
		if (c.gateway_address_cnt == CONF_ADDRESSES_MAX)
			return ERR_FULL;
		c.gateway_addresses[c.gateway_address_cnt++] = *a;
	}
	*ret = c;
	return ERR_NONE;
}

void conf_site_print_example(FILE *f)
{
	conf_print_example_of(&schema, "# Configuration of onrampd --site, see onramp-site.conf(5). The values shown are the "
				       "defaults, or samples where there is none.\n", f);
}

void conf_site_print_man(FILE *f)
{
	conf_print_man_of(&schema, f);
}
