#include "explain/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DOMAIN "ipsec.example.net"
#define TUNNEL "0123456789abcdef0123456789abcdef"

static struct model_id id_of(const char *text)
{
	struct model_id id;
	assert_int_equal(model_id_parse(bytes_str(text), &id), ERR_NONE);
	return id;
}

/* Two tunnels: that of account 77, and another. */
static uint8_t ask(const char *identity, struct model_failure *f)
{
	const struct model_id right = id_of(TUNNEL), other = id_of("ffffffffffffffffffffffffffffffff");
	const struct model_id account = { { 0xac } };
	struct explain_near n;

	explain_near_start(&n, identity, DOMAIN);
	explain_near_try(&n, &other, &account, 78);
	explain_near_try(&n, &right, &account, 77);
	explain_near_try(&n, &other, &account, 78);
	*f = (struct model_failure){ .code = MODEL_FAILURE_UNKNOWN_IDENTITY };
	explain_near_end(&n, f);
	return f->code;
}

static void each_error_is_named_with_the_tunnel_that_was_meant(void **state)
{
	(void)state;
	static const struct {
		const char *identity;
		uint8_t code;
	} rows[] = {
		{ "fqdn:0123456789abcdef0123456789abcdee.77." DOMAIN, MODEL_FAILURE_IDENTITY_TYPO },
		{ "fqdn:123456789abcdef0123456789abcdef.77." DOMAIN, MODEL_FAILURE_IDENTITY_TYPO },
		{ "keyid:77_0123456789abcdef01234567890bcdef", MODEL_FAILURE_IDENTITY_TYPO },
		{ "rfc822:ipsec@00123456789abcdef0123456789abcdef.77." DOMAIN, MODEL_FAILURE_IDENTITY_TYPO },
		{ "fqdn:" TUNNEL ".78." DOMAIN, MODEL_FAILURE_IDENTITY_ACCOUNT },
		{ "keyid:7_" TUNNEL, MODEL_FAILURE_IDENTITY_ACCOUNT },
		{ "fqdn:ipsec@" TUNNEL ".77." DOMAIN, MODEL_FAILURE_IDENTITY_FORM },
		{ "rfc822:" TUNNEL ".77." DOMAIN, MODEL_FAILURE_IDENTITY_FORM },
		{ "rfc822:vpn@" TUNNEL ".77." DOMAIN, MODEL_FAILURE_IDENTITY_FORM },
		{ "keyid:" TUNNEL ".77." DOMAIN, MODEL_FAILURE_IDENTITY_FORM },
		{ "fqdn:77_" TUNNEL, MODEL_FAILURE_IDENTITY_FORM },
		{ "fqdn:77." TUNNEL "." DOMAIN, MODEL_FAILURE_IDENTITY_FORM },
		{ "fqdn:" TUNNEL, MODEL_FAILURE_IDENTITY_FORM },
		{ "keyid:37375f3031323334353637383961626364656630313233343536373839616263646566", MODEL_FAILURE_IDENTITY_FORM },
		{ "fqdn:37375F3031323334353637383961626364656630313233343536373839616263646566", MODEL_FAILURE_IDENTITY_FORM },
		{ "fqdn:" TUNNEL ".77.ipsec.example.com", MODEL_FAILURE_IDENTITY_DOMAIN },
		{ "fqdn:" TUNNEL ".77", MODEL_FAILURE_IDENTITY_DOMAIN },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct model_failure f;
		const struct model_id right = id_of(TUNNEL);
		uint8_t code = ask(rows[i].identity, &f);
		if (code != rows[i].code)
			fail_msg("%s is %s", rows[i].identity, model_failure_code_name(code));
		assert_true(model_id_eq(&f.near_tunnel_id, &right));
		assert_int_equal(f.near_account_number, 77);
	}
}

static void what_is_like_no_tunnel_names_none(void **state)
{
	(void)state;
	static const char *const identities[] = { "fqdn:router.example.com", "fqdn:", "keyid:_", "rfc822:@",
						  ("fqdn:0fedcba987654321fedcba9876543210.77." DOMAIN), "type 9:3031",
						  "fqdn:................", "keyid:\\x00_\\x01" };
	for (size_t i = 0; i < ARRAY_LEN(identities); i++) {
		struct model_failure f;
		assert_int_equal(ask(identities[i], &f), MODEL_FAILURE_UNKNOWN_IDENTITY);
		assert_true(model_id_is_zero(&f.near_tunnel_id));
	}
}

static void an_address_has_its_own_code(void **state)
{
	(void)state;
	struct model_failure f;
	assert_int_equal(ask("ipv4:203.0.113.9", &f), MODEL_FAILURE_IDENTITY_ADDRESS);
	assert_int_equal(ask("ipv6:2001:db8::1", &f), MODEL_FAILURE_IDENTITY_ADDRESS);
}

static void letters_of_both_cases_are_the_same(void **state)
{
	(void)state;
	struct model_failure f;
	assert_int_equal(ask("fqdn:0123456789ABCDEF0123456789ABCDEF.78." DOMAIN, &f), MODEL_FAILURE_IDENTITY_ACCOUNT);
}

static void distance_is_that_of_levenshtein_up_to_its_limit(void **state)
{
	(void)state;
	assert_int_equal(explain_edit_distance("kitten", "sitting", 9), 3);
	assert_int_equal(explain_edit_distance("", "abc", 9), 3);
	assert_int_equal(explain_edit_distance("abc", "", 9), 3);
	assert_int_equal(explain_edit_distance("abc", "abc", 0), 0);
	assert_int_equal(explain_edit_distance("flaw", "lawn", 9), 2);
	assert_int_equal(explain_edit_distance("kitten", "sitting", 2), 3);
	assert_int_equal(explain_edit_distance("a", "abcdefgh", 3), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_error_is_named_with_the_tunnel_that_was_meant),
		cmocka_unit_test(what_is_like_no_tunnel_names_none),
		cmocka_unit_test(an_address_has_its_own_code),
		cmocka_unit_test(letters_of_both_cases_are_the_same),
		cmocka_unit_test(distance_is_that_of_levenshtein_up_to_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
