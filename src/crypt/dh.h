// Diffie-Hellman for IKEv2: a fresh key pair and the secret shared with the peer's public value.
// Any thread; slow (about a millisecond), so the helper threads call it. RFC 7296 2.14, 3526, 6989.
#pragma once

#include "crypt/suite.h"

#define CRYPT_DH_PUBLIC_MAX 256 /* MODP-2048 */
#define CRYPT_DH_SECRET_MAX 256

struct crypt_dh_result {
	uint16_t public_len;
	uint16_t secret_len;
	uint8_t public[CRYPT_DH_PUBLIC_MAX];
	uint8_t secret[CRYPT_DH_SECRET_MAX]; /* leading zeroes kept: as long as the modulus */
};

/* Length of a public value of the group on the wire, 0 for a group that is not supported. */
size_t crypt_dh_public_len(uint16_t group);

/* The responder's half in one call: makes a key pair and derives. ERR_UNSUPPORTED: group;
 * ERR_RANGE: peer's value has the wrong length or is not in 2..p-2 (RFC 6989 2.1); ERR_CRYPTO. */
MUST_USE enum err crypt_dh_respond(uint16_t group, struct bytes peer_public, struct crypt_dh_result *ret);

/* The two halves apart, for the side that starts. The key holds the private value; free wipes it. */
struct crypt_dh_key;
MUST_USE enum err crypt_dh_new(uint16_t group, struct crypt_dh_key **ret);
/* From a given private value, big-endian: for known answers, an exchange never brings its own. */
MUST_USE enum err crypt_dh_from_private(uint16_t group, struct bytes private, struct crypt_dh_key **ret);
void crypt_dh_free(struct crypt_dh_key *key);
struct bytes crypt_dh_public(const struct crypt_dh_key *key); /* borrowed */
MUST_USE enum err crypt_dh_derive(const struct crypt_dh_key *key, struct bytes peer_public,
				  uint8_t secret[static CRYPT_DH_SECRET_MAX], size_t *ret_len);
