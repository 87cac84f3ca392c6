// The reference vectors stand in tests/vectors.
#include "base/siphash.h"

#include "rig.h"

static const struct siphash_key key = { .k0 = 0x0706050403020100, .k1 = 0x0f0e0d0c0b0a0908 };

static void a_number_hashes_as_its_bytes_from_the_lowest(void **state)
{
	static const uint8_t in[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	(void)state;

	assert_true(siphash_u64(&key, 0x0706050403020100) == siphash(&key, BYTES_OF(in)));
	assert_true(siphash_u64(&key, 0x0706050403020100) == 0x93f5f5799a932462);
}

static void the_empty_block_has_a_hash_wherever_it_is(void **state)
{
	(void)state;
	assert_true(siphash(&key, bytes_of(NULL, 0)) == 0x726fdb47dd0e0e31);
	assert_true(siphash(&key, bytes_str("")) == 0x726fdb47dd0e0e31);
}

static void length_counts_beside_the_bytes(void **state)
{
	static const uint8_t zeroes[64];
	(void)state;

	for (size_t a = 0; a < sizeof(zeroes); a++)
		for (size_t b = 0; b < a; b++)
			assert_true(siphash(&key, bytes_of(zeroes, a)) != siphash(&key, bytes_of(zeroes, b)));
}

static void every_bit_of_key_and_data_counts(void **state)
{
	const uint64_t hash = siphash_u64(&key, 1234);
	(void)state;

	for (unsigned bit = 0; bit < 64; bit++) {
		struct siphash_key other = { key.k0 ^ UINT64_C(1) << bit, key.k1 };
		assert_true(siphash_u64(&other, 1234) != hash);
		other = (struct siphash_key){ key.k0, key.k1 ^ UINT64_C(1) << bit };
		assert_true(siphash_u64(&other, 1234) != hash);
		assert_true(siphash_u64(&key, 1234 ^ UINT64_C(1) << bit) != hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_hashes_as_its_bytes_from_the_lowest),
		cmocka_unit_test(the_empty_block_has_a_hash_wherever_it_is),
		cmocka_unit_test(length_counts_beside_the_bytes),
		cmocka_unit_test(every_bit_of_key_and_data_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
