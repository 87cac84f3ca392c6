// Powers modulo the primes of RFC 3526, by one of several engines with the same results.
// Private to crypt/ and its tests; any thread.
//
// All keep to this: the sequence of operations depends on lengths only, and of each table all entries are read.
#pragma once

#include <openssl/bn.h>

#include "base/bytes.h"
#include "base/err.h"

#define CRYPT_MODP_LEN_MAX 512

struct crypt_modp_engine {
	const char *name;
	bool (*usable)(void);
	/* What is computed once for a prime: the table of powers of 2 for exponents of that length, and more.
	 * NULL: no memory. The length of the prime in bytes is a multiple of 8. */
	void *(*new)(const BIGNUM *prime, size_t exponent_len);
	void (*free)(void *state);
	/* base^exponent; base is as long as the prime and smaller, so is *ret. */
	MUST_USE enum err (*power)(const void *state, struct bytes base, struct bytes exponent, uint8_t *ret);
	/* 2^exponent, exponent of the length given to new. */
	MUST_USE enum err (*power_of_2)(const void *state, struct bytes exponent, uint8_t *ret);
};

extern const struct crypt_modp_engine crypt_modp_bn;   /* libcrypto's Montgomery multiplication */
#ifdef __x86_64__
extern const struct crypt_modp_engine crypt_modp_ifma; /* AVX-512 IFMA, three times as fast */
extern const struct crypt_modp_engine crypt_modp_fma;  /* AVX-512 without it */
#endif

/* The digit of 4 bits with the weight 16^i of a big-endian number. */
static inline unsigned crypt_modp_digit(struct bytes exponent, size_t i)
{
	unsigned two = exponent.p[exponent.len - 1 - i / 2];
	return two >> (4 * (i % 2)) & 15;
}
