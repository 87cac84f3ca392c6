// Sealing of secrets for the store: to the gateway's public key (PSKs) and under a symmetric key (SA records).
// Any thread; pure but for random salts.
//
//   box    0x01 | ephemeral X25519 public 32 | AES-256-GCM(text) | tag 16
//          key = HKDF(salt = ephemeral | recipient, X25519 secret, "onramp box"), nonce zero: the key is used once
//   locked 0x02 | salt 32 | AES-256-GCM(text) | tag 16
//          key = HKDF(salt, key, "onramp lock"), nonce zero: the salt is fresh for each value
//
// aad is the name of the store key, so that a sealed value cannot be moved to another key.
#pragma once

#include "base/bytes.h"

#define CRYPT_SEAL_KEY_LEN 32
#define CRYPT_SEAL_OVERHEAD 49

struct crypt_seal_public {
	uint8_t b[CRYPT_SEAL_KEY_LEN];
};

struct crypt_seal_private {
	uint8_t b[CRYPT_SEAL_KEY_LEN]; /* wipe with secret_wipe */
};

/* The key that seals, and behind it those that only open what was sealed before a change of keys. */
#define CRYPT_SEAL_KEYS_MAX 4
struct crypt_seal_ring {
	unsigned cnt; /* at least 1 */
	struct crypt_seal_private key[CRYPT_SEAL_KEYS_MAX]; /* wipe with secret_wipe */
};

MUST_USE enum err crypt_seal_generate(struct crypt_seal_private *ret);
MUST_USE enum err crypt_seal_public_of(const struct crypt_seal_private *key, struct crypt_seal_public *ret);

/* out.cap must be at least text.len + CRYPT_SEAL_OVERHEAD (ERR_FULL). *ret_len is what was written. */
MUST_USE enum err crypt_box_seal(const struct crypt_seal_public *to, struct bytes aad, struct bytes text,
				 struct space out, size_t *ret_len);
/* ERR_AUTH: not made for this key or aad, or damaged. ERR_SHORT, ERR_VERSION, ERR_FULL. */
MUST_USE enum err crypt_box_open(const struct crypt_seal_private *key, struct bytes aad, struct bytes sealed,
				 struct space out, size_t *ret_len);

MUST_USE enum err crypt_lock_seal(const uint8_t key[static CRYPT_SEAL_KEY_LEN], struct bytes aad,
				  struct bytes text, struct space out, size_t *ret_len);
MUST_USE enum err crypt_lock_open(const uint8_t key[static CRYPT_SEAL_KEY_LEN], struct bytes aad,
				  struct bytes sealed, struct space out, size_t *ret_len);

/* The same by whichever key of a ring fits; *ret_which says which. */
MUST_USE enum err crypt_box_open_any(const struct crypt_seal_ring *ring, struct bytes aad, struct bytes sealed,
				     struct space out, size_t *ret_len, unsigned *ret_which);

/* The symmetric key for SA records that belongs to a gateway's private key (HKDF, "onramp sa"). */
MUST_USE enum err crypt_seal_sa_key(const struct crypt_seal_private *key, uint8_t ret[static CRYPT_SEAL_KEY_LEN]);
