#include "base/text.h"

void text_hex(struct bytes b, char *text, size_t text_cap)
{
	static const char digits[] = "0123456789abcdef";
	must(text_cap > 2 * b.len);
	for (size_t i = 0; i < b.len; i++) {
		text[2 * i] = digits[b.p[i] >> 4];
		text[2 * i + 1] = digits[b.p[i] & 15];
	}
	text[2 * b.len] = 0;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

MUST_USE enum err text_hex_parse(struct bytes text, uint8_t *dst, size_t n)
{
	if (text.len % 2 != 0 || text.len / 2 != n)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++)
		if (hex_digit(text.p[i]) < 0)
			return ERR_SYNTAX;
	for (size_t i = 0; i < n; i++)
		dst[i] = (uint8_t)(hex_digit(text.p[2 * i]) << 4 | hex_digit(text.p[2 * i + 1]));
	return ERR_NONE;
}

void text_base64url(struct bytes b, char *text, size_t text_cap)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t o = 0;

	must(text_cap > (b.len + 2) / 3 * 4);
	for (size_t i = 0; i < b.len; i += 3) {
		size_t n = b.len - i < 3 ? b.len - i : 3;
		uint32_t v = (uint32_t)b.p[i] << 16 | (n > 1 ? (uint32_t)b.p[i + 1] << 8 : 0) |
			     (n > 2 ? b.p[i + 2] : 0);
		for (size_t k = 0; k <= n; k++)
			text[o++] = digits[v >> (18 - 6 * k) & 63];
	}
	text[o] = 0;
}

MUST_USE enum err text_u64_parse(struct bytes text, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	if (text.len == 0 || (text.len > 1 && text.p[0] == '0'))
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text.p[i] - '0'), &v) || v > max)
			return ERR_RANGE;
	*ret = v;
	return ERR_NONE;
}

size_t text_distance(const char *a, const char *b)
{
	size_t la = strnlen(a, 64), lb = strnlen(b, 64), row[65];

	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}
