#include "esp/limits.h"

#include "rig.h"

static const uint64_t none = UINT64_MAX;

static struct esp_limits limits_of(const struct model_suite *s, bool esn, uint64_t packets, uint64_t bytes, bool started,
				   uint32_t random)
{
	struct model_suite suite = *s;
	struct esp_limits l;

	suite.esn = esn ? IKE_ESN_YES : IKE_ESN_NONE;
	esp_limits_make(&suite, packets, bytes, started, random, &l);
	return l;
}

static void limits_are_those_of_cipher_and_numbers(void **state)
{
	const uint64_t one = 1;
	(void)state;

	struct esp_limits gcm = limits_of(&suite_gcm256, false, 0, 0, false, 0);
	assert_int_equal(gcm.soft_packets, none);
	assert_int_equal(gcm.soft_bytes, (one << 40) - (one << 40) / 20);
	assert_int_equal(gcm.hard_bytes, one << 42);
	assert_int_equal(gcm.hard_numbers, UINT32_MAX);
	assert_true(gcm.soft_numbers < one << 31 && gcm.soft_numbers > (one << 31) / 10 * 9);
	/* Extended numbers: the IV space of GCM comes to its end first, CBC has random IVs. */
	struct esp_limits long_gcm = limits_of(&suite_gcm256, true, 0, 0, false, 0);
	assert_int_equal(long_gcm.hard_numbers, one << CRYPT_IV_COUNTER_BITS);
	assert_true(long_gcm.soft_numbers > one << 32 && long_gcm.soft_numbers < one << 33);
	struct esp_limits long_cbc = limits_of(&suite_cbc_sha1, true, 0, 0, false, 0);
	assert_true(long_cbc.hard_numbers > one << 50 && long_cbc.soft_bytes < one << 40);
	/* Nothing that is not encrypted wears a cipher out. */
	struct esp_limits null = limits_of(&suite_null_sha1, false, 0, 0, false, 0);
	assert_true(null.soft_bytes == none && null.hard_bytes == none && null.soft_numbers < one << 31);
}

static void a_tunnel_may_want_less_but_not_more(void **state)
{
	(void)state;
	struct esp_limits l = limits_of(&suite_gcm128, false, 1000, 1 << 20, false, 0);
	assert_int_equal(l.soft_packets, 950);
	assert_int_equal(l.soft_bytes, (1 << 20) - (1 << 20) / 20);
	struct esp_limits more = limits_of(&suite_gcm128, false, 0, UINT64_C(1) << 50, false, 0);
	assert_true(more.soft_bytes < UINT64_C(1) << 40);
	assert_int_equal(limits_of(&suite_null_sha1, false, 0, 5000000, false, 0).soft_bytes, 4750000);
}

/* Whatever the random numbers, the one who started is done before the other begins. */
static void jitter_keeps_the_two_sides_apart(void **state)
{
	static const uint64_t wishes[] = { 100, 1000, 123456, UINT64_C(1) << 33, UINT64_C(1) << 40 };
	static const uint32_t randoms[] = { 0, 1, 0x80000000, UINT32_MAX };
	(void)state;

	for (size_t w = 0; w < ARRAY_LEN(wishes); w++) {
		uint64_t n = wishes[w], low = none, high = 0;
		for (size_t r = 0; r < ARRAY_LEN(randoms); r++) {
			uint64_t first = limits_of(&suite_gcm128, true, n, 0, true, randoms[r]).soft_packets;
			uint64_t other = limits_of(&suite_gcm128, true, n, 0, false, randoms[r]).soft_packets;
			assert_true(first >= n - n / 5 && first <= n - n / 10);
			assert_true(other >= n - n / 10 && other <= n - n / 20);
			low = first < low ? first : low;
			high = first > high ? first : high;
		}
		assert_true(high - low >= n / 10 - 1 - (n >> 30)); /* the random number uses all of its range */
	}
}

static void the_first_limit_counts(void **state)
{
	(void)state;
	struct esp_limits l = { .soft_packets = 100, .soft_bytes = 1000, .soft_numbers = 500, .hard_bytes = 4000,
				.hard_numbers = 900 };
	static const struct {
		struct esp_used used;
		enum esp_wear wear;
	} rows[] = {
		{ { 0, 0, 0 }, ESP_WEAR_FINE },	      { { 99, 999, 499 }, ESP_WEAR_FINE },
		{ { 100, 0, 0 }, ESP_WEAR_SOFT },     { { 0, 1000, 0 }, ESP_WEAR_SOFT },
		{ { 0, 0, 500 }, ESP_WEAR_SOFT },     { { 1000000, 3999, 899 }, ESP_WEAR_SOFT },
		{ { 0, 4000, 0 }, ESP_WEAR_HARD },    { { 0, 0, 900 }, ESP_WEAR_HARD },
		{ { 0, 0, UINT64_MAX }, ESP_WEAR_HARD },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(esp_limits_judge(&l, &rows[i].used), rows[i].wear);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_those_of_cipher_and_numbers),
		cmocka_unit_test(a_tunnel_may_want_less_but_not_more),
		cmocka_unit_test(jitter_keeps_the_two_sides_apart),
		cmocka_unit_test(the_first_limit_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
