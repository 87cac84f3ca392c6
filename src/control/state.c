// A tunnel's life for people: up or down since when, and why the last attempt failed.
#include "control/internal.h"

#include "explain/verdict.h"

#define FLUSH_US 1000000u /* states are written at most this often: strangers can cause failures, not disk load */

static void mark_dirty(struct control *c, struct control_tunnel *t)
{
	if (t->state_dirty || !t->configured)
		return;
	t->state_dirty = true;
	t->next_dirty = c->dirty;
	c->dirty = t;
}

void control_tunnel_check_up(struct control *c, struct control_tunnel *t)
{
	bool up = false;

	for (const struct control_sa *sa = t->sas; sa != NULL; sa = sa->next)
		up = up || sa->r.child_cnt != 0;
	if (up == t->up)
		return;
	t->up = up;
	t->since_us = c->now_us;
	log_info("tunnel %s is %s", t->m.name, up ? "up" : "down");
	mark_dirty(c, t);
}

/* ---- failures ---- */

/* Before IKE_AUTH the peer has no name: its address may tell whose it is. */
static struct control_tunnel *guess_tunnel(const struct control *c, const struct addr *remote)
{
	struct control_tunnel *found = NULL;
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); n != NULL; n = hmap_walk_next(&c->tunnels, &w)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
		if (!t->configured || !(addr_eq(&t->m.customer_endpoint, remote) || addr_eq(&t->last_remote, remote)))
			continue;
		if (found != NULL)
			return NULL; /* several: it could be any */
		found = t;
	}
	return found;
}

static void merge(struct model_failure *old, bool had, const struct model_failure *f)
{
	struct model_failure m = *f;
	bool same = had && old->code == f->code && strcmp(old->identity, f->identity) == 0;

	m.first_us = same ? old->first_us : f->last_us;
	m.cnt = same && old->cnt != UINT32_MAX ? old->cnt + 1 : 1;
	*old = m;
}

/* The oldest makes room. */
static struct model_failure *unknown_slot(struct control *c, const struct model_failure *f, bool *ret_had)
{
	struct model_failure *oldest = &c->unknown[0];

	for (unsigned i = 0; i < c->unknown_cnt; i++) {
		struct model_failure *u = &c->unknown[i];
		if (u->code == f->code && addr_eq(&u->remote.addr, &f->remote.addr)) {
			*ret_had = true;
			return u;
		}
		if (u->last_us < oldest->last_us)
			oldest = u;
	}
	*ret_had = false;
	return c->unknown_cnt < CONTROL_UNKNOWN_MAX ? &c->unknown[c->unknown_cnt++] : oldest;
}

static void log_failure(struct control *c, const struct control_tunnel *t, const struct model_failure *f)
{
	struct explain_context context = { .identity_domain = c->cfg.conf->identity_domain };
	struct explain_verdict v;
	char from[ADDR_ENDPOINT_TEXT_MAX];
	uint32_t held;

	if (!log_limit_take(&c->failure_log, c->now_us / 1000, &held))
		return;
	if (t != NULL) {
		context.gateway = t->m.cloudflare_endpoint;
		context.customer_endpoint = t->m.customer_endpoint;
		context.account_number = t->account->m.number;
	}
	explain_failure(f, &context, &v);
	if (held != 0)
		log_warn("%u more failures were not logged; onramp status has the last of each tunnel", held);
	log_warn("%s%s from %s: %s (%s)", t == NULL ? "peer" : "tunnel ", t == NULL ? "" : t->m.name,
		 addr_endpoint_format(&f->remote, from), v.sentence, v.code);
}

/* A router that got no Child SA deletes its IKE SA at once: that must not hide why it got none. */
static bool hides_the_cause(const struct control_tunnel *t, const struct model_failure *f)
{
	return f->code == MODEL_FAILURE_PEER_DELETED && t->has_failure && !t->up &&
	       t->failure.code != MODEL_FAILURE_PEER_DELETED && t->failure.last_us >= t->since_us;
}

void control_failure(struct control *c, struct control_tunnel *t, const struct model_failure *f)
{
	if (t == NULL && !model_id_is_zero(&f->tunnel_id))
		t = control_tunnel_find(c, &f->tunnel_id);
	if (t == NULL && f->identity[0] == 0)
		t = guess_tunnel(c, &f->remote.addr);
	if (t != NULL && t->configured && hides_the_cause(t, f))
		return;
	if (t != NULL && t->configured) {
		merge(&t->failure, t->has_failure, f);
		t->failure.account_id = t->account->m.id;
		t->failure.tunnel_id = t->id;
		t->has_failure = true;
		mark_dirty(c, t);
	} else {
		bool had;
		struct model_failure *u = unknown_slot(c, f, &had);
		merge(u, had, f);
	}
	log_failure(c, t, f);
}

/* ---- the store's copy ---- */

static void write_state(struct control *c, const struct control_tunnel *t)
{
	struct model_tunnel_state s = { .account_id = t->account->m.id, .tunnel_id = t->id,
					.up = t->up ? MODEL_TUNNEL_UP : MODEL_TUNNEL_DOWN, .since_us = t->since_us,
					.has_failure = t->has_failure, .failure = t->failure };
	struct model_key key = model_key_tunnel_state(&t->account->m.id, &t->id);
	uint8_t room[MODEL_STATE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	enum err e = model_tunnel_state_encode(&s, &w);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), wr_bytes(&w) };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
	if (e == ERR_NONE)
		e = store_thread_submit(c->store, &txn, 0);
	if (e != ERR_NONE)
		log_warn("the state of tunnel %s could not be written: %s", t->m.name, err_text(e));
}

void control_states_flush(struct control *c)
{
	if (c->dirty == NULL || c->now_us < c->flush_us)
		return;
	c->flush_us = c->now_us + FLUSH_US;
	while (c->dirty != NULL) {
		struct control_tunnel *t = c->dirty;
		c->dirty = t->next_dirty;
		t->state_dirty = false;
		t->next_dirty = NULL;
		if (t->configured)
			write_state(c, t);
	}
}

static void load_state(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	struct model_tunnel_state s;

	if (model_tunnel_state_decode(row->value, &s) != ERR_NONE)
		return; /* only a memory of the past */
	struct control_tunnel *t = control_tunnel_find(c, &s.tunnel_id);
	if (t == NULL)
		return;
	t->has_failure = s.has_failure;
	t->failure = s.failure;
	t->up = s.up == MODEL_TUNNEL_UP;
	t->since_us = s.since_us;
}

MUST_USE enum err control_states_load(struct control *c, struct store *s)
{
	return store_range(s, bytes_str(MODEL_KEY_STATES), (struct bytes){ NULL, 0 }, 0, load_state, c, NULL);
}
