#include "model/psk.h"
#include "model/token.h"

#include "codec.h"

CODEC_OF(model_psk_decode, struct model_psk);

static enum err decode_token(struct bytes record, void *ret)
{
	return model_token_decode(record, ret);
}

static const struct codec token_codec = { decode_token, sizeof(struct model_token) };

static void psk_record_comes_back_as_it_was(void **state)
{
	(void)state;
	struct model_psk p = { .tunnel_id = { { 5 } }, .current_len = 99, .previous_len = 1, .set_us = 8 }, q;
	uint8_t room[MODEL_PSK_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	memset(p.current, 0xc1, 99);
	p.previous[0] = 0;
	assert_int_equal(model_psk_encode(&p, &w), ERR_NONE);
	assert_int_equal(model_psk_decode(wr_bytes(&w), &q), ERR_NONE);
	assert_true(model_id_eq(&p.tunnel_id, &q.tunnel_id));
	assert_int_equal(q.current_len, 99);
	assert_int_equal(q.previous_len, 1);
	assert_memory_equal(p.current, q.current, sizeof(p.current));
	assert_memory_equal(p.previous, q.previous, sizeof(p.previous));
	assert_int_equal(q.set_us, 8);
	codec_keeps_the_rules(&codec, wr_bytes(&w), 0);
}

static void longest_psk_fits_and_a_longer_one_is_refused(void **state)
{
	(void)state;
	struct model_psk p = { .current_len = MODEL_PSK_SEALED_MAX, .previous_len = MODEL_PSK_SEALED_MAX };
	uint8_t room[MODEL_PSK_RECORD_MAX], longer[MODEL_PSK_SEALED_MAX + 1] = { 0 };
	struct wr w = wr_of(SPACE_OF(room));
	assert_int_equal(model_psk_encode(&p, &w), ERR_NONE);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_NONE);

	w = wr_of(SPACE_OF(room));
	tlv_begin(&w, 1);
	tlv_bytes(&w, 1, BYTES_OF(p.tunnel_id.b));
	tlv_bytes(&w, 2, BYTES_OF(longer));
	assert_false(w.bad);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_SYNTAX);
}

static struct model_token a_token(void)
{
	struct model_token t = {
		.id = { { 1 } },
		.account_id = { { 2 } },
		.right = MODEL_TOKEN_WRITE,
		.created_us = 3,
		.revoked_us = 4,
	};
	memset(t.hash, 0xab, sizeof(t.hash));
	strcpy(t.name, "ci");
	strcpy(t.email, "ops@example.net");
	return t;
}

static void token_record_comes_back_as_it_was(void **state)
{
	(void)state;
	struct model_token t = a_token(), u;
	uint8_t room[MODEL_TOKEN_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	assert_int_equal(model_token_encode(&t, &w), ERR_NONE);
	assert_int_equal(model_token_decode(wr_bytes(&w), &u), ERR_NONE);
	assert_true(model_id_eq(&t.id, &u.id));
	assert_true(model_id_eq(&t.account_id, &u.account_id));
	assert_memory_equal(t.hash, u.hash, sizeof(t.hash));
	assert_int_equal(u.right, MODEL_TOKEN_WRITE);
	assert_string_equal(t.name, u.name);
	assert_string_equal(t.email, u.email);
	assert_int_equal(u.created_us, 3);
	assert_int_equal(u.revoked_us, 4);
	codec_keeps_the_rules(&token_codec, wr_bytes(&w), 0);

	memset(t.name, 'n', sizeof(t.name) - 1);
	memset(t.email, 'e', sizeof(t.email) - 1);
	w = wr_of(SPACE_OF(room));
	assert_int_equal(model_token_encode(&t, &w), ERR_NONE);
	assert_int_equal(codec_try(&token_codec, wr_bytes(&w)), ERR_NONE);
}

/* What a damaged record must never turn into: more rights, or a revoked token that is good again. */
static void token_without_right_or_revocation_is_refused(void **state)
{
	(void)state;
	struct model_token t = a_token();
	uint8_t room[MODEL_TOKEN_RECORD_MAX], cut[MODEL_TOKEN_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	t.right = 0;
	assert_int_equal(model_token_encode(&t, &w), ERR_NONE);
	assert_int_equal(codec_try(&token_codec, wr_bytes(&w)), ERR_SYNTAX);
	w = wr_of(SPACE_OF(room));
	t.right = 3;
	assert_int_equal(model_token_encode(&t, &w), ERR_NONE);
	assert_int_equal(codec_try(&token_codec, wr_bytes(&w)), ERR_SYNTAX);
	w = wr_of(SPACE_OF(room));
	t.right = MODEL_TOKEN_READ;
	assert_int_equal(model_token_encode(&t, &w), ERR_NONE);
	for (uint16_t gone = 1; gone <= 8; gone++) {
		struct rd r = rd_of(wr_bytes(&w));
		struct wr v = wr_of(SPACE_OF(cut));
		struct tlv field;
		bool optional = gone == 5 || gone == 6 || gone == 7;
		wr_u16(&v, rd_u16(&r));
		while (tlv_next(&r, &field))
			if (field.type != gone)
				tlv_bytes(&v, field.type, field.value);
		assert_int_equal(codec_try(&token_codec, wr_bytes(&v)), optional ? ERR_NONE : ERR_SYNTAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(psk_record_comes_back_as_it_was),
		cmocka_unit_test(longest_psk_fits_and_a_longer_one_is_refused),
		cmocka_unit_test(token_record_comes_back_as_it_was),
		cmocka_unit_test(token_without_right_or_revocation_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
