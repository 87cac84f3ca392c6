// What every record codec of model/ must keep, written once for the tests of each noun.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlv.h"

/* Decodes into a value filled with 0xa5 and says, on failure, whether it stayed so. */
struct codec {
	enum err (*decode)(struct bytes record, void *ret);
	size_t size;
};

#define CODEC_OF(noun, type)                                                        \
	static enum err decode_any(struct bytes record, void *ret)                  \
	{                                                                           \
		return noun(record, (type *)ret);                                   \
	}                                                                           \
	static const struct codec codec = { decode_any, sizeof(type) }

/* Runs a decode over an exact heap copy (so a read beyond it is seen) and checks the out-parameter. */
static inline enum err codec_try(const struct codec *c, struct bytes record)
{
	uint8_t *copy = malloc(record.len == 0 ? 1 : record.len), *out = malloc(c->size);
	assert_non_null(copy);
	assert_non_null(out);
	memcpy(copy, record.p, record.len);
	memset(out, 0xa5, c->size);
	enum err e = c->decode(bytes_of(copy, record.len), out);
	if (e != ERR_NONE)
		for (size_t i = 0; i < c->size; i++)
			assert_int_equal(out[i], 0xa5);
	free(copy);
	free(out);
	return e;
}

static inline void codec_refuses_every_cut_inside_a_field(const struct codec *c, struct bytes record)
{
	struct rd r = rd_of(record);
	struct tlv t;
	size_t boundary = 2;

	rd_skip(&r, 2);
	for (size_t n = 0; n < record.len; n++) {
		enum err e = codec_try(c, bytes_of(record.p, n));
		while (boundary < n && tlv_next(&r, &t))
			boundary = (size_t)(r.p - record.p);
		if (n == boundary)
			assert_true(e == ERR_NONE || e == ERR_SYNTAX);
		else
			assert_int_equal(e, ERR_SHORT);
	}
}

static inline void codec_refuses_other_versions(const struct codec *c, struct bytes record)
{
	uint8_t room[8192];
	assert_true(record.len <= sizeof(room));
	memcpy(room, record.p, record.len);
	room[1] = 0;
	assert_int_equal(codec_try(c, bytes_of(room, record.len)), ERR_VERSION);
	room[1] = (uint8_t)(record.p[1] + 1);
	assert_int_equal(codec_try(c, bytes_of(room, record.len)), ERR_VERSION);
}

/* Appends a field to a record in room of 8192. */
static inline struct bytes codec_append(struct bytes record, uint16_t type, struct bytes value, uint8_t *room)
{
	struct wr w = wr_of((struct space){ room, 8192 });
	wr_put(&w, record);
	tlv_bytes(&w, type, value);
	assert_false(w.bad);
	return wr_bytes(&w);
}

static inline void codec_passes_over_unknown_fields(const struct codec *c, struct bytes record)
{
	uint8_t room[8192];
	static const uint16_t types[] = { 0, 60, 64, 65535 };
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		assert_int_equal(codec_try(c, codec_append(record, types[i], bytes_str("new"), room)), ERR_NONE);
}

/* `repeated` is the set of the types that may stand there more than once. */
static inline void codec_refuses_repeated_fields(const struct codec *c, struct bytes record, uint64_t repeated)
{
	uint8_t room[8192];
	struct rd r = rd_of(record);
	struct tlv t;
	unsigned tried = 0;

	rd_skip(&r, 2);
	while (tlv_next(&r, &t)) {
		if ((repeated >> t.type & 1) != 0)
			continue;
		assert_int_equal(codec_try(c, codec_append(record, t.type, t.value, room)), ERR_SYNTAX);
		tried++;
	}
	assert_true(tried > 1);
}

/* Every byte changed to every value in turn: no crash, and the value untouched when it is refused. */
static inline void codec_survives_every_changed_byte(const struct codec *c, struct bytes record)
{
	uint8_t room[8192];
	static const uint8_t flips[] = { 0x01, 0x80, 0xff, 0x10 };
	assert_true(record.len <= sizeof(room));
	for (size_t i = 0; i < record.len; i++) {
		for (size_t k = 0; k < ARRAY_LEN(flips); k++) {
			memcpy(room, record.p, record.len);
			room[i] ^= flips[k];
			(void)codec_try(c, bytes_of(room, record.len));
		}
	}
}

static inline void codec_keeps_the_rules(const struct codec *c, struct bytes record, uint64_t repeated)
{
	assert_true(record.len > 2);
	assert_int_equal(codec_try(c, record), ERR_NONE);
	codec_refuses_every_cut_inside_a_field(c, record);
	codec_refuses_other_versions(c, record);
	codec_passes_over_unknown_fields(c, record);
	codec_refuses_repeated_fields(c, record, repeated);
	codec_survives_every_changed_byte(c, record);
}
