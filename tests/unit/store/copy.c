// A store that is moved: nothing is lost, and never may both be used.
#include "harness.h"

#include "model/key.h"
#include "store/copy.h"

#define ROWS 500

static struct store *fresh(void)
{
	struct store *s;
	assert_int_equal(store_memory_new(&s), ERR_NONE);
	return s;
}

static struct store *filled(void)
{
	struct store *s = fresh();
	char key[32], value[4000];

	for (unsigned i = 0; i < ROWS; i++) {
		snprintf(key, sizeof(key), "k/%u", i);
		memset(value, 'a' + (int)(i % 26), sizeof(value) - 1);
		value[i * 7 % (sizeof(value) - 1)] = 0; /* of any length, with none */
		put(s, key, value);
	}
	put(s, "node/001", "a node that runs");
	return s;
}

static void count(void *arg, const struct store_row *row)
{
	(void)row;
	++*(size_t *)arg;
}

static size_t count_of(struct store *s)
{
	size_t cnt = 0;
	assert_int_equal(store_range(s, bytes_str(""), bytes_str(""), 0, count, &cnt, NULL), ERR_NONE);
	return cnt;
}

struct expected {
	struct store *other;
	size_t cnt;
};

static void value_is(void *arg, const struct store_row *row)
{
	assert_true(bytes_eq(row->value, *(const struct bytes *)arg));
}

static void row_is_there(void *arg, const struct store_row *row)
{
	struct expected *e = arg;
	struct bytes value = row->value;
	assert_int_equal(store_get(e->other, row->key, value_is, &value), ERR_NONE);
	e->cnt++;
}

static void all_rows_are_moved_but_those_of_running_nodes(void **state)
{
	struct store *from = filled(), *to;
	struct store_copied done;
	struct expected e;
	(void)state;
	struct place p;

	place_make(&p);
	assert_int_equal(store_sqlite_open(p.path, &to), ERR_NONE);
	assert_int_equal(store_copy(from, to, &done), ERR_NONE);
	assert_int_equal(done.cnt, ROWS);
	assert_int_equal(count_of(to), ROWS);
	e = (struct expected){ from, 0 };
	assert_int_equal(store_range(to, bytes_str(""), bytes_str(""), 0, row_is_there, &e, NULL), ERR_NONE);
	assert_int_equal(e.cnt, ROWS);
	store_free(from);
	store_free(to);
	place_remove(&p);
}

static void only_one_of_both_may_be_used(void **state)
{
	struct store *from = filled(), *to = fresh(), *third = fresh();
	struct store_copied done;
	(void)state;

	assert_int_equal(store_copy_check(from), ERR_NONE);
	assert_int_equal(store_copy(from, to, &done), ERR_NONE);
	assert_int_equal(store_copy_check(from), ERR_CLOSED);
	assert_int_equal(store_copy_check(to), ERR_NONE);
	assert_int_equal(store_copy(from, third, &done), ERR_CLOSED);
	assert_int_equal(store_copy(to, third, &done), ERR_NONE); /* and on, or back */
	store_free(from);
	store_free(to);
	store_free(third);
}

static void a_target_with_keys_is_refused_and_left_alone(void **state)
{
	struct store *from = filled(), *to = fresh(), *empty = fresh();
	struct store_copied done;
	(void)state;

	put(to, "k/other", "v");
	assert_int_equal(store_copy(from, to, &done), ERR_EXISTS);
	assert_int_equal(count_of(to), 1);
	assert_int_equal(store_copy_check(from), ERR_NONE);
	assert_int_equal(store_copy_check(to), ERR_NONE);
	assert_int_equal(store_copy(empty, to, &done), ERR_EXISTS);
	assert_int_equal(store_copy(empty, empty, &done), ERR_NOTFOUND);
	store_free(from);
	store_free(to);
	store_free(empty);
}

/* The two moments at which a crash leaves both: while rows are written, and between the two marks. */
static void an_interrupted_copy_cannot_be_used_and_begins_anew(void **state)
{
	(void)state;
	for (unsigned moved = 0; moved < 2; moved++) {
		struct store *from = filled(), *to = fresh();
		struct store_copied done;

		put(to, MODEL_KEY_COPYING, "\1");
		for (unsigned i = 0; i < 200; i++) {
			char key[32];
			snprintf(key, sizeof(key), "k/%u", i * 3);
			put(to, key, "of before");
		}
		if (moved)
			put(from, MODEL_KEY_MOVED, "\1");
		assert_int_equal(store_copy_check(to), ERR_AGAIN);
		assert_int_equal(store_copy(from, to, &done), ERR_NONE);
		assert_int_equal(done.cnt, ROWS);
		assert_int_equal(count_of(to), ROWS);
		assert_int_equal(store_copy_check(to), ERR_NONE);
		store_free(from);
		store_free(to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rows_are_moved_but_those_of_running_nodes),
		cmocka_unit_test(only_one_of_both_may_be_used),
		cmocka_unit_test(a_target_with_keys_is_refused_and_left_alone),
		cmocka_unit_test(an_interrupted_copy_cannot_be_used_and_begins_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
