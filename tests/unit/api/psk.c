#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "api/psk.h"

static void a_generated_key_begins_with_a_letter(void **state)
{
	char text[API_PSK_TEXT_MAX], before[API_PSK_TEXT_MAX] = "";
	(void)state;

	for (unsigned i = 0; i < 2000; i++) {
		api_psk_make(text);
		assert_int_equal(strlen(text), 43);
		assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
		assert_true(isalpha((unsigned char)text[0]));
		assert_string_not_equal(text, before);
		memcpy(before, text, sizeof(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_generated_key_begins_with_a_letter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
