#include "api/path.h"

#include <strings.h>

#include "base/text.h"

/* One segment, decoded behind what is in the path's text already. */
static enum err decode_segment(struct bytes raw, struct wr *w, struct bytes *ret)
{
	size_t start = wr_len(w);

	for (size_t i = 0; i < raw.len; i++) {
		uint8_t c = raw.p[i];
		if (c == '%') {
			if (raw.len - i < 3 ||
			    text_hex_parse(bytes_of(raw.p + i + 1, 2), &c, 1) != ERR_NONE || c == 0)
				return ERR_SYNTAX;
			i += 2;
		}
		wr_u8(w, c);
	}
	if (w->bad)
		return ERR_LONG;
	*ret = bytes_of(w->start + start, wr_len(w) - start);
	return ERR_NONE;
}

MUST_USE enum err api_query_decode(const char *raw, char *dst, size_t cap)
{
	struct wr w = wr_of((struct space){ (uint8_t *)dst, cap });
	struct bytes decoded;
	enum err e = decode_segment(bytes_str(raw), &w, &decoded);

	wr_u8(&w, 0);
	return e != ERR_NONE ? e : w.bad ? ERR_FULL : ERR_NONE;
}

static void strip_prefix(struct api_path *p)
{
	if (p->cnt < 2 || !bytes_eq(p->segments[0], bytes_str("client")) ||
	    !bytes_eq(p->segments[1], bytes_str("v4")))
		return;
	p->cnt -= 2;
	memmove(p->segments, p->segments + 2, p->cnt * sizeof(p->segments[0]));
}

/* RFC 9112 3.2.2: a server takes the absolute form as well. Whose host it names is of no interest: there is one API. */
static const char *skip_authority(const char *raw)
{
	size_t scheme = strncasecmp(raw, "http://", 7) == 0 ? 7 : strncasecmp(raw, "https://", 8) == 0 ? 8 : 0;

	return scheme == 0 ? raw : raw + scheme + strcspn(raw + scheme, "/");
}

MUST_USE enum err api_path_parse(const char *raw, struct api_path *ret)
{
	struct wr w = wr_of(SPACE_OF(ret->text));
	const char *path = skip_authority(raw);

	ret->cnt = 0;
	if (path[0] != '/')
		return ERR_SYNTAX;
	for (const char *at = path; *at == '/';) {
		size_t len = strcspn(at + 1, "/");
		if (ret->cnt == API_PATH_SEGMENTS_MAX)
			return ERR_LONG;
		enum err e = decode_segment(bytes_of(at + 1, len), &w, &ret->segments[ret->cnt]);
		if (e != ERR_NONE)
			return e;
		ret->cnt++;
		at += 1 + len;
	}
	strip_prefix(ret);
	return ERR_NONE;
}

bool api_path_match(const struct api_path *p, const char *pattern, struct bytes *ret_account,
		    struct bytes *ret_id)
{
	struct bytes account = { 0 }, id = { 0 };
	size_t n = 0;

	for (const char *at = pattern;; n++) {
		size_t len = strcspn(at, "/");
		struct bytes want = bytes_of(at, len);
		if (n == p->cnt)
			return false;
		if (bytes_eq(want, bytes_str(":a")))
			account = p->segments[n];
		else if (bytes_eq(want, bytes_str(":id")))
			id = p->segments[n];
		else if (!bytes_eq(want, p->segments[n]))
			return false;
		if (at[len] == 0)
			break;
		at += len + 1;
	}
	if (n + 1 != p->cnt)
		return false;
	*ret_account = account;
	*ret_id = id;
	return true;
}
