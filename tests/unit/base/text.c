#include "base/text.h"

#include "rig.h"

static void hex_goes_both_ways(void **state)
{
	uint8_t all[256], back[256];
	char text[513];
	(void)state;

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	text_hex(BYTES_OF(all), text, sizeof(text));
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text + 2 * 0xaf, "afb0", 4);
	assert_int_equal(text_hex_parse(bytes_str(text), back, sizeof(back)), ERR_NONE);
	assert_memory_equal(all, back, sizeof(all));
	text_hex(bytes_of(NULL, 0), text, 1);
	assert_string_equal(text, "");
}

static void hex_of_either_case_is_read(void **state)
{
	uint8_t b[4];
	(void)state;

	assert_int_equal(text_hex_parse(bytes_str("DEADbeef"), b, 4), ERR_NONE);
	assert_memory_equal(b, "\xde\xad\xbe\xef", 4);
}

static void every_byte_that_is_no_hex_digit_is_refused(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
		uint8_t text[2] = { '1', (uint8_t)c }, swapped[2] = { (uint8_t)c, '1' }, b = 0xee;
		assert_int_equal(text_hex_parse(BYTES_OF(text), &b, 1), digit ? ERR_NONE : ERR_SYNTAX);
		assert_int_equal(text_hex_parse(BYTES_OF(swapped), &b, 1), digit ? ERR_NONE : ERR_SYNTAX);
	}
}

static void refused_hex_writes_nothing(void **state)
{
	uint8_t b[3] = { 7, 7, 7 };
	(void)state;

	assert_int_equal(text_hex_parse(bytes_str("1234"), b, 3), ERR_SYNTAX);
	assert_int_equal(text_hex_parse(bytes_str("12345678"), b, 3), ERR_SYNTAX);
	assert_int_equal(text_hex_parse(bytes_str("12345"), b, 3), ERR_SYNTAX);
	assert_int_equal(text_hex_parse(bytes_str("12345g"), b, 3), ERR_SYNTAX);
	assert_int_equal(text_hex_parse(bytes_str(""), b, (size_t)1 << (8 * sizeof(size_t) - 1)), ERR_SYNTAX);
	assert_memory_equal(b, "\7\7\7", 3);
}

/* RFC 4648 10, without padding. */
static void base64url_of_the_rfc(void **state)
{
	static const char *const rows[][2] = {
		{ "", "" },           { "f", "Zg" },          { "fo", "Zm8" },         { "foo", "Zm9v" },
		{ "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" }
	};
	char text[16];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		text_base64url(bytes_str(rows[i][0]), text, sizeof(text));
		assert_string_equal(text, rows[i][1]);
	}
	text_base64url(bytes_of("\xfb\xff\xbf", 3), text, 5);
	assert_string_equal(text, "-_-_");
}

static void decimal_takes_digits_only(void **state)
{
	static const char *const refused[] = { "", "00", "01", "-1", "+1", " 1", "1 ", "1a", "0x1", "1.0" };
	uint64_t v = 99;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_int_equal(text_u64_parse(bytes_str(refused[i]), UINT64_MAX, &v), ERR_SYNTAX);
	assert_true(v == 99);
	assert_int_equal(text_u64_parse(bytes_str("0"), 0, &v), ERR_NONE);
	assert_true(v == 0);
}

static void decimal_ends_at_its_limit(void **state)
{
	uint64_t v = 99;
	(void)state;

	assert_int_equal(text_u64_parse(bytes_str("65535"), 65535, &v), ERR_NONE);
	assert_true(v == 65535);
	assert_int_equal(text_u64_parse(bytes_str("65536"), 65535, &v), ERR_RANGE);
	assert_int_equal(text_u64_parse(bytes_str("18446744073709551615"), UINT64_MAX, &v), ERR_NONE);
	assert_true(v == UINT64_MAX);
	v = 99;
	assert_int_equal(text_u64_parse(bytes_str("18446744073709551616"), UINT64_MAX, &v), ERR_RANGE);
	assert_int_equal(text_u64_parse(bytes_str("99999999999999999999999999"), UINT64_MAX, &v), ERR_RANGE);
	assert_true(v == 99);
	/* Malformed wins over too great. */
	assert_int_equal(text_u64_parse(bytes_str("99999999999999999999999999x"), 10, &v), ERR_SYNTAX);
}

static void distance_counts_edits(void **state)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} rows[] = {
		{ "", "", 0 },
		{ "", "abc", 3 },
		{ "abc", "abc", 0 },
		{ "abc", "abd", 1 },
		{ "abc", "ac", 1 },
		{ "ac", "abc", 1 },
		{ "kitten", "sitting", 3 },
		{ "psk", "pks", 2 },
		{ "lifetime", "lifetimes", 1 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(text_distance(rows[i].a, rows[i].b), rows[i].distance);
		assert_int_equal(text_distance(rows[i].b, rows[i].a), rows[i].distance);
	}
}

static void distance_looks_at_64_bytes(void **state)
{
	char a[101], b[101];
	(void)state;

	memset(a, 'a', 100);
	memset(b, 'a', 100);
	a[100] = b[100] = 0;
	b[64] = 'b';
	assert_int_equal(text_distance(a, b), 0);
	b[63] = 'b';
	assert_int_equal(text_distance(a, b), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_goes_both_ways),
		cmocka_unit_test(hex_of_either_case_is_read),
		cmocka_unit_test(every_byte_that_is_no_hex_digit_is_refused),
		cmocka_unit_test(refused_hex_writes_nothing),
		cmocka_unit_test(base64url_of_the_rfc),
		cmocka_unit_test(decimal_takes_digits_only),
		cmocka_unit_test(decimal_ends_at_its_limit),
		cmocka_unit_test(distance_counts_edits),
		cmocka_unit_test(distance_looks_at_64_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
