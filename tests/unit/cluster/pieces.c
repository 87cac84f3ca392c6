#include "cluster/pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct cluster_pieces p;
static uint8_t message[WIRE_MESH_MESSAGE_MAX];
static const uint64_t start = 5000000;

static int begin(void **state)
{
	(void)state;
	p = (struct cluster_pieces){ 0 };
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(i * 7 + i / 256);
	return 0;
}

static enum err give(uint32_t from, size_t len, uint32_t number, unsigned index, uint64_t now, struct bytes *text, bool *lost)
{
	uint8_t room[WIRE_MESH_TEXT_MAX];
	struct wire_mesh_msg m = cluster_pieces_cut(bytes_of(message, len), number, index, cluster_pieces_cnt(len)), got;
	struct wr w = wr_of(SPACE_OF(room));

	wire_mesh_build(&w, &m);
	assert_false(w.bad); /* each fits a datagram */
	assert_int_equal(wire_mesh_parse(wr_bytes(&w), &got), ERR_NONE);
	return cluster_pieces_take(&p, from, &got, now, text, lost);
}

static void message_of_any_length_comes_back_in_any_order(void **state)
{
	(void)state;
	static const size_t lens[] = { WIRE_MESH_TEXT_MAX + 1, 2 * WIRE_MESH_PART_MAX, 2 * WIRE_MESH_PART_MAX + 1, 9005,
				       WIRE_MESH_MESSAGE_MAX };
	struct bytes text;
	bool lost;
	assert_int_equal(cluster_pieces_cnt(WIRE_MESH_TEXT_MAX), 1);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		unsigned cnt = cluster_pieces_cnt(lens[i]);
		assert_in_range(cnt, 2, WIRE_MESH_PIECES_MAX);
		for (unsigned k = 1; k < cnt; k++)
			assert_int_equal(give(1, lens[i], (uint32_t)i, cnt - k, start, &text, &lost), ERR_AGAIN);
		assert_int_equal(give(1, lens[i], (uint32_t)i, 0, start, &text, &lost), ERR_NONE);
		assert_true(bytes_eq(text, bytes_of(message, lens[i])));
		assert_false(lost);
	}
}

static void two_senders_do_not_mix(void **state)
{
	(void)state;
	struct bytes text;
	bool lost;
	assert_int_equal(give(1, 2000, 9, 0, start, &text, &lost), ERR_AGAIN);
	assert_int_equal(give(2, 2000, 9, 1, start, &text, &lost), ERR_AGAIN);
	assert_int_equal(give(1, 2000, 9, 1, start, &text, &lost), ERR_NONE);
	assert_true(bytes_eq(text, bytes_of(message, 2000)));
}

static void pieces_that_do_not_agree_are_forgotten(void **state)
{
	(void)state;
	struct bytes text;
	bool lost;
	assert_int_equal(give(1, 2000, 9, 0, start, &text, &lost), ERR_AGAIN);
	assert_int_equal(give(1, 5000, 9, 1, start, &text, &lost), ERR_SYNTAX);
	assert_int_equal(give(1, 2000, 9, 1, start, &text, &lost), ERR_AGAIN);
	assert_int_equal(give(1, 2000, 9, 1, start, &text, &lost), ERR_SYNTAX);
}

/* A sender of our own cannot make parts that are too long, a broken one can. */
static void whole_above_the_limit_is_refused(void **state)
{
	(void)state;
	static uint8_t part[WIRE_MESH_PART_MAX];
	struct bytes text;
	bool lost;
	enum err e = ERR_AGAIN;
	for (unsigned i = 0; i < WIRE_MESH_PIECES_MAX; i++) {
		assert_int_equal(e, ERR_AGAIN);
		const struct wire_mesh_msg m = { .kind = WIRE_MESH_PIECE,
						 .piece = { .number = 1, .index = (uint8_t)i, .cnt = WIRE_MESH_PIECES_MAX,
							    .part = BYTES_OF(part) } };
		e = cluster_pieces_take(&p, 1, &m, start, &text, &lost);
	}
	assert_int_equal(e, sizeof(part) * WIRE_MESH_PIECES_MAX > WIRE_MESH_MESSAGE_MAX ? ERR_SYNTAX : ERR_NONE);
}

static void oldest_gives_way_and_is_counted(void **state)
{
	(void)state;
	struct bytes text;
	bool lost;
	for (uint32_t i = 0; i < CLUSTER_PIECES_MAX; i++) {
		assert_int_equal(give(1, 2000, i, 0, start + i, &text, &lost), ERR_AGAIN);
		assert_false(lost);
	}
	assert_int_equal(give(1, 2000, 1000, 0, start + 100, &text, &lost), ERR_AGAIN);
	assert_true(lost);
	assert_int_equal(give(1, 2000, 1, 1, start + 100, &text, &lost), ERR_NONE); /* the second oldest stands */
	assert_int_equal(give(1, 2000, 0, 1, start + 100, &text, &lost), ERR_AGAIN); /* the oldest went */
	assert_int_equal(give(1, 2000, 2000, 0, start + 2 * CLUSTER_PIECES_LIFE_US, &text, &lost), ERR_AGAIN);
	assert_true(lost); /* it waited too long */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(message_of_any_length_comes_back_in_any_order, begin),
		cmocka_unit_test_setup(two_senders_do_not_mix, begin),
		cmocka_unit_test_setup(pieces_that_do_not_agree_are_forgotten, begin),
		cmocka_unit_test_setup(whole_above_the_limit_is_refused, begin),
		cmocka_unit_test_setup(oldest_gives_way_and_is_counted, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
