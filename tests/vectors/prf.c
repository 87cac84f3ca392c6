// SKEYSEED and prf+ against NIST's samples for the IKEv2 key derivation of SP 800-135, and compute.py.
#include "crypt/prf.h"

#include "computed.h"

struct nist_row {
	uint16_t prf;
	const char *ni, *nr, *spi_i, *spi_r, *shared, *seed, *keys;
	const char *shared_new, *seed_new; /* of a rekey, under SK_d: the first block of keys */
};

static const struct nist_row nist[] = {
	{
		.prf = IKE_PRF_HMAC_SHA2_256,
		.ni = "3f302be1abcb28e1",
		.nr = "8c332ee006064c9b",
		.spi_i = "40dac39e1e1a8640",
		.spi_r = "8619a1cf9a6e4c07",
		.shared = "0f4d257d7a58fc4545c7d7a88119eee5d5c9690c5b4c989171d3abbfd99d1d29",
		.seed = "5f00d1bd2c58ec224b1e6b71fa0f19a1faa7a193952c444411b47c1a9d8ba6fe",
		.keys = "0b137d669b0947d7d026d593f0305ad401ff0c471357d695778a9c7f4b4869ece98aca531"
			"188d16041b3bb936d2dbb3b4993a6e768a809160de45d0283f273a6cdf6854379e31be72b"
			"8d3d1fa990cf9c5b015ca9f918a7df6253c958114a09d4e1c19bdcd4db14b29d98db1a74a"
			"d405c588662c14a04d0d36aa4ab55e90f8986d12d4aad",
		.shared_new = "25f3b12d6f282739256e39bf54eda53b60ffcf379bb7bcc90c27b4c4c578616c",
		.seed_new = "2d63f6debc92048b4fef3889c4c99ca67d6496e0fac14a2bca9a2d6566ff2398",
	},
	{
		.prf = IKE_PRF_HMAC_SHA2_384,
		.ni = "fd1b572a8e735591",
		.nr = "6013b0ef88dacd3d",
		.spi_i = "2116ad07ce61f749",
		.spi_r = "24880e55f11a65b7",
		.shared = "d3288cd87565101e88fe3bad918f31939d8dd26ff1071f8b2d7f447524e58d7c",
		.seed = "69fe7a1ac94adaeb711295f5fe004b1a8d6a0b65d05692758ce8ad2f7a45f59d7d0b596f5"
			"1f7dfcf3330061888f6a94f",
		.keys = "4f904c2025c90c817ea5ff9b662a6fdb445a73b57cdf09eacd379b95e1f03cacb04cd6dee"
			"da4f952191dd9bc1f7a9502471a648d74dc06d38112de48a42501f6b1a3ad55c2099cd9a6"
			"48e5f17e5bf3e34bf9b5953decb768a34f875fe2b78dca0c2fcca81ec1a412006dfaed38f"
			"a06882e61f4c148105fb8e231fdb33c4d484c001721d4",
		.shared_new = "3358f620539473aee8d07e779764c4c6a9aabddc79a28e136b3bac021dbde44a",
		.seed_new = "e0548c1682e13bce454026b3b1bdf42985b24e4e7408095a7c529de38c3d1fcb04c9fe686"
			    "8042a34c9614c6c99e3fcea",
	},
};

/* RFC 7296 2.14: SKEYSEED = prf(Ni | Nr, g^ir), and the keys are prf+(SKEYSEED, Ni | Nr | SPIi | SPIr). */
static void skeyseed_and_keys_of_nist(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nist); i++) {
		const struct nist_row *row = &nist[i];
		uint8_t room[64], seed[CRYPT_PRF_LEN_MAX], keys[256];
		struct wr w = wr_of(SPACE_OF(room));
		struct bytes shared = UNHEX(row->shared);
		size_t len = strlen(row->keys) / 2;

		wr_put(&w, UNHEX(row->ni));
		wr_put(&w, UNHEX(row->nr));
		assert_int_equal(crypt_prf(row->prf, wr_bytes(&w), &shared, 1, seed), ERR_NONE);
		assert_hex(bytes_of(seed, strlen(row->seed) / 2), row->seed);
		wr_put(&w, UNHEX(row->spi_i));
		wr_put(&w, UNHEX(row->spi_r));
		assert_int_equal(crypt_prf_plus(row->prf, UNHEX(row->seed), wr_bytes(&w), keys, len),
				 ERR_NONE);
		assert_hex(bytes_of(keys, len), row->keys);
	}
}

/* RFC 7296 2.18: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr). */
static void skeyseed_of_a_rekey_of_nist(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nist); i++) {
		const struct nist_row *row = &nist[i];
		const struct bytes parts[] = { UNHEX(row->shared_new), UNHEX(row->ni), UNHEX(row->nr) };
		struct bytes sk_d = UNHEX(row->keys);
		size_t len = strlen(row->seed_new) / 2;
		uint8_t seed[CRYPT_PRF_LEN_MAX];

		assert_int_equal(crypt_prf(row->prf, bytes_of(sk_d.p, len), parts, ARRAY_LEN(parts), seed),
				 ERR_NONE);
		assert_hex(bytes_of(seed, len), row->seed_new);
	}
}

static void prf_plus_up_to_its_last_block(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(prf_rows); i++) {
		const struct prf_row *row = &prf_rows[i];
		uint8_t out[255 * CRYPT_PRF_LEN_MAX];

		assert_int_equal(crypt_prf_plus(row->prf, UNHEX(row->key), UNHEX(row->seed), out, row->len),
				 ERR_NONE);
		assert_hex(bytes_of(out + row->len - 32, 32), row->tail);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(skeyseed_and_keys_of_nist),
		cmocka_unit_test(skeyseed_of_a_rekey_of_nist),
		cmocka_unit_test(prf_plus_up_to_its_last_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
