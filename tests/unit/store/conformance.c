// What every engine must do alike, but for leases.
#include "engines.h"

/* ---- transactions ---- */

static void put_then_get(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;

	assert_int_equal(get_row(s, "k", &row), ERR_NOTFOUND);
	uint64_t rev = put(s, "k", "v");
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_string_equal(row.key, "k");
	assert_string_equal(row.value, "v");
	assert_int_equal(row.create_rev, rev);
	assert_int_equal(row.mod_rev, rev);
	assert_false(row.deleted);
}

static void every_commit_raises_the_revision_by_one(void **state)
{
	struct store *s = store_of(state);
	uint64_t first = put(s, "k", "v");

	assert_true(first > 0);
	assert_int_equal(put(s, "k", "v"), first + 1);
	assert_int_equal(delete_one(s, "k"), first + 2);
	assert_int_equal(delete_one(s, "never there"), first + 3);
}

static void create_if_absent_works_once(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;

	assert_int_equal(put_if(s, "k", "first", 0).err, ERR_NONE);
	struct store_result r = put_if(s, "k", "second", 0);
	assert_int_equal(r.err, ERR_CONFLICT);
	assert_int_equal(r.rev, 0);
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "first");
	delete_one(s, "k");
	assert_int_equal(put_if(s, "k", "third", 0).err, ERR_NONE);
}

static void compare_and_swap_lets_one_of_two_win(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;
	uint64_t rev = put(s, "k", "old");

	struct store_result won = put_if(s, "k", "a", rev), lost = put_if(s, "k", "b", rev);
	assert_int_equal(won.err, ERR_NONE);
	assert_int_equal(lost.err, ERR_CONFLICT);
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "a");
	assert_int_equal(row.mod_rev, won.rev);
	assert_int_equal(put_if(s, "absent", "x", rev).err, ERR_CONFLICT);
}

static void conflict_does_not_raise_the_revision(void **state)
{
	struct store *s = store_of(state);
	uint64_t rev = put(s, "k", "v");

	assert_int_equal(put_if(s, "k", "w", rev + 7).err, ERR_CONFLICT);
	assert_int_equal(put(s, "other", "v"), rev + 1);
}

static void transaction_does_all_or_nothing(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;
	uint64_t rev_a = put(s, "a", "1");
	put(s, "gone", "1");
	struct store_cmp cmps[] = { { bytes_str("a"), rev_a }, { bytes_str("b"), 0 } };
	struct store_op ops[] = { put_op("a", "2"), put_op("b", "2"), delete_op("gone") };
	struct store_txn txn = { .cmps = cmps, .cmp_cnt = 2, .ops = ops, .op_cnt = 3 };

	struct store_result r = store_commit(s, &txn);
	assert_int_equal(r.err, ERR_NONE);
	assert_int_equal(get_row(s, "a", &row), ERR_NONE);
	assert_int_equal(row.mod_rev, r.rev);
	assert_int_equal(row.create_rev, rev_a);
	assert_int_equal(get_row(s, "b", &row), ERR_NONE);
	assert_int_equal(row.create_rev, r.rev);
	assert_int_equal(get_row(s, "gone", &row), ERR_NOTFOUND);

	/* The second comparison fails now: nothing of it is done. */
	cmps[0].mod_rev = r.rev;
	ops[0] = put_op("a", "3");
	ops[2] = put_op("gone", "3");
	assert_int_equal(store_commit(s, &txn).err, ERR_CONFLICT);
	assert_int_equal(get_row(s, "a", &row), ERR_NONE);
	assert_string_equal(row.value, "2");
	assert_int_equal(get_row(s, "gone", &row), ERR_NOTFOUND);
}

static void group_lets_each_stand_by_itself(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;
	struct store_cmp absent = { bytes_str("k"), 0 };
	struct store_op one = put_op("k", "1"), two = put_op("k", "2"), other = put_op("o", "1");
	struct store_op bad = put_op("", "1");
	struct store_txn txns[] = {
		{ .cmps = &absent, .cmp_cnt = 1, .ops = &one, .op_cnt = 1 },
		{ .cmps = &absent, .cmp_cnt = 1, .ops = &two, .op_cnt = 1 }, /* sees the first one's work */
		{ .ops = &bad, .op_cnt = 1 },
		{ .ops = &other, .op_cnt = 1 },
	};
	struct store_result r[4];

	store_commit_many(s, txns, 4, r);
	assert_int_equal(r[0].err, ERR_NONE);
	assert_int_equal(r[1].err, ERR_CONFLICT);
	assert_int_equal(r[2].err, ERR_RANGE);
	assert_int_equal(r[3].err, ERR_NONE);
	assert_int_equal(r[3].rev, r[0].rev + 1);
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "1");
	assert_int_equal(get_row(s, "o", &row), ERR_NONE);
	store_commit_many(s, txns, 0, r);
}

static void last_of_several_operations_on_a_key_counts(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };
	struct seen_row row;
	struct store_op twice[] = { put_op("k", "1"), put_op("k", "2"), put_op("gone", "1"), delete_op("gone") };
	struct store_op back[] = { delete_op("k"), put_op("k", "3") };

	struct store_result first = store_commit(s, &(struct store_txn){ .ops = twice, .op_cnt = 4 });
	assert_int_equal(first.err, ERR_NONE);
	list(s, "", "", 0, &seen);
	assert_keys(&seen, "k");
	assert_string_equal(seen.v[0].value, "2");
	assert_int_equal(store_commit(s, &(struct store_txn){ .ops = back, .op_cnt = 2 }).err, ERR_NONE);
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "3");
	assert_int_equal(row.create_rev, first.rev);
	changes(s, "", 0, &seen);
	assert_keys(&seen, "k");
	seen_clear(&seen);
}

static void recreated_key_has_a_new_create_rev(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;
	uint64_t made = put(s, "k", "1"), changed = put(s, "k", "2");

	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_int_equal(row.create_rev, made);
	assert_int_equal(row.mod_rev, changed);
	delete_one(s, "k");
	assert_int_equal(get_row(s, "k", &row), ERR_NOTFOUND);
	uint64_t again = put(s, "k", "3");
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_int_equal(row.create_rev, again);
	assert_int_equal(row.mod_rev, again);
}

static void empty_values_and_any_bytes_are_kept(void **state)
{
	struct store *s = store_of(state);
	static const uint8_t key[] = { 0x00, 0xff, 'k', 0x00 }, value[] = { 0x00, 0x01, 0xff, 0x00 };
	struct store_op ops[] = { { STORE_PUT, BYTES_OF(key), BYTES_OF(value) }, put_op("empty", "") };
	struct seen seen = { 0 };

	assert_int_equal(store_commit(s, &(struct store_txn){ .ops = ops, .op_cnt = 2 }).err, ERR_NONE);
	assert_int_equal(store_get(s, BYTES_OF(key), see_row, &seen), ERR_NONE);
	assert_int_equal(seen.v[0].key_len, sizeof(key));
	assert_memory_equal(seen.v[0].key, key, sizeof(key));
	assert_int_equal(seen.v[0].value_len, sizeof(value));
	assert_memory_equal(seen.v[0].value, value, sizeof(value));
	assert_int_equal(store_get(s, bytes_str("empty"), see_row, &seen), ERR_NONE);
	assert_int_equal(seen.v[1].value_len, 0);
	seen_clear(&seen);
}

/* ---- limits ---- */

static void largest_transaction_fits(void **state)
{
	struct store *s = store_of(state);
	static uint8_t value[STORE_VALUE_MAX];
	static char keys[STORE_TXN_OPS_MAX][STORE_KEY_MAX];
	struct store_cmp cmps[STORE_TXN_CMPS_MAX];
	struct store_op ops[STORE_TXN_OPS_MAX];
	struct seen seen = { 0 };

	memset(value, 0xa5, sizeof(value));
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		memset(keys[i], 'k', sizeof(keys[i]));
		keys[i][0] = (char)('0' + i);
		ops[i] = (struct store_op){ STORE_PUT, BYTES_OF(keys[i]), BYTES_OF(value) };
	}
	for (size_t i = 0; i < ARRAY_LEN(cmps); i++)
		cmps[i] = (struct store_cmp){ .key = BYTES_OF(keys[i]) };
	struct store_txn txn = { .cmps = cmps, .cmp_cnt = ARRAY_LEN(cmps), .ops = ops, .op_cnt = ARRAY_LEN(ops) };
	struct store_result r = store_commit(s, &txn);
	assert_int_equal(r.err, ERR_NONE);
	assert_int_equal(store_commit(s, &txn).err, ERR_CONFLICT);
	/* A range and changes far longer than one message of the ipc, all in one revision. */
	list(s, "", "", 0, &seen);
	assert_int_equal(seen.cnt, STORE_TXN_OPS_MAX);
	assert_int_equal(changes(s, "", 0, &seen), r.rev);
	assert_int_equal(seen.cnt, STORE_TXN_OPS_MAX);
	for (size_t i = 0; i < seen.cnt; i++) {
		assert_memory_equal(seen.v[i].key, keys[i], STORE_KEY_MAX);
		assert_int_equal(seen.v[i].value_len, STORE_VALUE_MAX);
	}
	seen_clear(&seen);
}

static void over_limit_is_refused(void **state)
{
	struct store *s = store_of(state);
	static uint8_t big[STORE_VALUE_MAX + 1];
	static struct store_op ops[STORE_TXN_OPS_MAX + 1];
	static struct store_cmp cmps[STORE_TXN_CMPS_MAX + 1];
	struct bytes long_key = { big, STORE_KEY_MAX + 1 };
	struct store_op long_op = { STORE_PUT, long_key, bytes_str("v") };
	struct store_op big_op = { STORE_PUT, bytes_str("k"), BYTES_OF(big) };
	struct store_cmp long_cmp = { .key = long_key }, no_cmp = { .key = bytes_str("") };
	struct seen seen = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		ops[i] = put_op("k", "v");
	for (size_t i = 0; i < ARRAY_LEN(cmps); i++)
		cmps[i] = (struct store_cmp){ .key = bytes_str("absent") };
	const struct store_txn bad[] = {
		{ .ops = &long_op, .op_cnt = 1 },
		{ .ops = &big_op, .op_cnt = 1 },
		{ .ops = ops, .op_cnt = ARRAY_LEN(ops) },
		{ .cmps = cmps, .cmp_cnt = ARRAY_LEN(cmps), .ops = ops, .op_cnt = 1 },
		{ .cmps = &long_cmp, .cmp_cnt = 1, .ops = ops, .op_cnt = 1 },
		{ .cmps = &no_cmp, .cmp_cnt = 1, .ops = ops, .op_cnt = 1 },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(store_commit(s, &bad[i]).err, ERR_RANGE);
	assert_int_equal(do_op(s, put_op("", "v")).err, ERR_RANGE);
	assert_int_equal(store_get(s, long_key, see_row, &seen), ERR_NOTFOUND);
	assert_int_equal(store_get(s, bytes_str(""), see_row, &seen), ERR_NOTFOUND);
	assert_int_equal(store_range(s, long_key, bytes_str(""), 0, see_row, &seen, NULL), ERR_NONE);
	list(s, "", "", 0, &seen);
	assert_int_equal(seen.cnt, 0);
	seen_clear(&seen);
}

/* ---- ranges ---- */

static void range_is_in_lexical_order_under_the_prefix(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };
	static const char *const keys[] = { "b/2", "a", "b/10", "b", "b/1", "c", "b0", "b/" };
	uint64_t rev = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		rev = put(s, keys[i], "v");
	assert_int_equal(list(s, "b/", "", 0, &seen), rev);
	assert_keys(&seen, "b/ b/1 b/10 b/2");
	list(s, "b", "", 0, &seen);
	assert_keys(&seen, "b b/ b/1 b/10 b/2 b0");
	list(s, "", "", 0, &seen);
	assert_keys(&seen, "a b b/ b/1 b/10 b/2 b0 c");
	list(s, "d", "", 0, &seen);
	assert_keys(&seen, "");
	seen_clear(&seen);
}

static void range_goes_on_after_a_key(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	put(s, "p/a", "v");
	put(s, "p/b", "v");
	put(s, "p/c", "v");
	put(s, "q", "v");
	list(s, "p/", "", 2, &seen);
	assert_keys(&seen, "p/a p/b");
	list(s, "p/", "p/b", 2, &seen);
	assert_keys(&seen, "p/c");
	list(s, "p/", "p/aa", 0, &seen); /* need not exist */
	assert_keys(&seen, "p/b p/c");
	list(s, "p/", "a", 0, &seen); /* before the prefix */
	assert_keys(&seen, "p/a p/b p/c");
	list(s, "p/", "z", 0, &seen); /* behind it */
	assert_keys(&seen, "");
	list(s, "", "p/c", 1, &seen);
	assert_keys(&seen, "q");
	list(s, "p/a", "p/a", 0, &seen);
	assert_keys(&seen, "");
	seen_clear(&seen);
}

static void after_may_be_longer_than_any_key(void **state)
{
	struct store *s = store_of(state);
	char after[STORE_KEY_MAX + 10];
	struct seen seen = { 0 };

	memset(after, 'k', sizeof(after));
	put(s, "kk", "v");
	put(s, "kl", "v");
	assert_int_equal(store_range(s, bytes_str(""), BYTES_OF(after), 0, see_row, &seen, NULL), ERR_NONE);
	assert_keys(&seen, "kl");
	seen_clear(&seen);
}

static void prefix_of_the_highest_bytes_ends_where_it_should(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	put(s, "a\xfe", "v");
	put(s, "a\xff", "v");
	put(s, "a\xff\x01", "v");
	put(s, "a\xff\xff", "v");
	put(s, "b", "v");
	put(s, "\xff", "v");
	put(s, "\xff\xff", "v");
	list(s, "a\xff", "", 0, &seen);
	assert_keys(&seen, "a\xff a\xff\x01 a\xff\xff");
	list(s, "a\xff\xff", "", 0, &seen);
	assert_keys(&seen, "a\xff\xff");
	list(s, "\xff", "", 0, &seen);
	assert_keys(&seen, "\xff \xff\xff");
	list(s, "\xff", "\xff", 0, &seen);
	assert_keys(&seen, "\xff\xff");
	list(s, "\xff\xff\xff", "", 0, &seen);
	assert_keys(&seen, "");
	changes(s, "a\xff", 0, &seen);
	assert_keys(&seen, "a\xff a\xff\x01 a\xff\xff");
	seen_clear(&seen);
}

/* Large enough for hundreds of messages. */
static void long_range_comes_whole_and_in_pages(void **state)
{
	enum { ROWS = 3000, PER_TXN = 60 };
	struct store *s = store_of(state);
	static char keys[PER_TXN][16];
	static uint8_t value[900];
	struct store_op ops[PER_TXN];
	struct seen all = { 0 }, page = { 0 };

	for (size_t n = 0; n < ROWS; n += PER_TXN) {
		for (size_t i = 0; i < PER_TXN; i++) {
			snprintf(keys[i], sizeof(keys[i]), "r/%06zu", n + i);
			ops[i] = (struct store_op){ STORE_PUT, bytes_str(keys[i]), BYTES_OF(value) };
		}
		const struct store_txn txn = { .ops = ops, .op_cnt = PER_TXN };
		assert_int_equal(store_commit(s, &txn).err, ERR_NONE);
	}
	list(s, "r/", "", 0, &all);
	assert_int_equal(all.cnt, ROWS);
	for (size_t i = 0; i < ROWS; i++) {
		char want[16];
		snprintf(want, sizeof(want), "r/%06zu", i);
		assert_string_equal(all.v[i].key, want);
	}
	size_t at = 0;
	for (const char *after = ""; at < ROWS; after = all.v[at - 1].key) {
		list(s, "r/", after, 700, &page);
		assert_int_equal(page.cnt, ROWS - at < 700 ? ROWS - at : 700);
		assert_string_equal(page.v[0].key, all.v[at].key);
		at += page.cnt;
	}
	changes(s, "r/", 0, &page);
	assert_int_equal(page.cnt, ROWS);
	for (size_t i = 1; i < ROWS; i++)
		assert_true(page.v[i - 1].mod_rev <= page.v[i].mod_rev);
	seen_clear(&all);
	seen_clear(&page);
}

/* ---- changes ---- */

static void changes_tell_the_last_change_of_each_key(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	put(s, "p/a", "1");
	put(s, "p/b", "1");
	put(s, "q", "1");
	put(s, "p/a", "2");
	uint64_t last = delete_one(s, "p/b");
	assert_int_equal(changes(s, "p/", 0, &seen), last);
	assert_keys(&seen, "p/a -p/b");
	assert_string_equal(seen.v[0].value, "2");
	assert_int_equal(seen.v[1].mod_rev, last);
	assert_int_equal(seen.v[1].value_len, 0);
	changes(s, "", 0, &seen);
	assert_keys(&seen, "q p/a -p/b");
	seen_clear(&seen);
}

static void changes_go_on_from_where_they_ended(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	put(s, "a", "1");
	uint64_t at = list(s, "", "", 0, &seen);
	assert_int_equal(changes(s, "", at, &seen), at);
	assert_int_equal(seen.cnt, 0);
	put(s, "b", "1");
	put(s, "c", "1");
	at = changes(s, "", at, &seen);
	assert_keys(&seen, "b c");
	put(s, "b", "2");
	delete_one(s, "a");
	at = changes(s, "", at, &seen);
	assert_keys(&seen, "b -a");
	/* Only of other prefixes: the revision goes on all the same. */
	uint64_t last = put(s, "zzz", "1");
	assert_int_equal(changes(s, "b", at, &seen), last);
	assert_int_equal(seen.cnt, 0);
	seen_clear(&seen);
}

static void recreated_key_is_not_told_as_deleted(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	uint64_t made = put(s, "k", "1");
	delete_one(s, "k");
	changes(s, "", made, &seen);
	assert_keys(&seen, "-k");
	uint64_t again = put(s, "k", "2");
	changes(s, "", made, &seen);
	assert_keys(&seen, "k");
	assert_int_equal(seen.v[0].create_rev, again);
	uint64_t gone = delete_one(s, "k");
	changes(s, "", 0, &seen);
	assert_keys(&seen, "-k");
	assert_int_equal(seen.v[0].mod_rev, gone);
	seen_clear(&seen);
}

static void deleting_what_is_not_there_is_no_change(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	uint64_t rev = delete_one(s, "never");
	assert_int_equal(changes(s, "", 0, &seen), rev);
	assert_int_equal(seen.cnt, 0);
	put(s, "k", "1");
	uint64_t gone = delete_one(s, "k");
	delete_one(s, "k");
	changes(s, "", 0, &seen);
	assert_keys(&seen, "-k");
	assert_int_equal(seen.v[0].mod_rev, gone);
	seen_clear(&seen);
}

static void changes_from_the_future_are_refused(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };
	uint64_t rev = put(s, "k", "1"), next;

	assert_int_equal(store_changes(s, bytes_str(""), rev + 1, see_row, &seen, &next), ERR_COMPACTED);
	assert_int_equal(store_changes(s, bytes_str(""), UINT64_MAX, see_row, &seen, &next), ERR_COMPACTED);
	assert_int_equal(store_changes(s, bytes_str(""), INT64_MAX, see_row, &seen, &next), ERR_COMPACTED);
	assert_int_equal(seen.cnt, 0);
}

static void commit_numbered(struct store *s, enum store_op_kind kind, size_t first, size_t cnt)
{
	enum { GROUP = 16 };
	static char keys[GROUP][STORE_TXN_OPS_MAX][16];
	static struct store_op ops[GROUP][STORE_TXN_OPS_MAX];
	struct store_txn txns[GROUP];
	struct store_result results[GROUP];

	for (size_t done = 0; done < cnt;) {
		size_t groups = 0;
		for (; groups < GROUP && done < cnt; groups++) {
			size_t n = 0;
			for (; n < STORE_TXN_OPS_MAX && done < cnt; n++, done++) {
				char *key = keys[groups][n];
				snprintf(key, 16, "n/%08zu", first + done);
				ops[groups][n] = (struct store_op){ kind, bytes_str(key), { 0 } };
			}
			txns[groups] = (struct store_txn){ .ops = ops[groups], .op_cnt = n };
		}
		store_commit_many(s, txns, groups, results);
		for (size_t i = 0; i < groups; i++)
			assert_int_equal(results[i].err, ERR_NONE);
	}
}

static void forgotten_deletions_ask_for_a_new_listing(void **state)
{
	enum { MANY = 100000, STEP = 6400 };
	struct store *s = store_of(state);
	struct seen seen = { 0 };
	uint64_t next;

	uint64_t before = put(s, "stays", "1");
	for (size_t n = 0; n < MANY; n += STEP) {
		size_t cnt = MANY - n < STEP ? MANY - n : STEP;
		commit_numbered(s, STORE_PUT, n, cnt);
		commit_numbered(s, STORE_DELETE, n, cnt);
	}
	/* Just remembered: all of them. */
	uint64_t after = changes(s, "", before, &seen);
	assert_int_equal(seen.cnt, MANY);
	commit_numbered(s, STORE_PUT, MANY, STORE_TXN_OPS_MAX);
	commit_numbered(s, STORE_DELETE, MANY, STORE_TXN_OPS_MAX);
	seen_clear(&seen);
	assert_int_equal(store_changes(s, bytes_str(""), before, see_row, &seen, &next), ERR_COMPACTED);
	assert_int_equal(store_changes(s, bytes_str("stays"), 0, see_row, &seen, &next), ERR_COMPACTED);
	changes(s, "", after, &seen);
	assert_int_equal(seen.cnt, STORE_TXN_OPS_MAX);
	uint64_t at = list(s, "", "", 0, &seen);
	assert_keys(&seen, "stays");
	put(s, "new", "1");
	changes(s, "", at, &seen);
	assert_keys(&seen, "new");
	seen_clear(&seen);
}

static void row_functions_may_be_told_no_revision(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };

	put(s, "k", "1");
	assert_int_equal(store_range(s, bytes_str(""), bytes_str(""), 0, see_row, &seen, NULL), ERR_NONE);
	assert_int_equal(store_changes(s, bytes_str(""), 0, see_row, &seen, NULL), ERR_NONE);
	assert_int_equal(seen.cnt, 2);
	seen_clear(&seen);
}

#define EACH(X)                                                \
	X(put_then_get)                                        \
	X(every_commit_raises_the_revision_by_one)             \
	X(create_if_absent_works_once)                         \
	X(compare_and_swap_lets_one_of_two_win)                \
	X(conflict_does_not_raise_the_revision)                \
	X(transaction_does_all_or_nothing)                     \
	X(group_lets_each_stand_by_itself)                     \
	X(last_of_several_operations_on_a_key_counts)          \
	X(recreated_key_has_a_new_create_rev)                  \
	X(empty_values_and_any_bytes_are_kept)                 \
	X(largest_transaction_fits)                            \
	X(over_limit_is_refused)                               \
	X(range_is_in_lexical_order_under_the_prefix)          \
	X(range_goes_on_after_a_key)                           \
	X(after_may_be_longer_than_any_key)                    \
	X(prefix_of_the_highest_bytes_ends_where_it_should)    \
	X(long_range_comes_whole_and_in_pages)                 \
	X(changes_tell_the_last_change_of_each_key)            \
	X(changes_go_on_from_where_they_ended)                 \
	X(recreated_key_is_not_told_as_deleted)                \
	X(deleting_what_is_not_there_is_no_change)             \
	X(changes_from_the_future_are_refused)                 \
	X(row_functions_may_be_told_no_revision)

/* etcd forgets when it is told to compact. */
#define EACH_THAT_FORGETS(X) X(forgotten_deletions_ask_for_a_new_listing)

#define ALL_OF(ON) EACH(ON) EACH_THAT_FORGETS(ON)

int main(void)
{
	const struct CMUnitTest tests[] = { ALL_OF(ON_MEMORY) ALL_OF(ON_SQLITE) ALL_OF(ON_IPC_MEMORY) ALL_OF(ON_IPC_SQLITE) };
	const struct CMUnitTest etcd_tests[] = { EACH(ON_ETCD) EACH(ON_IPC_ETCD) };

	return etcd_is_there() ? cmocka_run_group_tests_name("store conformance, etcd", etcd_tests, NULL, NULL)
			       : cmocka_run_group_tests_name("store conformance", tests, NULL, NULL);
}
