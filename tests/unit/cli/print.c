#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/print.h"

static const char *printed(const char *text)
{
	static char out[256];
	FILE *f = fmemopen(out, sizeof(out), "w");
	assert_non_null(f);
	cli_print_text(f, text);
	fclose(f);
	return out;
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	(void)state;
	assert_string_equal(printed("a\x1b[31mb\x7f\n"), "a?[31mb??");
	assert_string_equal(printed("\xc2\x9b"
				    "31m"),
			    "?31m");
	assert_string_equal(printed("caf\xc3\xa9"), "caf\xc3\xa9");
	assert_string_equal(printed(NULL), "-");
}

static void sizes_are_for_people(void **state)
{
	char text[CLI_SIZE_MAX];
	(void)state;
	assert_string_equal(cli_size(0, text), "0 B");
	assert_string_equal(cli_size(999, text), "999 B");
	assert_string_equal(cli_size(1500, text), "1.5 kB");
	assert_string_equal(cli_size(52428800, text), "52.4 MB");
}

static void ages_are_for_people(void **state)
{
	char text[CLI_SIZE_MAX];
	(void)state;
	assert_string_equal(cli_age(NULL, text), "-");
	assert_string_equal(cli_age("yesterday", text), "-");
	assert_string_equal(cli_age("2999-01-01T00:00:00.000000Z", text), "0 s");
	assert_non_null(strstr(cli_age("2020-01-01T00:00:00.000000Z", text), " d "));
}

/* What a table prints, taken out of standard output. */
static void capture(void (*print)(void), char *out, size_t cap)
{
	FILE *f = tmpfile();
	assert_non_null(f);
	fflush(stdout);
	int old = dup(STDOUT_FILENO);
	assert_true(dup2(fileno(f), STDOUT_FILENO) >= 0);
	print();
	fflush(stdout);
	assert_true(dup2(old, STDOUT_FILENO) >= 0);
	close(old);
	rewind(f);
	size_t n = fread(out, 1, cap - 1, f);
	out[n] = 0;
	fclose(f);
}

static void print_table(void)
{
	struct cli_table t;
	cli_table_init(&t, "NAME|N");
	cli_table_cell(&t, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
	cli_table_cellf(&t, "%d", 1);
	cli_table_cell(&t, "b\x1b");
	cli_table_cell(&t, NULL);
	cli_table_end(&t, "nothing");
}

static void print_empty(void)
{
	struct cli_table t;
	cli_table_init(&t, "NAME|N");
	cli_table_end(&t, "nothing");
}

static void columns_line_up_by_characters(void **state)
{
	char out[256];
	(void)state;
	capture(print_table, out, sizeof(out));
	assert_string_equal(out,
			    "NAME    N\n\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9  1\nb?      -\n");
}

static void empty_table_says_what_is_missing(void **state)
{
	char out[256];
	(void)state;
	capture(print_empty, out, sizeof(out));
	assert_string_equal(out, "nothing\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_characters_do_not_reach_the_terminal),
		cmocka_unit_test(sizes_are_for_people),
		cmocka_unit_test(ages_are_for_people),
		cmocka_unit_test(columns_line_up_by_characters),
		cmocka_unit_test(empty_table_says_what_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
