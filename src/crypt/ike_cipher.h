// Protection of the IKE SA's own messages (the SK payload).
// Any thread; pure, keys by argument. RFC 7296 3.14, RFC 5282.
#pragma once

#include "crypt/suite.h"

/* Keys of one direction. encr: crypt_encr_key_len bytes; integ: crypt_integ_key_len bytes (none with AEAD). */
struct crypt_ike_keys {
	uint16_t encr_id, key_bits, integ_id;
	struct bytes encr, integ;
};

/* Encrypts text in place and writes the ICV. aad is the message from its first byte up to the IV:
 * GCM authenticates it as such (RFC 5282 5.1), HMAC covers aad, iv and ciphertext, which must
 * follow each other in memory (the whole message up to the ICV). iv as it stands on the wire. */
MUST_USE enum err crypt_ike_seal(const struct crypt_ike_keys *keys, struct bytes aad, struct bytes iv,
				 struct space text, struct space icv);

/* Checks the ICV first, then decrypts text in place. ERR_AUTH: the ICV is wrong, text is unspecified
 * and must not be read; ERR_RANGE: a length that the cipher cannot have. */
MUST_USE enum err crypt_ike_open(const struct crypt_ike_keys *keys, struct bytes aad, struct bytes iv,
				 struct space text, struct bytes icv);
