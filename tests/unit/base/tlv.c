#include "base/tlv.h"

#include "rig.h"

enum { VERSION = 3 };

static struct rd start(const struct wr *w)
{
	struct rd r = rd_of(wr_bytes(w));
	uint16_t version;

	assert_int_equal(tlv_start(&r, VERSION, &version), ERR_NONE);
	assert_int_equal(version, VERSION);
	return r;
}

static struct tlv next(struct rd *r, uint16_t type)
{
	struct tlv t;

	assert_true(tlv_next(r, &t));
	assert_int_equal(t.type, type);
	return t;
}

static void every_kind_comes_back(void **state)
{
	uint8_t room[256], copy[3];
	char text[8];
	struct wr w = wr_of(SPACE_OF(room));
	struct addr v6 = { .b = { 0x20, 1, 0xd, 0xb8 }, .family = ADDR_V6 };
	struct addr_prefix prefix = { addr_from_v4_u32(0x0a000001), 31 };
	struct addr_endpoint endpoint = { v6, 4500 };
	bool ok = true;
	(void)state;

	tlv_begin(&w, VERSION);
	tlv_u8(&w, 1, 0xff);
	tlv_u16(&w, 2, 0xfffe);
	tlv_u32(&w, 3, 0xfffefdfc);
	tlv_u64(&w, 4, 0xfffefdfcfbfaf9f8);
	tlv_text(&w, 5, "seven77");
	tlv_bytes(&w, 6, bytes_str("abc"));
	tlv_addr(&w, 7, &v6);
	tlv_prefix(&w, 8, &prefix);
	tlv_endpoint(&w, 9, &endpoint);

	struct rd r = start(&w);
	struct tlv t = next(&r, 1);
	assert_int_equal(tlv_get_u8(&t, &ok), 0xff);
	t = next(&r, 2);
	assert_int_equal(tlv_get_u16(&t, &ok), 0xfffe);
	t = next(&r, 3);
	assert_int_equal(tlv_get_u32(&t, &ok), 0xfffefdfc);
	t = next(&r, 4);
	assert_true(tlv_get_u64(&t, &ok) == 0xfffefdfcfbfaf9f8);
	t = next(&r, 5);
	tlv_get_text(&t, text, sizeof(text), &ok);
	assert_string_equal(text, "seven77");
	t = next(&r, 6);
	tlv_get_copy(&t, copy, sizeof(copy), &ok);
	assert_memory_equal(copy, "abc", 3);
	t = next(&r, 7);
	struct addr a = tlv_get_addr(&t, &ok);
	assert_true(addr_eq(&a, &v6));
	t = next(&r, 8);
	struct addr_prefix p = tlv_get_prefix(&t, &ok);
	assert_true(addr_prefix_eq(&p, &prefix));
	t = next(&r, 9);
	struct addr_endpoint e = tlv_get_endpoint(&t, &ok);
	assert_true(addr_endpoint_eq(&e, &endpoint));
	assert_true(ok);
	assert_false(tlv_next(&r, &t));
	assert_false(r.bad);
}

static void absent_addresses_come_back_absent(void **state)
{
	uint8_t room[64];
	struct wr w = wr_of(SPACE_OF(room));
	struct addr none = { 0 };
	struct addr_prefix no_prefix = { 0 };
	struct addr_endpoint no_endpoint = { .port = 7 };
	bool ok = true;
	(void)state;

	tlv_begin(&w, VERSION);
	tlv_addr(&w, 1, &none);
	tlv_prefix(&w, 2, &no_prefix);
	tlv_endpoint(&w, 3, &no_endpoint);
	struct rd r = start(&w);
	struct tlv t = next(&r, 1);
	assert_int_equal(tlv_get_addr(&t, &ok).family, ADDR_NONE);
	t = next(&r, 2);
	assert_int_equal(tlv_get_prefix(&t, &ok).addr.family, ADDR_NONE);
	t = next(&r, 3);
	struct addr_endpoint e = tlv_get_endpoint(&t, &ok);
	assert_true(addr_endpoint_eq(&e, &no_endpoint));
	assert_true(ok);
}

static void versions_outside_the_range_are_refused(void **state)
{
	static const uint8_t zero[] = { 0, 0 }, two[] = { 0, 2 }, three[] = { 0, 3 };
	uint16_t version = 99;
	(void)state;

	struct rd r = rd_of(BYTES_OF(zero));
	assert_int_equal(tlv_start(&r, 2, &version), ERR_VERSION);
	r = rd_of(BYTES_OF(three));
	assert_int_equal(tlv_start(&r, 2, &version), ERR_VERSION);
	r = rd_of(bytes_of(two, 1));
	assert_int_equal(tlv_start(&r, 2, &version), ERR_SHORT);
	r = rd_of(bytes_of(NULL, 0));
	assert_int_equal(tlv_start(&r, 2, &version), ERR_SHORT);
	assert_int_equal(version, 99);
	r = rd_of(BYTES_OF(two));
	assert_int_equal(tlv_start(&r, 2, &version), ERR_NONE);
	assert_int_equal(version, 2);
}

static void a_record_cut_anywhere_is_bad_or_ends_between_fields(void **state)
{
	uint8_t room[64];
	struct wr w = wr_of(SPACE_OF(room));
	(void)state;

	tlv_begin(&w, VERSION);
	tlv_u32(&w, 1, 5);      /* ends at 10 */
	tlv_text(&w, 2, "abc"); /* ends at 17 */
	for (size_t n = 2; n <= wr_len(&w); n++) {
		struct rd r = rd_of(bytes_of(room, n));
		struct tlv t;
		uint16_t version;
		unsigned fields = 0;
		assert_int_equal(tlv_start(&r, VERSION, &version), ERR_NONE);
		while (tlv_next(&r, &t))
			fields++;
		assert_int_equal(fields, n < 10 ? 0 : n < 17 ? 1 : 2);
		assert_int_equal(r.bad, n != 2 && n != 10 && n != 17);
	}
}

static void nested_fields_stay_inside(void **state)
{
	uint8_t room[64];
	struct wr w = wr_of(SPACE_OF(room));
	bool ok = true;
	(void)state;

	tlv_begin(&w, VERSION);
	size_t outer = tlv_open(&w, 10);
	tlv_u8(&w, 1, 11);
	size_t inner = tlv_open(&w, 20);
	tlv_u8(&w, 1, 21);
	tlv_close(&w, inner);
	tlv_close(&w, outer);
	tlv_u8(&w, 30, 31);

	struct rd r = start(&w);
	struct tlv t = next(&r, 10);
	struct rd in = rd_of(t.value);
	t = next(&in, 1);
	assert_int_equal(tlv_get_u8(&t, &ok), 11);
	t = next(&in, 20);
	assert_false(tlv_next(&in, &(struct tlv){ 0 }));
	in = rd_of(t.value);
	t = next(&in, 1);
	assert_int_equal(tlv_get_u8(&t, &ok), 21);
	t = next(&r, 30);
	assert_int_equal(tlv_get_u8(&t, &ok), 31);
	assert_true(ok);
	assert_true(rd_done(&r));
}

static void numbers_of_another_size_are_zero_and_not_ok(void **state)
{
	static const uint8_t ones[9] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	(void)state;

	for (size_t n = 0; n <= sizeof(ones); n++) {
		struct tlv t = { .type = 1, .value = bytes_of(ones, n) };
		bool ok8 = true, ok16 = true, ok32 = true, ok64 = true;
		assert_int_equal(tlv_get_u8(&t, &ok8), n == 1 ? 1 : 0);
		assert_int_equal(tlv_get_u16(&t, &ok16), n == 2 ? 0x101 : 0);
		assert_int_equal(tlv_get_u32(&t, &ok32), n == 4 ? 0x1010101 : 0);
		assert_true(tlv_get_u64(&t, &ok64) == (n == 8 ? 0x101010101010101 : 0));
		assert_int_equal(ok8, n == 1);
		assert_int_equal(ok16, n == 2);
		assert_int_equal(ok32, n == 4);
		assert_int_equal(ok64, n == 8);
	}
}

static void ok_stays_false(void **state)
{
	struct tlv t = { .type = 1, .value = bytes_str("a") };
	bool ok = false;
	(void)state;

	assert_int_equal(tlv_get_u8(&t, &ok), 'a');
	assert_false(ok);
}

static void copies_of_another_length_leave_nothing_behind(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 6; n++) {
		struct tlv t = { .type = 1, .value = bytes_of("abcdef", n) };
		uint8_t dst[4] = { 9, 9, 9, 9 };
		bool ok = true;
		tlv_get_copy(&t, dst, sizeof(dst), &ok);
		assert_int_equal(ok, n == 4);
		assert_memory_equal(dst, n == 4 ? "abcd" : "\0\0\0\0", 4);
	}
}

static void text_too_long_or_with_a_nul_inside_is_empty_and_not_ok(void **state)
{
	struct tlv t = { .type = 1, .value = bytes_str("abcd") };
	char text[4] = "xyz";
	bool ok = true;
	(void)state;

	tlv_get_text(&t, text, sizeof(text), &ok);
	assert_false(ok);
	assert_string_equal(text, "");
	ok = true;
	t.value = bytes_of("a\0b", 3);
	tlv_get_text(&t, text, sizeof(text), &ok);
	assert_false(ok);
	assert_string_equal(text, "");
	ok = true;
	t.value = bytes_str("abc");
	tlv_get_text(&t, text, sizeof(text), &ok);
	assert_true(ok);
	assert_string_equal(text, "abc");
}

static void assert_no_prefix(const uint8_t *p, size_t n)
{
	struct tlv t = { .type = 1, .value = bytes_of(p, n) };
	bool ok = true;
	struct addr_prefix prefix = tlv_get_prefix(&t, &ok), zero = { 0 };

	assert_false(ok);
	assert_true(addr_prefix_eq(&prefix, &zero));
}

static void broken_addresses_are_absent_and_not_ok(void **state)
{
	static const uint8_t room[19] = { 33, 10 }, zero[19] = { 0 };
	(void)state;

	for (size_t n = 0; n <= sizeof(room); n++) {
		struct tlv t = { .type = 1, .value = bytes_of(room, n) };
		bool ok = true;
		assert_int_equal(tlv_get_addr(&t, &ok).family, n == 4    ? ADDR_V4
							       : n == 16 ? ADDR_V6
									 : ADDR_NONE);
		assert_int_equal(ok, n == 0 || n == 4 || n == 16);
		ok = true;
		struct addr_endpoint e = tlv_get_endpoint(&t, &ok);
		assert_int_equal(ok, n == 2 || n == 6 || n == 18);
		assert_int_equal(e.port, ok ? 33 << 8 | 10 : 0);
		if (n != 17) /* 33 bits are too many for v4 and none */
			assert_no_prefix(room, n);
		if (n != 1 && n != 5 && n != 17)
			assert_no_prefix(zero, n);
	}
}

static void a_value_that_does_not_fit_its_length_spoils_the_record(void **state)
{
	static uint8_t big[70000], room[80000];
	(void)state;

	struct wr w = wr_of(SPACE_OF(room));
	tlv_bytes(&w, 1, bytes_of(big, 65535));
	assert_false(w.bad);
	w = wr_of(SPACE_OF(room));
	tlv_bytes(&w, 1, bytes_of(big, 65536));
	assert_true(w.bad);
	w = wr_of(SPACE_OF(room));
	size_t mark = tlv_open(&w, 1);
	wr_put(&w, bytes_of(big, 65536));
	tlv_close(&w, mark);
	assert_true(w.bad);
	w = wr_of((struct space){ room, 10 });
	mark = tlv_open(&w, 1);
	tlv_u64(&w, 2, 1);
	tlv_close(&w, mark);
	assert_true(w.bad);
	assert_int_equal(wr_bytes(&w).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_comes_back),
		cmocka_unit_test(absent_addresses_come_back_absent),
		cmocka_unit_test(versions_outside_the_range_are_refused),
		cmocka_unit_test(a_record_cut_anywhere_is_bad_or_ends_between_fields),
		cmocka_unit_test(nested_fields_stay_inside),
		cmocka_unit_test(numbers_of_another_size_are_zero_and_not_ok),
		cmocka_unit_test(ok_stays_false),
		cmocka_unit_test(copies_of_another_length_leave_nothing_behind),
		cmocka_unit_test(text_too_long_or_with_a_nul_inside_is_empty_and_not_ok),
		cmocka_unit_test(broken_addresses_are_absent_and_not_ok),
		cmocka_unit_test(a_value_that_does_not_fit_its_length_spoils_the_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
