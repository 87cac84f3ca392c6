// Masks instead of branches where the compared value is secret.
// Private to crypt/ and its tests; any thread.
#pragma once

#include <stdint.h>

/* All ones for 0, else 0. The compiler does not see what x is, so it cannot make a branch of it. */
static inline uint64_t crypt_mask_zero(uint64_t x)
{
	__asm__("" : "+r"(x));
	return ((x | (0 - x)) >> 63) - 1;
}
