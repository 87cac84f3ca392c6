#include "model/counter.h"
#include "model/drop.h"
#include "model/live.h"
#include "model/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Names are labels of metrics: lower-case letters, digits and '_', each once. */
static void assert_label(const char *name)
{
	assert_true(strlen(name) > 0);
	assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
	assert_true(strlen(name) < sizeof(((struct model_live_counter *)NULL)->name));
}

static void every_drop_has_its_own_name_and_a_text(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++) {
		assert_label(model_drop_name(i));
		assert_true(strlen(model_drop_text(i)) > 0);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(model_drop_name(i), model_drop_name(k));
	}
	assert_string_equal(model_drop_name(MODEL_DROP_esp_icv), "esp_icv");
	assert_string_equal(model_drop_name(MODEL_DROP_CNT), "unknown");
	assert_string_equal(model_drop_text(~0u), "unknown");
}

static void every_counter_has_its_own_name_unit_and_help(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MODEL_COUNTER_CNT; i++) {
		assert_label(model_counter_name(i));
		assert_true(strlen(model_counter_unit(i)) > 0);
		assert_true(strlen(model_counter_help(i)) > 0);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(model_counter_name(i), model_counter_name(k));
		for (unsigned k = 0; k < MODEL_DROP_CNT; k++)
			assert_string_not_equal(model_counter_name(i), model_drop_name(k));
	}
	assert_string_equal(model_counter_name(MODEL_COUNTER_CNT), "unknown");
}

static void problem_never_leaves_its_room(void **state)
{
	(void)state;
	char text[600];
	struct model_problem p;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	model_problem_set(&p, 1100, text, "%s", text);
	assert_int_equal(p.code, 1100);
	assert_int_equal(strlen(p.field), MODEL_FIELD_MAX - 1);
	assert_int_equal(strlen(p.text), MODEL_PROBLEM_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_drop_has_its_own_name_and_a_text),
		cmocka_unit_test(every_counter_has_its_own_name_unit_and_help),
		cmocka_unit_test(problem_never_leaves_its_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
