#include "crypt/dh.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <pthread.h>

#include "base/text.h"
#include "rig.h"

static const struct {
	uint16_t id;
	size_t public_len, secret_len;
} groups[] = {
	{ IKE_GROUP_MODP1536, 192, 192 }, { IKE_GROUP_MODP2048, 256, 256 },   { IKE_GROUP_MODP3072, 384, 384 },
	{ IKE_GROUP_MODP4096, 512, 512 }, { IKE_GROUP_ECP256, 64, 32 },	      { IKE_GROUP_ECP384, 96, 48 },
	{ IKE_GROUP_ECP521, 132, 66 },	  { IKE_GROUP_CURVE25519, 32, 32 },
};

static const struct {
	uint16_t id;
	BIGNUM *(*get_prime)(BIGNUM *);
} modps[] = {
	{ IKE_GROUP_MODP1536, BN_get_rfc3526_prime_1536 },
	{ IKE_GROUP_MODP2048, BN_get_rfc3526_prime_2048 },
	{ IKE_GROUP_MODP3072, BN_get_rfc3526_prime_3072 },
	{ IKE_GROUP_MODP4096, BN_get_rfc3526_prime_4096 },
};

static const struct {
	uint16_t id;
	int nid;
} curves[] = {
	{ IKE_GROUP_ECP256, NID_X9_62_prime256v1 },
	{ IKE_GROUP_ECP384, NID_secp384r1 },
	{ IKE_GROUP_ECP521, NID_secp521r1 },
};

/* ---- every group ---- */

static void lengths_are_those_of_the_rfcs(void **state)
{
	size_t known = 0;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		assert_int_equal(crypt_dh_public_len(groups[i].id), groups[i].public_len);
		assert_true(strlen(crypt_dh_public_rule(groups[i].id)) > 0);
	}
	for (unsigned id = 0; id <= UINT16_MAX; id++)
		known += crypt_dh_public_len((uint16_t)id) != 0;
	assert_int_equal(known, ARRAY_LEN(groups));
	assert_string_equal(crypt_dh_public_rule(2), "");
}

static void both_sides_get_the_same_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypt_dh_key *key;
		struct crypt_dh_result result;
		uint8_t secret[CRYPT_DH_SECRET_MAX];
		size_t len;

		assert_int_equal(crypt_dh_new(groups[i].id, &key), ERR_NONE);
		assert_int_equal(crypt_dh_public(key).len, groups[i].public_len);
		assert_int_equal(crypt_dh_respond(groups[i].id, crypt_dh_public(key), &result), ERR_NONE);
		assert_int_equal(
			crypt_dh_derive(key, bytes_of(result.public, result.public_len), secret, &len),
			ERR_NONE);
		assert_int_equal(result.public_len, groups[i].public_len);
		assert_int_equal(result.secret_len, groups[i].secret_len);
		assert_true(bytes_eq(bytes_of(secret, len), bytes_of(result.secret, result.secret_len)));
		crypt_dh_free(key);
	}
}

static void every_key_is_fresh(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypt_dh_key *a, *b;

		assert_int_equal(crypt_dh_new(groups[i].id, &a), ERR_NONE);
		assert_int_equal(crypt_dh_new(groups[i].id, &b), ERR_NONE);
		assert_false(bytes_eq(crypt_dh_public(a), crypt_dh_public(b)));
		crypt_dh_free(a);
		crypt_dh_free(b);
	}
}

/* Refused by both ways in, nothing written, and no error left for whoever looks into libcrypto's list next. */
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
	assert_int_equal(ERR_peek_error(), 0);
	crypt_dh_free(key);
}

static void public_values_of_a_wrong_length_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypt_dh_key *key;
		uint8_t room[CRYPT_DH_PUBLIC_MAX + 1] = { 0 };
		size_t len = groups[i].public_len;

		assert_int_equal(crypt_dh_new(groups[i].id, &key), ERR_NONE);
		memcpy(room + 1, crypt_dh_public(key).p, len);
		crypt_dh_free(key);
		assert_refused(groups[i].id, bytes_of(room, 0));
		assert_refused(groups[i].id, bytes_of(room + 1, len - 1));
		assert_refused(groups[i].id, bytes_of(room, len + 1));
		assert_refused(groups[i].id, bytes_of(room + 1, len / 2));
		for (size_t k = 0; k < ARRAY_LEN(groups); k++)
			if (groups[k].public_len != len)
				assert_refused(groups[i].id, bytes_of(room, groups[k].public_len));
	}
}

static void unknown_groups_are_unsupported(void **state)
{
	static const uint16_t unknown[] = { 0, 1, 2, 17, 18, 22, 23, 24, 30, 32, 35, 65535 };
	struct crypt_dh_result result;
	struct crypt_dh_key *key;
	uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 2 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		assert_int_equal(crypt_dh_respond(unknown[i], BYTES_OF(room), &result), ERR_UNSUPPORTED);
		assert_int_equal(crypt_dh_new(unknown[i], &key), ERR_UNSUPPORTED);
		assert_int_equal(crypt_dh_from_private(unknown[i], bytes_str("x"), &key), ERR_UNSUPPORTED);
	}
	crypt_dh_free(NULL);
}

/* ---- MODP ---- */

/* prime + add, as long as the modulus: the border values of the range. */
static struct bytes near_prime(size_t i, int add, uint8_t room[static CRYPT_DH_PUBLIC_MAX])
{
	size_t len = crypt_dh_public_len(modps[i].id);
	BIGNUM *p = modps[i].get_prime(NULL);

	assert_non_null(p);
	assert_int_equal(add < 0 ? BN_sub_word(p, (BN_ULONG)-add) : BN_add_word(p, (BN_ULONG)add), 1);
	assert_int_equal(BN_bn2binpad(p, room, (int)len), (int)len);
	BN_free(p);
	return bytes_of(room, len);
}

static void public_values_0_1_and_from_p_minus_1_up_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modps); i++) {
		uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 0 };
		size_t len = crypt_dh_public_len(modps[i].id);

		assert_refused(modps[i].id, bytes_of(room, len));
		room[len - 1] = 1;
		assert_refused(modps[i].id, bytes_of(room, len));
		for (int add = -1; add <= 3; add++)
			assert_refused(modps[i].id, near_prime(i, add, room));
		memset(room, 0xff, sizeof(room));
		assert_refused(modps[i].id, bytes_of(room, len));
	}
}

static void public_values_2_and_p_minus_2_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modps); i++) {
		uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 0 };
		size_t len = crypt_dh_public_len(modps[i].id);
		struct crypt_dh_result result;

		room[len - 1] = 2;
		assert_int_equal(crypt_dh_respond(modps[i].id, bytes_of(room, len), &result), ERR_NONE);
		/* What is shared with the generator is the own public value. */
		assert_memory_equal(result.secret, result.public, len);
		assert_int_equal(crypt_dh_respond(modps[i].id, near_prime(i, -2, room), &result), ERR_NONE);
		room[0] = 1; /* the lowest value that has a top byte */
		memset(room + 1, 0, sizeof(room) - 1);
		assert_int_equal(crypt_dh_respond(modps[i].id, bytes_of(room, len), &result), ERR_NONE);
	}
}

/* A longer private value goes the general way, a short one through the table of powers of 2. */
static void both_ways_to_a_public_value_agree(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modps); i++) {
		struct crypt_dh_key *by_table, *by_power;
		uint8_t room[64] = { 0 };

		for (size_t k = 36; k < sizeof(room); k++)
			room[k] = (uint8_t)(7 * k + i);
		assert_int_equal(crypt_dh_from_private(modps[i].id, bytes_of(room + 36, 28), &by_table), ERR_NONE);
		assert_int_equal(crypt_dh_from_private(modps[i].id, BYTES_OF(room), &by_power), ERR_NONE);
		assert_true(bytes_eq(crypt_dh_public(by_table), crypt_dh_public(by_power)));
		crypt_dh_free(by_table);
		crypt_dh_free(by_power);
	}
}

/* ---- curves ---- */

struct curve {
	EC_GROUP *ec;
	BIGNUM *p, *n, *x, *y;
	size_t half;
};

static struct curve open_curve(size_t i)
{
	struct curve c = { .ec = EC_GROUP_new_by_curve_name(curves[i].nid), .x = BN_new(), .y = BN_new() };

	c.p = BN_dup(EC_GROUP_get0_field(c.ec));
	c.n = BN_dup(EC_GROUP_get0_order(c.ec));
	c.half = crypt_dh_public_len(curves[i].id) / 2;
	assert_int_equal(EC_POINT_get_affine_coordinates(c.ec, EC_GROUP_get0_generator(c.ec), c.x, c.y, NULL), 1);
	return c;
}

static void close_curve(struct curve *c)
{
	BN_free(c->y);
	BN_free(c->x);
	BN_free(c->n);
	BN_free(c->p);
	EC_GROUP_free(c->ec);
}

static struct bytes write_point(const struct curve *c, const BIGNUM *x, const BIGNUM *y,
				uint8_t room[static CRYPT_DH_PUBLIC_MAX])
{
	int half = (int)c->half;

	assert_int_equal(BN_bn2binpad(x, room, half), half);
	assert_int_equal(BN_bn2binpad(y, room + half, half), half);
	return bytes_of(room, 2 * c->half);
}

static void the_generator_and_its_opposite_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		struct curve c = open_curve(i);
		struct crypt_dh_result result;
		uint8_t room[CRYPT_DH_PUBLIC_MAX];

		for (unsigned sign = 0; sign < 2; sign++) {
			struct bytes g = write_point(&c, c.x, c.y, room);
			assert_int_equal(crypt_dh_respond(curves[i].id, g, &result), ERR_NONE);
			/* RFC 5903 7: x alone, which both points share with the own public value. */
			assert_memory_equal(result.secret, result.public, c.half);
			assert_int_equal(BN_sub(c.y, c.p, c.y), 1);
		}
		close_curve(&c);
	}
}

static void points_off_the_curve_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		struct curve c = open_curve(i);
		uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 0 };
		BIGNUM *zero = BN_new();

		/* Infinity has no coordinates; (0, 0) is what some write for it. */
		assert_refused(curves[i].id, write_point(&c, zero, zero, room));
		assert_refused(curves[i].id, write_point(&c, c.x, zero, room));
		assert_refused(curves[i].id, write_point(&c, zero, c.y, room));
		assert_refused(curves[i].id, write_point(&c, c.y, c.x, room));
		for (size_t bit = 0; bit < 8 * 2 * c.half; bit += 61) {
			(void)write_point(&c, c.x, c.y, room);
			room[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_refused(curves[i].id, bytes_of(room, 2 * c.half));
		}
		BN_free(zero);
		close_curve(&c);
	}
}

/* A point whose x is so small that x + p still fits the field's bytes. */
static void find_small_x(struct curve *c)
{
	EC_POINT *q = EC_POINT_new(c->ec);
	BN_ULONG x = 1;

	while (BN_set_word(c->x, x) == 1 && EC_POINT_set_compressed_coordinates(c->ec, q, c->x, 0, NULL) != 1)
		x++;
	ERR_clear_error();
	assert_int_equal(EC_POINT_get_affine_coordinates(c->ec, q, NULL, c->y, NULL), 1);
	EC_POINT_free(q);
}

static void coordinates_from_p_up_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		struct curve c = open_curve(i);
		struct crypt_dh_result result;
		uint8_t room[CRYPT_DH_PUBLIC_MAX];
		BIGNUM *more = BN_new();

		find_small_x(&c);
		struct bytes point = write_point(&c, c.x, c.y, room);
		assert_int_equal(crypt_dh_respond(curves[i].id, point, &result), ERR_NONE);
		assert_int_equal(BN_add(more, c.x, c.p), 1);
		assert_refused(curves[i].id, write_point(&c, more, c.y, room));
		if (curves[i].id == IKE_GROUP_ECP521) { /* its bytes have room for any y + p */
			assert_int_equal(BN_add(more, c.y, c.p), 1);
			assert_refused(curves[i].id, write_point(&c, c.x, more, room));
		}
		assert_refused(curves[i].id, write_point(&c, c.p, c.y, room));
		assert_refused(curves[i].id, write_point(&c, c.x, c.p, room));
		memset(room, 0xff, sizeof(room));
		assert_refused(curves[i].id, bytes_of(room, 2 * c.half));
		BN_free(more);
		close_curve(&c);
	}
}

static void private_values_of_a_curve_are_1_to_n_minus_1(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		struct curve c = open_curve(i);
		struct crypt_dh_key *key;
		uint8_t room[CRYPT_DH_PUBLIC_MAX] = { 0 }, private[CRYPT_DH_SECRET_MAX] = { 0 };
		struct bytes k = bytes_of(private, c.half);

		assert_int_equal(crypt_dh_from_private(curves[i].id, k, &key), ERR_RANGE);
		assert_int_equal(BN_bn2binpad(c.n, private, (int)c.half), (int)c.half);
		assert_int_equal(crypt_dh_from_private(curves[i].id, k, &key), ERR_RANGE);
		private[c.half - 1]--;
		assert_int_equal(crypt_dh_from_private(curves[i].id, k, &key), ERR_NONE);
		BN_sub(c.y, c.p, c.y);
		assert_true(bytes_eq(crypt_dh_public(key), write_point(&c, c.x, c.y, room)));
		crypt_dh_free(key);
		BN_sub(c.y, c.p, c.y);
		memset(private, 0, sizeof(private));
		private[c.half - 1] = 1;
		assert_int_equal(crypt_dh_from_private(curves[i].id, k, &key), ERR_NONE);
		assert_true(bytes_eq(crypt_dh_public(key), write_point(&c, c.x, c.y, room)));
		crypt_dh_free(key);
		close_curve(&c);
	}
}

/* ---- X25519 ---- */

static void write_hex(const char *hex, uint8_t room[static 32])
{
	assert_int_equal(text_hex_parse(bytes_str(hex), room, 32), ERR_NONE);
}

static void points_of_low_order_are_refused(void **state)
{
	/* 0, 1, two points of order 8, and p-1; then p and p+1, which are 0 and 1 again */
	static const char *const low[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(low); i++) {
		uint8_t room[32];
		write_hex(low[i], room);
		assert_refused(IKE_GROUP_CURVE25519, BYTES_OF(room));
		room[31] ^= 0x80; /* RFC 7748 5: this bit is not looked at */
		assert_refused(IKE_GROUP_CURVE25519, BYTES_OF(room));
	}
}

/* RFC 7748 5: values from p up are taken modulo p, and the top bit is ignored. */
static void any_other_32_bytes_are_a_point(void **state)
{
	uint8_t small[32] = { 18 }, large[32], secrets[4][CRYPT_DH_SECRET_MAX];
	struct crypt_dh_key *key;
	size_t len;
	(void)state;

	memset(large, 0xff, sizeof(large));
	large[31] = 0x7f; /* p + 18 */
	assert_int_equal(crypt_dh_new(IKE_GROUP_CURVE25519, &key), ERR_NONE);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t *value = i < 2 ? small : large;
		assert_int_equal(crypt_dh_derive(key, bytes_of(value, 32), secrets[i], &len), ERR_NONE);
		assert_int_equal(len, 32);
		assert_memory_equal(secrets[i], secrets[0], 32);
		value[31] ^= 0x80;
	}
	crypt_dh_free(key);
}

/* ---- private values, threads ---- */

static void a_private_value_must_fit(void **state)
{
	struct crypt_dh_key *key;
	uint8_t room[CRYPT_DH_PUBLIC_MAX + 1] = { 2 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		size_t max = groups[i].secret_len;
		assert_int_equal(crypt_dh_from_private(groups[i].id, bytes_of(room, 0), &key), ERR_RANGE);
		assert_int_equal(crypt_dh_from_private(groups[i].id, bytes_of(room, max + 1), &key), ERR_RANGE);
	}
	assert_int_equal(crypt_dh_from_private(IKE_GROUP_CURVE25519, bytes_of(room, 31), &key), ERR_RANGE);
}

static void *respond_in_all_groups(void *arg)
{
	unsigned *good = arg;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct crypt_dh_key *key;
		struct crypt_dh_result result;
		uint8_t secret[CRYPT_DH_SECRET_MAX];
		size_t len = 0;

		if (crypt_dh_new(groups[i].id, &key) != ERR_NONE)
			continue;
		*good += crypt_dh_respond(groups[i].id, crypt_dh_public(key), &result) == ERR_NONE &&
			 crypt_dh_derive(key, bytes_of(result.public, result.public_len), secret, &len) == ERR_NONE &&
			 bytes_eq(bytes_of(secret, len), bytes_of(result.secret, result.secret_len));
		crypt_dh_free(key);
	}
	return NULL;
}

/* Comes first, so that the tables are made by whichever thread is first. */
static void threads_may_meet_at_the_first_use(void **state)
{
	pthread_t threads[4];
	unsigned good[4] = { 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, respond_in_all_groups, &good[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(good[i], ARRAY_LEN(groups));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_may_meet_at_the_first_use),
		cmocka_unit_test(lengths_are_those_of_the_rfcs),
		cmocka_unit_test(both_sides_get_the_same_secret),
		cmocka_unit_test(every_key_is_fresh),
		cmocka_unit_test(public_values_of_a_wrong_length_are_refused),
		cmocka_unit_test(unknown_groups_are_unsupported),
		cmocka_unit_test(public_values_0_1_and_from_p_minus_1_up_are_refused),
		cmocka_unit_test(public_values_2_and_p_minus_2_are_taken),
		cmocka_unit_test(both_ways_to_a_public_value_agree),
		cmocka_unit_test(the_generator_and_its_opposite_are_taken),
		cmocka_unit_test(points_off_the_curve_are_refused),
		cmocka_unit_test(coordinates_from_p_up_are_refused),
		cmocka_unit_test(private_values_of_a_curve_are_1_to_n_minus_1),
		cmocka_unit_test(points_of_low_order_are_refused),
		cmocka_unit_test(any_other_32_bytes_are_a_point),
		cmocka_unit_test(a_private_value_must_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
