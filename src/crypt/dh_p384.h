// Multiples of points of P-384 by AVX-512 IFMA.
// Private to crypt/ and its tests; any thread.
//
// The sequence of operations is the same for all scalars, and of each table all entries are read.
#pragma once

#include "base/bytes.h"

#define CRYPT_P384_LEN 48

#ifdef __x86_64__
bool crypt_p384_usable(void);

/* k * G as x and y. k is big-endian, 1 to n-1. */
void crypt_p384_base(const uint8_t k[static CRYPT_P384_LEN], uint8_t ret[static 2 * CRYPT_P384_LEN]);

/* k * Q as x and y; Q, as x and y, is on the curve. */
void crypt_p384_multiply(const uint8_t k[static CRYPT_P384_LEN], const uint8_t q[static 2 * CRYPT_P384_LEN],
			 uint8_t ret[static 2 * CRYPT_P384_LEN]);
#endif
