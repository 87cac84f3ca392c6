// The codecs of the ipc: what was built is parsed as it was, and nothing else is parsed.
#include "harness.h"

#include "store/ipc_msg.h"

static uint8_t room[STORE_IPC_MSG_MAX];

static struct bytes build(const struct store_ipc_request *q)
{
	struct wr w = wr_of(SPACE_OF(room));
	store_ipc_request_build(&w, q);
	assert_false(w.bad);
	return wr_bytes(&w);
}

static const struct store_ipc_request samples[] = {
	{ .id = 1, .kind = STORE_IPC_GET, .key = { (const uint8_t *)"key", 3 } },
	{ .id = UINT64_MAX, .kind = STORE_IPC_RANGE, .key = { (const uint8_t *)"prefix", 6 },
	  .from = { (const uint8_t *)"prefix/x", 8 }, .limit = 7 },
	{ .id = 3, .kind = STORE_IPC_RANGE },
	{ .id = 4, .kind = STORE_IPC_CHANGES, .key = { (const uint8_t *)"p", 1 },
	  .from = { (const uint8_t *)"p\0", 2 }, .rev = 5, .upto = UINT64_MAX },
	{ .id = 5, .kind = STORE_IPC_COMMIT, .total = 10, .offset = 7, .part = { (const uint8_t *)"abc", 3 } },
};

static void request_is_parsed_as_it_was_built(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		const struct store_ipc_request *want = &samples[i];
		struct store_ipc_request q;
		assert_int_equal(store_ipc_request_parse(build(want), &q), ERR_NONE);
		assert_int_equal(q.id, want->id);
		assert_int_equal(q.kind, want->kind);
		assert_true(bytes_eq(q.key, want->key));
		assert_true(bytes_eq(q.from, want->from));
		assert_int_equal(q.rev, want->rev);
		assert_int_equal(q.upto, want->upto);
		assert_int_equal(q.limit, want->limit);
		assert_int_equal(q.total, want->total);
		assert_int_equal(q.offset, want->offset);
		assert_true(bytes_eq(q.part, want->part));
	}
}

static void cut_or_lengthened_request_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct bytes b = build(&samples[i]);
		struct store_ipc_request q;
		/* A shorter part is a part too. */
		size_t whole = samples[i].kind == STORE_IPC_COMMIT ? b.len - samples[i].part.len + 1 : b.len;
		for (size_t n = 0; n < whole; n++)
			assert_int_equal(store_ipc_request_parse(bytes_of(b.p, n), &q), ERR_SYNTAX);
		room[b.len] = 0;
		assert_int_equal(store_ipc_request_parse(bytes_of(b.p, b.len + 1), &q), ERR_SYNTAX);
	}
}

static void wrong_mark_version_or_kind_is_refused(void **state)
{
	struct store_ipc_request q;
	struct bytes b = build(&samples[0]);

	(void)state;
	for (size_t at = 0; at < 4; at++) {
		uint8_t was = room[at];
		room[at] = 99;
		assert_int_equal(store_ipc_request_parse(b, &q), ERR_SYNTAX);
		room[at] = was;
	}
	assert_int_equal(store_ipc_request_parse(b, &q), ERR_NONE);
	assert_int_equal(store_ipc_id(b), 1);
	assert_int_equal(store_ipc_id(bytes_of(b.p, 11)), 0);
}

static void keys_and_parts_over_their_limits_are_refused(void **state)
{
	static uint8_t big[STORE_KEY_MAX + 2];
	const struct bytes most = { big, STORE_KEY_MAX }, more = { big, STORE_KEY_MAX + 1 }, much = BYTES_OF(big);
	const struct store_ipc_request bad[] = {
		{ .kind = STORE_IPC_GET },
		{ .kind = STORE_IPC_GET, .key = more },
		{ .kind = STORE_IPC_RANGE, .key = more },
		{ .kind = STORE_IPC_RANGE, .from = more },
		{ .kind = STORE_IPC_CHANGES, .key = more },
		{ .kind = STORE_IPC_CHANGES, .from = much },
		{ .kind = STORE_IPC_COMMIT, .total = 10, .offset = 0 },
		{ .kind = STORE_IPC_COMMIT, .total = 10, .offset = 10, .part = most },
		{ .kind = STORE_IPC_COMMIT, .total = 300, .offset = 100, .part = most },
		{ .kind = STORE_IPC_COMMIT, .total = 10, .offset = UINT32_MAX, .part = { big, 11 } },
		{ .kind = STORE_IPC_COMMIT, .total = STORE_IPC_TXN_MAX + 1, .offset = 0, .part = most },
		{ .kind = STORE_IPC_COMMIT, .total = UINT32_MAX, .offset = 0, .part = most },
	};
	const struct store_ipc_request good[] = {
		{ .kind = STORE_IPC_GET, .key = most },
		{ .kind = STORE_IPC_RANGE, .key = most, .from = most },
		{ .kind = STORE_IPC_CHANGES, .key = most, .from = more },
		{ .kind = STORE_IPC_COMMIT, .total = STORE_IPC_TXN_MAX, .offset = STORE_IPC_TXN_MAX - STORE_KEY_MAX,
		  .part = most },
	};
	struct store_ipc_request q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(store_ipc_request_parse(build(&bad[i]), &q), ERR_SYNTAX);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(store_ipc_request_parse(build(&good[i]), &q), ERR_NONE);
}

static void build_refuses_a_length_that_would_wrap(void **state)
{
	static uint8_t big[UINT16_MAX + 2];
	static uint8_t wide[2 * sizeof(big)];
	struct wr w = wr_of(SPACE_OF(wide));

	(void)state;
	store_ipc_request_build(&w, &(struct store_ipc_request){ .kind = STORE_IPC_GET, .key = BYTES_OF(big) });
	assert_true(w.bad);
}

/* ---- answers ---- */

static struct bytes build_answer(enum err err, bool more, uint16_t cnt, uint16_t claimed)
{
	static const struct store_row rows[] = {
		{ .key = { (const uint8_t *)"a", 1 }, .value = { (const uint8_t *)"va", 2 },
		  .create_rev = 1, .mod_rev = 2 },
		{ .key = { (const uint8_t *)"b", 1 }, .mod_rev = 3, .deleted = true },
	};
	struct wr w = wr_of(SPACE_OF(room));

	store_ipc_answer_begin(&w, 42);
	for (size_t i = 0; i < cnt; i++)
		store_ipc_row_build(&w, &rows[i]);
	store_ipc_answer_end(&w, err, more, claimed, 0x0102030405060708);
	assert_false(w.bad);
	return wr_bytes(&w);
}

static void answer_is_parsed_as_it_was_built(void **state)
{
	struct store_ipc_answer a;
	struct store_row row;

	(void)state;
	assert_int_equal(store_ipc_answer_parse(build_answer(ERR_CONFLICT, true, 2, 2), &a), ERR_NONE);
	assert_int_equal(a.id, 42);
	assert_int_equal(a.err, ERR_CONFLICT);
	assert_true(a.more);
	assert_int_equal(a.rev, 0x0102030405060708);
	assert_int_equal(a.row_cnt, 2);
	struct rd r = rd_of(a.rows);
	assert_int_equal(store_ipc_row_parse(&r, &row), ERR_NONE);
	assert_true(bytes_eq(row.key, bytes_str("a")));
	assert_true(bytes_eq(row.value, bytes_str("va")));
	assert_int_equal(row.create_rev, 1);
	assert_int_equal(row.mod_rev, 2);
	assert_false(row.deleted);
	assert_int_equal(store_ipc_row_parse(&r, &row), ERR_NONE);
	assert_true(row.deleted);
	assert_true(rd_done(&r));
}

static void answer_with_wrong_counts_is_refused(void **state)
{
	struct store_ipc_answer a;

	(void)state;
	assert_int_equal(store_ipc_answer_parse(build_answer(ERR_NONE, false, 2, 1), &a), ERR_SYNTAX);
	assert_int_equal(store_ipc_answer_parse(build_answer(ERR_NONE, false, 1, 2), &a), ERR_SYNTAX);
	assert_int_equal(store_ipc_answer_parse(build_answer(ERR_NONE, true, 0, 0), &a), ERR_SYNTAX);
	assert_int_equal(store_ipc_answer_parse(build_answer(ERR_COUNT, false, 0, 0), &a), ERR_SYNTAX);
	struct bytes b = build_answer(ERR_NONE, false, 2, 2);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(store_ipc_answer_parse(bytes_of(b.p, n), &a), ERR_SYNTAX);
	assert_int_equal(store_ipc_answer_parse(b, &a), ERR_NONE);
	struct store_ipc_request q;
	assert_int_equal(store_ipc_request_parse(b, &q), ERR_SYNTAX);
}

/* ---- transactions ---- */

static void transaction_is_parsed_as_it_was_built(void **state)
{
	static uint8_t buf[256];
	const struct store_cmp cmps[] = { { bytes_str("a"), 0 }, { bytes_str("b"), UINT64_MAX } };
	const struct store_op ops[] = { put_op("a", "value"), delete_op("b"), put_op("c", "") };
	const struct store_txn txn = { .cmps = cmps, .cmp_cnt = 2, .ops = ops, .op_cnt = 3, .lease = 0x1122334455667788 };
	struct wr w = wr_of(SPACE_OF(buf));
	struct store_ipc_txn t;

	(void)state;
	store_ipc_txn_build(&w, &txn);
	assert_int_equal(wr_len(&w), store_ipc_txn_len(&txn));
	assert_int_equal(store_ipc_txn_parse(wr_bytes(&w), &t), ERR_NONE);
	assert_int_equal(t.txn.cmp_cnt, 2);
	assert_int_equal(t.txn.op_cnt, 3);
	assert_int_equal(t.txn.lease, txn.lease);
	for (size_t i = 0; i < 2; i++) {
		assert_true(bytes_eq(t.txn.cmps[i].key, cmps[i].key));
		assert_int_equal(t.txn.cmps[i].mod_rev, cmps[i].mod_rev);
	}
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(t.txn.ops[i].kind, ops[i].kind);
		assert_true(bytes_eq(t.txn.ops[i].key, ops[i].key));
		assert_true(bytes_eq(t.txn.ops[i].value, ops[i].value));
	}
	for (size_t n = 0; n < wr_len(&w); n++)
		assert_int_equal(store_ipc_txn_parse(bytes_of(buf, n), &t), ERR_SYNTAX);
	assert_int_equal(store_ipc_txn_parse(bytes_of(buf, wr_len(&w) + 1), &t), ERR_SYNTAX);
}

static void transaction_over_limits_is_refused(void **state)
{
	/* Counts, a lease of 0, then what may be wrong. */
	static const uint8_t many_cmps[1000] = { STORE_TXN_CMPS_MAX + 1, 0 };
	static const uint8_t many_ops[1000] = { 0, STORE_TXN_OPS_MAX + 1 };
	static const uint8_t no_key[15] = { 0, 1 };
	static const uint8_t no_kind[16] = { 0, 1, [10] = 2, 0, 1, 0, 0, 'k' };
	static const uint8_t good[16] = { 0, 1, [10] = 1, 0, 1, 0, 0, 'k' };
	static uint8_t buf[STORE_VALUE_MAX + 24];
	struct store_ipc_txn t;
	struct wr w = wr_of(SPACE_OF(buf));

	(void)state;
	assert_int_equal(store_ipc_txn_parse(BYTES_OF(many_cmps), &t), ERR_SYNTAX);
	assert_int_equal(store_ipc_txn_parse(BYTES_OF(many_ops), &t), ERR_SYNTAX);
	assert_int_equal(store_ipc_txn_parse(BYTES_OF(no_key), &t), ERR_SYNTAX);
	assert_int_equal(store_ipc_txn_parse(BYTES_OF(no_kind), &t), ERR_SYNTAX);
	assert_int_equal(store_ipc_txn_parse(BYTES_OF(good), &t), ERR_NONE);
	wr_u16(&w, 1);
	wr_u64(&w, 0);
	wr_u8(&w, STORE_PUT);
	wr_u16(&w, 1);
	wr_u16(&w, STORE_VALUE_MAX + 1);
	wr_zero(&w, 1 + STORE_VALUE_MAX + 1);
	assert_int_equal(store_ipc_txn_parse(wr_bytes(&w), &t), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_is_parsed_as_it_was_built),
		cmocka_unit_test(cut_or_lengthened_request_is_refused),
		cmocka_unit_test(wrong_mark_version_or_kind_is_refused),
		cmocka_unit_test(keys_and_parts_over_their_limits_are_refused),
		cmocka_unit_test(build_refuses_a_length_that_would_wrap),
		cmocka_unit_test(answer_is_parsed_as_it_was_built),
		cmocka_unit_test(answer_with_wrong_counts_is_refused),
		cmocka_unit_test(transaction_is_parsed_as_it_was_built),
		cmocka_unit_test(transaction_over_limits_is_refused),
	};
	return cmocka_run_group_tests_name("store ipc_msg", tests, NULL, NULL);
}
