#include "wire/ip.h"

#include "wire/edit.h"

/* Offsets of the fields that a router edits: RFC 791 3.1, RFC 8200 3. */
enum { IP4_TTL_AT = 8, IP4_CHECKSUM_AT = 10, IP6_HOP_LIMIT_AT = 7 };

/* RFC 8200 4 and the IANA registry "IPv6 Extension Header Types". */
enum {
	EXT_HOP_BY_HOP = 0,
	EXT_ROUTING = 43,
	EXT_FRAGMENT = 44,
	EXT_AH = 51,
	EXT_DESTINATION = 60,
	EXT_MOBILITY = 135,
	EXT_HIP = 139,
	EXT_SHIM6 = 140,
	PROTO_SCTP = 132,
};

/* ---- parsing ---- */

static enum err parse_v4(struct bytes packet, struct wire_ip *ip)
{
	struct rd r = rd_of(packet);

	ip->header_len = (rd_u8(&r) & 0x0fu) * 4;
	ip->tos = rd_u8(&r);
	ip->total_len = rd_u16(&r);
	rd_skip(&r, 2); /* identification */
	unsigned fragment = rd_u16(&r);
	ip->ttl = rd_u8(&r);
	ip->protocol = rd_u8(&r);
	rd_skip(&r, 2); /* checksum */
	ip->src = addr_from_bytes(rd_bytes(&r, 4));
	ip->dst = addr_from_bytes(rd_bytes(&r, 4));
	if (r.bad || ip->total_len > packet.len)
		return ERR_SHORT;
	if (ip->header_len < WIRE_IP4_HEADER_MIN || ip->total_len < ip->header_len)
		return ERR_SYNTAX;
	ip->dont_fragment = (fragment & 0x4000) != 0;
	ip->more_fragments = (fragment & 0x2000) != 0;
	ip->fragment_offset = (uint16_t)((fragment & 0x1fff) * 8);
	if (ip->fragment_offset + ip->total_len > UINT16_MAX) /* more than a whole packet can be */
		return ERR_SYNTAX;
	struct rd body = rd_of(bytes_of(packet.p, ip->total_len));
	rd_skip(&body, ip->header_len);
	ip->payload = rd_rest(&body);
	return ERR_NONE;
}

/* RFC 8200 4.5. */
static enum err read_fragment_header(struct rd *r, struct wire_ip *ip)
{
	ip->protocol = rd_u8(r);
	rd_skip(r, 1);
	uint16_t fragment = rd_u16(r);
	rd_skip(r, 4); /* identification */
	if (r->bad)
		return ERR_SYNTAX;
	ip->fragment_offset = fragment & 0xfff8;
	ip->more_fragments = (fragment & 1) != 0;
	if (ip->fragment_offset + rd_left(r) > UINT16_MAX)
		return ERR_SYNTAX;
	return ERR_NONE;
}

static enum err read_extension(struct rd *r, struct wire_ip *ip)
{
	/* RFC 4302 2.2: AH counts in units of 4 bytes less 2; RFC 8200 4.3: the others of 8 bytes less 1. */
	bool ah = ip->protocol == EXT_AH;
	ip->protocol = rd_u8(r);
	size_t units = rd_u8(r);
	rd_skip(r, (ah ? (units + 2) * 4 : (units + 1) * 8) - 2);
	return r->bad ? ERR_SYNTAX : ERR_NONE;
}

/* Walks the extension headers up to the payload. In a later fragment the chain ends with the fragment
 * header: what stands behind it is the middle of something (RFC 8200 4.5). */
static enum err walk_extensions(struct rd *r, struct wire_ip *ip)
{
	bool fragment_seen = false;

	for (unsigned cnt = 0; cnt <= WIRE_IP6_EXTENSIONS_MAX; cnt++) {
		enum err e = ERR_NONE;
		switch (ip->protocol) {
		case EXT_HOP_BY_HOP:
			if (cnt != 0) /* RFC 8200 4.1: only directly behind the IPv6 header */
				return ERR_SYNTAX;
			e = read_extension(r, ip);
			break;
		case EXT_ROUTING:
		case EXT_DESTINATION:
		case EXT_AH:
		case EXT_MOBILITY:
		case EXT_HIP:
		case EXT_SHIM6:
			e = read_extension(r, ip);
			break;
		case EXT_FRAGMENT:
			e = fragment_seen ? ERR_SYNTAX : read_fragment_header(r, ip);
			if (e == ERR_NONE && ip->fragment_offset != 0)
				return ERR_NONE;
			fragment_seen = true;
			break;
		default:
			return ERR_NONE;
		}
		if (e != ERR_NONE)
			return e;
	}
	return ERR_SYNTAX;
}

static enum err parse_v6(struct bytes packet, struct wire_ip *ip)
{
	struct rd r = rd_of(packet);

	uint32_t first = rd_u32(&r);
	ip->tos = (uint8_t)(first >> 20);
	size_t payload_len = rd_u16(&r);
	ip->protocol = rd_u8(&r);
	ip->ttl = rd_u8(&r);
	ip->src = addr_from_bytes(rd_bytes(&r, 16));
	ip->dst = addr_from_bytes(rd_bytes(&r, 16));
	struct rd body = rd_sub(&r, payload_len);
	if (body.bad)
		return ERR_SHORT;
	ip->total_len = WIRE_IP6_HEADER_LEN + payload_len;
	ip->dont_fragment = true; /* RFC 8200 5: routers do not fragment */
	enum err e = walk_extensions(&body, ip);
	if (e != ERR_NONE)
		return e;
	ip->payload = rd_rest(&body);
	ip->header_len = ip->total_len - ip->payload.len;
	return ERR_NONE;
}

MUST_USE enum err wire_ip_parse(struct bytes packet, struct wire_ip *ret)
{
	struct rd r = rd_of(packet);
	struct wire_ip ip = { .version = rd_u8(&r) >> 4 };
	enum err e;

	if (r.bad)
		return ERR_SHORT;
	if (ip.version == 4)
		e = parse_v4(packet, &ip);
	else if (ip.version == 6)
		e = parse_v6(packet, &ip);
	else
		return ERR_VERSION;
	if (e == ERR_NONE)
		*ret = ip;
	return e;
}

bool wire_ports(const struct wire_ip *ip, uint16_t *ret_src, uint16_t *ret_dst)
{
	if (ip->protocol != IP_PROTO_TCP && ip->protocol != IP_PROTO_UDP && ip->protocol != PROTO_SCTP)
		return false;
	if (ip->fragment_offset != 0)
		return false;
	struct rd r = rd_of(ip->payload);
	uint16_t src = rd_u16(&r), dst = rd_u16(&r);
	if (r.bad)
		return false;
	*ret_src = src;
	*ret_dst = dst;
	return true;
}

/* ---- fragments ---- */

bool wire_ip_fragment(struct bytes packet, const struct wire_ip *ip, struct wire_ip_fragment *ret)
{
	struct rd r = rd_of(packet);
	struct wire_ip_fragment f = { .len = (uint32_t)ip->payload.len };
	uint8_t header = EXT_FRAGMENT;

	if (!ip->more_fragments && ip->fragment_offset == 0)
		return false;
	if (ip->version == 4) {
		rd_skip(&r, 4);
		f.id = rd_u16(&r);
	} else {
		rd_skip(&r, 6);
		header = rd_u8(&r);
		rd_skip(&r, WIRE_IP6_HEADER_LEN - 7 + 4);
		f.id = rd_u32(&r);
		f.len = (uint32_t)ip->total_len - WIRE_IP6_HEADER_LEN - WIRE_IP6_FRAGMENT_LEN;
	}
	if (r.bad || header != EXT_FRAGMENT)
		return false;
	*ret = f;
	return true;
}

/* ---- checksums ---- */

bool wire_ip4_checksum_ok(struct bytes header)
{
	return wire_checksum(header, 0) == 0xffff;
}

/* ---- what a router does ---- */

void wire_ip_decrement_ttl(struct space packet)
{
	struct wr w = edit_of(packet);

	/* TTL and hop limit each share a word with the protocol: the upper half here, the lower one there. */
	if (edit_get_u16(&w, 0) >> 12 == 4) {
		uint16_t word = edit_get_u16(&w, IP4_TTL_AT);
		must(word >= 0x100);
		edit_word(&w, IP4_TTL_AT, (uint16_t)(word - 0x100), IP4_CHECKSUM_AT);
	} else {
		uint8_t hop_limit = (uint8_t)edit_get_u16(&w, IP6_HOP_LIMIT_AT - 1);
		must(hop_limit > 0);
		wr_set_u8(&w, IP6_HOP_LIMIT_AT, (uint8_t)(hop_limit - 1));
	}
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

/* The whole field: the unused bytes of a v4 address are zero. */
static uint64_t mix_addr(uint64_t h, const struct addr *a)
{
	struct rd r = rd_of(BYTES_OF(a->b));
	h = mix(h, rd_u64(&r));
	return mix(h, rd_u64(&r));
}

uint32_t wire_flow_hash(const struct wire_ip *ip)
{
	uint16_t src = 0, dst = 0;
	uint64_t h = mix_addr(mix_addr(ip->version, &ip->src), &ip->dst);

	/* Fragments do without the protocol too: in IPv6 only the first one knows it. */
	if (!ip->more_fragments && ip->fragment_offset == 0) {
		(void)wire_ports(ip, &src, &dst);
		h = mix(h, (uint64_t)ip->protocol << 32 | (uint64_t)src << 16 | dst);
	}
	return (uint32_t)(mix(h, 0) >> 16);
}
