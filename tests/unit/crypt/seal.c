#include "crypt/seal.h"

#include "rig.h"

enum { TEXT_MAX = 3000 };

/* The two ways of sealing behind one face, so that each test runs over both. */
struct way {
	struct crypt_seal_private private, other;
	struct crypt_seal_public public;
	bool box;
};

static void init_way(struct way *w, bool box)
{
	w->box = box;
	assert_int_equal(crypt_seal_generate(&w->private), ERR_NONE);
	assert_int_equal(crypt_seal_generate(&w->other), ERR_NONE);
	assert_int_equal(crypt_seal_public_of(&w->private, &w->public), ERR_NONE);
}

static enum err seal(const struct way *w, struct bytes aad, struct bytes text, struct space out, size_t *len)
{
	return w->box ? crypt_box_seal(&w->public, aad, text, out, len)
		      : crypt_lock_seal(w->private.b, aad, text, out, len);
}

static enum err open_with(const struct way *w, const struct crypt_seal_private *key, struct bytes aad,
			  struct bytes sealed, struct space out, size_t *len)
{
	return w->box ? crypt_box_open(key, aad, sealed, out, len)
		      : crypt_lock_open(key->b, aad, sealed, out, len);
}

static void text_comes_back_at_every_size(void **state)
{
	static uint8_t text[TEXT_MAX], sealed[TEXT_MAX + CRYPT_SEAL_OVERHEAD], out[TEXT_MAX];
	(void)state;

	fill(text, sizeof(text), 1);
	for (int box = 0; box <= 1; box++) {
		struct way w;
		size_t len, out_len;
		init_way(&w, box);
		for (size_t n = 0; n <= TEXT_MAX; n += n < 70 ? 1 : 293) {
			struct space exact = { sealed, n + CRYPT_SEAL_OVERHEAD };
			assert_int_equal(seal(&w, bytes_str("name"), bytes_of(text, n), exact, &len),
					 ERR_NONE);
			assert_int_equal(len, n + CRYPT_SEAL_OVERHEAD);
			assert_int_equal(sealed[0], box ? 1 : 2);
			memset(out, 0, sizeof(out));
			assert_int_equal(open_with(&w, &w.private, bytes_str("name"), bytes_of(sealed, len),
						   (struct space){ out, n }, &out_len),
					 ERR_NONE);
			assert_true(bytes_eq(bytes_of(text, n), bytes_of(out, out_len)));
		}
	}
}

static void sealing_twice_gives_two_values(void **state)
{
	(void)state;
	for (int box = 0; box <= 1; box++) {
		struct way w;
		uint8_t a[100], b[100];
		size_t len;
		init_way(&w, box);
		assert_int_equal(seal(&w, bytes_str("name"), bytes_str("same text"), SPACE_OF(a), &len),
				 ERR_NONE);
		assert_int_equal(seal(&w, bytes_str("name"), bytes_str("same text"), SPACE_OF(b), &len),
				 ERR_NONE);
		assert_memory_not_equal(a + 1, b + 1, 32);
		assert_memory_not_equal(a + 33, b + 33, 9);
	}
}

static void open_rejects_every_flipped_bit_and_gives_no_text(void **state)
{
	(void)state;
	for (int box = 0; box <= 1; box++) {
		struct way w;
		uint8_t sealed[100], out[100], zero[100] = { 0 };
		size_t len, out_len = 999;
		init_way(&w, box);
		assert_int_equal(seal(&w, bytes_str("name"), bytes_str("a secret"), SPACE_OF(sealed), &len),
				 ERR_NONE);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			enum err want = bit < 8 ? ERR_VERSION : ERR_AUTH;
			/* X25519 ignores the top bit of a public value; here the salt of the key does not. */
			sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
			memset(out, 0, sizeof(out));
			assert_int_equal(open_with(&w, &w.private, bytes_str("name"), bytes_of(sealed, len),
						   SPACE_OF(out), &out_len),
					 want);
			assert_int_equal(out_len, 999);
			assert_memory_equal(out, zero, sizeof(out));
			sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

static void a_value_is_bound_to_its_name_and_key(void **state)
{
	(void)state;
	for (int box = 0; box <= 1; box++) {
		struct way w;
		uint8_t sealed[100], out[100];
		size_t len, out_len;
		init_way(&w, box);
		assert_int_equal(seal(&w, bytes_str("/psk/1"), bytes_str("a secret"), SPACE_OF(sealed), &len),
				 ERR_NONE);
		struct bytes value = bytes_of(sealed, len);
		assert_int_equal(
			open_with(&w, &w.private, bytes_str("/psk/2"), value, SPACE_OF(out), &out_len),
			ERR_AUTH);
		assert_int_equal(open_with(&w, &w.private, bytes_of(NULL, 0), value, SPACE_OF(out), &out_len),
				 ERR_AUTH);
		assert_int_equal(open_with(&w, &w.other, bytes_str("/psk/1"), value, SPACE_OF(out), &out_len),
				 ERR_AUTH);
		assert_int_equal(
			open_with(&w, &w.private, bytes_str("/psk/1"), value, SPACE_OF(out), &out_len),
			ERR_NONE);
	}
}

static void a_box_is_no_locked_value_nor_the_other_way_round(void **state)
{
	struct way box, lock;
	uint8_t sealed[100], out[100];
	size_t len, out_len;
	(void)state;

	init_way(&box, true);
	lock = box;
	lock.box = false;
	assert_int_equal(seal(&box, bytes_str("n"), bytes_str("text"), SPACE_OF(sealed), &len), ERR_NONE);
	assert_int_equal(open_with(&lock, &lock.private, bytes_str("n"), bytes_of(sealed, len), SPACE_OF(out),
				   &out_len),
			 ERR_VERSION);
	assert_int_equal(seal(&lock, bytes_str("n"), bytes_str("text"), SPACE_OF(sealed), &len), ERR_NONE);
	assert_int_equal(
		open_with(&box, &box.private, bytes_str("n"), bytes_of(sealed, len), SPACE_OF(out), &out_len),
		ERR_VERSION);
}

static void values_cut_short_are_refused(void **state)
{
	(void)state;
	for (int box = 0; box <= 1; box++) {
		struct way w;
		uint8_t sealed[100], out[100];
		size_t len, out_len;
		init_way(&w, box);
		assert_int_equal(seal(&w, bytes_str("n"), bytes_str("four"), SPACE_OF(sealed), &len),
				 ERR_NONE);
		for (size_t n = 0; n < len; n++)
			assert_int_equal(open_with(&w, &w.private, bytes_str("n"), bytes_of(sealed, n),
						   SPACE_OF(out), &out_len),
					 n < CRYPT_SEAL_OVERHEAD ? ERR_SHORT : ERR_AUTH);
	}
}

static void too_little_room_is_said_before_anything_is_written(void **state)
{
	(void)state;
	for (int box = 0; box <= 1; box++) {
		struct way w;
		uint8_t sealed[100], out[100] = { 0 }, zero[100] = { 0 };
		size_t len = 5, out_len = 6;
		init_way(&w, box);
		struct space small = { sealed, 4 + CRYPT_SEAL_OVERHEAD - 1 };
		assert_int_equal(seal(&w, bytes_str("n"), bytes_str("four"), small, &len), ERR_FULL);
		assert_int_equal(len, 5);
		assert_int_equal(seal(&w, bytes_str("n"), bytes_str("four"), SPACE_OF(sealed), &len),
				 ERR_NONE);
		small = (struct space){ out, 3 };
		assert_int_equal(
			open_with(&w, &w.private, bytes_str("n"), bytes_of(sealed, len), small, &out_len),
			ERR_FULL);
		assert_int_equal(out_len, 6);
		assert_memory_equal(out, zero, sizeof(out));
	}
}

/* RFC 7748 6.1: the secret of such a value is zero for every key, so anybody could have made the box. */
static void an_ephemeral_value_of_small_order_is_refused(void **state)
{
	struct way w;
	uint8_t sealed[100], out[100];
	size_t len, out_len;
	(void)state;

	init_way(&w, true);
	assert_int_equal(seal(&w, bytes_str("n"), bytes_str("text"), SPACE_OF(sealed), &len), ERR_NONE);
	memset(sealed + 1, 0, 32);
	assert_int_equal(
		crypt_box_open(&w.private, bytes_str("n"), bytes_of(sealed, len), SPACE_OF(out), &out_len),
		ERR_AUTH);
	sealed[1] = 1;
	assert_int_equal(
		crypt_box_open(&w.private, bytes_str("n"), bytes_of(sealed, len), SPACE_OF(out), &out_len),
		ERR_AUTH);
}

static void generated_keys_and_sa_keys_differ(void **state)
{
	struct way w;
	uint8_t a[CRYPT_SEAL_KEY_LEN], b[CRYPT_SEAL_KEY_LEN];
	(void)state;

	init_way(&w, true);
	assert_memory_not_equal(w.private.b, w.other.b, sizeof(w.private.b));
	assert_int_equal(crypt_seal_sa_key(&w.private, a), ERR_NONE);
	assert_int_equal(crypt_seal_sa_key(&w.other, b), ERR_NONE);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, w.private.b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_comes_back_at_every_size),
		cmocka_unit_test(sealing_twice_gives_two_values),
		cmocka_unit_test(open_rejects_every_flipped_bit_and_gives_no_text),
		cmocka_unit_test(a_value_is_bound_to_its_name_and_key),
		cmocka_unit_test(a_box_is_no_locked_value_nor_the_other_way_round),
		cmocka_unit_test(values_cut_short_are_refused),
		cmocka_unit_test(too_little_room_is_said_before_anything_is_written),
		cmocka_unit_test(an_ephemeral_value_of_small_order_is_refused),
		cmocka_unit_test(generated_keys_and_sa_keys_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
