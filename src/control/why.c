// Why tunnels fail: takes failures in, finds whose they are, keeps them, and feeds the detectors of explain/.
#include "control/internal.h"

#include <stdio.h>

#include "base/text.h"
#include "explain/compare.h"
#include "explain/verdict.h"

#define SAMPLE_US 2000000u         /* the watches are fed this often */
#define UNKNOWN_PAUSE_US 10000000u /* one entry is written at most this often */
#define UNKNOWN_WRITES_MAX 4       /* entries in one turn of the samples */
#define NEAR_TRIES_MAX 20000       /* tunnels that are compared between two samples, or all of them once */
#define PARTS_A_TURN 2             /* of the tunnels, for one name */
#define REPEATS_LOST 2             /* so often nobody asks who had the answer */

/* Slots below are for peers that have shown, by IKE_AUTH, that packets reach them; nobody can crowd those out with
 * forged sources. */
#define UNKNOWN_PROVEN (CONTROL_UNKNOWN_MAX / 2)

/* ---- words for the log ---- */

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
		context.site = t->starter != NULL;
	}
	explain_failure(f, &context, &v);
	if (held != 0)
		log_warn("%u more failures were not logged; onramp tunnel why has those of each tunnel", held);
	log_warn("%s%s from %s: %s (%s, %u time%s)", t == NULL ? "peer" : "tunnel ", t == NULL ? "" : t->m.name,
		 addr_endpoint_format(&f->remote, from), v.sentence, v.code, f->cnt, f->cnt == 1 ? "" : "s");
}

/* ---- whose it is ---- */

/* A router that got no Child SA deletes its IKE SA at once, starts again, or leaves it without one: nothing of that must hide
 * why it got none. */
static bool hides_the_cause(const struct control_tunnel *t, const struct model_failure *f)
{
	const struct model_failure *last = explain_history_last(&t->why);

	if (last == NULL || t->up || last->code == f->code)
		return false;
	if (f->code == MODEL_FAILURE_NO_CHILD || f->code == MODEL_FAILURE_RESTART_LOOP)
		return (last->stage == MODEL_STAGE_CHILD && last->over_us == 0) || last->code == MODEL_FAILURE_REKEY_REFUSED;
	return f->code == MODEL_FAILURE_PEER_DELETED && last->last_us >= t->since_us;
}

static void keep_known(struct control *c, struct control_tunnel *t, struct model_failure *f)
{
	bool is_new;

	if (hides_the_cause(t, f))
		return;
	f->account_id = t->account->m.id;
	f->tunnel_id = t->id;
	int slot = explain_history_add(&t->why, f, &is_new);
	if (slot < 0)
		return;
	t->why_dirty |= (uint16_t)(1u << slot);
	if (is_new)
		t->why_after_us = 0;
	control_tunnel_dirty(c, t);
	if (explain_history_tell(&t->why, (unsigned)slot, t->since_us))
		log_failure(c, t, t->why.slots[slot]);
}

/* ---- failures of nobody ---- */

static bool is_identity_code(uint8_t code)
{
	return code == MODEL_FAILURE_UNKNOWN_IDENTITY || code == MODEL_FAILURE_IDENTITY_TYPO ||
	       code == MODEL_FAILURE_IDENTITY_ACCOUNT || code == MODEL_FAILURE_IDENTITY_FORM ||
	       code == MODEL_FAILURE_IDENTITY_DOMAIN || code == MODEL_FAILURE_IDENTITY_ADDRESS ||
	       code == MODEL_FAILURE_TUNNEL_DELETED;
}

static bool is_same(const struct model_failure *a, const struct model_failure *b)
{
	bool code = a->code == b->code || (is_identity_code(a->code) && is_identity_code(b->code));
	return code && strcmp(a->identity, b->identity) == 0 && addr_eq(&a->remote.addr, &b->remote.addr);
}

/* The same one, a free one, or the one not seen for longest. */
static struct control_unknown *unknown_slot(struct control *c, const struct model_failure *f)
{
	unsigned from = f->identity[0] != 0 ? 0 : UNKNOWN_PROVEN;
	struct control_unknown *oldest = &c->unknown[from];

	for (unsigned i = from; i < from + UNKNOWN_PROVEN; i++) {
		struct control_unknown *u = &c->unknown[i];
		if (u->f.cnt != 0 && is_same(&u->f, f))
			return u;
		if (u->f.last_us < oldest->f.last_us)
			oldest = u;
	}
	*oldest = (struct control_unknown){ 0 };
	if (c->solving.u == oldest)
		c->solving.u = NULL;
	return oldest;
}

/* A router that tries again every few seconds is no news. */
static void tell_unknown(struct control *c, struct control_unknown *u)
{
	if (u->told_us != 0 && c->now_us < u->told_us + EXPLAIN_TELL_US)
		return;
	u->told_us = c->now_us;
	log_failure(c, NULL, &u->f);
}

static void keep_unknown(struct control *c, const struct model_failure *f)
{
	struct control_unknown *u = unknown_slot(c, f);
	struct model_failure m = *f;

	m.first_us = u->f.cnt != 0 ? u->f.first_us : f->last_us;
	m.cnt = u->f.cnt == UINT32_MAX ? UINT32_MAX : u->f.cnt + 1;
	u->unsolved = is_identity_code(f->code);
	if (u->f.cnt != 0 && u->unsolved) { /* what was found before stands until it is looked for again */
		m.code = u->f.code;
		m.near_account_id = u->f.near_account_id;
		m.near_tunnel_id = u->f.near_tunnel_id;
		m.near_account_number = u->f.near_account_number;
	}
	u->f = m;
	u->dirty = true;
	if (!u->unsolved)
		tell_unknown(c, u);
}

static void name_near(const struct control_tunnel *t, struct model_failure *f)
{
	f->near_account_id = t->account->m.id;
	f->near_tunnel_id = t->id;
	f->near_account_number = t->account->m.number;
}

/* While its router is in, a first message from its address may be anybody's there, or of who says so. Without liveness checks a tunnel
 * is called up for long after its router has gone, and its failures would be the only sign of it. */
static bool is_in(const struct control_tunnel *t)
{
	return t->up && t->m.onramp.dpd_delay_s != 0;
}

void control_failure(struct control *c, struct control_tunnel *t, const struct model_failure *failure)
{
	struct model_failure f = *failure;

	f.code = explain_compare_code(failure);
	if (t == NULL && !model_id_is_zero(&f.tunnel_id))
		t = control_tunnel_find(c, &f.tunnel_id);
	struct control_tunnel *guess = t == NULL && f.identity[0] == 0 ? control_address_guess(c, &f.remote.addr) : NULL;
	if (guess != NULL && is_in(guess))
		name_near(guess, &f);
	else if (guess != NULL)
		t = guess;
	if (t != NULL && t->configured)
		keep_known(c, t, &f);
	else
		keep_unknown(c, &f);
}

/* ---- who was meant ---- */

static bool find_gone(const struct control *c, const struct explain_near *asked, struct model_failure *f)
{
	struct explain_near n = *asked;
	unsigned cnt = c->gone_cnt < CONTROL_GONE_MAX ? c->gone_cnt : CONTROL_GONE_MAX;

	for (unsigned i = 0; i < cnt; i++)
		explain_near_try(&n, &c->gone[i].tunnel_id, &c->gone[i].account_id, c->gone[i].account_number);
	if (cnt == 0 || n.distance != 0)
		return false;
	f->code = MODEL_FAILURE_TUNNEL_DELETED;
	return true;
}

/* A name that is like none, or that of a tunnel that is gone, from an address that is one tunnel's: it is meant. */
static void name_by_address(const struct control *c, struct model_failure *f)
{
	const struct control_tunnel *t =
		model_id_is_zero(&f->near_tunnel_id) ? control_address_guess(c, &f->remote.addr) : NULL;

	if (t != NULL)
		name_near(t, f);
}

/* After the answer has gone, so that its time says nothing of the tunnels that there are. False: there is nobody, or it was enough for now. */
static bool begin_solving(struct control *c)
{
	struct control_solving *s = &c->solving;

	for (unsigned i = 0; i < CONTROL_UNKNOWN_MAX && s->left != 0; i++) {
		if (!c->unknown[i].unsolved)
			continue;
		s->u = &c->unknown[i];
		s->bucket = 0;
		s->left -= s->left > c->tunnels.cnt ? c->tunnels.cnt + 1 : s->left;
		explain_near_start(&s->asked, s->u->f.identity, c->cfg.conf->identity_domain);
		s->near = s->asked;
		return true;
	}
	return false;
}

static void compare_tunnel(void *arg, struct hmap_node *n)
{
	struct control *c = arg;
	const struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);

	if (t->configured && t->account->configured)
		explain_near_try(&c->solving.near, &t->id, &t->account->m.id, t->account->m.number);
}

static void end_solving(struct control *c)
{
	struct control_solving *s = &c->solving;
	struct control_unknown *u = s->u;

	s->u = NULL;
	u->f.near_account_id = u->f.near_tunnel_id = (struct model_id){ 0 };
	if (s->near.distance == 0 || !find_gone(c, &s->asked, &u->f))
		explain_near_end(&s->near, &u->f);
	name_by_address(c, &u->f);
	u->unsolved = false;
	u->dirty = true;
	tell_unknown(c, u);
}

static void solve_some(struct control *c)
{
	struct control_solving *s = &c->solving;

	for (unsigned i = 0; i < PARTS_A_TURN && (s->u != NULL || begin_solving(c)); i++)
		if (!control_round_walk(&c->tunnels, &s->bucket, compare_tunnel, c))
			end_solving(c);
}

void control_why_gone(struct control *c, struct control_tunnel *t)
{
	struct model_key keys[1 + EXPLAIN_HISTORY_MAX];
	struct store_op ops[2 + EXPLAIN_HISTORY_MAX];
	struct store_txn txn = { .ops = ops };

	if (!t->configured)
		return;
	c->gone[c->gone_cnt++ % CONTROL_GONE_MAX] =
		(struct control_gone){ t->account->m.id, t->id, t->account->m.number };
	for (unsigned i = 0; i <= EXPLAIN_HISTORY_MAX; i++) {
		if (i < EXPLAIN_HISTORY_MAX && t->why.slots[i] == NULL)
			continue;
		keys[txn.op_cnt] = i == EXPLAIN_HISTORY_MAX ? model_key_tunnel_state(&t->account->m.id, &t->id)
							    : model_key_why(&t->account->m.id, &t->id, i);
		ops[txn.op_cnt] = (struct store_op){ .kind = STORE_DELETE, .key = model_key_bytes(&keys[txn.op_cnt]) };
		txn.op_cnt++;
	}
	const struct model_key current = model_key_current(&t->id);
	if (c->clustered)
		ops[txn.op_cnt++] = (struct store_op){ .kind = STORE_DELETE, .key = model_key_bytes(&current) };
	if (control_duty_tunnel(c, t) && store_thread_submit(c->store, &txn, 0) != ERR_NONE)
		log_warn("the state of tunnel %s stays in the store", t->m.name);
}

/* ---- what IKE alone cannot see ---- */

static struct model_failure failure_of(const struct control *c, enum model_failure_code code, enum model_stage stage,
				       const struct addr_endpoint *local, const struct addr_endpoint *remote)
{
	return (struct model_failure){ .code = (uint8_t)code, .stage = (uint8_t)stage, .local = *local,
				       .remote = *remote, .first_us = c->now_us, .last_us = c->now_us, .cnt = 1 };
}

void control_why_fragments(struct control *c, const struct control_frags *fr)
{
	bool half = model_id_is_zero(&fr->tunnel_id);
	struct model_failure f = failure_of(c, MODEL_FAILURE_FRAGMENTS_LOST, half ? MODEL_STAGE_AUTH : MODEL_STAGE_LIVE,
					    &fr->path.local, &fr->path.remote);

	f.tunnel_id = fr->tunnel_id;
	if (half)
		CONTAINER_OF(fr->owner, struct control_half, frags)->explained = true;
	snprintf(f.offered, sizeof(f.offered), "%u of %u fragments of a message came", fr->f.cnt, fr->f.total);
	control_failure(c, NULL, &f);
}

void control_why_half(struct control *c, const struct control_half *h)
{
	const struct ike_sa *sa = &h->h.sa;
	bool nat = sa->nat_peer || sa->nat_local;
	enum model_failure_code code = h->repeats >= REPEATS_LOST		     ? MODEL_FAILURE_ANSWER_LOST
				       : nat && sa->path.local.port == IKE_PORT ? MODEL_FAILURE_PORT_4500
									       : MODEL_FAILURE_HALF_OPEN_TIMEOUT;
	struct model_failure f = failure_of(c, code, MODEL_STAGE_AUTH, &sa->path.local, &sa->path.remote);

	if (h->frags != NULL)
		control_why_fragments(c, h->frags);
	if (h->explained)
		return;
	snprintf(f.offered, sizeof(f.offered), "IKE_SA_INIT %u time(s) on UDP %u, NAT detection finds %s", h->repeats + 1u,
		 sa->path.local.port, nat ? "a NAT" : "no NAT");
	control_failure(c, NULL, &f);
}

static void take_signs(struct control *c, struct control_tunnel *t, const struct explain_sign *signs, unsigned cnt)
{
	unsigned slot;

	for (unsigned i = 0; i < cnt; i++) {
		if (signs[i].over && explain_history_over(&t->why, signs[i].code, c->now_us, &slot)) {
			t->why_dirty |= (uint16_t)(1u << slot);
			t->why_after_us = 0;
			control_tunnel_dirty(c, t);
			log_info("tunnel %s: it is over that %s (%s)", t->m.name, model_failure_text(signs[i].code),
				 model_failure_code_name(signs[i].code));
		}
		if (signs[i].over)
			continue;
		struct model_failure f = failure_of(c, (enum model_failure_code)signs[i].code, MODEL_STAGE_DATA,
						    &t->seen_local, &t->seen_at);
		bool data = f.code == MODEL_FAILURE_NO_ESP || f.code == MODEL_FAILURE_ESP_STOPPED ||
			    f.code == MODEL_FAILURE_ONE_WAY || f.code == MODEL_FAILURE_ANTI_REPLAY;
		f.stage = data ? MODEL_STAGE_DATA : f.code == MODEL_FAILURE_NO_CHILD ? MODEL_STAGE_CHILD : MODEL_STAGE_LIVE;
		snprintf(f.offered, sizeof(f.offered), "%s", signs[i].what);
		control_failure(c, t, &f);
	}
}

const struct control_sa *control_why_newest(const struct control_tunnel *t)
{
	const struct control_sa *newest = NULL;

	for (const struct control_sa *sa = t->sas; sa != NULL; sa = sa->next)
		if (sa->r.state == IKE_STATE_ESTABLISHED && !sa->r.closing &&
		    (newest == NULL || sa->r.created_us > newest->r.created_us))
			newest = sa;
	return newest;
}

/* Of an SA that another process has made. */
static void know_path(struct control_tunnel *t, const struct control_sa *sa)
{
	if (t->seen_at.addr.family != ADDR_NONE)
		return;
	t->seen_local = sa->r.path.local;
	t->seen_at = sa->r.path.remote;
}

/* The traffic of the tunnel and what its newest IKE SA says; false: it has none, or no counters. */
static bool take_sample(const struct control *c, struct control_tunnel *t, struct explain_sample *ret)
{
	const struct control_sa *sa = control_why_newest(t);
	struct fwd_tunnel_stats stats;

	if (sa == NULL || fwd_tunnel_stats(c->fwd, &t->id, &stats) != ERR_NONE)
		return false;
	know_path(t, sa);
	*ret = (struct explain_sample){ .epoch_us = sa->r.created_us, .ike_heard_us = sa->r.last_in_us, .child_cnt = sa->r.child_cnt,
					.in_packets = stats.in_packets, .out_packets = stats.out_packets,
					.in_before = stats.in_packets, .out_before = stats.out_packets,
					.switches = stats.switches };
	return true;
}

void control_why_seen(struct control *c, const struct control_sa *sa, const struct explain_sample *s)
{
	struct explain_sign signs[EXPLAIN_SIGNS_MAX];

	know_path(sa->tunnel, sa);
	take_signs(c, sa->tunnel, signs, explain_watch_sample(&sa->tunnel->watch, c->now_us, s, signs));
}

void control_why_start(struct control *c, struct control_tunnel *t, const struct model_path *path, bool replaced)
{
	struct explain_sign signs[EXPLAIN_SIGNS_MAX];
	struct explain_sample s;

	t->seen_local = path->local;
	t->seen_at = path->remote;
	take_signs(c, t, signs, explain_watch_start(&t->watch, c->now_us, &path->remote.addr, replaced, signs));
	/* at once: what comes before the next sample is not traffic of the IKE SA before this one */
	if (!c->clustered && take_sample(c, t, &s))
		take_signs(c, t, signs, explain_watch_sample(&t->watch, c->now_us, &s, signs));
}

void control_why_started(struct control *c, struct control_tunnel *t, const struct model_path *path, bool replaced)
{
	struct explain_sign signs[EXPLAIN_SIGNS_MAX];

	(void)explain_watch_start(&t->watch, c->now_us, &path->remote.addr, replaced, signs);
}

void control_why_settle(struct control *c, struct control_tunnel *t)
{
	uint32_t changed = explain_history_settle(&t->why, c->now_us);

	if (changed == 0)
		return;
	t->why_dirty |= (uint16_t)changed;
	control_tunnel_dirty(c, t);
}

void control_why_path(struct control_tunnel *t, const struct model_path *path)
{
	t->seen_local = path->local;
	t->seen_at = path->remote;
}

void control_why_moves(struct control *c, struct control_tunnel *t, const struct ike_sa *before, const struct ike_sa *now)
{
	/* A program that does not know the number has written the record without it. */
	uint32_t cnt = now->moves > before->moves ? now->moves - before->moves : 0;
	struct explain_sign signs[EXPLAIN_SIGNS_MAX];

	for (uint32_t i = 0; i < cnt && i < EXPLAIN_FLAPS; i++) {
		control_why_path(t, &now->path);
		unsigned found = explain_watch_path(&t->watch, c->now_us, &before->path.remote, &now->path.remote, signs);
		if (control_duty_tunnel(c, t))
			take_signs(c, t, signs, found);
	}
}

static void sample(void *arg, struct hmap_node *n)
{
	struct control *c = arg;
	struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
	struct explain_sign signs[EXPLAIN_SIGNS_MAX];
	struct explain_sample s;

	if (t->configured && take_sample(c, t, &s))
		take_signs(c, t, signs, explain_watch_sample(&t->watch, c->now_us, &s, signs));
}

void control_why_tick(struct control *c)
{
	/* Of many nodes one alone does not see what a tunnel carries: see seen.c. */
	if (!c->clustered)
		(void)control_round_part(&c->samples, c->now_us, SAMPLE_US, &c->tunnels, sample, c);
	bool begins = c->now_us >= c->solve_us;
	if (begins)
		c->solving.left = NEAR_TRIES_MAX;
	solve_some(c);
	if (!begins)
		return;
	c->solve_us = c->now_us + SAMPLE_US;
	control_why_flush(c);
}

uint64_t control_why_next_us(const struct control *c)
{
	if (c->solving.u != NULL)
		return c->now_us + CONTROL_PART_US;
	return c->clustered || c->tunnels.cnt == 0 ? UINT64_MAX : c->samples.next_us;
}

/* ---- the store's copy ---- */

void control_why_flush(struct control *c)
{
	uint8_t room[MODEL_FAILURE_RECORD_MAX];
	unsigned done = 0;

	for (unsigned i = 0; i < CONTROL_UNKNOWN_MAX && done < UNKNOWN_WRITES_MAX; i++) {
		struct control_unknown *u = &c->unknown[i];
		/* Each node has a range of its own. */
		struct model_key key = model_key_unknown(c->world.node_slot * CONTROL_UNKNOWN_MAX + i);
		struct wr w = wr_of(SPACE_OF(room));
		if (!u->dirty || u->unsolved || c->now_us < u->after_us || model_failure_encode(&u->f, &w) != ERR_NONE)
			continue;
		const struct store_op op = { STORE_PUT, model_key_bytes(&key), wr_bytes(&w) };
		const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
		if (store_thread_submit(c->store, &txn, 0) != ERR_NONE)
			return; /* the next turn tries again */
		u->dirty = false;
		u->after_us = c->now_us + UNKNOWN_PAUSE_US;
		done++;
	}
}

/* The number behind the last slash of a key; UINT_MAX: none. */
static unsigned slot_of(struct bytes key)
{
	struct bytes digits = key;
	uint64_t v;

	for (size_t i = key.len; i > 0 && key.p[i - 1] != '/'; i--)
		digits = bytes_of(key.p + i - 1, key.len - i + 1);
	return text_u64_parse(digits, EXPLAIN_HISTORY_MAX + CONTROL_UNKNOWN_MAX, &v) == ERR_NONE ? (unsigned)v : UINT32_MAX;
}

/* What cannot be read is only a memory of the past. */
static void load_why(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	struct model_failure f;

	if (model_failure_decode(row->value, &f) != ERR_NONE)
		return;
	struct control_tunnel *t = control_tunnel_find(c, &f.tunnel_id);
	if (t == NULL)
		return;
	explain_history_restore(&t->why, slot_of(row->key), &f);
	if (f.over_us == 0)
		explain_watch_restore(&t->watch, f.code, f.last_us);
}

void control_why_change(struct control *c, const struct store_row *row)
{
	unsigned slot = slot_of(row->key);
	struct model_failure f;

	if (row->deleted || slot >= EXPLAIN_HISTORY_MAX || model_failure_decode(row->value, &f) != ERR_NONE)
		return;
	struct control_tunnel *t = control_tunnel_find(c, &f.tunnel_id);
	if (t == NULL)
		return;
	uint32_t moved = explain_history_merge(&t->why, slot, &f, (t->why_dirty & 1u << slot) != 0);
	t->why_dirty |= (uint16_t)moved;
	if (moved != 0)
		control_tunnel_dirty(c, t);
	const struct model_failure *now = t->why.slots[slot];
	if (now != NULL && now->over_us == 0)
		explain_watch_restore(&t->watch, now->code, now->last_us);
	else if (now != NULL)
		explain_watch_forget(&t->watch, now->code);
}

static void load_unknown(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	struct model_failure f;
	unsigned slot = slot_of(row->key);

	if (slot < CONTROL_UNKNOWN_MAX && model_failure_decode(row->value, &f) == ERR_NONE)
		c->unknown[slot] = (struct control_unknown){ .f = f };
}

MUST_USE enum err control_why_load(struct control *c, struct store *s)
{
	const struct bytes none = { NULL, 0 };

	enum err e = store_range(s, bytes_str(MODEL_KEY_WHY), none, 0, load_why, c, NULL);
	return e != ERR_NONE ? e : store_range(s, bytes_str(MODEL_KEY_UNKNOWN), none, 0, load_unknown, c, NULL);
}
