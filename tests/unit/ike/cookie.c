#include "ike_test.h"

static const struct ike_world world = { .cookie_key = { { 1, 2 }, { 3, 4 } }, .cookie_version = 0 };
static const uint8_t ni[32] = { 1, 2, 3 };

static bool check(const struct ike_world *w, const uint8_t *cookie, size_t len)
{
	const struct addr a = endpoint("198.51.100.7", 0).addr;
	return ike_cookie_check(w, bytes_of(cookie, len), BYTES_OF(ni), &a, 77);
}

static void make(const struct ike_world *w, uint8_t cookie[static IKE_COOKIE_LEN])
{
	const struct addr a = endpoint("198.51.100.7", 0).addr;
	ike_cookie_make(w, BYTES_OF(ni), &a, 77, cookie);
}

static void a_cookie_is_good_for_its_nonce_address_and_spi_only(void **state)
{
	const struct addr a = endpoint("198.51.100.7", 0).addr, b = endpoint("198.51.100.8", 0).addr;
	const uint8_t other[32] = { 1, 2, 4 };
	uint8_t c[IKE_COOKIE_LEN];

	(void)state;
	make(&world, c);
	assert_true(check(&world, c, sizeof(c)));
	assert_false(ike_cookie_check(&world, BYTES_OF(c), BYTES_OF(other), &a, 77));
	assert_false(ike_cookie_check(&world, BYTES_OF(c), bytes_of(ni, 31), &a, 77));
	assert_false(ike_cookie_check(&world, BYTES_OF(c), BYTES_OF(ni), &b, 77));
	assert_false(ike_cookie_check(&world, BYTES_OF(c), BYTES_OF(ni), &a, 78));
}

/* Nodes learn of a new secret one after the other; those that have it go on with the one before for a while. */
static void a_cookie_of_the_older_secret_is_good_where_the_newer_is_not_known(void **state)
{
	const struct ike_world behind = { .cookie_key = { { 1, 2 }, { 3, 4 } }, .cookie_version = 255 };
	const struct ike_world turned = { .cookie_key = { { 7, 8 }, { 1, 2 } }, .cookie_version = 0, .cookie_make = 1 };
	uint8_t c[IKE_COOKIE_LEN];

	(void)state;
	make(&turned, c);
	assert_true(check(&behind, c, sizeof(c)));
	assert_true(check(&turned, c, sizeof(c)));
	make(&behind, c);
	assert_true(check(&turned, c, sizeof(c)));
}

static void a_changed_or_cut_cookie_is_refused(void **state)
{
	uint8_t c[IKE_COOKIE_LEN];

	(void)state;
	make(&world, c);
	for (unsigned bit = 0; bit < sizeof(c) * 8; bit++) {
		c[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(check(&world, c, sizeof(c)));
		c[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len < sizeof(c); len++)
		assert_false(check(&world, c, len));
}

static void a_cookie_outlives_one_change_of_the_secret(void **state)
{
	struct ike_world w = world;
	uint8_t c[IKE_COOKIE_LEN];

	(void)state;
	for (unsigned start = 0; start < 256; start += 85) { /* 255 wraps to 0 */
		w.cookie_version = (uint8_t)start;
		make(&w, c);
		w.cookie_key[1] = w.cookie_key[0];
		w.cookie_key[0] = (struct siphash_key){ start, 9 };
		w.cookie_version++;
		assert_true(check(&w, c, sizeof(c)));
		w.cookie_key[1] = w.cookie_key[0];
		w.cookie_key[0] = (struct siphash_key){ start, 10 };
		w.cookie_version++;
		assert_false(check(&w, c, sizeof(c)));
	}
}

TESTS(cmocka_unit_test(a_cookie_is_good_for_its_nonce_address_and_spi_only),
      cmocka_unit_test(a_changed_or_cut_cookie_is_refused),
      cmocka_unit_test(a_cookie_of_the_older_secret_is_good_where_the_newer_is_not_known),
      cmocka_unit_test(a_cookie_outlives_one_change_of_the_secret))
