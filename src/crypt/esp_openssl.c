#include <openssl/crypto.h>

#include "crypt/aes.h"
#include "crypt/esp_backend.h"
#include "crypt/hmac.h"
#include "crypt/locked.h"

/* A context of libcrypto's changes with every packet, so each thread needs its own. */
struct openssl_esp {
	struct crypt_esp head;
	EVP_CIPHER_CTX *cipher; /* NULL for NULL encryption */
	struct crypt_hmac mac;  /* without AEAD */
};

static const char *find_obstacle(void)
{
	return NULL;
}

static const char *describe(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

static struct openssl_esp *own(struct crypt_esp *c)
{
	must(c->backend == &crypt_esp_openssl);
	return CONTAINER_OF(c, struct openssl_esp, head);
}

static void free_context(struct crypt_esp *head)
{
	struct openssl_esp *c = own(head);
	EVP_CIPHER_CTX_free(c->cipher);
	crypt_locked_give(c, sizeof(*c));
}

static enum err make_context(const struct crypt_esp *head, const struct crypt_esp_keys *k,
			     struct crypt_esp **ret)
{
	enum crypt_hash hash;

	struct openssl_esp *c = crypt_locked_take(sizeof(*c));
	if (c == NULL)
		return ERR_MEMORY;
	c->head = *head;
	if ((head->flags & CRYPT_ESP_NO_CIPHER) == 0) {
		bool opens = (head->flags & CRYPT_ESP_OPENS) != 0;
		enum err e = crypt_aes_new(k->encr_id, k->key_bits, k->encr, opens, &c->cipher);
		if (e != ERR_NONE) {
			free_context(&c->head);
			return e;
		}
	}
	if (crypt_hash_of_integ(k->integ_id, &hash))
		crypt_hmac_init(&c->mac, hash, k->integ);
	*ret = &c->head;
	return ERR_NONE;
}

static bool has_esn(const struct crypt_esp_job *job)
{
	return (job->ctx->flags & CRYPT_ESP_ESN) != 0;
}

/* SPI and sequence number: the associated data of AEAD (RFC 4106 5). */
static struct bytes get_aad(const struct crypt_esp_job *job, uint8_t room[static CRYPT_ESP_ESN_AAD_LEN])
{
	if (!has_esn(job))
		return bytes_of(job->esp, CRYPT_ESP_HEADER_LEN);
	crypt_esp_esn_aad(job->esp, job->seq_hi, room);
	return bytes_of(room, CRYPT_ESP_ESN_AAD_LEN);
}

/* What the HMAC covers: all but the ICV (RFC 4303 3.3.2.1), and behind it the upper half of an extended sequence number
 * (RFC 4303 2.2.1). */
static void run_hmac(const struct openssl_esp *c, const struct crypt_esp_job *job,
		     uint8_t mac[static CRYPT_HASH_LEN_MAX])
{
	uint8_t seq_hi[CRYPT_ESP_SEQ_HI_LEN];
	struct wr w = wr_of(SPACE_OF(seq_hi));

	wr_u32(&w, job->seq_hi);
	const struct bytes covered[] = { bytes_of(job->esp, job->len - job->ctx->icv_len), BYTES_OF(seq_hi) };
	crypt_hmac_run(&c->mac, covered, has_esn(job) ? 2 : 1, mac);
}

static enum err seal_one(const struct crypt_esp_job *job)
{
	struct openssl_esp *c = own(job->ctx);
	uint8_t nonce[CRYPT_GCM_NONCE_LEN], aad[CRYPT_ESP_ESN_AAD_LEN], mac[CRYPT_HASH_LEN_MAX];
	struct crypt_esp_parts p;

	must((c->head.flags & CRYPT_ESP_OPENS) == 0);
	if (!crypt_esp_split(job->ctx, job->esp, job->len, &p))
		return ERR_RANGE;
	if ((c->head.flags & CRYPT_ESP_AEAD) != 0) {
		crypt_esp_nonce(&c->head, p.iv, nonce);
		return crypt_gcm_seal(c->cipher, nonce, get_aad(job, aad), p.text, p.icv);
	}
	if (c->cipher != NULL) {
		enum err e = crypt_cbc_run(c->cipher, p.iv, p.text);
		if (e != ERR_NONE)
			return e;
	}
	run_hmac(c, job, mac);
	memcpy(p.icv, mac, c->head.icv_len);
	return ERR_NONE;
}

/* The check comes before the decryption wherever the two are apart (RFC 4303 3.4.4.1). */
static enum err open_one(const struct crypt_esp_job *job)
{
	struct openssl_esp *c = own(job->ctx);
	uint8_t nonce[CRYPT_GCM_NONCE_LEN], aad[CRYPT_ESP_ESN_AAD_LEN], mac[CRYPT_HASH_LEN_MAX];
	struct crypt_esp_parts p;

	must((c->head.flags & CRYPT_ESP_OPENS) != 0);
	if (!crypt_esp_split(job->ctx, job->esp, job->len, &p))
		return ERR_RANGE;
	if ((c->head.flags & CRYPT_ESP_AEAD) != 0) {
		crypt_esp_nonce(&c->head, p.iv, nonce);
		return crypt_gcm_open(c->cipher, nonce, get_aad(job, aad), p.text, p.icv);
	}
	run_hmac(c, job, mac);
	if (!bytes_eq_ct(bytes_of(mac, c->head.icv_len), bytes_of(p.icv, c->head.icv_len)))
		return ERR_AUTH;
	return c->cipher == NULL ? ERR_NONE : crypt_cbc_run(c->cipher, p.iv, p.text);
}

static void seal(struct crypt_esp_job *jobs, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		jobs[i].result = seal_one(&jobs[i]);
}

static void open(struct crypt_esp_job *jobs, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		jobs[i].result = open_one(&jobs[i]);
}

const struct crypt_esp_backend crypt_esp_openssl = {
	.name = "openssl",
	.find_obstacle = find_obstacle,
	.describe = describe,
	.make = make_context,
	.free = free_context,
	.seal = seal,
	.open = open,
};
