#include "ike_test.h"

static void only_these_inputs_are_expected(void **state)
{
	static const struct {
		enum ike_state state;
		enum ike_input input;
		uint8_t exchange;
	} expected[] = {
		{ IKE_STATE_HALF_OPEN, IKE_IN_REQUEST, IKE_EX_SA_INIT },
		{ IKE_STATE_HALF_OPEN, IKE_IN_REQUEST, IKE_EX_AUTH },
		{ IKE_STATE_HALF_OPEN, IKE_IN_RESPONSE, IKE_EX_AUTH },
		{ IKE_STATE_ESTABLISHED, IKE_IN_REQUEST, IKE_EX_CREATE_CHILD_SA },
		{ IKE_STATE_ESTABLISHED, IKE_IN_REQUEST, IKE_EX_INFORMATIONAL },
		{ IKE_STATE_ESTABLISHED, IKE_IN_RESPONSE, IKE_EX_CREATE_CHILD_SA },
		{ IKE_STATE_ESTABLISHED, IKE_IN_RESPONSE, IKE_EX_INFORMATIONAL },
		{ IKE_STATE_REKEYED, IKE_IN_REQUEST, IKE_EX_CREATE_CHILD_SA },
		{ IKE_STATE_REKEYED, IKE_IN_REQUEST, IKE_EX_INFORMATIONAL },
		{ IKE_STATE_REKEYED, IKE_IN_RESPONSE, IKE_EX_INFORMATIONAL },
	};

	(void)state;
	for (unsigned s = 0; s <= IKE_STATE_CLOSED; s++) {
		for (unsigned input = 0; input <= IKE_IN_RESPONSE; input++) {
			for (unsigned x = 0; x < 256; x++) {
				bool want = false;
				for (size_t i = 0; i < ARRAY_LEN(expected); i++)
					want |= expected[i].state == s && expected[i].input == input && expected[i].exchange == x;
				assert_int_equal(ike_table_find((enum ike_state)s, (enum ike_input)input, (uint8_t)x) != NULL, want);
			}
		}
	}
}

static void nothing_happens_to_a_closed_sa_by_itself(void **state)
{
	(void)state;
	for (unsigned input = IKE_ON_TIMER; input <= IKE_ON_DUTY; input++) {
		assert_int_equal(ike_table_find(IKE_STATE_HALF_OPEN, (enum ike_input)input, 0) != NULL,
				 input == IKE_ON_TIMER);
		assert_null(ike_table_find(IKE_STATE_CLOSED, (enum ike_input)input, 0));
		assert_non_null(ike_table_find(IKE_STATE_ESTABLISHED, (enum ike_input)input, 0));
	}
}

static struct wire_ike_payloads payloads(const uint8_t *types, unsigned cnt)
{
	struct wire_ike_payloads in = { .cnt = (uint8_t)cnt };
	for (unsigned i = 0; i < cnt; i++)
		in.p[i].type = types[i];
	return in;
}

static void each_exchange_wants_its_payloads(void **state)
{
	static const uint8_t init[] = { IKE_PL_SA, IKE_PL_KE, IKE_PL_NONCE, IKE_PL_NOTIFY, IKE_PL_VENDOR, IKE_PL_VENDOR };
	static const uint8_t auth[] = { IKE_PL_IDI, IKE_PL_SA, IKE_PL_TSI, IKE_PL_TSR, IKE_PL_CERTREQ };
	static const uint8_t create[] = { IKE_PL_SA, IKE_PL_NONCE };
	struct wire_ike_payloads in;
	uint8_t type = 0;

	(void)state;
	in = payloads(init, 6);
	assert_int_equal(ike_rules_check(IKE_EX_SA_INIT, false, &in, &type), 0);
	in = payloads(init + 1, 5);
	assert_int_equal(ike_rules_check(IKE_EX_SA_INIT, false, &in, &type), IKE_N_INVALID_SYNTAX);
	assert_int_equal(type, IKE_PL_SA);
	in = payloads(auth, 5);
	assert_int_equal(ike_rules_check(IKE_EX_AUTH, false, &in, &type), 0);
	in = payloads(auth, 3);
	assert_int_equal(ike_rules_check(IKE_EX_AUTH, false, &in, &type), IKE_N_INVALID_SYNTAX);
	assert_int_equal(type, IKE_PL_TSR);
	in = payloads(auth, 1); /* childless: nothing of a Child SA, or all of it */
	assert_int_equal(ike_rules_check(IKE_EX_AUTH, false, &in, &type), 0);
	in = payloads(auth, 2);
	assert_int_equal(ike_rules_check(IKE_EX_AUTH, false, &in, &type), IKE_N_INVALID_SYNTAX);
	in = payloads(create, 2);
	assert_int_equal(ike_rules_check(IKE_EX_CREATE_CHILD_SA, false, &in, &type), 0);
	in = payloads(NULL, 0);
	assert_int_equal(ike_rules_check(IKE_EX_INFORMATIONAL, false, &in, &type), 0);
	assert_int_equal(ike_rules_check(IKE_EX_INFORMATIONAL, true, &in, &type), 0);
}

static void unknown_payloads_matter_only_when_critical(void **state)
{
	static const uint8_t types[] = { 200 };
	struct wire_ike_payloads in = payloads(types, 1);
	uint8_t type = 0;

	(void)state;
	assert_int_equal(ike_rules_check(IKE_EX_INFORMATIONAL, false, &in, &type), 0);
	in.p[0].critical = true;
	assert_int_equal(ike_rules_check(IKE_EX_INFORMATIONAL, false, &in, &type), IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
	assert_int_equal(type, 200);
	in.p[0].type = IKE_PL_DELETE;
	assert_int_equal(ike_rules_check(IKE_EX_INFORMATIONAL, false, &in, &type), 0);
}

static void count_line(void *arg, const char *text)
{
	unsigned *cnt = arg;
	unsigned bars = 0;

	for (const char *s = text; *s != '\0'; s++)
		bars += *s == '|';
	assert_int_equal(bars, 3);
	assert_true(strlen(text) < 200);
	(*cnt)++;
}

static void the_table_prints_a_line_for_each_row(void **state)
{
	unsigned cnt = 0;

	(void)state;
	ike_table_print(count_line, &cnt);
	assert_int_equal(cnt, 21);
}

TESTS(cmocka_unit_test(only_these_inputs_are_expected),
      cmocka_unit_test(nothing_happens_to_a_closed_sa_by_itself),
      cmocka_unit_test(each_exchange_wants_its_payloads), cmocka_unit_test(unknown_payloads_matter_only_when_critical),
      cmocka_unit_test(the_table_prints_a_line_for_each_row))
