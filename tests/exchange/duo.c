#include "duo.h"

#include <stdlib.h>

#include "crypt/prf.h"
#include "wire/ike.h"

#define LATENCY_US 10000u
#define ESP_LATENCY_US 30000u

uint64_t duo_random(struct duo *d)
{
	uint64_t z = (d->rng += 0x9e3779b97f4a7c15u); /* splitmix64 */
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ---- worlds ---- */

static bool find_tunnel(void *arg, const struct model_identity *id, const struct addr *local, const struct addr *remote,
			struct ike_peer *ret)
{
	const struct duo *d = arg;

	(void)local;
	(void)remote;
	if (!model_id_eq(&id->tunnel_id, &d->peer.tunnel_id))
		return false;
	*ret = d->peer;
	return true;
}

static bool find_selectors(void *arg, const struct ike_sa *sa, uint32_t spi_in, struct ike_ts_lists *ret)
{
	const struct duo *d = arg;

	for (unsigned e = 0; e < 2 && spi_in != 0; e++) {
		for (unsigned i = 0; i < d->end[e].child_cnt; i++) {
			const struct model_child_sa *c = &d->end[e].children[i].sa;
			if (c->spi_in != spi_in || c->ike_spi != ike_sa_our_spi(sa))
				continue;
			*ret = (struct ike_ts_lists){ .local_cnt = c->ts_local_cnt, .remote_cnt = c->ts_remote_cnt };
			memcpy(ret->local, c->ts_local, sizeof(ret->local));
			memcpy(ret->remote, c->ts_remote, sizeof(ret->remote));
			return true;
		}
	}
	*ret = d->start.ts;
	return spi_in == 0 && sa->started;
}

static uint32_t find_rows(void *arg, const struct model_id *tunnel_id, enum model_phase phase)
{
	const struct duo *d = arg;

	(void)tunnel_id;
	return phase == MODEL_PHASE_IKE ? d->start.ike_rows : d->start.child_rows;
}

static struct model_ts any(uint8_t family)
{
	struct model_ts ts = { .port_last = UINT16_MAX, .first = { .family = family }, .last = { .family = family } };
	memset(ts.last.b, 0xff, addr_len(family));
	return ts;
}

static struct addr_endpoint endpoint(const char *text)
{
	struct addr_endpoint e = { .port = IKE_PORT };
	must(addr_parse(bytes_str(text), &e.addr) == ERR_NONE);
	return e;
}

void duo_init(struct duo *d, uint64_t seed)
{
	static const char id[] = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2.1234567.ipsec.example.net";

	memset(d, 0, sizeof(*d));
	d->seed = d->rng = seed;
	d->now_us = 1000000000;
	d->out = calloc(1, sizeof(*d->out));
	d->frags = calloc(2 * (1 + DUO_SAS_MAX), sizeof(*d->frags));
	must(d->out != NULL && d->frags != NULL);
	d->end[0].addr = endpoint("198.51.100.7");
	d->end[1].addr = endpoint("192.0.2.1");
	for (unsigned i = 0; i < 2; i++)
		d->end[i].world = (struct ike_world){
			.domain = "ipsec.example.net",
			.node_slot = (uint16_t)(7 + i),
			.spi_key = { 1 + i, 2 },
			.cookie_key = { { 3, 4 }, { 5, 6 } },
			.find_tunnel = find_tunnel,
			.find_selectors = find_selectors,
			.arg = d,
		};
	d->end[0].world.find_rows = find_rows; /* of the one that starts */
	memset(d->peer.account_id.b, 0xa1, 16);
	memset(d->peer.tunnel_id.b, 0xb2, 16);
	d->peer.account_number = 1234567;
	must(secret_set(&d->peer.psk, bytes_str("correct horse battery staple")) == ERR_NONE);
	d->peer.settings = (struct model_tunnel_onramp){
		.ike_lifetime_s = 604800,
		.child_lifetime_s = 604800,
		.dpd_delay_s = 30,
	};
	d->start = (struct ike_start){
		.peer = d->peer,
		.id_type = IKE_ID_FQDN,
		.id_len = sizeof(id) - 1,
		.local = d->end[0].addr,
		.remote = d->end[1].addr,
		.initial_contact = true,
		.ts = { 2, 2, { any(ADDR_V4), any(ADDR_V6) }, { any(ADDR_V4), any(ADDR_V6) } },
	};
	memcpy(d->start.id, id, sizeof(id) - 1);
}

void duo_fini(struct duo *d)
{
	free(d->out);
	free(d->frags);
}

/* ---- the store ---- */

static void encode(struct duo_sa *slot, const struct ike_sa *sa)
{
	static uint8_t record[IKE_SA_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(record));

	must(sa->auth_verified && ike_sa_encode(sa, MODEL_FORMAT_OLDEST, &w) == ERR_NONE);
	must(ike_sa_decode(wr_bytes(&w), &slot->r) == ERR_NONE);
	static uint8_t again[IKE_SA_RECORD_MAX];
	struct wr v = wr_of(SPACE_OF(again));
	must(ike_sa_encode(&slot->r, MODEL_FORMAT_OLDEST, &v) == ERR_NONE && bytes_eq(wr_bytes(&v), wr_bytes(&w)));
	slot->spi = ike_sa_our_spi(sa);
	slot->used = true;
}

/* Where the fragments of an SA are, of the half-open one for NULL. */
static struct ike_frags *frags_of(const struct duo *d, unsigned end, const struct duo_sa *slot)
{
	return &d->frags[end * (1 + DUO_SAS_MAX) + (slot == NULL ? 0 : 1 + (size_t)(slot - d->end[end].sas))];
}

static void add_sa(struct duo_end *e, const struct ike_sa *sa)
{
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		if (e->sas[i].used)
			continue;
		e->sas[i].iv = (uint64_t)5 << 34;
		encode(&e->sas[i], sa);
		return;
	}
	must(false);
}

static struct duo_sa *find_sa(struct duo_end *e, uint64_t spi)
{
	for (unsigned i = 0; i < DUO_SAS_MAX; i++)
		if (e->sas[i].used && e->sas[i].spi == spi)
			return &e->sas[i];
	return NULL;
}

static struct duo_child *find_child(struct duo_end *e, uint32_t spi_in)
{
	for (unsigned i = 0; i < e->child_cnt; i++)
		if (e->children[i].sa.spi_in == spi_in)
			return &e->children[i];
	return NULL;
}

/* ---- the wire ---- */

static void fly(struct duo *d, const struct duo_datagram *g, uint64_t delay_us)
{
	must(d->flight_cnt < DUO_FLIGHT_MAX);
	d->flight[d->flight_cnt] = *g;
	d->flight[d->flight_cnt++].at_us = d->now_us + delay_us;
}

static enum duo_fault judge(struct duo *d)
{
	unsigned n = d->sent++;

	if (d->silent)
		return DUO_DROP;
	if (d->loss_percent != 0 && duo_random(d) % 100 < d->loss_percent)
		return (enum duo_fault)(1 + duo_random(d) % 3);
	return d->fault_kind != DUO_FINE && n == d->fault_at ? d->fault_kind : DUO_FINE;
}

/* The NAT on the way out. */
static void translate(const struct duo *d, struct duo_datagram *g)
{
	if (g->to != 1 || d->nat.addr.family == ADDR_NONE)
		return;
	must(g->from.port == IKE_NATT_PORT);
	g->from = d->nat;
}

/* And on the way in. False: nobody is there. */
static bool reaches(const struct duo *d, struct duo_datagram *g)
{
	bool natted = g->to == 0 && d->nat.addr.family != ADDR_NONE;

	if (!natted)
		return addr_eq(&g->dest.addr, &d->end[g->to].addr.addr);
	if (!addr_endpoint_eq(&g->dest, &d->nat))
		return false;
	g->dest = (struct addr_endpoint){ d->end[0].addr.addr, IKE_NATT_PORT };
	return true;
}

static void send(struct duo *d, unsigned from, const struct ike_action *a)
{
	struct duo_datagram g = { .to = !from, .from = a->send.local, .dest = a->send.remote, .len = a->send.msg.len };

	must(g.len <= sizeof(g.b) && addr_eq(&g.from.addr, &d->end[from].addr.addr));
	translate(d, &g);
	memcpy(g.b, a->send.msg.p, g.len);
	if (d->on_send != NULL)
		d->on_send(d->watch_arg, from, a->send.msg);
	d->pool[d->pool_cnt < DUO_POOL_MAX ? d->pool_cnt++ : duo_random(d) % DUO_POOL_MAX] = g;
	switch (judge(d)) {
	case DUO_FINE:
		fly(d, &g, LATENCY_US);
		break;
	case DUO_DROP:
		break;
	case DUO_TWICE:
		fly(d, &g, LATENCY_US);
		fly(d, &g, LATENCY_US + duo_random(d) % 900000);
		break;
	case DUO_LATE:
		fly(d, &g, LATENCY_US + duo_random(d) % 1200000);
		break;
	}
}

/* ---- actions ---- */

static void put_child(struct duo_end *e, const struct ike_action *a)
{
	must(find_child(e, a->put.child->spi_in) == NULL && e->child_cnt < DUO_CHILDREN_MAX);
	struct duo_child *c = &e->children[e->child_cnt++];
	*c = (struct duo_child){ .sa = *a->put.child };
	/* the first one of a tunnel is sent on at once (fwd/fwd.h) */
	bool others = false;
	for (unsigned i = 0; i + 1 < e->child_cnt; i++)
		others |= e->children[i].proof != 0;
	if (!others)
		c->proof = ++e->proofs;
}

static void prove(struct duo_end *e, uint32_t spi)
{
	struct duo_child *c = find_child(e, spi);
	if (c != NULL && c->proof == 0)
		c->proof = ++e->proofs;
}

static void remove_child(struct duo_end *e, uint32_t spi)
{
	struct duo_child *c = find_child(e, spi);
	must(c != NULL); /* a child is deleted once */
	*c = e->children[--e->child_cnt];
}

static void act(struct duo *d, unsigned end)
{
	struct duo_end *e = &d->end[end];

	for (unsigned i = 0; i < d->out->cnt; i++) {
		const struct ike_action *a = &d->out->actions[i];
		switch (a->kind) {
		case IKE_ACT_DH:
			must(false);
			break;
		case IKE_ACT_CHILD_PUT:
			put_child(e, a);
			break;
		case IKE_ACT_CHILD_PROVEN:
			prove(e, a->spi);
			break;
		case IKE_ACT_CHILD_DELETE:
			remove_child(e, a->spi);
			break;
		case IKE_ACT_SEND:
			send(d, end, a);
			break;
		case IKE_ACT_FAILURE:
			e->failures[d->out->failure.code]++;
			break;
		case IKE_ACT_DROP:
			e->drops[a->drop]++;
			break;
		case IKE_ACT_COUNT:
			e->counters[a->counter]++;
			break;
		case IKE_ACT_PATH:
			e->paths++;
			for (unsigned n = 0; n < e->child_cnt; n++)
				e->children[n].sa.path = a->path;
			break;
		case IKE_ACT_INITIAL_CONTACT:
			break;
		}
	}
}

/* ---- Diffie-Hellman ---- */

static void stand_in_public(struct duo *d, uint16_t group, struct bytes private, struct crypt_dh_result *r)
{
	uint8_t hash[32];

	(void)d;
	must(crypt_sha256(&private, 1, hash) == ERR_NONE);
	r->public_len = (uint16_t)crypt_dh_public_len(group);
	for (unsigned i = 0; i < r->public_len; i++)
		r->public[i] = hash[i % 32];
}

/* Both sides know both public values. */
static void stand_in_secret(uint16_t group, struct bytes peer, struct crypt_dh_result *r)
{
	struct bytes own = bytes_of(r->public, r->public_len);
	int order = memcmp(own.p, peer.p, own.len);
	const struct bytes parts[] = { order < 0 ? own : peer, order < 0 ? peer : own };
	uint8_t hash[32];

	must(peer.len == own.len && crypt_sha256(parts, 2, hash) == ERR_NONE);
	r->secret_len = (uint16_t)crypt_dh_public_len(group);
	for (unsigned i = 0; i < r->secret_len; i++)
		r->secret[i] = hash[i % 32];
}

static bool do_dh(struct duo *d, struct ike_event *ev, struct crypt_dh_result *r)
{
	if (d->out->cnt != 1 || d->out->actions[0].kind != IKE_ACT_DH)
		return false;
	const struct ike_dh_job job = d->out->actions[0].dh;
	must(ev->dh == NULL && !d->out->has_sa && !d->out->has_half && !d->out->changed);
	ev->dh = r;
	*r = (struct crypt_dh_result){ 0 };
	if (d->real_dh) {
		must(ike_dh_run(&job, r) == ERR_NONE);
		return true;
	}
	for (unsigned i = 0; i < 32; i++)
		r->private[i] = (uint8_t)duo_random(d);
	if (job.op == IKE_DH_DERIVE)
		memcpy(r->private, job.private.p, 32);
	stand_in_public(d, job.group, bytes_of(r->private, 32), r);
	if (job.op != IKE_DH_GENERATE)
		stand_in_secret(job.group, job.peer_public, r);
	r->private_len = job.op == IKE_DH_GENERATE ? 32 : 0;
	return true;
}

/* ---- steps ---- */

static void refresh(struct duo *d, struct ike_event *ev, uint64_t *iv)
{
	for (unsigned i = 0; i < sizeof(ev->random); i++)
		ev->random[i] = (uint8_t)(duo_random(d) >> 13);
	ev->iv = *iv;
	ev->now_us = d->now_us;
	*iv += IKE_IV_CNT;
}

static void keep_half(struct duo_end *e, const struct ike_half *half)
{
	e->half = *half;
	e->has_half = true;
}

static void step_init(struct duo *d, unsigned end, struct ike_event ev)
{
	struct duo_end *e = &d->end[end];
	struct crypt_dh_result dh;
	struct ike_half half;
	uint64_t iv = 0;

	refresh(d, &ev, &iv);
	ike_init_step(&e->world, &ev, &half, d->out);
	if (do_dh(d, &ev, &dh))
		ike_init_step(&e->world, &ev, &half, d->out);
	if (d->out->has_sa) {
		e->half_iv = (uint64_t)6 << 34;
		keep_half(e, &half);
	}
	act(d, end);
}

static void step_half(struct duo *d, unsigned end, struct ike_event ev)
{
	struct duo_end *e = &d->end[end];
	struct crypt_dh_result dh;
	struct ike_half next;
	struct ike_sa sa;

	refresh(d, &ev, &e->half_iv);
	ike_half_step(&e->world, &e->half, &ev, &next, &sa, d->out);
	if (do_dh(d, &ev, &dh))
		ike_half_step(&e->world, &e->half, &ev, &next, &sa, d->out);
	must(!(d->out->has_sa && d->out->has_half));
	if (d->out->has_sa) {
		must(sa.auth_verified && sa.state == IKE_STATE_ESTABLISHED);
		add_sa(e, &sa);
	}
	if (d->out->has_half)
		keep_half(e, &next);
	else if (d->out->has_sa || d->out->changed)
		e->has_half = false;
	if (!e->has_half)
		ike_frag_forget(frags_of(d, end, NULL));
	act(d, end);
}

static void adopt(struct duo_end *e, const struct ike_sa *sa, uint64_t old_spi)
{
	for (unsigned i = 0; i < sa->child_cnt; i++) {
		struct duo_child *c = find_child(e, sa->children[i].spi_in);
		must(c == NULL ? sa->children[i].closing : c->sa.ike_spi == old_spi);
		if (c != NULL)
			c->sa.ike_spi = ike_sa_our_spi(sa);
	}
}

static void step_sa(struct duo *d, unsigned end, struct duo_sa *slot, struct ike_event ev)
{
	struct duo_end *e = &d->end[end];
	struct ike_sa before = slot->r, after, rekeyed[2];
	struct crypt_dh_result dh;

	refresh(d, &ev, &slot->iv);
	ev.last_esp_us = e->last_esp_us;
	ike_sa_step(&e->world, &before, &ev, &after, rekeyed, d->out);
	if (do_dh(d, &ev, &dh))
		ike_sa_step(&e->world, &before, &ev, &after, rekeyed, d->out);
	must(d->out->has_sa || !(d->out->has_rekeyed || d->out->has_redundant));
	if (d->out->has_rekeyed) {
		add_sa(e, &rekeyed[0]);
		adopt(e, &rekeyed[0], slot->spi);
	}
	if (d->out->has_redundant)
		add_sa(e, &rekeyed[1]);
	if (d->out->has_sa) {
		/* a request of ours is never sent without a commit */
		must(d->out->changed || after.tx_next == before.tx_next);
		encode(slot, &after);
	}
	act(d, end);
}

void duo_start(struct duo *d)
{
	struct ike_event ev = { .kind = IKE_EV_START };
	struct crypt_dh_result dh;
	struct ike_half half;
	uint64_t iv = 0;

	refresh(d, &ev, &iv);
	ike_start_step(&d->end[0].world, &d->start, &ev, &half, d->out);
	must(do_dh(d, &ev, &dh));
	ike_start_step(&d->end[0].world, &d->start, &ev, &half, d->out);
	must(d->out->has_half);
	keep_half(&d->end[0], &half);
	d->end[0].half_iv = (uint64_t)6 << 34;
	act(d, 0);
}

/* ---- what comes in ---- */

static void take_esp(struct duo *d, struct duo_end *e, const struct duo_datagram *g)
{
	struct duo_child *c = find_child(e, g->spi);

	if (c == NULL) {
		e->esp_lost++;
		return;
	}
	e->esp_in++;
	e->last_esp_us = d->now_us;
	struct duo_sa *slot = find_sa(e, c->sa.ike_spi);
	if (!ike_sa_child_replaced(&slot->r, g->spi))
		prove(e, g->spi); /* control does so on the first packet */
	/* as worker/inbound.c tells */
	if (!addr_eq(&g->from.addr, &c->sa.path.remote.addr) ||
	    (g->from.port != 0 && c->sa.path.udp_encap && g->from.port != c->sa.path.remote.port))
		step_sa(d, g->to, slot, (struct ike_event){ .kind = IKE_EV_ADDRESS, .local = slot->r.path.local,
							    .remote = g->from });
}

/* Fragments are joined as control does. False: the message is not whole. slot NULL: to the half-open SA. */
static bool join(struct duo *d, unsigned end, const struct duo_sa *slot, struct ike_event *ev)
{
	static uint8_t room[IKE_FRAG_JOIN_MAX];
	const struct ike_sa *sa = slot == NULL ? &d->end[end].half.sa : &slot->r;
	struct ike_frags *f = frags_of(d, end, slot);

	if (!ike_frag_is(ev->msg))
		return true;
	ev->now_us = d->now_us;
	enum ike_frag_result r = ike_frag_take(f, sa, ev, d->out);
	if (r == IKE_FRAG_WHOLE)
		ike_frag_join(f, SPACE_OF(room), ev);
	else
		act(d, end);
	return r == IKE_FRAG_WHOLE;
}

static void deliver_ike(struct duo *d, const struct duo_datagram *g)
{
	struct duo_end *e = &d->end[g->to];
	struct ike_event ev = { .kind = IKE_EV_MESSAGE, .msg = bytes_of(g->b, g->len), .local = g->dest, .remote = g->from };
	struct wire_ike_header h;

	if (wire_ike_header_parse(ev.msg, &h) != ERR_NONE)
		return;
	uint64_t ours = (h.flags & IKE_FLAG_INITIATOR) != 0 ? h.spi_r : h.spi_i;
	struct duo_sa *slot = ours == 0 ? NULL : find_sa(e, ours);
	bool init = e->has_half && (e->half.start != NULL ? h.spi_i == e->half.sa.spi_i && (h.flags & IKE_FLAG_INITIATOR) == 0
							   : h.spi_r == e->half.sa.spi_r ||
								     (h.spi_r == 0 && h.spi_i == e->half.sa.spi_i));
	if ((slot != NULL || init) && !join(d, g->to, slot, &ev))
		return;
	if (slot != NULL)
		step_sa(d, g->to, slot, ev);
	else if (init)
		step_half(d, g->to, ev);
	else if (g->to == 1)
		step_init(d, g->to, ev);
}

void duo_deliver(struct duo *d, const struct duo_datagram *sent)
{
	struct duo_datagram at_end = *sent, *g = &at_end;

	if (!reaches(d, g)) {
		d->end[!g->to].esp_astray += g->esp;
		return;
	}
	if (g->esp) {
		take_esp(d, &d->end[g->to], g);
		return;
	}
	if (d->on_deliver != NULL)
		d->on_deliver(d->watch_arg, g, false);
	deliver_ike(d, g);
	if (d->on_deliver != NULL)
		d->on_deliver(d->watch_arg, g, true);
}

/* ---- time ---- */

static uint64_t end_next(const struct duo_end *e)
{
	uint64_t at = e->has_half ? ike_half_timer(&e->half) : UINT64_MAX;

	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		if (!e->sas[i].used)
			continue;
		uint64_t t = ike_sa_timer(&e->sas[i].r, e->last_esp_us);
		at = t < at ? t : at;
	}
	for (unsigned i = 0; i < e->child_cnt; i++)
		at = e->children[i].sa.expires_us < at ? e->children[i].sa.expires_us : at;
	return at;
}

static void end_timers(struct duo *d, unsigned end)
{
	struct duo_end *e = &d->end[end];

	if (e->has_half && ike_half_timer(&e->half) <= d->now_us)
		step_half(d, end, (struct ike_event){ .kind = IKE_EV_TIMER });
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		struct duo_sa *slot = &e->sas[i];
		if (!slot->used || ike_sa_timer(&slot->r, e->last_esp_us) > d->now_us)
			continue;
		if (slot->r.state == IKE_STATE_CLOSED) {
			slot->used = false;
			ike_frag_forget(frags_of(d, end, slot));
		} else {
			step_sa(d, end, slot, (struct ike_event){ .kind = IKE_EV_TIMER });
		}
	}
	for (unsigned i = 0; i < e->child_cnt; i++) {
		struct duo_child *c = &e->children[i];
		if (c->sa.expires_us > d->now_us)
			continue;
		c->sa.expires_us = d->now_us + 1000000; /* asked again, as control does */
		struct duo_sa *slot = find_sa(e, c->sa.ike_spi);
		must(slot != NULL);
		step_sa(d, end, slot, (struct ike_event){ .kind = IKE_EV_CHILD_EXPIRED, .child_spi = c->sa.spi_in });
		break;
	}
}

static void send_esp(struct duo *d)
{
	d->esp_next_us = d->now_us + d->esp_every_us;
	for (unsigned i = 0; i < 2; i++) {
		struct duo_child *best = NULL;
		for (unsigned n = 0; n < d->end[i].child_cnt; n++) {
			struct duo_child *c = &d->end[i].children[n];
			if (c->proof != 0 && (best == NULL || c->proof > best->proof))
				best = c;
		}
		if (best == NULL)
			continue;
		best->sent++;
		struct duo_datagram g = { .esp = true, .to = !i, .spi = best->sa.spi_out, .from = best->sa.path.local,
					  .dest = best->sa.path.remote };
		if (!best->sa.path.udp_encap)
			g.from.port = g.dest.port = 0;
		else
			translate(d, &g);
		fly(d, &g, ESP_LATENCY_US);
	}
}

void duo_run(struct duo *d, uint64_t us)
{
	uint64_t until = d->now_us + us;

	for (unsigned long turns = 0;; turns++) {
		uint64_t at = end_next(&d->end[0]), other = end_next(&d->end[1]);
		unsigned first = DUO_FLIGHT_MAX;

		at = other < at ? other : at;
		if (d->esp_every_us != 0 && d->esp_next_us < at)
			at = d->esp_next_us;
		for (unsigned i = 0; i < d->flight_cnt; i++) {
			if (d->flight[i].at_us <= at) {
				at = d->flight[i].at_us;
				first = i;
			}
		}
		if (at > until)
			break;
		must(turns < 20000000);
		d->now_us = at > d->now_us ? at : d->now_us;
		if (first < DUO_FLIGHT_MAX) {
			struct duo_datagram g = d->flight[first];
			d->flight[first] = d->flight[--d->flight_cnt];
			duo_deliver(d, &g);
			continue;
		}
		if (d->esp_every_us != 0 && d->esp_next_us <= d->now_us)
			send_esp(d);
		end_timers(d, 0);
		end_timers(d, 1);
	}
	d->now_us = until;
}

void duo_up(struct duo *d)
{
	duo_start(d);
	duo_run(d, 1000000);
	must(duo_check(d) == NULL && duo_count(d, 0) == 1 && d->end[0].child_cnt == 1);
}

/* ---- looking ---- */

bool duo_sa(const struct duo *d, unsigned end, struct ike_sa *ret)
{
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		const struct duo_sa *slot = &d->end[end].sas[i];
		if (!slot->used || slot->r.state != IKE_STATE_ESTABLISHED || slot->r.closing)
			continue;
		*ret = slot->r;
		return true;
	}
	return false;
}

unsigned duo_count(const struct duo *d, unsigned end)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < DUO_SAS_MAX; i++)
		cnt += d->end[end].sas[i].used && d->end[end].sas[i].r.state != IKE_STATE_CLOSED;
	return cnt;
}

void duo_event(struct duo *d, unsigned end, enum ike_event_kind kind)
{
	struct ike_event ev = { .kind = kind, .close_code = MODEL_FAILURE_CONFIG_REMOVED };
	struct ike_sa sa;

	if (!duo_sa(d, end, &sa))
		return;
	for (unsigned i = 0; i < sa.child_cnt; i++)
		if (!sa.children[i].replaced && !sa.children[i].closing)
			ev.child_spi = sa.children[i].spi_in;
	step_sa(d, end, find_sa(&d->end[end], ike_sa_our_spi(&sa)), ev);
}

void duo_move(struct duo *d, const char *address)
{
	struct duo_end *e = &d->end[0];

	e->addr.addr = d->start.local.addr = endpoint(address).addr;
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		if (e->sas[i].used && e->sas[i].r.state != IKE_STATE_CLOSED)
			step_sa(d, 0, &e->sas[i], (struct ike_event){ .kind = IKE_EV_MOVED, .local = e->addr });
	}
}

static const char *check_child(const struct duo *d, const struct ike_child_ref *ref)
{
	const struct duo_child *a = NULL, *b = NULL;

	if (ref->closing || ref->replaced)
		return "a Child SA is left over";
	for (unsigned i = 0; i < d->end[0].child_cnt; i++)
		a = d->end[0].children[i].sa.spi_in == ref->spi_in ? &d->end[0].children[i] : a;
	for (unsigned i = 0; i < d->end[1].child_cnt; i++)
		b = d->end[1].children[i].sa.spi_in == ref->spi_out ? &d->end[1].children[i] : b;
	if (a == NULL || b == NULL || b->sa.spi_out != ref->spi_in || a->sa.spi_out != ref->spi_out)
		return "a Child SA is only on one side";
	if (memcmp(&a->sa.keys_in, &b->sa.keys_out, sizeof(a->sa.keys_in)) != 0 ||
	    memcmp(&a->sa.keys_out, &b->sa.keys_in, sizeof(a->sa.keys_in)) != 0 ||
	    memcmp(&a->sa.suite, &b->sa.suite, sizeof(a->sa.suite)) != 0)
		return "keys of a Child SA differ";
	return NULL;
}

const char *duo_check(const struct duo *d)
{
	struct ike_sa a, b;
	const char *wrong = NULL;

	if (duo_count(d, 0) != duo_count(d, 1) || duo_count(d, 0) > 1)
		return "IKE SAs are left over";
	if (duo_count(d, 0) == 0)
		return d->end[0].child_cnt + d->end[1].child_cnt == 0 ? NULL : "Child SAs without an IKE SA";
	if (!duo_sa(d, 0, &a) || !duo_sa(d, 1, &b))
		return "an IKE SA does not stand";
	if (a.spi_i != b.spi_i || a.spi_r != b.spi_r || a.role == b.role || !a.auth_verified || !b.auth_verified ||
	    memcmp(&a.keys, &b.keys, sizeof(a.keys)) != 0)
		return "the IKE SAs differ";
	if (a.child_cnt != b.child_cnt || a.child_cnt != d->end[0].child_cnt || b.child_cnt != d->end[1].child_cnt)
		return "the number of Child SAs differs";
	for (unsigned i = 0; i < a.child_cnt && wrong == NULL; i++)
		wrong = check_child(d, &a.children[i]);
	return wrong;
}
