#include "crypt/iv_space.h"

#include <pthread.h>
#include <stdlib.h>

#include "rig.h"

#define COUNTER_END (UINT64_C(1) << CRYPT_IV_COUNTER_BITS)

static void ivs_count_up_under_the_incarnation(void **state)
{
	struct crypt_iv_space s;
	uint64_t iv;
	(void)state;

	crypt_iv_space_init(&s, 5);
	for (uint64_t n = 0; n < 1000; n++) {
		assert_int_equal(crypt_iv_space_take(&s, 1, &iv), ERR_NONE);
		assert_true(iv == (UINT64_C(5) << 34 | n));
	}
	assert_int_equal(crypt_iv_space_take(&s, 64, &iv), ERR_NONE);
	assert_true(iv == (UINT64_C(5) << 34 | 1000));
	assert_int_equal(crypt_iv_space_take(&s, 1, &iv), ERR_NONE);
	assert_true(iv == (UINT64_C(5) << 34 | 1064));
}

static void two_incarnations_share_no_iv(void **state)
{
	struct crypt_iv_space a, b;
	uint64_t last_of_a, first_of_b;
	(void)state;

	crypt_iv_space_init(&a, 41);
	crypt_iv_space_init(&b, 42);
	atomic_store(&a.next, COUNTER_END - 1);
	assert_int_equal(crypt_iv_space_take(&a, 1, &last_of_a), ERR_NONE);
	assert_int_equal(crypt_iv_space_take(&b, 1, &first_of_b), ERR_NONE);
	assert_true(last_of_a + 1 == first_of_b);
}

static void the_greatest_incarnation_fits_64_bits(void **state)
{
	struct crypt_iv_space s;
	uint64_t iv;
	(void)state;

	crypt_iv_space_init(&s, CRYPT_IV_INCARNATION_MAX);
	atomic_store(&s.next, COUNTER_END - 1);
	assert_int_equal(crypt_iv_space_take(&s, 1, &iv), ERR_NONE);
	assert_true(iv == UINT64_MAX);
}

static void a_take_past_the_end_gives_nothing_and_takes_nothing(void **state)
{
	struct crypt_iv_space s;
	uint64_t iv = 77;
	(void)state;

	crypt_iv_space_init(&s, 1);
	atomic_store(&s.next, COUNTER_END - 10);
	assert_int_equal(crypt_iv_space_take(&s, 11, &iv), ERR_FULL);
	assert_true(iv == 77);
	assert_int_equal(crypt_iv_space_take(&s, 10, &iv), ERR_NONE);
	assert_true(iv == (UINT64_C(1) << 34 | (COUNTER_END - 10)));
	for (int i = 0; i < 1000; i++)
		assert_int_equal(crypt_iv_space_take(&s, UINT32_MAX, &iv), ERR_FULL);
	assert_true(atomic_load(&s.next) == COUNTER_END);
}

static void it_is_low_from_three_quarters_on(void **state)
{
	struct crypt_iv_space s;
	(void)state;

	crypt_iv_space_init(&s, 1);
	assert_false(crypt_iv_space_is_low(&s));
	atomic_store(&s.next, COUNTER_END / 4 * 3 - 1);
	assert_false(crypt_iv_space_is_low(&s));
	atomic_store(&s.next, COUNTER_END / 4 * 3);
	assert_true(crypt_iv_space_is_low(&s));
}

/* Threads take until the end; every IV is marked, none twice, none left over. */
enum { THREADS = 4, LEFT = 400003 };

struct crowd {
	struct crypt_iv_space space;
	_Atomic uint8_t seen[LEFT];
	_Atomic unsigned twice, outside;
};

struct member {
	struct crowd *crowd;
	uint32_t chunk;
	pthread_t thread;
};

static void *take_all(void *arg)
{
	const struct member *m = arg;
	uint32_t chunk = m->chunk;
	uint64_t first;

	while (chunk != 0) {
		if (crypt_iv_space_take(&m->crowd->space, chunk, &first) != ERR_NONE) {
			chunk /= 2;
			continue;
		}
		uint64_t start = (first & (COUNTER_END - 1)) - (COUNTER_END - LEFT);
		if (first >> 34 != 9 || start + chunk > LEFT) {
			atomic_fetch_add(&m->crowd->outside, 1);
			continue;
		}
		for (uint64_t i = start; i < start + chunk; i++)
			if (atomic_exchange(&m->crowd->seen[i], 1) != 0)
				atomic_fetch_add(&m->crowd->twice, 1);
	}
	return NULL;
}

static void no_iv_repeats_over_threads_up_to_the_end(void **state)
{
	static struct crowd crowd;
	struct member members[THREADS];
	uint64_t iv;
	(void)state;

	crypt_iv_space_init(&crowd.space, 9);
	atomic_store(&crowd.space.next, COUNTER_END - LEFT);
	for (uint32_t i = 0; i < THREADS; i++) {
		members[i] = (struct member){ .crowd = &crowd, .chunk = 1u << (2 * i) };
		assert_int_equal(pthread_create(&members[i].thread, NULL, take_all, &members[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(members[i].thread, NULL), 0);
	assert_int_equal(crowd.twice, 0);
	assert_int_equal(crowd.outside, 0);
	for (size_t i = 0; i < LEFT; i++)
		assert_int_equal(crowd.seen[i], 1);
	assert_int_equal(crypt_iv_space_take(&crowd.space, 1, &iv), ERR_FULL);
}

static void the_next_incarnation_is_above_all_that_may_be_in_use(void **state)
{
	const uint64_t second = 1000000, y2025 = 1735689600 * second;

	(void)state;
	assert_int_equal(crypt_iv_incarnation_next(0, 0, y2025 + 100 * second), 100);
	assert_int_equal(crypt_iv_incarnation_next(99, 0, y2025 + 100 * second), 100);
	assert_int_equal(crypt_iv_incarnation_next(100, 0, y2025 + 100 * second), 101);
	assert_int_equal(crypt_iv_incarnation_next(7, 200, y2025 + 100 * second), 201);
	assert_int_equal(crypt_iv_incarnation_next(0, 0, 0), 1); /* a clock that was never set */
	assert_true(crypt_iv_incarnation_next(UINT32_MAX, 0, 0) > CRYPT_IV_INCARNATION_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_incarnation_is_above_all_that_may_be_in_use),
		cmocka_unit_test(ivs_count_up_under_the_incarnation),
		cmocka_unit_test(two_incarnations_share_no_iv),
		cmocka_unit_test(the_greatest_incarnation_fits_64_bits),
		cmocka_unit_test(a_take_past_the_end_gives_nothing_and_takes_nothing),
		cmocka_unit_test(it_is_low_from_three_quarters_on),
		cmocka_unit_test(no_iv_repeats_over_threads_up_to_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
