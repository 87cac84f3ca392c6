// Records of IKE SAs between two steps, and the room in which steps are run.
//
// Decoded, a record has room for the most that an SA can ever hold; encoded, an ordinary one takes a tenth of that.
#include "control/internal.h"

#include <stdlib.h>

#include "base/secret.h"

#define IDLE_STEPS_MAX 4 /* that are kept for the next steps */

MUST_USE enum err control_record_make(const struct control *c, const struct ike_sa *sa, struct control_record *ret)
{
	static uint8_t room[IKE_SA_RECORD_MAX]; /* the control thread's own */
	struct wr w = wr_of(SPACE_OF(room));

	enum err e = ike_sa_encode(sa, c->format, &w);
	struct bytes made = wr_bytes(&w);
	uint8_t *b = e == ERR_NONE ? malloc(made.len) : NULL;
	if (b != NULL) {
		memcpy(b, made.p, made.len);
		*ret = (struct control_record){ .b = b, .len = (uint32_t)made.len, .state = sa->state,
						.child_cnt = sa->child_cnt, .closing = sa->closing,
						.spi = ike_sa_our_spi(sa), .created_us = sa->created_us,
						.last_in_us = sa->last_in_us, .path = sa->path };
	} else if (e == ERR_NONE) {
		e = ERR_MEMORY;
	}
	secret_wipe(room, made.len);
	return e;
}

void control_record_read(const struct control_record *r, struct ike_sa *ret)
{
	must(ike_sa_decode(bytes_of(r->b, r->len), ret) == ERR_NONE); /* we have encoded it */
}

void control_record_free(struct control_record *r)
{
	secret_wipe(r->b, r->len);
	free(r->b);
	*r = (struct control_record){ 0 };
}

/* ---- steps ---- */

struct control_step *control_step_take(struct control *c)
{
	struct control_step *s = c->idle_steps;

	if (s == NULL)
		return calloc(1, sizeof(*s));
	c->idle_steps = s->next;
	c->idle_step_cnt--;
	return s;
}

static void wipe_used(struct ike_sa *sa)
{
	if (sa->auth_verified)
		ike_sa_wipe(sa);
	sa->auth_verified = false;
}

/* A step writes its results as a whole or not at all. */
void control_step_give(struct control *c, struct control_step *s)
{
	if (s == NULL)
		return;
	wipe_used(&s->sa);
	wipe_used(&s->new_sa);
	for (unsigned i = 0; i < ARRAY_LEN(s->rekeyed); i++)
		wipe_used(&s->rekeyed[i]);
	if (s->new_half.sa.spi_i != 0)
		ike_half_wipe(&s->new_half);
	s->new_half.sa.spi_i = 0;
	ike_out_wipe(&s->out);
	if (c->idle_step_cnt == IDLE_STEPS_MAX) {
		free(s);
		return;
	}
	s->next = c->idle_steps;
	c->idle_steps = s;
	c->idle_step_cnt++;
}

/* ---- steps that wait for their commit ---- */

/* The actions, and behind them what they borrow: the Child SA, the failure, the messages one after the other. */
struct control_parked {
	size_t len;
	unsigned cnt;
	bool has_child, has_failure, has_sa, changed, has_rekeyed, has_redundant;
	uint8_t b[];
};

static size_t measure(const struct ike_out *out, struct control_parked *p)
{
	size_t len = out->cnt * sizeof(out->actions[0]);

	for (unsigned i = 0; i < out->cnt; i++) {
		const struct ike_action *a = &out->actions[i];
		if (a->kind == IKE_ACT_CHILD_PUT)
			p->has_child = true;
		if (a->kind == IKE_ACT_FAILURE)
			p->has_failure = true;
		if (a->kind == IKE_ACT_SEND)
			len += a->send.msg.len;
	}
	return len + (p->has_child ? sizeof(out->child) : 0) + (p->has_failure ? sizeof(out->failure) : 0);
}

MUST_USE enum err control_step_park(struct control *c, struct control_op *op)
{
	const struct ike_out *out = &op->step->out;
	struct control_parked head = { .cnt = out->cnt, .has_sa = out->has_sa, .changed = out->changed,
				       .has_rekeyed = out->has_rekeyed, .has_redundant = out->has_redundant };

	must(!out->has_half);
	head.len = measure(out, &head);
	struct control_parked *p = malloc(sizeof(*p) + head.len);
	if (p == NULL)
		return ERR_MEMORY;
	*p = head;
	struct wr w = wr_of((struct space){ p->b, p->len });
	wr_put(&w, bytes_of(out->actions, out->cnt * sizeof(out->actions[0])));
	if (p->has_child)
		wr_put(&w, bytes_of(&out->child, sizeof(out->child)));
	if (p->has_failure)
		wr_put(&w, bytes_of(&out->failure, sizeof(out->failure)));
	for (unsigned i = 0; i < out->cnt; i++)
		if (out->actions[i].kind == IKE_ACT_SEND)
			wr_put(&w, out->actions[i].send.msg);
	must(!w.bad && wr_len(&w) == p->len);
	op->parked = p;
	control_step_give(c, op->step);
	op->step = NULL;
	return ERR_NONE;
}

/* What the actions borrow has another place now. */
static void restore_out(const struct control_parked *p, struct ike_out *out)
{
	struct rd r = rd_of(bytes_of(p->b, p->len));
	struct wr messages = wr_of((struct space){ out->sent[0], sizeof(out->sent) });

	out->cnt = p->cnt;
	out->has_sa = p->has_sa;
	out->changed = p->changed;
	out->has_rekeyed = p->has_rekeyed;
	out->has_redundant = p->has_redundant;
	rd_copy(&r, out->actions, out->cnt * sizeof(out->actions[0]));
	if (p->has_child)
		rd_copy(&r, &out->child, sizeof(out->child));
	if (p->has_failure)
		rd_copy(&r, &out->failure, sizeof(out->failure));
	for (unsigned i = 0; i < out->cnt; i++) {
		struct ike_action *a = &out->actions[i];
		if (a->kind == IKE_ACT_CHILD_PUT)
			a->put.child = &out->child;
		if (a->kind != IKE_ACT_SEND)
			continue;
		const uint8_t *at = out->sent[0] + wr_len(&messages);
		wr_put(&messages, rd_bytes(&r, a->send.msg.len));
		a->send.msg.p = at;
	}
	must(rd_done(&r) && !messages.bad);
}

void control_parked_free(struct control_parked *p)
{
	if (p == NULL)
		return;
	secret_wipe(p->b, p->len);
	free(p);
}

void control_step_unpark(struct control *c, struct control_op *op)
{
	struct control_step *s = control_step_take(c);

	must(s != NULL); /* no step is under way: there is an idle one */
	restore_out(op->parked, &s->out);
	control_parked_free(op->parked);
	op->parked = NULL;
	if (op->kind == OP_SA)
		control_record_read(&op->sa->r, &s->sa);
	struct ike_sa *const into[] = { &s->new_sa, &s->rekeyed[0], &s->rekeyed[1] };
	for (unsigned i = 0; i < ARRAY_LEN(into); i++)
		if (op->made[i].b != NULL)
			control_record_read(&op->made[i], into[i]);
	op->step = s;
}

MUST_USE enum err control_steps_init(struct control *c)
{
	struct control_step *s = control_step_take(c);

	control_step_give(c, s);
	return s == NULL ? ERR_MEMORY : ERR_NONE;
}

void control_steps_free(struct control *c)
{
	while (c->idle_steps != NULL) {
		struct control_step *s = c->idle_steps;
		c->idle_steps = s->next;
		free(s);
	}
	c->idle_step_cnt = 0;
}
