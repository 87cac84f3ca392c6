#include "model/proposal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* phase, type, number, bits */
struct entry {
	uint8_t phase, type;
	uint16_t id, bits;
};

static bool allowed(enum model_profile profile, enum model_phase phase, uint8_t type, uint16_t id, uint16_t bits)
{
	return model_transform_find(phase, type, id, bits, 0, profile) != NULL;
}

static void assert_allowed_is(enum model_profile profile, const struct entry *list, size_t cnt)
{
	static const uint16_t bits[] = { 0, 64, 127, 128, 129, 192, 255, 256, 257, 384, 512, 65535 };
	size_t found = 0;

	for (uint8_t phase = 1; phase <= 2; phase++)
		for (unsigned type = 0; type < 8; type++)
			for (unsigned id = 0; id <= UINT16_MAX; id++)
				for (size_t b = 0; b < ARRAY_LEN(bits); b++) {
					if (!allowed(profile, phase, (uint8_t)type, (uint16_t)id, bits[b]))
						continue;
					bool listed = false;
					for (size_t i = 0; i < cnt; i++)
						listed |= list[i].phase == phase && list[i].type == type &&
							  list[i].id == id && list[i].bits == bits[b];
					assert_true(listed);
					found++;
				}
	assert_int_equal(found, cnt);
}

static void magic_has_the_lists_of_magic_wan_and_nothing_else(void **state)
{
	static const struct entry list[] = {
		{ 1, 1, 20, 256 }, { 1, 1, 20, 128 }, { 1, 1, 12, 256 }, { 1, 3, 12, 0 }, { 1, 2, 5, 0 },
		{ 1, 2, 6, 0 },	   { 1, 2, 7, 0 },    { 1, 4, 20, 0 },	 { 1, 4, 14, 0 }, { 1, 4, 5, 0 },
		{ 2, 1, 20, 256 }, { 2, 1, 20, 128 }, { 2, 1, 12, 256 }, { 2, 1, 12, 128 }, { 2, 3, 12, 0 },
		{ 2, 3, 2, 0 },	   { 2, 4, 20, 0 },   { 2, 4, 14, 0 },	 { 2, 4, 5, 0 },  { 2, 4, 0, 0 },
		{ 2, 5, 0, 0 },
	};
	(void)state;
	assert_allowed_is(MODEL_PROFILE_MAGIC, list, ARRAY_LEN(list));
}

static void modern_has_more_groups_but_no_sha1_and_no_group_5(void **state)
{
	static const struct entry list[] = {
		{ 1, 1, 20, 256 }, { 1, 1, 20, 128 }, { 1, 1, 12, 256 }, { 1, 3, 12, 0 }, { 1, 2, 5, 0 },
		{ 1, 2, 6, 0 },	   { 1, 2, 7, 0 },    { 1, 4, 14, 0 },	 { 1, 4, 15, 0 }, { 1, 4, 16, 0 },
		{ 1, 4, 19, 0 },   { 1, 4, 20, 0 },   { 1, 4, 21, 0 },	 { 1, 4, 31, 0 }, { 2, 1, 20, 256 },
		{ 2, 1, 20, 128 }, { 2, 1, 12, 256 }, { 2, 1, 12, 128 }, { 2, 3, 12, 0 }, { 2, 4, 0, 0 },
		{ 2, 4, 14, 0 },   { 2, 4, 15, 0 },   { 2, 4, 16, 0 },	 { 2, 4, 19, 0 }, { 2, 4, 20, 0 },
		{ 2, 4, 21, 0 },   { 2, 4, 31, 0 },   { 2, 5, 0, 0 },
	};
	(void)state;
	assert_allowed_is(MODEL_PROFILE_MODERN, list, ARRAY_LEN(list));
}

static void every_row_belongs_to_a_profile(void **state)
{
	(void)state;
	for (size_t i = 0; i < model_transform_cnt; i++) {
		assert_true(model_transforms[i].profiles != 0);
		assert_int_equal(model_transforms[i].profiles & ~MODEL_PROFILE_ALL, 0);
	}
}

static void groups_are_in_order_of_preference(void **state)
{
	static const uint16_t order[] = { 20, 19, 31, 21, 16, 15, 14, 5, 0 };
	size_t n = 0;
	(void)state;

	for (size_t i = 0; i < model_transform_cnt; i++)
		if (model_transforms[i].type == IKE_TT_KE)
			assert_int_equal(model_transforms[i].id, order[n++]);
	assert_int_equal(n, ARRAY_LEN(order));
}

static void an_ike_suite_is_of_a_profile_with_all_its_transforms(void **state)
{
	const struct model_suite gcm14 = { .encr = 20, .key_bits = 256, .prf = 7, .group = 14 };
	struct model_suite s;
	(void)state;

	for (uint8_t p = 0; p < MODEL_PROFILE_CNT; p++) {
		assert_true(model_ike_suite_in_profile(&gcm14, p));
		s = gcm14;
		s.group = 31;
		assert_int_equal(model_ike_suite_in_profile(&s, p), p == MODEL_PROFILE_MODERN);
		s.group = 5;
		assert_int_equal(model_ike_suite_in_profile(&s, p), p == MODEL_PROFILE_MAGIC);
		s = gcm14;
		s.key_bits = 192;
		assert_false(model_ike_suite_in_profile(&s, p));
		s = gcm14;
		s.prf = 2;
		assert_false(model_ike_suite_in_profile(&s, p));
		s = (struct model_suite){ .encr = 12, .key_bits = 256, .integ = 12, .prf = 5, .group = 14 };
		assert_true(model_ike_suite_in_profile(&s, p));
		s.integ = 2; /* SHA-1 is for phase 2 only */
		assert_false(model_ike_suite_in_profile(&s, p));
	}
}

static void profiles_have_names(void **state)
{
	uint8_t v = 77;
	(void)state;

	for (uint8_t p = 0; p < MODEL_PROFILE_CNT; p++) {
		assert_int_equal(model_profile_parse(bytes_str(model_profile_name(p)), &v), ERR_NONE);
		assert_int_equal(v, p);
	}
	assert_int_equal(model_profile_parse(bytes_str("Modern"), &v), ERR_NONE);
	assert_int_equal(v, MODEL_PROFILE_MODERN);
	v = 77;
	assert_int_equal(model_profile_parse(bytes_str("moder"), &v), ERR_SYNTAX);
	assert_int_equal(model_profile_parse(bytes_str("modernX"), &v), ERR_SYNTAX);
	assert_int_equal(model_profile_parse(bytes_str(""), &v), ERR_SYNTAX);
	assert_int_equal(v, 77);
	assert_string_equal(model_profile_name(MODEL_PROFILE_CNT), "unknown");
}

static void null_needs_the_opt_in_and_is_for_phase_2_only(void **state)
{
	(void)state;
	const enum model_profile magic = MODEL_PROFILE_MAGIC;
	assert_null(model_transform_find(MODEL_PHASE_CHILD, IKE_TT_ENCR, IKE_ENCR_NULL, 0, 0, magic));
	const struct model_transform *t =
		model_transform_find(MODEL_PHASE_CHILD, IKE_TT_ENCR, IKE_ENCR_NULL, 0, MODEL_OPT_IN_NULL, magic);
	assert_non_null(t);
	assert_int_equal(t->opt_in, MODEL_OPT_IN_NULL);
	assert_string_equal(t->swanctl, "null");
	assert_null(model_transform_find(MODEL_PHASE_IKE, IKE_TT_ENCR, IKE_ENCR_NULL, 0, MODEL_OPT_IN_NULL, magic));
}

static void encryption_is_in_order_of_preference_with_null_last(void **state)
{
	(void)state;
	static const char *const order[] = { "AES-GCM-16-256", "AES-GCM-16-128", "AES-CBC-256", "AES-CBC-128",
					     "NULL" };
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
		cmocka_unit_test(magic_has_the_lists_of_magic_wan_and_nothing_else),
		cmocka_unit_test(modern_has_more_groups_but_no_sha1_and_no_group_5),
		cmocka_unit_test(every_row_belongs_to_a_profile),
		cmocka_unit_test(groups_are_in_order_of_preference),
		cmocka_unit_test(an_ike_suite_is_of_a_profile_with_all_its_transforms),
		cmocka_unit_test(profiles_have_names),
		cmocka_unit_test(null_needs_the_opt_in_and_is_for_phase_2_only),
		cmocka_unit_test(encryption_is_in_order_of_preference_with_null_last),
		cmocka_unit_test(every_row_is_named_for_people_and_for_strongswan),
		cmocka_unit_test(any_transform_has_a_readable_name),
		cmocka_unit_test(suites_read_well),
		cmocka_unit_test(only_combined_modes_are_aead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
