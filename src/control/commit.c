// The transaction of a step: the records of the IKE SAs and Child SAs that it makes, changes and ends, as one.
#include "control/internal.h"

#include <stdlib.h>

#include "base/secret.h"
#include "control/seq.h"

/* The transaction of one step and the memory behind it: everything in it is sealed. */
struct commit {
	struct store_cmp cmps[STORE_TXN_CMPS_MAX];
	struct store_op ops[STORE_TXN_OPS_MAX];
	struct model_key keys[STORE_TXN_OPS_MAX];
	size_t cmp_cnt, op_cnt;
	size_t used;
	/* an IKE SA, the two that may replace it, a new Child SA, and what says how far its keys are used */
	uint8_t room[3 * (IKE_SA_RECORD_MAX + CRYPT_SEAL_OVERHEAD) + MODEL_CHILD_RECORD_MAX + CRYPT_SEAL_OVERHEAD +
		     CLUSTER_SEQUENCE_MAX];
};

static enum err add_op(struct commit *t, struct model_key key, enum store_op_kind kind, struct bytes value)
{
	if (t->op_cnt == STORE_TXN_OPS_MAX)
		return ERR_FULL;
	t->keys[t->op_cnt] = key;
	t->ops[t->op_cnt] = (struct store_op){ kind, model_key_bytes(&t->keys[t->op_cnt]), value };
	t->op_cnt++;
	return ERR_NONE;
}

static enum err add_sealed(const struct control *c, struct commit *t, struct model_key key, struct bytes record)
{
	struct space out = { t->room + t->used, sizeof(t->room) - t->used };
	size_t len;

	enum err e = control_seal_record(c, &key, record, out, &len);
	if (e == ERR_NONE)
		e = add_op(t, key, STORE_PUT, bytes_of(out.p, len));
	if (e == ERR_NONE)
		t->used += len;
	return e;
}

/* Of the key of the operation before. mod_rev 0: it must be new. */
static enum err add_cmp(struct commit *t, uint64_t mod_rev)
{
	if (t->cmp_cnt == STORE_TXN_CMPS_MAX)
		return ERR_FULL;
	t->cmps[t->cmp_cnt++] = (struct store_cmp){ model_key_bytes(&t->keys[t->op_cnt - 1]), mod_rev };
	return ERR_NONE;
}

static enum err add_sa(const struct control *c, struct commit *t, const struct control_record *r, uint64_t mod_rev)
{
	if (r->state == IKE_STATE_CLOSED && !c->clustered)
		return add_op(t, model_key_ike(r->spi), STORE_DELETE, (struct bytes){ NULL, 0 });
	enum err e = add_sealed(c, t, model_key_ike(r->spi), bytes_of(r->b, r->len));
	return e != ERR_NONE ? e : add_cmp(t, mod_rev);
}

/* The first block of outbound sequence numbers is reserved with the SA itself (see control_children_check), where the peer does not
 * mind by its record alone. Of several nodes one is named that has it (see seq.c). */
static enum err add_sequence(const struct control *c, struct commit *t, uint32_t spi_in, struct cluster_sequence *numbers)
{
	const struct control_marks marks = { .out = CONTROL_SEQ_BLOCK };
	struct space room = { t->room + t->used, sizeof(t->room) - t->used };
	struct wr w = wr_of(room);

	if (room.cap < CLUSTER_SEQUENCE_MAX)
		return ERR_FULL;
	if (c->clustered) {
		cluster_sequence_first(&c->members, c->cfg.incarnation, spi_in, CONTROL_NUMBERS_FIRST, numbers);
		cluster_sequence_encode(numbers, &w);
	} else {
		control_marks_encode(&marks, room.p);
		(void)wr_reserve(&w, CONTROL_MARKS_LEN);
	}
	t->used += wr_len(&w);
	return add_op(t, model_key_sequence(spi_in), STORE_PUT, wr_bytes(&w));
}

static enum err add_delete(struct commit *t, uint32_t spi_in)
{
	const struct bytes none = { NULL, 0 };
	enum err e = add_op(t, model_key_child(spi_in), STORE_DELETE, none);
	return e != ERR_NONE ? e : add_op(t, model_key_sequence(spi_in), STORE_DELETE, none);
}

/* Two IKE_AUTH of a tunnel at two nodes at once must see each other: each drops the SAs that came before it. */
static enum err add_current(const struct control *c, struct commit *t, struct control_op *op)
{
	const struct control_tunnel *tunnel = control_tunnel_find(c, &op->tunnel_id);
	struct wr w = wr_of((struct space){ t->room + t->used, sizeof(t->room) - t->used });

	if (tunnel == NULL)
		return ERR_NOTFOUND; /* it was deleted meanwhile */
	wr_u64(&w, op->made[0].spi);
	enum err e = w.bad ? ERR_FULL : add_op(t, model_key_current(&op->tunnel_id), STORE_PUT, wr_bytes(&w));
	if (e != ERR_NONE)
		return e;
	t->used += wr_len(&w);
	return add_cmp(t, tunnel->cur_rev);
}

/* Its SPI must be new, but for one that was reserved with our request. */
static enum err add_child(const struct control *c, struct commit *t, const struct model_child_sa *child, bool reserved,
			  struct cluster_sequence *numbers)
{
	uint8_t room[MODEL_CHILD_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	enum err e = model_child_encode(child, c->format, &w);
	if (e == ERR_NONE)
		e = add_sealed(c, t, model_key_child(child->spi_in), wr_bytes(&w));
	if (e == ERR_NONE && !reserved)
		e = add_cmp(t, 0);
	secret_wipe(room, sizeof(room));
	/* Of several nodes each numbers for itself, unless the peer minds. */
	return e != ERR_NONE || !child->sequenced ? e : add_sequence(c, t, child->spi_in, numbers);
}

uint32_t control_asked_spi(const struct ike_sa *sa)
{
	bool child = sa->request.kind == IKE_REQUEST_NEW_CHILD || sa->request.kind == IKE_REQUEST_REKEY_CHILD;

	return child && sa->state != IKE_STATE_CLOSED ? (uint32_t)sa->request.new_spi : 0;
}

static bool is_put(const struct ike_out *out, uint32_t spi_in)
{
	for (unsigned i = 0; i < out->cnt; i++)
		if (out->actions[i].kind == IKE_ACT_CHILD_PUT && out->actions[i].put.child->spi_in == spi_in)
			return true;
	return false;
}

/* An SPI that a peer was told cannot be changed any more when its answer comes: it is taken in the store before the request
 * goes out, by a larval record (RFC 2367 has the word), and is free again when the request has come to nothing. before: what
 * was asked for before the step. */
static enum err add_larval(struct commit *t, const struct control_op *op, uint32_t before)
{
	uint32_t now = op->kind == OP_SA && op->step->out.has_sa ? control_asked_spi(&op->step->new_sa) : before;
	enum err e = ERR_NONE;

	if (before != 0 && now != before && !is_put(&op->step->out, before))
		e = add_op(t, model_key_child(before), STORE_DELETE, (struct bytes){ NULL, 0 });
	if (e != ERR_NONE || now == 0 || now == before)
		return e;
	e = add_op(t, model_key_child(now), STORE_PUT, bytes_str(CONTROL_LARVAL));
	return e != ERR_NONE ? e : add_cmp(t, 0);
}

/* As many of the Child SAs that the step removes as one transaction takes; op->deleted says how far it came. */
static enum err add_deletes(struct commit *t, struct control_op *op)
{
	enum err e = ERR_NONE;

	for (; op->deleted < op->step->out.cnt && e == ERR_NONE; op->deleted++) {
		const struct ike_action *a = &op->step->out.actions[op->deleted];
		if (a->kind != IKE_ACT_CHILD_DELETE)
			continue;
		if (t->op_cnt + 2 > STORE_TXN_OPS_MAX)
			break;
		e = add_delete(t, a->spi);
	}
	return e;
}

static enum err fill_commit(const struct control *c, struct commit *t, struct control_op *op)
{
	enum err e = add_sa(c, t, &op->made[0], op->kind == OP_SA ? op->sa->mod_rev : 0);
	for (unsigned i = 1; e == ERR_NONE && i < ARRAY_LEN(op->made); i++)
		if (op->made[i].b != NULL)
			e = add_sa(c, t, &op->made[i], 0);
	uint32_t asked = op->kind == OP_SA ? control_asked_spi(&op->step->sa) : 0;
	/* Of several nodes each numbers for itself. */
	op->step->out.child.seq_out_first = c->clustered || op->step->out.child.sequenced ? 0 : CONTROL_SEQ_BLOCK;
	for (unsigned i = 0; e == ERR_NONE && i < op->step->out.cnt; i++) {
		const struct ike_action *a = &op->step->out.actions[i];
		if (a->kind == IKE_ACT_CHILD_PUT)
			e = add_child(c, t, a->put.child, a->put.child->spi_in == asked, &op->numbers);
	}
	if (e == ERR_NONE)
		e = add_larval(t, op, asked);
	if (e == ERR_NONE && c->clustered && op->kind == OP_HALF)
		e = add_current(c, t, op);
	op->deleted = 0;
	return e != ERR_NONE ? e : add_deletes(t, op);
}

static enum err submit(struct control *c, const struct commit *t, uint64_t tag)
{
	const struct store_txn txn = { .cmps = t->cmps, .cmp_cnt = t->cmp_cnt, .ops = t->ops, .op_cnt = t->op_cnt };
	return store_thread_submit(c->store, &txn, tag);
}

MUST_USE enum err control_commit_submit(struct control *c, struct control_op *op)
{
	static struct commit t; /* the control thread's own */

	t.cmp_cnt = t.op_cnt = t.used = 0;
	if (op->kind == OP_HALF)
		op->tunnel_id = op->step->new_sa.tunnel_id;
	enum err e = fill_commit(c, &t, op);
	return e != ERR_NONE ? e : submit(c, &t, op->tag);
}

/* The Child SAs that found no room in the step's own transaction, now that that is true. What is lost here belongs to no
 * SA, and the next start deletes it. */
void control_commit_rest(struct control *c, struct control_op *op)
{
	enum err e = ERR_NONE;

	while (op->deleted < op->step->out.cnt && e == ERR_NONE) {
		struct commit *t = calloc(1, sizeof(*t));
		e = t == NULL ? ERR_MEMORY : add_deletes(t, op);
		if (e == ERR_NONE && t->op_cnt > 0)
			e = submit(c, t, 0);
		free(t);
	}
}
