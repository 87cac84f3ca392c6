#include "wire/ike.h"

#include "wire_test.h"

/* What a router sends in IKE_SA_INIT, with a rekey's SPI of 8 bytes; offsets beside for the tests that
 * change it. */
static const uint8_t good[] = {
	0x02, 0, 0, 0x34, 1, 1, 8, 4, 1, 2, 3, 4, 5, 6, 7, 8, /* 0: proposal 1, IKE */
	0x03, 0, 0, 0x0c, 1, 0, 0, 20, 0x80, 0x0e, 1, 0,     /* 16: AES-GCM-16-256 */
	0x03, 0, 0, 0x08, 2, 0, 0, 7,                         /* 28 */
	0x03, 0, 0, 0x08, 4, 0, 0, 14,                        /* 36 */
	0x00, 0, 0, 0x08, 4, 0, 0, 5,                         /* 44 */
	0x00, 0, 0, 0x20, 2, 3, 4, 2, 0xc0, 0xff, 0xee, 1,   /* 52: proposal 2, ESP */
	0x03, 0, 0, 0x0c, 1, 0, 0, 12, 0x80, 0x0e, 0, 0x80,  /* 64 */
	0x00, 0, 0, 0x08, 3, 0, 0, 12,                        /* 76 */
};

enum { LAST_PROPOSAL = 52, LAST_TRANSFORM = 76 };

/* Parses a copy of exactly that size; on failure the view must be as it was. */
static enum err parse(struct bytes body, struct wire_ike_sa *ret)
{
	static struct wire_ike_sa sa, before;
	struct bytes copy = exact_copy(body);

	memset(&sa, 0xa5, sizeof(sa));
	memset(&before, 0xa5, sizeof(before));
	enum err e = wire_ike_sa_parse(copy, &sa);
	if (e != ERR_NONE)
		assert_memory_equal(&sa, &before, sizeof(sa));
	else if (ret != NULL)
		*ret = sa;
	exact_free(copy);
	return e;
}

/* What parsing says when the byte at an offset holds v. */
static enum err parse_with(size_t at, uint8_t v)
{
	uint8_t body[sizeof(good)];
	memcpy(body, good, sizeof(body));
	body[at] = v;
	return parse(BYTES_OF(body), NULL);
}

static enum err parse_with_length(size_t at, uint16_t len)
{
	uint8_t body[sizeof(good)];
	memcpy(body, good, sizeof(body));
	body[at] = (uint8_t)(len >> 8);
	body[at + 1] = (uint8_t)len;
	return parse(BYTES_OF(body), NULL);
}

/* One proposal with one transform, whose attributes are given. */
static enum err parse_attributes(struct bytes attributes, struct wire_ike_transform *ret)
{
	uint8_t body[256];
	struct wire_ike_sa sa;
	struct wr w = wr_of(SPACE_OF(body));

	wr_u16(&w, 0);
	wr_u16(&w, (uint16_t)(16 + attributes.len));
	wr_put(&w, BYTES_OF(((uint8_t[]){ 1, 1, 0, 1 })));
	wr_u16(&w, 0);
	wr_u16(&w, (uint16_t)(8 + attributes.len));
	wr_put(&w, BYTES_OF(((uint8_t[]){ 1, 0, 0, 12 })));
	wr_put(&w, attributes);
	assert_false(w.bad);
	enum err e = parse(wr_bytes(&w), &sa);
	if (e == ERR_NONE)
		*ret = sa.p[0].t[0];
	return e;
}

#define PARSE_ATTRIBUTES(ret, ...) \
	parse_attributes(BYTES_OF(((uint8_t[]){ __VA_ARGS__ })), ret)

static void proposals_are_read_field_by_field(void **state)
{
	struct wire_ike_sa sa;

	(void)state;
	assert_int_equal(wire_ike_sa_parse(BYTES_OF(good), &sa), ERR_NONE);
	assert_int_equal(sa.cnt, 2);
	assert_int_equal(sa.p[0].number, 1);
	assert_int_equal(sa.p[0].protocol, IKE_PROTO_IKE);
	assert_bytes(sa.p[0].spi, "\1\2\3\4\5\6\7\x8", 8);
	assert_int_equal(sa.p[0].cnt, 4);
	assert_int_equal(sa.p[0].t[0].type, IKE_TT_ENCR);
	assert_int_equal(sa.p[0].t[0].id, IKE_ENCR_AES_GCM_16);
	assert_int_equal(sa.p[0].t[0].key_bits, 256);
	assert_int_equal(sa.p[0].t[1].type, IKE_TT_PRF);
	assert_int_equal(sa.p[0].t[1].key_bits, 0);
	assert_int_equal(sa.p[0].t[3].id, IKE_GROUP_MODP1536);
	assert_int_equal(sa.p[1].number, 2);
	assert_int_equal(sa.p[1].protocol, IKE_PROTO_ESP);
	assert_bytes(sa.p[1].spi, "\xc0\xff\xee\1", 4);
	assert_int_equal(sa.p[1].t[0].key_bits, 128);
	assert_int_equal(sa.p[1].t[1].id, IKE_INTEG_HMAC_SHA2_256_128);
	for (unsigned p = 0; p < sa.cnt; p++) {
		for (unsigned t = 0; t < sa.p[p].cnt; t++)
			assert_false(sa.p[p].t[t].unknown_attribute);
	}
}

static void each_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(good); n++) {
		enum err e = parse(bytes_of(good, n), NULL);
		assert_true(e == ERR_SHORT || e == ERR_SYNTAX);
	}
}

/* The outer lengths fit, the inner ones do not: what is cut off belongs to the innermost block. */
static void each_truncation_with_outer_lengths_mended_is_refused(void **state)
{
	uint8_t body[sizeof(good)];

	(void)state;
	for (size_t n = LAST_PROPOSAL + 8; n < sizeof(good); n++) {
		memcpy(body, good, sizeof(body));
		body[LAST_PROPOSAL + 3] = (uint8_t)(n - LAST_PROPOSAL);
		enum err e = parse(bytes_of(body, n), NULL);
		assert_true(e == ERR_SHORT || e == ERR_SYNTAX);
	}
}

static void lengths_that_lie_are_refused_at_every_level(void **state)
{
	static const size_t lengths_at[] = { 2, 18, 30, 46, LAST_PROPOSAL + 2, 66, LAST_TRANSFORM + 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths_at); i++) {
		uint16_t right = good[lengths_at[i] + 1];
		for (unsigned len = 0; len <= 300; len++) {
			enum err e = parse_with_length(lengths_at[i], (uint16_t)len);
			assert_true((e == ERR_NONE) == (len == right));
		}
		assert_int_equal(parse_with_length(lengths_at[i], 0x8000), ERR_SHORT);
		assert_int_equal(parse_with_length(lengths_at[i], 0xffff), ERR_SHORT);
	}
}

static void transform_cannot_leave_its_proposal(void **state)
{
	(void)state;
	/* The last transform of proposal 1 claims 8 bytes more: they are there, but proposal 2 begins in
	 * them. */
	assert_int_equal(parse_with_length(46, 16), ERR_SHORT);
}

static void attribute_cannot_leave_its_transform(void **state)
{
	struct wire_ike_transform t;

	(void)state;
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0, 99, 0, 1), ERR_SHORT);
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0, 99, 0xff, 0xff, 1, 2, 3), ERR_SHORT);
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 1), ERR_SHORT);
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80), ERR_SHORT);
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 1, 0, 0), ERR_SHORT);
}

static void transform_counts_that_lie_are_refused(void **state)
{
	(void)state;
	for (unsigned cnt = 0; cnt < 256; cnt++) {
		enum err e = parse_with(LAST_PROPOSAL + 7, (uint8_t)cnt);
		if (cnt == 2)
			assert_int_equal(e, ERR_NONE);
		else
			assert_int_equal(e, cnt > WIRE_IKE_TRANSFORMS_MAX ? ERR_RANGE : ERR_SYNTAX);
	}
}

static void proposal_without_transforms_is_refused(void **state)
{
	static const uint8_t body[] = { 0, 0, 0, 8, 1, 1, 0, 0 };

	(void)state;
	assert_int_equal(parse(BYTES_OF(body), NULL), ERR_SYNTAX);
}

static void no_proposal_is_refused(void **state)
{
	(void)state;
	assert_int_equal(parse(bytes_of(good, 0), NULL), ERR_SHORT);
}

static void more_and_last_marks_must_tell_the_truth(void **state)
{
	static const size_t marks_at[] = { 0, 16, 28, 36, 44, LAST_PROPOSAL, 64, LAST_TRANSFORM };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(marks_at); i++) {
		for (unsigned v = 0; v < 256; v++) {
			enum err e = parse_with(marks_at[i], (uint8_t)v);
			assert_true((e == ERR_NONE) == (v == good[marks_at[i]]));
		}
	}
}

static void spi_has_the_size_of_its_protocol(void **state)
{
	uint8_t body[8 + 255 + 8];

	(void)state;
	for (unsigned protocol = 0; protocol < 6; protocol++) {
		for (unsigned n = 0; n < 256; n++) {
			struct wr w = wr_of(SPACE_OF(body));
			wr_u16(&w, 0);
			wr_u16(&w, (uint16_t)(16 + n));
			wr_u8(&w, 1);
			wr_u8(&w, (uint8_t)protocol);
			wr_u8(&w, (uint8_t)n);
			wr_u8(&w, 1);
			wr_zero(&w, n);
			wr_put(&w, bytes_of(good + LAST_TRANSFORM, 8));
			bool child = protocol == IKE_PROTO_AH || protocol == IKE_PROTO_ESP;
			bool good_len = child ? n == 4 : protocol == IKE_PROTO_IKE ? n == 0 || n == 8 : true;
			assert_int_equal(parse(wr_bytes(&w), NULL), good_len ? ERR_NONE : ERR_SYNTAX);
		}
	}
	/* An SPI length that runs into the transforms, and out of the proposal. */
	assert_int_equal(parse_with(LAST_PROPOSAL + 6, 8), ERR_SYNTAX);
	assert_int_equal(parse_with(LAST_PROPOSAL + 6, 255), ERR_SHORT);
}

static void key_length_may_not_stand_twice(void **state)
{
	struct wire_ike_transform t;

	(void)state;
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 1, 0, 0x80, 0x0e, 1, 0), ERR_SYNTAX);
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 0, 0, 0x80, 0x0e, 1, 0), ERR_SYNTAX);
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 1, 0, 0x80, 0x63, 1, 0, 0x80, 0x0e, 0, 0x80),
			 ERR_SYNTAX);
}

static void transforms_with_strange_attributes_are_marked(void **state)
{
	struct wire_ike_transform t;

	(void)state;
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 0, 0xc0), ERR_NONE);
	assert_int_equal(t.key_bits, 192);
	assert_false(t.unknown_attribute);
	/* An unknown one in either form, before or behind a key length. */
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x63, 1, 0, 0x80, 0x0e, 1, 0), ERR_NONE);
	assert_true(t.unknown_attribute);
	assert_int_equal(t.key_bits, 256);
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 1, 0, 0, 0x63, 0, 2, 9, 9), ERR_NONE);
	assert_true(t.unknown_attribute);
	/* A key length in the form of variable length is not the attribute that RFC 7296 3.3.5 defines. */
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0, 0x0e, 0, 2, 1, 0), ERR_NONE);
	assert_true(t.unknown_attribute);
	assert_int_equal(t.key_bits, 0);
	/* 0 bits must not look like a transform without key length. */
	assert_int_equal(PARSE_ATTRIBUTES(&t, 0x80, 0x0e, 0, 0), ERR_NONE);
	assert_true(t.unknown_attribute);
}

static void every_transform_type_and_id_is_passed_on(void **state)
{
	static struct wire_ike_sa sa;
	uint8_t body[sizeof(good)];

	(void)state;
	memcpy(body, good, sizeof(body));
	for (unsigned id = 0; id <= UINT16_MAX; id++) {
		body[LAST_TRANSFORM + 4] = (uint8_t)(id % 251);
		body[LAST_TRANSFORM + 6] = (uint8_t)(id >> 8);
		body[LAST_TRANSFORM + 7] = (uint8_t)id;
		assert_int_equal(wire_ike_sa_parse(BYTES_OF(body), &sa), ERR_NONE);
		assert_int_equal(sa.p[1].t[1].type, id % 251);
		assert_int_equal(sa.p[1].t[1].id, id);
	}
}

/* An SA of that many proposals and transforms in each, as the builder would not write it above the caps. */
static struct bytes write_sa(struct wr *w, unsigned proposals, unsigned transforms)
{
	for (unsigned p = 0; p < proposals; p++) {
		wr_u16(w, p + 1 == proposals ? 0 : 0x0200);
		wr_u16(w, (uint16_t)(8 + 8 * transforms));
		wr_put(w, BYTES_OF(((uint8_t[]){ (uint8_t)(p + 1), 1, 0, (uint8_t)transforms })));
		for (unsigned t = 0; t < transforms; t++) {
			wr_u16(w, t + 1 == transforms ? 0 : 0x0300);
			wr_put(w, BYTES_OF(((uint8_t[]){ 0, 8, 4, 0, 0, (uint8_t)t })));
		}
	}
	assert_false(w->bad);
	return wr_bytes(w);
}

static void counts_up_to_the_caps_are_taken(void **state)
{
	static const struct {
		unsigned proposals, transforms;
		enum err want;
	} rows[] = {
		{ 24, 4, ERR_NONE }, /* as Windows */
		{ WIRE_IKE_PROPOSALS_MAX, WIRE_IKE_TRANSFORMS_MAX, ERR_NONE },
		{ WIRE_IKE_PROPOSALS_MAX + 1, 1, ERR_RANGE },
		{ 1, WIRE_IKE_TRANSFORMS_MAX + 1, ERR_RANGE },
		{ 255, 255, ERR_RANGE },
	};
	static uint8_t room[1 << 20];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wr w = wr_of(SPACE_OF(room));
		struct bytes body = write_sa(&w, rows[i].proposals, rows[i].transforms);
		assert_int_equal(parse(body, NULL), rows[i].want);
	}
}

static void what_is_built_parses_to_the_same(void **state)
{
	static struct wire_ike_sa sa, again;
	struct wire_ike_payloads pls;
	struct wire_ike_header h;
	struct wire_ike_builder b;
	uint8_t room[256];
	struct bytes msg;

	(void)state;
	assert_int_equal(wire_ike_sa_parse(BYTES_OF(good), &sa), ERR_NONE);
	wire_ike_begin(&b, SPACE_OF(room), &(struct wire_ike_header){ .major = 2 });
	wire_ike_put_sa(&b, &sa);
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	assert_int_equal(wire_ike_header_parse(msg, &h), ERR_NONE);
	struct rd r = rd_of(msg);
	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	assert_int_equal(wire_ike_payloads_parse(h.next, rd_rest(&r), &pls), ERR_NONE);
	assert_int_equal(pls.cnt, 1);
	assert_bytes(pls.p[0].body, good, sizeof(good));
	assert_int_equal(wire_ike_sa_parse(pls.p[0].body, &again), ERR_NONE);
	assert_int_equal(again.cnt, 2);
	assert_int_equal(again.p[0].cnt, sa.p[0].cnt);
	assert_memory_equal(again.p[0].t, sa.p[0].t, sa.p[0].cnt * sizeof(sa.p[0].t[0]));
}

static void room_that_ends_within_the_proposals_is_told_at_the_end(void **state)
{
	static struct wire_ike_sa sa;
	uint8_t room[WIRE_IKE_HEADER_LEN + 4 + sizeof(good)];
	struct wire_ike_builder b;
	struct bytes msg;

	(void)state;
	assert_int_equal(wire_ike_sa_parse(BYTES_OF(good), &sa), ERR_NONE);
	for (size_t n = 0; n <= sizeof(room); n++) {
		struct bytes exact = exact_copy(bytes_of(room, n));
		wire_ike_begin(&b, (struct space){ (uint8_t *)(uintptr_t)exact.p, n },
			       &(struct wire_ike_header){ 0 });
		wire_ike_put_sa(&b, &sa);
		assert_int_equal(wire_ike_finish(&b, &msg), n < sizeof(room) ? ERR_FULL : ERR_NONE);
		exact_free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proposals_are_read_field_by_field),
		cmocka_unit_test(each_truncation_is_refused),
		cmocka_unit_test(each_truncation_with_outer_lengths_mended_is_refused),
		cmocka_unit_test(lengths_that_lie_are_refused_at_every_level),
		cmocka_unit_test(transform_cannot_leave_its_proposal),
		cmocka_unit_test(attribute_cannot_leave_its_transform),
		cmocka_unit_test(transform_counts_that_lie_are_refused),
		cmocka_unit_test(proposal_without_transforms_is_refused),
		cmocka_unit_test(no_proposal_is_refused),
		cmocka_unit_test(more_and_last_marks_must_tell_the_truth),
		cmocka_unit_test(spi_has_the_size_of_its_protocol),
		cmocka_unit_test(key_length_may_not_stand_twice),
		cmocka_unit_test(transforms_with_strange_attributes_are_marked),
		cmocka_unit_test(every_transform_type_and_id_is_passed_on),
		cmocka_unit_test(counts_up_to_the_caps_are_taken),
		cmocka_unit_test(what_is_built_parses_to_the_same),
		cmocka_unit_test(room_that_ends_within_the_proposals_is_told_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
