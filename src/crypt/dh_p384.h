// Multiples of points of P-384, by one of two engines with the same results.
// Private to crypt/ and its tests; any thread.
//
// Both keep to this: the sequence of operations is the same for all scalars, and of each table all entries are read.
#pragma once

#include "base/bytes.h"

#define CRYPT_P384_LEN 48

struct crypt_p384_engine {
	const char *name;
	bool (*usable)(void);
	/* k * G as x and y. k is big-endian, 1 to n-1. */
	void (*base)(const uint8_t k[static CRYPT_P384_LEN], uint8_t ret[static 2 * CRYPT_P384_LEN]);
	/* k * Q as x and y; Q, as x and y, is on the curve. */
	void (*multiply)(const uint8_t k[static CRYPT_P384_LEN], const uint8_t q[static 2 * CRYPT_P384_LEN],
			 uint8_t ret[static 2 * CRYPT_P384_LEN]);
};

#ifdef __x86_64__
extern const struct crypt_p384_engine crypt_p384_ifma; /* AVX-512 IFMA, three times as fast as the other */
extern const struct crypt_p384_engine crypt_p384_mulx; /* BMI2 and ADX */
#endif
