// A tunnel's life for people: up or down since when, and what the store has of that and of its failures.
#include "control/internal.h"

#define FLUSH_US 1000000u    /* states are written at most this often: strangers can cause failures, not disk load */
#define WRITES_MAX (STORE_THREAD_SUBMIT_MAX / 4) /* tunnels in one go: the steps of IKE SAs need room in the same queue */
#define WHY_PAUSE_US 10000000u /* failures that only repeat are counted in the store at most this often */

void control_tunnel_dirty(struct control *c, struct control_tunnel *t)
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
	t->why_after_us = 0;
	log_info("tunnel %s is %s", t->m.name, up ? "up" : "down");
	control_tunnel_dirty(c, t);
}

/* ---- the store's copy ---- */

/* The state and the slots of the history that have changed, in one transaction. False: the store's queue is full. */
static bool write_state(struct control *c, struct control_tunnel *t)
{
	static uint8_t room[MODEL_STATE_RECORD_MAX + EXPLAIN_HISTORY_MAX * MODEL_FAILURE_RECORD_MAX];
	struct model_key keys[1 + EXPLAIN_HISTORY_MAX];
	struct store_op ops[1 + EXPLAIN_HISTORY_MAX];
	const struct model_failure *last = explain_history_last(&t->why);
	struct model_tunnel_state s = { .account_id = t->account->m.id, .tunnel_id = t->id,
					.up = t->up ? MODEL_TUNNEL_UP : MODEL_TUNNEL_DOWN, .since_us = t->since_us,
					.has_failure = last != NULL };
	struct store_txn txn = { .ops = ops };
	struct wr w = wr_of((struct space){ room, MODEL_STATE_RECORD_MAX });

	if (last != NULL)
		s.failure = *last;
	enum err e = model_tunnel_state_encode(&s, &w);
	if (control_duty_tunnel(c, t)) { /* all nodes see the same state; a failure is written by who has seen it */
		keys[0] = model_key_tunnel_state(&t->account->m.id, &t->id);
		ops[txn.op_cnt++] = (struct store_op){ STORE_PUT, model_key_bytes(&keys[0]), wr_bytes(&w) };
	}
	for (unsigned i = 0; e == ERR_NONE && i < EXPLAIN_HISTORY_MAX; i++) {
		if ((t->why_dirty & 1u << i) == 0 || t->why.slots[i] == NULL)
			continue;
		w = wr_of((struct space){ room + MODEL_STATE_RECORD_MAX + i * MODEL_FAILURE_RECORD_MAX,
					  MODEL_FAILURE_RECORD_MAX });
		e = model_failure_encode(t->why.slots[i], &w);
		keys[txn.op_cnt] = model_key_why(&t->account->m.id, &t->id, i);
		ops[txn.op_cnt] = (struct store_op){ STORE_PUT, model_key_bytes(&keys[txn.op_cnt]), wr_bytes(&w) };
		txn.op_cnt++;
	}
	if (e == ERR_NONE && txn.op_cnt != 0 && (e = store_thread_submit(c->store, &txn, 0)) == ERR_FULL)
		return false;
	if (e != ERR_NONE)
		log_warn("the state of tunnel %s could not be written: %s", t->m.name, err_text(e));
	t->why_dirty = 0;
	t->why_after_us = c->now_us + WHY_PAUSE_US;
	return true;
}

void control_states_flush(struct control *c)
{
	struct control_tunnel *later = NULL;
	unsigned done = 0;

	if (c->dirty == NULL || c->now_us < c->flush_us)
		return;
	c->flush_us = c->now_us + FLUSH_US;
	while (c->dirty != NULL) {
		struct control_tunnel *t = c->dirty;
		c->dirty = t->next_dirty;
		bool wait = t->configured && (done >= WRITES_MAX || c->now_us < t->why_after_us) && !c->stop;
		if (!wait && t->configured) {
			bool written = write_state(c, t);
			wait = !written && !c->stop;
			done = written ? done + 1 : WRITES_MAX;
		}
		if (wait) {
			t->next_dirty = later;
			later = t;
			continue;
		}
		t->state_dirty = false;
		t->next_dirty = NULL;
	}
	c->dirty = later;
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
	t->up = s.up == MODEL_TUNNEL_UP;
	t->since_us = s.since_us;
}

MUST_USE enum err control_states_load(struct control *c, struct store *s)
{
	return store_range(s, bytes_str(MODEL_KEY_STATES), (struct bytes){ NULL, 0 }, 0, load_state, c, NULL);
}
