// SHA-1, SHA-2 and HMAC with the key set once, without heap: what prf, seal and the ESP ciphers share.
// Any thread; a keyed HMAC may be shared for reading. Of this folder only. RFC 2104, 6234.
#pragma once

#include <openssl/sha.h>

#include "crypt/suite.h"

#define CRYPT_HASH_LEN_MAX 64

enum crypt_hash { CRYPT_SHA1 = 1, CRYPT_SHA256, CRYPT_SHA384, CRYPT_SHA512 };

/* The running state of a hash. */
struct crypt_hash_state {
	enum crypt_hash hash;
	union {
		SHA_CTX sha1;
		SHA256_CTX sha256;
		SHA512_CTX sha512; /* and SHA-384 */
	};
};

/* The states after the inner and the outer key block: as secret as the key. */
struct crypt_hmac {
	struct crypt_hash_state inner, outer;
};

size_t crypt_hash_len(enum crypt_hash hash);

/* The hash below an IKE algorithm; false for a number that is none of ours. */
bool crypt_hash_of_prf(uint16_t prf, enum crypt_hash *ret);
bool crypt_hash_of_integ(uint16_t integ, enum crypt_hash *ret);

void crypt_hash_run(enum crypt_hash hash, const struct bytes *parts, size_t cnt,
		    uint8_t out[static CRYPT_HASH_LEN_MAX]);

/* key may have any length. */
void crypt_hmac_init(struct crypt_hmac *h, enum crypt_hash hash, struct bytes key);
void crypt_hmac_fini(struct crypt_hmac *h); /* wipes */
void crypt_hmac_run(const struct crypt_hmac *h, const struct bytes *parts, size_t cnt,
		    uint8_t out[static CRYPT_HASH_LEN_MAX]);
