#include "wire/ike.h"

/* RFC 7296 3.3: the SA payload, three levels deep. Every level says in its first byte whether another
 * one of its kind follows, and the level above says it again by its length or count: both must agree. */

enum { LAST = 0, MORE_PROPOSALS = 2, MORE_TRANSFORMS = 3 };

#define PROPOSAL_HEADER_LEN 8
#define TRANSFORM_HEADER_LEN 8
#define ATTRIBUTE_TV 0x8000u /* RFC 7296 3.3.5: the value stands in place of the length */
#define KEY_LEN_ATTRIBUTE (ATTRIBUTE_TV | IKE_ATTR_KEY_LEN)

/* ---- parsing ---- */

static enum err read_attributes(struct rd *r, struct wire_ike_transform *t)
{
	bool seen = false;

	while (rd_left(r) > 0) {
		uint16_t type = rd_u16(r);
		uint16_t value = rd_u16(r);
		if ((type & ATTRIBUTE_TV) == 0)
			rd_skip(r, value);
		if (r->bad)
			return ERR_SHORT;
		if (type != KEY_LEN_ATTRIBUTE) {
			t->unknown_attribute = true;
			continue;
		}
		if (seen) /* RFC 7296 3.3: no two attributes of one type in a transform */
			return ERR_SYNTAX;
		seen = true;
		t->key_bits = value;
		if (value == 0) /* must not pass for a transform without the attribute */
			t->unknown_attribute = true;
	}
	return ERR_NONE;
}

static enum err read_transform(struct rd *r, bool last, struct wire_ike_transform *ret)
{
	struct wire_ike_transform t = { 0 };

	uint8_t more = rd_u8(r);
	rd_skip(r, 1);
	size_t len = rd_u16(r);
	if (r->bad)
		return ERR_SHORT;
	if (len < TRANSFORM_HEADER_LEN || more != (last ? LAST : MORE_TRANSFORMS))
		return ERR_SYNTAX;
	struct rd s = rd_sub(r, len - 4);
	t.type = rd_u8(&s);
	rd_skip(&s, 1);
	t.id = rd_u16(&s);
	if (s.bad)
		return ERR_SHORT;
	enum err e = read_attributes(&s, &t);
	if (e == ERR_NONE)
		*ret = t;
	return e;
}

/* RFC 7296 3.3.1: 0 in the first exchange and 8 in a rekey for IKE, 4 for AH and ESP. Of protocols
 * that we do not know any will do, since such a proposal is never chosen. */
static bool spi_len_fits(uint8_t protocol, size_t len)
{
	switch (protocol) {
	case IKE_PROTO_IKE:
		return len == 0 || len == 8;
	case IKE_PROTO_AH:
	case IKE_PROTO_ESP:
		return len == 4;
	default:
		return true;
	}
}

/* Reads a proposal; *ret_last tells what it says of itself. */
static enum err read_proposal(struct rd *r, struct wire_ike_proposal *p, bool *ret_last)
{
	uint8_t more = rd_u8(r);
	rd_skip(r, 1);
	size_t len = rd_u16(r);
	if (r->bad)
		return ERR_SHORT;
	if (len < PROPOSAL_HEADER_LEN || (more != LAST && more != MORE_PROPOSALS))
		return ERR_SYNTAX;
	struct rd s = rd_sub(r, len - 4);
	p->number = rd_u8(&s);
	p->protocol = rd_u8(&s);
	size_t spi_len = rd_u8(&s);
	unsigned cnt = rd_u8(&s);
	p->spi = rd_bytes(&s, spi_len);
	if (s.bad)
		return ERR_SHORT;
	if (cnt == 0 || !spi_len_fits(p->protocol, spi_len))
		return ERR_SYNTAX;
	if (cnt > WIRE_IKE_TRANSFORMS_MAX)
		return ERR_RANGE;
	for (p->cnt = 0; p->cnt < cnt; p->cnt++) {
		enum err e = read_transform(&s, p->cnt + 1u == cnt, &p->t[p->cnt]);
		if (e != ERR_NONE)
			return e;
	}
	if (!rd_done(&s))
		return ERR_SYNTAX;
	*ret_last = more == LAST;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_sa_parse(struct bytes body, struct wire_ike_sa *ret)
{
	struct rd r = rd_of(body);
	UNSET struct wire_ike_sa sa; /* only what is there is written, and copied */

	sa.cnt = 0;
	for (bool last = false; !last; sa.cnt++) {
		if (sa.cnt == WIRE_IKE_PROPOSALS_MAX)
			return ERR_RANGE;
		enum err e = read_proposal(&r, &sa.p[sa.cnt], &last);
		if (e != ERR_NONE)
			return e;
	}
	if (!rd_done(&r))
		return ERR_SYNTAX;
	ret->cnt = sa.cnt;
	for (unsigned i = 0; i < sa.cnt; i++)
		ret->p[i] = sa.p[i];
	return ERR_NONE;
}

/* ---- building ---- */

static void put_transform(struct wr *w, const struct wire_ike_transform *t, bool last)
{
	bool attribute = t->key_bits != 0;

	wr_u8(w, last ? LAST : MORE_TRANSFORMS);
	wr_u8(w, 0);
	wr_u16(w, attribute ? TRANSFORM_HEADER_LEN + 4 : TRANSFORM_HEADER_LEN);
	wr_u8(w, t->type);
	wr_u8(w, 0);
	wr_u16(w, t->id);
	if (attribute) {
		wr_u16(w, KEY_LEN_ATTRIBUTE);
		wr_u16(w, t->key_bits);
	}
}

static void put_proposal(struct wr *w, const struct wire_ike_proposal *p, bool last)
{
	must(p->spi.len <= UINT8_MAX && p->cnt <= WIRE_IKE_TRANSFORMS_MAX);
	size_t start = wr_len(w);
	wr_u8(w, last ? LAST : MORE_PROPOSALS);
	wr_u8(w, 0);
	wr_u16(w, 0);
	wr_u8(w, p->number);
	wr_u8(w, p->protocol);
	wr_u8(w, (uint8_t)p->spi.len);
	wr_u8(w, p->cnt);
	wr_put(w, p->spi);
	for (unsigned i = 0; i < p->cnt; i++)
		put_transform(w, &p->t[i], i + 1 == p->cnt);
	/* The two caps above keep it under 65536. */
	wr_set_u16(w, start + 2, (uint16_t)(wr_len(w) - start));
}

void wire_ike_put_proposal(struct wire_ike_builder *b, const struct wire_ike_proposal *p)
{
	wire_ike_open(b, IKE_PL_SA);
	put_proposal(&b->w, p, true);
}

void wire_ike_put_sa(struct wire_ike_builder *b, const struct wire_ike_sa *sa)
{
	must(sa->cnt <= WIRE_IKE_PROPOSALS_MAX);
	wire_ike_open(b, IKE_PL_SA);
	for (unsigned i = 0; i < sa->cnt; i++)
		put_proposal(&b->w, &sa->p[i], i + 1u == sa->cnt);
}
