#include "base/ring.h"

#include <pthread.h>
#include <sched.h>

#include "rig.h"

struct elem {
	uint64_t number;
	uint64_t check; /* of the number: a torn copy would not fit */
	uint8_t filler[40];
};

static struct elem make(uint64_t n)
{
	return (struct elem){ .number = n, .check = ~n * 3 };
}

static void elements_come_out_in_order(void **state)
{
	struct ring r;
	struct elem e;
	(void)state;

	assert_int_equal(ring_init(&r, 4, sizeof(e)), ERR_NONE);
	assert_false(ring_pop(&r, &e));
	for (uint64_t n = 0; n < 100; n++) {
		struct elem a = make(2 * n), b = make(2 * n + 1);
		assert_true(ring_push(&r, &a));
		assert_true(ring_push(&r, &b));
		assert_true(ring_pop(&r, &e));
		assert_true(e.number == 2 * n);
		assert_true(ring_pop(&r, &e));
		assert_true(e.number == 2 * n + 1);
	}
	assert_false(ring_pop(&r, &e));
	ring_fini(&r);
}

static void it_holds_the_next_power_of_two(void **state)
{
	static const uint32_t rows[][2] = { { 0, 1 }, { 1, 1 }, { 2, 2 },      { 3, 4 },
					    { 4, 4 }, { 5, 8 }, { 1000, 1024 } };
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ring r;
		uint32_t held = 0;
		assert_int_equal(ring_init(&r, rows[i][0], sizeof(held)), ERR_NONE);
		while (ring_push(&r, &held))
			held++;
		assert_int_equal(held, rows[i][1]);
		assert_null(ring_slot(&r));
		for (uint32_t n = 0, got; n < held; n++) {
			assert_true(ring_pop(&r, &got));
			assert_int_equal(got, n);
		}
		ring_fini(&r);
	}
}

static void more_than_it_can_hold_is_refused(void **state)
{
	struct ring r;
	(void)state;

	assert_int_equal(ring_init(&r, (1u << 30) + 1, 1), ERR_MEMORY);
	assert_int_equal(ring_init(&r, UINT32_MAX, UINT32_MAX), ERR_MEMORY);
}

static void the_counters_may_wrap(void **state)
{
	struct ring r;
	uint32_t v;
	(void)state;

	assert_int_equal(ring_init(&r, 4, sizeof(v)), ERR_NONE);
	atomic_store(&r.head, UINT32_MAX - 1);
	atomic_store(&r.tail, UINT32_MAX - 1);
	for (uint32_t round = 0; round < 3; round++) {
		for (v = 0; v < 4; v++)
			assert_true(ring_push(&r, &v));
		assert_false(ring_push(&r, &v));
		for (uint32_t n = 0; n < 4; n++) {
			assert_true(ring_pop(&r, &v));
			assert_int_equal(v, n);
		}
		assert_false(ring_pop(&r, &v));
	}
	ring_fini(&r);
}

static void slots_are_seen_when_given_and_free_when_done(void **state)
{
	struct ring r;
	uint32_t *slot;
	(void)state;

	assert_int_equal(ring_init(&r, 1, sizeof(*slot)), ERR_NONE);
	slot = ring_slot(&r);
	assert_non_null(slot);
	*slot = 42;
	assert_null(ring_peek(&r));
	ring_give(&r);
	assert_null(ring_slot(&r));
	const uint32_t *seen = ring_peek(&r);
	assert_non_null(seen);
	assert_int_equal(*seen, 42);
	assert_ptr_equal(ring_peek(&r), seen);
	ring_done(&r);
	assert_null(ring_peek(&r));
	assert_non_null(ring_slot(&r));
	ring_fini(&r);
}

/* Whatever comes behind it, and when the counters wrap. */
static void the_producer_sees_when_what_it_gave_was_taken(void **state)
{
	struct ring r;
	uint64_t v = 0;
	(void)state;

	assert_int_equal(ring_init(&r, 4, sizeof(v)), ERR_NONE);
	for (unsigned start = 0; start < 2; start++) {
		atomic_store(&r.head, start * (UINT32_MAX - 1));
		atomic_store(&r.tail, start * (UINT32_MAX - 1));
		assert_true(ring_taken(&r, ring_given(&r)));
		assert_true(ring_push(&r, &v) && ring_push(&r, &v) && ring_push(&r, &v));
		const uint32_t given = ring_given(&r);
		assert_true(ring_push(&r, &v));
		for (unsigned i = 0; i < 3; i++) {
			assert_false(ring_taken(&r, given));
			assert_true(ring_pop(&r, &v));
		}
		assert_true(ring_taken(&r, given));
		assert_true(ring_pop(&r, &v));
		assert_true(ring_taken(&r, given));
	}
	ring_fini(&r);
}

static void fini_takes_a_zeroed_ring_and_a_second_time(void **state)
{
	struct ring r = { 0 };
	(void)state;

	ring_fini(&r);
	assert_int_equal(ring_init(&r, 4, 8), ERR_NONE);
	ring_fini(&r);
	ring_fini(&r);
	assert_null(r.slots);
}

enum { MANY = 300000 };

static void *produce(void *arg)
{
	struct ring *r = arg;

	for (uint64_t n = 0; n < MANY; n++) {
		struct elem e = make(n);
		while (!ring_push(r, &e))
			sched_yield();
	}
	return NULL;
}

static void nothing_is_lost_or_torn_between_two_threads(void **state)
{
	struct ring r;
	pthread_t thread;
	(void)state;

	assert_int_equal(ring_init(&r, 16, sizeof(struct elem)), ERR_NONE);
	assert_int_equal(pthread_create(&thread, NULL, produce, &r), 0);
	for (uint64_t n = 0; n < MANY; n++) {
		struct elem e, want = make(n);
		while (!ring_pop(&r, &e))
			sched_yield();
		assert_true(e.number == want.number && e.check == want.check);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_null(ring_peek(&r));
	ring_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_come_out_in_order),
		cmocka_unit_test(it_holds_the_next_power_of_two),
		cmocka_unit_test(more_than_it_can_hold_is_refused),
		cmocka_unit_test(the_counters_may_wrap),
		cmocka_unit_test(slots_are_seen_when_given_and_free_when_done),
		cmocka_unit_test(the_producer_sees_when_what_it_gave_was_taken),
		cmocka_unit_test(fini_takes_a_zeroed_ring_and_a_second_time),
		cmocka_unit_test(nothing_is_lost_or_torn_between_two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
