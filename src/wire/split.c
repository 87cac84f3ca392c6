#include "wire/split.h"

#include "wire/edit.h"
#include "wire/transport.h"

/* The length of the transport header, 0: there is none that can be cut. */
static size_t find_transport(const struct wire_ip *ip, uint32_t *ret_seq)
{
	struct rd r = rd_of(ip->payload);

	if (ip->fragment_offset != 0 || ip->more_fragments)
		return 0;
	if (ip->protocol == IP_PROTO_UDP)
		return ip->payload.len > UDP_LEN ? UDP_LEN : 0;
	if (ip->protocol != IP_PROTO_TCP)
		return 0;
	rd_skip(&r, TCP_SEQ_AT);
	uint32_t seq = rd_u32(&r);
	rd_skip(&r, 4);
	size_t len = (rd_u8(&r) >> 4) * 4u;
	if (r.bad || len < TCP_LEN_MIN || ip->payload.len <= len)
		return 0;
	*ret_seq = seq;
	return len;
}

MUST_USE enum err wire_split_begin(struct bytes packet, const struct wire_ip *ip, size_t segment, struct wire_split *ret)
{
	uint32_t seq = 0;
	size_t transport = find_transport(ip, &seq);
	struct rd r = rd_of(bytes_of(packet.p, ip->total_len)), id;

	if (transport == 0 || segment == 0)
		return ERR_SYNTAX;
	struct bytes headers = rd_bytes(&r, ip->header_len + transport);
	id = rd_of(headers);
	rd_skip(&id, IP4_ID_AT);
	*ret = (struct wire_split){
		.headers = headers,
		.payload = r,
		.segment = segment,
		.ip_len = ip->header_len,
		.addresses = wire_pseudo_sum(ip, 0),
		.seq = seq,
		.id = rd_u16(&id),
		.version = ip->version,
		.protocol = ip->protocol,
		.first = true,
	};
	return ERR_NONE;
}

size_t wire_split_left(const struct wire_split *s)
{
	return (rd_left(&s->payload) + s->segment - 1) / s->segment;
}

size_t wire_split_len(const struct wire_split *s)
{
	size_t left = rd_left(&s->payload);
	return s->headers.len + (left < s->segment ? left : s->segment);
}

/* Each packet has an identification of its own, for receivers that put fragments together (RFC 6864 4). */
static void edit_ip(struct wire_split *s, struct wr *w)
{
	size_t len = wr_len(w);

	if (s->version == 6) {
		wr_set_u16(w, IP6_LEN_AT, (uint16_t)(len - WIRE_IP6_HEADER_LEN));
		return;
	}
	wr_set_u16(w, IP4_LEN_AT, (uint16_t)len);
	wr_set_u16(w, IP4_ID_AT, s->id++);
	wr_set_u16(w, IP4_SUM_AT, 0);
	wr_set_u16(w, IP4_SUM_AT, (uint16_t)~wire_checksum(bytes_of(w->start, s->ip_len), 0));
}

/* PSH and FIN belong to the last packet; CWR answers once (RFC 3168 6.1.2). */
static void edit_tcp(struct wire_split *s, struct wr *w, size_t payload_len, bool last)
{
	uint8_t flags = (uint8_t)edit_get_u16(w, s->ip_len + TCP_FLAGS_AT - 1);

	if (!last)
		flags &= (uint8_t)~(TCP_FIN | TCP_PSH);
	if (!s->first)
		flags &= (uint8_t)~TCP_CWR;
	wr_set_u8(w, s->ip_len + TCP_FLAGS_AT, flags);
	wr_set_u32(w, s->ip_len + TCP_SEQ_AT, s->seq);
	s->seq += (uint32_t)payload_len;
}

static void set_checksum(const struct wire_split *s, struct wr *w, size_t at)
{
	size_t len = wr_len(w) - s->ip_len;

	wr_set_u16(w, s->ip_len + at, 0);
	uint16_t sum = (uint16_t)~wire_checksum(bytes_of(w->start + s->ip_len, len), s->addresses + (uint32_t)len);
	/* For UDP zero says that there is none; it has another zero for this (RFC 768). */
	wr_set_u16(w, s->ip_len + at, sum == 0 && s->protocol == IP_PROTO_UDP ? 0xffff : sum);
}

void wire_split_next(struct wire_split *s, struct space out)
{
	struct wr w = wr_of(out);
	size_t left = rd_left(&s->payload);
	struct bytes part = rd_bytes(&s->payload, left < s->segment ? left : s->segment);

	wr_put(&w, s->headers);
	wr_put(&w, part);
	must(!w.bad && part.len != 0);
	edit_ip(s, &w);
	if (s->protocol == IP_PROTO_TCP) {
		edit_tcp(s, &w, part.len, part.len == left);
		set_checksum(s, &w, TCP_SUM_AT);
	} else {
		wr_set_u16(&w, s->ip_len + UDP_LEN_AT, (uint16_t)(UDP_LEN + part.len));
		set_checksum(s, &w, UDP_SUM_AT);
	}
	s->first = false;
}

bool wire_checksum_complete(struct space packet, size_t start, size_t offset)
{
	struct wr w = edit_of(packet);

	if (start > packet.cap || offset > packet.cap - start || packet.cap - start - offset < 2)
		return false;
	uint16_t sum = (uint16_t)~wire_checksum(bytes_of(packet.p + start, packet.cap - start), 0);
	/* TCP may say zero either way. */
	wr_set_u16(&w, start + offset, sum == 0 ? 0xffff : sum);
	return true;
}
