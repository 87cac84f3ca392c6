#include "wire/icmp.h"

#include "wire/edit.h"

#define ICMP_HEADER_LEN 8
#define ICMP4_ERROR_MAX 576 /* RFC 1812 4.3.2.3 */
#define ICMP_TTL 64
#define TOS_INTERNETWORK_CONTROL 0xc0 /* RFC 1812 4.3.2.5: precedence of errors */

/* RFC 792, RFC 1812 5.2.7, RFC 4443 3 and 4. */
enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_SOURCE_QUENCH = 4,
	ICMP4_REDIRECT = 5,
	ICMP4_ECHO_REQUEST = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_FIRST_INFORMATIONAL = 128,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_REDIRECT = 137,
};

/* Offsets within the headers. */
enum {
	IP4_TTL_AT = 8,
	IP4_CHECKSUM_AT = 10,
	IP4_SRC_AT = 12,
	IP4_DST_AT = 16,
	IP6_HOP_LIMIT_AT = 7,
	IP6_SRC_AT = 8,
	IP6_DST_AT = 24,
	ICMP_CHECKSUM_AT = 2,
};

struct icmp_type {
	uint8_t type, code;
};

static const struct icmp_type error_types_v4[] = {
	[WIRE_ICMP_TTL_EXPIRED] = { ICMP4_TIME_EXCEEDED, 0 },
	[WIRE_ICMP_NO_ROUTE] = { ICMP4_UNREACHABLE, 0 },
	[WIRE_ICMP_HOST_UNREACHABLE] = { ICMP4_UNREACHABLE, 1 },
	[WIRE_ICMP_ADMIN] = { ICMP4_UNREACHABLE, 13 },
	[WIRE_ICMP_TOO_BIG] = { ICMP4_UNREACHABLE, 4 },
};

static const struct icmp_type error_types_v6[] = {
	[WIRE_ICMP_TTL_EXPIRED] = { ICMP6_TIME_EXCEEDED, 0 },
	[WIRE_ICMP_NO_ROUTE] = { ICMP6_UNREACHABLE, 0 },
	[WIRE_ICMP_HOST_UNREACHABLE] = { ICMP6_UNREACHABLE, 3 },
	[WIRE_ICMP_ADMIN] = { ICMP6_UNREACHABLE, 1 },
	[WIRE_ICMP_TOO_BIG] = { ICMP6_TOO_BIG, 0 },
};

/* ---- building ---- */

/* An IP header without options for an ICMP message of icmp_len bytes. */
static void put_ip_header(struct wr *w, const struct addr *src, const struct addr *dst, uint8_t tos,
			  size_t icmp_len)
{
	size_t start = wr_len(w);

	if (src->family == ADDR_V4) {
		wr_u8(w, 0x45);
		wr_u8(w, tos);
		wr_u16(w, (uint16_t)(WIRE_IP4_HEADER_MIN + icmp_len));
		wr_u16(w, 0); /* RFC 6864 4.1: no id is needed where DF is set */
		wr_u16(w, 0x4000);
		wr_u8(w, ICMP_TTL);
		wr_u8(w, IP_PROTO_ICMP);
		wr_u16(w, 0);
	} else {
		wr_u32(w, 6u << 28 | (uint32_t)tos << 20);
		wr_u16(w, (uint16_t)icmp_len);
		wr_u8(w, IP_PROTO_ICMP6);
		wr_u8(w, ICMP_TTL);
	}
	wr_put(w, addr_bytes(src));
	wr_put(w, addr_bytes(dst));
	if (src->family == ADDR_V4 && !w->bad) {
		uint16_t sum = wire_checksum(wr_bytes(w), 0);
		wr_set_u16(w, start + IP4_CHECKSUM_AT, (uint16_t)~sum);
	}
}

/* The sum over an ICMP message; over its pseudo header too where it has one (RFC 4443 2.3, RFC 8200 8.1). */
static uint16_t sum_message(const struct addr *src, const struct addr *dst, struct bytes message)
{
	uint32_t sum = 0;

	if (src->family == ADDR_V6) {
		sum = wire_checksum(addr_bytes(src), (uint32_t)message.len + IP_PROTO_ICMP6);
		sum = wire_checksum(addr_bytes(dst), sum);
	}
	return wire_checksum(message, sum);
}

/* Fills in the checksum of the message at icmp_at, where it is 0 now. */
static void set_checksum(struct wr *w, size_t icmp_at, const struct addr *src, const struct addr *dst)
{
	struct rd r = rd_of(wr_bytes(w));
	rd_skip(&r, icmp_at);
	wr_set_u16(w, icmp_at + ICMP_CHECKSUM_AT, (uint16_t)~sum_message(src, dst, rd_rest(&r)));
}

/* A whole packet: IP header, the eight bytes of ICMP that all kinds have, body. Lengths were checked. */
static enum err build_packet(const struct addr *src, const struct addr *dst, uint8_t tos,
			     struct icmp_type type, uint32_t word, struct bytes body, struct space room,
			     size_t *ret_len)
{
	struct wr w = wr_of(room);

	put_ip_header(&w, src, dst, tos, ICMP_HEADER_LEN + body.len);
	size_t icmp_at = wr_len(&w);
	wr_u8(&w, type.type);
	wr_u8(&w, type.code);
	wr_u16(&w, 0);
	wr_u32(&w, word);
	wr_put(&w, body);
	if (w.bad)
		return ERR_FULL;
	set_checksum(&w, icmp_at, src, dst);
	*ret_len = wr_len(&w);
	return ERR_NONE;
}

/* ---- errors ---- */

/* The family's errors, and redirects (RFC 1122 3.2.2, RFC 4443 2.4 e). */
static bool is_error_type(uint8_t version, uint8_t type)
{
	if (version == 6)
		return type < ICMP6_FIRST_INFORMATIONAL || type == ICMP6_REDIRECT;
	return type == ICMP4_UNREACHABLE || type == ICMP4_SOURCE_QUENCH || type == ICMP4_REDIRECT ||
	       type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER;
}

/* RFC 1812 4.3.2.7, RFC 4443 2.4 e.6: the source must name one host. */
static bool is_single_host(const struct addr *a)
{
	if (addr_is_unspecified(a) || addr_is_multicast(a))
		return false;
	return a->family != ADDR_V4 || (a->b[0] != 0 && a->b[0] != 127 && a->b[0] < 240);
}

bool wire_icmp_error_allowed(const struct wire_ip *ip, struct bytes packet)
{
	struct rd r = rd_of(ip->payload);
	uint8_t type = rd_u8(&r);

	if (ip->fragment_offset != 0 || !is_single_host(&ip->src))
		return false;
	if (addr_is_unspecified(&ip->dst) || addr_is_multicast(&ip->dst))
		return false;
	/* An ICMP message without a type might be an error as well. */
	bool icmp = ip->protocol == (ip->version == 4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6);
	if (icmp && (r.bad || is_error_type(ip->version, type)))
		return false;
	/* RFC 1812 4.3.2.7: none about a packet that fails the check of its header. */
	struct rd header = rd_of(packet);
	return ip->version == 6 || wire_ip4_checksum_ok(rd_bytes(&header, ip->header_len));
}

MUST_USE enum err wire_icmp_error_build(enum wire_icmp_error kind, uint32_t mtu, const struct addr *from,
					const struct wire_ip *ip, struct bytes packet, struct space room,
					size_t *ret_len)
{
	bool v4 = ip->version == 4;
	size_t room_for_quote = v4 ? ICMP4_ERROR_MAX - WIRE_IP4_HEADER_MIN - ICMP_HEADER_LEN
				   : WIRE_ICMP_ERROR_MAX - WIRE_IP6_HEADER_LEN - ICMP_HEADER_LEN;
	size_t quote_len = ip->total_len < packet.len ? ip->total_len : packet.len;
	uint32_t word = 0;

	if (from->family != ip->src.family)
		return ERR_RANGE;
	if (quote_len > room_for_quote)
		quote_len = room_for_quote;
	/* RFC 1191 4: 16 bits there, all 32 in RFC 4443 3.2. */
	if (kind == WIRE_ICMP_TOO_BIG)
		word = v4 && mtu > UINT16_MAX ? UINT16_MAX : mtu;
	struct rd quote = rd_of(packet);
	return build_packet(from, &ip->src, v4 ? TOS_INTERNETWORK_CONTROL : 0,
			    v4 ? error_types_v4[kind] : error_types_v6[kind], word,
			    rd_bytes(&quote, quote_len), room, ret_len);
}

/* ---- echo ---- */

bool wire_icmp_is_echo_request(const struct wire_ip *ip)
{
	bool v4 = ip->version == 4;
	struct rd r = rd_of(ip->payload);
	uint8_t type = rd_u8(&r), code = rd_u8(&r);

	if (ip->protocol != (v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6))
		return false;
	if (ip->more_fragments || ip->fragment_offset != 0)
		return false;
	if (ip->header_len != (v4 ? WIRE_IP4_HEADER_MIN : WIRE_IP6_HEADER_LEN))
		return false;
	if (type != (v4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST) || code != 0)
		return false;
	if (ip->payload.len < ICMP_HEADER_LEN)
		return false;
	return sum_message(&ip->src, &ip->dst, ip->payload) == 0xffff;
}

void wire_icmp_echo_reply(struct space packet, const struct wire_ip *ip)
{
	/* Bytes behind the packet are not part of the message. */
	struct wr w = edit_of((struct space){ packet.p, ip->total_len });
	bool v4 = ip->version == 4;

	must(ip->total_len <= packet.cap);
	/* Swapped addresses leave the header's sum as it is. */
	edit_set_bytes(&w, v4 ? IP4_SRC_AT : IP6_SRC_AT, addr_bytes(&ip->dst));
	edit_set_bytes(&w, v4 ? IP4_DST_AT : IP6_DST_AT, addr_bytes(&ip->src));
	if (v4)
		edit_word(&w, IP4_TTL_AT, ICMP_TTL << 8 | IP_PROTO_ICMP, IP4_CHECKSUM_AT);
	else
		wr_set_u8(&w, IP6_HOP_LIMIT_AT, ICMP_TTL);
	/* Summed anew: an ICMPv4 reply may be all zeros, the one case that RFC 1624 cannot mend. */
	wr_set_u8(&w, ip->header_len, v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY);
	wr_set_u16(&w, ip->header_len + ICMP_CHECKSUM_AT, 0);
	set_checksum(&w, ip->header_len, &ip->dst, &ip->src);
}

MUST_USE enum err wire_icmp_echo_build(const struct addr *src, const struct addr *dst, uint16_t id,
				       uint16_t seq, struct bytes data, struct space room, size_t *ret_len)
{
	struct icmp_type type = { src->family == ADDR_V4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST, 0 };

	if (src->family == ADDR_NONE || src->family != dst->family)
		return ERR_RANGE;
	if (data.len > UINT16_MAX - WIRE_IP4_HEADER_MIN - ICMP_HEADER_LEN) /* the length field's limit */
		return ERR_FULL;
	return build_packet(src, dst, 0, type, (uint32_t)id << 16 | seq, data, room, ret_len);
}
