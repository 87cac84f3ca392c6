// IP addresses, prefixes and endpoints of either family, always as bytes in network order.
// Any thread; plain values.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

/* Unused bytes are zero, so values of one type compare with memcmp. family is an addr_family. */
struct addr {
	uint8_t b[16];
	uint8_t family;
};

struct addr_prefix {
	struct addr addr;
	uint8_t len; /* 0..32 or 0..128 */
};

struct addr_endpoint {
	struct addr addr;
	uint16_t port; /* host order */
};

#define ADDR_TEXT_MAX 46     /* INET6_ADDRSTRLEN */
#define ADDR_PREFIX_TEXT_MAX 50
#define ADDR_ENDPOINT_TEXT_MAX 56

static inline size_t addr_len(uint8_t family)
{
	return family == ADDR_V4 ? 4 : family == ADDR_V6 ? 16 : 0;
}

static inline struct bytes addr_bytes(const struct addr *a)
{
	return (struct bytes){ a->b, addr_len(a->family) };
}

/* The address in 4 or 16 bytes; family none for any other length. */
struct addr addr_from_bytes(struct bytes b);

/* Host order number of a v4 address; 0 for others. */
uint32_t addr_v4_u32(const struct addr *a);
struct addr addr_from_v4_u32(uint32_t v);

bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_endpoint_eq(const struct addr_endpoint *a, const struct addr_endpoint *b);
int addr_cmp(const struct addr *a, const struct addr *b); /* v4 before v6, then by bytes */
bool addr_is_unspecified(const struct addr *a);
bool addr_is_multicast(const struct addr *a); /* also 255.255.255.255 */

/* Text to value, in any form that inet_pton takes (no leading zeroes in v4, no zone in v6).
 * ERR_SYNTAX: none. Text need not be NUL-ended. */
MUST_USE enum err addr_parse(struct bytes text, struct addr *ret);
/* "10.0.0.1/31": host bits are kept. Without a slash: ERR_SYNTAX. */
MUST_USE enum err addr_prefix_parse(struct bytes text, struct addr_prefix *ret);

/* Value to text, into caller's room of at least the _MAX above; returns the room. */
const char *addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX]);
const char *addr_prefix_format(const struct addr_prefix *p, char text[static ADDR_PREFIX_TEXT_MAX]);
/* "192.0.2.1:500", "[2001:db8::1]:500" */
const char *addr_endpoint_format(const struct addr_endpoint *e, char text[static ADDR_ENDPOINT_TEXT_MAX]);

/* The prefix with its host bits cleared. */
struct addr_prefix addr_prefix_mask(const struct addr_prefix *p);
bool addr_prefix_eq(const struct addr_prefix *a, const struct addr_prefix *b);
bool addr_prefix_contains(const struct addr_prefix *p, const struct addr *a);
bool addr_prefix_overlaps(const struct addr_prefix *a, const struct addr_prefix *b);
/* Lowest and highest address of the prefix (traffic selectors are ranges). */
void addr_prefix_range(const struct addr_prefix *p, struct addr *ret_low, struct addr *ret_high);
