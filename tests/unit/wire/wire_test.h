// What the tests of wire share.
// Tests only.
#pragma once

// cmocka.h wants these four before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/bytes.h"

/* A copy in a block of exactly its size, so that ASan sees one byte too far. To be freed. */
static inline struct bytes exact_copy(struct bytes b)
{
	uint8_t *p = malloc(b.len == 0 ? 1 : b.len);
	assert_non_null(p);
	if (b.len != 0)
		memcpy(p, b.p, b.len);
	return bytes_of(p, b.len);
}

static inline void exact_free(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

static inline struct addr addr_of(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(bytes_str(text), &a), ERR_NONE);
	return a;
}

static inline void assert_bytes(struct bytes got, const void *want, size_t len)
{
	assert_int_equal(got.len, len);
	if (len != 0)
		assert_memory_equal(got.p, want, len);
}
