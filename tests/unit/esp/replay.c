#include "esp/replay.h"

#include <pthread.h>

#include "rig.h"

static void a_window_takes_each_number_once_in_any_order(void **state)
{
	static const struct {
		uint32_t seq;
		bool taken;
	} rows[] = {
		{ 0, false },
		{ 1, true },
		{ 1, false },
		{ 64, true },
		{ 2, true },
		{ 63, true },
		{ 64, false },
		{ 65, true },
		{ 1, false },
		{ 3, true },
		{ 66, true },
		{ 2, false },
		{ 67, true },
		{ 3, false },
		{ 4, true },
		{ 131, true },
		{ 68, true },
		{ 67, false },
		{ 130, true },
		{ 130, false },
		{ 5000, true },
		{ 4937, true },
		{ 4936, false },
		{ 131, false },
		{ UINT32_MAX, true },
		{ UINT32_MAX, false },
		{ UINT32_MAX - 63, true },
		{ UINT32_MAX - 64, false },
	};
	struct esp_replay r;
	(void)state;

	assert_int_equal(esp_replay_init(&r, 64), ERR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		/* What is taken must have passed the check; the check may pass more only between workers. */
		assert_int_equal(esp_replay_check(&r, rows[i].seq), rows[i].taken);
		assert_int_equal(esp_replay_take(&r, rows[i].seq), rows[i].taken);
	}
	esp_replay_fini(&r);
}

static void no_window_takes_everything(void **state)
{
	struct esp_replay r;
	(void)state;

	assert_int_equal(esp_replay_init(&r, 0), ERR_NONE);
	assert_true(esp_replay_check(&r, 0) && esp_replay_take(&r, 0) && esp_replay_take(&r, 0));
	esp_replay_fini(&r);
}

/* Against a list of all numbers ever taken. */
static void windows_of_all_sizes_agree_with_a_plain_list(void **state)
{
	enum { NUMBERS = 9000, STEPS = 20000 };
	static bool seen[NUMBERS + 1];
	static const uint16_t sizes[] = { 1, 31, 32, 33, 100, 1024, 4096 };
	(void)state;

	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		struct esp_replay r;
		uint32_t top = 0, noise = 1;
		memset(seen, 0, sizeof(seen));
		assert_int_equal(esp_replay_init(&r, sizes[s]), ERR_NONE);
		for (uint32_t i = 0; i < STEPS; i++) {
			noise = noise * 1664525 + 1013904223;
			uint32_t around = i * (NUMBERS - 200) / STEPS + 100;
			uint32_t seq = 1 + (around + (noise >> 16) % (2u * sizes[s])) % NUMBERS;
			bool want = !seen[seq] && (seq > top || top - seq < sizes[s]);
			assert_int_equal(esp_replay_take(&r, seq), want);
			seen[seq] = seen[seq] || want;
			top = want && seq > top ? seq : top;
		}
		esp_replay_fini(&r);
	}
}

enum { THREADS = 4, TRIES = 50000 };

struct taker {
	struct esp_replay *replay;
	pthread_t thread;
	_Atomic uint32_t *counts;
};

static void *take_all(void *arg)
{
	struct taker *t = arg;
	for (uint32_t i = 1; i <= TRIES; i++)
		if (esp_replay_check(t->replay, i) && esp_replay_take(t->replay, i))
			atomic_fetch_add(&t->counts[i], 1);
	return NULL;
}

static void workers_side_by_side_never_take_a_number_twice(void **state)
{
	static _Atomic uint32_t counts[TRIES + 1];
	struct taker takers[THREADS];
	struct esp_replay r;
	uint32_t total = 0;
	(void)state;

	assert_int_equal(esp_replay_init(&r, 1024), ERR_NONE);
	for (unsigned i = 0; i < THREADS; i++) {
		takers[i] = (struct taker){ .replay = &r, .counts = counts };
		assert_int_equal(pthread_create(&takers[i].thread, NULL, take_all, &takers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(takers[i].thread, NULL);
	for (uint32_t i = 1; i <= TRIES; i++) {
		assert_true(atomic_load(&counts[i]) <= 1);
		total += atomic_load(&counts[i]);
	}
	/* The thread that is ahead takes all of its own. */
	assert_true(total >= TRIES / THREADS);
	esp_replay_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_takes_each_number_once_in_any_order),
		cmocka_unit_test(no_window_takes_everything),
		cmocka_unit_test(windows_of_all_sizes_agree_with_a_plain_list),
		cmocka_unit_test(workers_side_by_side_never_take_a_number_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
