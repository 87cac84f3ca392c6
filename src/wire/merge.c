#include "wire/merge.h"

#include "wire/edit.h"
#include "wire/transport.h"

enum { IP_LEN_MAX = 65535, IP4_FLAGS_AT = 6, IP4_TTL_AT = 8, IP4_SRC_AT = 12, IP6_NEXT_AT = 6 };

static struct bytes part_of(struct bytes b, size_t at, size_t len)
{
	struct rd r = rd_of(b);
	rd_skip(&r, at);
	return rd_bytes(&r, len);
}

static bool same_part(const struct wire_piece *a, const struct wire_piece *b, size_t at, size_t len)
{
	return bytes_eq(part_of(a->packet, at, len), part_of(b->packet, at, len));
}

/* ---- one packet ---- */

static bool parse_tcp(struct rd *r, struct wire_piece *p)
{
	rd_skip(r, TCP_SEQ_AT);
	p->seq = rd_u32(r);
	rd_skip(r, 4);
	uint8_t offset = rd_u8(r);
	p->flags = rd_u8(r);
	p->header_len = p->ip_len + (offset >> 4) * 4u;
	/* The lower half of the offset is reserved, or AE of RFC 9768, which counts like CWR. */
	return !r->bad && p->header_len >= p->ip_len + TCP_LEN_MIN && (offset & 0x0f) == 0 &&
	       (p->flags & (TCP_SYN | TCP_RST | TCP_URG | TCP_CWR | TCP_ACK)) == TCP_ACK;
}

static bool parse_udp(struct rd *r, const struct wire_ip *ip, struct wire_piece *p)
{
	rd_skip(r, UDP_LEN_AT);
	uint16_t len = rd_u16(r);
	uint16_t sum = rd_u16(r);
	p->header_len = p->ip_len + UDP_LEN;
	return !r->bad && sum != 0 && len == ip->payload.len;
}

bool wire_piece_parse(struct bytes packet, const struct wire_ip *ip, struct wire_piece *ret)
{
	size_t plain = ip->version == 4 ? WIRE_IP4_HEADER_MIN : WIRE_IP6_HEADER_LEN;
	struct wire_piece p = {
		.packet = bytes_of(packet.p, ip->total_len),
		.ip_len = plain,
		.version = ip->version,
		.protocol = ip->protocol,
	};
	struct rd transport = rd_of(ip->payload), id = rd_of(packet);

	if (ip->header_len != plain || ip->more_fragments || ip->fragment_offset != 0)
		return false;
	if (ip->protocol != IP_PROTO_TCP && ip->protocol != IP_PROTO_UDP)
		return false;
	if (ip->protocol == IP_PROTO_TCP ? !parse_tcp(&transport, &p) : !parse_udp(&transport, ip, &p))
		return false;
	if (p.header_len >= ip->total_len)
		return false;
	rd_skip(&id, IP4_ID_AT);
	p.id = ip->version == 4 ? rd_u16(&id) : 0;
	p.payload_len = ip->total_len - p.header_len;
	p.pseudo_sum = wire_pseudo_sum(ip, ip->payload.len);
	*ret = p;
	return true;
}

bool wire_piece_is_last(const struct wire_piece *p)
{
	return (p->flags & (TCP_PSH | TCP_FIN)) != 0;
}

static bool checksum_ok(const struct wire_piece *p)
{
	return wire_checksum(part_of(p->packet, p->ip_len, p->packet.len - p->ip_len), p->pseudo_sum) == 0xffff;
}

/* ---- many ---- */

void wire_merge_begin(struct wire_merge *m, const struct wire_piece *first)
{
	*m = (struct wire_merge){
		.first = *first,
		.payload_len = first->payload_len,
		.cnt = 1,
		.next_seq = first->seq + (uint32_t)first->payload_len,
		.last_flags = first->flags,
		.closed = wire_piece_is_last(first),
	};
}

/* Version, TOS, flags, TTL, protocol, flow label, addresses. */
static bool same_ip(const struct wire_piece *a, const struct wire_piece *b)
{
	if (a->version == 6)
		return same_part(a, b, 0, IP6_LEN_AT) &&
		       same_part(a, b, IP6_NEXT_AT, WIRE_IP6_HEADER_LEN - IP6_NEXT_AT);
	return same_part(a, b, 0, IP4_LEN_AT) && same_part(a, b, IP4_FLAGS_AT, IP4_SUM_AT - IP4_FLAGS_AT) &&
	       same_part(a, b, IP4_SRC_AT, WIRE_IP4_HEADER_MIN - IP4_SRC_AT);
}

/* Cut again, the identifications count up. Where a packet may not be fragmented its identification means nothing
 * (RFC 6864 4.1), and senders that know it leave it the same. */
static bool id_follows(struct wire_merge *m, const struct wire_piece *p)
{
	bool same = p->id == m->first.id, dont_fragment;

	if (p->version == 6)
		return true;
	if (p->id == (uint16_t)(m->first.id + m->cnt) && (m->cnt == 1 || !m->same_id))
		return true;
	dont_fragment = (part_of(p->packet, IP4_FLAGS_AT, 1).p[0] & 0x40) != 0;
	if (!same || !dont_fragment || (m->cnt > 1 && !m->same_id))
		return false;
	m->same_id = true;
	return true;
}

/* Ports, acknowledgement, window and options; of the flags all but PSH and FIN. */
static bool same_transport(const struct wire_merge *m, const struct wire_piece *p)
{
	const struct wire_piece *f = &m->first;
	size_t at = f->ip_len;

	if (!same_part(f, p, at, TCP_SEQ_AT))
		return false;
	if (f->protocol == IP_PROTO_UDP)
		return true;
	return p->seq == m->next_seq && ((p->flags ^ f->flags) & ~(TCP_PSH | TCP_FIN)) == 0 &&
	       same_part(f, p, at + 8, TCP_FLAGS_AT - 8) && same_part(f, p, at + 14, 2) &&
	       same_part(f, p, at + TCP_LEN_MIN, f->header_len - at - TCP_LEN_MIN);
}

bool wire_merge_add(struct wire_merge *m, const struct wire_piece *p)
{
	const struct wire_piece *f = &m->first;

	if (m->closed || m->cnt == WIRE_MERGE_MAX || p->payload_len > f->payload_len)
		return false;
	if (p->version != f->version || p->protocol != f->protocol || p->header_len != f->header_len ||
	    f->header_len + m->payload_len + p->payload_len > IP_LEN_MAX)
		return false;
	if (!same_ip(f, p) || !same_transport(m, p))
		return false;
	if ((!m->verified && !checksum_ok(f)) || !checksum_ok(p) || !id_follows(m, p))
		return false;
	m->verified = true;
	m->payload_len += p->payload_len;
	m->next_seq += (uint32_t)p->payload_len;
	m->last_flags = p->flags;
	m->closed = p->payload_len < f->payload_len || wire_piece_is_last(p);
	m->cnt++;
	return true;
}

size_t wire_merge_finish(const struct wire_merge *m, struct space headers)
{
	const struct wire_piece *f = &m->first;
	struct wr w = edit_of((struct space){ headers.p, f->header_len });
	size_t transport = f->header_len - f->ip_len + m->payload_len;
	size_t sum_at = f->protocol == IP_PROTO_TCP ? TCP_SUM_AT : UDP_SUM_AT;

	must(headers.cap >= f->header_len && m->cnt > 1);
	if (f->version == 6) {
		wr_set_u16(&w, IP6_LEN_AT, (uint16_t)transport);
	} else {
		wr_set_u16(&w, IP4_LEN_AT, (uint16_t)(f->ip_len + transport));
		wr_set_u16(&w, IP4_SUM_AT, 0);
		wr_set_u16(&w, IP4_SUM_AT, (uint16_t)~wire_checksum(bytes_of(headers.p, f->ip_len), 0));
	}
	if (f->protocol == IP_PROTO_TCP)
		wr_set_u8(&w, f->ip_len + TCP_FLAGS_AT, m->last_flags);
	else
		wr_set_u16(&w, f->ip_len + UDP_LEN_AT, (uint16_t)transport);
	/* The pseudo header with the length of the whole in place of that of the first. */
	uint32_t sum = f->pseudo_sum + (0xffffu - (uint32_t)(f->header_len - f->ip_len + f->payload_len)) +
		       (uint32_t)transport;
	wr_set_u16(&w, f->ip_len + sum_at, wire_checksum((struct bytes){ 0 }, sum));
	return sum_at;
}
