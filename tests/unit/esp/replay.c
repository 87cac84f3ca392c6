#include "esp/replay.h"

#include <pthread.h>

#include "rig.h"

static void a_window_takes_each_number_once_in_any_order(void **state)
{
	static const struct {
		uint64_t seq;
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

	assert_int_equal(esp_replay_init(&r, 64, 0), ERR_NONE);
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

	assert_int_equal(esp_replay_init(&r, 0, 0), ERR_NONE);
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
		assert_int_equal(esp_replay_init(&r, sizes[s], 0), ERR_NONE);
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

/* RFC 4303 A2.2 by another way: of the numbers with that lower half the one that is nearest above the window's bottom. */
static uint64_t nearest(uint64_t top, uint32_t window, uint32_t lo)
{
	uint64_t bottom = top < window - 1 ? 0 : top - (window - 1), high = bottom >> 32 << 32;
	return (high | lo) >= bottom ? high | lo : (high + (UINT64_C(1) << 32)) | lo;
}

static void the_upper_half_is_concluded_as_rfc_4303_says(void **state)
{
	static const uint64_t tops[] = { 0, 1, 62, 63, 64, 1000, 0x7fffffff, 0xfffffffe, 0xffffffff, 0x100000000, 0x100000001,
					 0x10000003e, 0x10000003f, 0x100000040, 0x1ffffffff, 0x200000000, 0xa500000005,
					 0xfffff00000000, 0xfffff00000030 };
	static const int64_t steps[] = { -64, -63, -62, -32, -1, 0, 1, 2, 63, 64, 1000, 0x7fffffff, 0x80000000, 0xfffff000 };
	static const uint32_t windows[] = { 1, 32, 64, 4096 };
	(void)state;

	for (size_t w = 0; w < ARRAY_LEN(windows); w++)
		for (size_t t = 0; t < ARRAY_LEN(tops); t++) {
			struct esp_replay r;
			assert_int_equal(esp_replay_init(&r, windows[w], tops[t]), ERR_NONE);
			for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
				uint64_t seq = tops[t] + (uint64_t)steps[s];
				if (steps[s] < 0 && tops[t] < (uint64_t)-steps[s])
					continue;
				uint64_t found = esp_replay_extend(&r, (uint32_t)seq);
				assert_int_equal(found, nearest(tops[t], windows[w], (uint32_t)seq));
				/* Right for all that is in the window, and above it for 2^32 less the window. */
				if (steps[s] > -(int64_t)windows[w])
					assert_int_equal(found, seq);
			}
			esp_replay_fini(&r);
		}
}

/* All of it, across a multiple of 2^32: lower halves come in, out of order and repeated. */
static void extended_numbers_are_taken_once_across_the_border(void **state)
{
	enum { AROUND = 3000, STEPS = 20000 };
	static bool seen[2 * AROUND];
	static const uint32_t sizes[] = { 32, 64, 100, 1024 };
	static const uint64_t borders[] = { UINT64_C(1) << 32, UINT64_C(7) << 32 };
	(void)state;

	for (size_t s = 0; s < ARRAY_LEN(sizes) * ARRAY_LEN(borders); s++) {
		uint32_t window = sizes[s / ARRAY_LEN(borders)], noise = 5;
		uint64_t first = borders[s % ARRAY_LEN(borders)] - AROUND, top = first;
		struct esp_replay r;
		memset(seen, 0, sizeof(seen));
		assert_int_equal(esp_replay_init(&r, window, first), ERR_NONE);
		for (uint32_t i = 0; i < STEPS; i++) {
			noise = noise * 1664525 + 1013904223;
			uint64_t seq = first + 1 + i * (UINT64_C(2) * AROUND - 2 * window - 2) / STEPS + (noise >> 16) % (2 * window);
			bool want = !seen[seq - first] && (seq > top || top - seq < window);
			if (seq > top || top - seq < window)
				assert_int_equal(esp_replay_extend(&r, (uint32_t)seq), seq);
			assert_int_equal(esp_replay_take(&r, seq), want);
			seen[seq - first] |= want;
			top = want && seq > top ? seq : top;
		}
		assert_true(top > borders[s % ARRAY_LEN(borders)] + window);
		esp_replay_fini(&r);
	}
}

static void a_window_that_goes_on_begins_at_its_mark(void **state)
{
	const uint64_t mark = (UINT64_C(3) << 32) + 5;
	struct esp_replay r;
	(void)state;

	assert_int_equal(esp_replay_init(&r, 64, mark), ERR_NONE);
	/* Up to 2^32 less the window have come since. */
	assert_int_equal(esp_replay_extend(&r, 4), mark - 1);
	assert_int_equal(esp_replay_extend(&r, (uint32_t)(mark - 64)), (UINT64_C(4) << 32) - 59);
	assert_true(esp_replay_take(&r, (UINT64_C(4) << 32) - 60));
	assert_false(esp_replay_check(&r, mark));
	assert_false(esp_replay_take(&r, ESP_SEQ_END));
	assert_true(esp_replay_take(&r, ESP_SEQ_END - 1));
	esp_replay_fini(&r);
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

	assert_int_equal(esp_replay_init(&r, 1024, 0), ERR_NONE);
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
		cmocka_unit_test(the_upper_half_is_concluded_as_rfc_4303_says),
		cmocka_unit_test(extended_numbers_are_taken_once_across_the_border),
		cmocka_unit_test(a_window_that_goes_on_begins_at_its_mark),
		cmocka_unit_test(workers_side_by_side_never_take_a_number_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
