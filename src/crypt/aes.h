// AES-GCM and AES-CBC over libcrypto, on contexts whose key is set once.
// A context belongs to one thread. Of this folder only. NIST SP 800-38A, 800-38D.
#pragma once

#include <openssl/evp.h>

#include "crypt/suite.h"

#define CRYPT_GCM_NONCE_LEN 12
#define CRYPT_GCM_TAG_LEN   16
#define CRYPT_AES_BLOCK_LEN 16

bool crypt_aes_usable(uint16_t encr, uint16_t key_bits);

/* key without salt, key_bits / 8 bytes. The direction is fixed. ERR_UNSUPPORTED, ERR_RANGE, ERR_MEMORY,
 * ERR_CRYPTO. Freed with EVP_CIPHER_CTX_free, which wipes. */
MUST_USE enum err crypt_aes_new(uint16_t encr, uint16_t key_bits, struct bytes key, bool decrypt,
				EVP_CIPHER_CTX **ret);

/* In place; no allocation. aad and text may be empty. ERR_RANGE: longer than libcrypto counts; ERR_CRYPTO. */
MUST_USE enum err crypt_gcm_seal(EVP_CIPHER_CTX *ctx, const uint8_t nonce[static CRYPT_GCM_NONCE_LEN],
				 struct bytes aad, struct space text, uint8_t tag[static CRYPT_GCM_TAG_LEN]);
/* ERR_AUTH: text is then of no meaning. */
MUST_USE enum err crypt_gcm_open(EVP_CIPHER_CTX *ctx, const uint8_t nonce[static CRYPT_GCM_NONCE_LEN],
				 struct bytes aad, struct space text,
				 const uint8_t tag[static CRYPT_GCM_TAG_LEN]);

/* In place, whole blocks, in the direction of the context. */
MUST_USE enum err crypt_cbc_run(EVP_CIPHER_CTX *ctx, const uint8_t iv[static CRYPT_AES_BLOCK_LEN],
				struct space text);
