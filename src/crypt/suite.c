#include "crypt/suite.h"

#include "crypt/aes.h"
#include "crypt/hmac.h"

/* icv_len is 0 where the integrity algorithm brings the ICV. */
struct encr_row {
	uint16_t id;
	uint8_t salt_len, iv_len, block_len, icv_len;
};

static const struct encr_row encr_rows[] = {
	/* RFC 2410 */
	{ .id = IKE_ENCR_NULL, .block_len = 1 },
	/* RFC 3602 */
	{ .id = IKE_ENCR_AES_CBC, .iv_len = 16, .block_len = 16 },
	/* RFC 4106 */
	{ .id = IKE_ENCR_AES_GCM_16, .salt_len = 4, .iv_len = 8, .block_len = 1, .icv_len = 16 },
};

static const struct encr_row *find_encr(uint16_t encr)
{
	for (size_t i = 0; i < ARRAY_LEN(encr_rows); i++)
		if (encr_rows[i].id == encr)
			return &encr_rows[i];
	return NULL;
}

bool crypt_encr_is_aead(uint16_t encr)
{
	const struct encr_row *row = find_encr(encr);
	return row != NULL && row->icv_len != 0;
}

size_t crypt_encr_key_len(uint16_t encr, uint16_t key_bits)
{
	const struct encr_row *row = find_encr(encr);
	if (row == NULL || encr == IKE_ENCR_NULL || (key_bits != 128 && key_bits != 256))
		return 0;
	return key_bits / 8u + row->salt_len;
}

size_t crypt_encr_iv_len(uint16_t encr)
{
	const struct encr_row *row = find_encr(encr);
	return row == NULL ? 0 : row->iv_len;
}

size_t crypt_encr_block_len(uint16_t encr)
{
	const struct encr_row *row = find_encr(encr);
	return row == NULL ? 0 : row->block_len;
}

size_t crypt_integ_key_len(uint16_t integ)
{
	switch (integ) {
	case IKE_INTEG_HMAC_SHA1_96: /* RFC 2404 3 */
		return 20;
	case IKE_INTEG_HMAC_SHA2_256_128: /* RFC 4868 2.1.1 */
		return 32;
	default:
		return 0;
	}
}

size_t crypt_icv_len(uint16_t encr, uint16_t integ)
{
	const struct encr_row *row = find_encr(encr);
	if (row == NULL)
		return 0;
	if (row->icv_len != 0)
		return integ == IKE_INTEG_NONE ? row->icv_len : 0;
	switch (integ) {
	case IKE_INTEG_HMAC_SHA1_96:
		return 12;
	case IKE_INTEG_HMAC_SHA2_256_128:
		return 16;
	default:
		return 0;
	}
}

size_t crypt_prf_len(uint16_t prf)
{
	enum crypt_hash hash;
	return crypt_hash_of_prf(prf, &hash) ? crypt_hash_len(hash) : 0;
}

bool crypt_suite_usable(uint16_t encr, uint16_t key_bits, uint16_t integ)
{
	/* Without a length of the ICV nothing would be authenticated, which no suite of ours allows. */
	if (crypt_icv_len(encr, integ) == 0)
		return false;
	if (encr == IKE_ENCR_NULL)
		return key_bits == 0;
	return crypt_encr_key_len(encr, key_bits) != 0 && crypt_aes_usable(encr, key_bits);
}
