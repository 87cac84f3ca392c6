// The log of an etcd client: order, what replaces what, what it forgets.
#include "harness.h"

#include "store/etcd_log.h"

static int set_up(void **state)
{
	struct store_etcd_log *l = calloc(1, sizeof(*l));
	assert_non_null(l);
	assert_int_equal(store_etcd_log_init(l, 10), ERR_NONE);
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	store_etcd_log_fini(*state);
	free(*state);
	return 0;
}

static void add(struct store_etcd_log *l, const char *key, const char *value, uint64_t rev)
{
	const struct store_row row = { .key = bytes_str(key), .value = bytes_str(value == NULL ? "" : value), .mod_rev = rev,
				       .create_rev = value == NULL ? 0 : rev, .deleted = value == NULL };
	assert_int_equal(store_etcd_log_add(l, &row), ERR_NONE);
}

static bool see(void *arg, const struct store_row *row)
{
	see_row(arg, row);
	return true;
}

static void assert_log(const struct store_etcd_log *l, const char *prefix, uint64_t rev, const char *key, const char *want)
{
	struct seen seen = { 0 };
	const struct store_pos from = { .rev = rev, .key = bytes_str(key) };
	store_etcd_log_visit(l, bytes_str(prefix), &from, l->rev, see, &seen);
	assert_keys(&seen, want);
	seen_clear(&seen);
}

static void changes_are_in_order_of_revision_and_key(void **state)
{
	struct store_etcd_log *l = *state;

	add(l, "b", "1", 11);
	add(l, "a", "1", 11);
	add(l, "c", "1", 11);
	add(l, "aa", "1", 12);
	store_etcd_log_advance(l, 12);
	assert_log(l, "", 11, "", "a b c aa");
	assert_log(l, "", 11, "b", "b c aa");
	assert_log(l, "", 11, "bb", "c aa");
	assert_log(l, "", 12, "", "aa");
	assert_log(l, "", 13, "", "");
	assert_log(l, "a", 11, "", "a aa");
}

static void last_change_of_a_key_replaces_the_others(void **state)
{
	struct store_etcd_log *l = *state;

	add(l, "a", "1", 11);
	add(l, "b", "1", 12);
	add(l, "a", NULL, 13);
	store_etcd_log_advance(l, 13);
	assert_log(l, "", 11, "", "b -a");
	add(l, "a", "2", 14);
	store_etcd_log_advance(l, 14);
	assert_log(l, "", 11, "", "b a");
	assert_int_equal(l->by_key.cnt, 2);
}

static void change_is_not_shown_before_its_revision_is_whole(void **state)
{
	struct store_etcd_log *l = *state;

	add(l, "a", "1", 11);
	store_etcd_log_advance(l, 11);
	add(l, "b", "1", 12);
	assert_log(l, "", 11, "", "a");
	add(l, "c", "1", 12);
	store_etcd_log_advance(l, 12);
	assert_log(l, "", 11, "", "a b c");
}

static void oldest_changes_are_forgotten_over_the_limit(void **state)
{
	struct store_etcd_log *l = *state;
	static char value[1001];
	char key[16];

	memset(value, 'v', 1000);
	l->bytes_max = 20000;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "k/%03u", i);
		add(l, key, value, 11 + i);
		store_etcd_log_advance(l, 11 + i);
		assert_true(l->bytes <= l->bytes_max);
	}
	assert_int_equal(l->rev, 110);
	assert_true(l->floor > 90 && l->floor < 110);
	struct seen seen = { 0 };
	const struct store_pos from = { .rev = l->floor + 1 };
	store_etcd_log_visit(l, bytes_str("k/"), &from, l->rev, see, &seen);
	assert_int_equal(seen.cnt, 110 - l->floor);
	assert_int_equal(seen.v[0].mod_rev, l->floor + 1);
	seen_clear(&seen);
}

static void reset_begins_again_elsewhere(void **state)
{
	struct store_etcd_log *l = *state;

	add(l, "a", "1", 11);
	store_etcd_log_advance(l, 11);
	store_etcd_log_reset(l, 5);
	assert_int_equal(l->floor, 5);
	assert_int_equal(l->rev, 5);
	assert_int_equal(l->bytes, 0);
	assert_log(l, "", 1, "", "");
	add(l, "b", "1", 6);
	store_etcd_log_advance(l, 6);
	assert_log(l, "", 6, "", "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_are_in_order_of_revision_and_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(last_change_of_a_key_replaces_the_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(change_is_not_shown_before_its_revision_is_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(oldest_changes_are_forgotten_over_the_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reset_begins_again_elsewhere, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("store etcd_log", tests, NULL, NULL);
}
