// Arithmetic on lengths that says when it does not fit.
// Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Each returns false, and leaves *ret undefined, when the true result does not fit a size_t. */
MUST_USE static inline bool ck_add(size_t a, size_t b, size_t *ret)
{
	return !__builtin_add_overflow(a, b, ret);
}

MUST_USE static inline bool ck_sub(size_t a, size_t b, size_t *ret)
{
	return !__builtin_sub_overflow(a, b, ret);
}

MUST_USE static inline bool ck_mul(size_t a, size_t b, size_t *ret)
{
	return !__builtin_mul_overflow(a, b, ret);
}
