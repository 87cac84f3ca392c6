#include "explain/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define S UINT64_C(1000000)
#define T0 (1000000 * S)

static struct explain_sign signs[EXPLAIN_SIGNS_MAX];

static struct addr host(uint8_t last)
{
	return addr_from_v4_u32(0xcb007100u + last);
}

/* The sign with that code among the first cnt; -1: none, 0: there, 1: over. */
static int find(unsigned cnt, uint8_t code)
{
	for (unsigned i = 0; i < cnt; i++)
		if (signs[i].code == code)
			return signs[i].over;
	return -1;
}

static unsigned start(struct explain_watch *w, uint64_t s, uint8_t from, bool replaced)
{
	struct addr a = host(from);
	return explain_watch_start(w, T0 + s * S, &a, replaced, signs);
}

static void a_few_starts_are_no_loop_and_many_are(void **state)
{
	(void)state;
	struct explain_watch w = { 0 };

	assert_int_equal(start(&w, 0, 1, false), 0);
	for (unsigned i = 1; i < EXPLAIN_LOOP_STARTS; i++)
		assert_int_equal(start(&w, i * 20, 1, true), 0);
	assert_int_equal(find(start(&w, 100, 1, true), MODEL_FAILURE_RESTART_LOOP), 0);
	assert_non_null(strstr(signs[0].what, "4 new IKE SAs from 203.0.113.1 in 80 s"));
}

static void starts_after_a_farewell_or_far_between_are_no_loop(void **state)
{
	(void)state;
	struct explain_watch polite = { 0 }, slow = { 0 };

	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(start(&polite, i * 5, 1, false), 0);
		assert_int_equal(start(&slow, i * (EXPLAIN_LOOP_S / 3 + 1), 1, true), 0);
	}
}

static void a_loop_is_over_after_a_quiet_time(void **state)
{
	(void)state;
	struct explain_watch w = { 0 };
	struct explain_sample s = { .epoch_us = T0, .child_cnt = 1 };
	unsigned cnt = 0;

	for (unsigned i = 0; i <= EXPLAIN_LOOP_STARTS; i++)
		cnt = start(&w, i, 1, true);
	assert_int_equal(find(cnt, MODEL_FAILURE_RESTART_LOOP), 0);
	assert_int_equal(explain_watch_sample(&w, T0 + EXPLAIN_LOOP_S * S, &s, signs), 0);
	cnt = explain_watch_sample(&w, T0 + (EXPLAIN_LOOP_S + 10) * S, &s, signs);
	assert_int_equal(find(cnt, MODEL_FAILURE_RESTART_LOOP), 1);
	assert_int_equal(explain_watch_sample(&w, T0 + (EXPLAIN_LOOP_S + 20) * S, &s, signs), 0);
}

static void two_addresses_in_turns_are_two_peers_and_a_move_is_not(void **state)
{
	(void)state;
	struct explain_watch turns = { 0 }, move = { 0 }, slow = { 0 };

	assert_int_equal(start(&turns, 0, 1, false), 0);
	assert_int_equal(start(&turns, 10, 2, true), 0);
	assert_int_equal(find(start(&turns, 20, 1, true), MODEL_FAILURE_TWO_PEERS), 0);
	assert_non_null(strstr(signs[0].what, "203.0.113.1, then 203.0.113.2, then 203.0.113.1 again within 20 s"));
	assert_int_equal(find(start(&turns, 30, 2, true), MODEL_FAILURE_TWO_PEERS), 0);

	assert_int_equal(start(&move, 0, 1, false), 0);
	assert_int_equal(start(&move, 10, 2, true), 0);
	assert_int_equal(start(&move, 20, 2, true), 0);

	assert_int_equal(start(&slow, 0, 1, false), 0);
	assert_int_equal(start(&slow, 10, 2, true), 0);
	assert_int_equal(start(&slow, EXPLAIN_TURNS_S + 1, 1, true), 0);
}

static void a_mapping_that_changes_often_flaps(void **state)
{
	(void)state;
	struct explain_watch w = { 0 }, slow = { 0 };
	const struct addr_endpoint a = { host(1), 4500 }, b = { host(1), 40001 };
	unsigned cnt = 0;

	for (unsigned i = 0; i < EXPLAIN_FLAPS; i++) {
		assert_int_equal(cnt, 0);
		cnt = explain_watch_path(&w, T0 + i * 60 * S, &a, &b, signs);
	}
	assert_int_equal(find(cnt, MODEL_FAILURE_NAT_FLAPPING), 0);
	assert_non_null(strstr(signs[0].what, "4 changes in 180 s, the last from 203.0.113.1:4500 to 203.0.113.1:40001"));
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(explain_watch_path(&slow, T0 + i * EXPLAIN_FLAPS_S * S / 2, &a, &b, signs), 0);
}

/* Feeds one sample every 2 seconds while each second brings so many packets; the bit set of codes seen, by find. */
struct feed {
	struct explain_watch w;
	struct explain_sample s;
	uint64_t now_s;
};

static int run(struct feed *f, unsigned seconds, unsigned in, unsigned out, unsigned switches, uint8_t code)
{
	int seen = -1;

	for (unsigned i = 0; i < seconds; i += 2) {
		f->now_s += 2;
		f->s.in_packets += in * 2;
		f->s.out_packets += out * 2;
		f->s.switches += switches * 2;
		unsigned cnt = explain_watch_sample(&f->w, T0 + f->now_s * S, &f->s, signs);
		int one = find(cnt, code);
		seen = one >= 0 ? one : seen;
	}
	return seen;
}

static struct feed up(void)
{
	struct feed f = { .s = { .epoch_us = T0, .child_cnt = 1, .ike_heard_us = T0 } };
	(void)explain_watch_sample(&f.w, T0, &f.s, signs);
	return f;
}

static void idle_and_healthy_tunnels_give_no_sign(void **state)
{
	(void)state;
	struct feed idle = up(), busy = up();

	for (uint8_t code = 0; code < MODEL_FAILURE_CNT; code++) {
		assert_int_equal(run(&idle, 100, 0, 0, 0, code), -1);
		assert_int_equal(run(&busy, 100, 50, 60, 10, code), -1);
	}
}

static void no_answer_to_what_is_sent_is_no_esp_until_one_comes(void **state)
{
	(void)state;
	struct feed f = up();

	assert_int_equal(run(&f, EXPLAIN_PATIENCE_S, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	assert_int_equal(run(&f, 6, 0, 1, 0, MODEL_FAILURE_NO_ESP), 0);
	assert_int_equal(run(&f, 60, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	assert_int_equal(run(&f, 2, 1, 1, 0, MODEL_FAILURE_NO_ESP), 1);
}

static void nothing_sent_back_is_one_way(void **state)
{
	(void)state;
	struct feed f = up();

	assert_int_equal(run(&f, EXPLAIN_PATIENCE_S + 6, 2, 0, 0, MODEL_FAILURE_ONE_WAY), 0);
	assert_int_equal(run(&f, 2, 2, 1, 0, MODEL_FAILURE_ONE_WAY), 1);
}

static void esp_that_ends_while_ike_goes_on_has_stopped(void **state)
{
	(void)state;
	struct feed f = up(), dead = up();

	assert_int_equal(run(&f, 20, 5, 5, 0, MODEL_FAILURE_ESP_STOPPED), -1);
	assert_int_equal(run(&f, EXPLAIN_STOPPED_S, 0, 5, 0, MODEL_FAILURE_ESP_STOPPED), -1);
	f.s.ike_heard_us = T0 + f.now_s * S;
	assert_int_equal(run(&f, 4, 0, 5, 0, MODEL_FAILURE_ESP_STOPPED), 0);
	assert_int_equal(run(&f, 2, 1, 5, 0, MODEL_FAILURE_ESP_STOPPED), 1);
	/* a peer that is not heard at all is the liveness check's */
	assert_int_equal(run(&dead, 20, 5, 5, 0, MODEL_FAILURE_ESP_STOPPED), -1);
	assert_int_equal(run(&dead, 300, 0, 5, 0, MODEL_FAILURE_ESP_STOPPED), -1);
}

static void an_ike_sa_without_children_is_told_and_over_with_the_first(void **state)
{
	(void)state;
	struct feed f = up();

	f.s.child_cnt = 0;
	assert_int_equal(run(&f, EXPLAIN_NO_CHILD_S - 2, 0, 0, 0, MODEL_FAILURE_NO_CHILD), -1);
	assert_int_equal(run(&f, 4, 0, 0, 0, MODEL_FAILURE_NO_CHILD), 0);
	f.s.child_cnt = 1;
	assert_int_equal(run(&f, 4, 0, 0, 0, MODEL_FAILURE_NO_CHILD), 1);
}

static void answers_that_dwindle_when_a_second_thread_sends_are_a_sign_of_anti_replay(void **state)
{
	(void)state;
	struct feed f = up(), steady = up(), alone = up(), never = up(), more = up();

	assert_int_equal(run(&f, 30, 10, 10, 0, MODEL_FAILURE_ANTI_REPLAY), -1);
	assert_int_equal(run(&f, 40, 1, 10, 5, MODEL_FAILURE_ANTI_REPLAY), 0);
	assert_int_equal(run(&f, 20, 10, 10, 0, MODEL_FAILURE_ANTI_REPLAY), 1);
	/* several threads and the answers stay */
	assert_int_equal(run(&steady, 30, 10, 10, 0, MODEL_FAILURE_ANTI_REPLAY), -1);
	assert_int_equal(run(&steady, 60, 9, 10, 5, MODEL_FAILURE_ANTI_REPLAY), -1);
	/* the answers dwindle, but the order was kept: something else */
	assert_int_equal(run(&alone, 30, 10, 10, 0, MODEL_FAILURE_ANTI_REPLAY), -1);
	assert_int_equal(run(&alone, 60, 1, 10, 0, MODEL_FAILURE_ANTI_REPLAY), -1);
	/* much is sent besides that nobody answers, and the rest is answered as before */
	assert_int_equal(run(&more, 30, 10, 10, 0, MODEL_FAILURE_ANTI_REPLAY), -1);
	assert_int_equal(run(&more, 60, 10, 100, 5, MODEL_FAILURE_ANTI_REPLAY), -1);
	/* it never answered much */
	assert_int_equal(run(&never, 30, 1, 10, 0, MODEL_FAILURE_ANTI_REPLAY), -1);
	assert_int_equal(run(&never, 60, 1, 10, 5, MODEL_FAILURE_ANTI_REPLAY), -1);
}

static void what_stood_when_the_process_ended_is_over_when_its_cause_is_gone(void **state)
{
	(void)state;
	struct feed f = { .s = { .epoch_us = T0, .child_cnt = 1, .ike_heard_us = T0 } };

	explain_watch_restore(&f.w, MODEL_FAILURE_NO_ESP, T0);
	explain_watch_restore(&f.w, MODEL_FAILURE_WRONG_PSK, T0); /* none of the watch's */
	assert_int_equal(run(&f, 60, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	assert_int_equal(run(&f, 4, 1, 1, 0, MODEL_FAILURE_NO_ESP), 1);
	assert_int_equal(run(&f, 4, 1, 1, 0, MODEL_FAILURE_NO_ESP), -1);
}

static void a_new_ike_sa_begins_anew(void **state)
{
	(void)state;
	struct feed f = up();

	assert_int_equal(run(&f, EXPLAIN_PATIENCE_S, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	f.s.epoch_us = T0 + f.now_s * S;
	assert_int_equal(run(&f, EXPLAIN_PATIENCE_S, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	f.s.epoch_us = 0;
	assert_int_equal(run(&f, 100, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
}

/* Counters of others do not compare with those of before: patience begins anew, and nothing is over by that. */
static void another_era_begins_anew_and_ends_nothing(void **state)
{
	(void)state;
	struct feed f = up(), open = up();

	assert_int_equal(run(&f, EXPLAIN_PATIENCE_S, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	f.s.era++;
	f.s.in_packets = f.s.in_before = 1000; /* of one that has come; and what has gone out is less */
	f.s.out_packets = f.s.out_before = 5;
	assert_int_equal(run(&f, EXPLAIN_PATIENCE_S, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	assert_int_equal(run(&f, 6, 0, 1, 0, MODEL_FAILURE_NO_ESP), 0);
	assert_int_equal(run(&open, EXPLAIN_PATIENCE_S + 6, 0, 1, 0, MODEL_FAILURE_NO_ESP), 0);
	open.s.era++;
	open.s.in_packets = open.s.in_before = 1000;
	assert_int_equal(run(&open, 60, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	assert_int_equal(run(&open, 2, 1, 1, 0, MODEL_FAILURE_NO_ESP), 1);
}

/* The first sample is late: what came before it by the SAs that there are has come. */
static void what_came_before_the_first_sample_counts(void **state)
{
	(void)state;
	struct feed late = { .s = { .epoch_us = T0, .child_cnt = 1, .ike_heard_us = T0, .in_packets = 101, .in_before = 100 } };

	assert_int_equal(run(&late, 100, 0, 1, 0, MODEL_FAILURE_NO_ESP), -1);
	late = (struct feed){ .s = { .epoch_us = T0, .child_cnt = 1, .ike_heard_us = T0, .out_packets = 101, .out_before = 100 } };
	assert_int_equal(run(&late, 100, 1, 0, 0, MODEL_FAILURE_ONE_WAY), -1);
}

/* A loop that another has seen is over when nobody has told of it for long. */
static void what_another_has_seen_is_over_when_it_is_told_no_more(void **state)
{
	(void)state;
	struct feed f = up();

	explain_watch_restore(&f.w, MODEL_FAILURE_RESTART_LOOP, T0);
	assert_int_equal(run(&f, EXPLAIN_LOOP_S - 10, 1, 1, 0, MODEL_FAILURE_RESTART_LOOP), -1);
	explain_watch_restore(&f.w, MODEL_FAILURE_RESTART_LOOP, T0 + f.now_s * S);
	assert_int_equal(run(&f, EXPLAIN_LOOP_S, 1, 1, 0, MODEL_FAILURE_RESTART_LOOP), -1);
	assert_int_equal(run(&f, 4, 1, 1, 0, MODEL_FAILURE_RESTART_LOOP), 1);
	explain_watch_restore(&f.w, MODEL_FAILURE_NO_ESP, T0);
	explain_watch_forget(&f.w, MODEL_FAILURE_NO_ESP);
	assert_int_equal(run(&f, 10, 1, 1, 0, MODEL_FAILURE_NO_ESP), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_starts_are_no_loop_and_many_are),
		cmocka_unit_test(starts_after_a_farewell_or_far_between_are_no_loop),
		cmocka_unit_test(a_loop_is_over_after_a_quiet_time),
		cmocka_unit_test(two_addresses_in_turns_are_two_peers_and_a_move_is_not),
		cmocka_unit_test(a_mapping_that_changes_often_flaps),
		cmocka_unit_test(idle_and_healthy_tunnels_give_no_sign),
		cmocka_unit_test(no_answer_to_what_is_sent_is_no_esp_until_one_comes),
		cmocka_unit_test(nothing_sent_back_is_one_way),
		cmocka_unit_test(esp_that_ends_while_ike_goes_on_has_stopped),
		cmocka_unit_test(an_ike_sa_without_children_is_told_and_over_with_the_first),
		cmocka_unit_test(answers_that_dwindle_when_a_second_thread_sends_are_a_sign_of_anti_replay),
		cmocka_unit_test(what_stood_when_the_process_ended_is_over_when_its_cause_is_gone),
		cmocka_unit_test(a_new_ike_sa_begins_anew),
		cmocka_unit_test(another_era_begins_anew_and_ends_nothing),
		cmocka_unit_test(what_came_before_the_first_sample_counts),
		cmocka_unit_test(what_another_has_seen_is_over_when_it_is_told_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
