#include "cluster/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW UINT64_C(1000000000)
static struct cluster_members m;

static void put(uint16_t slot, uint32_t incarnation)
{
	const struct cluster_node n = { .incarnation = incarnation, .state = CLUSTER_UP, .format_oldest = 1, .format_newest = 1 };
	assert_int_equal(cluster_members_put(&m, slot, &n, 1, NOW), ERR_NONE);
}

/* This node has slot 1, another one slot 2. */
static int begin(void **state)
{
	(void)state;
	cluster_members_init(&m, "", NOW);
	cluster_members_self(&m, 1, true, false);
	put(2, 20);
	return 0;
}

/* An SPI whose duty falls to that slot. */
static uint32_t spi_of(uint16_t slot)
{
	uint32_t spi = 1;
	while (cluster_chosen(&m, spi) != slot)
		spi++;
	return spi;
}

static void record_comes_back_as_it_was_written(void **state)
{
	(void)state;
	const struct cluster_sequence s = { UINT64_C(0x123456789a), UINT64_C(0xa500000005), UINT64_C(1) << 41, 4095, 7 };
	struct cluster_sequence got;
	uint8_t b[CLUSTER_SEQUENCE_MAX];
	struct wr w = wr_of(SPACE_OF(b));
	cluster_sequence_encode(&s, &w);
	assert_int_equal(cluster_sequence_decode(wr_bytes(&w), &got), ERR_NONE);
	assert_true(got.out == s.out && got.in == s.in && got.bytes == s.bytes && got.slot == 4095 && got.incarnation == 7);
	for (size_t len = 0; len < wr_len(&w); len++)
		if (len != 4 && len != 24)
			assert_int_not_equal(cluster_sequence_decode(bytes_of(b, len), &got), ERR_NONE);
	tlv_text(&w, 900, "of a newer program");
	assert_int_equal(cluster_sequence_decode(wr_bytes(&w), &got), ERR_NONE);
	assert_true(got.out == s.out);
	tlv_u16(&w, 4, 5); /* once more */
	assert_int_equal(cluster_sequence_decode(wr_bytes(&w), &got), ERR_SYNTAX);
}

static void what_one_node_alone_wrote_names_no_holder(void **state)
{
	(void)state;
	static const uint8_t marks[24] = { [7] = 9, [15] = 8, [23] = 7 }, old[4] = { 0, 0, 1, 2 };
	struct cluster_sequence s;
	assert_int_equal(cluster_sequence_decode(BYTES_OF(marks), &s), ERR_NONE);
	assert_true(s.out == 9 && s.in == 8 && s.bytes == 7 && s.slot == 0 && s.incarnation == 0);
	assert_int_equal(cluster_sequence_decode(BYTES_OF(old), &s), ERR_NONE);
	assert_true(s.out == 0x102 && s.in == 0 && s.slot == 0);
}

static void only_who_is_nominated_takes_it(void **state)
{
	(void)state;
	const struct cluster_sequence nobodys = { 0 };
	assert_int_equal(cluster_sequence_due(&m, &nobodys, spi_of(1), NOW, 0), 0);
	assert_true(cluster_sequence_due(&m, &nobodys, spi_of(2), NOW, 0) == UINT64_MAX);
	uint32_t spi = spi_of(1);
	cluster_members_self(&m, 1, false, false);
	assert_true(cluster_sequence_due(&m, &nobodys, spi, NOW, 0) == UINT64_MAX);
}

static void a_holder_that_is_gone_is_replaced_at_once_and_one_that_lives_later(void **state)
{
	(void)state;
	const struct cluster_sequence theirs = { .slot = 2, .incarnation = 20 }, before = { .slot = 2, .incarnation = 19 };
	const uint32_t spi = spi_of(1);
	assert_ptr_equal(cluster_sequence_holder(&m, &theirs), &m.m[0]);
	assert_null(cluster_sequence_holder(&m, &before)); /* the process before */
	assert_int_equal(cluster_sequence_due(&m, &before, spi, NOW, NOW + 9), 0);
	assert_true(cluster_sequence_due(&m, &theirs, spi, NOW, 0) == NOW + CLUSTER_SEQUENCE_SETTLE_US);
	assert_true(cluster_sequence_due(&m, &theirs, spi, NOW, NOW + 9000000) == NOW + 9000000);
	const struct cluster_ping drains = { .draining = true, .fresh = true };
	cluster_members_heard(&m, 2, &drains, NOW);
	assert_true(cluster_sequence_due(&m, &theirs, spi, NOW, 5) == 5);
	const struct cluster_ping up = { .fresh = true };
	cluster_members_heard(&m, 2, &up, NOW);
	assert_false(cluster_members_look(&m, NOW + CLUSTER_PING_US));
	for (uint64_t at = NOW + 2 * CLUSTER_PING_US; cluster_alive(&m, 2); at += CLUSTER_PING_US)
		(void)cluster_members_look(&m, at);
	assert_true(cluster_sequence_due(&m, &theirs, spi, NOW, 7) == 7);
}

static void it_stands_without_a_lease_only_while_nobody_has_news(void **state)
{
	(void)state;
	const struct cluster_ping fresh = { .fresh = true }, stale = { .fresh = false };
	assert_true(cluster_sequence_stands(&m));
	cluster_members_self(&m, 1, false, false);
	assert_true(cluster_sequence_stands(&m));
	cluster_members_heard(&m, 2, &fresh, NOW);
	assert_false(cluster_sequence_stands(&m));
	cluster_members_heard(&m, 2, &stale, NOW);
	assert_true(cluster_sequence_stands(&m));
}

#define RUN(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(record_comes_back_as_it_was_written),
		RUN(what_one_node_alone_wrote_names_no_holder),
		RUN(only_who_is_nominated_takes_it),
		RUN(a_holder_that_is_gone_is_replaced_at_once_and_one_that_lives_later),
		RUN(it_stands_without_a_lease_only_while_nobody_has_news),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
