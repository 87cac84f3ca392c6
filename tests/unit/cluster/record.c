#include "cluster/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/key.h"

static struct cluster_node make_node(void)
{
	struct cluster_node n = { .incarnation = 7, .state = CLUSTER_DRAINING, .format_oldest = 1, .format_newest = 3,
				  .mesh = { addr_from_v4_u32(0x0a5a0001), 4700 }, .name = "n1", .site = "west" };
	return n;
}

static void assert_node_eq(const struct cluster_node *a, const struct cluster_node *b)
{
	assert_int_equal(a->incarnation, b->incarnation);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->format_oldest, b->format_oldest);
	assert_int_equal(a->format_newest, b->format_newest);
	assert_true(addr_endpoint_eq(&a->mesh, &b->mesh));
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->site, b->site);
}

static void node_comes_back_as_it_was_written(void **state)
{
	(void)state;
	uint8_t b[CLUSTER_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(b));
	struct cluster_node n = make_node(), got;
	cluster_node_encode(&n, &w);
	assert_int_equal(cluster_node_decode(wr_bytes(&w), &got), ERR_NONE);
	assert_node_eq(&n, &got);
	assert_int_equal(got.rest.len, 0);
}

static void fields_of_a_newer_program_are_kept(void **state)
{
	(void)state;
	uint8_t b[CLUSTER_RECORD_MAX], again[CLUSTER_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(b)), w2 = wr_of(SPACE_OF(again));
	struct cluster_node n = make_node(), got;
	cluster_node_encode(&n, &w);
	tlv_text(&w, 900, "new");
	tlv_u32(&w, 901, 5);
	assert_int_equal(cluster_node_decode(wr_bytes(&w), &got), ERR_NONE);
	cluster_node_encode(&got, &w2);
	assert_true(bytes_eq(wr_bytes(&w), wr_bytes(&w2)));
	for (unsigned i = 0; i < 30; i++)
		tlv_text(&w, 902, "more than is kept");
	assert_false(w.bad);
	assert_int_equal(cluster_node_decode(wr_bytes(&w), &got), ERR_FULL);
}

static void record_cut_short_is_refused(void **state)
{
	(void)state;
	uint8_t b[CLUSTER_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(b));
	struct cluster_node n = make_node(), got;
	cluster_node_encode(&n, &w);
	for (size_t len = 0; len < wr_len(&w); len++)
		assert_int_not_equal(cluster_node_decode(bytes_of(b, len), &got), ERR_NONE);
	tlv_u32(&w, 1, 8); /* the incarnation once more */
	assert_int_equal(cluster_node_decode(wr_bytes(&w), &got), ERR_SYNTAX);
	b[1] = 2;
	assert_int_equal(cluster_node_decode(wr_bytes(&w), &got), ERR_VERSION);
}

static void cookie_comes_back_with_what_is_not_known(void **state)
{
	(void)state;
	uint8_t b[CLUSTER_RECORD_MAX], again[CLUSTER_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(b)), w2 = wr_of(SPACE_OF(again));
	struct cluster_cookie k = { .version = 255, .turned_us = 12345678901 }, got;
	memset(k.sealed, 0x5a, sizeof(k.sealed));
	cluster_cookie_encode(&k, &w);
	tlv_u8(&w, 77, 1);
	assert_int_equal(cluster_cookie_decode(wr_bytes(&w), &got), ERR_NONE);
	assert_int_equal(got.version, 255);
	assert_int_equal(got.turned_us, 12345678901);
	assert_memory_equal(got.sealed, k.sealed, sizeof(k.sealed));
	cluster_cookie_encode(&got, &w2);
	assert_true(bytes_eq(wr_bytes(&w), wr_bytes(&w2)));
	for (size_t len = 0; len < wr_len(&w2) - 5; len++)
		assert_int_not_equal(cluster_cookie_decode(bytes_of(again, len), &got), ERR_NONE);
}

static void slot_is_read_from_its_key_alone(void **state)
{
	(void)state;
	static const char *const bad[] = { "node/", "node/000", "node/01", "node/0001", "node/00g", "nodf/001", "node/0A1" };
	uint16_t slot = 0;
	assert_int_equal(cluster_slot_of_key(bytes_str("node/a01"), &slot), ERR_NONE);
	assert_int_equal(slot, 0xa01);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(cluster_slot_of_key(bytes_str(bad[i]), &slot), ERR_SYNTAX);
	assert_int_equal(slot, 0xa01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_comes_back_as_it_was_written),
		cmocka_unit_test(fields_of_a_newer_program_are_kept),
		cmocka_unit_test(record_cut_short_is_refused),
		cmocka_unit_test(cookie_comes_back_with_what_is_not_known),
		cmocka_unit_test(slot_is_read_from_its_key_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
