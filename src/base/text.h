// Text forms of bytes and numbers: hex, base64url, decimal, RFC 3339 time.
// Any thread; pure.
#pragma once

#include "base/bytes.h"

/* Lower-case hex of b into text, NUL-ended; text_cap must hold 2 * b.len + 1. */
void text_hex(struct bytes b, char *text, size_t text_cap);

/* Hex of either case into exactly n bytes. ERR_SYNTAX otherwise. */
MUST_USE enum err text_hex_parse(struct bytes text, uint8_t *dst, size_t n);

/* base64url without padding (RFC 4648 5) into text, NUL-ended; text_cap must hold
 * 4 * ceil(b.len / 3) + 1. */
void text_base64url(struct bytes b, char *text, size_t text_cap);

/* Decimal digits only, no sign, no leading zero unless it is "0". ERR_SYNTAX, ERR_RANGE above max. */
MUST_USE enum err text_u64_parse(struct bytes text, uint64_t max, uint64_t *ret);

/* Edit distance of two short strings (at most 64 bytes are looked at), to suggest the nearest name. */
size_t text_distance(const char *a, const char *b);
