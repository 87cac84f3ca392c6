#include "crypt/esp_cipher.h"

#include <stdlib.h>

#include "base/secret.h"
#include "crypt/aes.h"
#include "crypt/hmac.h"

enum { HEADER_LEN = 8, SALT_LEN = 4 };

struct crypt_esp {
	EVP_CIPHER_CTX *cipher; /* NULL for NULL encryption */
	uint16_t iv_len, icv_len, block_len;
	bool aead, decrypt;
	uint8_t salt[SALT_LEN];
	struct crypt_hmac mac; /* without AEAD */
};

MUST_USE enum err crypt_esp_new(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, struct bytes encr,
				struct bytes integ, bool decrypt, struct crypt_esp **ret)
{
	enum crypt_hash hash;

	if (!crypt_suite_usable(encr_id, key_bits, integ_id))
		return ERR_UNSUPPORTED;
	if (encr.len != crypt_encr_key_len(encr_id, key_bits) || integ.len != crypt_integ_key_len(integ_id))
		return ERR_RANGE;
	struct crypt_esp *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ERR_MEMORY;
	c->iv_len = (uint16_t)crypt_encr_iv_len(encr_id);
	c->icv_len = (uint16_t)crypt_icv_len(encr_id, integ_id);
	c->block_len = (uint16_t)crypt_encr_block_len(encr_id);
	c->aead = crypt_encr_is_aead(encr_id);
	c->decrypt = decrypt;
	if (encr.len != 0) {
		struct rd r = rd_of(encr);
		struct bytes key = rd_bytes(&r, key_bits / 8u);
		/* RFC 4106 8.1: the salt is the last 4 bytes of the key material. */
		if (c->aead)
			rd_copy(&r, c->salt, SALT_LEN);
		enum err e = crypt_aes_new(encr_id, key_bits, key, decrypt, &c->cipher);
		if (e != ERR_NONE) {
			crypt_esp_free(c);
			return e;
		}
	}
	if (crypt_hash_of_integ(integ_id, &hash))
		crypt_hmac_init(&c->mac, hash, integ);
	*ret = c;
	return ERR_NONE;
}

void crypt_esp_free(struct crypt_esp *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->cipher);
	secret_wipe(c, sizeof(*c));
	free(c);
}

/* The parts of one packet, cut by the sizes of its SA. */
struct parts {
	struct bytes head; /* SPI and sequence: the associated data of AEAD (RFC 4106 5) */
	const uint8_t *iv;
	struct space text;
	uint8_t *icv;
	struct bytes covered; /* by the HMAC: all but the ICV (RFC 4303 3.3.2.1) */
};

static bool split(const struct crypt_esp_job *job, struct parts *ret)
{
	const struct crypt_esp *c = job->ctx;
	size_t front = HEADER_LEN + (size_t)c->iv_len, outside = front + c->icv_len;

	if (job->len <= outside || (job->len - outside) % c->block_len != 0)
		return false;
	*ret = (struct parts){
		.head = bytes_of(job->esp, HEADER_LEN),
		.iv = job->esp + HEADER_LEN,
		.text = { job->esp + front, job->len - outside },
		.icv = job->esp + job->len - c->icv_len,
		.covered = bytes_of(job->esp, job->len - c->icv_len),
	};
	return true;
}

/* RFC 4106 4: the nonce is the salt and the IV. */
static void fill_nonce(const struct crypt_esp *c, const struct parts *p,
		       uint8_t nonce[static CRYPT_GCM_NONCE_LEN])
{
	struct wr w = wr_of((struct space){ nonce, CRYPT_GCM_NONCE_LEN });

	wr_put(&w, bytes_of(c->salt, SALT_LEN));
	wr_put(&w, bytes_of(p->iv, c->iv_len));
}

static enum err seal_one(const struct crypt_esp_job *job)
{
	struct crypt_esp *c = job->ctx;
	uint8_t nonce[CRYPT_GCM_NONCE_LEN], mac[CRYPT_HASH_LEN_MAX];
	struct parts p;

	must(!c->decrypt);
	if (!split(job, &p))
		return ERR_RANGE;
	if (c->aead) {
		fill_nonce(c, &p, nonce);
		return crypt_gcm_seal(c->cipher, nonce, p.head, p.text, p.icv);
	}
	if (c->cipher != NULL) {
		enum err e = crypt_cbc_run(c->cipher, p.iv, p.text);
		if (e != ERR_NONE)
			return e;
	}
	crypt_hmac_run(&c->mac, &p.covered, 1, mac);
	memcpy(p.icv, mac, c->icv_len);
	return ERR_NONE;
}

/* The check comes before the decryption wherever the two are apart (RFC 4303 3.4.4.1). */
static enum err open_one(const struct crypt_esp_job *job)
{
	struct crypt_esp *c = job->ctx;
	uint8_t nonce[CRYPT_GCM_NONCE_LEN], mac[CRYPT_HASH_LEN_MAX];
	struct parts p;

	must(c->decrypt);
	if (!split(job, &p))
		return ERR_RANGE;
	if (c->aead) {
		fill_nonce(c, &p, nonce);
		return crypt_gcm_open(c->cipher, nonce, p.head, p.text, p.icv);
	}
	crypt_hmac_run(&c->mac, &p.covered, 1, mac);
	if (!bytes_eq_ct(bytes_of(mac, c->icv_len), bytes_of(p.icv, c->icv_len)))
		return ERR_AUTH;
	return c->cipher == NULL ? ERR_NONE : crypt_cbc_run(c->cipher, p.iv, p.text);
}

void crypt_esp_seal(struct crypt_esp_job *jobs, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		jobs[i].result = seal_one(&jobs[i]);
}

void crypt_esp_open(struct crypt_esp_job *jobs, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		jobs[i].result = open_one(&jobs[i]);
}
