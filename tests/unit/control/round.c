// Rounds over a table in parts, while entries come and go.
#include "control/round.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/siphash.h"

#define ITEMS 40000
#define PERIOD_US UINT64_C(1000000)
#define LOOP_US 1000u

struct item {
	struct hmap_node node;
	bool in;
	uint64_t seen_us; /* or when it came */
	unsigned seen;
};

struct rig {
	struct hmap m;
	struct control_round round;
	uint64_t now_us, longest_us; /* between two looks at one */
	unsigned part, most;         /* looks of one turn */
	struct item *ends;           /* an item that ends when it is looked at */
};

static struct item items[ITEMS];
static const struct siphash_key key = { 1, 2 };

static void add(struct rig *r, unsigned i)
{
	items[i] = (struct item){ .in = true, .seen_us = r->now_us };
	hmap_add(&r->m, &items[i].node, siphash_u64(&key, i));
}

static void drop(struct rig *r, struct item *i)
{
	hmap_remove(&r->m, &i->node);
	i->in = false;
}

static int begin(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	must(r != NULL && hmap_init(&r->m) == ERR_NONE);
	r->now_us = 1;
	srand(5);
	*state = r;
	return 0;
}

static int end(void **state)
{
	struct rig *r = *state;

	hmap_fini(&r->m);
	free(r);
	return 0;
}

static void look(void *arg, struct hmap_node *n)
{
	struct rig *r = arg;
	struct item *i = CONTAINER_OF(n, struct item, node);

	assert_true(i->in);
	if (r->now_us - i->seen_us > r->longest_us)
		r->longest_us = r->now_us - i->seen_us;
	i->seen_us = r->now_us;
	i->seen++;
	r->part++;
	if (i == r->ends)
		drop(r, i);
}

/* One turn of a loop. */
static bool turn(struct rig *r)
{
	r->part = 0;
	bool over = control_round_part(&r->round, r->now_us, PERIOD_US, &r->m, look, r);
	if (r->part > r->most)
		r->most = r->part;
	r->now_us += LOOP_US;
	return over;
}

static void a_small_table_is_looked_at_in_one_part_each_period(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 100; i++)
		add(r, i);
	assert_true(turn(r));
	while (r->now_us < 1 + 3 * PERIOD_US)
		(void)turn(r);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(items[i].seen, 3);
}

static void an_empty_table_is_a_round_of_nothing(void **state)
{
	struct rig *r = *state;

	assert_true(turn(r));
	assert_int_equal(r->part, 0);
}

/* And so is one that has held many. */
static void a_part_is_small_and_a_round_takes_its_period(void **state)
{
	struct rig *r = *state;
	unsigned rounds = 0;

	for (unsigned i = 0; i < ITEMS; i++)
		add(r, i);
	while (r->now_us < 5 * PERIOD_US)
		rounds += turn(r);
	assert_in_range(rounds, 4, 6);
	assert_in_range(r->most, 1, CONTROL_PART + 16);
	assert_true(r->longest_us <= PERIOD_US + PERIOD_US / 10);
	for (unsigned i = 0; i < ITEMS; i++)
		assert_in_range(items[i].seen, 4, 6);
	for (unsigned i = 1; i < ITEMS; i++)
		drop(r, &items[i]);
	unsigned before = items[0].seen;
	for (uint64_t until = r->now_us + 3 * PERIOD_US; r->now_us < until;)
		(void)turn(r);
	assert_in_range(items[0].seen - before, 2, 4);
}

/* The table grows from 64 places to 65,536 meanwhile. */
static void none_waits_longer_while_others_come_and_go(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < ITEMS; i += 2)
		items[i] = items[i + 1] = (struct item){ 0 };
	for (unsigned i = 0; i < 20; i++)
		add(r, i);
	while (r->now_us < 20 * PERIOD_US) {
		for (unsigned k = 0; k < 4; k++) {
			unsigned i = 20 + (unsigned)rand() % (ITEMS - 20);
			if (items[i].in && rand() % 4 == 0)
				drop(r, &items[i]);
			else if (!items[i].in)
				add(r, i);
		}
		(void)turn(r);
	}
	assert_true(r->m.mask >= ITEMS / 2);
	assert_true(r->longest_us <= 2 * PERIOD_US);
	for (unsigned i = 0; i < ITEMS; i++)
		assert_true(!items[i].in || r->now_us - items[i].seen_us <= PERIOD_US + PERIOD_US / 4);
}

/* The one that is looked at, and in the pause the one that would come next. */
static void a_removal_in_the_middle_of_a_round_is_safe(void **state)
{
	struct rig *r = *state;
	unsigned in = ITEMS / 10;

	for (unsigned i = 0; i < in; i++)
		add(r, i);
	for (unsigned i = 0; i < in; i += 2) {
		struct hmap_walk w = { .bucket = r->round.bucket };
		struct hmap_node *next = hmap_walk_next(&r->m, &w);
		r->ends = i % 4 == 0 ? &items[i] : NULL;
		if (next != NULL && i % 4 != 0)
			drop(r, CONTAINER_OF(next, struct item, node));
		r->now_us = r->round.next_us;
		(void)turn(r);
	}
	r->ends = NULL;
	size_t left = 0;
	for (unsigned i = 0; i < in; i++)
		left += items[i].in;
	assert_int_equal(left, r->m.cnt);
	assert_true(left > 0 && left < in);
}

/* So many that a part each CONTROL_PART_US does not get around in time. */
static void with_very_many_the_round_is_longer_and_not_the_part(void **state)
{
	struct rig *r = *state;
	const uint64_t period_us = 100000;
	unsigned turns = 0, busy = 0;

	for (unsigned i = 0; i < ITEMS; i++)
		add(r, i);
	for (bool over = false; !over; turns++) {
		r->part = 0;
		over = control_round_part(&r->round, r->now_us, period_us, &r->m, look, r);
		busy += r->part != 0;
		assert_in_range(r->part, 0, CONTROL_PART + 16);
		r->now_us += LOOP_US;
	}
	for (unsigned i = 0; i < ITEMS; i++)
		assert_int_equal(items[i].seen, 1);
	assert_true(busy <= turns / (CONTROL_PART_US / LOOP_US) + 1);
}

/* A process that stood still does not do all rounds that it has missed. */
static void after_a_pause_nothing_is_made_up_for(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 100; i++)
		add(r, i);
	(void)turn(r);
	r->now_us += 100 * PERIOD_US;
	for (uint64_t until = r->now_us + 2 * PERIOD_US; r->now_us < until;)
		(void)turn(r);
	assert_in_range(items[0].seen, 3, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_small_table_is_looked_at_in_one_part_each_period, begin, end),
		cmocka_unit_test_setup_teardown(an_empty_table_is_a_round_of_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_part_is_small_and_a_round_takes_its_period, begin, end),
		cmocka_unit_test_setup_teardown(none_waits_longer_while_others_come_and_go, begin, end),
		cmocka_unit_test_setup_teardown(a_removal_in_the_middle_of_a_round_is_safe, begin, end),
		cmocka_unit_test_setup_teardown(with_very_many_the_round_is_longer_and_not_the_part, begin, end),
		cmocka_unit_test_setup_teardown(after_a_pause_nothing_is_made_up_for, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
