#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/path.h"

static struct api_path path;

static void check_segment(size_t i, const char *want)
{
	assert_true(i < path.cnt);
	assert_true(bytes_eq(path.segments[i], bytes_str(want)));
}

static void prefix_may_be_there_or_not(void **state)
{
	(void)state;
	assert_int_equal(api_path_parse("/client/v4/accounts/1", &path), ERR_NONE);
	assert_int_equal(path.cnt, 2);
	check_segment(0, "accounts");
	assert_int_equal(api_path_parse("/accounts/1", &path), ERR_NONE);
	assert_int_equal(path.cnt, 2);
	check_segment(1, "1");
}

static void host_of_the_absolute_form_is_skipped(void **state)
{
	(void)state;
	static const char *const good[] = { "http://api.example/accounts/1", "HTTPS://x:8080/client/v4/accounts/1", "http:///accounts/1" };
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(api_path_parse(good[i], &path), ERR_NONE);
		assert_int_equal(path.cnt, 2);
		check_segment(0, "accounts");
		check_segment(1, "1");
	}
	static const char *const bad[] = { "http://api.example", "http:/accounts", "ftp://x/accounts", "*", "accounts" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(api_path_parse(bad[i], &path), ERR_SYNTAX);
}

static void encoded_slash_stays_in_its_segment(void **state)
{
	(void)state;
	assert_int_equal(api_path_parse("/accounts/a%2fb%41", &path), ERR_NONE);
	assert_int_equal(path.cnt, 2);
	check_segment(1, "a/bA");
}

static void broken_escapes_are_refused(void **state)
{
	static const char *const bad[] = { "/%", "/%4", "/%4g", "/a%00b", "", "accounts" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(api_path_parse(bad[i], &path), ERR_SYNTAX);
}

static void too_many_segments_or_characters_are_refused(void **state)
{
	static char text[API_PATH_TEXT_MAX + 8];
	(void)state;
	assert_int_equal(api_path_parse("/1/2/3/4/5/6/7/8/9/10", &path), ERR_NONE);
	assert_int_equal(api_path_parse("/1/2/3/4/5/6/7/8/9/10/11", &path), ERR_LONG);
	memset(text, 'a', sizeof(text) - 1);
	text[0] = '/';
	assert_int_equal(api_path_parse(text, &path), ERR_LONG);
}

static void pattern_gives_account_and_id(void **state)
{
	struct bytes account = { 0 }, id = { 0 };
	(void)state;
	assert_int_equal(api_path_parse("/accounts/7/magic/routes/abc", &path), ERR_NONE);
	assert_true(api_path_match(&path, "accounts/:a/magic/routes/:id", &account, &id));
	assert_true(bytes_eq(account, bytes_str("7")));
	assert_true(bytes_eq(id, bytes_str("abc")));
	assert_false(api_path_match(&path, "accounts/:a/magic/routes", &account, &id));
	assert_false(api_path_match(&path, "accounts/:a/magic/routes/:id/more", &account, &id));
	assert_false(api_path_match(&path, "accounts/:a/magic/tunnels/:id", &account, &id));
}

static void trailing_slash_is_an_empty_id(void **state)
{
	struct bytes account = { 0 }, id = { (const uint8_t *)"x", 1 };
	(void)state;
	assert_int_equal(api_path_parse("/accounts/7/magic/routes/", &path), ERR_NONE);
	assert_false(api_path_match(&path, "accounts/:a/magic/routes", &account, &id));
	assert_true(api_path_match(&path, "accounts/:a/magic/routes/:id", &account, &id));
	assert_int_equal(id.len, 0);
}

static void query_values_are_decoded(void **state)
{
	char text[8];
	(void)state;
	assert_int_equal(api_query_decode("a%20b", text, sizeof(text)), ERR_NONE);
	assert_string_equal(text, "a b");
	assert_int_equal(api_query_decode("12345678", text, sizeof(text)), ERR_FULL);
	assert_int_equal(api_query_decode("%zz", text, sizeof(text)), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefix_may_be_there_or_not),
		cmocka_unit_test(host_of_the_absolute_form_is_skipped),
		cmocka_unit_test(encoded_slash_stays_in_its_segment),
		cmocka_unit_test(broken_escapes_are_refused),
		cmocka_unit_test(too_many_segments_or_characters_are_refused),
		cmocka_unit_test(pattern_gives_account_and_id),
		cmocka_unit_test(trailing_slash_is_an_empty_id),
		cmocka_unit_test(query_values_are_decoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
