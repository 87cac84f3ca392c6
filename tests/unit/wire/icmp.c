#include "wire/icmp.h"

#include "wire_test.h"

/* ---- packets ---- */

/* A packet without options and with a right header checksum; its payload is given. */
static size_t build_ip(struct space room, const char *src_text, const char *dst_text, uint8_t protocol,
		       struct bytes payload)
{
	struct addr src = addr_of(src_text), dst = addr_of(dst_text);
	struct wr w = wr_of(room);

	if (src.family == ADDR_V4) {
		wr_u16(&w, 0x4500);
		wr_u16(&w, (uint16_t)(20 + payload.len));
		wr_u32(&w, 0x12344000);
		wr_u32(&w, 7u << 24 | (uint32_t)protocol << 16);
		wr_put(&w, addr_bytes(&src));
		wr_put(&w, addr_bytes(&dst));
		wr_set_u16(&w, 10, (uint16_t)~wire_checksum(wr_bytes(&w), 0));
	} else {
		wr_u32(&w, 6u << 28);
		wr_u16(&w, (uint16_t)payload.len);
		wr_u16(&w, (uint16_t)(protocol << 8 | 7));
		wr_put(&w, addr_bytes(&src));
		wr_put(&w, addr_bytes(&dst));
	}
	wr_put(&w, payload);
	assert_false(w.bad);
	return wr_len(&w);
}

static struct wire_ip parse(struct bytes packet)
{
	struct wire_ip ip;
	assert_int_equal(wire_ip_parse(packet, &ip), ERR_NONE);
	return ip;
}

static bool icmp_checksum_is_right(const struct wire_ip *ip)
{
	uint32_t sum = 0;
	if (ip->version == 6) {
		sum = wire_checksum(addr_bytes(&ip->src), IP_PROTO_ICMP6 + (uint32_t)ip->payload.len);
		sum = wire_checksum(addr_bytes(&ip->dst), sum);
	}
	return wire_checksum(ip->payload, sum) == 0xffff;
}

/* ---- whether an error may be sent ---- */

static bool allowed(const char *src, const char *dst, uint8_t protocol, struct bytes payload)
{
	uint8_t room[256];
	size_t n = build_ip(SPACE_OF(room), src, dst, protocol, payload);
	struct wire_ip ip = parse(bytes_of(room, n));
	return wire_icmp_error_allowed(&ip, bytes_of(room, n));
}

static void errors_are_about_unicast_packets_only(void **state)
{
	static const struct {
		const char *src, *dst;
		bool want;
	} rows[] = {
		{ "10.0.0.1", "192.0.2.1", true },	  { "0.0.0.0", "192.0.2.1", false },
		{ "0.1.2.3", "192.0.2.1", false },	  { "127.0.0.1", "192.0.2.1", false },
		{ "224.0.0.1", "192.0.2.1", false },	  { "240.0.0.1", "192.0.2.1", false },
		{ "255.255.255.255", "192.0.2.1", false }, { "10.0.0.1", "0.0.0.0", false },
		{ "10.0.0.1", "224.0.0.5", false },	  { "10.0.0.1", "255.255.255.255", false },
		{ "2001:db8::1", "2001:db8::2", true },	  { "::", "2001:db8::2", false },
		{ "ff02::1", "2001:db8::2", false },	  { "2001:db8::1", "ff02::1", false },
		{ "2001:db8::1", "::", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (allowed(rows[i].src, rows[i].dst, IP_PROTO_UDP, bytes_str("12345678")) != rows[i].want)
			fail_msg("%s to %s", rows[i].src, rows[i].dst);
	}
}

static void errors_are_never_about_errors(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		const uint8_t payload[] = { (uint8_t)type, 0, 0, 0, 0, 0, 0, 0 };
		bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
		assert_int_equal(allowed("10.0.0.1", "10.0.0.2", IP_PROTO_ICMP, BYTES_OF(payload)), !error4);
		assert_int_equal(allowed("2001:db8::1", "2001:db8::2", IP_PROTO_ICMP6, BYTES_OF(payload)),
				 type >= 128 && type != 137);
	}
	assert_false(allowed("10.0.0.1", "10.0.0.2", IP_PROTO_ICMP, bytes_str("")));
	assert_false(allowed("2001:db8::1", "2001:db8::2", IP_PROTO_ICMP6, bytes_str("")));
	/* The other family's ICMP is nothing special. */
	assert_true(allowed("10.0.0.1", "10.0.0.2", IP_PROTO_ICMP6, bytes_str("\3")));
}

static void errors_are_not_about_later_fragments(void **state)
{
	uint8_t room[64];
	size_t n = build_ip(SPACE_OF(room), "10.0.0.1", "10.0.0.2", IP_PROTO_UDP, bytes_str("12345678"));
	struct wire_ip ip = parse(bytes_of(room, n));

	(void)state;
	ip.more_fragments = true;
	assert_true(wire_icmp_error_allowed(&ip, bytes_of(room, n)));
	ip.fragment_offset = 8;
	assert_false(wire_icmp_error_allowed(&ip, bytes_of(room, n)));
}

static void errors_are_not_about_packets_with_a_wrong_checksum(void **state)
{
	uint8_t room[64];
	size_t n = build_ip(SPACE_OF(room), "10.0.0.1", "10.0.0.2", IP_PROTO_UDP, bytes_str("12345678"));

	(void)state;
	room[15] ^= 4; /* the source is another host's */
	struct wire_ip ip = parse(bytes_of(room, n));
	assert_false(wire_icmp_error_allowed(&ip, bytes_of(room, n)));
}

/* ---- errors ---- */

static void error_has_its_type_and_quotes_the_packet(void **state)
{
	static const struct {
		enum wire_icmp_error kind;
		uint8_t v4[2], v6[2];
		uint32_t word;
	} rows[] = {
		{ WIRE_ICMP_TTL_EXPIRED, { 11, 0 }, { 3, 0 }, 0 },
		{ WIRE_ICMP_NO_ROUTE, { 3, 0 }, { 1, 0 }, 0 },
		{ WIRE_ICMP_HOST_UNREACHABLE, { 3, 1 }, { 1, 3 }, 0 },
		{ WIRE_ICMP_ADMIN, { 3, 13 }, { 1, 1 }, 0 },
		{ WIRE_ICMP_TOO_BIG, { 3, 4 }, { 2, 0 }, 1422 },
	};
	uint8_t packet[128], room[1280];

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const char *src = v6 ? "2001:db8::1" : "10.0.0.1", *dst = v6 ? "2001:db8::2" : "10.0.0.2";
		struct addr from = addr_of(v6 ? "2001:db8::ff" : "10.0.0.254"), to = addr_of(src);
		size_t len, n = build_ip(SPACE_OF(packet), src, dst, IP_PROTO_UDP, bytes_str("12345678abc"));
		struct wire_ip ip = parse(bytes_of(packet, n));
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			/* Bytes behind the packet are not quoted; the MTU is told in TOO_BIG alone. */
			assert_int_equal(wire_icmp_error_build(rows[i].kind, 1422, &from, &ip,
							       BYTES_OF(packet), SPACE_OF(room), &len),
					 ERR_NONE);
			struct wire_ip error = parse(bytes_of(room, len));
			assert_int_equal(error.total_len, len);
			assert_int_equal(error.protocol, v6 ? IP_PROTO_ICMP6 : IP_PROTO_ICMP);
			assert_int_equal(error.ttl, 64);
			assert_int_equal(error.tos, v6 ? 0 : 0xc0);
			assert_true(addr_eq(&error.src, &from) && addr_eq(&error.dst, &to));
			assert_true(icmp_checksum_is_right(&error));
			assert_true(v6 || wire_ip4_checksum_ok(bytes_of(room, 20)));
			assert_memory_equal(error.payload.p, v6 ? rows[i].v6 : rows[i].v4, 2);
			struct rd r = rd_of(error.payload);
			rd_skip(&r, 4);
			assert_int_equal(rd_u32(&r), rows[i].word);
			assert_bytes(rd_rest(&r), packet, n);
			assert_false(wire_icmp_error_allowed(&error, bytes_of(room, len)));
		}
	}
}

static void error_stays_within_its_familys_limit(void **state)
{
	static uint8_t payload[4000], packet[4100];
	uint8_t room[1280];

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t limit = v6 ? WIRE_ICMP_ERROR_MAX : 576, len;
		struct addr from = addr_of(v6 ? "2001:db8::ff" : "10.0.0.254");
		for (size_t extra = 0; extra < sizeof(payload); extra += 13) {
			size_t n = build_ip(SPACE_OF(packet), v6 ? "2001:db8::1" : "10.0.0.1",
					    v6 ? "2001:db8::2" : "10.0.0.2", IP_PROTO_UDP,
					    bytes_of(payload, extra));
			size_t want = n + (v6 ? 48 : 28);
			struct wire_ip ip = parse(bytes_of(packet, n));
			assert_int_equal(wire_icmp_error_build(WIRE_ICMP_TTL_EXPIRED, 0, &from, &ip,
							       bytes_of(packet, n), SPACE_OF(room), &len),
					 ERR_NONE);
			assert_int_equal(len, want < limit ? want : limit);
			struct wire_ip error = parse(bytes_of(room, len));
			assert_true(icmp_checksum_is_right(&error));
		}
	}
}

static void error_tells_too_little_room_and_the_wrong_family(void **state)
{
	uint8_t packet[64];
	size_t len = 77,
	       n = build_ip(SPACE_OF(packet), "10.0.0.1", "10.0.0.2", IP_PROTO_UDP, bytes_str("12345678"));
	struct wire_ip ip = parse(bytes_of(packet, n));
	struct addr from = addr_of("10.0.0.254"), other = addr_of("2001:db8::1"), none = { 0 };

	(void)state;
	for (size_t cap = 0; cap < n + 28; cap++) {
		uint8_t *room = malloc(cap == 0 ? 1 : cap);
		assert_int_equal(wire_icmp_error_build(WIRE_ICMP_ADMIN, 0, &from, &ip, bytes_of(packet, n),
						       (struct space){ room, cap }, &len), ERR_FULL);
		free(room);
	}
	uint8_t room[128];
	assert_int_equal(wire_icmp_error_build(WIRE_ICMP_ADMIN, 0, &other, &ip, bytes_of(packet, n),
					       SPACE_OF(room), &len),
			 ERR_RANGE);
	assert_int_equal(wire_icmp_error_build(WIRE_ICMP_ADMIN, 0, &none, &ip, bytes_of(packet, n),
					       SPACE_OF(room), &len),
			 ERR_RANGE);
	assert_int_equal(len, 77);
}

static void too_big_tells_an_mtu_that_fits_its_field(void **state)
{
	uint8_t packet[64], room[128];
	size_t len,
		n = build_ip(SPACE_OF(packet), "10.0.0.1", "10.0.0.2", IP_PROTO_UDP, bytes_str("12345678"));
	struct wire_ip ip = parse(bytes_of(packet, n));
	struct addr from = addr_of("10.0.0.254");

	(void)state;
	assert_int_equal(wire_icmp_error_build(WIRE_ICMP_TOO_BIG, 0x10000, &from, &ip, bytes_of(packet, n),
					       SPACE_OF(room), &len), ERR_NONE);
	assert_memory_equal(room + 24, "\0\0\xff\xff", 4);
}

/* ---- echo ---- */

static void echo_request_becomes_its_reply(void **state)
{
	static const char *const pairs[][2] = { { "10.0.0.1", "10.0.0.2" },
						{ "2001:db8::1", "2001:db8::2" } };
	uint8_t data[57], room[256];

	(void)state;
	memset(data, 0x77, sizeof(data));
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct addr src = addr_of(pairs[i][0]), dst = addr_of(pairs[i][1]);
		for (size_t n = 0; n <= sizeof(data); n++) {
			size_t len;
			assert_int_equal(wire_icmp_echo_build(&src, &dst, 0x1234, 7, bytes_of(data, n),
							      SPACE_OF(room), &len),
					 ERR_NONE);
			struct wire_ip ip = parse(bytes_of(room, len));
			assert_true(wire_icmp_is_echo_request(&ip));
			wire_icmp_echo_reply(SPACE_OF(room), &ip);
			struct wire_ip reply = parse(bytes_of(room, len));
			assert_true(addr_eq(&reply.src, &dst) && addr_eq(&reply.dst, &src));
			assert_true(icmp_checksum_is_right(&reply));
			assert_true(i == 1 || wire_ip4_checksum_ok(bytes_of(room, 20)));
			assert_false(wire_icmp_is_echo_request(&reply));
			assert_int_equal(reply.payload.p[0], i == 0 ? 0 : 129);
			assert_memory_equal(reply.payload.p + 4, "\x12\x34\0\7", 4);
			assert_int_equal(reply.payload.len, 8 + n);
		}
	}
}

/* A reply that is all zeros needs the checksum 0xffff, which mending alone does not reach. */
static void echo_reply_of_zeros_has_a_right_checksum(void **state)
{
	struct addr src = addr_of("10.0.0.1"), dst = addr_of("10.0.0.2");
	uint8_t room[128], zeros[8] = { 0 };
	size_t len;

	(void)state;
	assert_int_equal(wire_icmp_echo_build(&src, &dst, 0, 0, BYTES_OF(zeros), SPACE_OF(room), &len),
			 ERR_NONE);
	struct wire_ip ip = parse(bytes_of(room, len));
	assert_true(wire_icmp_is_echo_request(&ip));
	wire_icmp_echo_reply(SPACE_OF(room), &ip);
	ip = parse(bytes_of(room, len));
	assert_true(icmp_checksum_is_right(&ip));
}

static void echo_reply_has_a_fresh_ttl(void **state)
{
	struct addr src = addr_of("10.0.0.1"), dst = addr_of("10.0.0.2");
	uint8_t room[128];
	size_t len;

	(void)state;
	assert_int_equal(wire_icmp_echo_build(&src, &dst, 1, 1, bytes_str("x"), SPACE_OF(room), &len),
			 ERR_NONE);
	for (unsigned i = 0; i < 60; i++)
		wire_ip_decrement_ttl((struct space){ room, len });
	struct wire_ip ip = parse(bytes_of(room, len));
	assert_int_equal(ip.ttl, 4);
	wire_icmp_echo_reply((struct space){ room, len }, &ip);
	ip = parse(bytes_of(room, len));
	assert_int_equal(ip.ttl, 64);
	assert_true(wire_ip4_checksum_ok(bytes_of(room, 20)));
}

static void only_whole_and_right_echo_requests_are_answered(void **state)
{
	struct addr src = addr_of("10.0.0.1"), dst = addr_of("10.0.0.2");
	uint8_t good[64], room[64];
	size_t len;

	(void)state;
	assert_int_equal(wire_icmp_echo_build(&src, &dst, 1, 1, bytes_str("abcd"), SPACE_OF(good), &len),
			 ERR_NONE);
	for (size_t at = 20; at < len; at++) { /* checksum, type, code, everything under the sum */
		memcpy(room, good, sizeof(room));
		room[at] ^= 1;
		struct wire_ip ip = parse(bytes_of(room, len));
		assert_false(wire_icmp_is_echo_request(&ip));
	}
	struct wire_ip ip = parse(bytes_of(good, len));
	ip.more_fragments = true;
	assert_false(wire_icmp_is_echo_request(&ip));
	ip = parse(bytes_of(good, len));
	ip.fragment_offset = 8;
	assert_false(wire_icmp_is_echo_request(&ip));
	ip = parse(bytes_of(good, len));
	ip.protocol = IP_PROTO_ICMP6;
	assert_false(wire_icmp_is_echo_request(&ip));
}

static void echo_requests_too_short_or_with_options_are_not_answered(void **state)
{
	uint8_t room[64];

	(void)state;
	for (size_t n = 0; n < 8; n++) {
		static const uint8_t zeros_sum[] = { 8, 0, 0xf7, 0xff, 0, 0, 0 };
		size_t len = build_ip(SPACE_OF(room), "10.0.0.1", "10.0.0.2", IP_PROTO_ICMP,
				      bytes_of(zeros_sum, n));
		struct wire_ip ip = parse(bytes_of(room, len));
		assert_false(wire_icmp_is_echo_request(&ip));
	}
	/* Four bytes of options: the same ICMP message behind them. */
	static const uint8_t with_option[] = { 0x46, 0, 0, 32, 0, 0, 0, 0, 9, 1, 0,    0,    10, 0, 0, 1,
					       10,   0, 0, 2,  1, 1, 1, 1, 8, 0, 0xf7, 0xff, 0,	 0, 0, 0 };
	struct wire_ip ip = parse(BYTES_OF(with_option));
	assert_int_equal(ip.payload.p[0], 8);
	assert_false(wire_icmp_is_echo_request(&ip));
}

static void echo_build_tells_too_little_room_and_mixed_families(void **state)
{
	struct addr v4 = addr_of("10.0.0.1"), v6 = addr_of("2001:db8::1"), none = { 0 };
	static uint8_t data[UINT16_MAX], big[1 << 17];
	uint8_t room[64];
	size_t len = 77;

	(void)state;
	assert_int_equal(wire_icmp_echo_build(&v4, &v6, 1, 1, bytes_str("x"), SPACE_OF(room), &len),
			 ERR_RANGE);
	assert_int_equal(wire_icmp_echo_build(&none, &none, 1, 1, bytes_str("x"), SPACE_OF(room), &len),
			 ERR_RANGE);
	for (size_t cap = 0; cap < 29; cap++)
		assert_int_equal(wire_icmp_echo_build(&v4, &v4, 1, 1, bytes_str("x"),
						      (struct space){ room, cap }, &len),
				 ERR_FULL);
	assert_int_equal(wire_icmp_echo_build(&v4, &v4, 1, 1, BYTES_OF(data), SPACE_OF(big), &len), ERR_FULL);
	assert_int_equal(len, 77);
	assert_int_equal(wire_icmp_echo_build(&v4, &v4, 1, 1, bytes_of(data, 65507), SPACE_OF(big), &len),
			 ERR_NONE);
	assert_int_equal(len, 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_about_unicast_packets_only),
		cmocka_unit_test(errors_are_never_about_errors),
		cmocka_unit_test(errors_are_not_about_later_fragments),
		cmocka_unit_test(errors_are_not_about_packets_with_a_wrong_checksum),
		cmocka_unit_test(error_has_its_type_and_quotes_the_packet),
		cmocka_unit_test(error_stays_within_its_familys_limit),
		cmocka_unit_test(error_tells_too_little_room_and_the_wrong_family),
		cmocka_unit_test(too_big_tells_an_mtu_that_fits_its_field),
		cmocka_unit_test(echo_request_becomes_its_reply),
		cmocka_unit_test(echo_reply_of_zeros_has_a_right_checksum),
		cmocka_unit_test(echo_reply_has_a_fresh_ttl),
		cmocka_unit_test(only_whole_and_right_echo_requests_are_answered),
		cmocka_unit_test(echo_requests_too_short_or_with_options_are_not_answered),
		cmocka_unit_test(echo_build_tells_too_little_room_and_mixed_families),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
