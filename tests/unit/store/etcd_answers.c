// What the engine makes of etcd's answers: of statuses, of which one number may say different things, and of revisions.
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

static void answered_at(struct etcd *e, int64_t rev)
{
	Etcd__Header header = ETCD__HEADER__INIT;

	header.revision = rev;
	store_etcd_note_rev(e, &header);
}

/* Somebody has put a backup in its place while gateways run. */
static void nothing_is_asked_of_an_etcd_that_was_put_back(void **state)
{
	const struct store_etcd_patience p = { UINT64_MAX };
	Etcd__RangeRequest q = ETCD__RANGE_REQUEST__INIT;
	struct store_grpc_answer a;
	struct etcd e = { .grpc = NULL };

	(void)state;
	answered_at(&e, 5);
	answered_at(&e, 900);
	answered_at(&e, 900);
	store_etcd_note_rev(&e, NULL);
	assert_false(e.put_back);
	answered_at(&e, 899);
	assert_true(e.put_back);
	answered_at(&e, 901);
	assert_int_equal(store_etcd_try(&e, "/etcdserverpb.KV/Range", &q.base, &p, &a), ERR_SYSTEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_is_only_who_says_so),
		cmocka_unit_test(what_another_member_would_refuse_as_well_is_final),
		cmocka_unit_test(nothing_is_asked_of_an_etcd_that_was_put_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
