#include "wire/esp.h"
#include "wire/icmp.h"

enum { ICMP4_UNREACHABLE = 3, ICMP4_FRAGMENTATION_NEEDED = 4, ICMP6_TOO_BIG = 2 };

/* RFC 792 "Destination Unreachable", RFC 1191 4; RFC 4443 3.2. */
static enum err read_icmp(uint8_t version, struct rd *r, struct wire_too_big *t)
{
	uint8_t type = rd_u8(r), code = rd_u8(r);

	rd_skip(r, 2); /* checksum */
	uint32_t word = rd_u32(r);
	if (r->bad)
		return ERR_SYNTAX;
	if (version == 6 ? type != ICMP6_TOO_BIG : type != ICMP4_UNREACHABLE || code != ICMP4_FRAGMENTATION_NEEDED)
		return ERR_RANGE;
	t->mtu = version == 6 ? word : word & 0xffff;
	return ERR_NONE;
}

/* The quoted packet is cut short, so that its own lengths say nothing about what is here. Gives the protocol of the payload,
 * 0 for a later fragment, in which no SPI stands. */
static uint8_t read_ip4(struct rd *r, struct wire_too_big *t)
{
	uint8_t first = rd_u8(r);
	size_t header_len = (first & 0x0fu) * 4;

	rd_skip(r, 1);
	t->quoted_len = rd_u16(r);
	rd_skip(r, 2); /* identification */
	uint16_t fragment = rd_u16(r);
	rd_skip(r, 1);
	uint8_t protocol = rd_u8(r);
	rd_skip(r, 2); /* routers leave the checksum as they changed it */
	t->src.addr = addr_from_bytes(rd_bytes(r, 4));
	t->dst.addr = addr_from_bytes(rd_bytes(r, 4));
	if (first >> 4 != 4 || header_len < WIRE_IP4_HEADER_MIN)
		r->bad = true;
	rd_skip(r, header_len - WIRE_IP4_HEADER_MIN);
	return (fragment & 0x1fff) != 0 ? 0 : protocol;
}

/* Our own packets have no extension headers, unless the kernel fragmented them: then they were small enough. */
static uint8_t read_ip6(struct rd *r, struct wire_too_big *t)
{
	uint32_t first = rd_u32(r);

	t->quoted_len = WIRE_IP6_HEADER_LEN + (uint32_t)rd_u16(r);
	uint8_t protocol = rd_u8(r);
	rd_skip(r, 1);
	t->src.addr = addr_from_bytes(rd_bytes(r, 16));
	t->dst.addr = addr_from_bytes(rd_bytes(r, 16));
	if (first >> 28 != 6)
		r->bad = true;
	return protocol;
}

/* RFC 1191 7: MTUs of links that there are. A router of before it names none: the next one below the packet that was too big. */
static uint32_t guess_mtu(uint32_t len)
{
	static const uint16_t plateaus[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508 };

	for (size_t i = 0; i < ARRAY_LEN(plateaus); i++)
		if (plateaus[i] < len)
			return plateaus[i];
	return 0;
}

MUST_USE enum err wire_too_big_parse(uint8_t version, struct bytes message, struct wire_too_big *ret)
{
	struct rd r = rd_of(message);
	struct wire_too_big t = { 0 };

	enum err e = read_icmp(version, &r, &t);
	if (e != ERR_NONE)
		return e;
	if (version == 4 && wire_checksum(message, 0) != 0xffff)
		return ERR_SYNTAX;
	uint8_t protocol = version == 6 ? read_ip6(&r, &t) : read_ip4(&r, &t);
	if (protocol == IP_PROTO_UDP) {
		t.udp = true;
		t.src.port = rd_u16(&r);
		t.dst.port = rd_u16(&r);
		rd_skip(&r, 4); /* length, checksum */
	} else if (protocol != IP_PROTO_ESP) {
		return ERR_SYNTAX;
	}
	t.spi = rd_u32(&r);
	if (version == 4 && t.mtu == 0)
		t.mtu = guess_mtu(t.quoted_len);
	/* What fits cannot have been too big. */
	if (r.bad || t.spi < WIRE_ESP_SPI_MIN || t.quoted_len <= t.mtu)
		return ERR_SYNTAX;
	*ret = t;
	return ERR_NONE;
}
