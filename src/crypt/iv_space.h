// The only maker of counter IVs: no AES-GCM nonce ever repeats under one key.
// iv_space_take: any thread. RFC 4106 3.1, RFC 5282 3.1.
//
//   IV, 64 bits = incarnation 30 | counter 34
//
// The incarnation is a number that a process takes from the store at its start and that is never
// given out twice. One struct crypt_iv_space exists for each key and process; it must outlive every
// crypto context made for that key.
#pragma once

#include <stdatomic.h>

#include "base/bytes.h"

#define CRYPT_IV_COUNTER_BITS 34
#define CRYPT_IV_INCARNATION_MAX ((1u << 30) - 1)

struct crypt_iv_space {
	_Atomic uint64_t next; /* counter */
	uint32_t incarnation;
};

/* incarnation must be 1..MAX (asserted). */
void crypt_iv_space_init(struct crypt_iv_space *s, uint32_t incarnation);

/* The next incarnation to be asked for: above what the store has, above the one asked for before (0: none) of which the outcome is
 * not known, and above the seconds since 2025, so that a store that was put back from a copy cannot go back. It may be
 * beyond MAX. */
uint32_t crypt_iv_incarnation_next(uint32_t stored, uint32_t asked, uint64_t unix_us);

/* cnt consecutive IVs, the first in *ret_first. ERR_FULL: the counter is at its end, nothing was taken. */
MUST_USE enum err crypt_iv_space_take(struct crypt_iv_space *s, uint32_t cnt, uint64_t *ret_first);

/* True from three quarters of the counter on: time for a rekey. */
bool crypt_iv_space_is_low(const struct crypt_iv_space *s);
/* True when less than a 64th is left: time for the end. */
bool crypt_iv_space_is_ending(const struct crypt_iv_space *s);
