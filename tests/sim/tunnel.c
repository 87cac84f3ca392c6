#include "tunnel.h"

#include <stdio.h>

#include "process.h"
#include "world_nat.h"

const struct tunnel_settings tunnel_usual = { .ike_lifetime_s = 86400, .child_lifetime_s = 28800, .fragment_mtu = 1280, .mobike = true };
static struct addr_prefix everything[] = { { .addr = { .family = ADDR_V4 } }, { .addr = { .family = ADDR_V6 } } };

static bool has(unsigned set, const struct process *site)
{
	return (set >> (process_site_number(site) - 1) & 1) != 0;
}

static struct model_id make_id(const struct process *site, unsigned generation)
{
	struct model_id id = all.account_id;

	id.b[14] = (uint8_t)generation;
	id.b[15] = (uint8_t)process_site_number(site);
	return id;
}

struct model_id tunnel_id(const struct process *site)
{
	return make_id(site, site->stored.generation);
}

void tunnel_key_text(const struct process *site, unsigned key, struct space text)
{
	snprintf((char *)text.p, text.cap, "a key that is long enough, the %u. of site %u", key, process_site_number(site));
}

struct model_id tunnel_route_id(const struct process *site, unsigned route)
{
	struct model_id id = tunnel_id(site);

	id.b[13] = (uint8_t)(route + 1);
	return id;
}

struct addr_prefix tunnel_route_prefix(const struct process *site, unsigned route)
{
	return (struct addr_prefix){ { .family = ADDR_V4, .b = { 172, (uint8_t)(16 + process_site_number(site)), (uint8_t)route, 0 } }, 24 };
}

static struct addr_prefix interface_of(const struct process *site)
{
	return (struct addr_prefix){ { .family = ADDR_V4, .b = { 10, 200, (uint8_t)process_site_number(site), 0 } }, 31 };
}

/* ---- at the gateways ---- */

static void put_account(const struct addr *gateway)
{
	uint8_t room[MODEL_ACCOUNT_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_account a;

	model_account_init(&a);
	a.id = all.account_id;
	a.number = 1;
	a.endpoint_cnt = 1;
	a.endpoints[0] = *gateway;
	must(model_account_encode(&a, &w) == ERR_NONE);
	const struct model_key key = model_key_account(&a.id);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), wr_bytes(&w) };
	world_store_write(all.ws, &(struct store_txn){ .ops = &op, .op_cnt = 1 });
}

static void encode_tunnel(const struct process *site, struct wr *w)
{
	struct model_tunnel m;

	model_tunnel_init(&m);
	m.id = tunnel_id(site);
	m.account_id = all.account_id;
	snprintf(m.name, sizeof(m.name), "site%u", process_site_number(site));
	m.cloudflare_endpoint = all.p[0].addr;
	if (!has(all.settings.roaming, site))
		m.customer_endpoint = world_nat_address(site->who);
	m.interface_address = interface_of(site);
	m.psk_set_us = 1;
	m.replay_protection = site->stored.sequenced;
	m.onramp.esn = has(all.settings.extended, site);
	m.onramp.ike_lifetime_s = all.settings.ike_lifetime_s;
	m.onramp.child_lifetime_s = all.settings.child_lifetime_s;
	m.onramp.child_rekey_packets = all.settings.rekey_packets;
	must(model_tunnel_encode(&m, w) == ERR_NONE);
}

static uint16_t seal_key(const struct process *site, const struct model_key *name, unsigned key, struct space room)
{
	struct crypt_seal_public to;
	char text[64];
	size_t len;

	tunnel_key_text(site, key, SPACE_OF(text));
	must(crypt_seal_public_of(&all.seal.key[0], &to) == ERR_NONE);
	must(crypt_box_seal(&to, model_key_bytes(name), bytes_str(text), room, &len) == ERR_NONE);
	return (uint16_t)len;
}

static void encode_psk(const struct process *site, const struct model_key *name, struct wr *w)
{
	struct model_psk k = { .tunnel_id = tunnel_id(site), .set_us = 1 };

	k.current_len = seal_key(site, name, site->stored.key, SPACE_OF(k.current));
	if (site->stored.key != 0)
		k.previous_len = seal_key(site, name, site->stored.key - 1, SPACE_OF(k.previous));
	must(model_psk_encode(&k, w) == ERR_NONE);
}

static struct store_op op_of(bool there, const struct model_key *key, const struct wr *w)
{
	return (struct store_op){ there ? STORE_PUT : STORE_DELETE, model_key_bytes(key), there ? wr_bytes(w) : (struct bytes){ 0 } };
}

void tunnel_store_route(const struct process *site, unsigned route)
{
	const struct addr_prefix interface = interface_of(site);
	const struct model_id id = tunnel_route_id(site, route);
	const struct model_key key = model_key_route(&all.account_id, &id);
	bool there = (site->stored.routes >> route & 1) != 0;
	uint8_t room[MODEL_ROUTE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_route m;

	model_route_init(&m);
	m.id = id;
	m.account_id = all.account_id;
	m.prefix = tunnel_route_prefix(site, route);
	m.nexthop = model_tunnel_customer_side(&interface);
	must(model_route_encode(&m, &w) == ERR_NONE);
	const struct store_op op = op_of(there, &key, &w);
	world_store_write(all.ws, &(struct store_txn){ .ops = &op, .op_cnt = 1 });
}

void tunnel_store(const struct process *site)
{
	const struct model_id id = tunnel_id(site);
	const struct model_key keys[] = { model_key_tunnel(&all.account_id, &id), model_key_psk(&all.account_id, &id) };
	uint8_t tunnel[MODEL_TUNNEL_RECORD_MAX], psk[MODEL_PSK_RECORD_MAX];
	struct wr w[] = { wr_of(SPACE_OF(tunnel)), wr_of(SPACE_OF(psk)) };
	struct store_op ops[ARRAY_LEN(keys)];

	encode_tunnel(site, &w[0]);
	encode_psk(site, &keys[1], &w[1]);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		ops[i] = op_of(site->stored.there, &keys[i], &w[i]);
	world_store_write(all.ws, &(struct store_txn){ .ops = ops, .op_cnt = ARRAY_LEN(ops) });
}

/* ---- at the sites ---- */

/* <account>_<tunnel>: whom it claims to be. */
static void claim(struct conf_identity *id, const struct model_id *tunnel)
{
	struct wr w = wr_of(SPACE_OF(id->b));
	char text[3];

	id->type = IKE_ID_KEY_ID;
	for (size_t i = 0; i < 2 * sizeof(tunnel->b); i++) {
		if (i == sizeof(tunnel->b))
			wr_u8(&w, '_');
		snprintf(text, sizeof(text), "%02x", i < sizeof(tunnel->b) ? all.account_id.b[i] : tunnel->b[i - sizeof(tunnel->b)]);
		wr_put(&w, bytes_str(text));
	}
	must(!w.bad);
	id->len = (uint8_t)wr_len(&w);
}

void tunnel_read_file(struct process *p)
{
	const struct process *of = p->site_kind == SITE_FORGER ? process_site(1) : p;
	const struct tunnel_settings *s = &all.settings;
	const struct model_id id = make_id(of, p->file.generation);
	struct conf_tunnel *t = &p->tunnel;
	char text[64];

	secret_fini(&t->psk);
	*t = (struct conf_tunnel){ .gateway = all.p[0].addr, .local_address = p->addr, .dpd_delay = 30, .mtu = 1500, .mobike = s->mobike,
				   .ike_lifetime = s->ike_lifetime_s, .child_lifetime = s->child_lifetime_s,
				   .esn = has(s->extended, p) };
	snprintf(t->name, sizeof(t->name), "site%u", process_site_number(of));
	t->gateway_id = (struct conf_identity){ .type = IKE_ID_IPV4_ADDR, .len = 4 };
	struct rd r = rd_of(addr_bytes(&all.p[0].addr));
	rd_copy(&r, t->gateway_id.b, 4);
	if (p->file.named)
		claim(&t->identity, &id);
	t->local_ts = t->remote_ts = (struct conf_prefixes){ .cnt = ARRAY_LEN(everything), .p = everything };
	tunnel_key_text(p, p->file.key, SPACE_OF(text));
	must(secret_set(&t->psk, bytes_str(text)) == ERR_NONE);
	p->running = p->file;
	p->site = (struct conf_site){ .dh_threads = 1, .tun_mtu = 1400, .ike_fragment_mtu = s->fragment_mtu, .tunnel_cnt = 1, .tunnels = t };
}

/* ---- all ---- */

static void begin(struct process *p)
{
	const struct tunnel_settings *s = &all.settings;
	const enum world_nat nat = has(s->roaming, p) ? WORLD_NAT_ADDRESS : has(s->ports, p) ? WORLD_NAT_PORTS : WORLD_NAT_NONE;
	bool forger = p->site_kind == SITE_FORGER;

	world_nat_put(p->who, forger ? WORLD_NAT_NONE : nat, &p->addr);
	p->stored = (struct tunnel_terms){ .there = true, .named = nat != WORLD_NAT_NONE, .sequenced = has(s->sequenced, p) };
	p->file = p->stored;
	p->file.key = p->site_kind == SITE_HONEST ? 0 : 99;
	p->file.named = p->file.named || forger;
	if (!forger)
		tunnel_store(p);
}

void tunnels_begin(void)
{
	put_account(&all.p[0].addr);
	for (unsigned i = all.gateways; i < all.cnt; i++)
		begin(&all.p[i]);
}
