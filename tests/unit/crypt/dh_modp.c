#include "crypt/dh_modp.h"

#include "crypt/mask.h"
#include "crypt/random.h"
#include "rig.h"

/* Each engine of this machine against libcrypto's plain arithmetic. */

static const struct {
	BIGNUM *(*get_prime)(BIGNUM *);
	size_t exponent_len;
} primes[] = {
	{ BN_get_rfc3526_prime_1536, 32 },
	{ BN_get_rfc3526_prime_2048, 29 },
	{ BN_get_rfc3526_prime_3072, 36 },
	{ BN_get_rfc3526_prime_4096, 42 },
};

struct rig {
	const struct crypt_modp_engine *engine;
	void *state;
	BIGNUM *prime;
	BN_CTX *ctx;
	size_t len, exponent_len;
};

static unsigned find_engines(const struct crypt_modp_engine *ret[static 3])
{
	unsigned cnt = 0;

	ret[cnt++] = &crypt_modp_bn;
#ifdef __x86_64__
	if (crypt_modp_ifma.usable())
		ret[cnt++] = &crypt_modp_ifma;
	else
		print_message("this CPU has no AVX-512 IFMA: that engine is not tested\n");
	if (crypt_modp_fma.usable())
		ret[cnt++] = &crypt_modp_fma;
	else
		print_message("this CPU has no AVX-512: that engine is not tested\n");
#endif
	return cnt;
}

static void for_each(void (*check)(const struct rig *r))
{
	const struct crypt_modp_engine *engines[3];
	unsigned cnt = find_engines(engines);

	for (unsigned e = 0; e < cnt; e++) {
		for (size_t i = 0; i < ARRAY_LEN(primes); i++) {
			struct rig r = { .engine = engines[e], .prime = primes[i].get_prime(NULL), .ctx = BN_CTX_new(),
					 .exponent_len = primes[i].exponent_len };
			r.len = (size_t)BN_num_bytes(r.prime);
			r.state = r.engine->new(r.prime, r.exponent_len);
			assert_non_null(r.state);
			check(&r);
			r.engine->free(r.state);
			BN_CTX_free(r.ctx);
			BN_free(r.prime);
		}
	}
}

static void assert_power(const struct rig *r, const BIGNUM *base, const BIGNUM *exponent, struct bytes exponent_bytes)
{
	uint8_t y[CRYPT_MODP_LEN_MAX], got[CRYPT_MODP_LEN_MAX], want[CRYPT_MODP_LEN_MAX];
	BIGNUM *z = BN_new();

	assert_int_equal(BN_bn2binpad(base, y, (int)r->len), (int)r->len);
	assert_int_equal(BN_mod_exp(z, base, exponent, r->prime, r->ctx), 1);
	assert_int_equal(BN_bn2binpad(z, want, (int)r->len), (int)r->len);
	assert_int_equal(r->engine->power(r->state, bytes_of(y, r->len), exponent_bytes, got), ERR_NONE);
	assert_memory_equal(got, want, r->len);
	BN_free(z);
}

static void check_powers(const struct rig *r)
{
	BIGNUM *base = BN_new(), *exponent = BN_new();

	for (unsigned n = 0; n < 24; n++) {
		uint8_t x[64];
		struct bytes bytes = bytes_of(x, 1 + (n * 7 + r->exponent_len) % sizeof(x));
		BN_rand_range(base, r->prime);
		crypt_random(x, sizeof(x));
		BN_bin2bn(bytes.p, (int)bytes.len, exponent);
		assert_power(r, base, exponent, bytes);
	}
	BN_free(exponent);
	BN_free(base);
}

static void powers_are_right(void **state)
{
	(void)state;
	for_each(check_powers);
}

/* Near 0 and p, and digits of nothing but zeroes or ones, where carries run far. */
static void check_odd_bases(const struct rig *r)
{
	static const uint8_t exponents[][4] = { { 0, 0, 0, 0 }, { 0, 0, 0, 1 }, { 0, 0, 0, 2 }, { 0xff, 0xff, 0xff, 0xff },
						{ 0x80, 0, 0, 1 }, { 0, 0, 0, 15 }, { 0, 0, 0, 16 } };
	BIGNUM *base = BN_new(), *exponent = BN_new();

	for (unsigned n = 0; n < 40; n++) {
		if (n < 8) {
			BN_set_word(base, n);
		} else if (n < 16) {
			BN_copy(base, r->prime);
			BN_sub_word(base, n - 7);
		} else { /* 2^k - 1, and every other time with low zeroes */
			BN_one(base);
			BN_lshift(base, base, (int)(8 * r->len / 25 * (n - 15)) - 2);
			BN_sub_word(base, n % 2 == 0 ? 1 : 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
			BN_bin2bn(exponents[i], 4, exponent);
			assert_power(r, base, exponent, BYTES_OF(exponents[i]));
		}
	}
	BN_free(exponent);
	BN_free(base);
}

static void powers_of_odd_bases_are_right(void **state)
{
	(void)state;
	for_each(check_odd_bases);
}

/* 2^x and p - 2^x below p: results with long runs of zeroes, or of ones. */
static void check_runs(const struct rig *r)
{
	BIGNUM *two = BN_new(), *minus_two = BN_new(), *exponent = BN_new();

	BN_set_word(two, 2);
	BN_sub(minus_two, r->prime, two);
	for (unsigned x = 0; x < 8 * r->len; x += 7) {
		uint8_t bytes[2] = { (uint8_t)(x >> 8), (uint8_t)x };
		BN_set_word(exponent, x);
		assert_power(r, two, exponent, BYTES_OF(bytes));
		assert_power(r, minus_two, exponent, BYTES_OF(bytes));
	}
	BN_free(exponent);
	BN_free(minus_two);
	BN_free(two);
}

static void results_of_long_runs_are_right(void **state)
{
	(void)state;
	for_each(check_runs);
}

static void assert_power_of_2(const struct rig *r, const uint8_t *x)
{
	uint8_t got[CRYPT_MODP_LEN_MAX], want[CRYPT_MODP_LEN_MAX];
	BIGNUM *two = BN_new(), *exponent = BN_bin2bn(x, (int)r->exponent_len, NULL);

	BN_set_word(two, 2);
	assert_int_equal(BN_mod_exp(two, two, exponent, r->prime, r->ctx), 1);
	assert_int_equal(BN_bn2binpad(two, want, (int)r->len), (int)r->len);
	assert_int_equal(r->engine->power_of_2(r->state, bytes_of(x, r->exponent_len), got), ERR_NONE);
	assert_memory_equal(got, want, r->len);
	BN_free(exponent);
	BN_free(two);
}

static void check_powers_of_2(const struct rig *r)
{
	uint8_t x[64] = { 0 };

	assert_power_of_2(r, x);
	memset(x, 0xff, sizeof(x));
	assert_power_of_2(r, x);
	for (size_t at = 0; at < r->exponent_len; at++) /* each entry of the table once */
		for (unsigned v = 1; v < 16; v++) {
			memset(x, 0, sizeof(x));
			x[at] = (uint8_t)(v << 4 | (16 - v));
			assert_power_of_2(r, x);
		}
	for (unsigned n = 0; n < 20; n++) {
		crypt_random(x, sizeof(x));
		assert_power_of_2(r, x);
	}
}

static void powers_of_2_are_right(void **state)
{
	(void)state;
	for_each(check_powers_of_2);
}

static void a_mask_tells_zero(void **state)
{
	(void)state;
	assert_true(crypt_mask_zero(0) == UINT64_MAX);
	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 64; k++)
			assert_true(crypt_mask_zero((uint64_t)1 << i | (uint64_t)1 << k) == 0);
	assert_true(crypt_mask_zero(UINT64_MAX) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mask_tells_zero),
		cmocka_unit_test(powers_are_right),
		cmocka_unit_test(powers_of_odd_bases_are_right),
		cmocka_unit_test(results_of_long_runs_are_right),
		cmocka_unit_test(powers_of_2_are_right),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
