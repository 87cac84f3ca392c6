#include "crypt/ike_cipher.h"

#include "base/secret.h"
#include "crypt/aes.h"
#include "crypt/hmac.h"

/* Every length that the suite fixes. */
static enum err check_lengths(const struct crypt_ike_keys *k, struct bytes iv, size_t text_len,
			      size_t icv_len)
{
	/* RFC 7296 3.3.2: NULL encryption is not for the IKE SA itself. */
	if (k->encr_id == IKE_ENCR_NULL || !crypt_suite_usable(k->encr_id, k->key_bits, k->integ_id))
		return ERR_UNSUPPORTED;
	if (k->encr.len != crypt_encr_key_len(k->encr_id, k->key_bits) ||
	    k->integ.len != crypt_integ_key_len(k->integ_id))
		return ERR_RANGE;
	if (iv.len != crypt_encr_iv_len(k->encr_id) || icv_len != crypt_icv_len(k->encr_id, k->integ_id))
		return ERR_RANGE;
	/* There is always a Pad Length (RFC 7296 3.14). */
	if (text_len == 0 || text_len % crypt_encr_block_len(k->encr_id) != 0)
		return ERR_RANGE;
	return ERR_NONE;
}

/* RFC 5282 4: the nonce is the salt, the last 4 bytes of the key material, and the IV. */
static enum err start_gcm(const struct crypt_ike_keys *k, struct bytes iv, bool decrypt,
			  uint8_t nonce[static CRYPT_GCM_NONCE_LEN], EVP_CIPHER_CTX **ret)
{
	struct rd r = rd_of(k->encr);
	struct bytes key = rd_bytes(&r, k->key_bits / 8u);
	struct wr w = wr_of((struct space){ nonce, CRYPT_GCM_NONCE_LEN });

	wr_put(&w, rd_rest(&r));
	wr_put(&w, iv);
	return crypt_aes_new(k->encr_id, k->key_bits, key, decrypt, ret);
}

static enum err run_cbc(const struct crypt_ike_keys *k, struct bytes iv, struct space text, bool decrypt)
{
	EVP_CIPHER_CTX *ctx;
	enum err e = crypt_aes_new(k->encr_id, k->key_bits, k->encr, decrypt, &ctx);
	if (e != ERR_NONE)
		return e;
	e = crypt_cbc_run(ctx, iv.p, text);
	EVP_CIPHER_CTX_free(ctx);
	return e;
}

/* RFC 7296 3.14: over the whole message up to the checksum. */
static void compute_hmac(const struct crypt_ike_keys *k, struct bytes aad, struct bytes iv, struct space text,
			 uint8_t out[static CRYPT_HASH_LEN_MAX])
{
	const struct bytes parts[] = { aad, iv, bytes_of(text.p, text.cap) };
	struct crypt_hmac h;
	enum crypt_hash hash;

	must(crypt_hash_of_integ(k->integ_id, &hash));
	crypt_hmac_init(&h, hash, k->integ);
	crypt_hmac_run(&h, parts, ARRAY_LEN(parts), out);
	crypt_hmac_fini(&h);
}

MUST_USE enum err crypt_ike_seal(const struct crypt_ike_keys *keys, struct bytes aad, struct bytes iv,
				 struct space text, struct space icv)
{
	uint8_t nonce[CRYPT_GCM_NONCE_LEN], mac[CRYPT_HASH_LEN_MAX];
	EVP_CIPHER_CTX *ctx;
	enum err e = check_lengths(keys, iv, text.cap, icv.cap);

	if (e != ERR_NONE)
		return e;
	if (crypt_encr_is_aead(keys->encr_id)) {
		e = start_gcm(keys, iv, false, nonce, &ctx);
		if (e != ERR_NONE)
			return e;
		e = crypt_gcm_seal(ctx, nonce, aad, text, icv.p);
		EVP_CIPHER_CTX_free(ctx);
		return e;
	}
	e = run_cbc(keys, iv, text, false);
	if (e != ERR_NONE)
		return e;
	compute_hmac(keys, aad, iv, text, mac);
	struct wr w = wr_of(icv);
	wr_put(&w, bytes_of(mac, icv.cap));
	return ERR_NONE;
}

MUST_USE enum err crypt_ike_open(const struct crypt_ike_keys *keys, struct bytes aad, struct bytes iv,
				 struct space text, struct bytes icv)
{
	uint8_t nonce[CRYPT_GCM_NONCE_LEN], mac[CRYPT_HASH_LEN_MAX];
	EVP_CIPHER_CTX *ctx;
	enum err e = check_lengths(keys, iv, text.cap, icv.len);

	if (e != ERR_NONE)
		return e;
	if (crypt_encr_is_aead(keys->encr_id)) {
		e = start_gcm(keys, iv, true, nonce, &ctx);
		if (e != ERR_NONE)
			return e;
		e = crypt_gcm_open(ctx, nonce, aad, text, icv.p);
		EVP_CIPHER_CTX_free(ctx);
		return e;
	}
	compute_hmac(keys, aad, iv, text, mac);
	if (!bytes_eq_ct(bytes_of(mac, icv.len), icv))
		return ERR_AUTH;
	return run_cbc(keys, iv, text, true);
}
