#include "crypt/prf.h"

#include "base/secret.h"
#include "crypt/hmac.h"

MUST_USE enum err crypt_prf(uint16_t prf, struct bytes key, const struct bytes *parts, size_t cnt,
			    uint8_t out[static CRYPT_PRF_LEN_MAX])
{
	struct crypt_hmac h;
	enum crypt_hash hash;

	if (!crypt_hash_of_prf(prf, &hash))
		return ERR_UNSUPPORTED;
	crypt_hmac_init(&h, hash, key);
	crypt_hmac_run(&h, parts, cnt, out);
	crypt_hmac_fini(&h);
	return ERR_NONE;
}

/* T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n): so run both prf+ (RFC 7296 2.13) and
 * HKDF-Expand (RFC 5869 2.3). */
static enum err expand(enum crypt_hash hash, struct bytes key, struct bytes seed, struct space out)
{
	struct crypt_hmac h;
	uint8_t t[CRYPT_HASH_LEN_MAX];
	size_t block = crypt_hash_len(hash), t_len = 0;
	struct wr w = wr_of(out);

	if (out.cap > 255 * block)
		return ERR_RANGE;
	crypt_hmac_init(&h, hash, key);
	for (uint8_t n = 1; wr_len(&w) < out.cap; n++) {
		const struct bytes parts[] = { bytes_of(t, t_len), seed, bytes_of(&n, 1) };
		size_t left = out.cap - wr_len(&w);
		crypt_hmac_run(&h, parts, ARRAY_LEN(parts), t);
		t_len = block;
		wr_put(&w, bytes_of(t, left < block ? left : block));
	}
	crypt_hmac_fini(&h);
	secret_wipe(t, sizeof(t));
	return ERR_NONE;
}

MUST_USE enum err crypt_prf_plus(uint16_t prf, struct bytes key, struct bytes seed, uint8_t *out, size_t len)
{
	enum crypt_hash hash;

	if (!crypt_hash_of_prf(prf, &hash))
		return ERR_UNSUPPORTED;
	return expand(hash, key, seed, (struct space){ out, len });
}

MUST_USE enum err crypt_sha256(const struct bytes *parts, size_t cnt, uint8_t out[static 32])
{
	uint8_t full[CRYPT_HASH_LEN_MAX];

	crypt_hash_run(CRYPT_SHA256, parts, cnt, full);
	memcpy(out, full, 32);
	secret_wipe(full, sizeof(full));
	return ERR_NONE;
}

MUST_USE enum err crypt_sha1(const struct bytes *parts, size_t cnt, uint8_t out[static 20])
{
	uint8_t full[CRYPT_HASH_LEN_MAX];

	crypt_hash_run(CRYPT_SHA1, parts, cnt, full);
	memcpy(out, full, 20);
	secret_wipe(full, sizeof(full));
	return ERR_NONE;
}

MUST_USE enum err crypt_hkdf(struct bytes salt, struct bytes key, struct bytes info, uint8_t *out, size_t len)
{
	struct crypt_hmac h;
	uint8_t prk[CRYPT_HASH_LEN_MAX];

	/* RFC 5869 2.2: no salt is a salt of zeroes, which HMAC makes of an empty key. */
	crypt_hmac_init(&h, CRYPT_SHA256, salt);
	crypt_hmac_run(&h, &key, 1, prk);
	crypt_hmac_fini(&h);
	enum err e = expand(CRYPT_SHA256, bytes_of(prk, 32), info, (struct space){ out, len });
	secret_wipe(prk, sizeof(prk));
	return e;
}
