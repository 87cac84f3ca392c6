#include "model/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define A "01000000000000000000000000000000"
#define T "000000000000000000000000000000ff"

static const struct model_id account = { { 1 } };
static const struct model_id thing = { { [15] = 0xff } };

static void keys_have_the_documented_layout(void **state)
{
	(void)state;
	uint8_t hash[32];
	memset(hash, 0xab, sizeof(hash));
	assert_string_equal(model_key_account(&account).text, "cfg/acct/" A);
	assert_string_equal(model_key_account_number(123456789).text, "cfg/acctnum/123456789");
	assert_string_equal(model_key_version(&account).text, "cfg/ver/" A);
	assert_string_equal(model_key_tunnel(&account, &thing).text, "cfg/tun/" A "/" T);
	assert_string_equal(model_key_psk(&account, &thing).text, "cfg/psk/" A "/" T);
	assert_string_equal(model_key_route(&account, &thing).text, "cfg/route/" A "/" T);
	assert_string_equal(model_key_token(hash).text,
			    "cfg/tok/abababababababababababababababababababababababababababababababab");
	assert_string_equal(model_key_ike(0x1122334455667788).text, "ike/1122334455667788");
	assert_string_equal(model_key_ike(1).text, "ike/0000000000000001");
	assert_string_equal(model_key_child(0xff).text, "child/000000ff");
	assert_string_equal(model_key_tunnel_state(&account, &thing).text, "st/tun/" A "/" T);
	assert_string_equal(model_key_unknown(7).text, "st/unknown/7");
}

static void prefix_of_a_kind_begins_all_its_keys_and_no_others(void **state)
{
	(void)state;
	struct model_key p = model_key_prefix("cfg/tun", &account), q = model_key_prefix(MODEL_KEY_STATES, &account);
	struct model_key k = model_key_tunnel(&account, &thing), s = model_key_tunnel_state(&account, &thing);
	struct model_key other = model_key_tunnel(&thing, &account);

	assert_string_equal(p.text, "cfg/tun/" A "/");
	assert_string_equal(model_key_prefix("cfg/tun/", &account).text, p.text);
	assert_true(bytes_starts(model_key_bytes(&k), model_key_bytes(&p)));
	assert_true(bytes_starts(model_key_bytes(&s), model_key_bytes(&q)));
	assert_false(bytes_starts(model_key_bytes(&other), model_key_bytes(&p)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_have_the_documented_layout),
		cmocka_unit_test(prefix_of_a_kind_begins_all_its_keys_and_no_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
