// The numbers that come with a Child SA's own commit: the node that it names begins with them, and asks nobody.
#include "seq_rig.h"

static unsigned first; /* the node that the commit names */

/* The SA has just been committed; no node has read its record yet. */
static int begin(void **state)
{
	struct cluster_sequence s;

	(void)state;
	begin_with(false);
	cluster_sequence_first(&nodes[0].c.members, nodes[0].c.cfg.incarnation, SPI, CONTROL_NUMBERS_FIRST, &s);
	put_record(&s);
	store.create_rev = store.mod_rev;
	first = s.slot - 1u;
	return 0;
}

static unsigned asked_by_all(void)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < NODES; i++)
		sum += nodes[i].thread.cnt;
	return sum;
}

static void tell_all(void)
{
	for (unsigned i = 0; i < NODES; i++)
		tell(i);
}

static void the_named_node_begins_and_nobody_asks_the_store(void **state)
{
	(void)state;
	assert_int_equal(cluster_chosen(&nodes[0].c.members, SPI), first + 1);
	tell_all();
	turns();
	assert_int_equal(asked_by_all(), 0);
	assert_int_equal(holder(), first);
	for (unsigned i = 0; i < NODES; i++) {
		hand_over(i, (uint8_t)('a' + i));
		deliver();
	}
	assert_string_equal(given(first), "abc");
	assert_int_equal(seal(first), 1);
	assert_int_equal(seal(first), 2);
	assert_int_equal(dropped_all(), 0);
}

static void who_commits_it_and_is_named_begins_before_the_watch_tells(void **state)
{
	const struct cluster_sequence s = record();

	(void)state;
	control_seq_made(&nodes[first].c, SPI, store.mod_rev, &s);
	assert_true(numbers(first));
	assert_int_equal(seal(first), 1);
	tell(first);
	assert_int_equal(seal(first), 2);
	assert_int_equal(asked_by_all(), 0);
}

/* The holder adds to its block as any other, and who comes after a dead one begins above. */
static void the_block_goes_on_like_one_that_was_taken(void **state)
{
	(void)state;
	tell_all();
	turns();
	for (unsigned i = 1; i <= BLOCK / 2; i++)
		assert_int_equal(seal(first), i);
	control_seq_low(&nodes[first].c, SPI);
	answer(first);
	assert_int_equal(record().out, 3 * BLOCK);
	assert_int_equal(seal(first), BLOCK / 2 + 1);
	unsigned next = (first + 1) % NODES;
	tell(next);
	see(next, first, false, false);
	turn(next);
	answer(next);
	assert_int_equal(seal(next), 3 * BLOCK + 1);
}

/* Who has committed it sends there before the news have come: what is to be numbered waits for them. */
static void what_comes_before_its_sa_waits_for_it_in_order(void **state)
{
	const struct model_child_sa child = make_child(false);
	struct control *c = &nodes[first].c;

	(void)state;
	nodes[first].c.now_us = now_us;
	control_child_remove(c, SPI, 1);
	control_graves_free(c); /* it never was here */
	must(hmap_init(&c->buried) == ERR_NONE);
	for (uint8_t mark = 'a'; mark < 'e'; mark++) {
		control_seq_inner(c, SPI, bytes_of(&mark, 1));
		control_seq_inner(c, SPI + 1, bytes_of(&mark, 1));
	}
	assert_int_equal(c->seqs->early_cnt, 8);
	c->seqs->removed_rev = 0;
	control_child_install(c, &child, 0, store.mod_rev);
	tell(first);
	assert_string_equal(given(first), "abcd");
	assert_int_equal(c->seqs->early_cnt, 4);
	assert_int_equal(dropped_all(), 0);
	assert_true(control_seq_next_us(c) <= now_us + 600000);
	now_us += 600000;
	turn(first);
	assert_int_equal(dropped(first, MODEL_DROP_seq_expired), 4);
	assert_int_equal(c->seqs->early_cnt, 0);
}

static void of_what_comes_early_little_is_kept(void **state)
{
	struct control *c = &nodes[first].c;
	const uint8_t packet = 'x';

	(void)state;
	c->now_us = now_us;
	for (unsigned i = 0; i < 1024; i++)
		control_seq_inner(c, SPI + 1 + i % 7, bytes_of(&packet, 1));
	assert_int_equal(dropped_all(), 0);
	control_seq_inner(c, SPI + 1, bytes_of(&packet, 1));
	assert_int_equal(dropped(first, MODEL_DROP_seq_full), 1);
	now_us += 600000;
	turn(first);
	assert_int_equal(dropped(first, MODEL_DROP_seq_expired), 1024);
	assert_int_equal(c->seqs->waiting, 0);
}

/* It was here before, and some of the numbers of the block that its record still shows were used. */
static void an_sa_that_comes_back_does_not_begin_anew(void **state)
{
	const struct model_child_sa child = make_child(false);
	struct control *c = &nodes[first].c;

	(void)state;
	tell(first);
	assert_int_equal(seal(first), 1);
	control_child_remove(c, SPI, 1);
	control_child_install(c, &child, 0, store.mod_rev);
	turn(first);
	tell(first);
	assert_false(numbers(first));
	settle();
	assert_int_equal(holder(), first);
	assert_int_equal(seal(first), BLOCK + 1);
}

/* The others may have gone on from that record. */
static void old_news_are_asked_about(void **state)
{
	(void)state;
	struct cluster_members *m = &nodes[first].c.members;
	cluster_members_applied(m, m->m[0].slot, store.mod_rev + 1);
	tell(first);
	turn(first);
	assert_false(numbers(first));
	assert_int_equal(nodes[first].thread.cnt, 1);
	assert_true(nodes[first].thread.asked[0].read);
	answer(first);
	assert_true(numbers(first));
	assert_int_equal(seal(first), 1);
}

/* What waits for its numbers would be lost before the store has a leader again. */
static void a_store_that_does_not_answer_costs_no_packet_of_a_new_sa(void **state)
{
	(void)state;
	struct cluster_members *m = &nodes[first].c.members;
	cluster_members_applied(m, m->m[0].slot, store.mod_rev + 1);
	tell(first);
	hand_over(first, 'a');
	for (unsigned i = 0; i < 3; i++) {
		turn(first);
		answer_as(first, ERR_AWAY, false);
		assert_false(numbers(first));
		now_us += 100000;
	}
	turn(first);
	assert_true(numbers(first));
	assert_string_equal(given(first), "a");
	assert_int_equal(dropped_all(), 0);
}

static void who_has_slept_asks_before_it_begins(void **state)
{
	(void)state;
	unsigned next = (first + 1) % NODES;
	turn(first);
	tell(next);
	see(next, first, false, false);
	turn(next);
	const struct cluster_sequence was = record();
	answer(next); /* it has it now, above */
	now_us += 5000000;
	turn(first);
	control_seq_made(&nodes[first].c, SPI, store.create_rev, &was); /* the news of before, which come one by one */
	turn(first);
	assert_false(numbers(first));
	answer(first);
	assert_false(numbers(first));
	assert_int_equal(seq_of(first)->phase, CONTROL_SEQ_AWAY);
	assert_int_equal(seal(next), BLOCK + 1);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(the_named_node_begins_and_nobody_asks_the_store),
		RUN(who_commits_it_and_is_named_begins_before_the_watch_tells),
		RUN(the_block_goes_on_like_one_that_was_taken),
		RUN(what_comes_before_its_sa_waits_for_it_in_order),
		RUN(of_what_comes_early_little_is_kept),
		RUN(an_sa_that_comes_back_does_not_begin_anew),
		RUN(old_news_are_asked_about),
		RUN(a_store_that_does_not_answer_costs_no_packet_of_a_new_sa),
		RUN(who_has_slept_asks_before_it_begins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
