#include "wire/ip.h"

#include "wire_test.h"

/* ---- packets ---- */

/* A v4 UDP packet of 32 bytes: 10.1.2.3:4660 to 192.0.2.9:22136, four bytes of data. */
static const uint8_t udp4[] = {
	0x45, 0xb8, 0, 32, 0x12, 0x34, 0x40, 0, 64, 17, 0x59, 0xd4, 10, 1, 2, 3, 192, 0, 2, 9,
	0x12, 0x34, 0x56, 0x78, 0, 12, 0, 0, 1, 2, 3, 4,
};

/* Writes a v6 packet whose payload is given. */
static struct bytes put_v6(struct wr *w, uint8_t next, struct bytes payload)
{
	struct addr src = addr_of("2001:db8::1"), dst = addr_of("2001:db8::2");

	wr_u32(w, 0x6b800000);
	wr_u16(w, (uint16_t)payload.len);
	wr_u8(w, next);
	wr_u8(w, 64);
	wr_put(w, addr_bytes(&src));
	wr_put(w, addr_bytes(&dst));
	wr_put(w, payload);
	assert_false(w->bad);
	return wr_bytes(w);
}

/* Parses a copy of exactly that size; on failure the view must be as it was. */
static enum err parse(struct bytes packet, struct wire_ip *ret)
{
	struct wire_ip ip, before;
	struct bytes copy = exact_copy(packet);

	memset(&ip, 0xa5, sizeof(ip));
	memset(&before, 0xa5, sizeof(before));
	enum err e = wire_ip_parse(copy, &ip);
	if (e != ERR_NONE)
		assert_memory_equal(&ip, &before, sizeof(ip));
	else if (ret != NULL)
		*ret = ip;
	exact_free(copy); /* callers look at numbers and addresses only */
	return e;
}

static enum err parse_v6(uint8_t next, struct bytes payload, struct wire_ip *ret)
{
	static uint8_t room[70000];
	struct wr w = wr_of(SPACE_OF(room));
	return parse(put_v6(&w, next, payload), ret);
}

#define PARSE_V6(next, ret, ...) parse_v6(next, BYTES_OF(((uint8_t[]){ __VA_ARGS__ })), ret)

/* ---- v4 ---- */

static void v4_header_is_read_field_by_field(void **state)
{
	struct wire_ip ip;
	struct addr src = addr_of("10.1.2.3"), dst = addr_of("192.0.2.9");

	(void)state;
	assert_int_equal(wire_ip_parse(BYTES_OF(udp4), &ip), ERR_NONE);
	assert_int_equal(ip.version, 4);
	assert_int_equal(ip.tos, 0xb8);
	assert_int_equal(ip.ttl, 64);
	assert_int_equal(ip.protocol, IP_PROTO_UDP);
	assert_true(ip.dont_fragment);
	assert_false(ip.more_fragments);
	assert_int_equal(ip.fragment_offset, 0);
	assert_true(addr_eq(&ip.src, &src) && addr_eq(&ip.dst, &dst));
	assert_int_equal(ip.header_len, 20);
	assert_int_equal(ip.total_len, 32);
	assert_bytes(ip.payload, udp4 + 20, 12);
}

static void each_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(udp4); n++)
		assert_int_equal(parse(bytes_of(udp4, n), NULL), ERR_SHORT);
}

static void other_versions_are_refused(void **state)
{
	uint8_t packet[sizeof(udp4)];

	(void)state;
	memcpy(packet, udp4, sizeof(packet));
	for (unsigned v = 0; v < 16; v++) {
		packet[0] = (uint8_t)(v << 4 | 5);
		if (v != 4 && v != 6)
			assert_int_equal(parse(BYTES_OF(packet), NULL), ERR_VERSION);
	}
}

static void bytes_behind_the_total_length_are_ignored(void **state)
{
	uint8_t packet[sizeof(udp4) + 14] = { 0 };
	struct wire_ip ip;

	(void)state;
	memcpy(packet, udp4, sizeof(udp4));
	assert_int_equal(parse(BYTES_OF(packet), &ip), ERR_NONE);
	assert_int_equal(ip.total_len, sizeof(udp4));
	assert_int_equal(ip.payload.len, 12);
}

static void v4_lengths_that_contradict_each_other_are_refused(void **state)
{
	uint8_t packet[sizeof(udp4)];

	(void)state;
	memcpy(packet, udp4, sizeof(packet));
	for (unsigned words = 0; words < 16; words++) {
		packet[0] = (uint8_t)(0x40 | words);
		assert_int_equal(parse(BYTES_OF(packet), NULL),
				 words < 5 || words > 8 ? ERR_SYNTAX : ERR_NONE);
	}
	packet[0] = 0x45;
	for (unsigned total = 0; total <= UINT16_MAX; total++) {
		packet[2] = (uint8_t)(total >> 8);
		packet[3] = (uint8_t)total;
		enum err want = total < 20 ? ERR_SYNTAX : total <= 32 ? ERR_NONE : ERR_SHORT;
		assert_int_equal(parse(BYTES_OF(packet), NULL), want);
	}
}

static void v4_options_belong_to_the_header(void **state)
{
	uint8_t packet[sizeof(udp4)];
	struct wire_ip ip;

	(void)state;
	memcpy(packet, udp4, sizeof(packet));
	packet[0] = 0x48;
	assert_int_equal(parse(BYTES_OF(packet), &ip), ERR_NONE);
	assert_int_equal(ip.header_len, 32);
	assert_int_equal(ip.payload.len, 0);
}

static void v4_fragments_are_told_by_flag_and_offset(void **state)
{
	uint8_t packet[sizeof(udp4)];
	struct wire_ip ip;

	(void)state;
	memcpy(packet, udp4, sizeof(packet));
	packet[6] = 0x20;
	packet[7] = 3;
	assert_int_equal(parse(BYTES_OF(packet), &ip), ERR_NONE);
	assert_true(ip.more_fragments);
	assert_false(ip.dont_fragment);
	assert_int_equal(ip.fragment_offset, 24);
	packet[6] = 0x1f;
	packet[7] = 0xff; /* 65528 + 12: beyond what a packet can be */
	assert_int_equal(parse(BYTES_OF(packet), NULL), ERR_SYNTAX);
}

/* ---- v6 ---- */

static void v6_header_is_read_field_by_field(void **state)
{
	struct wire_ip ip;
	struct addr src = addr_of("2001:db8::1");

	(void)state;
	assert_int_equal(PARSE_V6(IP_PROTO_UDP, &ip, 1, 2, 3, 4), ERR_NONE);
	assert_int_equal(ip.version, 6);
	assert_int_equal(ip.tos, 0xb8);
	assert_int_equal(ip.ttl, 64);
	assert_int_equal(ip.protocol, IP_PROTO_UDP);
	assert_true(ip.dont_fragment);
	assert_true(addr_eq(&ip.src, &src));
	assert_int_equal(ip.header_len, 40);
	assert_int_equal(ip.total_len, 44);
	assert_int_equal(ip.payload.len, 4);
}

static void v6_truncations_are_refused(void **state)
{
	uint8_t room[64];
	struct wr w = wr_of(SPACE_OF(room));
	struct bytes packet = put_v6(&w, IP_PROTO_UDP, bytes_str("12345678"));

	(void)state;
	for (size_t n = 0; n < packet.len; n++)
		assert_int_equal(parse(bytes_of(packet.p, n), NULL), ERR_SHORT);
}

static void v6_extension_headers_belong_to_the_header(void **state)
{
	struct wire_ip ip;

	(void)state;
	/* hop by hop (8), destination (16), AH (16), then UDP. */
	assert_int_equal(PARSE_V6(0, &ip, 60, 0, 0, 0, 0, 0, 0, 0,
				  51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				  17, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				  9, 9, 9, 9), ERR_NONE);
	assert_int_equal(ip.protocol, IP_PROTO_UDP);
	assert_int_equal(ip.header_len, 80);
	assert_int_equal(ip.payload.len, 4);
}

static void v6_extension_headers_that_leave_the_packet_are_refused(void **state)
{
	static const uint8_t kinds[] = { 0, 43, 44, 51, 60, 135, 139, 140 };
	uint8_t ext[16] = { 59 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (size_t n = 0; n < 8; n++)
			assert_int_equal(parse_v6(kinds[i], bytes_of(ext, n), NULL), ERR_SYNTAX);
		if (kinds[i] == 44) /* of fixed size */
			continue;
		ext[1] = 0xff;
		assert_int_equal(parse_v6(kinds[i], BYTES_OF(ext), NULL), ERR_SYNTAX);
		ext[1] = 0;
		assert_int_equal(parse_v6(kinds[i], BYTES_OF(ext), NULL), ERR_NONE);
	}
}

static void v6_hop_by_hop_stands_first_only(void **state)
{
	(void)state;
	assert_int_equal(PARSE_V6(60, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 59, 0, 0, 0, 0, 0, 0, 0), ERR_SYNTAX);
}

static void v6_extension_chain_ends_at_the_cap(void **state)
{
	uint8_t chain[8 * (WIRE_IP6_EXTENSIONS_MAX + 1)] = { 0 };

	(void)state;
	for (size_t cnt = 1; cnt <= WIRE_IP6_EXTENSIONS_MAX + 1; cnt++) {
		for (size_t i = 0; i < cnt; i++)
			chain[8 * i] = i + 1 == cnt ? 59 : 60;
		assert_int_equal(parse_v6(60, bytes_of(chain, 8 * cnt), NULL),
				 cnt > WIRE_IP6_EXTENSIONS_MAX ? ERR_SYNTAX : ERR_NONE);
	}
}

static void v6_first_fragment_shows_its_transport(void **state)
{
	struct wire_ip ip;

	(void)state;
	assert_int_equal(PARSE_V6(44, &ip, 60, 0, 0, 1, 0, 0, 0, 9, 17, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4),
			 ERR_NONE);
	assert_int_equal(ip.protocol, IP_PROTO_UDP);
	assert_true(ip.more_fragments);
	assert_int_equal(ip.fragment_offset, 0);
	assert_int_equal(ip.header_len, 56);
}

static void v6_later_fragment_ends_the_chain(void **state)
{
	struct wire_ip ip;
	uint16_t src, dst;

	(void)state;
	/* Offset 8; what follows looks like extension headers and is not. */
	assert_int_equal(PARSE_V6(44, &ip, 60, 0, 0, 8, 0, 0, 0, 9, 17, 0xff, 0, 0), ERR_NONE);
	assert_int_equal(ip.fragment_offset, 8);
	assert_false(ip.more_fragments);
	assert_int_equal(ip.header_len, 48);
	assert_int_equal(PARSE_V6(44, &ip, 17, 0, 0, 8, 0, 0, 0, 9, 1, 2, 3, 4), ERR_NONE);
	assert_false(wire_ports(&ip, &src, &dst));
}

static void v6_fragments_that_cannot_be_are_refused(void **state)
{
	(void)state;
	/* Two fragment headers; one that would end beyond 65535. */
	assert_int_equal(PARSE_V6(44, NULL, 44, 0, 0, 1, 0, 0, 0, 9, 17, 0, 0, 1, 0, 0, 0, 9), ERR_SYNTAX);
	assert_int_equal(PARSE_V6(44, NULL, 17, 0, 0xff, 0xf8, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8),
			 ERR_SYNTAX);
	assert_int_equal(PARSE_V6(44, NULL, 17, 0, 0xff, 0xf8, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7), ERR_NONE);
}

/* Also with extension headers behind the fragment header, which the first fragment alone shows. */
static void fragments_of_a_datagram_have_its_number_and_their_part_of_it(void **state)
{
	uint8_t packet[sizeof(udp4)], room[128];
	static const uint8_t first[] = { 60, 0, 0, 1, 0, 1, 2, 9, 17, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 },
			     later[] = { 17, 0, 0, 16, 0, 1, 2, 9, 1, 2, 3 }, atomic[] = { 17, 0, 0, 0, 0, 1, 2, 9, 1, 2, 3 },
			     behind[] = { 44, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 1, 0, 1, 2, 9, 1, 2, 3, 4, 5, 6, 7, 8 };
	const struct { uint8_t next; struct bytes b; bool is; uint32_t len; } cases[] = {
		{ 44, BYTES_OF(first), true, 16 }, { 44, BYTES_OF(later), true, 3 }, { 44, BYTES_OF(atomic), false, 0 },
		{ 60, BYTES_OF(behind), false, 0 },
	};
	struct wire_ip_fragment f;
	struct wire_ip ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wr w = wr_of(SPACE_OF(room));
		const struct bytes p = put_v6(&w, cases[i].next, cases[i].b);
		assert_int_equal(parse(p, &ip), ERR_NONE);
		assert_int_equal(wire_ip_fragment(p, &ip, &f), cases[i].is);
		assert_true(!cases[i].is || (f.id == 0x00010209 && f.len == cases[i].len));
	}
	memcpy(packet, udp4, sizeof(packet));
	packet[4] = 0x12;
	packet[5] = 0x34;
	packet[6] = 0;
	packet[7] = 0;
	assert_int_equal(parse(BYTES_OF(packet), &ip), ERR_NONE);
	assert_false(wire_ip_fragment(BYTES_OF(packet), &ip, &f));
	packet[7] = 3;
	assert_int_equal(parse(BYTES_OF(packet), &ip), ERR_NONE);
	assert_true(wire_ip_fragment(BYTES_OF(packet), &ip, &f) && f.id == 0x1234 && f.len == 12);
}

/* ---- checksums ---- */

static void checksum_is_the_example_of_rfc_1071(void **state)
{
	static const uint8_t example[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(wire_checksum(BYTES_OF(example), 0), 0xddf2);
	assert_int_equal(wire_checksum(bytes_of(example, 7), 0), 0xdcfb); /* the last byte is an upper half */
	assert_int_equal(wire_checksum(bytes_of(example + 4, 4), wire_checksum(bytes_of(example, 4), 0)),
			 0xddf2);
	assert_int_equal(wire_checksum(bytes_of(example, 0), 0x1ffff), 1);
}

static void checksum_equals_the_plain_sum_of_words(void **state)
{
	uint8_t data[700];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 151 + i / 7 * 31 + 200);
	for (size_t n = 0; n <= sizeof(data); n++) {
		uint32_t sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
		while (sum > 0xffff)
			sum = (sum & 0xffff) + (sum >> 16);
		assert_int_equal(wire_checksum(bytes_of(data, n), 0), sum);
	}
}

static void header_checksum_notices_a_flipped_bit(void **state)
{
	uint8_t header[20];

	(void)state;
	assert_true(wire_ip4_checksum_ok(bytes_of(udp4, 20)));
	for (size_t bit = 0; bit < 160; bit++) {
		memcpy(header, udp4, sizeof(header));
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(wire_ip4_checksum_ok(BYTES_OF(header)));
	}
	assert_false(wire_ip4_checksum_ok(bytes_of(header, 0)));
}

/* ---- what a router does ---- */

static void ttl_is_lowered_and_the_checksum_stays_right(void **state)
{
	uint8_t packet[sizeof(udp4)];
	struct wire_ip ip;

	(void)state;
	memcpy(packet, udp4, sizeof(packet));
	for (unsigned ttl = 64; ttl > 0; ttl--) {
		assert_int_equal(wire_ip_parse(BYTES_OF(packet), &ip), ERR_NONE);
		assert_int_equal(ip.ttl, ttl);
		assert_true(wire_ip4_checksum_ok(bytes_of(packet, 20)));
		wire_ip_decrement_ttl(SPACE_OF(packet));
	}
	assert_int_equal(packet[8], 0);
	assert_memory_equal(packet + 12, udp4 + 12, sizeof(udp4) - 12);
}

/* RFC 1624 2: the older equation went wrong where the sum becomes 0xffff. */
static void ttl_is_lowered_right_for_every_checksum(void **state)
{
	uint8_t packet[20];

	(void)state;
	for (unsigned id = 0; id <= UINT16_MAX; id++) {
		memcpy(packet, udp4, sizeof(packet));
		packet[3] = 20;
		packet[4] = (uint8_t)(id >> 8);
		packet[5] = (uint8_t)id;
		packet[10] = packet[11] = 0;
		uint16_t sum = (uint16_t)~wire_checksum(BYTES_OF(packet), 0);
		packet[10] = (uint8_t)(sum >> 8);
		packet[11] = (uint8_t)sum;
		wire_ip_decrement_ttl(SPACE_OF(packet));
		uint16_t got = (uint16_t)(packet[10] << 8 | packet[11]);
		packet[10] = packet[11] = 0;
		assert_int_equal(got, (uint16_t)~wire_checksum(BYTES_OF(packet), 0));
	}
}

static void hop_limit_is_lowered_and_nothing_else(void **state)
{
	uint8_t room[48], before[48];
	struct wr w = wr_of(SPACE_OF(room));

	(void)state;
	put_v6(&w, IP_PROTO_UDP, bytes_str("12345678"));
	memcpy(before, room, sizeof(room));
	wire_ip_decrement_ttl(SPACE_OF(room));
	before[7] = 63;
	assert_memory_equal(room, before, sizeof(room));
}

static void ports_are_those_of_tcp_udp_and_sctp(void **state)
{
	uint8_t packet[sizeof(udp4)];
	struct wire_ip ip;
	uint16_t src = 7, dst = 7;

	(void)state;
	memcpy(packet, udp4, sizeof(packet));
	for (unsigned protocol = 0; protocol < 256; protocol++) {
		packet[9] = (uint8_t)protocol;
		assert_int_equal(wire_ip_parse(BYTES_OF(packet), &ip), ERR_NONE);
		assert_int_equal(wire_ports(&ip, &src, &dst),
				 protocol == 6 || protocol == 17 || protocol == 132);
	}
	assert_int_equal(src, 0x1234);
	assert_int_equal(dst, 0x5678);
	packet[9] = 17;
	packet[3] = 23; /* three bytes of payload */
	src = 7;
	assert_int_equal(wire_ip_parse(BYTES_OF(packet), &ip), ERR_NONE);
	assert_false(wire_ports(&ip, &src, &dst));
	assert_int_equal(src, 7);
	packet[3] = 32;
	packet[7] = 1; /* a later fragment */
	assert_int_equal(wire_ip_parse(BYTES_OF(packet), &ip), ERR_NONE);
	assert_false(wire_ports(&ip, &src, &dst));
}

/* ---- flow hash ---- */

static uint32_t hash_of(const uint8_t *packet)
{
	struct wire_ip ip;
	assert_int_equal(wire_ip_parse(bytes_of(packet, sizeof(udp4)), &ip), ERR_NONE);
	return wire_flow_hash(&ip);
}

static void flow_hash_depends_on_the_flow_alone(void **state)
{
	static const size_t within[] = { 1, 4, 5, 8, 24, 28, 31 }; /* tos, id, ttl, length, data */
	static const size_t between[] = { 9, 12, 15, 16, 19, 20, 23 }; /* protocol, addresses, ports */
	uint8_t packet[sizeof(udp4)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(within); i++) {
		memcpy(packet, udp4, sizeof(packet));
		packet[within[i]] ^= 1;
		assert_int_equal(hash_of(packet), hash_of(udp4));
	}
	for (size_t i = 0; i < ARRAY_LEN(between); i++) {
		memcpy(packet, udp4, sizeof(packet));
		packet[between[i]] ^= 1;
		assert_int_not_equal(hash_of(packet), hash_of(udp4));
	}
}

static void flow_hash_of_all_fragments_is_one(void **state)
{
	uint8_t first[sizeof(udp4)], later[sizeof(udp4)];

	(void)state;
	memcpy(first, udp4, sizeof(first));
	memcpy(later, udp4, sizeof(later));
	first[6] = 0x20;
	later[6] = 0;
	later[7] = 9;
	later[20] = 0xee;
	assert_int_equal(hash_of(first), hash_of(later));
}

static void flow_hash_spreads_neighbouring_ports(void **state)
{
	enum { BUCKETS = 8, FLOWS = 8000 };
	uint8_t packet[sizeof(udp4)];
	unsigned cnt[BUCKETS] = { 0 };

	(void)state;
	memcpy(packet, udp4, sizeof(packet));
	for (unsigned i = 0; i < FLOWS; i++) {
		packet[20] = (uint8_t)(i >> 8);
		packet[21] = (uint8_t)i;
		cnt[hash_of(packet) % BUCKETS]++;
	}
	for (unsigned i = 0; i < BUCKETS; i++)
		assert_in_range(cnt[i], FLOWS / BUCKETS * 8 / 10, FLOWS / BUCKETS * 12 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v4_header_is_read_field_by_field),
		cmocka_unit_test(each_truncation_is_refused),
		cmocka_unit_test(other_versions_are_refused),
		cmocka_unit_test(bytes_behind_the_total_length_are_ignored),
		cmocka_unit_test(v4_lengths_that_contradict_each_other_are_refused),
		cmocka_unit_test(v4_options_belong_to_the_header),
		cmocka_unit_test(v4_fragments_are_told_by_flag_and_offset),
		cmocka_unit_test(v6_header_is_read_field_by_field),
		cmocka_unit_test(v6_truncations_are_refused),
		cmocka_unit_test(v6_extension_headers_belong_to_the_header),
		cmocka_unit_test(v6_extension_headers_that_leave_the_packet_are_refused),
		cmocka_unit_test(v6_hop_by_hop_stands_first_only),
		cmocka_unit_test(v6_extension_chain_ends_at_the_cap),
		cmocka_unit_test(v6_first_fragment_shows_its_transport),
		cmocka_unit_test(v6_later_fragment_ends_the_chain),
		cmocka_unit_test(v6_fragments_that_cannot_be_are_refused),
		cmocka_unit_test(fragments_of_a_datagram_have_its_number_and_their_part_of_it),
		cmocka_unit_test(checksum_is_the_example_of_rfc_1071),
		cmocka_unit_test(checksum_equals_the_plain_sum_of_words),
		cmocka_unit_test(header_checksum_notices_a_flipped_bit),
		cmocka_unit_test(ttl_is_lowered_and_the_checksum_stays_right),
		cmocka_unit_test(ttl_is_lowered_right_for_every_checksum),
		cmocka_unit_test(hop_limit_is_lowered_and_nothing_else),
		cmocka_unit_test(ports_are_those_of_tcp_udp_and_sctp),
		cmocka_unit_test(flow_hash_depends_on_the_flow_alone),
		cmocka_unit_test(flow_hash_of_all_fragments_is_one),
		cmocka_unit_test(flow_hash_spreads_neighbouring_ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
