#include "control/start.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S ((uint64_t)1000000)
#define MIDDLE (UINT32_MAX / 2) /* a jitter of about nothing */

static uint64_t wait_of(const struct start_machine *m, uint64_t now)
{
	assert_int_equal(m->state, START_WAITING);
	assert_true(m->at_us >= now);
	return m->at_us - now;
}

static void assert_about(uint64_t got, uint64_t want)
{
	if (got + 10 < want || got > want + 10)
		fail_msg("%llu us instead of %llu", (unsigned long long)got, (unsigned long long)want);
}

static void the_first_attempt_is_at_once(void **state)
{
	(void)state;
	struct start_machine m;
	start_machine_init(&m, 5 * S);
	assert_int_equal(wait_of(&m, 5 * S), 0);
	start_machine_begin(&m);
	assert_int_equal(m.state, START_TRYING);
	assert_int_equal(m.tries, 1);
}

static void failures_wait_twice_as_long_each_up_to_a_minute(void **state)
{
	(void)state;
	static const unsigned want_s[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	struct start_machine m;
	uint64_t now = S;

	start_machine_init(&m, now);
	for (unsigned i = 0; i < sizeof(want_s) / sizeof(want_s[0]); i++) {
		start_machine_begin(&m);
		now += 3 * S;
		start_machine_end(&m, now, false, MIDDLE);
		assert_about(wait_of(&m, now), want_s[i] * S);
		now = m.at_us;
	}
	assert_int_equal(m.tries, 9);
}

static void jitter_is_a_quarter_to_either_side(void **state)
{
	(void)state;
	struct start_machine least, most;

	start_machine_init(&least, 0);
	start_machine_begin(&least);
	most = least;
	start_machine_end(&least, S, false, 0);
	start_machine_end(&most, S, false, UINT32_MAX);
	assert_about(wait_of(&least, S), S * 3 / 4);
	assert_about(wait_of(&most, S), S * 5 / 4);
}

/* One that is up for so long and then ends. */
static void live(struct start_machine *m, uint64_t *now, uint64_t life, bool clean)
{
	start_machine_begin(m);
	start_machine_up(m, *now);
	assert_int_equal(m->tries, 0);
	*now += life;
	start_machine_end(m, *now, clean, MIDDLE);
}

static void a_clean_delete_is_followed_by_a_start_at_once(void **state)
{
	(void)state;
	struct start_machine m;
	uint64_t now = S;

	start_machine_init(&m, now);
	live(&m, &now, 5 * S, true);
	assert_int_equal(wait_of(&m, now), 0);
}

static void a_gateway_that_deletes_in_a_loop_is_backed_off_from(void **state)
{
	(void)state;
	static const unsigned want_s[] = { 0, 1, 2, 4, 8, 16, 32, 60, 60 };
	struct start_machine m;
	uint64_t now = S;

	start_machine_init(&m, now);
	for (unsigned i = 0; i < sizeof(want_s) / sizeof(want_s[0]); i++) {
		live(&m, &now, S / 10, true);
		assert_about(wait_of(&m, now), want_s[i] * S);
		now = m.at_us;
	}
}

static void a_minute_of_life_forgets_the_past(void **state)
{
	(void)state;
	struct start_machine m;
	uint64_t now = S;

	start_machine_init(&m, now);
	for (unsigned i = 0; i < 6; i++) {
		start_machine_begin(&m);
		start_machine_end(&m, now, false, MIDDLE);
	}
	live(&m, &now, 59 * S, false);
	assert_about(wait_of(&m, now), 60 * S);
	live(&m, &now, 60 * S, false);
	assert_about(wait_of(&m, now), S);
	live(&m, &now, 60 * S, true);
	assert_int_equal(wait_of(&m, now), 0);
}

static void a_death_that_is_not_clean_waits_a_second(void **state)
{
	(void)state;
	struct start_machine m;
	uint64_t now = S;

	start_machine_init(&m, now);
	live(&m, &now, 3600 * S, false);
	assert_about(wait_of(&m, now), S);
}

static void an_sa_from_before_the_restart_needs_no_start(void **state)
{
	(void)state;
	struct start_machine m;

	start_machine_init(&m, S);
	start_machine_up(&m, S);
	start_machine_up(&m, 30 * S); /* the IKE SA was replaced */
	assert_int_equal(m.up_us, S);
	start_machine_end(&m, 61 * S, true, MIDDLE);
	assert_int_equal(wait_of(&m, 61 * S), 0);
}

static void what_waits_is_not_put_off(void **state)
{
	(void)state;
	struct start_machine m;

	start_machine_init(&m, S);
	start_machine_end(&m, 9 * S, false, MIDDLE);
	assert_int_equal(m.at_us, S);
	assert_int_equal(m.delay_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_attempt_is_at_once),
		cmocka_unit_test(failures_wait_twice_as_long_each_up_to_a_minute),
		cmocka_unit_test(jitter_is_a_quarter_to_either_side),
		cmocka_unit_test(a_clean_delete_is_followed_by_a_start_at_once),
		cmocka_unit_test(a_gateway_that_deletes_in_a_loop_is_backed_off_from),
		cmocka_unit_test(a_minute_of_life_forgets_the_past),
		cmocka_unit_test(a_death_that_is_not_clean_waits_a_second),
		cmocka_unit_test(an_sa_from_before_the_restart_needs_no_start),
		cmocka_unit_test(what_waits_is_not_put_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
