// The ids of accounts, tunnels, routes and tokens: 16 random bytes, 32 lower-case hex characters as text.
// Any thread; plain values.
#pragma once

#include "base/bytes.h"
#include "base/text.h"

struct model_id {
	uint8_t b[16];
};

#define MODEL_ID_TEXT_LEN 32
#define MODEL_ID_TEXT_MAX 33

static inline bool model_id_eq(const struct model_id *a, const struct model_id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool model_id_is_zero(const struct model_id *a)
{
	static const struct model_id zero;
	return model_id_eq(a, &zero);
}

static inline const char *model_id_text(const struct model_id *id, char text[static MODEL_ID_TEXT_MAX])
{
	text_hex(bytes_of(id->b, sizeof(id->b)), text, MODEL_ID_TEXT_MAX);
	return text;
}

/* Hex of either case. ERR_SYNTAX unless exactly 32 hex digits. */
MUST_USE static inline enum err model_id_parse(struct bytes text, struct model_id *ret)
{
	return text_hex_parse(text, ret->b, sizeof(ret->b));
}
