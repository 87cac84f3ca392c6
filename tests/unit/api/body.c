#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/body.h"
#include "base/secret.h"

/* The message of the refusal, "" when the body is taken. */
static const char *parse(const char *body, size_t len)
{
	static char text[512];
	struct api_call c = { .body = bytes_of(body, len) };

	api_body_parse(&c);
	const char *message = json_string_value(json_object_get(json_array_get(c.errors, 0), "message"));
	snprintf(text, sizeof(text), "%s", message != NULL ? message : "");
	if (message != NULL)
		assert_int_equal(c.status, 400);
	api_call_fini(&c);
	return text;
}

static void well_formed_values_are_taken(void **state)
{
	static const char *const good[] = { "{}",
					    "[]",
					    "1",
					    "\"x\"",
					    "{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
					    "  {\"a\" : \"[[[[[[[[[[[[[[[[[[[[[[\\\"[[\" } \n",
					    "" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_string_equal(parse(good[i], strlen(good[i])), "");
}

static void broken_bodies_are_refused_with_the_place(void **state)
{
	static const struct {
		const char *body, *says;
	} bad[] = {
		{ "{", "too early" },
		{ "{\"a\":}", "not well formed" },
		{ "{}{}", "follows the first" },
		{ "{'a':1}", "not well formed" },
		{ "{\"a\":1,}", "not well formed" },
		{ "{\"a\":\"\\u0000\"}", "U+0000" },
		{ "{\"a\":\"\xff\"}", "UTF-8" },
		{ "{\"a\":99999999999999999999}", "too big" },
		{ "{\"a\":1e999}", "too big" },
		{ "{\"a\":NaN}", "not well formed" },
		{ "{\"a\":\"\\ud800\"}", "" },
		{ "nul", "not well formed" },
		{ "<html>", "not well formed" },
		{ "{\"a\":01}", "not well formed" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *said = parse(bad[i].body, strlen(bad[i].body));
		assert_non_null(strstr(said, "Invalid Request: "));
		assert_non_null(strstr(said, bad[i].says));
	}
	assert_non_null(strstr(parse("{\0}", 3), "Invalid Request: "));
}

static void duplicate_key_is_named(void **state)
{
	static const char top[] = "{\"name\":1,\"x\":2,\"name\":3}", deep[] = "{\"a\":{\"b\":1,\"b\":1}}";
	(void)state;
	assert_non_null(strstr(parse(top, strlen(top)), "\"name\" stands twice"));
	assert_non_null(strstr(parse(deep, strlen(deep)), "\"b\" stands twice"));
}

static void depth_is_bounded(void **state)
{
	static char body[200000];
	(void)state;
	memset(body, '[', 17);
	assert_non_null(strstr(parse(body, 17), "nested deeper"));
	memset(body, '[', 16);
	memset(body + 16, ']', 16);
	assert_string_equal(parse(body, 32), "");
	memset(body, '[', sizeof(body));
	assert_non_null(strstr(parse(body, sizeof(body)), "nested deeper"));
}

/* The library's own message would quote it. */
static void refusal_does_not_repeat_the_body(void **state)
{
	static const char *const bodies[] = {
		"{\"psk\" \"canary\"}", "{\"psk\":canary}", "{\"psk\":\"canary\" x}",
		"{\"psk\":\"canary",	"canary",	    "{\"psk\":\"canary\\q\"}"
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		const char *said = parse(bodies[i], strlen(bodies[i]));
		assert_string_not_equal(said, "");
		assert_null(strstr(said, "canary"));
	}
}

static void freed_json_is_wiped(void **state)
{
	static const char body[] = "{\"psk\":\"canary-canary-canary-canary\"}";
	struct api_call c = { .body = bytes_str(body) };
	json_malloc_t take;
	json_free_t give;
	(void)state;
	api_json_init();
	json_get_alloc_funcs(&take, &give);
	assert_ptr_not_equal(give, free);
	api_body_parse(&c);
	assert_false(api_failed(&c));
	api_call_fini(&c);
	assert_null(c.json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_values_are_taken),
		cmocka_unit_test(broken_bodies_are_refused_with_the_place),
		cmocka_unit_test(duplicate_key_is_named),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(refusal_does_not_repeat_the_body),
		cmocka_unit_test(freed_json_is_wiped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
