#include "crypt/dh.h"

#include <openssl/bn.h>

#include "rig.h"

static const uint16_t groups[] = { IKE_GROUP_MODP1536, IKE_GROUP_MODP2048 };

/* prime + add, as long as the modulus: the border values of the range. */
static struct bytes near_prime(uint16_t group, int add, uint8_t room[static CRYPT_DH_PUBLIC_MAX])
{
	size_t len = crypt_dh_public_len(group);
	BIGNUM *p = group == IKE_GROUP_MODP1536 ? BN_get_rfc3526_prime_1536(NULL)
						: BN_get_rfc3526_prime_2048(NULL);

	assert_non_null(p);
	assert_int_equal(add < 0 ? BN_sub_word(p, (BN_ULONG)-add) : BN_add_word(p, (BN_ULONG)add), 1);
	assert_int_equal(BN_bn2binpad(p, room, (int)len), (int)len);
	BN_free(p);
	return bytes_of(room, len);
}

static void public_values_are_as_long_as_the_modulus(void **state)
{
	(void)state;
	assert_int_equal(crypt_dh_public_len(IKE_GROUP_MODP1536), 192);
	assert_int_equal(crypt_dh_public_len(IKE_GROUP_MODP2048), 256);
	assert_int_equal(crypt_dh_public_len(IKE_GROUP_NONE), 0);
	assert_int_equal(crypt_dh_public_len(2), 0);
	assert_int_equal(crypt_dh_public_len(31), 0);
}

static void both_sides_get_the_same_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypt_dh_key *key;
		struct crypt_dh_result result;
		uint8_t secret[CRYPT_DH_SECRET_MAX];
		size_t len;

		assert_int_equal(crypt_dh_new(groups[i], &key), ERR_NONE);
		assert_int_equal(crypt_dh_public(key).len, crypt_dh_public_len(groups[i]));
		assert_int_equal(crypt_dh_respond(groups[i], crypt_dh_public(key), &result), ERR_NONE);
		assert_int_equal(
			crypt_dh_derive(key, bytes_of(result.public, result.public_len), secret, &len),
			ERR_NONE);
		assert_int_equal(result.public_len, crypt_dh_public_len(groups[i]));
		assert_int_equal(result.secret_len, crypt_dh_public_len(groups[i]));
		assert_true(bytes_eq(bytes_of(secret, len), bytes_of(result.secret, result.secret_len)));
		crypt_dh_free(key);
	}
}

static void every_key_is_fresh(void **state)
{
	struct crypt_dh_key *a, *b;
	(void)state;

	assert_int_equal(crypt_dh_new(IKE_GROUP_MODP2048, &a), ERR_NONE);
	assert_int_equal(crypt_dh_new(IKE_GROUP_MODP2048, &b), ERR_NONE);
	assert_false(bytes_eq(crypt_dh_public(a), crypt_dh_public(b)));
	crypt_dh_free(a);
	crypt_dh_free(b);
}

static void assert_refused(uint16_t group, struct bytes value)
{
	struct crypt_dh_result result, before;
	struct crypt_dh_key *key;
	uint8_t secret[CRYPT_DH_SECRET_MAX] = { 0 }, zero[CRYPT_DH_SECRET_MAX] = { 0 };
	size_t len = 12345;

	memset(&result, 0x5a, sizeof(result));
	before = result;
	assert_int_equal(crypt_dh_respond(group, value, &result), ERR_RANGE);
	assert_memory_equal(&result, &before, sizeof(result));
	assert_int_equal(crypt_dh_new(group, &key), ERR_NONE);
	assert_int_equal(crypt_dh_derive(key, value, secret, &len), ERR_RANGE);
	assert_memory_equal(secret, zero, sizeof(secret));
	assert_int_equal(len, 12345);
	crypt_dh_free(key);
}

static void public_values_0_1_and_from_p_minus_1_up_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 0 };
		size_t len = crypt_dh_public_len(groups[i]);

		assert_refused(groups[i], bytes_of(room, len));
		room[len - 1] = 1;
		assert_refused(groups[i], bytes_of(room, len));
		assert_refused(groups[i], near_prime(groups[i], -1, room));
		assert_refused(groups[i], near_prime(groups[i], 0, room));
		assert_refused(groups[i], near_prime(groups[i], 1, room));
		memset(room, 0xff, sizeof(room));
		assert_refused(groups[i], bytes_of(room, len));
	}
}

static void public_values_2_and_p_minus_2_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 0 };
		size_t len = crypt_dh_public_len(groups[i]);
		struct crypt_dh_result result;

		room[len - 1] = 2;
		assert_int_equal(crypt_dh_respond(groups[i], bytes_of(room, len), &result), ERR_NONE);
		/* What is shared with the generator is the own public value. */
		assert_memory_equal(result.secret, result.public, len);
		assert_int_equal(crypt_dh_respond(groups[i], near_prime(groups[i], -2, room), &result),
				 ERR_NONE);
	}
}

static void public_values_of_a_wrong_length_are_refused(void **state)
{
	uint8_t room[CRYPT_DH_PUBLIC_MAX + 1] = { 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		size_t len = crypt_dh_public_len(groups[i]);
		room[len / 2] = 3;
		assert_refused(groups[i], bytes_of(room, 0));
		assert_refused(groups[i], bytes_of(room, len - 1));
		assert_refused(groups[i], bytes_of(room, len + 1));
		assert_refused(groups[i], bytes_of(room, len == 192 ? 256 : 192));
	}
}

static void unknown_groups_are_unsupported(void **state)
{
	struct crypt_dh_result result;
	struct crypt_dh_key *key;
	uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 2 };
	(void)state;

	assert_int_equal(crypt_dh_respond(2, BYTES_OF(room), &result), ERR_UNSUPPORTED);
	assert_int_equal(crypt_dh_new(19, &key), ERR_UNSUPPORTED);
	assert_int_equal(crypt_dh_from_private(0, bytes_str("x"), &key), ERR_UNSUPPORTED);
}

static void a_private_value_must_fit(void **state)
{
	struct crypt_dh_key *key;
	uint8_t room[CRYPT_DH_PUBLIC_MAX + 1] = { 2 };
	(void)state;

	assert_int_equal(crypt_dh_from_private(IKE_GROUP_MODP1536, bytes_of(room, 0), &key), ERR_RANGE);
	assert_int_equal(crypt_dh_from_private(IKE_GROUP_MODP1536, bytes_of(room, 193), &key), ERR_RANGE);
	crypt_dh_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_values_are_as_long_as_the_modulus),
		cmocka_unit_test(both_sides_get_the_same_secret),
		cmocka_unit_test(every_key_is_fresh),
		cmocka_unit_test(public_values_0_1_and_from_p_minus_1_up_are_refused),
		cmocka_unit_test(public_values_2_and_p_minus_2_are_taken),
		cmocka_unit_test(public_values_of_a_wrong_length_are_refused),
		cmocka_unit_test(unknown_groups_are_unsupported),
		cmocka_unit_test(a_private_value_must_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
