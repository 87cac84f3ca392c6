#include "base/bytes.h"

#include "base/ck.h"
#include "rig.h"

static const uint8_t ten[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

static void numbers_are_read_in_network_order(void **state)
{
	static const uint8_t in[] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
				      0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99 };
	struct rd r = rd_of(BYTES_OF(in));
	(void)state;

	assert_true(rd_u64(&r) == 0x0123456789abcdef);
	assert_int_equal(rd_u8(&r), 0xff);
	assert_int_equal(rd_u16(&r), 0xeedd);
	assert_int_equal(rd_u32(&r), 0xccbbaa99);
	assert_true(rd_done(&r));
}

static void a_reader_asked_for_too_much_stays_bad(void **state)
{
	struct rd r = rd_of(BYTES_OF(ten));
	(void)state;

	rd_skip(&r, 7);
	assert_int_equal(rd_u32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(rd_left(&r), 0);
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(rd_rest(&r).len, 0);
	assert_int_equal(rd_back(&r, 1).len, 0);
	assert_false(rd_done(&r));
}

static void a_number_cut_in_two_reads_as_zero(void **state)
{
	(void)state;
	for (size_t n = 0; n < 8; n++) {
		struct rd r = rd_of(bytes_of(ten, n));
		assert_true(rd_u64(&r) == 0);
		assert_true(r.bad);
	}
	for (size_t n = 0; n < 4; n++) {
		struct rd r = rd_of(bytes_of(ten, n));
		assert_int_equal(rd_u32(&r), 0);
		assert_true(r.bad);
	}
}

static void lengths_near_the_end_of_size_t_do_not_wrap(void **state)
{
	struct rd r = rd_of(BYTES_OF(ten));
	uint8_t room[4];
	struct wr w = wr_of(SPACE_OF(room));
	(void)state;

	rd_skip(&r, 5);
	assert_int_equal(rd_bytes(&r, SIZE_MAX - 2).len, 0);
	assert_true(r.bad);
	wr_u8(&w, 1);
	assert_null(wr_reserve(&w, SIZE_MAX));
	assert_true(w.bad);
}

static void a_sub_reader_cannot_leave_its_part(void **state)
{
	struct rd r = rd_of(BYTES_OF(ten));
	struct rd sub = rd_sub(&r, 3);
	(void)state;

	assert_int_equal(rd_u16(&sub), 0x0102);
	assert_int_equal(rd_u16(&sub), 0);
	assert_true(sub.bad);
	assert_false(r.bad);
	assert_int_equal(rd_u8(&r), 4);
	sub = rd_sub(&r, 7);
	assert_true(sub.bad);
	assert_true(r.bad);
}

static void back_takes_trailers_off_the_end(void **state)
{
	struct rd r = rd_of(BYTES_OF(ten));
	struct bytes tail = rd_back(&r, 2);
	(void)state;

	assert_int_equal(tail.len, 2);
	assert_int_equal(tail.p[0], 9);
	assert_int_equal(rd_left(&r), 8);
	rd_skip(&r, 6);
	assert_int_equal(rd_back(&r, 3).len, 0);
	assert_true(r.bad);
}

static void done_wants_neither_lack_nor_rest(void **state)
{
	struct rd r = rd_of(BYTES_OF(ten));
	(void)state;

	rd_skip(&r, 9);
	assert_false(rd_done(&r));
	rd_skip(&r, 1);
	assert_true(rd_done(&r));
}

static void copy_zeroes_what_it_cannot_fill(void **state)
{
	struct rd r = rd_of(BYTES_OF(ten));
	uint8_t dst[11], zero[11] = { 0 };
	(void)state;

	memset(dst, 0xee, sizeof(dst));
	rd_copy(&r, dst, 4);
	assert_memory_equal(dst, ten, 4);
	assert_int_equal(dst[4], 0xee);
	rd_copy(&r, dst, sizeof(dst));
	assert_memory_equal(dst, zero, sizeof(dst));
	assert_true(r.bad);
}

static void blocks_without_an_address_are_empty(void **state)
{
	struct rd r = rd_of(bytes_of(NULL, 0));
	struct wr w = wr_of((struct space){ NULL, 0 });
	(void)state;

	assert_int_equal(rd_bytes(&r, 0).len, 0);
	assert_int_equal(rd_rest(&r).len, 0);
	rd_copy(&r, NULL, 0);
	assert_true(rd_done(&r));
	assert_int_equal(rd_u8(&r), 0);
	assert_true(r.bad);
	wr_put(&w, bytes_of(NULL, 0));
	assert_false(w.bad);
	wr_u8(&w, 1);
	assert_true(w.bad);
	/* Whatever their length says. */
	r = rd_of(bytes_of(NULL, 8));
	w = wr_of((struct space){ NULL, 8 });
	assert_int_equal(rd_left(&r), 0);
	wr_u64(&w, 1);
	assert_true(w.bad);
}

static void what_is_written_is_read_again(void **state)
{
	uint8_t room[32];
	struct wr w = wr_of(SPACE_OF(room));
	(void)state;

	wr_u8(&w, 0x11);
	wr_u16(&w, 0x2233);
	wr_u32(&w, 0x44556677);
	wr_u64(&w, 0x8899aabbccddeeff);
	wr_zero(&w, 2);
	wr_put(&w, bytes_str("end"));
	assert_int_equal(wr_len(&w), 20);
	struct rd r = rd_of(wr_bytes(&w));
	assert_int_equal(rd_u8(&r), 0x11);
	assert_int_equal(rd_u16(&r), 0x2233);
	assert_int_equal(rd_u32(&r), 0x44556677);
	assert_true(rd_u64(&r) == 0x8899aabbccddeeff);
	assert_int_equal(rd_u16(&r), 0);
	assert_true(bytes_eq(rd_rest(&r), bytes_str("end")));
}

static void a_writer_never_passes_its_room_and_stays_bad(void **state)
{
	uint8_t room[9];
	(void)state;

	memset(room, 0xee, sizeof(room));
	struct wr w = wr_of((struct space){ room, 8 });
	wr_u32(&w, 1);
	wr_u64(&w, 2);
	assert_true(w.bad);
	wr_u8(&w, 3);
	assert_true(w.bad);
	assert_int_equal(wr_bytes(&w).len, 0);
	assert_int_equal(room[8], 0xee);
	w = wr_of((struct space){ room, 8 });
	wr_put(&w, BYTES_OF(ten));
	assert_true(w.bad);
	assert_int_equal(wr_len(&w), 0);
}

static void fields_are_filled_in_afterwards(void **state)
{
	uint8_t room[8];
	struct wr w = wr_of(SPACE_OF(room));
	(void)state;

	wr_zero(&w, 8);
	wr_set_u8(&w, 0, 0xaa);
	wr_set_u16(&w, 2, 0xbbcc);
	wr_set_u32(&w, 4, 0xddeeff01);
	assert_memory_equal(room, ((uint8_t[]){ 0xaa, 0, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 1 }), 8);
	wr_u8(&w, 1);
	wr_set_u8(&w, 100, 1); /* on a bad writer: nothing */
	assert_true(w.bad);
}

static void order_is_lexical_and_a_prefix_comes_first(void **state)
{
	(void)state;
	assert_true(bytes_cmp(bytes_str("ab"), bytes_str("b")) < 0);
	assert_true(bytes_cmp(bytes_str("ab"), bytes_str("abc")) < 0);
	assert_true(bytes_cmp(bytes_str("abc"), bytes_str("ab")) > 0);
	assert_true(bytes_cmp(bytes_of("\xff", 1), bytes_of("\x01", 1)) > 0);
	assert_int_equal(bytes_cmp(bytes_of(NULL, 0), bytes_str("")), 0);
	assert_true(bytes_starts(bytes_str("abc"), bytes_str("ab")));
	assert_true(bytes_starts(bytes_str("abc"), bytes_of(NULL, 0)));
	assert_false(bytes_starts(bytes_str("ab"), bytes_str("abc")));
}

static void equality_is_the_same_in_both_ways(void **state)
{
	uint8_t other[sizeof(ten)];
	(void)state;

	for (size_t i = 0; i < 8 * sizeof(ten); i++) {
		memcpy(other, ten, sizeof(ten));
		assert_true(bytes_eq(BYTES_OF(ten), BYTES_OF(other)));
		assert_true(bytes_eq_ct(BYTES_OF(ten), BYTES_OF(other)));
		other[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_false(bytes_eq(BYTES_OF(ten), BYTES_OF(other)));
		assert_false(bytes_eq_ct(BYTES_OF(ten), BYTES_OF(other)));
	}
	assert_false(bytes_eq(BYTES_OF(ten), bytes_of(ten, 9)));
	assert_false(bytes_eq_ct(BYTES_OF(ten), bytes_of(ten, 9)));
	assert_true(bytes_eq_ct(bytes_of(NULL, 0), bytes_of(NULL, 0)));
}

static void checked_arithmetic_sees_the_borders(void **state)
{
	size_t v;
	(void)state;

	assert_true(ck_add(SIZE_MAX - 1, 1, &v) && v == SIZE_MAX);
	assert_false(ck_add(SIZE_MAX, 1, &v));
	assert_true(ck_sub(5, 5, &v) && v == 0);
	assert_false(ck_sub(5, 6, &v));
	assert_true(ck_mul(SIZE_MAX / 2, 2, &v) && v == SIZE_MAX - 1);
	assert_false(ck_mul(SIZE_MAX / 2 + 1, 2, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_in_network_order),
		cmocka_unit_test(a_reader_asked_for_too_much_stays_bad),
		cmocka_unit_test(a_number_cut_in_two_reads_as_zero),
		cmocka_unit_test(lengths_near_the_end_of_size_t_do_not_wrap),
		cmocka_unit_test(a_sub_reader_cannot_leave_its_part),
		cmocka_unit_test(back_takes_trailers_off_the_end),
		cmocka_unit_test(done_wants_neither_lack_nor_rest),
		cmocka_unit_test(copy_zeroes_what_it_cannot_fill),
		cmocka_unit_test(blocks_without_an_address_are_empty),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(a_writer_never_passes_its_room_and_stays_bad),
		cmocka_unit_test(fields_are_filled_in_afterwards),
		cmocka_unit_test(order_is_lexical_and_a_prefix_comes_first),
		cmocka_unit_test(equality_is_the_same_in_both_ways),
		cmocka_unit_test(checked_arithmetic_sees_the_borders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
