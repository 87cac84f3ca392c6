// The ciphers, key exchange and sealing against compute.py, which shares no code with them.
#include "crypt/dh.h"
#include "crypt/esp_cipher.h"
#include "crypt/ike_cipher.h"
#include "crypt/seal.h"

#include "computed.h"

static void dh_agrees_with_modular_powers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dh_rows); i++)
		assert_dh(&dh_rows[i]);
}

static void dh_vectors_hold_a_leading_zero_for_each_group(void **state)
{
	uint32_t groups = 0;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(dh_rows); i++)
		if (strncmp(dh_rows[i].shared, "00", 2) == 0)
			groups |= (uint32_t)1 << dh_rows[i].group;
	for (uint16_t g = 0; g < 32; g++)
		assert_int_equal(groups >> g & 1, crypt_dh_public_len(g) != 0);
}

static void ike_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ike_rows); i++) {
		const struct ike_row *row = &ike_rows[i];
		const struct crypt_ike_keys keys = {
			.encr_id = row->encr,
			.key_bits = row->bits,
			.integ_id = row->integ,
			.encr = UNHEX(row->encr_key),
			.integ = UNHEX(row->integ_key),
		};
		uint8_t text_room[VEC_MAX], icv[16];
		struct bytes text = unhex(row->text, text_room);
		struct space room = { text_room, text.len };

		assert_int_equal(crypt_ike_seal(&keys, UNHEX(row->aad), UNHEX(row->iv), room, SPACE_OF(icv)),
				 ERR_NONE);
		assert_hex(text, row->sealed);
		assert_hex(BYTES_OF(icv), row->icv);
		assert_int_equal(
			crypt_ike_open(&keys, UNHEX(row->aad), UNHEX(row->iv), room, UNHEX(row->icv)),
			ERR_NONE);
		assert_hex(text, row->text);
	}
}

static struct crypt_esp *make_esp(const struct esp_row *row, bool decrypt)
{
	struct crypt_esp *c;

	assert_int_equal(crypt_esp_new(row->encr, row->bits, row->integ, UNHEX(row->encr_key),
				       UNHEX(row->integ_key), decrypt, &c),
			 ERR_NONE);
	return c;
}

static void esp_packets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(esp_rows); i++) {
		const struct esp_row *row = &esp_rows[i];
		uint8_t room[VEC_MAX];
		struct bytes packet = unhex(row->packet, room);
		struct crypt_esp_job job = { .ctx = make_esp(row, false),
					     .esp = room,
					     .len = strlen(row->sealed) / 2 };

		crypt_esp_seal(&job, 1);
		assert_int_equal(job.result, ERR_NONE);
		assert_hex(bytes_of(room, job.len), row->sealed);
		crypt_esp_free(job.ctx);
		job.ctx = make_esp(row, true);
		crypt_esp_open(&job, 1);
		assert_int_equal(job.result, ERR_NONE);
		assert_hex(packet, row->packet);
		crypt_esp_free(job.ctx);
	}
}

/* What a store holds must stay readable: the layout of sealed values is fixed here. */
static void sealed_values_of_a_store(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(seal_rows); i++) {
		const struct seal_row *row = &seal_rows[i];
		struct crypt_seal_private private;
		struct crypt_seal_public public;
		uint8_t sa_key[CRYPT_SEAL_KEY_LEN], out[VEC_MAX];
		size_t len;

		memcpy(private.b, UNHEX(row->private).p, sizeof(private.b));
		assert_int_equal(crypt_seal_public_of(&private, &public), ERR_NONE);
		assert_hex(BYTES_OF(public.b), row->public);
		assert_int_equal(crypt_seal_sa_key(&private, sa_key), ERR_NONE);
		assert_hex(BYTES_OF(sa_key), row->sa_key);
		assert_int_equal(
			crypt_box_open(&private, UNHEX(row->aad), UNHEX(row->box), SPACE_OF(out), &len),
			ERR_NONE);
		assert_hex(bytes_of(out, len), row->text);
		assert_int_equal(
			crypt_lock_open(sa_key, UNHEX(row->aad), UNHEX(row->locked), SPACE_OF(out), &len),
			ERR_NONE);
		assert_hex(bytes_of(out, len), row->text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dh_agrees_with_modular_powers),
		cmocka_unit_test(dh_vectors_hold_a_leading_zero_for_each_group),
		cmocka_unit_test(ike_messages),
		cmocka_unit_test(esp_packets),
		cmocka_unit_test(sealed_values_of_a_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
