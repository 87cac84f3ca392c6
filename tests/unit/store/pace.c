#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/pace.h"

#define START_US UINT64_C(5000000000)

static void who_comes_alone_never_waits(void **state)
{
	struct store_pace p = { 0 };

	(void)state;
	for (uint64_t now = START_US, i = 0; i < 1000; i++, now += STORE_PACE_US) {
		assert_int_equal(store_pace_left_us(&p, now), 0);
		store_pace_use(&p, now);
	}
}

static void in_a_rush_there_is_one_write_in_each_time(void **state)
{
	struct store_pace p = { 0 };
	uint64_t now = START_US;

	(void)state;
	for (unsigned i = 0; i < STORE_PACE_CALM; i++) {
		assert_int_equal(store_pace_left_us(&p, now), 0);
		store_pace_use(&p, now);
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(store_pace_left_us(&p, now), STORE_PACE_US);
		now += STORE_PACE_US;
		assert_int_equal(store_pace_left_us(&p, now), 0);
		store_pace_use(&p, now);
	}
	now += STORE_PACE_CALM * STORE_PACE_US; /* it is over */
	for (unsigned i = 0; i < STORE_PACE_CALM; i++) {
		assert_int_equal(store_pace_left_us(&p, now), 0);
		store_pace_use(&p, now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_comes_alone_never_waits),
		cmocka_unit_test(in_a_rush_there_is_one_write_in_each_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
