// The path of a request: split first, then decoded, so that an encoded slash stays inside its segment.
// Inside api only; pure. RFC 3986 2.1, 3.3; RFC 9112 3.2.
#pragma once

#include "base/bytes.h"

#define API_PATH_SEGMENTS_MAX 10
#define API_PATH_TEXT_MAX 1024

struct api_path {
	size_t cnt;
	struct bytes
		segments[API_PATH_SEGMENTS_MAX]; /* in text; the last one is empty after a trailing slash */
	uint8_t text[API_PATH_TEXT_MAX];
};

/* "/client/v4/accounts/x%2Fy" gives "accounts", "x/y". The prefix /client/v4 may be missing; "http://host" may stand before it, as a
 * client that talks to a proxy sends it.
 * ERR_LONG: too many segments or characters; ERR_SYNTAX: a broken or forbidden escape (%00). */
MUST_USE enum err api_path_parse(const char *raw, struct api_path *ret);

/* True for equal segments; ":a" and ":id" in the pattern ("accounts/:a/magic/routes/:id") take any
 * segment, which is returned. Untouched when false. */
bool api_path_match(const struct api_path *p, const char *pattern, struct bytes *ret_account,
		    struct bytes *ret_id);

/* A value of the query, decoded and NUL-ended. ERR_SYNTAX: a broken escape; ERR_FULL. */
MUST_USE enum err api_query_decode(const char *raw, char *dst, size_t cap);
