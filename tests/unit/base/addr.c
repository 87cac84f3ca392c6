#include "base/addr.h"

#include "rig.h"

static struct addr parse(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(bytes_str(text), &a), ERR_NONE);
	return a;
}

static struct addr_prefix parse_prefix(const char *text)
{
	struct addr_prefix p;

	assert_int_equal(addr_prefix_parse(bytes_str(text), &p), ERR_NONE);
	return p;
}

static void text_and_value_go_both_ways(void **state)
{
	static const char *const texts[] = {
		"0.0.0.0", "192.0.2.1",   "255.255.255.255",      "::",
		"::1",     "2001:db8::1", "2001:db8:1:2:3:4:5:6", "fe80::ffff:ffff:ffff:ffff"
	};
	char out[ADDR_TEXT_MAX];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct addr a = parse(texts[i]);
		assert_int_equal(a.family, strchr(texts[i], ':') == NULL ? ADDR_V4 : ADDR_V6);
		assert_string_equal(addr_format(&a, out), texts[i]);
	}
}

static void text_need_not_end_with_nul(void **state)
{
	struct addr a, want = parse("192.0.2.1");
	(void)state;

	assert_int_equal(addr_parse(bytes_of("192.0.2.17", 9), &a), ERR_NONE);
	assert_true(addr_eq(&a, &want));
}

static void what_is_no_address_is_refused_and_writes_nothing(void **state)
{
	static const char *const texts[] = { "",
					     " 192.0.2.1",
					     "192.0.2.1 ",
					     "192.0.2",
					     "192.0.2.256",
					     "192.0.02.1",
					     "192.0.2.1.1",
					     "192.0.2.-1",
					     "0xc0.0.2.1",
					     ":",
					     ":::",
					     "1::2::3",
					     "2001:db8::12345",
					     "fe80::1%eth0",
					     "[::1]",
					     "::1/64",
					     "example.org",
					     "2001:0db8:0000:0000:0000:0000:0000:0000:0000:0001" };
	struct addr a = { .family = 99 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(addr_parse(bytes_str(texts[i]), &a), ERR_SYNTAX);
	assert_int_equal(addr_parse(bytes_of("192.0.2.1\0", 10), &a), ERR_SYNTAX);
	assert_int_equal(addr_parse(bytes_of("1\0.0.2.1", 8), &a), ERR_SYNTAX);
	assert_int_equal(a.family, 99);
}

static void prefixes_keep_their_host_bits(void **state)
{
	static const char *const texts[] = { "10.0.0.1/31",  "0.0.0.0/0",
					     "192.0.2.1/32", "2001:db8::1/64",
					     "::/0",         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" };
	char out[ADDR_PREFIX_TEXT_MAX];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct addr_prefix p = parse_prefix(texts[i]);
		assert_string_equal(addr_prefix_format(&p, out), texts[i]);
	}
}

static void what_is_no_prefix_is_refused_and_writes_nothing(void **state)
{
	static const char *const texts[] = { "",
					     "/",
					     "10.0.0.0",
					     "10.0.0.0/",
					     "10.0.0.0/33",
					     "10.0.0.0/08",
					     "10.0.0.0/00",
					     "10.0.0.0/+8",
					     "10.0.0.0/ 8",
					     "10.0.0.0/8 ",
					     "10.0.0.0/8/8",
					     "10.0.0.0/256",
					     "10.0.0.0/1000",
					     "::/129",
					     "/8",
					     "10.0.0/8" };
	struct addr_prefix p = { .len = 99 };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(addr_prefix_parse(bytes_str(texts[i]), &p), ERR_SYNTAX);
	assert_int_equal(p.len, 99);
}

static void endpoints_are_written_as_in_urls(void **state)
{
	struct addr_endpoint v4 = { parse("192.0.2.1"), 500 };
	struct addr_endpoint v6 = { parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 65535 };
	struct addr_endpoint none = { .port = 1 };
	char out[ADDR_ENDPOINT_TEXT_MAX];
	(void)state;

	assert_string_equal(addr_endpoint_format(&v4, out), "192.0.2.1:500");
	assert_string_equal(addr_endpoint_format(&v6, out),
			    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	assert_string_equal(addr_endpoint_format(&none, out), "-:1");
	assert_true(addr_endpoint_eq(&v4, &(struct addr_endpoint){ parse("192.0.2.1"), 500 }));
	assert_false(addr_endpoint_eq(&v4, &(struct addr_endpoint){ parse("192.0.2.1"), 501 }));
	assert_false(addr_endpoint_eq(&v4, &v6));
}

static void bytes_of_4_or_16_are_addresses(void **state)
{
	static const uint8_t room[17] = { 192, 0, 2, 1 };
	(void)state;

	for (size_t n = 0; n <= sizeof(room); n++) {
		struct addr a = addr_from_bytes(bytes_of(room, n));
		assert_int_equal(a.family, n == 4 ? ADDR_V4 : n == 16 ? ADDR_V6 : ADDR_NONE);
		if (n == 4 || n == 16)
			assert_true(bytes_eq(addr_bytes(&a), bytes_of(room, n)));
		else
			assert_int_equal(addr_bytes(&a).len, 0);
	}
	struct addr v4 = parse("192.0.2.1"), back = addr_from_v4_u32(0xc0000201), v6 = parse("::1");
	assert_int_equal(addr_v4_u32(&v4), 0xc0000201);
	assert_true(addr_eq(&v4, &back));
	assert_int_equal(addr_v4_u32(&v6), 0);
}

static void order_is_v4_first_then_by_bytes(void **state)
{
	static const char *const sorted[] = { "0.0.0.0", "9.255.255.255", "10.0.0.0", "255.0.0.0",
					      "::",      "::1",           "1::" };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
		for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
			struct addr a = parse(sorted[i]), b = parse(sorted[j]);
			int c = addr_cmp(&a, &b);
			assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
			assert_int_equal(addr_eq(&a, &b), i == j);
		}
}

static void special_addresses_are_known(void **state)
{
	static const struct {
		const char *text;
		bool unspecified, multicast;
	} rows[] = {
		{ "0.0.0.0", true, false },    { "::", true, false },
		{ "0.0.0.1", false, false },   { "223.255.255.255", false, false },
		{ "224.0.0.0", false, true },  { "239.255.255.255", false, true },
		{ "240.0.0.1", false, false }, { "255.255.255.255", false, true },
		{ "ff02::1", false, true },    { "fe00::", false, false },
		{ "e000::", false, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr a = parse(rows[i].text);
		assert_int_equal(addr_is_unspecified(&a), rows[i].unspecified);
		assert_int_equal(addr_is_multicast(&a), rows[i].multicast);
	}
}

/* Bit by bit, so that it shares nothing with the code under test. */
static bool bit_of(const struct addr *a, size_t i)
{
	return a->b[i / 8] >> (7 - i % 8) & 1;
}

static void mask_and_range_are_right_at_every_length(void **state)
{
	static const char *const texts[] = { "172.21.170.85", "2001:db8:aaaa:5555:c3c3:3c3c:f0f0:f0f" };
	(void)state;

	for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
		struct addr_prefix p = { .addr = parse(texts[k]) };
		size_t bits = addr_len(p.addr.family) * 8;
		for (p.len = 0; p.len <= bits; p.len++) {
			struct addr_prefix m = addr_prefix_mask(&p);
			struct addr low, high;
			addr_prefix_range(&p, &low, &high);
			assert_int_equal(m.len, p.len);
			assert_true(addr_eq(&m.addr, &low));
			for (size_t i = 0; i < 128; i++) {
				bool fixed = i < p.len, inside = i < bits;
				assert_int_equal(bit_of(&low, i), fixed && bit_of(&p.addr, i));
				assert_int_equal(bit_of(&high, i), inside && (!fixed || bit_of(&p.addr, i)));
			}
		}
	}
}

static void a_prefix_contains_from_its_lowest_to_its_highest(void **state)
{
	struct addr_prefix p = parse_prefix("10.1.2.77/28");
	struct addr a;
	(void)state;

	for (unsigned i = 0; i < 256; i++) {
		a = addr_from_v4_u32(0x0a010200 + i);
		assert_int_equal(addr_prefix_contains(&p, &a), i >= 64 && i < 80);
	}
	p = parse_prefix("::/0");
	a = parse("10.1.2.77");
	assert_false(addr_prefix_contains(&p, &a));
	p = parse_prefix("2001:db8::/100");
	assert_false(addr_prefix_contains(&p, &a));
	a = parse("2001:db8::fff:ffff");
	assert_true(addr_prefix_contains(&p, &a));
	p = parse_prefix("0.0.0.0/0");
	assert_false(addr_prefix_contains(&p, &a));
}

static void overlap_is_containment_of_either(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} rows[] = {
		{ "10.0.0.0/8", "10.1.0.0/16", true },  { "10.0.0.0/8", "11.0.0.0/8", false },
		{ "10.1.2.3/31", "10.1.2.2/31", true }, { "0.0.0.0/0", "::/0", false },
		{ "::/0", "2001:db8::/32", true },      { "2001:db8::/33", "2001:db8:8000::/33", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_prefix a = parse_prefix(rows[i].a), b = parse_prefix(rows[i].b);
		assert_int_equal(addr_prefix_overlaps(&a, &b), rows[i].overlap);
		assert_int_equal(addr_prefix_overlaps(&b, &a), rows[i].overlap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_value_go_both_ways),
		cmocka_unit_test(text_need_not_end_with_nul),
		cmocka_unit_test(what_is_no_address_is_refused_and_writes_nothing),
		cmocka_unit_test(prefixes_keep_their_host_bits),
		cmocka_unit_test(what_is_no_prefix_is_refused_and_writes_nothing),
		cmocka_unit_test(endpoints_are_written_as_in_urls),
		cmocka_unit_test(bytes_of_4_or_16_are_addresses),
		cmocka_unit_test(order_is_v4_first_then_by_bytes),
		cmocka_unit_test(special_addresses_are_known),
		cmocka_unit_test(mask_and_range_are_right_at_every_length),
		cmocka_unit_test(a_prefix_contains_from_its_lowest_to_its_highest),
		cmocka_unit_test(overlap_is_containment_of_either),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
