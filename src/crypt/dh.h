// Diffie-Hellman for IKEv2: a fresh key pair and the secret shared with the peer's public value.
// Any thread; slow (up to a millisecond), so the helper threads call it. RFC 7296 2.14, 3526, 5903, 8031, 6989.
//
// All work on private values and shared secrets takes the same steps and reads the same memory whatever they are.
#pragma once

#include "crypt/suite.h"

#define CRYPT_DH_PUBLIC_MAX 512 /* MODP-4096 */
#define CRYPT_DH_SECRET_MAX 512
#define CRYPT_DH_PRIVATE_MAX 72 /* of those made here */

struct crypt_dh_result {
	uint16_t public_len;
	uint16_t secret_len;
	uint8_t private_len; /* of crypt_dh_generate alone */
	uint8_t private[CRYPT_DH_PRIVATE_MAX];
	uint8_t public[CRYPT_DH_PUBLIC_MAX];
	uint8_t secret[CRYPT_DH_SECRET_MAX]; /* leading zeroes kept: as long as the modulus, or as the field */
};

/* Length of a public value of the group on the wire, 0 for a group that is not supported. */
size_t crypt_dh_public_len(uint16_t group);

/* What a public value of the group has to be besides its length, in words: "a number from 2 to p-2". */
const char *crypt_dh_public_rule(uint16_t group);

/* The responder's half in one call: makes a key pair and derives. ERR_UNSUPPORTED: group;
 * ERR_RANGE: peer's value has the wrong length or breaks the group's rule (RFC 6989 2); ERR_CRYPTO. */
MUST_USE enum err crypt_dh_respond(uint16_t group, struct bytes peer_public, struct crypt_dh_result *ret);

/* The side that starts: a key pair (public and private), and later, maybe in another process, the secret of that private
 * value with the peer's public one. Errors as above. */
MUST_USE enum err crypt_dh_generate(uint16_t group, struct crypt_dh_result *ret);
MUST_USE enum err crypt_dh_finish(uint16_t group, struct bytes private, struct bytes peer_public,
				  struct crypt_dh_result *ret);

/* The two halves apart, with the key in memory. The key holds the private value; free wipes it. */
struct crypt_dh_key;
MUST_USE enum err crypt_dh_new(uint16_t group, struct crypt_dh_key **ret);
/* From a given private value, big-endian (group 31: RFC 7748's string): for known answers, an exchange never brings
 * its own. */
MUST_USE enum err crypt_dh_from_private(uint16_t group, struct bytes private, struct crypt_dh_key **ret);
void crypt_dh_free(struct crypt_dh_key *key);
struct bytes crypt_dh_public(const struct crypt_dh_key *key); /* borrowed */
MUST_USE enum err crypt_dh_derive(const struct crypt_dh_key *key, struct bytes peer_public,
				  uint8_t secret[static CRYPT_DH_SECRET_MAX], size_t *ret_len);

/* What computes the MODP groups and group 20 on this machine: "avx512-ifma", "avx512-fma", "mulx" or "libcrypto". */
const char *crypt_dh_engine(void);
const char *crypt_dh_p384_engine(void);
