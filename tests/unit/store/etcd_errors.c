// What the engine makes of etcd's statuses, of which one number may say different things.
#include "harness.h"

#include "store/etcd.h"

static enum err error_of(int status, const char *message)
{
	struct store_grpc_answer a = { .outcome = GRPC_ANSWERED, .status = status };

	snprintf(a.why, sizeof(a.why), "192.0.2.1:2379: %s (status %d)", message, status);
	return store_etcd_error_of(&a);
}

static void full_is_only_who_says_so(void **state)
{
	(void)state;
	assert_int_equal(error_of(GRPC_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"), ERR_FULL);
	/* A member that has just come back, and applies what it has missed: the next one is asked. */
	assert_int_equal(error_of(GRPC_RESOURCE_EXHAUSTED, "etcdserver: too many requests"), ERR_AWAY);
}

static void what_another_member_would_refuse_as_well_is_final(void **state)
{
	(void)state;
	assert_int_equal(error_of(GRPC_PERMISSION_DENIED, "etcdserver: permission denied"), ERR_DENIED);
	assert_int_equal(error_of(GRPC_INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request"), ERR_SYSTEM);
	assert_int_equal(error_of(GRPC_OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"), ERR_COMPACTED);
	assert_int_equal(error_of(14, "etcdserver: request timed out"), ERR_AWAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_is_only_who_says_so),
		cmocka_unit_test(what_another_member_would_refuse_as_well_is_final),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
