#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/internal.h"

static void marks_come_back_as_they_were(void **state)
{
	const struct control_marks m = { UINT64_C(0x123456789a), UINT64_C(0xa500000005), UINT64_C(1) << 41 };
	struct control_marks back = { 0 };
	uint8_t b[CONTROL_MARKS_LEN];

	(void)state;
	control_marks_encode(&m, b);
	assert_true(control_marks_decode(BYTES_OF(b), &back));
	assert_int_equal(back.out, m.out);
	assert_int_equal(back.in, m.in);
	assert_int_equal(back.bytes, m.bytes);
}

/* Those of before there were extended numbers: the outbound number alone. */
static void a_mark_of_four_bytes_is_read(void **state)
{
	static const uint8_t old[] = { 0x00, 0x40, 0x00, 0x01 };
	struct control_marks m = { 7, 7, 7 };

	(void)state;
	assert_true(control_marks_decode(BYTES_OF(old), &m));
	assert_int_equal(m.out, 0x400001);
	assert_int_equal(m.in + m.bytes, 0);
}

static void other_lengths_are_refused_and_change_nothing(void **state)
{
	static const uint8_t room[40] = { 1 };
	struct control_marks m = { 7, 8, 9 };

	(void)state;
	for (size_t len = 0; len <= sizeof(room); len++)
		if (len != 4 && len != CONTROL_MARKS_LEN)
			assert_false(control_marks_decode(bytes_of(room, len), &m));
	assert_true(m.out == 7 && m.in == 8 && m.bytes == 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_come_back_as_they_were),
		cmocka_unit_test(a_mark_of_four_bytes_is_read),
		cmocka_unit_test(other_lengths_are_refused_and_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
