// Inner packets: made, changed, looked at.
#pragma once

#include "rig.h"

static inline void rig_parse(struct rig_packet *p)
{
	assert_int_equal(wire_ip_parse(bytes_of(p->b, p->len), &p->ip), ERR_NONE);
	assert_int_equal(p->ip.total_len, p->len);
	if (p->ip.version == 4)
		assert_true(wire_ip4_checksum_ok(bytes_of(p->b, p->ip.header_len)));
}

/* UDP from src to dst with so many bytes in all. */
static inline void rig_make_udp(struct rig_packet *p, const char *src, const char *dst, size_t len)
{
	struct addr s = rig_addr(src), d = rig_addr(dst);
	struct wr w = wr_of(SPACE_OF(p->b));

	if (s.family == ADDR_V4) {
		wr_u8(&w, 0x45);
		wr_u8(&w, 0);
		wr_u16(&w, (uint16_t)len);
		wr_u32(&w, 0x12340000);
		wr_u8(&w, 64);
		wr_u8(&w, IP_PROTO_UDP);
		wr_u16(&w, 0);
	} else {
		wr_u32(&w, 6u << 28);
		wr_u16(&w, (uint16_t)(len - 40));
		wr_u8(&w, IP_PROTO_UDP);
		wr_u8(&w, 64);
	}
	wr_put(&w, addr_bytes(&s));
	wr_put(&w, addr_bytes(&d));
	size_t udp = len - wr_len(&w);
	wr_u16(&w, 1000);
	wr_u16(&w, 2000);
	wr_u16(&w, (uint16_t)udp);
	wr_u16(&w, 0);
	while (wr_len(&w) < len)
		wr_u8(&w, (uint8_t)wr_len(&w));
	assert_false(w.bad);
	p->len = len;
	if (s.family == ADDR_V4)
		wr_set_u16(&w, 10, (uint16_t)~wire_checksum(bytes_of(p->b, 20), 0));
	rig_parse(p);
}

/* Changes a byte of an IPv4 header and mends its sum. */
static inline void rig_set4(struct rig_packet *p, size_t at, uint8_t value)
{
	p->b[at] = value;
	p->b[10] = p->b[11] = 0;
	uint16_t sum = (uint16_t)~wire_checksum(bytes_of(p->b, 20), 0);
	p->b[10] = (uint8_t)(sum >> 8);
	p->b[11] = (uint8_t)sum;
}

static inline void rig_make_echo(struct rig_packet *p, const char *src, const char *dst)
{
	struct addr s = rig_addr(src), d = rig_addr(dst);
	assert_int_equal(
		wire_icmp_echo_build(&s, &d, 7, 9, bytes_str("are you there?"), SPACE_OF(p->b), &p->len),
		ERR_NONE);
	rig_parse(p);
}

/* An ICMP message: its type and code, the word behind the checksum, and that it quotes the packet. */
static inline void rig_assert_icmp(const struct rig_packet *e, const char *from, uint8_t type, uint8_t code,
				   uint32_t word, const struct rig_packet *about)
{
	struct addr want = rig_addr(from);
	struct rd r = rd_of(e->ip.payload);

	assert_int_equal(e->ip.protocol, e->ip.version == 4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6);
	assert_true(addr_eq(&e->ip.src, &want));
	assert_true(addr_eq(&e->ip.dst, &about->ip.src));
	assert_int_equal(rd_u8(&r), type);
	assert_int_equal(rd_u8(&r), code);
	rd_skip(&r, 2);
	assert_int_equal(rd_u32(&r), word);
	/* The addresses of what was refused stand in the quotation. */
	struct bytes quote = rd_rest(&r);
	assert_true(quote.len >= about->ip.header_len);
	assert_memory_equal(quote.p + 12, about->b + 12, 8);
}
