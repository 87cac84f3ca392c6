#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

static void a_burst_is_let_through_and_the_rest_held(void **state)
{
	struct log_limit l = { .burst = 3, .window_ms = 1000 };
	uint32_t held;
	(void)state;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(log_limit_take(&l, 5000 + (uint64_t)i, &held), i < 3);
		assert_int_equal(held, 0);
	}
}

static void the_next_window_says_once_how_many_were_held(void **state)
{
	struct log_limit l = { .burst = 2, .window_ms = 1000 };
	uint32_t held;
	(void)state;

	for (int i = 0; i < 9; i++)
		(void)log_limit_take(&l, 5000, &held);
	assert_false(log_limit_take(&l, 5999, &held));
	assert_true(log_limit_take(&l, 6000, &held));
	assert_int_equal(held, 8);
	assert_true(log_limit_take(&l, 6001, &held));
	assert_int_equal(held, 0);
	assert_false(log_limit_take(&l, 6002, &held));
}

static void a_quiet_time_leaves_nothing_to_say(void **state)
{
	struct log_limit l = { .burst = 1, .window_ms = 1000 };
	uint32_t held;
	(void)state;

	assert_true(log_limit_take(&l, 5000, &held));
	assert_true(log_limit_take(&l, 60000, &held));
	assert_int_equal(held, 0);
}

static void the_limit_counts_from_a_clock_that_just_began(void **state)
{
	struct log_limit l = { .burst = 2, .window_ms = 1000 };
	uint32_t held;
	(void)state;

	assert_true(log_limit_take(&l, 0, &held));
	assert_true(log_limit_take(&l, 1, &held));
	assert_false(log_limit_take(&l, 2, &held));
}

/* What is written to standard error, by way of a pipe. */
struct ear {
	int from, saved;
};

static struct ear begin_to_listen(void)
{
	struct ear e = { .saved = dup(STDERR_FILENO) };
	int ends[2];

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	e.from = ends[0];
	return e;
}

static size_t hear(struct ear *e, char *out, size_t cap)
{
	ssize_t n = read(e->from, out, cap - 1);

	out[n < 0 ? 0 : n] = 0;
	return n < 0 ? 0 : (size_t)n;
}

static void end_listening(struct ear *e)
{
	assert_int_equal(dup2(e->saved, STDERR_FILENO), STDERR_FILENO);
	close(e->saved);
	close(e->from);
}

static size_t catch_line(enum log_level level, const char *name, const char *text, char *out, size_t cap)
{
	struct ear e = begin_to_listen();

	log_init(name, LOG_LEVEL_INFO);
	log_line(level, "%s", text);
	size_t n = hear(&e, out, cap);
	end_listening(&e);
	return n;
}

static void a_message_cannot_forge_a_line(void **state)
{
	char out[2000];
	(void)state;

	catch_line(LOG_LEVEL_WARN, "gateway", "tunnel\n2026 gateway error: forged\x1b[2J", out, sizeof(out));
	assert_non_null(strstr(out, "gateway warning: tunnel?2026 gateway error: forged?[2J\n"));
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void long_lines_and_names_are_cut_and_still_end(void **state)
{
	char out[4096], text[3000], name[3000];
	(void)state;

	memset(text, 'a', sizeof(text) - 1);
	memset(name, 'n', sizeof(name) - 1);
	text[sizeof(text) - 1] = name[sizeof(name) - 1] = 0;
	size_t n = catch_line(LOG_LEVEL_INFO, "gateway", text, out, sizeof(out));
	assert_int_equal(n, 1023);
	assert_int_equal(out[n - 1], '\n');
	n = catch_line(LOG_LEVEL_INFO, name, text, out, sizeof(out));
	assert_int_equal(n, 1023);
	assert_int_equal(out[n - 1], '\n');
	log_init("test", LOG_LEVEL_INFO);
}

static void lines_above_the_level_are_not_written(void **state)
{
	char out[200];
	(void)state;

	assert_int_equal(catch_line(LOG_LEVEL_DEBUG, "gateway", "hidden", out, sizeof(out)), 0);
}

static void what_is_held_is_written_at_once_and_in_order(void **state)
{
	char out[4096];
	(void)state;

	struct ear e = begin_to_listen();
	log_hold();
	log_info("one");
	log_info("two");
	size_t before = hear(&e, out, sizeof(out));
	log_release();
	hear(&e, out, sizeof(out));
	const char *one = strstr(out, "info: one\n"), *two = strstr(out, "info: two\n");
	bool in_order = one != NULL && two != NULL && one < two;
	log_info("three");
	hear(&e, out, sizeof(out));
	bool at_once = strstr(out, "info: three\n") != NULL;
	end_listening(&e);
	assert_int_equal(before, 0);
	assert_true(in_order && at_once);
}

static void a_warning_writes_what_is_held_before_it(void **state)
{
	char out[4096];
	(void)state;

	struct ear e = begin_to_listen();
	log_hold();
	log_info("one");
	log_warn("two");
	hear(&e, out, sizeof(out));
	const char *one = strstr(out, "info: one\n"), *two = strstr(out, "warning: two\n");
	bool in_order = one != NULL && two != NULL && one < two;
	log_release();
	size_t after = hear(&e, out, sizeof(out));
	end_listening(&e);
	assert_true(in_order);
	assert_int_equal(after, 0);
}

static void no_line_is_lost_where_more_is_held_than_there_is_room_for(void **state)
{
	static char out[65536];
	unsigned lines = 0;
	(void)state;

	struct ear e = begin_to_listen();
	log_hold();
	for (unsigned i = 0; i < 40; i++)
		log_info("%500u", i);
	log_release();
	hear(&e, out, sizeof(out));
	end_listening(&e);
	for (char *at = out; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_int_equal(lines, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_let_through_and_the_rest_held),
		cmocka_unit_test(the_next_window_says_once_how_many_were_held),
		cmocka_unit_test(a_quiet_time_leaves_nothing_to_say),
		cmocka_unit_test(the_limit_counts_from_a_clock_that_just_began),
		cmocka_unit_test(a_message_cannot_forge_a_line),
		cmocka_unit_test(long_lines_and_names_are_cut_and_still_end),
		cmocka_unit_test(lines_above_the_level_are_not_written),
		cmocka_unit_test(what_is_held_is_written_at_once_and_in_order),
		cmocka_unit_test(a_warning_writes_what_is_held_before_it),
		cmocka_unit_test(no_line_is_lost_where_more_is_held_than_there_is_room_for),
	};
	/* Under a journal the lines begin otherwise. */
	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
