#include "model/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/iana.h"

#define TUNNEL "f5407d8db1a542b196c59f6d04ba8bd1"
#define ACCOUNT "023e105f4ecef8ad9ca31a8372d0c353"
#define DOMAIN "ipsec.cloudflare.com"

static const struct model_id tunnel = { { 0xf5, 0x40, 0x7d, 0x8d, 0xb1, 0xa5, 0x42, 0xb1, 0x96, 0xc5, 0x9f, 0x6d,
					  0x04, 0xba, 0x8b, 0xd1 } };

/* Over an exact heap copy, so that a read beyond it is seen; the value must stay as it was on failure. */
static enum err parse(uint8_t type, const char *data, size_t len, struct model_identity *ret)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	struct model_identity id;
	assert_non_null(copy);
	memcpy(copy, data, len);
	memset(&id, 0xa5, sizeof(id));
	enum err e = model_identity_parse(type, bytes_of(copy, len), DOMAIN, &id);
	if (e != ERR_NONE)
		for (size_t i = 0; i < sizeof(id); i++)
			assert_int_equal(((uint8_t *)&id)[i], 0xa5);
	*ret = id;
	free(copy);
	return e;
}

static void expect_tunnel(uint8_t type, const char *text, bool number)
{
	struct model_identity id;
	if (parse(type, text, strlen(text), &id) != ERR_NONE)
		fail_msg("%s was refused", text);
	assert_int_equal(id.type, type);
	assert_false(id.by_address);
	assert_true(model_id_eq(&id.tunnel_id, &tunnel));
	assert_int_equal(id.account_is_number, number);
	if (number) {
		assert_int_equal(id.account_number, 123456789);
	} else {
		assert_int_equal(id.account_id.b[0], 0x02);
		assert_int_equal(id.account_id.b[15], 0x53);
	}
}

static void three_documented_forms_are_taken(void **state)
{
	(void)state;
	expect_tunnel(IKE_ID_FQDN, TUNNEL ".123456789." DOMAIN, true);
	expect_tunnel(IKE_ID_RFC822_ADDR, "ipsec@" TUNNEL ".123456789." DOMAIN, true);
	expect_tunnel(IKE_ID_KEY_ID, "123456789_" TUNNEL, true);
}

static void account_id_of_32_hex_is_taken_for_the_number(void **state)
{
	(void)state;
	expect_tunnel(IKE_ID_FQDN, TUNNEL "." ACCOUNT "." DOMAIN, false);
	expect_tunnel(IKE_ID_RFC822_ADDR, "ipsec@" TUNNEL "." ACCOUNT "." DOMAIN, false);
	expect_tunnel(IKE_ID_KEY_ID, ACCOUNT "_" TUNNEL, false);
}

static void letter_case_is_ignored(void **state)
{
	(void)state;
	expect_tunnel(IKE_ID_FQDN, "F5407D8DB1A542B196C59F6D04BA8BD1.123456789.IPsec.CloudFlare.COM", true);
	expect_tunnel(IKE_ID_RFC822_ADDR, "IPSEC@F5407d8db1a542b196c59f6d04ba8bd1.123456789.ipsec.cloudflare.com", true);
	expect_tunnel(IKE_ID_KEY_ID, "023E105F4ECEF8AD9CA31A8372D0C353_F5407D8DB1A542B196C59F6D04BA8BD1", false);
}

static void other_forms_are_refused(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		const char *text;
	} bad[] = {
		{ IKE_ID_FQDN, "" },
		{ IKE_ID_FQDN, "." },
		{ IKE_ID_FQDN, TUNNEL },
		{ IKE_ID_FQDN, TUNNEL ".123456789" },
		{ IKE_ID_FQDN, TUNNEL ".123456789." },
		{ IKE_ID_FQDN, TUNNEL ".123456789." DOMAIN "." },
		{ IKE_ID_FQDN, "." TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL "..123456789." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".123456789.." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".0." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".0123." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".4294967296." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".-1." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".12x." DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".123456789.other.example" },
		{ IKE_ID_FQDN, TUNNEL ".123456789.x" DOMAIN },
		{ IKE_ID_FQDN, TUNNEL ".123456789." DOMAIN "x" },
		{ IKE_ID_FQDN, TUNNEL "0.123456789." DOMAIN },
		{ IKE_ID_FQDN, "g5407d8db1a542b196c59f6d04ba8bd1.123456789." DOMAIN },
		{ IKE_ID_FQDN, " " TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_FQDN, "ipsec@" TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_FQDN, "123456789_" TUNNEL },
		{ IKE_ID_RFC822_ADDR, TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_RFC822_ADDR, "@" TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_RFC822_ADDR, "user@" TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_RFC822_ADDR, "ipsec@ipsec@" TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_RFC822_ADDR, "ipsec" },
		{ IKE_ID_RFC822_ADDR, "ipsec@" },
		{ IKE_ID_KEY_ID, "" },
		{ IKE_ID_KEY_ID, "_" TUNNEL },
		{ IKE_ID_KEY_ID, "123456789" TUNNEL },
		{ IKE_ID_KEY_ID, "123456789__" TUNNEL },
		{ IKE_ID_KEY_ID, "123456789_" },
		{ IKE_ID_KEY_ID, "123456789_" TUNNEL "_" },
		{ IKE_ID_KEY_ID, "0_" TUNNEL },
	};
	struct model_identity id;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (parse(bad[i].type, bad[i].text, strlen(bad[i].text), &id) != ERR_SYNTAX)
			fail_msg("\"%s\" was taken", bad[i].text);
}

static void embedded_nul_is_refused_everywhere(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		const char *text;
	} good[] = {
		{ IKE_ID_FQDN, TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_RFC822_ADDR, "ipsec@" TUNNEL ".123456789." DOMAIN },
		{ IKE_ID_KEY_ID, "123456789_" TUNNEL },
	};
	struct model_identity id;
	char text[256];
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t len = strlen(good[i].text);
		for (size_t at = 0; at <= len; at++) {
			/* in place of a character, and between two of them or at the end */
			memcpy(text, good[i].text, len);
			if (at < len) {
				text[at] = 0;
				assert_int_equal(parse(good[i].type, text, len, &id), ERR_SYNTAX);
			}
			memcpy(text, good[i].text, at);
			text[at] = 0;
			memcpy(text + at + 1, good[i].text + at, len - at);
			assert_int_equal(parse(good[i].type, text, len + 1, &id), ERR_SYNTAX);
		}
		for (size_t n = 0; n < len; n++)
			if (parse(good[i].type, good[i].text, n, &id) != ERR_SYNTAX)
				fail_msg("%s was taken when cut to %zu", good[i].text, n);
	}
}

static void overlong_text_is_refused(void **state)
{
	(void)state;
	static char text[65536];
	struct model_identity id;
	memset(text, 'a', sizeof(text));
	memcpy(text, "ipsec@" TUNNEL ".123456789." DOMAIN, strlen("ipsec@" TUNNEL ".123456789." DOMAIN));
	assert_int_equal(parse(IKE_ID_RFC822_ADDR, text, sizeof(text), &id), ERR_SYNTAX);
	assert_int_equal(parse(IKE_ID_FQDN, text, 65535, &id), ERR_SYNTAX);
	assert_int_equal(parse(IKE_ID_KEY_ID, text, 300, &id), ERR_SYNTAX);
}

static void addresses_have_exactly_their_length(void **state)
{
	(void)state;
	static const char sixteen[16] = { 0x20, 1, 0xd };
	struct model_identity id;
	for (size_t n = 0; n <= 16; n++) {
		assert_int_equal(parse(IKE_ID_IPV4_ADDR, sixteen, n, &id), n == 4 ? ERR_NONE : ERR_SYNTAX);
		if (n == 4) {
			assert_true(id.by_address);
			assert_int_equal(id.addr.family, ADDR_V4);
		}
		assert_int_equal(parse(IKE_ID_IPV6_ADDR, sixteen, n, &id), n == 16 ? ERR_NONE : ERR_SYNTAX);
	}
	assert_int_equal(id.addr.family, ADDR_V6);
}

static void other_types_are_unsupported(void **state)
{
	(void)state;
	struct model_identity id;
	for (unsigned type = 0; type < 256; type++)
		if (type != 1 && type != 2 && type != 3 && type != 5 && type != 11)
			assert_int_equal(parse((uint8_t)type, TUNNEL, 32, &id), ERR_UNSUPPORTED);
}

static void texts_that_we_make_are_those_that_we_take(void **state)
{
	(void)state;
	char text[MODEL_IDENTITY_TEXT_MAX];
	model_identity_fqdn(123456789, &tunnel, DOMAIN, text);
	assert_string_equal(text, TUNNEL ".123456789." DOMAIN);
	expect_tunnel(IKE_ID_FQDN, text, true);
	model_identity_user(123456789, &tunnel, DOMAIN, text);
	assert_string_equal(text, "ipsec@" TUNNEL ".123456789." DOMAIN);
	expect_tunnel(IKE_ID_RFC822_ADDR, text, true);
	model_identity_key(123456789, &tunnel, text);
	assert_string_equal(text, "123456789_" TUNNEL);
	expect_tunnel(IKE_ID_KEY_ID, text, true);
	/* the longest domain still fits */
	char domain[MODEL_DOMAIN_MAX];
	memset(domain, 'd', sizeof(domain) - 1);
	domain[sizeof(domain) - 1] = 0;
	model_identity_user(UINT32_MAX, &tunnel, domain, text);
	assert_int_equal(strlen(text), 6 + 32 + 1 + 10 + 1 + MODEL_DOMAIN_MAX - 1);
}

static void printing_gives_bounded_printable_ascii_for_anything(void **state)
{
	(void)state;
	static uint8_t data[1024];
	char text[MODEL_IDENTITY_TEXT_MAX];
	for (unsigned fill = 0; fill < 256; fill++) {
		memset(data, (int)fill, sizeof(data));
		for (unsigned type = 0; type < 16; type++) {
			for (size_t len = 0; len < 300; len += len < 20 ? 1 : 31) {
				memset(text, 0x7f, sizeof(text));
				model_identity_print((uint8_t)type, bytes_of(data, len), text);
				size_t n = strnlen(text, sizeof(text));
				assert_true(n < sizeof(text));
				for (size_t i = 0; i < n; i++)
					assert_true(text[i] >= 0x20 && text[i] < 0x7f);
			}
		}
	}
}

static void printing_says_type_and_text(void **state)
{
	(void)state;
	char text[MODEL_IDENTITY_TEXT_MAX];
	static const uint8_t four[] = { 192, 0, 2, 1 };
	model_identity_print(IKE_ID_FQDN, bytes_str("gw.example"), text);
	assert_string_equal(text, "fqdn:gw.example");
	model_identity_print(IKE_ID_KEY_ID, bytes_of("a\n\\\0b", 5), text);
	assert_string_equal(text, "keyid:a\\x0a\\x5c\\x00b");
	model_identity_print(IKE_ID_IPV4_ADDR, BYTES_OF(four), text);
	assert_string_equal(text, "ipv4:192.0.2.1");
	model_identity_print(IKE_ID_IPV4_ADDR, bytes_of(four, 3), text);
	assert_string_equal(text, "type 1:c00002");
	model_identity_print(9, BYTES_OF(four), text);
	assert_string_equal(text, "type 9:c0000201");
	char longest[400];
	memset(longest, 'x', sizeof(longest));
	model_identity_print(IKE_ID_FQDN, BYTES_OF(longest), text);
	assert_int_equal(strlen(text), MODEL_IDENTITY_TEXT_MAX - 1);
	assert_string_equal(text + MODEL_IDENTITY_TEXT_MAX - 4, "...");
	model_identity_print(IKE_ID_FQDN, bytes_of(longest, MODEL_IDENTITY_TEXT_MAX - 6), text);
	assert_int_equal(strlen(text), MODEL_IDENTITY_TEXT_MAX - 1);
	assert_int_equal(text[MODEL_IDENTITY_TEXT_MAX - 2], 'x'); /* fits exactly, not cut */
}

static void type_names_are_fixed(void **state)
{
	(void)state;
	assert_string_equal(model_identity_type_name(IKE_ID_IPV4_ADDR), "ipv4");
	assert_string_equal(model_identity_type_name(IKE_ID_IPV6_ADDR), "ipv6");
	assert_string_equal(model_identity_type_name(IKE_ID_FQDN), "fqdn");
	assert_string_equal(model_identity_type_name(IKE_ID_RFC822_ADDR), "rfc822");
	assert_string_equal(model_identity_type_name(IKE_ID_KEY_ID), "keyid");
	assert_string_equal(model_identity_type_name(0), "other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_documented_forms_are_taken),
		cmocka_unit_test(account_id_of_32_hex_is_taken_for_the_number),
		cmocka_unit_test(letter_case_is_ignored),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(embedded_nul_is_refused_everywhere),
		cmocka_unit_test(overlong_text_is_refused),
		cmocka_unit_test(addresses_have_exactly_their_length),
		cmocka_unit_test(other_types_are_unsupported),
		cmocka_unit_test(texts_that_we_make_are_those_that_we_take),
		cmocka_unit_test(printing_gives_bounded_printable_ascii_for_anything),
		cmocka_unit_test(printing_says_type_and_text),
		cmocka_unit_test(type_names_are_fixed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
