#include "crypt/prf.h"

#include "crypt/random.h"
#include "rig.h"

static void unknown_prf_is_refused_and_writes_nothing(void **state)
{
	uint8_t out[CRYPT_PRF_LEN_MAX] = { 0 }, zero[CRYPT_PRF_LEN_MAX] = { 0 };
	const struct bytes part = bytes_str("data");
	(void)state;

	assert_int_equal(crypt_prf(2, bytes_str("key"), &part, 1, out), ERR_UNSUPPORTED);
	assert_int_equal(crypt_prf_plus(0, bytes_str("key"), part, out, 16), ERR_UNSUPPORTED);
	assert_memory_equal(out, zero, sizeof(out));
}

static void parts_are_joined_in_order(void **state)
{
	const struct bytes apart[] = { bytes_str("no"), bytes_of(NULL, 0), bytes_str("nce") };
	const struct bytes whole = bytes_str("nonce"), swapped[] = { bytes_str("nce"), bytes_str("no") };
	uint8_t a[CRYPT_PRF_LEN_MAX], b[CRYPT_PRF_LEN_MAX];
	(void)state;

	assert_int_equal(crypt_prf(IKE_PRF_HMAC_SHA2_384, bytes_str("k"), apart, 3, a), ERR_NONE);
	assert_int_equal(crypt_prf(IKE_PRF_HMAC_SHA2_384, bytes_str("k"), &whole, 1, b), ERR_NONE);
	assert_memory_equal(a, b, 48);
	assert_int_equal(crypt_prf(IKE_PRF_HMAC_SHA2_384, bytes_str("k"), swapped, 2, b), ERR_NONE);
	assert_memory_not_equal(a, b, 48);
}

static void prf_plus_ends_after_255_blocks(void **state)
{
	uint8_t out[255 * 32 + 1];
	(void)state;

	assert_int_equal(crypt_prf_plus(IKE_PRF_HMAC_SHA2_256, bytes_str("k"), bytes_str("s"), out, 255 * 32),
			 ERR_NONE);
	assert_int_equal(
		crypt_prf_plus(IKE_PRF_HMAC_SHA2_256, bytes_str("k"), bytes_str("s"), out, 255 * 32 + 1),
		ERR_RANGE);
	assert_int_equal(crypt_hkdf(bytes_str("salt"), bytes_str("k"), bytes_str("i"), out, 255 * 32 + 1),
			 ERR_RANGE);
}

static void a_shorter_prf_plus_is_a_prefix_of_a_longer_one(void **state)
{
	uint8_t all[200];
	(void)state;

	assert_int_equal(
		crypt_prf_plus(IKE_PRF_HMAC_SHA2_512, bytes_str("k"), bytes_str("s"), all, sizeof(all)),
		ERR_NONE);
	for (size_t n = 0; n < sizeof(all); n++) {
		uint8_t some[201];
		memset(some, 0xee, sizeof(some));
		assert_int_equal(
			crypt_prf_plus(IKE_PRF_HMAC_SHA2_512, bytes_str("k"), bytes_str("s"), some, n),
			ERR_NONE);
		if (n != 0)
			assert_memory_equal(some, all, n);
		assert_int_equal(some[n], 0xee);
	}
}

static void random_fills_all_of_it(void **state)
{
	/* Above 256 bytes the kernel may stop half-way. */
	static uint8_t room[100000];
	size_t zeroes = 0;
	(void)state;

	crypt_random(room, sizeof(room) - 1);
	for (size_t i = 0; i < sizeof(room); i++)
		zeroes += room[i] == 0;
	assert_int_equal(room[sizeof(room) - 1], 0);
	assert_in_range(zeroes, 200, 600);
	crypt_random(room, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_prf_is_refused_and_writes_nothing),
		cmocka_unit_test(parts_are_joined_in_order),
		cmocka_unit_test(prf_plus_ends_after_255_blocks),
		cmocka_unit_test(a_shorter_prf_plus_is_a_prefix_of_a_longer_one),
		cmocka_unit_test(random_fills_all_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
