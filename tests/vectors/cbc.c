// AES-CBC in ESP: the cases of RFC 3602 4, whose keys have 128 bits, and of NIST SP 800-38A F.2.5 for 256.
// The RFC's packets carry no ICV; ours follows the same ciphertext.
#include "crypt/esp_cipher.h"

#include "rows.h"

struct cbc_row {
	uint16_t bits;
	const char *key, *spi_seq, *iv, *text, *sealed;
};

static const struct cbc_row rows[] = {
	{ 128, "06a9214036b8a15b512e03d534120006", "0000000000000001", "3dafba429d9eb430b422da802c9fac41",
	  "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a" },
	{ 128, "c286696d887c9aa0611bbb3e2025a45a", "0000000000000002", "562e17996d093d28ddb3ba695a2e6f58",
	  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	  "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1" },
	{ 128, "6c3ea0477630ce21a2ce334aa746c2cd", "0000000000000003", "c782dc4c098c66cbd9cd27d825682c81",
	  "5468697320697320612034382d62797465206d65737361676520286578616374"
	  "6c7920332041455320626c6f636b7329",
	  "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5"
	  "021c19216bad525c8579695d83ba2684" },
	/* Case 5: a ping in transport mode. */
	{ 128, "90d382b410eeba7ad938c46cec1a82bf", "0000432100000001", "e96e8c08ab465763fd098d45dd3ff893",
	  "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617"
	  "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
	  "0102030405060708090a0b0c0d0e0e01",
	  "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
	  "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
	  "a269add047ad2d5913ac19b7cfbad4a6" },
	{ 256, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "0000000000000004",
	  "000102030405060708090a0b0c0d0e0f",
	  "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
	  "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
	  "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
	  "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b" },
};

static const uint8_t mac_key[32] = { 1, 2, 3 };

static struct crypt_esp *make_esp(const struct cbc_row *row, uint16_t integ, bool decrypt)
{
	struct crypt_esp *c;
	struct bytes integ_key = bytes_of(mac_key, crypt_integ_key_len(integ));

	assert_int_equal(
		crypt_esp_new(IKE_ENCR_AES_CBC, row->bits, integ, UNHEX(row->key), integ_key, decrypt, &c),
		ERR_NONE);
	return c;
}

static void check_row(const struct cbc_row *row, uint16_t integ)
{
	uint8_t room[VEC_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	size_t text_len = strlen(row->text) / 2;

	wr_put(&w, UNHEX(row->spi_seq));
	wr_put(&w, UNHEX(row->iv));
	wr_put(&w, UNHEX(row->text));
	wr_zero(&w, crypt_icv_len(IKE_ENCR_AES_CBC, integ));
	struct crypt_esp_job job = { .ctx = make_esp(row, integ, false), .esp = room, .len = wr_len(&w) };
	crypt_esp_seal(&job, 1);
	assert_int_equal(job.result, ERR_NONE);
	assert_hex(bytes_of(room, 8), row->spi_seq);
	assert_hex(bytes_of(room + 8, 16), row->iv);
	assert_hex(bytes_of(room + 24, text_len), row->sealed);
	crypt_esp_free(job.ctx);

	job.ctx = make_esp(row, integ, true);
	crypt_esp_open(&job, 1);
	assert_int_equal(job.result, ERR_NONE);
	assert_hex(bytes_of(room + 24, text_len), row->text);
	crypt_esp_free(job.ctx);
}

static void esp_gives_the_ciphertexts_of_rfc_3602_and_nist(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_row(&rows[i], IKE_INTEG_HMAC_SHA1_96);
		check_row(&rows[i], IKE_INTEG_HMAC_SHA2_256_128);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_gives_the_ciphertexts_of_rfc_3602_and_nist),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
