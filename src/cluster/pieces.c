#include "cluster/pieces.h"

#include "base/secret.h"

unsigned cluster_pieces_cnt(size_t len)
{
	return len <= WIRE_MESH_TEXT_MAX ? 1 : (unsigned)((len + WIRE_MESH_PART_MAX - 1) / WIRE_MESH_PART_MAX);
}

struct wire_mesh_msg cluster_pieces_cut(struct bytes text, uint32_t number, unsigned index, unsigned cnt)
{
	size_t at = (size_t)index * WIRE_MESH_PART_MAX, left = text.len - at;

	must(index < cnt && cnt <= WIRE_MESH_PIECES_MAX && at < text.len);
	return (struct wire_mesh_msg){ .kind = WIRE_MESH_PIECE,
				       .piece = { .number = number, .index = (uint8_t)index, .cnt = (uint8_t)cnt,
						  .part = bytes_of(text.p + at, left < WIRE_MESH_PART_MAX ? left
													  : WIRE_MESH_PART_MAX) } };
}

static void forget(struct cluster_pieces_one *o)
{
	secret_wipe(o, sizeof(*o));
}

/* The one under way, or a place: a free one, one that waited too long, or the oldest. */
static struct cluster_pieces_one *find(struct cluster_pieces *p, uint32_t from, uint32_t number, uint64_t now_us, bool *lost)
{
	struct cluster_pieces_one *oldest = &p->one[0];

	for (unsigned i = 0; i < CLUSTER_PIECES_MAX; i++) {
		struct cluster_pieces_one *o = &p->one[i];
		if (o->from == from && o->number == number)
			return o;
		if (o->from == 0 || (oldest->from != 0 && o->since_us < oldest->since_us))
			oldest = o;
	}
	for (unsigned i = 0; i < CLUSTER_PIECES_MAX; i++)
		if (p->one[i].from != 0 && now_us - p->one[i].since_us > CLUSTER_PIECES_LIFE_US) {
			*lost = true;
			forget(&p->one[i]);
			oldest = &p->one[i];
		}
	*lost = *lost || oldest->from != 0;
	forget(oldest);
	oldest->from = from;
	oldest->number = number;
	oldest->since_us = now_us;
	return oldest;
}

static enum err join(struct cluster_pieces *p, const struct cluster_pieces_one *o, struct bytes *ret)
{
	struct wr w = wr_of(SPACE_OF(p->whole));

	for (unsigned i = 0; i < o->cnt; i++)
		wr_put(&w, bytes_of(o->parts[i], o->len[i]));
	if (w.bad)
		return ERR_SYNTAX;
	*ret = wr_bytes(&w);
	return ERR_NONE;
}

enum err cluster_pieces_take(struct cluster_pieces *p, uint32_t from, const struct wire_mesh_msg *piece, uint64_t now_us,
			     struct bytes *ret_text, bool *ret_lost)
{
	unsigned index = piece->piece.index;

	*ret_lost = false;
	must(from != 0 && piece->kind == WIRE_MESH_PIECE && index < WIRE_MESH_PIECES_MAX);
	struct cluster_pieces_one *o = find(p, from, piece->piece.number, now_us, ret_lost);
	if (o->cnt == 0)
		o->cnt = piece->piece.cnt;
	/* A piece comes once: the link takes no datagram twice. */
	if (o->cnt != piece->piece.cnt || (o->have >> index & 1) != 0) {
		forget(o);
		return ERR_SYNTAX;
	}
	struct wr w = wr_of(SPACE_OF(o->parts[index]));
	wr_put(&w, piece->piece.part);
	o->len[index] = (uint16_t)wr_len(&w);
	o->have = (uint8_t)(o->have | 1u << index);
	if (o->have != (1u << o->cnt) - 1)
		return ERR_AGAIN;
	enum err e = join(p, o, ret_text);
	forget(o);
	return e;
}
