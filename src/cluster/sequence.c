#include "cluster/sequence.h"

#include "model/record.h"

enum { VERSION = 1, PLAIN_LEN = 24, PLAIN_OUT_LEN = 4 };
enum field { F_OUT = 1, F_IN, F_BYTES, F_SLOT, F_INCARNATION };
#define REQUIRED                                                                                    \
	(MODEL_RECORD_BIT(F_OUT) | MODEL_RECORD_BIT(F_IN) | MODEL_RECORD_BIT(F_BYTES) | MODEL_RECORD_BIT(F_SLOT) | \
	 MODEL_RECORD_BIT(F_INCARNATION))

/* ---- the record ---- */

void cluster_sequence_encode(const struct cluster_sequence *s, struct wr *w)
{
	tlv_begin(w, VERSION);
	tlv_u64(w, F_OUT, s->out);
	tlv_u64(w, F_IN, s->in);
	tlv_u64(w, F_BYTES, s->bytes);
	tlv_u16(w, F_SLOT, s->slot);
	tlv_u32(w, F_INCARNATION, s->incarnation);
}

static enum err decode_plain(struct bytes b, struct cluster_sequence *ret)
{
	struct rd r = rd_of(b);
	struct cluster_sequence s = { 0 };

	if (b.len == PLAIN_OUT_LEN) {
		s.out = rd_u32(&r);
	} else {
		s.out = rd_u64(&r);
		s.in = rd_u64(&r);
		s.bytes = rd_u64(&r);
	}
	if (!rd_done(&r))
		return ERR_SYNTAX;
	*ret = s;
	return ERR_NONE;
}

static void take_field(struct model_record *d, unsigned type, struct cluster_sequence *s)
{
	switch (type) {
	case F_OUT: s->out = model_record_u64(d); break;
	case F_IN: s->in = model_record_u64(d); break;
	case F_BYTES: s->bytes = model_record_u64(d); break;
	case F_SLOT: s->slot = model_record_u16(d); break;
	case F_INCARNATION: s->incarnation = model_record_u32(d); break;
	}
}

enum err cluster_sequence_decode(struct bytes b, struct cluster_sequence *ret)
{
	struct cluster_sequence s = { 0 };
	struct model_record d;

	if (b.len == PLAIN_LEN || b.len == PLAIN_OUT_LEN)
		return decode_plain(b, ret);
	enum err e = model_record_start(&d, b, VERSION);
	if (e != ERR_NONE)
		return e;
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;)
		take_field(&d, type, &s);
	e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE && s.slot > CLUSTER_SLOT_MAX)
		e = ERR_SYNTAX;
	if (e == ERR_NONE)
		*ret = s;
	return e;
}

/* ---- who ---- */

void cluster_sequence_first(const struct cluster_members *m, uint32_t incarnation, uint32_t spi_in, uint64_t out,
			    struct cluster_sequence *ret)
{
	const uint16_t slot = cluster_chosen(m, spi_in);
	const struct cluster_member *n = slot == m->self ? NULL : cluster_member_at(m, slot);
	struct cluster_sequence s = { 0 };

	if (slot != 0 && (n != NULL || slot == m->self))
		s = (struct cluster_sequence){ .out = out, .slot = slot, .incarnation = n != NULL ? n->n.incarnation : incarnation };
	*ret = s;
}

const struct cluster_member *cluster_sequence_holder(const struct cluster_members *m, const struct cluster_sequence *s)
{
	const struct cluster_member *n = s->slot == 0 ? NULL : cluster_member_at(m, s->slot);
	return n != NULL && n->n.incarnation == s->incarnation ? n : NULL;
}

uint64_t cluster_sequence_due(const struct cluster_members *m, const struct cluster_sequence *s, uint32_t spi_in,
			      uint64_t nominated_us, uint64_t calm_us)
{
	const struct cluster_member *n = cluster_sequence_holder(m, s);
	uint64_t settled_us = nominated_us + CLUSTER_SEQUENCE_SETTLE_US;

	if (!cluster_duty(m, spi_in))
		return UINT64_MAX;
	if (n == NULL)
		return 0;
	if (!n->alive || n->draining || settled_us < calm_us)
		return calm_us;
	return settled_us;
}

bool cluster_sequence_stands(const struct cluster_members *m)
{
	if (m->held)
		return true;
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].alive && m->m[i].fresh)
			return false;
	return true;
}
