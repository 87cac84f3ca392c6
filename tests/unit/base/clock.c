#include "base/clock.h"

#include <string.h>

#include "rig.h"

static void time_is_rfc_3339_in_utc(void **state)
{
	char text[CLOCK_TEXT_MAX];
	(void)state;

	assert_string_equal(clock_text(0, text), "1970-01-01T00:00:00.000000Z");
	assert_string_equal(clock_text(951782400000001, text), "2000-02-29T00:00:00.000001Z");
	assert_string_equal(clock_text(1795446000123456, text), "2026-11-23T15:00:00.123456Z");
	assert_string_equal(clock_text(253402300799999999, text), "9999-12-31T23:59:59.999999Z");
	/* The greatest number still fits the room. */
	assert_true(strlen(clock_text(UINT64_MAX, text)) < CLOCK_TEXT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_is_rfc_3339_in_utc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
