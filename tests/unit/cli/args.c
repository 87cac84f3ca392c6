#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/args.h"
#include "cli/cli.h"

#define PARSE(a, ...) parse(a, (const char *[]){ "onramp", __VA_ARGS__, NULL })

static int parse(struct cli_args *a, const char **words)
{
	int n = 0;
	while (words[n] != NULL)
		n++;
	*a = (struct cli_args){ 0 };
	return cli_args_parse(cli_commands, n, (char **)(uintptr_t)words, a);
}

static void command_words_and_options_are_read(void **state)
{
	struct cli_args a;
	(void)state;
	assert_int_equal(PARSE(&a, "tunnel", "create", "b1", "--interface", "10.0.0.0/31",
			       "--endpoint=192.0.2.1", "--generate", "--json", "--account", "7"),
			 CLI_OK);
	assert_string_equal(a.command->noun, "tunnel");
	assert_string_equal(a.command->verb, "create");
	assert_int_equal(a.word_cnt, 1);
	assert_string_equal(a.words[0], "b1");
	assert_string_equal(cli_args_value(&a, "interface"), "10.0.0.0/31");
	assert_string_equal(cli_args_value(&a, "endpoint"), "192.0.2.1");
	assert_non_null(cli_args_value(&a, "generate"));
	assert_null(cli_args_value(&a, "customer"));
	assert_true(a.json);
	assert_string_equal(a.account, "7");
}

static void options_may_stand_before_the_command(void **state)
{
	struct cli_args a;
	(void)state;
	assert_int_equal(PARSE(&a, "--account", "route", "--json", "tunnel", "list"), CLI_OK);
	assert_string_equal(a.account, "route");
	assert_string_equal(a.command->noun, "tunnel");
}

static void noun_without_verb_takes_words(void **state)
{
	struct cli_args a;
	(void)state;
	assert_int_equal(PARSE(&a, "status"), CLI_OK);
	assert_int_equal(a.word_cnt, 0);
	assert_int_equal(PARSE(&a, "status", "b1"), CLI_OK);
	assert_string_equal(a.words[0], "b1");
}

static void two_dashes_end_the_options(void **state)
{
	struct cli_args a;
	(void)state;
	assert_int_equal(PARSE(&a, "tunnel", "show", "--", "--strange-name"), CLI_OK);
	assert_string_equal(a.words[0], "--strange-name");
}

static void wrong_usage_is_refused(void **state)
{
	struct cli_args a;
	(void)state;
	assert_int_equal(PARSE(&a, "tunel", "list"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "frobnicate"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "create"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "show", "a", "b"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "list", "--interfaces", "x"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "list", "--json=yes"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "list", "--account"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "list", "-v"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "status", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "--json"), CLI_USAGE);
}

static void secrets_are_not_taken_as_arguments(void **state)
{
	struct cli_args a;
	(void)state;
	assert_int_equal(PARSE(&a, "tunnel", "list", "--token", "onr_x"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "list", "--token=onr_x"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "create", "a", "--psk", "x"), CLI_USAGE);
	assert_int_equal(PARSE(&a, "tunnel", "psk", "a", "--psk=x"), CLI_USAGE);
}

static void help_needs_no_valid_command(void **state)
{
	struct cli_args a;
	(void)state;
	assert_int_equal(PARSE(&a, "--help"), CLI_OK);
	assert_true(a.help);
	assert_int_equal(PARSE(&a, "tunnel", "-h"), CLI_OK);
	assert_true(a.help);
	assert_int_equal(PARSE(&a, "tunnel", "create", "--help"), CLI_OK);
	assert_string_equal(a.command->verb, "create");
}

/* The tables are what help and parsing are made of: no row may promise what the code cannot keep. */
static void table_of_commands_is_sound(void **state)
{
	size_t n = 0;
	(void)state;
	for (const struct cli_command *c = cli_commands; c->noun != NULL; c++, n++) {
		size_t options = 0;
		assert_non_null(c->run);
		assert_true(c->word_min <= c->word_max && c->word_max <= CLI_WORDS_MAX);
		assert_true(strlen(c->help) > 10);
		while (c->options != NULL && c->options[options].name != NULL)
			options++;
		assert_true(options <= CLI_OPTIONS_MAX);
	}
	assert_true(n >= 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_words_and_options_are_read),
		cmocka_unit_test(options_may_stand_before_the_command),
		cmocka_unit_test(noun_without_verb_takes_words),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(wrong_usage_is_refused),
		cmocka_unit_test(secrets_are_not_taken_as_arguments),
		cmocka_unit_test(help_needs_no_valid_command),
		cmocka_unit_test(table_of_commands_is_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
