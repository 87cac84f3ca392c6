#include "wire/icmp.h"

#include "wire_test.h"

enum { SPI = 0xc1d2e3f4, MTU = 1320 };

struct quote {
	uint8_t version, protocol;
	uint16_t len;              /* of the packet, by its header */
	uint16_t fragment;         /* v4: the word of flags and offset */
	uint32_t spi;
	size_t visible;            /* bytes behind the IP header that the router quotes */
};

static const char *const ours[] = { "198.51.100.1", "2001:db8:1::1" };
static const char *const peers[] = { "203.0.113.2", "2001:db8:a::2" };

static void put_quote(struct wr *w, const struct quote *q)
{
	struct addr src = addr_of(ours[q->version == 6]), dst = addr_of(peers[q->version == 6]);
	uint8_t room[24] = { 0 };
	struct wr body = wr_of(SPACE_OF(room));

	if (q->version == 4) {
		wr_u16(w, 0x4500);
		wr_u16(w, q->len);
		wr_u16(w, 1);
		wr_u16(w, q->fragment);
		wr_u32(w, 60u << 24 | (uint32_t)q->protocol << 16);
	} else {
		wr_u32(w, 6u << 28);
		wr_u16(w, (uint16_t)(q->len - 40));
		wr_u16(w, (uint16_t)(q->protocol << 8 | 60));
	}
	wr_put(w, addr_bytes(&src));
	wr_put(w, addr_bytes(&dst));
	if (q->protocol == IP_PROTO_UDP) {
		wr_u16(&body, 4500);
		wr_u16(&body, 61000);
		wr_u32(&body, 0);
	}
	wr_u32(&body, q->spi);
	wr_u32(&body, 7);
	wr_put(w, bytes_of(room, q->visible));
}

static struct bytes build(uint8_t *room, size_t cap, const struct quote *q, uint32_t mtu)
{
	struct wr w = wr_of((struct space){ room, cap });

	wr_u16(&w, q->version == 6 ? 0x0200 : 0x0304);
	wr_u16(&w, 0);
	wr_u32(&w, mtu);
	put_quote(&w, q);
	assert_false(w.bad);
	wr_set_u16(&w, 2, (uint16_t)~wire_checksum(wr_bytes(&w), 0));
	return wr_bytes(&w);
}

static enum err parse(const struct quote *q, uint32_t mtu, struct wire_too_big *ret)
{
	uint8_t room[128];
	struct bytes message = exact_copy(build(room, sizeof(room), q, mtu));
	enum err e = wire_too_big_parse(q->version, message, ret);

	exact_free(message);
	return e;
}

static void the_packet_it_quotes_is_found_however_esp_travels(void **state)
{
	static const struct quote quotes[] = {
		{ 4, IP_PROTO_UDP, 1464, 0x4000, SPI, 16 }, { 4, IP_PROTO_UDP, 1464, 0x4000, SPI, 12 },
		{ 4, IP_PROTO_ESP, 1464, 0x4000, SPI, 8 },  { 6, IP_PROTO_UDP, 1484, 0, SPI, 16 },
		{ 6, IP_PROTO_ESP, 1484, 0, SPI, 8 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
		const struct quote *q = &quotes[i];
		struct addr src = addr_of(ours[q->version == 6]), dst = addr_of(peers[q->version == 6]);
		struct wire_too_big t = { 0 };
		assert_int_equal(parse(q, MTU, &t), ERR_NONE);
		assert_int_equal(t.mtu, MTU);
		assert_int_equal(t.spi, SPI);
		assert_int_equal(t.quoted_len, q->len);
		assert_true(addr_eq(&t.src.addr, &src) && addr_eq(&t.dst.addr, &dst));
		assert_int_equal(t.udp, q->protocol == IP_PROTO_UDP);
		assert_int_equal(t.src.port, t.udp ? 4500 : 0);
		assert_int_equal(t.dst.port, t.udp ? 61000 : 0);
	}
}

static void what_shows_no_spi_of_a_packet_that_was_too_big_is_refused(void **state)
{
	static const struct quote quotes[] = {
		{ 4, IP_PROTO_UDP, 1464, 0x4000, SPI, 8 },   /* no more than RFC 792 asks for */
		{ 4, IP_PROTO_UDP, 1464, 0x4000, SPI, 11 },
		{ 4, IP_PROTO_ESP, 1464, 0x4000, SPI, 3 },
		{ 4, IP_PROTO_ESP, 1464, 0x00b9, SPI, 8 },   /* a later fragment */
		{ 4, IP_PROTO_TCP, 1464, 0x4000, SPI, 16 },
		{ 4, IP_PROTO_ESP, 1464, 0x4000, 255, 8 },   /* no SPI that anybody may choose */
		{ 4, IP_PROTO_UDP, 1464, 0x4000, 0, 16 },    /* IKE */
		{ 4, IP_PROTO_ESP, MTU, 0x4000, SPI, 8 },    /* fits */
		{ 6, IP_PROTO_ESP, MTU, 0, SPI, 8 },
		{ 6, 44, 1484, 0, SPI, 16 },
	};
	struct wire_too_big t = { .spi = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(quotes); i++)
		assert_int_equal(parse(&quotes[i], MTU, &t), ERR_SYNTAX);
	assert_int_equal(t.spi, 77);
}

static void every_cut_of_a_message_is_refused(void **state)
{
	static const struct quote quotes[] = { { 4, IP_PROTO_UDP, 1464, 0x4000, SPI, 12 }, { 6, IP_PROTO_ESP, 1484, 0, SPI, 4 } };
	struct wire_too_big t;
	uint8_t room[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
		struct bytes whole = build(room, sizeof(room), &quotes[i], MTU);
		for (size_t n = 0; n < whole.len; n++) {
			struct bytes cut = exact_copy(bytes_of(whole.p, n));
			assert_int_not_equal(wire_too_big_parse(quotes[i].version, cut, &t), ERR_NONE);
			exact_free(cut);
		}
	}
}

static void other_messages_and_wrong_checksums_are_told_apart(void **state)
{
	const struct quote q = { 4, IP_PROTO_ESP, 1464, 0x4000, SPI, 8 };
	struct wire_too_big t;
	uint8_t room[128];
	struct bytes m = build(room, sizeof(room), &q, MTU);

	(void)state;
	room[1] = 3; /* port unreachable */
	assert_int_equal(wire_too_big_parse(4, m, &t), ERR_RANGE);
	room[1] = 4;
	assert_int_equal(wire_too_big_parse(4, m, &t), ERR_NONE);
	assert_int_equal(wire_too_big_parse(6, m, &t), ERR_RANGE);
	room[7] ^= 1;
	assert_int_equal(wire_too_big_parse(4, m, &t), ERR_SYNTAX);
}

static void a_router_that_names_no_mtu_means_the_next_plateau(void **state)
{
	const struct quote q = { 4, IP_PROTO_ESP, 1464, 0x4000, SPI, 8 }, tiny = { 4, IP_PROTO_ESP, 500, 0x4000, SPI, 8 };
	struct wire_too_big t;

	(void)state;
	assert_int_equal(parse(&q, 0, &t), ERR_NONE);
	assert_int_equal(t.mtu, 1006);
	/* The upper half of the word is not the MTU's in IPv4. */
	assert_int_equal(parse(&q, 0xffff0000u + MTU, &t), ERR_NONE);
	assert_int_equal(t.mtu, MTU);
	assert_int_equal(parse(&tiny, 0, &t), ERR_NONE);
	assert_int_equal(t.mtu, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_packet_it_quotes_is_found_however_esp_travels),
		cmocka_unit_test(what_shows_no_spi_of_a_packet_that_was_too_big_is_refused),
		cmocka_unit_test(every_cut_of_a_message_is_refused),
		cmocka_unit_test(other_messages_and_wrong_checksums_are_told_apart),
		cmocka_unit_test(a_router_that_names_no_mtu_means_the_next_plateau),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
