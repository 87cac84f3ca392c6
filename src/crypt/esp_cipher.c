#include "crypt/esp_cipher.h"

#include <stdatomic.h>

#include "base/secret.h"
#include "crypt/esp_backend.h"

/* The fastest first. */
static const struct row {
	enum crypt_esp_choice choice;
	const struct crypt_esp_backend *backend; /* NULL: not in this build */
} rows[] = {
#ifdef HAVE_IPSEC_MB
	{ CRYPT_ESP_IPSEC_MB, &crypt_esp_mb },
#else
	{ CRYPT_ESP_IPSEC_MB, NULL },
#endif
	{ CRYPT_ESP_OPENSSL, &crypt_esp_openssl },
};

static _Atomic(const struct crypt_esp_backend *) chosen;

MUST_USE enum err crypt_esp_choose(enum crypt_esp_choice choice, const char **ret_why)
{
	const char *why = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct crypt_esp_backend *b = rows[i].backend;
		if (choice != CRYPT_ESP_AUTO && choice != rows[i].choice)
			continue;
		why = b == NULL ? "this onrampd was built without intel-ipsec-mb; install libipsec-mb-dev "
				  "(amd64 only) and build again, or set it to auto or openssl"
				: b->find_obstacle();
		if (why == NULL) {
			atomic_store(&chosen, b);
			return ERR_NONE;
		}
	}
	*ret_why = why;
	return ERR_UNSUPPORTED;
}

static const struct crypt_esp_backend *get_backend(void)
{
	const struct crypt_esp_backend *b = atomic_load_explicit(&chosen, memory_order_acquire);
	const char *why;

	if (b == NULL) {
		must(crypt_esp_choose(CRYPT_ESP_AUTO, &why) == ERR_NONE);
		b = atomic_load(&chosen);
	}
	return b;
}

const char *crypt_esp_chosen(void)
{
	return get_backend()->describe();
}

static uint8_t get_flags(const struct crypt_esp_keys *k, bool decrypt, bool esn)
{
	return (uint8_t)((decrypt ? CRYPT_ESP_OPENS : 0) | (esn ? CRYPT_ESP_ESN : 0) |
			 (crypt_encr_is_aead(k->encr_id) ? CRYPT_ESP_AEAD : 0) |
			 (k->encr_id == IKE_ENCR_NULL ? CRYPT_ESP_NO_CIPHER : 0) |
			 (k->key_bits == 256 ? CRYPT_ESP_LONG_KEY : 0) |
			 (k->integ_id == IKE_INTEG_HMAC_SHA2_256_128 ? CRYPT_ESP_SHA256 : 0));
}

static enum err make_context(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, struct bytes encr,
			     struct bytes integ, bool decrypt, bool esn, struct crypt_esp **ret)
{
	struct crypt_esp_keys k = { encr_id, key_bits, integ_id, .integ = integ };

	if (!crypt_suite_usable(encr_id, key_bits, integ_id))
		return ERR_UNSUPPORTED;
	if (encr.len != crypt_encr_key_len(encr_id, key_bits) || integ.len != crypt_integ_key_len(integ_id))
		return ERR_RANGE;
	struct crypt_esp head = {
		.backend = get_backend(),
		.iv_len = (uint8_t)crypt_encr_iv_len(encr_id),
		.icv_len = (uint8_t)crypt_icv_len(encr_id, integ_id),
		.block_len = (uint8_t)crypt_encr_block_len(encr_id),
		.flags = get_flags(&k, decrypt, esn),
	};
	struct rd r = rd_of(encr);
	k.encr = rd_bytes(&r, key_bits / 8u);
	/* RFC 4106 8.1: the salt is the last 4 bytes of the key material. */
	if ((head.flags & CRYPT_ESP_AEAD) != 0)
		rd_copy(&r, head.salt, sizeof(head.salt));
	must(rd_done(&r));
	enum err e = head.backend->make(&head, &k, ret);
	secret_wipe(&head, sizeof(head));
	return e;
}

MUST_USE enum err crypt_esp_new(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, struct bytes encr,
				struct bytes integ, bool decrypt, struct crypt_esp **ret)
{
	return make_context(encr_id, key_bits, integ_id, encr, integ, decrypt, false, ret);
}

MUST_USE enum err crypt_esp_new_esn(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, struct bytes encr,
				    struct bytes integ, bool decrypt, struct crypt_esp **ret)
{
	return make_context(encr_id, key_bits, integ_id, encr, integ, decrypt, true, ret);
}

void crypt_esp_free(struct crypt_esp *c)
{
	if (c != NULL)
		c->backend->free(c);
}

bool crypt_esp_is_shared(const struct crypt_esp *c)
{
	return c->backend->shared;
}

void crypt_esp_seal(struct crypt_esp_job *jobs, size_t cnt)
{
	if (cnt != 0)
		jobs[0].ctx->backend->seal(jobs, cnt);
}

void crypt_esp_open(struct crypt_esp_job *jobs, size_t cnt)
{
	if (cnt != 0)
		jobs[0].ctx->backend->open(jobs, cnt);
}
