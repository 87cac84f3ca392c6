#include "crypt/dh_p384.h"

#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "crypt/random.h"
#include "rig.h"

/* Each of our engines against libcrypto's P-384. */

#define LEN CRYPT_P384_LEN

static const struct crypt_p384_engine *const engines[] = {
#ifdef __x86_64__
	&crypt_p384_ifma,
	&crypt_p384_mulx,
#endif
	NULL,
};

struct rig {
	const struct crypt_p384_engine *engine;
	EC_GROUP *ec;
	BIGNUM *n, *p;
	BN_CTX *ctx;
};

static const struct crypt_p384_engine *engine_now; /* of the group of tests that runs */

static int make_rig(void **state)
{
	static struct rig r;

	r = (struct rig){ .engine = engine_now, .ec = EC_GROUP_new_by_curve_name(NID_secp384r1), .ctx = BN_CTX_new() };
	r.n = BN_dup(EC_GROUP_get0_order(r.ec));
	r.p = BN_dup(EC_GROUP_get0_field(r.ec));
	*state = &r;
	return 0;
}

static int free_rig(void **state)
{
	struct rig *r = *state;

	BN_free(r->n);
	BN_free(r->p);
	BN_CTX_free(r->ctx);
	EC_GROUP_free(r->ec);
	return 0;
}

/* By libcrypto; q NULL: the generator. */
static void multiply(const struct rig *r, const BIGNUM *k, const uint8_t *q, uint8_t ret[static 2 * LEN])
{
	EC_POINT *point = EC_POINT_new(r->ec), *product = EC_POINT_new(r->ec);
	BIGNUM *x = BN_new(), *y = BN_new();

	if (q != NULL) {
		BN_bin2bn(q, LEN, x);
		BN_bin2bn(q + LEN, LEN, y);
		assert_int_equal(EC_POINT_set_affine_coordinates(r->ec, point, x, y, r->ctx), 1);
	}
	assert_int_equal(q == NULL ? EC_POINT_mul(r->ec, product, k, NULL, NULL, r->ctx)
				   : EC_POINT_mul(r->ec, product, NULL, point, k, r->ctx), 1);
	assert_int_equal(EC_POINT_get_affine_coordinates(r->ec, product, x, y, r->ctx), 1);
	assert_int_equal(BN_bn2binpad(x, ret, LEN), LEN);
	assert_int_equal(BN_bn2binpad(y, ret + LEN, LEN), LEN);
	BN_free(y);
	BN_free(x);
	EC_POINT_free(product);
	EC_POINT_free(point);
}

static void assert_multiple(const struct rig *r, const BIGNUM *k, const uint8_t *q)
{
	uint8_t scalar[LEN], got[2 * LEN], want[2 * LEN];

	assert_int_equal(BN_bn2binpad(k, scalar, LEN), LEN);
	multiply(r, k, q, want);
	if (q == NULL)
		r->engine->base(scalar, got);
	else
		r->engine->multiply(scalar, q, got);
	assert_memory_equal(got, want, sizeof(want));
}

static void random_multiples_of_random_points(void **state)
{
	const struct rig *r = *state;
	BIGNUM *k = BN_new();
	uint8_t q[2 * LEN];

	for (unsigned i = 0; i < 60; i++) {
		BN_rand_range(k, r->n);
		assert_multiple(r, k, NULL);
		multiply(r, k, NULL, q);
		BN_rand_range(k, r->n);
		assert_multiple(r, k, q);
	}
	BN_free(k);
}

/* Where the sum meets the term that is added, its opposite, or infinity: ordinary formulas fail there. */
static void scalars_near_0_and_the_order(void **state)
{
	const struct rig *r = *state;
	BIGNUM *k = BN_new(), *one = BN_new();
	uint8_t g[2 * LEN], opposite[2 * LEN];

	BN_one(one);
	multiply(r, one, NULL, g);
	BN_sub(k, r->n, one);
	multiply(r, k, NULL, opposite);
	for (unsigned i = 1; i < 40; i++) {
		BN_set_word(k, i);
		assert_multiple(r, k, NULL);
		assert_multiple(r, k, g);
		assert_multiple(r, k, opposite);
		BN_sub(k, r->n, k);
		assert_multiple(r, k, NULL);
		assert_multiple(r, k, g);
		assert_multiple(r, k, opposite);
	}
	BN_free(one);
	BN_free(k);
}

/* Each entry of the generator's tables is used by one of them alone. */
static void scalars_of_few_bits(void **state)
{
	const struct rig *r = *state;
	BIGNUM *k = BN_new(), *half = BN_new();

	for (int i = 0; i < 383; i++) {
		BN_zero(k);
		BN_set_bit(k, i);
		assert_multiple(r, k, NULL);
	}
	for (int t = 0; t < 96; t += 12)
		for (unsigned v = 1; v < 16; v++) {
			BN_zero(k);
			for (int tooth = 0; tooth < 4; tooth++)
				if ((v >> tooth & 1) != 0)
					BN_set_bit(k, 96 * tooth + t);
			assert_multiple(r, k, NULL);
		}
	BN_copy(half, r->n); /* (n +- 1) / 2: the sum and its double are opposite */
	BN_rshift1(half, half);
	assert_multiple(r, half, NULL);
	BN_add_word(half, 1);
	assert_multiple(r, half, NULL);
	BN_free(half);
	BN_free(k);
}

/* The curve has points with x = 0, and coordinates just below p: numbers at the ends of the range. */
static void points_with_coordinates_at_the_ends(void **state)
{
	const struct rig *r = *state;
	EC_POINT *point = EC_POINT_new(r->ec);
	BIGNUM *x = BN_new(), *y = BN_new(), *k = BN_new();
	uint8_t q[2 * LEN];
	unsigned found = 0;

	for (unsigned i = 0; i < 40; i++) {
		BN_set_word(x, i / 2);
		if (i % 2 == 1) {
			BN_add_word(x, 1);
			BN_sub(x, r->p, x);
		}
		if (EC_POINT_set_compressed_coordinates(r->ec, point, x, 0, r->ctx) != 1)
			continue;
		found++;
		assert_int_equal(EC_POINT_get_affine_coordinates(r->ec, point, x, y, r->ctx), 1);
		BN_bn2binpad(x, q, LEN);
		BN_bn2binpad(y, q + LEN, LEN);
		for (unsigned n = 1; n <= 3; n++) { /* and the point itself is what comes out */
			BN_set_word(k, n);
			assert_multiple(r, k, q);
		}
		BN_rand_range(k, r->n);
		assert_multiple(r, k, q);
		if (i == 0)
			assert_true(BN_is_zero(x));
	}
	assert_true(found >= 10);
	BN_free(k);
	BN_free(y);
	BN_free(x);
	EC_POINT_free(point);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_multiples_of_random_points),
		cmocka_unit_test(scalars_near_0_and_the_order),
		cmocka_unit_test(scalars_of_few_bits),
		cmocka_unit_test(points_with_coordinates_at_the_ends),
	};
	int failed = 0;

	for (unsigned i = 0; engines[i] != NULL; i++) {
		if (!engines[i]->usable()) {
			print_message("this CPU does not run %s\n", engines[i]->name);
			continue;
		}
		engine_now = engines[i];
		print_message("%s\n", engine_now->name);
		failed += cmocka_run_group_tests_name(engine_now->name, tests, make_rig, free_rig);
	}
	return failed;
}
