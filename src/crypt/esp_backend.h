// What stands behind crypt/esp_cipher.h: the table of backends, and what all of them do alike with a packet.
// crypt/esp_*.c, and the test that compares the backends.
#pragma once

#include "crypt/esp_cipher.h"

enum {
	CRYPT_ESP_HEADER_LEN = 8,
	CRYPT_ESP_SALT_LEN = 4,
	CRYPT_ESP_NONCE_LEN = 12,
	CRYPT_ESP_SEQ_HI_LEN = 4,
	CRYPT_ESP_ESN_AAD_LEN = CRYPT_ESP_HEADER_LEN + CRYPT_ESP_SEQ_HI_LEN,
};

/* Bits of crypt_esp.flags */
enum {
	CRYPT_ESP_OPENS = 1,      /* the direction */
	CRYPT_ESP_AEAD = 2,
	CRYPT_ESP_NO_CIPHER = 4,  /* NULL encryption */
	CRYPT_ESP_LONG_KEY = 8,   /* AES-256 */
	CRYPT_ESP_SHA256 = 16,    /* HMAC-SHA-256, else HMAC-SHA-1 */
	CRYPT_ESP_ESN = 32,       /* extended sequence numbers */
};

/* A part of every context. Constant once made. */
struct crypt_esp {
	const struct crypt_esp_backend *backend;
	uint8_t salt[CRYPT_ESP_SALT_LEN];
	uint8_t iv_len, icv_len, block_len, flags;
};
_Static_assert(sizeof(struct crypt_esp) == 16 || sizeof(void *) != 8, "shares a cache line with the keys");

/* The keys as they come out of the exchange, lengths checked. */
struct crypt_esp_keys {
	uint16_t encr_id, key_bits, integ_id;
	struct bytes encr;  /* without salt */
	struct bytes integ;
};

struct crypt_esp_backend {
	const char *name;
	bool shared;
	/* NULL: runs here; else what is missing and what to do. */
	const char *(*find_obstacle)(void);
	const char *(*describe)(void);
	/* The new context has a copy of head. ERR_CRYPTO, ERR_MEMORY. */
	enum err (*make)(const struct crypt_esp *head, const struct crypt_esp_keys *keys,
			 struct crypt_esp **ret);
	void (*free)(struct crypt_esp *c);
	void (*seal)(struct crypt_esp_job *jobs, size_t cnt);
	void (*open)(struct crypt_esp_job *jobs, size_t cnt);
};

extern const struct crypt_esp_backend crypt_esp_openssl;
extern const struct crypt_esp_backend crypt_esp_mb; /* where the build has HAVE_IPSEC_MB */

/* The parts of one packet, cut by the sizes of its SA. */
struct crypt_esp_parts {
	uint8_t *iv;
	struct space text;
	uint8_t *icv;
};

/* False: no packet of this SA has such a length. */
static inline bool crypt_esp_split(const struct crypt_esp *c, uint8_t *esp, size_t len,
				   struct crypt_esp_parts *ret)
{
	size_t front = CRYPT_ESP_HEADER_LEN + (size_t)c->iv_len, outside = front + c->icv_len;

	/* The length of a block is a power of two. */
	if (len <= outside || len > CRYPT_ESP_LEN_MAX || ((len - outside) & (c->block_len - 1u)) != 0)
		return false;
	*ret = (struct crypt_esp_parts){
		.iv = esp + CRYPT_ESP_HEADER_LEN,
		.text = { esp + front, len - outside },
		.icv = esp + len - c->icv_len,
	};
	return true;
}

/* RFC 4106 4: the nonce is the salt and the IV. */
static inline void crypt_esp_nonce(const struct crypt_esp *c, const uint8_t *iv,
				   uint8_t nonce[static CRYPT_ESP_NONCE_LEN])
{
	struct wr w = wr_of((struct space){ nonce, CRYPT_ESP_NONCE_LEN });

	wr_put(&w, bytes_of(c->salt, CRYPT_ESP_SALT_LEN));
	wr_put(&w, bytes_of(iv, CRYPT_ESP_NONCE_LEN - CRYPT_ESP_SALT_LEN));
}

/* RFC 4106 5: the associated data with extended sequence numbers is SPI, upper half, lower half. */
static inline void crypt_esp_esn_aad(const uint8_t *esp, uint32_t seq_hi, uint8_t aad[static CRYPT_ESP_ESN_AAD_LEN])
{
	struct wr w = wr_of((struct space){ aad, CRYPT_ESP_ESN_AAD_LEN });

	wr_put(&w, bytes_of(esp, CRYPT_ESP_HEADER_LEN / 2));
	wr_u32(&w, seq_hi);
	wr_put(&w, bytes_of(esp + CRYPT_ESP_HEADER_LEN / 2, CRYPT_ESP_HEADER_LEN / 2));
}
