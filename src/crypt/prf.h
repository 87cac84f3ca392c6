// The pseudo-random functions of IKEv2 and plain SHA-256.
// Any thread; pure. RFC 7296 2.13 (prf+), RFC 4868 (HMAC-SHA2 as PRF).
#pragma once

#include "crypt/suite.h"

/* prf(key, parts[0] | parts[1] | ...) into out, crypt_prf_len(prf) bytes.
 * ERR_UNSUPPORTED: prf unknown; ERR_CRYPTO. key may have any length. */
MUST_USE enum err crypt_prf(uint16_t prf, struct bytes key, const struct bytes *parts, size_t cnt,
			    uint8_t out[static CRYPT_PRF_LEN_MAX]);

/* len bytes of prf+(key, seed). ERR_RANGE above 255 blocks (RFC 7296 2.13). */
MUST_USE enum err crypt_prf_plus(uint16_t prf, struct bytes key, struct bytes seed, uint8_t *out, size_t len);

/* SHA-256 of the parts in order; SHA-1 only for NAT detection (RFC 7296 2.23). */
MUST_USE enum err crypt_sha256(const struct bytes *parts, size_t cnt, uint8_t out[static 32]);
MUST_USE enum err crypt_sha1(const struct bytes *parts, size_t cnt, uint8_t out[static 20]);

/* HKDF-SHA256 (RFC 5869), len at most 255 * 32. */
MUST_USE enum err crypt_hkdf(struct bytes salt, struct bytes key, struct bytes info, uint8_t *out, size_t len);
