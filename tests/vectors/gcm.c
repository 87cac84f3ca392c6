// AES-GCM: packets of draft-mcgrew-gcm-test-01 through the ESP cipher, and cases of McGrew and Viega's
// specification of GCM through the IKE cipher, whose associated data is free.
#include "crypt/esp_cipher.h"
#include "crypt/ike_cipher.h"

#include "rows.h"

struct gcm_row {
	uint16_t bits;
	const char *key, *salt, *iv, *aad, *text, *sealed, *tag;
};

static const struct gcm_row packets[] = {
	{ 128, "feffe9928665731c6d6a8f9467308308", "cafebabe", "facedbaddecaf888", "0000a5f80000000a",
	  "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d0010000010000"
	  "00000000037369700963796265726369747902646b00000100010001",
	  "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827"
	  "c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1",
	  "83b70d3aa8bc6ee4c309e9d85a41ad4a" },
	{ 256, "abbccddef00112233445566778899aababbccddef00112233445566778899aab", "11223344",
	  "0102030405060708", "4a2cbfe300000002",
	  "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee00000000070024000"
	  "20bf0000020405b40101040201020201",
	  "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a6379"
	  "85771d347f0545659f14e99def842d8e",
	  "b335f4eecfdbf831824b4c4915956c96" },
	{ 128, "00000000000000000000000000000000", "00000000", "0000000000000000", "0000000000000001",
	  "4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768"
	  "696a6b6c6d6e6f707172737475767761626364656667686901020201",
	  "4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a28445647649"
	  "2719ffb64de7d9dca1e1d894bc3bd57873ed4d181d19d4d5c8c18af3",
	  "f821d496eeb096e98ad2b69e4799c71d" },
	{ 128, "7d773d00c144c525ac619d18c84a3f47", "d9664267", "43457e9182443bc6", "335467aeffffffff",
	  "01020201", "437f866b", "cb3f699fe9b0822bac961c4504bef270" },
};

/* The packet as it stands in memory: SPI and sequence, IV, text, room for the ICV. */
static struct space lay_out(const struct gcm_row *row, const char *text, const char *tag,
			    uint8_t room[static VEC_MAX])
{
	struct wr w = wr_of((struct space){ room, VEC_MAX });

	wr_put(&w, UNHEX(row->aad));
	wr_put(&w, UNHEX(row->iv));
	wr_put(&w, UNHEX(text));
	wr_put(&w, UNHEX(tag));
	return (struct space){ room, wr_len(&w) };
}

static struct crypt_esp *make_esp(const struct gcm_row *row, bool decrypt)
{
	uint8_t keys[CRYPT_ENCR_KEY_MAX];
	struct wr w = wr_of(SPACE_OF(keys));
	struct crypt_esp *c;

	wr_put(&w, UNHEX(row->key));
	wr_put(&w, UNHEX(row->salt));
	assert_int_equal(crypt_esp_new(IKE_ENCR_AES_GCM_16, row->bits, IKE_INTEG_NONE, wr_bytes(&w),
				       bytes_of(NULL, 0), decrypt, &c),
			 ERR_NONE);
	return c;
}

static void esp_packets_of_mcgrew(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
		const struct gcm_row *row = &packets[i];
		uint8_t plain[VEC_MAX], sealed[VEC_MAX];
		struct space p = lay_out(row, row->text, "00000000000000000000000000000000", plain);
		struct space s = lay_out(row, row->sealed, row->tag, sealed);
		struct crypt_esp_job job = { .ctx = make_esp(row, false), .esp = p.p, .len = p.cap };

		crypt_esp_seal(&job, 1);
		assert_int_equal(job.result, ERR_NONE);
		assert_memory_equal(plain, sealed, s.cap);
		crypt_esp_free(job.ctx);

		job = (struct crypt_esp_job){ .ctx = make_esp(row, true), .esp = s.p, .len = s.cap };
		crypt_esp_open(&job, 1);
		assert_int_equal(job.result, ERR_NONE);
		lay_out(row, row->text, row->tag, plain);
		assert_memory_equal(sealed, plain, s.cap);
		crypt_esp_free(job.ctx);
	}
}

/* Cases 3, 4, 15 and 16 of the specification. */
static const struct gcm_row specified[] = {
	{ 128, "feffe9928665731c6d6a8f9467308308", "cafebabe", "facedbaddecaf888", "",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
	  "4d5c2af327cd64a62cf35abd2ba6fab4" },
	{ 128, "feffe9928665731c6d6a8f9467308308", "cafebabe", "facedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	  "5bc94fbc3221a5db94fae95ae7121a47" },
	{ 256, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabe",
	  "facedbaddecaf888", "",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
	  "b094dac5d93471bdec1a502270e3cc6c" },
	{ 256, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabe",
	  "facedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
};

static void ike_cipher_gives_the_cases_of_the_gcm_specification(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specified); i++) {
		const struct gcm_row *row = &specified[i];
		uint8_t key_room[CRYPT_ENCR_KEY_MAX], text_room[VEC_MAX], tag[16];
		struct wr w = wr_of(SPACE_OF(key_room));
		struct bytes text = unhex(row->text, text_room);
		struct space room = { text_room, text.len };

		wr_put(&w, UNHEX(row->key));
		wr_put(&w, UNHEX(row->salt));
		const struct crypt_ike_keys keys = { .encr_id = IKE_ENCR_AES_GCM_16,
						     .key_bits = row->bits,
						     .encr = wr_bytes(&w) };
		assert_int_equal(crypt_ike_seal(&keys, UNHEX(row->aad), UNHEX(row->iv), room, SPACE_OF(tag)),
				 ERR_NONE);
		assert_hex(text, row->sealed);
		assert_hex(BYTES_OF(tag), row->tag);
		assert_int_equal(crypt_ike_open(&keys, UNHEX(row->aad), UNHEX(row->iv), room, BYTES_OF(tag)),
				 ERR_NONE);
		assert_hex(text, row->text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp_packets_of_mcgrew),
		cmocka_unit_test(ike_cipher_gives_the_cases_of_the_gcm_specification),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
