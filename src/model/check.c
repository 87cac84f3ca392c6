#include "model/check.h"

bool model_name_valid(const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < len; i++)
		if (name[i] < 0x20 || name[i] > 0x7e)
			return false;
	return len >= 1 && len <= 255;
}

/* The next character of UTF-8 text; UINT32_MAX for one that is not well formed. RFC 3629 4. */
static uint32_t take_utf8(struct rd *r)
{
	uint32_t c = rd_u8(r), min;
	unsigned more;

	if (c < 0x80)
		return c;
	if (c < 0xc2 || c > 0xf4)
		return UINT32_MAX;
	more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	min = c < 0xe0 ? 0x80 : c < 0xf0 ? 0x800 : 0x10000;
	c &= 0x3fu >> more;
	for (; more > 0; more--) {
		uint8_t b = rd_u8(r);
		if ((b & 0xc0) != 0x80)
			return UINT32_MAX;
		c = c << 6 | (b & 0x3f);
	}
	return c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? UINT32_MAX : c;
}

bool model_free_text_valid(const char *text)
{
	struct rd r = rd_of(bytes_str(text));
	while (rd_left(&r) > 0) {
		uint32_t c = take_utf8(&r);
		bool space = c == '\t' || c == '\n' || c == '\r';
		if (c == UINT32_MAX || (c < 0x20 && !space) || (c >= 0x7f && c < 0xa0))
			return false;
	}
	return true;
}

bool model_addr_is_unicast(const struct addr *a)
{
	return a->family != ADDR_NONE && !addr_is_multicast(a) && !addr_is_unspecified(a);
}

bool model_addr_is_loopback(const struct addr *a)
{
	static const struct addr loopback6 = { .b = { [15] = 1 }, .family = ADDR_V6 };
	return a->family == ADDR_V4 ? a->b[0] == 127 : addr_eq(a, &loopback6);
}

bool model_addr_is_link_local6(const struct addr *a)
{
	return a->family == ADDR_V6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool model_prefix_is_interface_space(const struct addr_prefix *p)
{
	static const struct addr_prefix spaces[] = {
		{ { { 10 }, ADDR_V4 }, 8 },
		{ { { 172, 16 }, ADDR_V4 }, 12 },
		{ { { 192, 168 }, ADDR_V4 }, 16 },
		{ { { 169, 254, 240 }, ADDR_V4 }, 20 },
	};
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		if (p->len >= spaces[i].len && addr_prefix_contains(&spaces[i], &p->addr))
			return true;
	return false;
}
