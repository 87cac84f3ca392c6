// An operation: what is kept of a step while it is under way.
#include "control/internal.h"

#include <stdlib.h>

#include "base/secret.h"

struct ike_event control_message_event(const struct control *c, const struct addr_endpoint *local,
				       const struct addr_endpoint *remote, struct bytes msg)
{
	return (struct ike_event){ .kind = IKE_EV_MESSAGE, .now_us = c->now_us, .msg = msg, .local = *local,
				   .remote = *remote };
}

struct control_op *control_op_new(struct control *c, enum control_op_kind kind, const struct ike_event *ev)
{
	size_t len = ev->msg.len + ev->inner.len;

	if (c->op_cnt >= CONTROL_OPS_MAX || ev->msg.len > IKE_MESSAGE_MAX)
		return NULL;
	struct control_op *op = calloc(1, sizeof(*op));
	uint8_t *msg = malloc(len + 1);
	if (op == NULL || msg == NULL) {
		free(op);
		free(msg);
		return NULL;
	}
	struct wr w = wr_of((struct space){ msg, len });
	wr_put(&w, ev->msg);
	wr_put(&w, ev->inner);
	must(!w.bad);
	op->kind = kind;
	op->ev = *ev;
	op->msg = msg;
	op->ev.msg = bytes_of(msg, ev->msg.len);
	op->ev.inner = bytes_of(msg + ev->msg.len, ev->inner.len);
	op->tag = ++c->next_tag;
	hmap_add(&c->ops, &op->by_tag, siphash_u64(&c->hash_key, op->tag));
	c->op_cnt++;
	return op;
}

void control_op_forget_step(struct control *c, struct control_op *op)
{
	control_step_give(c, op->step);
	op->step = NULL;
	control_parked_free(op->parked);
	op->parked = NULL;
	for (unsigned i = 0; i < ARRAY_LEN(op->made); i++)
		control_record_free(&op->made[i]);
}

void control_op_free(struct control *c, struct control_op *op)
{
	hmap_remove(&c->ops, &op->by_tag);
	c->op_cnt--;
	if (op->counted)
		control_source_remove(c, &op->ev.remote.addr);
	secret_wipe(op->msg, op->ev.msg.len + op->ev.inner.len); /* of fragments it holds plaintext */
	free(op->msg);
	control_op_forget_step(c, op);
	secret_wipe(op, sizeof(*op));
	free(op);
}
