#include "store/ipc_msg.h"

enum {
	MSG_MARK = 0x4f53,
	MSG_VERSION = 2,
	HEAD_LEN = 12,
	ID_AT = 4,
	ERR_AT = HEAD_LEN,
	MORE_AT = HEAD_LEN + 1,
	ROW_CNT_AT = HEAD_LEN + 2,
	REV_AT = HEAD_LEN + 4,
	ANSWER_LEN = HEAD_LEN + 12,
	ROW_LEN = 21,
	CMP_LEN = 10,
	OP_LEN = 5,
	TXN_LEN = 10,
};
_Static_assert(ANSWER_LEN + ROW_LEN + STORE_KEY_MAX + STORE_VALUE_MAX <= STORE_IPC_MSG_MAX,
	      "the longest row fits an answer");
_Static_assert(ERR_COUNT <= UINT8_MAX, "an error fits its byte");
_Static_assert(STORE_VALUE_MAX <= UINT16_MAX, "a value's length fits its field");

static void build_head(struct wr *w, enum store_ipc_kind kind, uint64_t id)
{
	wr_u16(w, MSG_MARK);
	wr_u8(w, MSG_VERSION);
	wr_u8(w, (uint8_t)kind);
	wr_u64(w, id);
}

static bool parse_head(struct rd *r, uint8_t *ret_kind, uint64_t *ret_id)
{
	uint16_t mark = rd_u16(r);
	uint8_t version = rd_u8(r);

	*ret_kind = rd_u8(r);
	*ret_id = rd_u64(r);
	return !r->bad && mark == MSG_MARK && version == MSG_VERSION;
}

/* A length that its field cannot hold must not wrap into a shorter one. */
static void build_len(struct wr *w, struct bytes b)
{
	if (b.len > UINT16_MAX)
		w->bad = true;
	wr_u16(w, (uint16_t)b.len);
}

void store_ipc_request_build(struct wr *w, const struct store_ipc_request *q)
{
	build_head(w, q->kind, q->id);
	switch (q->kind) {
	case STORE_IPC_GET:
		build_len(w, q->key);
		wr_put(w, q->key);
		return;
	case STORE_IPC_RANGE:
		wr_u32(w, q->limit);
		break;
	case STORE_IPC_CHANGES:
		wr_u64(w, q->rev);
		wr_u64(w, q->upto);
		break;
	case STORE_IPC_COMMIT:
		wr_u32(w, q->total);
		wr_u32(w, q->offset);
		wr_put(w, q->part);
		return;
	case STORE_IPC_ANSWER:
		w->bad = true;
		return;
	}
	build_len(w, q->key);
	build_len(w, q->from);
	wr_put(w, q->key);
	wr_put(w, q->from);
}

static bool parse_get(struct rd *r, struct store_ipc_request *q)
{
	q->kind = STORE_IPC_GET;
	q->key = rd_bytes(r, rd_u16(r));
	return q->key.len != 0 && q->key.len <= STORE_KEY_MAX;
}

static bool parse_two_keys(struct rd *r, struct store_ipc_request *q, size_t from_max)
{
	size_t key_len = rd_u16(r), from_len = rd_u16(r);

	q->key = rd_bytes(r, key_len);
	q->from = rd_bytes(r, from_len);
	return key_len <= STORE_KEY_MAX && from_len <= from_max;
}

static bool parse_range(struct rd *r, struct store_ipc_request *q)
{
	q->kind = STORE_IPC_RANGE;
	q->limit = rd_u32(r);
	return parse_two_keys(r, q, STORE_KEY_MAX);
}

static bool parse_changes(struct rd *r, struct store_ipc_request *q)
{
	q->kind = STORE_IPC_CHANGES;
	q->rev = rd_u64(r);
	q->upto = rd_u64(r);
	return parse_two_keys(r, q, STORE_KEY_MAX + 1);
}

static bool parse_commit(struct rd *r, struct store_ipc_request *q)
{
	q->kind = STORE_IPC_COMMIT;
	q->total = rd_u32(r);
	q->offset = rd_u32(r);
	q->part = rd_rest(r);
	return q->total <= STORE_IPC_TXN_MAX && q->offset < q->total && q->part.len != 0 &&
	       q->part.len <= q->total - q->offset;
}

MUST_USE enum err store_ipc_request_parse(struct bytes msg, struct store_ipc_request *ret)
{
	struct store_ipc_request q = { 0 };
	struct rd r = rd_of(msg);
	uint8_t kind;
	bool ok = false;

	if (msg.len > STORE_IPC_MSG_MAX || !parse_head(&r, &kind, &q.id))
		return ERR_SYNTAX;
	if (kind == STORE_IPC_GET)
		ok = parse_get(&r, &q);
	else if (kind == STORE_IPC_RANGE)
		ok = parse_range(&r, &q);
	else if (kind == STORE_IPC_CHANGES)
		ok = parse_changes(&r, &q);
	else if (kind == STORE_IPC_COMMIT)
		ok = parse_commit(&r, &q);
	if (!ok || !rd_done(&r))
		return ERR_SYNTAX;
	*ret = q;
	return ERR_NONE;
}

uint64_t store_ipc_id(struct bytes msg)
{
	struct rd r = rd_of(msg);

	rd_skip(&r, ID_AT);
	return rd_u64(&r);
}

void store_ipc_answer_begin(struct wr *w, uint64_t id)
{
	build_head(w, STORE_IPC_ANSWER, id);
	wr_zero(w, ANSWER_LEN - HEAD_LEN);
}

void store_ipc_answer_end(struct wr *w, enum err err, bool more, uint16_t row_cnt, uint64_t rev)
{
	wr_set_u8(w, ERR_AT, (uint8_t)err);
	wr_set_u8(w, MORE_AT, more);
	wr_set_u16(w, ROW_CNT_AT, row_cnt);
	wr_set_u32(w, REV_AT, (uint32_t)(rev >> 32));
	wr_set_u32(w, REV_AT + 4, (uint32_t)rev);
}

MUST_USE enum err store_ipc_answer_parse(struct bytes msg, struct store_ipc_answer *ret)
{
	struct store_ipc_answer a = { 0 };
	struct store_row row;
	struct rd r = rd_of(msg);
	uint8_t kind;

	if (msg.len > STORE_IPC_MSG_MAX || !parse_head(&r, &kind, &a.id) || kind != STORE_IPC_ANSWER)
		return ERR_SYNTAX;
	uint8_t err = rd_u8(&r), more = rd_u8(&r);
	a.err = (enum err)err;
	a.more = more != 0;
	a.row_cnt = rd_u16(&r);
	a.rev = rd_u64(&r);
	a.rows = rd_rest(&r);
	/* `more` without a row would make the client ask for the same again for ever. */
	if (!rd_done(&r) || err >= ERR_COUNT || more > 1 || (a.more && a.row_cnt == 0))
		return ERR_SYNTAX;
	struct rd rows = rd_of(a.rows);
	for (unsigned i = 0; i < a.row_cnt; i++)
		if (store_ipc_row_parse(&rows, &row) != ERR_NONE)
			return ERR_SYNTAX;
	if (!rd_done(&rows))
		return ERR_SYNTAX;
	*ret = a;
	return ERR_NONE;
}

size_t store_ipc_row_len(const struct store_row *row)
{
	return ROW_LEN + row->key.len + row->value.len;
}

void store_ipc_row_build(struct wr *w, const struct store_row *row)
{
	wr_u8(w, row->deleted);
	build_len(w, row->key);
	build_len(w, row->value);
	wr_u64(w, row->create_rev);
	wr_u64(w, row->mod_rev);
	wr_put(w, row->key);
	wr_put(w, row->value);
}

MUST_USE enum err store_ipc_row_parse(struct rd *r, struct store_row *ret)
{
	struct store_row row = { 0 };
	uint8_t deleted = rd_u8(r);
	size_t key_len = rd_u16(r), value_len = rd_u16(r);

	row.deleted = deleted != 0;
	row.create_rev = rd_u64(r);
	row.mod_rev = rd_u64(r);
	row.key = rd_bytes(r, key_len);
	row.value = rd_bytes(r, value_len);
	if (r->bad || deleted > 1 || key_len == 0 || key_len > STORE_KEY_MAX || value_len > STORE_VALUE_MAX)
		return ERR_SYNTAX;
	*ret = row;
	return ERR_NONE;
}

size_t store_ipc_txn_len(const struct store_txn *txn)
{
	size_t n = TXN_LEN;

	for (size_t i = 0; i < txn->cmp_cnt; i++)
		n += CMP_LEN + txn->cmps[i].key.len;
	for (size_t i = 0; i < txn->op_cnt; i++)
		n += OP_LEN + txn->ops[i].key.len + txn->ops[i].value.len;
	return n;
}

void store_ipc_txn_build(struct wr *w, const struct store_txn *txn)
{
	if (txn->cmp_cnt > STORE_TXN_CMPS_MAX || txn->op_cnt > STORE_TXN_OPS_MAX) {
		w->bad = true;
		return;
	}
	wr_u8(w, (uint8_t)txn->cmp_cnt);
	wr_u8(w, (uint8_t)txn->op_cnt);
	wr_u64(w, txn->lease);
	for (size_t i = 0; i < txn->cmp_cnt; i++) {
		build_len(w, txn->cmps[i].key);
		wr_u64(w, txn->cmps[i].mod_rev);
		wr_put(w, txn->cmps[i].key);
	}
	for (size_t i = 0; i < txn->op_cnt; i++) {
		wr_u8(w, (uint8_t)txn->ops[i].kind);
		build_len(w, txn->ops[i].key);
		build_len(w, txn->ops[i].value);
		wr_put(w, txn->ops[i].key);
		wr_put(w, txn->ops[i].value);
	}
}

static bool parse_op(struct rd *r, struct store_op *op)
{
	uint8_t kind = rd_u8(r);
	size_t key_len = rd_u16(r), value_len = rd_u16(r);

	op->kind = kind == STORE_PUT ? STORE_PUT : STORE_DELETE;
	op->key = rd_bytes(r, key_len);
	op->value = rd_bytes(r, value_len);
	return kind == STORE_PUT || kind == STORE_DELETE;
}

MUST_USE enum err store_ipc_txn_parse(struct bytes b, struct store_ipc_txn *ret)
{
	struct rd r = rd_of(b);
	size_t cmp_cnt = rd_u8(&r), op_cnt = rd_u8(&r);
	uint64_t lease = rd_u64(&r);

	ret->txn = (struct store_txn){ .cmps = ret->cmps, .ops = ret->ops, .lease = lease };
	if (cmp_cnt > STORE_TXN_CMPS_MAX || op_cnt > STORE_TXN_OPS_MAX)
		return ERR_SYNTAX;
	for (size_t i = 0; i < cmp_cnt; i++) {
		size_t key_len = rd_u16(&r);
		ret->cmps[i].mod_rev = rd_u64(&r);
		ret->cmps[i].key = rd_bytes(&r, key_len);
	}
	for (size_t i = 0; i < op_cnt; i++)
		if (!parse_op(&r, &ret->ops[i]))
			return ERR_SYNTAX;
	if (!rd_done(&r))
		return ERR_SYNTAX;
	ret->txn.cmp_cnt = cmp_cnt;
	ret->txn.op_cnt = op_cnt;
	/* The limits of the store are those of the message. */
	return store_txn_check(&ret->txn) == ERR_NONE ? ERR_NONE : ERR_SYNTAX;
}
