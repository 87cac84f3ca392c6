#include "base/secret.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

static const uint8_t zeroes[sizeof(struct secret)];

static void a_secret_holds_up_to_its_limit(void **state)
{
	uint8_t key[SECRET_MAX + 1];
	struct secret s = { 0 };
	(void)state;

	memset(key, 0xa5, sizeof(key));
	for (size_t n = 0; n <= SECRET_MAX; n++) {
		assert_int_equal(secret_set(&s, bytes_of(key, n)), ERR_NONE);
		assert_true(bytes_eq(secret_bytes(&s), bytes_of(key, n)));
	}
	assert_int_equal(secret_set(&s, BYTES_OF(key)), ERR_LONG);
	/* Refused, so the old one stands. */
	assert_int_equal(secret_bytes(&s).len, SECRET_MAX);
}

static void a_shorter_secret_leaves_nothing_of_the_longer(void **state)
{
	struct secret s = { 0 };
	(void)state;

	assert_int_equal(secret_set(&s, bytes_str("a long passphrase")), ERR_NONE);
	assert_int_equal(secret_set(&s, bytes_str("short")), ERR_NONE);
	assert_memory_equal(s.b, "short", 5);
	assert_memory_equal(s.b + 5, zeroes, SECRET_MAX - 5);
	assert_int_equal(secret_set(&s, bytes_of(NULL, 0)), ERR_NONE);
	assert_memory_equal(s.b, zeroes, SECRET_MAX);
}

static void a_secret_may_be_set_from_itself(void **state)
{
	struct secret s = { 0 };
	(void)state;

	assert_int_equal(secret_set(&s, bytes_str("0123456789")), ERR_NONE);
	assert_int_equal(secret_set(&s, secret_bytes(&s)), ERR_NONE);
	assert_memory_equal(s.b, "0123456789", 10);
	assert_int_equal(secret_set(&s, bytes_of(s.b + 3, 4)), ERR_NONE);
	assert_true(bytes_eq(secret_bytes(&s), bytes_str("3456")));
	assert_memory_equal(s.b + 4, zeroes, SECRET_MAX - 4);
}

static void fini_wipes_all_of_it(void **state)
{
	struct secret s = { 0 };
	(void)state;

	assert_int_equal(secret_set(&s, bytes_str("passphrase")), ERR_NONE);
	secret_fini(&s);
	assert_memory_equal(&s, zeroes, sizeof(s));
	secret_fini(NULL);
}

static void wipe_stops_at_its_end(void **state)
{
	uint8_t room[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	(void)state;

	secret_wipe(room + 2, 4);
	assert_memory_equal(room, "\1\1\0\0\0\0\1\1", 8);
	secret_wipe(NULL, 0);
}

/* In a child: leak checkers cannot look into a process that protects itself. */
static void a_protected_process_leaves_no_core(void **state)
{
	int status;
	(void)state;

	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit core;
		bool ok = secret_protect_process() == ERR_NONE && prctl(PR_GET_DUMPABLE) == 0 &&
			  getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0;
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_holds_up_to_its_limit),
		cmocka_unit_test(a_shorter_secret_leaves_nothing_of_the_longer),
		cmocka_unit_test(a_secret_may_be_set_from_itself),
		cmocka_unit_test(fini_wipes_all_of_it),
		cmocka_unit_test(wipe_stops_at_its_end),
		cmocka_unit_test(a_protected_process_leaves_no_core),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
