#include "crypt/suite.h"

#include "rig.h"

static void sizes_are_those_of_the_rfcs(void **state)
{
	(void)state;
	assert_int_equal(crypt_encr_key_len(IKE_ENCR_AES_GCM_16, 128), 20);
	assert_int_equal(crypt_encr_key_len(IKE_ENCR_AES_GCM_16, 256), CRYPT_ENCR_KEY_MAX);
	assert_int_equal(crypt_encr_key_len(IKE_ENCR_AES_CBC, 256), 32);
	assert_int_equal(crypt_encr_key_len(IKE_ENCR_NULL, 0), 0);
	assert_int_equal(crypt_encr_iv_len(IKE_ENCR_AES_GCM_16), 8);
	assert_int_equal(crypt_encr_iv_len(IKE_ENCR_AES_CBC), CRYPT_IV_MAX);
	assert_int_equal(crypt_encr_iv_len(IKE_ENCR_NULL), 0);
	assert_int_equal(crypt_encr_block_len(IKE_ENCR_AES_GCM_16), 1);
	assert_int_equal(crypt_encr_block_len(IKE_ENCR_AES_CBC), 16);
	assert_int_equal(crypt_encr_block_len(IKE_ENCR_NULL), 1);
	assert_int_equal(crypt_integ_key_len(IKE_INTEG_HMAC_SHA1_96), 20);
	assert_int_equal(crypt_integ_key_len(IKE_INTEG_HMAC_SHA2_256_128), CRYPT_INTEG_KEY_MAX);
	assert_int_equal(crypt_integ_key_len(IKE_INTEG_NONE), 0);
	assert_int_equal(crypt_icv_len(IKE_ENCR_AES_GCM_16, IKE_INTEG_NONE), CRYPT_ICV_MAX);
	assert_int_equal(crypt_icv_len(IKE_ENCR_AES_CBC, IKE_INTEG_HMAC_SHA1_96), 12);
	assert_int_equal(crypt_icv_len(IKE_ENCR_NULL, IKE_INTEG_HMAC_SHA2_256_128), 16);
	assert_int_equal(crypt_prf_len(IKE_PRF_HMAC_SHA2_256), 32);
	assert_int_equal(crypt_prf_len(IKE_PRF_HMAC_SHA2_384), 48);
	assert_int_equal(crypt_prf_len(IKE_PRF_HMAC_SHA2_512), CRYPT_PRF_LEN_MAX);
	assert_true(crypt_encr_is_aead(IKE_ENCR_AES_GCM_16));
	assert_false(crypt_encr_is_aead(IKE_ENCR_AES_CBC));
	assert_false(crypt_encr_is_aead(IKE_ENCR_NULL));
}

static void unknown_numbers_have_no_size(void **state)
{
	static const uint16_t encr[] = { 0, 3, 13, 18, 19, 28, UINT16_MAX };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(encr); i++) {
		assert_int_equal(crypt_encr_key_len(encr[i], 128), 0);
		assert_int_equal(crypt_encr_iv_len(encr[i]), 0);
		assert_int_equal(crypt_encr_block_len(encr[i]), 0);
		assert_int_equal(crypt_icv_len(encr[i], IKE_INTEG_NONE), 0);
		assert_false(crypt_encr_is_aead(encr[i]));
		assert_false(crypt_suite_usable(encr[i], 128, IKE_INTEG_HMAC_SHA2_256_128));
	}
	assert_int_equal(crypt_encr_key_len(IKE_ENCR_AES_CBC, 0), 0);
	assert_int_equal(crypt_encr_key_len(IKE_ENCR_AES_GCM_16, 64), 0);
	assert_int_equal(crypt_integ_key_len(1), 0);
	assert_int_equal(crypt_prf_len(2), 0);
}

static void every_suite_of_the_gateway_is_usable(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++)
		assert_true(crypt_suite_usable(rig_suites[i].encr, rig_suites[i].bits, rig_suites[i].integ));
}

static void nothing_is_usable_that_would_not_be_authenticated(void **state)
{
	(void)state;
	assert_false(crypt_suite_usable(IKE_ENCR_AES_CBC, 256, IKE_INTEG_NONE));
	assert_false(crypt_suite_usable(IKE_ENCR_NULL, 0, IKE_INTEG_NONE));
	assert_false(crypt_suite_usable(IKE_ENCR_AES_CBC, 256, 1));
}

static void an_aead_takes_no_second_integrity(void **state)
{
	(void)state;
	assert_false(crypt_suite_usable(IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_HMAC_SHA2_256_128));
	assert_int_equal(crypt_icv_len(IKE_ENCR_AES_GCM_16, IKE_INTEG_HMAC_SHA1_96), 0);
}

static void null_has_no_key_length(void **state)
{
	(void)state;
	assert_false(crypt_suite_usable(IKE_ENCR_NULL, 128, IKE_INTEG_HMAC_SHA1_96));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_those_of_the_rfcs),
		cmocka_unit_test(unknown_numbers_have_no_size),
		cmocka_unit_test(every_suite_of_the_gateway_is_usable),
		cmocka_unit_test(nothing_is_usable_that_would_not_be_authenticated),
		cmocka_unit_test(an_aead_takes_no_second_integrity),
		cmocka_unit_test(null_has_no_key_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
