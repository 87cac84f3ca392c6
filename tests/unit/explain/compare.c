#include "explain/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* An offer in the making. */
static void offer(struct model_failure *f, uint8_t proposal, uint8_t type, uint16_t id, uint16_t key_bits)
{
	f->offer[f->offer_cnt++] = (struct model_offered){ proposal, type, id, key_bits };
}

static struct model_failure refused(enum model_phase phase)
{
	struct model_failure f = { .code = phase == MODEL_PHASE_IKE ? MODEL_FAILURE_NO_PROPOSAL_IKE
								    : MODEL_FAILURE_NO_PROPOSAL_CHILD };

	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if ((t->phase & phase) != 0 && t->opt_in == 0 && t->profiles == MODEL_PROFILE_ALL)
			f.allow[f.allow_cnt++] = (struct model_offered){ 0, t->type, t->id, t->key_bits };
	}
	return f;
}

static void offer_ike(struct model_failure *f, uint8_t n, uint16_t encr, uint16_t bits, uint16_t integ, uint16_t prf,
		      uint16_t group)
{
	offer(f, n, IKE_TT_ENCR, encr, bits);
	if (integ != 0)
		offer(f, n, IKE_TT_INTEG, integ, 0);
	offer(f, n, IKE_TT_PRF, prf, 0);
	offer(f, n, IKE_TT_KE, group, 0);
}

static void one_kind_that_does_not_fit_has_its_own_code(void **state)
{
	(void)state;
	static const struct {
		uint16_t encr, bits, integ, prf, group;
		uint8_t code;
		const char *swanctl;
	} rows[] = {
		{ 3, 0, 12, 5, 14, MODEL_FAILURE_NO_ENCR_IKE, "aes256-sha256-prfsha256-modp2048" },
		{ 12, 256, 2, 5, 14, MODEL_FAILURE_NO_INTEG_IKE, "aes256-sha256-prfsha256-modp2048" },
		{ 20, 256, 0, 2, 14, MODEL_FAILURE_NO_PRF_IKE, "aes256gcm16-prfsha512-modp2048" },
		{ 20, 128, 0, 6, 2, MODEL_FAILURE_NO_GROUP_IKE, NULL },
		{ 12, 256, 0, 5, 14, MODEL_FAILURE_NO_INTEG_IKE, "aes256-sha256-prfsha256-modp2048" },
		{ 3, 0, 2, 2, 2, MODEL_FAILURE_NO_PROPOSAL_IKE, NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct model_failure f = refused(MODEL_PHASE_IKE);
		struct explain_compare c;
		offer_ike(&f, 1, rows[i].encr, rows[i].bits, rows[i].integ, rows[i].prf, rows[i].group);
		assert_string_equal(model_failure_code_name(explain_compare_code(&f)),
				    model_failure_code_name(rows[i].code));
		explain_compare_offer(&f, &c);
		assert_true(c.ike);
		if (rows[i].swanctl != NULL)
			assert_string_equal(c.swanctl, rows[i].swanctl);
	}
}

static void proposal_with_the_least_wrong_decides(void **state)
{
	(void)state;
	struct model_failure f = refused(MODEL_PHASE_IKE);
	struct explain_compare c;

	offer_ike(&f, 1, 3, 0, 2, 2, 2);
	offer_ike(&f, 2, 12, 256, 12, 2, 14);
	explain_compare_offer(&f, &c);
	assert_int_equal(c.proposal_cnt, 2);
	assert_int_equal(c.proposals[c.nearest].number, 2);
	assert_int_equal(c.proposals[1].bad, 1u << EXPLAIN_PRF);
	assert_int_equal(explain_compare_code(&f), MODEL_FAILURE_NO_PRF_IKE);
	assert_string_equal(c.swanctl, "aes256-sha256-prfsha512-modp2048");
}

static void phase_2_is_judged_by_its_own_rules(void **state)
{
	(void)state;
	struct model_failure f = refused(MODEL_PHASE_CHILD);
	struct explain_compare c;

	offer(&f, 1, IKE_TT_ENCR, 3, 0);
	offer(&f, 1, IKE_TT_INTEG, 12, 0);
	offer(&f, 1, IKE_TT_ESN, 0, 0);
	assert_int_equal(explain_compare_code(&f), MODEL_FAILURE_NO_ENCR_CHILD);

	f = refused(MODEL_PHASE_CHILD);
	offer(&f, 1, IKE_TT_ENCR, 12, 256);
	offer(&f, 1, IKE_TT_INTEG, 14, 0);
	offer(&f, 1, IKE_TT_ESN, 0, 0);
	assert_int_equal(explain_compare_code(&f), MODEL_FAILURE_NO_INTEG_CHILD);
	explain_compare_offer(&f, &c);
	assert_false(c.ike);
	assert_string_equal(c.swanctl, "aes256-sha256");
}

static void type_that_nobody_knows_is_not_blamed_on_another(void **state)
{
	(void)state;
	struct model_failure f = refused(MODEL_PHASE_IKE);

	offer_ike(&f, 1, 3, 0, 12, 5, 14);
	offer(&f, 1, 7, 36, 0);
	assert_int_equal(explain_compare_code(&f), MODEL_FAILURE_NO_PROPOSAL_IKE);
}

static void other_failures_have_nothing_to_compare(void **state)
{
	(void)state;
	struct model_failure f = { .code = MODEL_FAILURE_WRONG_PSK };
	struct explain_compare c;

	explain_compare_offer(&f, &c);
	assert_int_equal(c.proposal_cnt, 0);
	assert_string_equal(c.swanctl, "");
	assert_int_equal(explain_compare_code(&f), MODEL_FAILURE_WRONG_PSK);
	f.code = MODEL_FAILURE_NO_PROPOSAL_IKE;
	assert_int_equal(explain_compare_code(&f), MODEL_FAILURE_NO_PROPOSAL_IKE);
}

static void any_list_of_transforms_is_survived(void **state)
{
	(void)state;
	uint32_t x = 1;

	for (unsigned round = 0; round < 2000; round++) {
		struct model_failure f = refused(round % 2 == 0 ? MODEL_PHASE_IKE : MODEL_PHASE_CHILD);
		struct explain_compare c;
		f.offer_cnt = (uint8_t)(round % (MODEL_OFFER_MAX + 1));
		for (unsigned i = 0; i < f.offer_cnt; i++) {
			x = x * 1664525u + 1013904223u;
			f.offer[i] = (struct model_offered){ (uint8_t)(x >> 27), (uint8_t)(x >> 8) % 9,
							     (uint16_t)(x >> 16) % 40, (uint16_t)((x >> 4 & 3) * 128) };
		}
		explain_compare_offer(&f, &c);
		assert_true(c.proposal_cnt <= EXPLAIN_PROPOSALS_MAX && (c.proposal_cnt != 0) == (f.offer_cnt != 0));
		assert_true(strlen(c.swanctl) < sizeof(c.swanctl) - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_kind_that_does_not_fit_has_its_own_code),
		cmocka_unit_test(proposal_with_the_least_wrong_decides),
		cmocka_unit_test(phase_2_is_judged_by_its_own_rules),
		cmocka_unit_test(type_that_nobody_knows_is_not_blamed_on_another),
		cmocka_unit_test(other_failures_have_nothing_to_compare),
		cmocka_unit_test(any_list_of_transforms_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
