#include "gateway.h"

#include <stdlib.h>

#include "crypt/random.h"
#include "wire/ike.h"

static bool find_tunnel(void *arg, const struct model_identity *id, const struct addr *local, const struct addr *remote,
			struct ike_peer *ret)
{
	struct gateway *g = arg;

	g->finds++;
	for (unsigned i = 0; i < g->tunnel_cnt; i++) {
		const struct ike_peer *p = &g->tunnels[i].peer;
		bool found = id->by_address
				     ? addr_eq(&p->gateway_endpoint, local) && addr_eq(&p->customer_endpoint, remote)
				     : id->account_number == p->account_number && model_id_eq(&id->tunnel_id, &p->tunnel_id);
		if (found) {
			*ret = *p;
			return true;
		}
	}
	return false;
}

static void find_previous_psk(void *arg, const struct model_id *tunnel_id, struct secret *ret)
{
	struct gateway *g = arg;

	g->previous_asked++;
	for (unsigned i = 0; tunnel_id != NULL && i < g->tunnel_cnt; i++)
		if (model_id_eq(tunnel_id, &g->tunnels[i].peer.tunnel_id))
			*ret = g->tunnels[i].previous_psk;
}

void gateway_init(struct gateway *g)
{
	memset(g, 0, sizeof(*g));
	g->world = (struct ike_world){
		.domain = "ipsec.example.net",
		.node_slot = 7,
		.spi_key = { 1, 2 },
		.cookie_key = { { 3, 4 }, { 5, 6 } },
		.cookie_version = 9,
		.find_tunnel = find_tunnel,
		.find_previous_psk = find_previous_psk,
		.arg = g,
	};
	crypt_random(g->world.decoy_psk, sizeof(g->world.decoy_psk));
	g->now_us = 1000000000;
	g->step_out = calloc(1, sizeof(*g->step_out));
	g->frags = calloc(1 + GATEWAY_SAS_MAX, sizeof(*g->frags));
	must(g->step_out != NULL && g->frags != NULL);
	g->tunnel_cnt = 1;
	struct ike_peer *p = gateway_tunnel(g);
	memset(p->account_id.b, 0xa1, 16);
	memset(p->tunnel_id.b, 0xb2, 16);
	p->account_number = 1234567;
	must(addr_parse(bytes_str("192.0.2.1"), &p->gateway_endpoint) == ERR_NONE);
	must(secret_set(&p->psk, bytes_str("correct horse battery staple")) == ERR_NONE);
	p->settings = (struct model_tunnel_onramp){
		.ike_lifetime_s = 86400,
		.child_lifetime_s = 28800,
		.dpd_delay_s = 30,
	};
}

void gateway_fini(struct gateway *g)
{
	free(g->step_out);
	free(g->frags);
	g->step_out = NULL;
	g->frags = NULL;
}

struct ike_peer *gateway_tunnel(struct gateway *g)
{
	return &g->tunnels[0].peer;
}

/* ---- the store ---- */

struct gateway_sa *gateway_sa_find(struct gateway *g, uint64_t spi)
{
	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++)
		if (g->sas[i].used && g->sas[i].spi == spi)
			return &g->sas[i];
	return NULL;
}

static struct ike_sa decode(const struct gateway_sa *slot)
{
	struct ike_sa sa;
	must(ike_sa_decode(bytes_of(slot->record, slot->len), &sa) == ERR_NONE);
	return sa;
}

struct ike_sa gateway_sa(const struct gateway *g, uint64_t spi)
{
	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++)
		if (g->sas[i].used && g->sas[i].spi == spi)
			return decode(&g->sas[i]);
	must(false);
	return (struct ike_sa){ 0 };
}

unsigned gateway_count(const struct gateway *g, enum ike_state state)
{
	unsigned cnt = 0;
	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++)
		cnt += g->sas[i].used && decode(&g->sas[i]).state == state;
	return cnt;
}

static void encode(struct gateway_sa *slot, const struct ike_sa *sa)
{
	struct wr w = wr_of(SPACE_OF(slot->record));
	must(ike_sa_encode(sa, MODEL_FORMAT_OLDEST, &w) == ERR_NONE);
	slot->len = wr_len(&w);
	slot->spi = ike_sa_our_spi(sa);
	slot->used = true;
}

static void add_sa(struct gateway *g, const struct ike_sa *sa)
{
	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++) {
		if (g->sas[i].used)
			continue;
		g->sas[i].iv = (uint64_t)5 << 34;
		ike_frag_forget(&g->frags[1 + i]);
		encode(&g->sas[i], sa);
		return;
	}
	must(false);
}

struct gateway_child *gateway_child_find(struct gateway *g, uint32_t spi_in)
{
	for (unsigned i = 0; i < g->child_cnt; i++)
		if (g->children[i].sa.spi_in == spi_in)
			return &g->children[i];
	return NULL;
}

uint64_t gateway_fingerprint(const struct gateway *g)
{
	static const struct siphash_key key = { 11, 12 };
	uint64_t sum = g->has_half + siphash(&key, bytes_of(&g->half, g->has_half ? sizeof(g->half) : 0));

	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++)
		if (g->sas[i].used)
			sum = siphash_u64(&key, sum ^ siphash(&key, bytes_of(g->sas[i].record, g->sas[i].len)));
	return siphash_u64(&key, sum + siphash(&key, bytes_of(g->children, g->child_cnt * sizeof(g->children[0]))));
}

/* ---- actions ---- */

static void remove_child(struct gateway *g, uint32_t spi)
{
	struct gateway_child *c = gateway_child_find(g, spi);
	must(c != NULL); /* a child is deleted once */
	size_t at = (size_t)(c - g->children);
	memmove(c, c + 1, (g->child_cnt - at - 1) * sizeof(*c));
	g->child_cnt--;
}

static void put_child(struct gateway *g, const struct ike_action *a)
{
	must(gateway_child_find(g, a->put.child->spi_in) == NULL && g->child_cnt < GATEWAY_CHILDREN_MAX);
	must(a->put.replaces == 0 || gateway_child_find(g, a->put.replaces) != NULL);
	struct gateway_child *c = &g->children[g->child_cnt++];
	memset(c, 0, sizeof(*c));
	c->sa = *a->put.child;
	c->replaces = a->put.replaces;
	/* its record too must survive the codec */
	uint8_t room[MODEL_CHILD_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_child_sa again;
	must(model_child_encode(&c->sa, MODEL_FORMAT_OLDEST, &w) == ERR_NONE && model_child_decode(wr_bytes(&w), &again) == ERR_NONE);
	must(memcmp(&again.keys_in, &c->sa.keys_in, sizeof(again.keys_in)) == 0 && again.spi_out == c->sa.spi_out);
}

static void send(struct gateway *g, const struct ike_action *a)
{
	must(g->out_cnt < GATEWAY_OUT_MAX && a->send.msg.len <= IKE_REPLY_MAX && a->send.msg.len >= WIRE_IKE_HEADER_LEN);
	must(a->send.marker == (a->send.local.port == IKE_NATT_PORT));
	struct gateway_datagram *d = &g->out[g->out_cnt++];
	d->local = a->send.local;
	d->remote = a->send.remote;
	d->marker = a->send.marker;
	d->len = a->send.msg.len;
	memcpy(d->b, a->send.msg.p, a->send.msg.len);
}

static bool is_text(const char *s, size_t cap)
{
	size_t len = strnlen(s, cap);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] > 0x7e)
			return false;
	return len < cap;
}

static void take_failure(struct gateway *g, const struct model_failure *f)
{
	uint8_t room[MODEL_FAILURE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	must(f->code < MODEL_FAILURE_CNT && is_text(f->identity, sizeof(f->identity)) &&
	     is_text(f->offered, sizeof(f->offered)) && is_text(f->allowed, sizeof(f->allowed)));
	must(f->local.addr.family != ADDR_NONE && f->remote.addr.family != ADDR_NONE);
	must(model_failure_encode(f, &w) == ERR_NONE);
	g->failure = *f;
	g->failure_cnt++;
}

/* What must hold of every step, whatever came in. */
static void check_actions(const struct gateway *g, const struct ike_event *ev)
{
	const struct ike_out *out = g->step_out;
	unsigned responses = 0, failures = 0;

	for (unsigned i = 0; i < out->cnt; i++) {
		const struct ike_action *a = &out->actions[i];
		must(a->kind != IKE_ACT_DH || (out->cnt == 1 && !out->has_sa));
		failures += a->kind == IKE_ACT_FAILURE;
		if (a->kind != IKE_ACT_SEND)
			continue;
		bool response = (a->send.msg.p[19] & IKE_FLAG_RESPONSE) != 0;
		responses += response;
		/* an answer goes where the question came from, and nowhere else */
		must(!response || (addr_endpoint_eq(&a->send.remote, &ev->remote) &&
				   addr_endpoint_eq(&a->send.local, &ev->local)));
	}
	must(responses <= IKE_FRAGS_OUT_MAX && failures <= 1 && !(out->has_rekeyed && !out->has_sa));
}

static void run_actions(struct gateway *g, const struct ike_event *ev)
{
	const struct ike_out *out = g->step_out;

	check_actions(g, ev);
	for (unsigned i = 0; i < out->cnt; i++) {
		const struct ike_action *a = &out->actions[i];
		switch (a->kind) {
		case IKE_ACT_DH:
			must(false);
			break;
		case IKE_ACT_CHILD_PUT:
			put_child(g, a);
			break;
		case IKE_ACT_CHILD_PROVEN:
			must(gateway_child_find(g, a->spi) != NULL);
			gateway_child_find(g, a->spi)->proven = true;
			break;
		case IKE_ACT_CHILD_DELETE:
			remove_child(g, a->spi);
			break;
		case IKE_ACT_PATH:
			g->paths++;
			break;
		case IKE_ACT_SEND:
			send(g, a);
			break;
		case IKE_ACT_INITIAL_CONTACT:
			g->initial_contacts++;
			break;
		case IKE_ACT_FAILURE:
			take_failure(g, &out->failure);
			break;
		case IKE_ACT_DROP:
			g->drops[a->drop]++;
			break;
		case IKE_ACT_COUNT:
			g->counters[a->counter]++;
			break;
		}
	}
	g->changed = out->changed;
}

/* Diffie-Hellman, if that is what the step asked for. */
static bool do_dh(struct gateway *g, struct ike_event *ev, struct crypt_dh_result *dh)
{
	const struct ike_out *out = g->step_out;

	if (out->cnt != 1 || out->actions[0].kind != IKE_ACT_DH)
		return false;
	must(ev->dh == NULL && !out->has_sa && !out->changed);
	g->dhs++;
	if (ike_dh_run(&out->actions[0].dh, dh) != ERR_NONE)
		dh->public_len = dh->secret_len = 0;
	ev->dh = dh;
	return true;
}

static void refresh(struct ike_event *ev, uint64_t *iv)
{
	crypt_random(ev->random, sizeof(ev->random));
	ev->iv = *iv;
	*iv += IKE_IV_CNT;
}

/* ---- steps ---- */

static bool has_cookie(struct bytes msg)
{
	struct wire_ike_payloads in;
	struct wire_ike_header h;
	struct wire_ike_notify n;
	struct rd r = rd_of(msg);

	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	return wire_ike_header_parse(msg, &h) == ERR_NONE && wire_ike_payloads_parse(h.next, rd_rest(&r), &in) == ERR_NONE &&
	       wire_ike_notify_find(&in, IKE_N_COOKIE, &n);
}

static void init_input(struct gateway *g, struct ike_event ev)
{
	struct ike_half half;
	struct crypt_dh_result dh;
	uint64_t iv = 0;

	refresh(&ev, &iv);
	ike_init_step(&g->world, &ev, &half, g->step_out);
	if (do_dh(g, &ev, &dh))
		ike_init_step(&g->world, &ev, &half, g->step_out);
	if (g->step_out->has_sa) {
		g->half = half;
		g->has_half = true;
		ike_frag_forget(&g->frags[0]);
		g->half_iv = (uint64_t)6 << 34;
	}
	/* to an address that was not proven: never more than it sent */
	for (unsigned i = 0; i < g->step_out->cnt && !(g->step_out->has_sa && has_cookie(ev.msg)); i++)
		must(g->step_out->actions[i].kind != IKE_ACT_SEND ||
		     g->step_out->actions[i].send.msg.len <= ev.msg.len);
	run_actions(g, &ev);
}

static void half_input(struct gateway *g, struct ike_event ev)
{
	struct ike_half next;
	struct ike_sa sa;

	refresh(&ev, &g->half_iv);
	ike_half_step(&g->world, &g->half, &ev, &next, &sa, g->step_out);
	if (g->conflict && g->step_out->has_sa) {
		refresh(&ev, &g->half_iv);
		ike_half_step(&g->world, &g->half, &ev, &next, &sa, g->step_out);
	}
	if (g->step_out->has_sa) {
		must(sa.auth_verified && sa.state == IKE_STATE_ESTABLISHED);
		add_sa(g, &sa);
	}
	if (g->step_out->has_sa || g->step_out->changed)
		g->has_half = false;
	run_actions(g, &ev);
}

static void sa_input(struct gateway *g, struct gateway_sa *slot, struct ike_event ev)
{
	struct ike_sa before = decode(slot), after, rekeyed[2];
	struct crypt_dh_result dh;

	refresh(&ev, &slot->iv);
	ike_sa_step(&g->world, &before, &ev, &after, rekeyed, g->step_out);
	if (do_dh(g, &ev, &dh))
		ike_sa_step(&g->world, &before, &ev, &after, rekeyed, g->step_out);
	if (g->conflict && g->step_out->has_sa) {
		refresh(&ev, &slot->iv);
		ike_sa_step(&g->world, &before, &ev, &after, rekeyed, g->step_out);
	}
	if (g->step_out->has_rekeyed) {
		add_sa(g, &rekeyed[0]);
		for (unsigned i = 0; i < rekeyed[0].child_cnt; i++) {
			struct gateway_child *c = gateway_child_find(g, rekeyed[0].children[i].spi_in);
			must(c != NULL && c->sa.ike_spi == slot->spi);
			c->sa.ike_spi = ike_sa_our_spi(&rekeyed[0]);
		}
	}
	if (g->step_out->has_sa) {
		must(after.auth_verified);
		encode(slot, &after);
	}
	run_actions(g, &ev);
}

void gateway_input(struct gateway *g, const struct addr_endpoint *local, const struct addr_endpoint *remote,
		   struct bytes msg)
{
	struct ike_event ev = {
		.kind = IKE_EV_MESSAGE,
		.now_us = g->now_us,
		.msg = msg,
		.local = *local,
		.remote = *remote,
	};
	struct wire_ike_header h = { 0 };
	uint8_t joined[IKE_FRAG_JOIN_MAX];

	(void)!wire_ike_header_parse(msg, &h);
	struct gateway_sa *slot = gateway_sa_find(g, h.spi_r);
	bool half = slot == NULL && g->has_half && h.spi_r == g->half.sa.spi_r;
	if (ike_frag_is(msg) && (slot != NULL || half)) {
		struct ike_sa sa = half ? g->half.sa : decode(slot);
		struct ike_frags *f = &g->frags[half ? 0 : 1 + (size_t)(slot - g->sas)];
		enum ike_frag_result result = ike_frag_take(f, &sa, &ev, g->step_out);
		run_actions(g, &ev);
		g->pieces += result == IKE_FRAG_KEPT;
		if (result != IKE_FRAG_WHOLE)
			return;
		ike_frag_join(f, SPACE_OF(joined), &ev);
	}
	if (slot != NULL && h.spi_r != 0)
		sa_input(g, slot, ev);
	else if (g->has_half && (h.spi_r == g->half.sa.spi_r || (h.spi_r == 0 && h.spi_i == g->half.sa.spi_i)))
		half_input(g, ev);
	else
		init_input(g, ev);
}

void gateway_event(struct gateway *g, uint64_t spi, struct ike_event ev)
{
	struct gateway_sa *slot = gateway_sa_find(g, spi);
	must(slot != NULL);
	ev.now_us = g->now_us;
	sa_input(g, slot, ev);
}

void gateway_timers(struct gateway *g)
{
	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++) {
		struct gateway_sa *slot = &g->sas[i];
		if (!slot->used)
			continue;
		struct ike_sa sa = decode(slot);
		if (ike_sa_timer(&sa, g->last_esp_us) > g->now_us)
			continue;
		if (sa.state == IKE_STATE_CLOSED)
			slot->used = false;
		else
			gateway_event(g, slot->spi, (struct ike_event){ .kind = IKE_EV_TIMER, .last_esp_us = g->last_esp_us });
	}
}

uint64_t gateway_next_us(const struct gateway *g)
{
	uint64_t at = UINT64_MAX;
	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++) {
		if (!g->sas[i].used)
			continue;
		struct ike_sa sa = decode(&g->sas[i]);
		uint64_t t = ike_sa_timer(&sa, g->last_esp_us);
		at = t < at ? t : at;
	}
	return at;
}
