// Byte blocks: an address and a length, borrowed from whoever holds the bytes. They are read and written by the cursors of base/bytes.h.
// Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *p;
	size_t len;
};

/* The writable twin: room of cap bytes at p. */
struct space {
	uint8_t *p;
	size_t cap;
};

#define BYTES_OF(array) ((struct bytes){ (const uint8_t *)(array), sizeof(array) })
#define SPACE_OF(array) ((struct space){ (uint8_t *)(array), sizeof(array) })

static inline struct bytes bytes_of(const void *p, size_t len)
{
	return (struct bytes){ (const uint8_t *)p, len };
}

/* The characters of a C string without its NUL. */
static inline struct bytes bytes_str(const char *s)
{
	return (struct bytes){ (const uint8_t *)s, strlen(s) };
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Lexical order; a prefix sorts before what it begins. */
static inline int bytes_cmp(struct bytes a, struct bytes b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
	return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static inline bool bytes_starts(struct bytes b, struct bytes prefix)
{
	return b.len >= prefix.len && (prefix.len == 0 || memcmp(b.p, prefix.p, prefix.len) == 0);
}

/* Equal, in time that depends on the lengths alone. */
static inline bool bytes_eq_ct(struct bytes a, struct bytes b)
{
	uint8_t diff = 0;
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		diff |= (uint8_t)(a.p[i] ^ b.p[i]);
	return diff == 0;
}
