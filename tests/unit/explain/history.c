#include "explain/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define S 1000000u

static struct model_failure at(enum model_failure_code code, const char *identity, uint64_t now_us)
{
	struct model_failure f = { .code = (uint8_t)code, .first_us = now_us, .last_us = now_us, .cnt = 1 };
	snprintf(f.identity, sizeof(f.identity), "%s", identity);
	return f;
}

static void the_same_failure_is_counted_and_another_is_listed(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	struct model_failure a = at(MODEL_FAILURE_WRONG_PSK, "fqdn:a", 1 * S), b = at(MODEL_FAILURE_WRONG_PSK, "fqdn:b", 2 * S);

	int slot = explain_history_add(&h, &a, &is_new);
	assert_true(slot >= 0 && is_new);
	assert_int_not_equal(explain_history_add(&h, &b, &is_new), slot);
	assert_true(is_new);
	a.last_us = 3 * S;
	assert_int_equal(explain_history_add(&h, &a, &is_new), slot);
	assert_false(is_new);
	assert_int_equal(h.slots[slot]->cnt, 2);
	assert_int_equal(h.slots[slot]->first_us, 1 * S);
	assert_int_equal(h.slots[slot]->last_us, 3 * S);
	explain_history_free(&h);
}

static void the_one_not_seen_for_longest_makes_room(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	uint8_t order[EXPLAIN_HISTORY_MAX];
	bool is_new;

	for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++) {
		struct model_failure f = at((enum model_failure_code)i, "", (100 + i) * S);
		assert_true(explain_history_add(&h, &f, &is_new) >= 0);
	}
	struct model_failure first = at((enum model_failure_code)0, "", 200 * S);
	int slot_of_first = explain_history_add(&h, &first, &is_new);
	struct model_failure more = at((enum model_failure_code)EXPLAIN_HISTORY_MAX, "", 201 * S);
	assert_true(explain_history_add(&h, &more, &is_new) >= 0);
	assert_true(is_new);
	assert_int_equal(h.slots[slot_of_first]->code, 0);
	assert_int_equal(explain_history_order(&h, order), EXPLAIN_HISTORY_MAX);
	assert_int_equal(h.slots[order[0]]->code, EXPLAIN_HISTORY_MAX);
	assert_int_equal(h.slots[order[1]]->code, 0);
	for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++)
		assert_int_not_equal(h.slots[order[i]]->code, 1);
	explain_history_free(&h);
}

static void what_somebody_can_mend_stands_before_what_only_happened(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	struct model_failure loop = at(MODEL_FAILURE_RESTART_LOOP, "", 100 * S);
	struct model_failure replaced = at(MODEL_FAILURE_REPLACED, "", 110 * S);

	assert_null(explain_history_last(&h));
	assert_true(explain_history_add(&h, &loop, &is_new) >= 0);
	assert_true(explain_history_add(&h, &replaced, &is_new) >= 0);
	assert_int_equal(explain_history_last(&h)->code, MODEL_FAILURE_RESTART_LOOP);
	replaced.last_us = 161 * S;
	assert_true(explain_history_add(&h, &replaced, &is_new) >= 0);
	assert_int_equal(explain_history_last(&h)->code, MODEL_FAILURE_REPLACED);
	explain_history_free(&h);
}

static void what_is_over_says_so_until_it_comes_back(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	unsigned slot = 99;
	struct model_failure f = at(MODEL_FAILURE_NO_ESP, "", 100 * S);

	assert_false(explain_history_over(&h, MODEL_FAILURE_NO_ESP, 1, &slot));
	assert_true(explain_history_add(&h, &f, &is_new) >= 0);
	assert_true(explain_history_over(&h, MODEL_FAILURE_NO_ESP, 120 * S, &slot));
	assert_int_equal(h.slots[slot]->over_us, 120 * S);
	assert_false(explain_history_over(&h, MODEL_FAILURE_NO_ESP, 121 * S, &slot));
	f.last_us = 130 * S;
	assert_true(explain_history_add(&h, &f, &is_new) >= 0);
	assert_int_equal(h.slots[slot]->over_us, 0);
	explain_history_free(&h);
}

static void a_good_handshake_ends_what_failed_in_one_before(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	struct model_failure psk = at(MODEL_FAILURE_WRONG_PSK, "", 100 * S), esp = at(MODEL_FAILURE_NO_ESP, "", 110 * S);

	psk.stage = MODEL_STAGE_AUTH;
	esp.stage = MODEL_STAGE_DATA;
	int slot = explain_history_add(&h, &psk, &is_new), other = explain_history_add(&h, &esp, &is_new);
	assert_true(slot >= 0 && other >= 0);
	assert_int_equal(explain_history_settle(&h, 120 * S), 1u << slot);
	assert_int_equal(h.slots[slot]->over_us, 120 * S);
	assert_int_equal(h.slots[other]->over_us, 0);
	assert_int_equal(explain_history_settle(&h, 121 * S), 0);
	assert_int_equal(h.slots[slot]->over_us, 120 * S);
	explain_history_free(&h);
}

static void a_stored_failure_comes_back_to_its_slot(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	struct model_failure f = at(MODEL_FAILURE_NO_PSK, "", 100 * S);

	f.cnt = 41;
	explain_history_restore(&h, 5, &f);
	explain_history_restore(&h, EXPLAIN_HISTORY_MAX, &f);
	explain_history_restore(&h, UINT32_MAX, &f);
	assert_int_equal(explain_history_add(&h, &f, &is_new), 5);
	assert_int_equal(h.slots[5]->cnt, 42);
	explain_history_free(&h);
}

static void what_goes_on_is_told_once_until_it_is_news_again(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	struct model_failure f = at(MODEL_FAILURE_WRONG_PSK, "fqdn:a", 100 * S);

	unsigned slot = (unsigned)explain_history_add(&h, &f, &is_new);
	assert_true(explain_history_tell(&h, slot, 50 * S));
	for (unsigned i = 1; i < 30; i++) {
		f.last_us = (100 + i) * S;
		assert_int_equal(explain_history_add(&h, &f, &is_new), slot);
		assert_false(explain_history_tell(&h, slot, 50 * S));
	}
	/* the tunnel was up meanwhile */
	assert_true(explain_history_tell(&h, slot, 120 * S));
	assert_false(explain_history_tell(&h, slot, 120 * S));
	/* a long time has gone by */
	f.last_us = 129 * S + EXPLAIN_TELL_US;
	assert_int_equal(explain_history_add(&h, &f, &is_new), slot);
	assert_true(explain_history_tell(&h, slot, 120 * S));
	/* it was over and is back */
	assert_true(explain_history_over(&h, MODEL_FAILURE_WRONG_PSK, f.last_us + S, &slot));
	f.last_us += 2 * S;
	assert_int_equal(explain_history_add(&h, &f, &is_new), slot);
	assert_true(explain_history_tell(&h, slot, 120 * S));
	explain_history_free(&h);
}

static void two_nodes_come_to_the_same_list(void **state)
{
	(void)state;
	struct explain_history h[2] = { 0 };
	bool is_new;
	struct model_failure psk = at(MODEL_FAILURE_WRONG_PSK, "a", 10 * S), live = at(MODEL_FAILURE_LIVENESS, "", 11 * S);

	/* Each has seen another one, and both have taken the first slot. */
	assert_int_equal(explain_history_add(&h[0], &psk, &is_new), 0);
	assert_int_equal(explain_history_add(&h[1], &live, &is_new), 0);
	/* The second to write tells the first, which gives its own another slot. */
	assert_int_equal(explain_history_merge(&h[0], 0, &live, false), 1u << 1);
	assert_int_equal(h[0].slots[0]->code, MODEL_FAILURE_LIVENESS);
	assert_int_equal(explain_history_merge(&h[1], 1, h[0].slots[1], false), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(h[0].slots[i]->code, h[1].slots[i]->code);
		assert_int_equal(h[0].slots[i]->last_us, h[1].slots[i]->last_us);
	}
	/* The same at both: one entry. */
	struct model_failure again = *h[1].slots[0];
	again.cnt = 7;
	again.last_us = 20 * S;
	again.first_us = 5 * S;
	assert_int_equal(explain_history_merge(&h[0], 0, &again, true), 0);
	assert_int_equal(h[0].slots[0]->cnt, 7);
	assert_int_equal(h[0].slots[0]->first_us, 5 * S);
	assert_int_equal(h[0].slots[0]->last_us, 20 * S);
	assert_int_equal(explain_history_merge(&h[0], EXPLAIN_HISTORY_MAX, &again, true), 0);
	explain_history_free(&h[0]);
	explain_history_free(&h[1]);
}

/* Our own row that comes back is older than what we know since. */
static void what_is_over_stays_over_when_its_row_comes_late(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	unsigned slot;
	struct model_failure f = at(MODEL_FAILURE_NO_ESP, "", 10 * S);

	assert_int_equal(explain_history_add(&h, &f, &is_new), 0);
	const struct model_failure row = *h.slots[0];
	assert_true(explain_history_over(&h, MODEL_FAILURE_NO_ESP, 20 * S, &slot));
	assert_int_equal(explain_history_merge(&h, 0, &row, true), 0);
	assert_int_equal(h.slots[0]->over_us, 20 * S);
	/* it is there again, says another */
	f = row;
	f.last_us = 30 * S;
	assert_int_equal(explain_history_merge(&h, 0, &f, false), 0);
	assert_int_equal(h.slots[0]->over_us, 0);
	explain_history_free(&h);
}

static void one_that_has_given_way_does_not_come_back(void **state)
{
	(void)state;
	struct explain_history h = { 0 };
	bool is_new;
	struct model_failure old = at(MODEL_FAILURE_WRONG_PSK, "a", 10 * S), next = at(MODEL_FAILURE_LIVENESS, "", 100 * S);

	assert_int_equal(explain_history_add(&h, &old, &is_new), 0);
	assert_int_equal(explain_history_merge(&h, 0, &next, false), 0);
	assert_int_equal(h.slots[0]->code, MODEL_FAILURE_LIVENESS);
	assert_null(h.slots[1]);
	explain_history_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_failure_is_counted_and_another_is_listed),
		cmocka_unit_test(the_one_not_seen_for_longest_makes_room),
		cmocka_unit_test(what_somebody_can_mend_stands_before_what_only_happened),
		cmocka_unit_test(what_is_over_says_so_until_it_comes_back),
		cmocka_unit_test(a_good_handshake_ends_what_failed_in_one_before),
		cmocka_unit_test(a_stored_failure_comes_back_to_its_slot),
		cmocka_unit_test(two_nodes_come_to_the_same_list),
		cmocka_unit_test(what_is_over_stays_over_when_its_row_comes_late),
		cmocka_unit_test(one_that_has_given_way_does_not_come_back),
		cmocka_unit_test(what_goes_on_is_told_once_until_it_is_news_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
