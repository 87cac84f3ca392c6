#include "wire/merge.h"
#include "wire/split.h"

#include "wire/transport.h"
#include "wire_test.h"

enum { ROOM = 65600, PACKETS = 200 };

/* What a superpacket is made of. */
struct shape {
	uint8_t version, protocol, flags;
	size_t options;  /* bytes of TCP options */
	size_t payload;  /* of all */
	size_t segment;
};

static struct {
	uint8_t super[ROOM];
	size_t len;
	uint8_t b[PACKETS][ROOM / 20];
	struct wire_ip ip[PACKETS];
	size_t lens[PACKETS];
	size_t cnt;
} t;

static size_t transport_len(const struct shape *s)
{
	return s->protocol == IP_PROTO_TCP ? TCP_LEN_MIN + s->options : UDP_LEN;
}

static void put_ip(struct wr *w, const struct shape *s, size_t payload)
{
	struct addr src = addr_of(s->version == 4 ? "10.0.0.1" : "2001:db8::1");
	struct addr dst = addr_of(s->version == 4 ? "10.9.0.2" : "2001:db8::2");

	if (s->version == 4) {
		wr_u16(w, 0x4502);
		wr_u16(w, (uint16_t)(20 + payload));
		wr_u32(w, 0xfffe4000); /* the identification wraps; DF */
		wr_u32(w, (uint32_t)(64u << 24 | (uint32_t)s->protocol << 16));
	} else {
		wr_u32(w, 6u << 28 | 2u << 20 | 0x54321);
		wr_u16(w, (uint16_t)payload);
		wr_u16(w, (uint16_t)(s->protocol << 8 | 64));
	}
	wr_put(w, addr_bytes(&src));
	wr_put(w, addr_bytes(&dst));
	if (s->version == 4)
		wr_set_u16(w, 10, (uint16_t)~wire_checksum(bytes_of(w->start, 20), 0));
}

static void build(const struct shape *s)
{
	struct wr w = wr_of(SPACE_OF(t.super));
	size_t len = transport_len(s) + s->payload;

	put_ip(&w, s, len);
	wr_u32(&w, 0xc0de0050);
	if (s->protocol == IP_PROTO_TCP) {
		wr_u32(&w, 0xffffff00); /* wraps */
		wr_u32(&w, 0x12345678);
		wr_u8(&w, (uint8_t)((TCP_LEN_MIN + s->options) / 4 << 4));
		wr_u8(&w, s->flags);
		wr_u16(&w, 0x7fff);
		wr_u32(&w, 0);
		for (size_t i = 0; i < s->options; i++)
			wr_u8(&w, (uint8_t)(0xe0 + i));
	} else {
		wr_u16(&w, (uint16_t)len);
		wr_u16(&w, 0x1111);
	}
	for (size_t i = 0; i < s->payload; i++)
		wr_u8(&w, (uint8_t)(i * 7 + i / 251));
	assert_false(w.bad);
	t.len = wr_len(&w);
}

static bool sum_is_right(const struct wire_ip *ip)
{
	return wire_checksum(ip->payload, wire_pseudo_sum(ip, ip->payload.len)) == 0xffff;
}

static void cut(const struct shape *s)
{
	struct bytes super = exact_copy(bytes_of(t.super, t.len));
	struct wire_ip ip;
	struct wire_split split;

	assert_int_equal(wire_ip_parse(super, &ip), ERR_NONE);
	assert_int_equal(wire_split_begin(super, &ip, s->segment, &split), ERR_NONE);
	size_t cnt = wire_split_left(&split);
	assert_true(cnt <= PACKETS);
	for (t.cnt = 0; wire_split_left(&split) != 0; t.cnt++) {
		t.lens[t.cnt] = wire_split_len(&split);
		assert_true(t.lens[t.cnt] <= sizeof(t.b[0]));
		wire_split_next(&split, (struct space){ t.b[t.cnt], t.lens[t.cnt] });
		assert_int_equal(wire_ip_parse(bytes_of(t.b[t.cnt], t.lens[t.cnt]), &t.ip[t.cnt]), ERR_NONE);
		assert_int_equal(t.ip[t.cnt].total_len, t.lens[t.cnt]);
	}
	assert_int_equal(t.cnt, cnt);
	exact_free(super);
}

static const struct shape shapes[] = {
	{ 4, IP_PROTO_TCP, TCP_ACK | TCP_PSH, 0, 5000, 1000 },
	{ 4, IP_PROTO_TCP, TCP_ACK | TCP_PSH | TCP_FIN | TCP_ECE, 12, 20001, 1348 },
	{ 4, IP_PROTO_TCP, TCP_ACK | TCP_CWR, 12, 2697, 1348 },
	{ 6, IP_PROTO_TCP, TCP_ACK | TCP_PSH, 12, 60000, 1333 },
	{ 6, IP_PROTO_TCP, TCP_ACK, 40, 999, 3 * 333 },
	{ 6, IP_PROTO_TCP, TCP_ACK, 0, 1, 1000 },
	{ 4, IP_PROTO_UDP, 0, 0, 6400, 100 },
	{ 4, IP_PROTO_UDP, 0, 0, 65000, 1371 },
	{ 6, IP_PROTO_UDP, 0, 0, 777, 776 },
	{ 6, IP_PROTO_UDP, 0, 0, 60, 1 },
};

/* ---- cutting ---- */

static uint8_t flags_of(size_t i)
{
	return t.ip[i].payload.p[TCP_FLAGS_AT];
}

static uint32_t u32_at(struct bytes b, size_t at)
{
	struct rd r = rd_of(b);
	rd_skip(&r, at);
	return rd_u32(&r);
}

static void a_superpacket_is_cut_into_whole_packets(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
		const struct shape *s = &shapes[k];
		size_t at = 0, front = transport_len(s);
		build(s);
		cut(s);
		assert_int_equal(t.cnt, (s->payload + s->segment - 1) / s->segment);
		for (size_t i = 0; i < t.cnt; i++) {
			struct bytes body = t.ip[i].payload;
			assert_true(sum_is_right(&t.ip[i]));
			if (s->version == 4) {
				assert_true(wire_ip4_checksum_ok(bytes_of(t.b[i], 20)));
				assert_int_equal(u32_at(bytes_of(t.b[i], 20), 4) >> 16, (uint16_t)(0xfffe + i));
			}
			assert_true(i == t.cnt - 1 || body.len == front + s->segment);
			assert_memory_equal(body.p + front, t.super + (t.len - s->payload) + at, body.len - front);
			if (s->protocol == IP_PROTO_TCP)
				assert_int_equal(u32_at(body, TCP_SEQ_AT), (uint32_t)(0xffffff00u + at));
			else
				assert_int_equal(u32_at(body, UDP_LEN_AT) >> 16, body.len);
			at += body.len - front;
		}
		assert_int_equal(at, s->payload);
	}
}

static void flags_stand_where_they_belong(void **state)
{
	const struct shape s = { 4, IP_PROTO_TCP, TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR | TCP_ECE, 0, 3000, 1000 };

	(void)state;
	build(&s);
	cut(&s);
	assert_int_equal(flags_of(0), TCP_ACK | TCP_CWR | TCP_ECE);
	assert_int_equal(flags_of(1), TCP_ACK | TCP_ECE);
	assert_int_equal(flags_of(2), TCP_ACK | TCP_ECE | TCP_PSH | TCP_FIN);
}

static void what_cannot_be_cut_is_refused(void **state)
{
	const struct shape tcp = { 4, IP_PROTO_TCP, TCP_ACK, 0, 100, 50 }, udp = { 6, IP_PROTO_UDP, 0, 0, 100, 50 };
	struct wire_split split;
	struct wire_ip ip;

	(void)state;
	build(&tcp);
	assert_int_equal(wire_ip_parse(bytes_of(t.super, t.len), &ip), ERR_NONE);
	assert_int_equal(wire_split_begin(bytes_of(t.super, t.len), &ip, 0, &split), ERR_SYNTAX);
	struct wire_ip odd = ip;
	odd.more_fragments = true;
	assert_int_equal(wire_split_begin(bytes_of(t.super, t.len), &odd, 50, &split), ERR_SYNTAX);
	odd = ip;
	odd.protocol = IP_PROTO_ICMP;
	assert_int_equal(wire_split_begin(bytes_of(t.super, t.len), &odd, 50, &split), ERR_SYNTAX);
	for (size_t len = 0; len <= TCP_LEN_MIN; len++) {
		odd = ip;
		odd.payload.len = len;
		assert_int_equal(wire_split_begin(bytes_of(t.super, t.len), &odd, 50, &split), ERR_SYNTAX);
	}
	t.super[20 + 12] = 4 << 4;
	assert_int_equal(wire_split_begin(bytes_of(t.super, t.len), &ip, 50, &split), ERR_SYNTAX);
	build(&udp);
	assert_int_equal(wire_ip_parse(bytes_of(t.super, t.len), &ip), ERR_NONE);
	ip.payload.len = UDP_LEN;
	assert_int_equal(wire_split_begin(bytes_of(t.super, t.len), &ip, 50, &split), ERR_SYNTAX);
}

static void a_checksum_left_to_us_is_completed(void **state)
{
	static const size_t starts[] = { 20, 40 };

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
		const struct shape *s = &shapes[k];
		size_t start = starts[s->version == 6], at = s->protocol == IP_PROTO_TCP ? TCP_SUM_AT : UDP_SUM_AT;
		struct wire_ip ip;
		build(s);
		assert_int_equal(wire_ip_parse(bytes_of(t.super, t.len), &ip), ERR_NONE);
		uint16_t pseudo = wire_checksum((struct bytes){ 0 }, wire_pseudo_sum(&ip, ip.payload.len));
		t.super[start + at] = (uint8_t)(pseudo >> 8);
		t.super[start + at + 1] = (uint8_t)pseudo;
		assert_true(wire_checksum_complete((struct space){ t.super, t.len }, start, at));
		assert_true(sum_is_right(&ip));
	}
	assert_false(wire_checksum_complete((struct space){ t.super, 40 }, 41, 0));
	assert_false(wire_checksum_complete((struct space){ t.super, 40 }, 20, 19));
	assert_false(wire_checksum_complete((struct space){ t.super, 40 }, 65535, 65535));
	assert_true(wire_checksum_complete((struct space){ t.super, 40 }, 20, 18));
}

/* ---- merging ---- */

static bool join(struct wire_merge *m, size_t i)
{
	struct wire_piece p;
	return wire_piece_parse(bytes_of(t.b[i], t.lens[i]), &t.ip[i], &p) && wire_merge_add(m, &p);
}

static bool begin(struct wire_merge *m, size_t i)
{
	struct wire_piece p;
	if (!wire_piece_parse(bytes_of(t.b[i], t.lens[i]), &t.ip[i], &p))
		return false;
	wire_merge_begin(m, &p);
	return true;
}

/* Merged and cut again they are the same packets. */
static void packets_of_a_superpacket_find_together_again(void **state)
{
	static uint8_t before[PACKETS][ROOM / 20];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
		const struct shape *s = &shapes[k];
		struct wire_merge m;
		size_t sum_at;
		build(s);
		cut(s);
		if ((s->flags & TCP_CWR) != 0 || t.cnt == 1)
			continue;
		memcpy(before, t.b, sizeof(before));
		size_t cnt = t.cnt, last = cnt < WIRE_MERGE_MAX ? cnt : WIRE_MERGE_MAX;
		assert_true(begin(&m, 0));
		for (size_t i = 1; i < cnt; i++)
			assert_int_equal(join(&m, i), i < WIRE_MERGE_MAX);
		assert_int_equal(m.cnt, last);
		/* The headers of the first, the payload of all. */
		struct wr w = wr_of(SPACE_OF(t.super));
		wr_put(&w, bytes_of(t.b[0], t.lens[0]));
		for (size_t i = 1; i < last; i++)
			wr_put(&w, bytes_of(t.b[i] + m.first.header_len, t.lens[i] - m.first.header_len));
		sum_at = wire_merge_finish(&m, SPACE_OF(t.super));
		t.len = wr_len(&w);
		assert_int_equal(t.len, m.first.header_len + m.payload_len);
		/* The kernel completes the sum like this. */
		struct wire_ip ip;
		assert_int_equal(wire_ip_parse(bytes_of(t.super, t.len), &ip), ERR_NONE);
		assert_int_equal(ip.total_len, t.len);
		assert_true(s->version == 6 || wire_ip4_checksum_ok(bytes_of(t.super, 20)));
		assert_true(wire_checksum_complete((struct space){ t.super, t.len }, m.first.ip_len, sum_at));
		assert_true(sum_is_right(&ip));
		cut(s);
		assert_int_equal(t.cnt, last);
		for (size_t i = 0; i < last; i++)
			assert_memory_equal(t.b[i], before[i], t.lens[i]);
	}
}

/* Mends all sums after a change, so that the change alone speaks against merging. */
static void mend(size_t i, size_t sum_at)
{
	struct wire_ip *ip = &t.ip[i];
	struct wr w = wr_of((struct space){ t.b[i], t.lens[i] });

	(void)wr_reserve(&w, t.lens[i]);
	if (ip->version == 4) {
		wr_set_u16(&w, 10, 0);
		wr_set_u16(&w, 10, (uint16_t)~wire_checksum(bytes_of(t.b[i], ip->header_len), 0));
	}
	assert_int_equal(wire_ip_parse(bytes_of(t.b[i], t.lens[i]), ip), ERR_NONE);
	wr_set_u16(&w, ip->header_len + sum_at, 0);
	uint16_t sum = (uint16_t)~wire_checksum(ip->payload, wire_pseudo_sum(ip, ip->payload.len));
	wr_set_u16(&w, ip->header_len + sum_at, sum);
}

struct change {
	uint8_t version, protocol;
	size_t at; /* in the second packet */
	uint8_t xor;
	bool merges;
};

static void only_packets_that_agree_are_merged(void **state)
{
	static const struct change changes[] = {
		{ 4, IP_PROTO_TCP, 1, 0x01, false },  /* ECN */
		{ 4, IP_PROTO_TCP, 1, 0x20, false },  /* DSCP */
		{ 4, IP_PROTO_TCP, 5, 0x04, false },  /* identification */
		{ 4, IP_PROTO_TCP, 6, 0x40, false },  /* DF */
		{ 4, IP_PROTO_TCP, 8, 0x01, false },  /* TTL */
		{ 4, IP_PROTO_TCP, 15, 0x01, false }, /* source */
		{ 4, IP_PROTO_TCP, 19, 0x01, false }, /* destination */
		{ 4, IP_PROTO_TCP, 21, 0x01, false }, /* ports */
		{ 4, IP_PROTO_TCP, 23, 0x01, false },
		{ 4, IP_PROTO_TCP, 27, 0x01, false }, /* sequence number */
		{ 4, IP_PROTO_TCP, 31, 0x01, false }, /* acknowledgement */
		{ 4, IP_PROTO_TCP, 32, 0x01, false }, /* reserved */
		{ 4, IP_PROTO_TCP, 33, TCP_SYN, false },
		{ 4, IP_PROTO_TCP, 33, TCP_RST, false },
		{ 4, IP_PROTO_TCP, 33, TCP_URG, false },
		{ 4, IP_PROTO_TCP, 33, TCP_CWR, false },
		{ 4, IP_PROTO_TCP, 33, TCP_ECE, false },
		{ 4, IP_PROTO_TCP, 33, TCP_ACK, false },
		{ 4, IP_PROTO_TCP, 33, TCP_PSH, true },
		{ 4, IP_PROTO_TCP, 33, TCP_FIN, true },
		{ 4, IP_PROTO_TCP, 35, 0x01, false }, /* window */
		{ 4, IP_PROTO_TCP, 45, 0x01, false }, /* options */
		{ 4, IP_PROTO_TCP, 60, 0x01, true },  /* payload */
		{ 6, IP_PROTO_TCP, 1, 0x10, false },  /* ECN */
		{ 6, IP_PROTO_TCP, 3, 0x01, false },  /* flow label */
		{ 6, IP_PROTO_TCP, 7, 0x01, false },  /* hop limit */
		{ 6, IP_PROTO_TCP, 23, 0x01, false },
		{ 6, IP_PROTO_TCP, 39, 0x01, false },
		{ 6, IP_PROTO_TCP, 80, 0x01, true },
		{ 4, IP_PROTO_UDP, 1, 0x01, false },
		{ 4, IP_PROTO_UDP, 21, 0x01, false },
		{ 4, IP_PROTO_UDP, 23, 0x01, false },
		{ 4, IP_PROTO_UDP, 30, 0x01, true },
		{ 6, IP_PROTO_UDP, 43, 0x01, false },
		{ 6, IP_PROTO_UDP, 50, 0x01, true },
	};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(changes); k++) {
		const struct change *c = &changes[k];
		struct shape s = { c->version, c->protocol, TCP_ACK, c->protocol == IP_PROTO_TCP ? 12 : 0, 3000, 1000 };
		size_t sum_at = c->protocol == IP_PROTO_TCP ? TCP_SUM_AT : UDP_SUM_AT;
		struct wire_merge m;
		build(&s);
		cut(&s);
		t.b[1][c->at] ^= c->xor;
		mend(1, sum_at);
		assert_true(begin(&m, 0));
		if (join(&m, 1) != c->merges)
			fail_msg("row %zu", k);
		/* Nothing comes behind the end of a burst of the sender. */
		if (c->at == 33 && c->merges)
			assert_false(join(&m, 2));
		/* The other way round. */
		build(&s);
		cut(&s);
		t.b[0][c->at] ^= c->xor;
		mend(0, sum_at);
		if ((!c->merges || c->at == 33) && begin(&m, 0))
			assert_false(join(&m, 1));
	}
}

static void a_wrong_checksum_is_not_covered_up(void **state)
{
	(void)state;
	for (uint8_t version = 4; version <= 6; version += 2)
		for (size_t k = 0; k < 2; k++) {
			struct shape s = { version, k == 0 ? IP_PROTO_TCP : IP_PROTO_UDP, TCP_ACK, 0, 3000, 1000 };
			struct wire_merge m;
			build(&s);
			cut(&s);
			t.b[1][500] ^= 1;
			assert_true(begin(&m, 0));
			assert_false(join(&m, 1));
			t.b[1][500] ^= 1;
			assert_true(join(&m, 1));
			t.b[2][700] ^= 1;
			assert_false(join(&m, 2));
			build(&s);
			cut(&s);
			t.b[0][500] ^= 1;
			assert_true(begin(&m, 0));
			assert_false(join(&m, 1));
		}
}

static void lengths_and_identifications_count(void **state)
{
	struct shape s = { 4, IP_PROTO_UDP, 0, 0, 3500, 1000 };
	struct wire_merge m;

	(void)state;
	/* A shorter one ends it, a longer one never joins. */
	build(&s);
	cut(&s);
	assert_true(begin(&m, 0) && join(&m, 1));
	m.first.id = 0xffff; /* the identification of the last one follows now */
	assert_true(join(&m, 3));
	assert_false(join(&m, 2));
	assert_true(begin(&m, 3));
	t.b[0][4] = 0;
	t.b[0][5] = 2;
	mend(0, UDP_SUM_AT);
	assert_false(join(&m, 0));

	/* With DF the identification may stay the same, but not without, and not change its mind. */
	for (unsigned df = 0; df < 2; df++) {
		build(&s);
		cut(&s);
		for (size_t i = 0; i < 3; i++) {
			t.b[i][4] = 0x12;
			t.b[i][5] = 0x34;
			t.b[i][6] = df == 1 ? 0x40 : 0;
			mend(i, UDP_SUM_AT);
		}
		assert_true(begin(&m, 0));
		assert_int_equal(join(&m, 1), df == 1);
		t.b[2][5] = df == 1 ? 0x36 : 0x35;
		mend(2, UDP_SUM_AT);
		assert_int_equal(join(&m, 2), df == 0);
	}
}

static void what_has_more_to_say_goes_alone(void **state)
{
	struct shape tcp = { 4, IP_PROTO_TCP, TCP_ACK, 0, 1000, 1000 }, udp = { 4, IP_PROTO_UDP, 0, 0, 1000, 1000 };
	struct wire_merge m;

	(void)state;
	build(&tcp);
	cut(&tcp);
	assert_true(begin(&m, 0));
	t.ip[0].more_fragments = true;
	assert_false(begin(&m, 0));
	t.ip[0].more_fragments = false;
	t.ip[0].fragment_offset = 8;
	assert_false(begin(&m, 0));
	t.ip[0].fragment_offset = 0;
	t.ip[0].header_len = 24;
	assert_false(begin(&m, 0));
	/* An acknowledgement alone. */
	tcp.payload = 1;
	build(&tcp);
	assert_int_equal(wire_ip_parse(bytes_of(t.super, t.len), &t.ip[0]), ERR_NONE);
	t.ip[0].total_len--;
	t.ip[0].payload.len--;
	t.lens[0] = t.len - 1;
	assert_false(begin(&m, 0));
	build(&udp);
	cut(&udp);
	assert_true(begin(&m, 0));
	t.b[0][20 + UDP_SUM_AT] = t.b[0][20 + UDP_SUM_AT + 1] = 0;
	assert_false(begin(&m, 0));
	build(&udp);
	cut(&udp);
	t.b[0][20 + UDP_LEN_AT + 1] ^= 1;
	assert_false(begin(&m, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_superpacket_is_cut_into_whole_packets),
		cmocka_unit_test(flags_stand_where_they_belong),
		cmocka_unit_test(what_cannot_be_cut_is_refused),
		cmocka_unit_test(a_checksum_left_to_us_is_completed),
		cmocka_unit_test(packets_of_a_superpacket_find_together_again),
		cmocka_unit_test(only_packets_that_agree_are_merged),
		cmocka_unit_test(a_wrong_checksum_is_not_covered_up),
		cmocka_unit_test(lengths_and_identifications_count),
		cmocka_unit_test(what_has_more_to_say_goes_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
