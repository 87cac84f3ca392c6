#include "wire/mesh.h"

enum { PING_DRAINING = 1, PING_FRESH = 2, FORWARD_NATT = 1, FORWARD_NO_MARKER = 2 };

/* ---- header ---- */

void wire_mesh_header_build(struct wr *w, const struct wire_mesh_header *h)
{
	wr_u8(w, WIRE_MESH_VERSION);
	wr_zero(w, 3);
	wr_u32(w, h->from);
	wr_u32(w, h->to);
	wr_u64(w, h->counter);
}

enum err wire_mesh_header_parse(struct bytes datagram, struct wire_mesh_header *ret)
{
	struct rd r = rd_of(datagram);
	uint8_t version = rd_u8(&r);
	unsigned zero = rd_u8(&r) | rd_u16(&r);
	struct wire_mesh_header h = { .from = rd_u32(&r), .to = rd_u32(&r) };

	h.counter = rd_u64(&r);
	if (datagram.len <= WIRE_MESH_HEADER_LEN + WIRE_MESH_ICV_LEN)
		return ERR_SHORT;
	if (datagram.len > WIRE_MESH_DATAGRAM_MAX)
		return ERR_LONG;
	if (version != WIRE_MESH_VERSION)
		return ERR_VERSION;
	if (zero != 0 || h.from == 0 || h.to == 0)
		return ERR_SYNTAX;
	*ret = h;
	return ERR_NONE;
}

/* ---- messages ---- */

static void build_endpoint(struct wr *w, const struct addr_endpoint *e)
{
	wr_u8(w, e->addr.family);
	wr_put(w, addr_bytes(&e->addr));
	wr_u16(w, e->port);
}

static bool parse_endpoint(struct rd *r, struct addr_endpoint *ret)
{
	uint8_t family = rd_u8(r);

	if (family != ADDR_V4 && family != ADDR_V6)
		return false;
	struct bytes b = rd_bytes(r, family == ADDR_V4 ? 4 : 16);
	if (r->bad)
		return false;
	*ret = (struct addr_endpoint){ addr_from_bytes(b), rd_u16(r) };
	return !r->bad;
}

static void build_forward(struct wr *w, const struct wire_mesh_msg *m)
{
	wr_u8(w, (uint8_t)((m->forward.natt ? FORWARD_NATT : 0) | (m->forward.no_marker ? FORWARD_NO_MARKER : 0)));
	build_endpoint(w, &m->forward.local);
	build_endpoint(w, &m->forward.remote);
	wr_put(w, m->forward.msg);
}

static bool parse_forward(struct rd *r, struct wire_mesh_msg *m)
{
	uint8_t flags = rd_u8(r);

	m->forward.natt = (flags & FORWARD_NATT) != 0;
	m->forward.no_marker = (flags & FORWARD_NO_MARKER) != 0;
	if (!parse_endpoint(r, &m->forward.local) || !parse_endpoint(r, &m->forward.remote))
		return false;
	m->forward.msg = rd_rest(r);
	return m->forward.msg.len != 0 && m->forward.local.addr.family == m->forward.remote.addr.family;
}

static void build_too_big(struct wr *w, const struct wire_mesh_msg *m)
{
	wr_u32(w, m->too_big.spi_out);
	wr_u32(w, m->too_big.mtu);
	build_endpoint(w, &m->too_big.local);
	build_endpoint(w, &m->too_big.remote);
}

static bool parse_too_big(struct rd *r, struct wire_mesh_msg *m)
{
	m->too_big.spi_out = rd_u32(r);
	m->too_big.mtu = rd_u32(r);
	return parse_endpoint(r, &m->too_big.local) && parse_endpoint(r, &m->too_big.remote) && rd_done(r) &&
	       m->too_big.local.addr.family == m->too_big.remote.addr.family;
}

static bool parse_piece(struct rd *r, struct wire_mesh_msg *m)
{
	m->piece.number = rd_u32(r);
	m->piece.index = rd_u8(r);
	m->piece.cnt = rd_u8(r);
	m->piece.part = rd_rest(r);
	return m->piece.part.len != 0 && m->piece.part.len <= WIRE_MESH_PART_MAX && m->piece.cnt >= 2 &&
	       m->piece.cnt <= WIRE_MESH_PIECES_MAX && m->piece.index < m->piece.cnt;
}

static void build_row(struct wr *w, const struct wire_mesh_msg *m)
{
	must(m->row.key.len <= UINT8_MAX);
	wr_u64(w, m->row.mod_rev);
	wr_u8(w, (uint8_t)m->row.key.len);
	wr_put(w, m->row.key);
	wr_put(w, m->row.value);
}

static bool parse_row(struct rd *r, struct wire_mesh_msg *m)
{
	m->row.mod_rev = rd_u64(r);
	m->row.key = rd_bytes(r, rd_u8(r));
	m->row.value = rd_rest(r);
	return m->row.key.len != 0 && m->row.value.len != 0;
}

void wire_mesh_used_put(struct wr *w, const struct wire_mesh_used *u)
{
	wr_u32(w, u->spi_in);
	wr_u32(w, u->incarnation);
	wr_u64(w, u->in_packets);
	wr_u64(w, u->out_packets);
	wr_u64(w, u->in_bytes);
	wr_u64(w, u->out_bytes);
}

bool wire_mesh_used_next(struct bytes *list, struct wire_mesh_used *ret)
{
	struct rd r = rd_of(*list);
	struct wire_mesh_used u = { .spi_in = rd_u32(&r), .incarnation = rd_u32(&r) };

	u.in_packets = rd_u64(&r);
	u.out_packets = rd_u64(&r);
	u.in_bytes = rd_u64(&r);
	u.out_bytes = rd_u64(&r);
	if (r.bad)
		return false;
	*list = rd_rest(&r);
	*ret = u;
	return true;
}

bool wire_mesh_ask_next(struct bytes *list, uint64_t *ret_spi)
{
	struct rd r = rd_of(*list);
	uint64_t spi = rd_u64(&r);

	if (r.bad)
		return false;
	*list = rd_rest(&r);
	*ret_spi = spi;
	return true;
}

void wire_mesh_seen_put(struct wr *w, const struct wire_mesh_seen *s)
{
	wr_u64(w, s->in_packets);
	wr_u64(w, s->out_packets);
	wr_u64(w, s->switches);
	wr_u32(w, s->sent);
	wr_u32(w, s->in_now);
	wr_u32(w, s->out_now);
	wr_u32(w, s->heard_ms);
}

bool wire_mesh_seen_next(struct bytes *list, struct wire_mesh_seen *ret)
{
	struct rd r = rd_of(*list);
	struct wire_mesh_seen s = { .in_packets = rd_u64(&r) };

	s.out_packets = rd_u64(&r);
	s.switches = rd_u64(&r);
	s.sent = rd_u32(&r);
	s.in_now = rd_u32(&r);
	s.out_now = rd_u32(&r);
	s.heard_ms = rd_u32(&r);
	if (r.bad)
		return false;
	*list = rd_rest(&r);
	*ret = s;
	return true;
}

static bool is_list(struct bytes list, size_t one, size_t max)
{
	return list.len != 0 && list.len % one == 0 && list.len <= max * one;
}

void wire_mesh_build(struct wr *w, const struct wire_mesh_msg *m)
{
	wr_u8(w, (uint8_t)m->kind);
	switch (m->kind) {
	case WIRE_MESH_PING:
		wr_u8(w, (uint8_t)((m->ping.draining ? PING_DRAINING : 0) | (m->ping.fresh ? PING_FRESH : 0)));
		wr_u64(w, m->ping.applied);
		break;
	case WIRE_MESH_FORWARD:
		build_forward(w, m);
		break;
	case WIRE_MESH_PROVEN:
		wr_u32(w, m->spi_in);
		break;
	case WIRE_MESH_APPLIED:
		wr_u64(w, m->applied);
		break;
	case WIRE_MESH_INNER:
		wr_u32(w, m->inner.spi_in);
		wr_put(w, m->inner.packet);
		break;
	case WIRE_MESH_PIECE:
		wr_u32(w, m->piece.number);
		wr_u8(w, m->piece.index);
		wr_u8(w, m->piece.cnt);
		wr_put(w, m->piece.part);
		break;
	case WIRE_MESH_TAKEN:
		wr_u32(w, m->taken.spi_in);
		wr_u64(w, m->taken.rev);
		wr_u64(w, m->taken.out);
		break;
	case WIRE_MESH_LEFT:
		wr_u32(w, m->taken.spi_in);
		wr_u64(w, m->taken.rev);
		break;
	case WIRE_MESH_USED:
		wr_put(w, m->used);
		break;
	case WIRE_MESH_ROW:
		build_row(w, m);
		break;
	case WIRE_MESH_FRAGMENT:
		wr_put(w, m->fragment);
		break;
	case WIRE_MESH_ASK:
		wr_u32(w, m->ask.number);
		wr_put(w, m->ask.list);
		break;
	case WIRE_MESH_SEEN:
		wr_u32(w, m->seen.number);
		wr_put(w, m->seen.list);
		break;
	case WIRE_MESH_TOO_BIG:
		build_too_big(w, m);
		break;
	}
}

/* Fills the body; each of the bodies but PING's and those that end in bytes is as long as it must be. */
static enum err parse_body(struct rd *r, struct wire_mesh_msg *m)
{
	uint8_t flags;

	switch (m->kind) {
	case WIRE_MESH_PING:
		flags = rd_u8(r);
		m->ping.draining = (flags & PING_DRAINING) != 0;
		m->ping.fresh = (flags & PING_FRESH) != 0;
		m->ping.applied = rd_u64(r);
		(void)rd_rest(r);
		return rd_done(r) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_FORWARD:
		return parse_forward(r, m) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_PROVEN:
		m->spi_in = rd_u32(r);
		return rd_done(r) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_APPLIED:
		m->applied = rd_u64(r);
		return rd_done(r) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_INNER:
		m->inner.spi_in = rd_u32(r);
		m->inner.packet = rd_rest(r);
		return m->inner.packet.len != 0 ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_PIECE:
		return parse_piece(r, m) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_TAKEN:
	case WIRE_MESH_LEFT:
		m->taken.spi_in = rd_u32(r);
		m->taken.rev = rd_u64(r);
		m->taken.out = m->kind == WIRE_MESH_TAKEN ? rd_u64(r) : 0;
		return rd_done(r) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_USED:
		m->used = rd_rest(r);
		return is_list(m->used, WIRE_MESH_USED_LEN, WIRE_MESH_USED_MAX) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_ROW:
		return parse_row(r, m) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_FRAGMENT:
		m->fragment = rd_rest(r);
		return m->fragment.len != 0 ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_ASK:
		m->ask.number = rd_u32(r);
		m->ask.list = rd_rest(r);
		return is_list(m->ask.list, sizeof(uint64_t), WIRE_MESH_SEEN_MAX) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_SEEN:
		m->seen.number = rd_u32(r);
		m->seen.list = rd_rest(r);
		return is_list(m->seen.list, WIRE_MESH_SEEN_LEN, WIRE_MESH_SEEN_MAX) ? ERR_NONE : ERR_SYNTAX;
	case WIRE_MESH_TOO_BIG:
		return parse_too_big(r, m) ? ERR_NONE : ERR_SYNTAX;
	}
	return ERR_UNSUPPORTED;
}

enum err wire_mesh_parse(struct bytes text, struct wire_mesh_msg *ret)
{
	struct rd r = rd_of(text);
	uint8_t kind = rd_u8(&r);
	struct wire_mesh_msg m = { .kind = (enum wire_mesh_kind)kind };

	if (r.bad)
		return ERR_SHORT;
	enum err e = parse_body(&r, &m);
	if (e == ERR_NONE)
		*ret = m;
	return e;
}
