#include "crypt/ike_cipher.h"

#include "rig.h"

enum { AAD_LEN = 36, TEXT_MAX = 4096 };

static const uint8_t encr_key[CRYPT_ENCR_KEY_MAX] = { 7, 5, 3 };
static const uint8_t integ_key[CRYPT_INTEG_KEY_MAX] = { 11, 13 };

/* A message in one piece, as it stands in a datagram: header, IV, text, ICV. */
struct message {
	struct crypt_ike_keys keys;
	uint8_t room[AAD_LEN + CRYPT_IV_MAX + TEXT_MAX + CRYPT_ICV_MAX];
	uint8_t before[AAD_LEN + CRYPT_IV_MAX + TEXT_MAX + CRYPT_ICV_MAX];
	struct bytes aad, iv;
	struct space text, icv;
	size_t len;
};

static void lay_out(struct message *m, const struct rig_suite *s, size_t text_len)
{
	struct wr w = wr_of(SPACE_OF(m->room));
	size_t iv_len = crypt_encr_iv_len(s->encr), icv_len = crypt_icv_len(s->encr, s->integ);

	m->keys = (struct crypt_ike_keys){
		.encr_id = s->encr,
		.key_bits = s->bits,
		.integ_id = s->integ,
		.encr = bytes_of(encr_key, crypt_encr_key_len(s->encr, s->bits)),
		.integ = bytes_of(integ_key, crypt_integ_key_len(s->integ)),
	};
	m->aad = bytes_of(wr_reserve(&w, AAD_LEN), AAD_LEN);
	m->iv = bytes_of(wr_reserve(&w, iv_len), iv_len);
	m->text = (struct space){ wr_reserve(&w, text_len), text_len };
	m->icv = (struct space){ wr_reserve(&w, icv_len), icv_len };
	m->len = wr_len(&w);
	fill(m->room, m->len, (unsigned)text_len);
	memcpy(m->before, m->room, sizeof(m->before));
}

static enum err open_message(struct message *m)
{
	return crypt_ike_open(&m->keys, m->aad, m->iv, m->text, bytes_of(m->icv.p, m->icv.cap));
}

static bool for_ike(const struct rig_suite *s)
{
	return s->encr != IKE_ENCR_NULL;
}

static void every_suite_comes_back_at_every_size(void **state)
{
	static struct message m;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		size_t step = crypt_encr_block_len(rig_suites[i].encr);
		if (!for_ike(&rig_suites[i]))
			continue;
		for (size_t len = step; len <= TEXT_MAX; len += len < 300 ? step : 16 * 13) {
			lay_out(&m, &rig_suites[i], len);
			assert_int_equal(crypt_ike_seal(&m.keys, m.aad, m.iv, m.text, m.icv), ERR_NONE);
			/* Header and IV stay; short texts may be unchanged by chance. */
			assert_memory_equal(m.room, m.before, AAD_LEN + m.iv.len);
			if (len >= 8)
				assert_memory_not_equal(m.text.p, m.before + AAD_LEN + m.iv.len, len);
			assert_int_equal(open_message(&m), ERR_NONE);
			assert_memory_equal(m.text.p, m.before + AAD_LEN + m.iv.len, len);
		}
	}
}

static void open_rejects_a_flipped_bit_anywhere(void **state)
{
	static struct message m, sealed;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		if (!for_ike(&rig_suites[i]))
			continue;
		lay_out(&m, &rig_suites[i], 48);
		assert_int_equal(crypt_ike_seal(&m.keys, m.aad, m.iv, m.text, m.icv), ERR_NONE);
		memcpy(sealed.room, m.room, sizeof(m.room));
		for (size_t bit = 0; bit < 8 * m.len; bit++) {
			memcpy(m.room, sealed.room, sizeof(m.room));
			m.room[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(open_message(&m), ERR_AUTH);
		}
	}
}

static void open_rejects_another_key(void **state)
{
	static struct message m;
	static const uint8_t other[CRYPT_ENCR_KEY_MAX] = { 7, 5, 4 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		if (!for_ike(&rig_suites[i]))
			continue;
		lay_out(&m, &rig_suites[i], 32);
		assert_int_equal(crypt_ike_seal(&m.keys, m.aad, m.iv, m.text, m.icv), ERR_NONE);
		if (crypt_encr_is_aead(rig_suites[i].encr))
			m.keys.encr.p = other;
		else
			m.keys.integ.p = other;
		assert_int_equal(open_message(&m), ERR_AUTH);
	}
}

/* A length that is wrong by one, in either direction of use. */
static void assert_range(struct message *m)
{
	struct bytes icv = bytes_of(m->icv.p, m->icv.cap);

	memcpy(m->before, m->room, sizeof(m->before));
	assert_int_equal(crypt_ike_seal(&m->keys, m->aad, m->iv, m->text, m->icv), ERR_RANGE);
	assert_int_equal(crypt_ike_open(&m->keys, m->aad, m->iv, m->text, icv), ERR_RANGE);
	assert_memory_equal(m->before, m->room, sizeof(m->before));
}

static void wrong_lengths_are_refused_and_nothing_is_touched(void **state)
{
	static struct message m;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		const struct rig_suite *s = &rig_suites[i];
		if (!for_ike(s))
			continue;
		lay_out(&m, s, 64);
		m.keys.encr.len--;
		assert_range(&m);
		lay_out(&m, s, 64);
		m.keys.integ = bytes_of(integ_key, crypt_integ_key_len(s->integ) + 1);
		assert_range(&m);
		lay_out(&m, s, 64);
		m.iv.len--;
		assert_range(&m);
		lay_out(&m, s, 64);
		m.icv.cap--;
		assert_range(&m);
		lay_out(&m, s, 64);
		m.text.cap = 0;
		assert_range(&m);
		if (crypt_encr_block_len(s->encr) == 1)
			continue;
		lay_out(&m, s, 64);
		m.text.cap--;
		assert_range(&m);
	}
}

static void what_ike_cannot_use_is_unsupported(void **state)
{
	static const struct rig_suite rows[] = {
		{ IKE_ENCR_NULL, 0, IKE_INTEG_HMAC_SHA2_256_128 },
		{ IKE_ENCR_AES_CBC, 256, IKE_INTEG_NONE },
		{ IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_HMAC_SHA2_256_128 },
		{ IKE_ENCR_AES_GCM_16, 512, IKE_INTEG_NONE },
		{ 3, 0, IKE_INTEG_HMAC_SHA2_256_128 },
	};
	static struct message m;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		lay_out(&m, &rows[i], 64);
		assert_int_equal(crypt_ike_seal(&m.keys, m.aad, m.iv, m.text, m.icv), ERR_UNSUPPORTED);
		assert_int_equal(open_message(&m), ERR_UNSUPPORTED);
		assert_memory_equal(m.before, m.room, sizeof(m.before));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_comes_back_at_every_size),
		cmocka_unit_test(open_rejects_a_flipped_bit_anywhere),
		cmocka_unit_test(open_rejects_another_key),
		cmocka_unit_test(wrong_lengths_are_refused_and_nothing_is_touched),
		cmocka_unit_test(what_ike_cannot_use_is_unsupported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
