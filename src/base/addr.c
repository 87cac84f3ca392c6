#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

struct addr addr_from_bytes(struct bytes b)
{
	struct addr a = { 0 };
	if (b.len == 4 || b.len == 16) {
		a.family = b.len == 4 ? ADDR_V4 : ADDR_V6;
		memcpy(a.b, b.p, b.len);
	}
	return a;
}

uint32_t addr_v4_u32(const struct addr *a)
{
	struct rd r = rd_of(bytes_of(a->b, 4));
	return a->family == ADDR_V4 ? rd_u32(&r) : 0;
}

struct addr addr_from_v4_u32(uint32_t v)
{
	struct addr a = { .family = ADDR_V4 };
	struct wr w = wr_of((struct space){ a.b, 4 });
	wr_u32(&w, v);
	return a;
}

int addr_cmp(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, sizeof(a->b));
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	return addr_cmp(a, b) == 0;
}

bool addr_endpoint_eq(const struct addr_endpoint *a, const struct addr_endpoint *b)
{
	return a->port == b->port && addr_eq(&a->addr, &b->addr);
}

bool addr_is_unspecified(const struct addr *a)
{
	static const uint8_t zero[16];
	return memcmp(a->b, zero, sizeof(zero)) == 0;
}

bool addr_is_multicast(const struct addr *a)
{
	if (a->family == ADDR_V4)
		return (a->b[0] & 0xf0) == 0xe0 || addr_v4_u32(a) == UINT32_MAX;
	return a->family == ADDR_V6 && a->b[0] == 0xff;
}

MUST_USE enum err addr_parse(struct bytes text, struct addr *ret)
{
	char s[ADDR_TEXT_MAX];
	struct addr a = { 0 };

	if (text.len == 0 || text.len >= sizeof(s) || memchr(text.p, 0, text.len) != NULL)
		return ERR_SYNTAX;
	memcpy(s, text.p, text.len);
	s[text.len] = 0;
	if (inet_pton(AF_INET, s, a.b) == 1)
		a.family = ADDR_V4;
	else if (inet_pton(AF_INET6, s, a.b) == 1)
		a.family = ADDR_V6;
	else
		return ERR_SYNTAX;
	*ret = a;
	return ERR_NONE;
}

MUST_USE enum err addr_prefix_parse(struct bytes text, struct addr_prefix *ret)
{
	struct addr_prefix p = { 0 };
	const uint8_t *slash = text.len == 0 ? NULL : memchr(text.p, '/', text.len);
	unsigned len = 0;

	if (slash == NULL)
		return ERR_SYNTAX;
	size_t head = (size_t)(slash - text.p), digits = text.len - head - 1;
	enum err e = addr_parse(bytes_of(text.p, head), &p.addr);
	if (e != ERR_NONE)
		return e;
	if (digits == 0 || digits > 3 || (digits > 1 && slash[1] == '0'))
		return ERR_SYNTAX;
	for (size_t i = 1; i <= digits; i++) {
		if (slash[i] < '0' || slash[i] > '9')
			return ERR_SYNTAX;
		len = len * 10 + (unsigned)(slash[i] - '0');
	}
	if (len > addr_len(p.addr.family) * 8)
		return ERR_SYNTAX;
	p.len = (uint8_t)len;
	*ret = p;
	return ERR_NONE;
}

const char *addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
	int af = a->family == ADDR_V6 ? AF_INET6 : AF_INET;
	if (addr_len(a->family) == 0 || inet_ntop(af, a->b, text, ADDR_TEXT_MAX) == NULL)
		snprintf(text, ADDR_TEXT_MAX, "-");
	return text;
}

const char *addr_prefix_format(const struct addr_prefix *p, char text[static ADDR_PREFIX_TEXT_MAX])
{
	char s[ADDR_TEXT_MAX];
	snprintf(text, ADDR_PREFIX_TEXT_MAX, "%s/%u", addr_format(&p->addr, s), p->len);
	return text;
}

const char *addr_endpoint_format(const struct addr_endpoint *e, char text[static ADDR_ENDPOINT_TEXT_MAX])
{
	char s[ADDR_TEXT_MAX];
	snprintf(text, ADDR_ENDPOINT_TEXT_MAX, e->addr.family == ADDR_V6 ? "[%s]:%u" : "%s:%u",
		 addr_format(&e->addr, s), e->port);
	return text;
}

/* Sets the host bits of a prefix to 0 or to 1. */
static struct addr fill_host_bits(const struct addr_prefix *p, bool ones)
{
	struct addr a = p->addr;
	for (size_t i = 0; i < addr_len(a.family); i++) {
		size_t bit = i * 8;
		unsigned keep = p->len >= bit + 8 ? 0xff : p->len <= bit ? 0 : 0xff00u >> (p->len - bit);
		a.b[i] = (uint8_t)(ones ? a.b[i] | (~keep & 0xff) : a.b[i] & keep);
	}
	return a;
}

struct addr_prefix addr_prefix_mask(const struct addr_prefix *p)
{
	return (struct addr_prefix){ fill_host_bits(p, false), p->len };
}

bool addr_prefix_eq(const struct addr_prefix *a, const struct addr_prefix *b)
{
	return a->len == b->len && addr_eq(&a->addr, &b->addr);
}

bool addr_prefix_contains(const struct addr_prefix *p, const struct addr *a)
{
	struct addr_prefix x = { *a, p->len };
	struct addr_prefix m = addr_prefix_mask(p), n = addr_prefix_mask(&x);
	return addr_prefix_eq(&m, &n);
}

bool addr_prefix_overlaps(const struct addr_prefix *a, const struct addr_prefix *b)
{
	return a->len <= b->len ? addr_prefix_contains(a, &b->addr) : addr_prefix_contains(b, &a->addr);
}

void addr_prefix_range(const struct addr_prefix *p, struct addr *ret_low, struct addr *ret_high)
{
	struct addr low = fill_host_bits(p, false), high = fill_host_bits(p, true);
	*ret_low = low;
	*ret_high = high;
}
