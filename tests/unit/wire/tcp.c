#include "wire/ip.h"

#include "wire_test.h"

enum { SYN = 0x02, SYN_ACK = 0x12, ACK = 0x10 };

/* Builds a TCP packet with right checksums; returns its length. */
static size_t build(uint8_t room[static 128], uint8_t version, uint8_t flags, struct bytes options)
{
	struct addr src = addr_of(version == 4 ? "10.0.0.1" : "2001:db8::1");
	struct addr dst = addr_of(version == 4 ? "10.9.0.2" : "2001:db8::2");
	struct wr w = wr_of((struct space){ room, 128 });
	size_t tcp_len = 20 + options.len;

	if (version == 4) {
		wr_u16(&w, 0x4500);
		wr_u16(&w, (uint16_t)(20 + tcp_len));
		wr_u32(&w, 0);
		wr_u32(&w, 64u << 24 | IP_PROTO_TCP << 16);
	} else {
		wr_u32(&w, 6u << 28);
		wr_u16(&w, (uint16_t)tcp_len);
		wr_u16(&w, IP_PROTO_TCP << 8 | 64);
	}
	wr_put(&w, addr_bytes(&src));
	wr_put(&w, addr_bytes(&dst));
	size_t tcp = wr_len(&w);
	wr_u32(&w, 0xc0de0050);
	wr_u64(&w, 0x0123456789abcdefu);
	wr_u8(&w, (uint8_t)(tcp_len / 4 << 4));
	wr_u8(&w, flags);
	wr_u16(&w, 0xffff);
	wr_u32(&w, 0);
	wr_put(&w, options);
	assert_false(w.bad);
	uint16_t sum = wire_checksum(addr_bytes(&dst),
				     wire_checksum(addr_bytes(&src), IP_PROTO_TCP + (uint32_t)tcp_len));
	wr_set_u16(&w, tcp + 16, (uint16_t)~wire_checksum(bytes_of(room + tcp, tcp_len), sum));
	return wr_len(&w);
}

static bool checksum_is_right(struct bytes packet)
{
	struct wire_ip ip;
	assert_int_equal(wire_ip_parse(packet, &ip), ERR_NONE);
	uint32_t sum = wire_checksum(addr_bytes(&ip.src), IP_PROTO_TCP + (uint32_t)ip.payload.len);
	return wire_checksum(ip.payload, wire_checksum(addr_bytes(&ip.dst), sum)) == 0xffff;
}

static bool clamp(uint8_t *packet, size_t len, uint16_t mss)
{
	struct wire_ip ip;
	struct bytes copy = exact_copy(bytes_of(packet, len));

	assert_int_equal(wire_ip_parse(copy, &ip), ERR_NONE);
	bool changed = wire_tcp_clamp_mss((struct space){ (uint8_t *)(uintptr_t)copy.p, len }, &ip, mss);
	if (!changed)
		assert_memory_equal(copy.p, packet, len);
	memcpy(packet, copy.p, len);
	exact_free(copy);
	return changed;
}

#define BUILD(room, version, flags, ...) build(room, version, flags, BYTES_OF(((uint8_t[]){ __VA_ARGS__ })))

static void mss_of_a_syn_is_lowered_and_the_checksum_stays_right(void **state)
{
	static const uint8_t flags[] = { SYN, SYN_ACK };
	uint8_t packet[128];

	(void)state;
	for (uint8_t version = 4; version <= 6; version += 2) {
		for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
			size_t n = BUILD(packet, version, flags[i], 2, 4, 0x05, 0xb4, 4, 2, 1, 1);
			size_t at = n - 6;
			assert_true(clamp(packet, n, 1360));
			assert_int_equal(packet[at] << 8 | packet[at + 1], 1360);
			assert_true(checksum_is_right(bytes_of(packet, n)));
		}
	}
}

static void mss_that_lies_across_two_words_is_summed_right(void **state)
{
	uint8_t packet[128];

	(void)state;
	for (unsigned mss = 0; mss < 1460; mss++) {
		size_t n = BUILD(packet, 4, SYN, 1, 2, 4, 0x05, 0xb4, 1, 1, 0);
		assert_true(clamp(packet, n, (uint16_t)mss));
		assert_int_equal(packet[43] << 8 | packet[44], mss);
		assert_true(checksum_is_right(bytes_of(packet, n)));
	}
}

static void mss_that_is_low_enough_stays(void **state)
{
	uint8_t packet[128];

	(void)state;
	size_t n = BUILD(packet, 4, SYN, 2, 4, 0x05, 0x50);
	assert_false(clamp(packet, n, 1360));
	assert_false(clamp(packet, n, 65535));
	assert_true(clamp(packet, n, 1359));
}

static void other_packets_are_left_alone(void **state)
{
	uint8_t packet[128];

	(void)state;
	size_t n = BUILD(packet, 4, ACK, 2, 4, 0x05, 0xb4);
	assert_false(clamp(packet, n, 500));
	n = BUILD(packet, 4, SYN, 1, 1, 1, 1);
	assert_false(clamp(packet, n, 500));
	n = build(packet, 4, SYN, bytes_of(packet, 0));
	assert_false(clamp(packet, n, 500));
	n = BUILD(packet, 4, SYN, 2, 4, 0x05, 0xb4);
	packet[9] = IP_PROTO_UDP;
	assert_false(clamp(packet, n, 500));
	packet[9] = IP_PROTO_TCP;
	packet[7] = 1; /* a later fragment */
	assert_false(clamp(packet, n, 500));
}

static void malformed_options_are_left_alone(void **state)
{
	uint8_t packet[128];

	(void)state;
	/* lengths 0 and 1, one beyond the options, a MSS of the wrong length, cut off, behind the end,
	 * twice */
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 8, 0, 1, 1, 2, 4, 5, 0xb4), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 8, 1, 1, 1, 2, 4, 5, 0xb4), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 2, 4, 5, 0xb4, 8, 10, 0, 0), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 2, 3, 5, 0), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 2, 6, 5, 0xb4, 0, 0, 1, 1), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 1, 2, 4, 5), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 1, 1, 1, 2), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 0, 0, 0, 0, 2, 4, 5, 0xb4), 500));
	assert_false(clamp(packet, BUILD(packet, 4, SYN, 2, 4, 5, 0xb4, 2, 4, 5, 0xb4), 500));
}

static void data_offsets_that_lie_are_left_alone(void **state)
{
	uint8_t packet[128];
	size_t n = BUILD(packet, 4, SYN, 2, 4, 0x05, 0xb4);

	(void)state;
	for (unsigned words = 0; words < 16; words++) {
		if (words == 6)
			continue;
		packet[32] = (uint8_t)(words << 4);
		assert_false(clamp(packet, n, 500));
	}
}

static void each_truncation_is_left_alone(void **state)
{
	uint8_t packet[128];
	size_t n = BUILD(packet, 4, SYN, 2, 4, 0x05, 0xb4);

	(void)state;
	for (size_t len = 20; len < n; len++) {
		packet[3] = (uint8_t)len;
		assert_false(clamp(packet, len, 500));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mss_of_a_syn_is_lowered_and_the_checksum_stays_right),
		cmocka_unit_test(mss_that_lies_across_two_words_is_summed_right),
		cmocka_unit_test(mss_that_is_low_enough_stays),
		cmocka_unit_test(other_packets_are_left_alone),
		cmocka_unit_test(malformed_options_are_left_alone),
		cmocka_unit_test(data_offsets_that_lie_are_left_alone),
		cmocka_unit_test(each_truncation_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
