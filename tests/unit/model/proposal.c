#include "model/proposal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool allowed(enum model_phase phase, uint8_t type, uint16_t id, uint16_t bits)
{
	return model_transform_find(phase, type, id, bits, false) != NULL;
}

static void every_number_outside_the_list_is_refused(void **state)
{
	(void)state;
	static const struct {
		uint8_t phase, type;
		uint16_t id, bits;
	} list[] = {
		{ 1, 1, 20, 256 }, { 1, 1, 20, 128 }, { 1, 1, 12, 256 }, { 1, 3, 12, 0 }, { 1, 2, 5, 0 },
		{ 1, 2, 6, 0 },	   { 1, 2, 7, 0 },    { 1, 4, 14, 0 },	 { 1, 4, 5, 0 },  { 2, 1, 20, 256 },
		{ 2, 1, 20, 128 }, { 2, 1, 12, 256 }, { 2, 3, 12, 0 },	 { 2, 3, 2, 0 },  { 2, 4, 14, 0 },
		{ 2, 4, 5, 0 },	   { 2, 4, 0, 0 },    { 2, 5, 0, 0 },
	};
	static const uint16_t bits[] = { 0, 64, 127, 128, 129, 192, 255, 256, 257, 384, 512, 65535 };
	size_t found = 0;

	for (uint8_t phase = 1; phase <= 2; phase++)
		for (unsigned type = 0; type < 8; type++)
			for (unsigned id = 0; id <= UINT16_MAX; id++)
				for (size_t b = 0; b < ARRAY_LEN(bits); b++) {
					if (!allowed(phase, (uint8_t)type, (uint16_t)id, bits[b]))
						continue;
					bool listed = false;
					for (size_t i = 0; i < ARRAY_LEN(list); i++)
						listed |= list[i].phase == phase && list[i].type == type &&
							  list[i].id == id && list[i].bits == bits[b];
					assert_true(listed);
					found++;
				}
	assert_int_equal(found, ARRAY_LEN(list));
}

static void null_needs_the_opt_in_and_is_for_phase_2_only(void **state)
{
	(void)state;
	assert_null(model_transform_find(MODEL_PHASE_CHILD, IKE_TT_ENCR, IKE_ENCR_NULL, 0, false));
	const struct model_transform *t =
		model_transform_find(MODEL_PHASE_CHILD, IKE_TT_ENCR, IKE_ENCR_NULL, 0, true);
	assert_non_null(t);
	assert_true(t->needs_null_opt_in);
	assert_string_equal(t->swanctl, "null");
	assert_null(model_transform_find(MODEL_PHASE_IKE, IKE_TT_ENCR, IKE_ENCR_NULL, 0, true));
}

static void encryption_is_in_order_of_preference_with_null_last(void **state)
{
	(void)state;
	static const char *const order[] = { "AES-GCM-16-256", "AES-GCM-16-128", "AES-CBC-256", "NULL" };
	size_t n = 0;
	for (size_t i = 0; i < model_transform_cnt; i++)
		if (model_transforms[i].type == IKE_TT_ENCR)
			assert_string_equal(model_transforms[i].name, order[n++]);
	assert_int_equal(n, ARRAY_LEN(order));
}

static void every_row_is_named_for_people_and_for_strongswan(void **state)
{
	(void)state;
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		char text[MODEL_TRANSFORM_TEXT_MAX];
		assert_string_equal(model_transform_text(t->type, t->id, t->key_bits, text), t->name);
		assert_non_null(t->swanctl);
		assert_true(strlen(t->rfc) > 0);
		assert_true(t->swanctl[0] != 0 || (t->type == IKE_TT_KE && t->id == IKE_GROUP_NONE));
	}
}

static void any_transform_has_a_readable_name(void **state)
{
	(void)state;
	char text[MODEL_TRANSFORM_TEXT_MAX];
	assert_string_equal(model_transform_text(IKE_TT_ENCR, 3, 0, text), "3DES");
	assert_string_equal(model_transform_text(IKE_TT_ENCR, 12, 128, text), "AES-CBC-128");
	assert_string_equal(model_transform_text(IKE_TT_ENCR, 18, 128, text), "AES-GCM-8-128");
	assert_string_equal(model_transform_text(IKE_TT_ENCR, 99, 128, text), "ENCR 99 (128 bit)");
	assert_string_equal(model_transform_text(IKE_TT_KE, 2, 0, text), "MODP-1024");
	assert_string_equal(model_transform_text(IKE_TT_KE, 1025, 0, text), "GROUP 1025");
	assert_string_equal(model_transform_text(IKE_TT_INTEG, 14, 0, text), "HMAC-SHA2-512-256");
	assert_string_equal(model_transform_text(IKE_TT_ESN, 1, 0, text), "ESN");
	assert_string_equal(model_transform_text(241, 65535, 65535, text), "TRANSFORM type 241 65535");
	for (unsigned type = 0; type < 256; type++)
		for (unsigned id = 0; id < 1100; id++)
			assert_true(strlen(model_transform_text((uint8_t)type, (uint16_t)id, 65535, text)) > 0);
}

static void suites_read_well(void **state)
{
	(void)state;
	char text[MODEL_SUITE_TEXT_MAX];
	struct model_suite gcm = { .encr = 20, .key_bits = 256, .prf = 7, .group = 14 };
	struct model_suite cbc = { .encr = 12, .key_bits = 256, .prf = 5, .integ = 12, .group = 5 };
	struct model_suite child = { .encr = 20, .key_bits = 128 };
	struct model_suite plain = { .encr = 11, .integ = 2, .group = 14 };
	struct model_suite none = { 0 };
	struct model_suite worst = { 65535, 65535, 65535, 65535, 65535, 1 };

	assert_string_equal(model_suite_text(&gcm, text), "AES-GCM-16-256 / PRF-HMAC-SHA2-512 / MODP-2048");
	assert_string_equal(model_suite_text(&cbc, text),
			    "AES-CBC-256 / HMAC-SHA2-256-128 / PRF-HMAC-SHA2-256 / MODP-1536");
	assert_string_equal(model_suite_text(&child, text), "AES-GCM-16-128");
	assert_string_equal(model_suite_text(&plain, text), "UNENCRYPTED (NULL) / HMAC-SHA1-96 / MODP-2048");
	assert_string_equal(model_suite_text(&none, text), "-");
	assert_true(strlen(model_suite_text(&worst, text)) < MODEL_SUITE_TEXT_MAX - 1);
}

static void only_combined_modes_are_aead(void **state)
{
	(void)state;
	assert_true(model_encr_is_aead(IKE_ENCR_AES_GCM_16));
	assert_true(model_encr_is_aead(28));
	assert_false(model_encr_is_aead(IKE_ENCR_AES_CBC));
	assert_false(model_encr_is_aead(IKE_ENCR_NULL));
	assert_false(model_encr_is_aead(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_outside_the_list_is_refused),
		cmocka_unit_test(null_needs_the_opt_in_and_is_for_phase_2_only),
		cmocka_unit_test(encryption_is_in_order_of_preference_with_null_last),
		cmocka_unit_test(every_row_is_named_for_people_and_for_strongswan),
		cmocka_unit_test(any_transform_has_a_readable_name),
		cmocka_unit_test(suites_read_well),
		cmocka_unit_test(only_combined_modes_are_aead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
