// Three nodes and the numbers of one Child SA: seq.c and seq_queue.c over a store and a mesh that the test runs, message by message.
#include "seq_rig.h"

static int begin(void **state)
{
	(void)state;
	return begin_with(false);
}

static int begin_esn(void **state)
{
	(void)state;
	return begin_with(true);
}

/* The one transaction that the node has asked for, whose answer it hears of later. */
static struct store_done later;

static void answer_later(unsigned at)
{
	struct store_thread *t = &nodes[at].thread;

	assert_true(t->cnt == 1 && !t->asked[0].read);
	later = commit(&t->asked[0], ERR_NONE, true);
	t->cnt = 0;
}

static void answers_come(unsigned at)
{
	assert_true(control_seq_done(&nodes[at].c, &later));
}

static void pass_time(uint64_t us)
{
	for (uint64_t left = us; left != 0;) {
		uint64_t step = left < 50000 ? left : 50000;
		now_us += step;
		left -= step;
		settle();
	}
}

static void drain(unsigned at)
{
	cluster_members_self(&nodes[at].c.members, (uint16_t)(at + 1), true, true);
	for (unsigned i = 0; i < NODES; i++)
		if (i != at)
			see(i, at, true, true);
}

/* ---- tests ---- */

static void one_node_takes_it_and_the_others_send_there(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NODES; i++) {
		assert_false(numbers(i));
		assert_int_equal(seal(i), 0);
		hand_over(i, (uint8_t)('a' + i));
	}
	settle();
	unsigned h = holder();
	assert_int_equal(cluster_chosen(&nodes[0].c.members, SPI), h + 1);
	assert_int_equal(strlen(given(h)), NODES);
	assert_int_equal(record().slot, h + 1);
	assert_int_equal(record().out, BLOCK);
	assert_int_equal(seal(h), 1);
	assert_int_equal(seal(h), 2);
	hand_over((h + 1) % NODES, 'x');
	deliver();
	assert_string_equal(given(h), "x");
	assert_int_equal(dropped_all(), 0);
}

static void a_dead_holder_is_replaced_above_its_block_and_a_zombie_stays_in_its_own(void **state)
{
	(void)state;
	settle();
	unsigned dead = holder(), one = (dead + 1) % NODES, other = (dead + 2) % NODES;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(seal(dead), i + 1);
	cut[dead] = true;
	see(one, dead, false, false);
	see(other, dead, false, false);
	/* Only one of the two is nominated in earnest; here both believe so. */
	turn(one);
	turn(other);
	answer(one);
	answer(other);
	deliver();
	assert_true(numbers(one) != numbers(other) || seq_of(one)->phase != seq_of(other)->phase);
	for (unsigned i = 0; i < 5; i++) {
		turn(one);
		turn(other);
		answer(one);
		answer(other);
		deliver();
	}
	unsigned next = seq_of(one)->phase == CONTROL_SEQ_NUMBERS || seq_of(one)->phase == CONTROL_SEQ_WAITS ? one : other;
	now_us += 300000;
	turn(one);
	turn(other);
	uint32_t first = seal(next);
	assert_true(first > BLOCK);
	/* The former one has heard of nothing, and its worker goes on. */
	for (unsigned i = 1000; i < BLOCK; i++)
		assert_int_equal(seal(dead), i + 1);
	assert_int_equal(seal(dead), 0);
	assert_int_equal(seal(next), first + 1);
}

static void who_loses_the_race_takes_above_the_winner(void **state)
{
	(void)state;
	settle();
	unsigned h = holder(), late = (h + 1) % NODES;
	see(late, h, false, false); /* wrongly */
	turn(late);
	assert_int_equal(nodes[late].thread.cnt, 1);
	control_seq_low(&nodes[h].c, SPI);
	answer(h);
	assert_int_equal(record().out, 3 * BLOCK);
	answer(late); /* lost: it reads */
	assert_int_equal(record().slot, h + 1);
	answer(late);
	answer(late);
	assert_int_equal(record().slot, late + 1);
	assert_int_equal(seq_of(late)->above, 3 * BLOCK);
}

static void a_block_is_added_when_half_is_used_and_is_twice_as_long(void **state)
{
	(void)state;
	settle();
	unsigned h = holder();
	const struct fwd_child *child = fwd_spi_find(nodes[h].c.fwd, SPI);
	uint64_t out = BLOCK, block = BLOCK;
	for (unsigned i = 1; i < BLOCK / 2; i++)
		assert_int_equal(seal(h), i);
	assert_false(fwd_child_wants_numbers(child));
	assert_int_equal(seal(h), BLOCK / 2);
	assert_true(fwd_child_wants_numbers(child));
	for (unsigned i = 0; i < 8; i++) {
		control_seq_low(&nodes[h].c, SPI);
		block = block < CONTROL_NUMBERS_MAX ? 2 * block : block;
		out += block;
		answer(h);
		assert_int_equal(record().out, out);
	}
	assert_false(fwd_child_wants_numbers(child));
	for (unsigned i = BLOCK / 2 + 1; i < BLOCK + 10; i++) /* without a gap */
		assert_int_equal(seal(h), i);
}

static void cut_from_the_store_a_holder_uses_its_block_and_no_more(void **state)
{
	(void)state;
	settle();
	unsigned h = holder();
	for (unsigned i = 1; i <= BLOCK / 2; i++)
		assert_int_equal(seal(h), i);
	control_seq_low(&nodes[h].c, SPI);
	for (unsigned i = 0; i < 50; i++) {
		answer_as(h, ERR_AWAY, false);
		now_us += 100000;
		turn(h);
	}
	assert_true(numbers(h));
	for (unsigned i = BLOCK / 2 + 1; i <= BLOCK; i++)
		assert_int_equal(seal(h), i);
	assert_int_equal(seal(h), 0);
	answer(h); /* it is back */
	answer(h);
	assert_int_equal(seal(h), BLOCK + 1);
}

static void of_an_unknown_outcome_nothing_is_used_unseen(void **state)
{
	(void)state;
	turns();
	unsigned first = cluster_chosen(&nodes[0].c.members, SPI) - 1u;
	answer(first);                              /* it has read */
	answer_as(first, ERR_UNKNOWN_OUTCOME, true); /* and taken, but does not know */
	assert_int_equal(record().slot, first + 1);
	assert_false(numbers(first));
	now_us += 100000;
	turn(first);
	answer(first);
	answer(first);
	assert_true(numbers(first));
	assert_int_equal(seal(first), BLOCK + 1);
	control_seq_low(&nodes[first].c, SPI);
	answer_as(first, ERR_UNKNOWN_OUTCOME, false);
	now_us += 100000;
	turn(first);
	answer(first);
	answer(first);
	assert_int_equal(record().out, 4 * BLOCK);
	assert_int_equal(seal(first), BLOCK + 2);
}

static void drained_it_goes_on_until_all_know_and_then_the_other_begins(void **state)
{
	(void)state;
	settle();
	unsigned old = holder();
	assert_int_equal(seal(old), 1);
	for (unsigned i = 0; i < NODES; i++) /* they are heard, and have news later */
		if (i != old)
			see(old, i, true, false);
	for (unsigned k = 0; k < NODES - 1; k++)
		nodes[old].c.members.m[k].applied = 0;
	drain(old);
	turns();
	unsigned new = cluster_chosen(&nodes[old].c.members, SPI) - 1u, third = 3 - old - new;
	const uint8_t early = 'e';
	control_seq_inner(&nodes[new].c, SPI, bytes_of(&early, 1)); /* of one who has heard of it from the store before us */
	answer(new);
	assert_int_equal(record().slot, new + 1);
	assert_false(numbers(new));
	hand_over(third, 'a'); /* it has not heard yet */
	deliver();
	assert_int_equal(seal(old), 2);
	assert_int_equal(seq_of(old)->phase, CONTROL_SEQ_LEAVES);
	hand_over(third, 'b');
	hand_over(new, 'c');
	deliver();
	assert_string_equal(given(new), ""); /* it waits */
	see(old, new, true, false);
	see(old, third, true, false);
	now_us += 2000;
	turn(old);
	assert_false(numbers(old));
	deliver();
	assert_int_equal(seq_of(old)->phase, CONTROL_SEQ_CEASES);
	assert_false(numbers(new));
	assert_string_equal(given(old), "a"); /* the worker comes to it now */
	now_us += 2000;
	turn(old);
	hand_over(old, 'd');
	deliver();
	assert_true(numbers(new));
	assert_string_equal(given(new), "ecbd");
	assert_int_equal(seal(new), BLOCK + 1);
	assert_int_equal(dropped_all(), 0);
}

/* The holder is drained, another has taken its place, and no word of it comes there. */
static unsigned successor_without_a_word(unsigned *ret_old)
{
	settle();
	unsigned old = holder();
	drain(old);
	turns();
	unsigned new = cluster_chosen(&nodes[old].c.members, SPI) - 1u;
	cut[old] = true;
	answer(new);
	if (ret_old != NULL)
		*ret_old = old;
	return new;
}

static void a_successor_waits_no_longer_than_it_must(void **state)
{
	(void)state;
	unsigned new = successor_without_a_word(NULL);
	now_us += 200000;
	turn(new);
	now_us += 199000;
	turn(new);
	assert_false(numbers(new));
	now_us += 1000;
	turn(new);
	assert_true(numbers(new));
}

static void a_successor_begins_at_once_when_the_former_one_dies(void **state)
{
	(void)state;
	unsigned old, new = successor_without_a_word(&old);
	turn(new);
	assert_false(numbers(new));
	see(new, old, false, false);
	turn(new);
	assert_true(numbers(new));
}

static void a_forwarded_packet_is_never_forwarded_again(void **state)
{
	(void)state;
	settle();
	unsigned h = holder(), one = (h + 1) % NODES;
	const unsigned before = mail_cnt;
	const uint8_t packet = 'x';
	control_seq_inner(&nodes[one].c, SPI, bytes_of(&packet, 1));
	assert_int_equal(mail_cnt, before);
	assert_int_equal(dropped(one, MODEL_DROP_seq_moved), 1);
}

static void what_comes_for_an_sa_that_was_rekeyed_leaves_on_the_one_that_followed(void **state)
{
	const uint32_t next = SPI + 0x100;
	const uint8_t packet[28] = { 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 8 };
	struct fwd_inner local = { .spi_in = SPI, .len = sizeof(packet) };
	struct model_child_sa child = make_child(false);

	(void)state;
	settle();
	unsigned h = holder();
	struct control *c = &nodes[h].c;
	memcpy(local.b, packet, sizeof(packet));
	child.spi_in = next;
	control_child_install(c, &child, SPI, 1);
	control_child_remove(c, SPI, 9);
	const struct control_seq *s = control_child_find(c, next)->seq;
	control_seq_inner(c, SPI, BYTES_OF(packet)); /* of a node that has not heard of it */
	control_seq_local(c, &local);                /* of a worker that had it in hand */
	assert_int_equal(s->waiting, 2);             /* until it is settled who numbers that */
	assert_int_equal(dropped_all(), 0);
	control_child_remove(c, next, 9); /* the tunnel sends on none any more */
	assert_int_equal(dropped(h, MODEL_DROP_seq_expired), 2);
	control_seq_inner(c, SPI, BYTES_OF(packet));
	assert_int_equal(dropped(h, MODEL_DROP_seq_moved), 1);
}

static void what_waits_is_bounded_and_does_not_wait_long(void **state)
{
	(void)state;
	unsigned h = cluster_chosen(&nodes[0].c.members, SPI) - 1u;
	turns();
	for (unsigned i = 0; i < 2048; i++)
		hand_over(h, 'x');
	assert_int_equal(dropped_all(), 0);
	hand_over(h, 'y');
	assert_int_equal(dropped(h, MODEL_DROP_seq_full), 1);
	now_us += 100000;
	turn(h);
	now_us += 100000;
	turn(h);
	now_us += 100000;
	turn(h);
	now_us += 299999;
	turn(h);
	assert_int_equal(dropped(h, MODEL_DROP_seq_expired), 0);
	now_us += 1;
	turn(h);
	assert_int_equal(dropped(h, MODEL_DROP_seq_expired), 2048);
}

static void what_does_not_fit_a_workers_ring_follows_in_order(void **state)
{
	(void)state;
	unsigned h = cluster_chosen(&nodes[0].c.members, SPI) - 1u;
	char got[129] = "";
	size_t len = 0;
	for (unsigned i = 0; i < 128; i++)
		hand_over(h, (uint8_t)(' ' + i % 90));
	settle();
	for (unsigned i = 0; i < 128; i += 64) {
		const char *more = given(h);
		size_t n = strnlen(more, 64);
		memcpy(got + len, more, n);
		len += n;
		now_us += 2000;
		turn(h);
	}
	assert_int_equal(len, 128);
	for (unsigned i = 0; i < 128; i++)
		assert_int_equal(got[i], ' ' + i % 90);
	assert_int_equal(dropped_all(), 0);
}

static void who_wakes_up_asks_first(void **state)
{
	(void)state;
	settle();
	unsigned h = holder();
	now_us += 299999;
	turn(h);
	assert_true(numbers(h));
	now_us += 300001;
	turn(h);
	assert_false(numbers(h));
	hand_over(h, 'a');
	assert_string_equal(given(h), "");
	answer(h); /* it still is its own */
	assert_true(numbers(h));
	assert_string_equal(given(h), "a");
	assert_int_equal(seal(h), 1);
	now_us += 300001;
	turn(h);
	for (unsigned i = 0; i < 9; i++) { /* nobody answers: then nobody else can have taken it either */
		assert_false(numbers(h));
		answer_as(h, ERR_AWAY, false);
		now_us += 100000;
		turn(h);
	}
	answer_as(h, ERR_AWAY, false);
	now_us += 100000;
	turn(h);
	assert_true(numbers(h));
	assert_int_equal(seal(h), 2);
}

static void a_zombie_that_wakes_up_sends_what_it_has_to_its_successor(void **state)
{
	(void)state;
	const uint8_t packet = 'f';
	settle();
	unsigned zombie = holder(), next = (zombie + 1) % NODES;
	see(next, zombie, false, false);
	turn(next);
	answer(next);
	assert_true(numbers(next));
	mail_at = mail_cnt; /* while it slept */
	now_us += 5000000;
	turn(zombie);
	hand_over(zombie, 'a');
	control_seq_inner(&nodes[zombie].c, SPI, bytes_of(&packet, 1)); /* sent before anybody noticed */
	assert_false(numbers(zombie));
	assert_int_equal(strlen(given(zombie)), 0);
	answer(zombie);
	see(next, zombie, true, false);
	deliver();
	assert_false(numbers(zombie));
	assert_string_equal(given(next), "a");
	assert_int_equal(dropped(zombie, MODEL_DROP_seq_moved), 1);
}

static void without_a_lease_it_numbers_only_while_the_store_is_gone_for_all(void **state)
{
	(void)state;
	settle();
	unsigned h = holder(), other = (h + 1) % NODES;
	struct cluster_members *m = &nodes[h].c.members;
	const struct cluster_ping stale = { .fresh = false }, fresh = { .fresh = true };
	cluster_members_self(m, (uint16_t)(h + 1), false, false);
	cluster_members_heard(m, (uint16_t)(other + 1), &stale, now_us);
	turn(h);
	assert_true(numbers(h));
	cluster_members_heard(m, (uint16_t)(other + 1), &fresh, now_us);
	turn(h);
	assert_false(numbers(h));
	answer(h);
	turn(h);
	assert_false(numbers(h));
	cluster_members_self(m, (uint16_t)(h + 1), true, false);
	turn(h);
	answer(h); /* nobody has taken it meanwhile */
	assert_true(numbers(h));
	assert_int_equal(seal(h), 1);
}

/* It had asked before it slept, and was answered then. */
static void an_answer_of_before_the_sleep_says_nothing(void **state)
{
	(void)state;
	settle();
	unsigned zombie = holder(), next = (zombie + 1) % NODES;
	control_seq_low(&nodes[zombie].c, SPI);
	answer_later(zombie);
	see(next, zombie, false, false);
	turn(next);
	answer(next);
	answer(next);
	answer(next);
	assert_true(numbers(next));
	mail_at = mail_cnt;
	now_us += 5000000;
	turn(zombie);
	answers_come(zombie);
	assert_false(numbers(zombie));
	answer(zombie);
	assert_false(numbers(zombie));
	assert_int_equal(seq_of(zombie)->phase, CONTROL_SEQ_AWAY);
}

/* The hash wants it elsewhere: it moves when that has lasted for a while. */
static void a_holder_that_lives_keeps_it_for_a_while(void **state)
{
	(void)state;
	settle();
	unsigned h = holder();
	drain(h);
	settle();
	unsigned second = holder();
	assert_int_not_equal(second, h);
	cluster_members_self(&nodes[h].c.members, (uint16_t)(h + 1), true, false);
	for (unsigned i = 0; i < NODES; i++)
		if (i != h)
			see(i, h, true, false);
	pass_time(1900000);
	assert_int_equal(holder(), second);
	pass_time(500000);
	assert_int_equal(holder(), h);
	assert_int_equal(dropped_all(), 0);
}

static void two_that_believe_each_other_dead_do_not_fight_for_it(void **state)
{
	(void)state;
	settle();
	unsigned h = holder(), other = (h + 1) % NODES;
	uint64_t out = record().out;
	for (unsigned i = 0; i < 1200; i++) { /* a minute */
		now_us += 50000;
		see(h, other, false, false);
		see(other, h, false, false);
		turn(h);
		turn(other);
		answer(h);
		answer(other);
		tell(h);
		tell(other);
	}
	assert_in_range((record().out - out) / BLOCK, 2, 14);
}

/* Whichever of them has the duty to rekey it. */
static void all_nodes_know_how_many_numbers_are_used(void **state)
{
	(void)state;
	const struct cluster_sequence half = { .out = UINT32_MAX / 2 }, nearly = { .out = UINT32_MAX - 1 };
	settle();
	put_record(&half);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < NODES; i++) {
			const struct control_child *child = control_child_find(&nodes[i].c, SPI);
			const struct fwd_child_stats none = { 0 };
			tell(i);
			const struct esp_used used = control_use_sum(&nodes[i].c, child, &none);
			assert_int_equal(esp_limits_judge(&child->limits, &used), ESP_WEAR_SOFT); /* the last may still be used */
		}
		put_record(&nearly);
	}
}

static void numbers_end_with_the_key(void **state)
{
	(void)state;
	const struct cluster_sequence last = { .out = UINT32_MAX - 5 };
	put_record(&last);
	settle();
	unsigned h = holder();
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(seal(h), UINT32_MAX - 4 + i);
	assert_int_equal(seal(h), 0);
	assert_int_equal(record().out, UINT32_MAX);
	control_seq_low(&nodes[h].c, SPI);
	settle();
	assert_int_equal(seal(h), 0);
	assert_int_equal(record().out, UINT32_MAX);
}

static void extended_numbers_go_on_above_32_bits(void **state)
{
	(void)state;
	const struct cluster_sequence much = { .out = UINT64_C(0x300000000), .in = UINT64_C(0x500000000) };
	put_record(&much);
	settle();
	unsigned h = holder();
	struct fwd_child_stats s;
	assert_int_equal(seal(h), 1);
	for (unsigned i = 0; i < NODES; i++) { /* all of them know how far the peer is */
		assert_int_equal(fwd_child_stats(nodes[i].c.fwd, SPI, &s), ERR_NONE);
		assert_true(s.seq_in == much.in);
	}
	assert_int_equal(fwd_child_stats(nodes[h].c.fwd, SPI, &s), ERR_NONE);
	assert_true(s.seq_out == much.out + 1);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(one_node_takes_it_and_the_others_send_there),
		RUN(a_dead_holder_is_replaced_above_its_block_and_a_zombie_stays_in_its_own),
		RUN(who_loses_the_race_takes_above_the_winner),
		RUN(a_block_is_added_when_half_is_used_and_is_twice_as_long),
		RUN(cut_from_the_store_a_holder_uses_its_block_and_no_more),
		RUN(of_an_unknown_outcome_nothing_is_used_unseen),
		RUN(drained_it_goes_on_until_all_know_and_then_the_other_begins),
		RUN(a_successor_waits_no_longer_than_it_must),
		RUN(a_successor_begins_at_once_when_the_former_one_dies),
		RUN(a_forwarded_packet_is_never_forwarded_again),
		RUN(what_comes_for_an_sa_that_was_rekeyed_leaves_on_the_one_that_followed),
		RUN(what_waits_is_bounded_and_does_not_wait_long),
		RUN(what_does_not_fit_a_workers_ring_follows_in_order),
		RUN(who_wakes_up_asks_first),
		RUN(a_zombie_that_wakes_up_sends_what_it_has_to_its_successor),
		RUN(an_answer_of_before_the_sleep_says_nothing),
		RUN(without_a_lease_it_numbers_only_while_the_store_is_gone_for_all),
		RUN(a_holder_that_lives_keeps_it_for_a_while),
		RUN(two_that_believe_each_other_dead_do_not_fight_for_it),
		RUN(all_nodes_know_how_many_numbers_are_used),
		RUN(numbers_end_with_the_key),
		cmocka_unit_test_setup_teardown(extended_numbers_go_on_above_32_bits, begin_esn, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
