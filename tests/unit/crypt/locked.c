#include "crypt/locked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

/* The address and thread sanitizers make mlock do nothing. */
void __asan_init(void) __attribute__((weak));
void __tsan_init(void) __attribute__((weak));

/* The kilobytes that a line of the mapping around p has in /proc/self/smaps; -1: there is no such line. */
static long read_mapping(const void *p, const char *field, char flags[static 256])
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false;
	long value = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long first, end;
		if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
			inside = (uintptr_t)p >= first && (uintptr_t)p < end;
		else if (inside && strncmp(line, field, strlen(field)) == 0)
			sscanf(line + strlen(field), ": %ld", &value);
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(flags, 256, "%.250s", line + 8);
	}
	fclose(f);
	return value;
}

static void cells_are_locked_and_left_out_of_dumps(void **state)
{
	char flags[256] = "";
	void *p = crypt_locked_take(100);
	(void)state;

	assert_non_null(p);
	long locked = read_mapping(p, "Locked", flags);
	assert_non_null(strstr(flags, " dd"));
	if (__asan_init == NULL && __tsan_init == NULL) {
		assert_true(locked > 0);
		assert_non_null(strstr(flags, " lo"));
	}
	crypt_locked_give(p, 100);
}

static void cells_are_zeroed_aligned_and_apart(void **state)
{
	enum { CNT = 3000 };
	static uint8_t *cells[CNT];
	size_t sizes[CNT];
	(void)state;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < CNT; i++) {
			sizes[i] = 1 + (i * 37 + round * 11) % CRYPT_LOCKED_MAX;
			cells[i] = crypt_locked_take(sizes[i]);
			assert_non_null(cells[i]);
			assert_int_equal((uintptr_t)cells[i] % 64, 0);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(cells[i][k], 0);
			memset(cells[i], (int)(i % 255 + 1), sizes[i]);
		}
		for (unsigned i = 0; i < CNT; i++) {
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(cells[i][k], i % 255 + 1);
			crypt_locked_give(cells[i], sizes[i]);
		}
	}
}

static void a_cell_that_was_given_back_is_taken_again(void **state)
{
	void *p = crypt_locked_take(1000);
	(void)state;

	crypt_locked_give(p, 1000);
	void *q = crypt_locked_take(1024); /* as many lines */
	assert_ptr_equal(p, q);
	crypt_locked_give(q, 1024);
	crypt_locked_give(NULL, 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_are_locked_and_left_out_of_dumps),
		cmocka_unit_test(cells_are_zeroed_aligned_and_apart),
		cmocka_unit_test(a_cell_that_was_given_back_is_taken_again),
	};
	crypt_locked_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
