// Leases, in which the engines are alike; ipc has none.
#include "engines.h"

static struct store_result put_under(struct store *s, const char *key, uint64_t lease)
{
	struct store_op op = put_op(key, "v");
	return store_commit(s, &(struct store_txn){ .ops = &op, .op_cnt = 1, .lease = lease });
}

/* At most ten seconds. */
static bool goes_in_time(struct store *s, const char *key)
{
	struct seen_row row;
	for (unsigned i = 0; i < 200; i++) {
		if (get_row(s, key, &row) == ERR_NOTFOUND)
			return true;
		usleep(50000);
	}
	return false;
}

static void keys_of_a_lapsed_lease_go_together(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };
	struct seen_row row;
	struct store_lease lease;

	assert_int_equal(store_lease_grant(s, 1500, &lease), ERR_NONE);
	assert_true(lease.id != 0 && lease.ttl_ms >= 1500);
	put(s, "stays", "v");
	assert_int_equal(put_under(s, "b", lease.id).err, ERR_NONE);
	uint64_t at = put_under(s, "a", lease.id).rev;
	assert_int_equal(get_row(s, "a", &row), ERR_NONE);
	assert_true(goes_in_time(s, "a"));
	assert_int_equal(get_row(s, "b", &row), ERR_NOTFOUND);
	put(s, "later", "v");
	changes(s, "", at, &seen);
	assert_keys(&seen, "-a -b later");
	assert_int_equal(seen.v[0].mod_rev, seen.v[1].mod_rev);
	assert_int_equal(get_row(s, "stays", &row), ERR_NONE);
	assert_int_equal(store_lease_renew(s, lease.id), ERR_NOTFOUND);
	assert_int_equal(put_under(s, "c", lease.id).err, ERR_NOTFOUND);
	assert_int_equal(get_row(s, "c", &row), ERR_NOTFOUND);
	seen_clear(&seen);
}

static void renewed_lease_lasts(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;
	struct store_lease lease;

	assert_int_equal(store_lease_grant(s, 2000, &lease), ERR_NONE);
	assert_int_equal(put_under(s, "k", lease.id).err, ERR_NONE);
	for (uint64_t waited = 0; waited < lease.ttl_ms * 3 / 2; waited += 200) {
		usleep(200000);
		assert_int_equal(store_lease_renew(s, lease.id), ERR_NONE);
	}
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	assert_int_equal(store_lease_revoke(s, lease.id), ERR_NONE);
}

static void revoked_lease_takes_its_keys(void **state)
{
	struct store *s = store_of(state);
	struct seen seen = { 0 };
	struct store_lease lease, other;

	assert_int_equal(store_lease_grant(s, 60000, &lease), ERR_NONE);
	assert_int_equal(store_lease_grant(s, 60000, &other), ERR_NONE);
	assert_int_not_equal(lease.id, other.id);
	assert_int_equal(put_under(s, "goes", lease.id).err, ERR_NONE);
	assert_int_equal(put_under(s, "moves", lease.id).err, ERR_NONE);
	assert_int_equal(put_under(s, "moves", other.id).err, ERR_NONE);
	assert_int_equal(put_under(s, "freed", lease.id).err, ERR_NONE);
	put(s, "freed", "v");
	assert_int_equal(put_under(s, "deleted", lease.id).err, ERR_NONE);
	uint64_t at = delete_one(s, "deleted");
	assert_int_equal(store_lease_revoke(s, lease.id), ERR_NONE);
	uint64_t next = put(s, "z", "v");
	assert_int_equal(next, at + 2);
	changes(s, "", at, &seen);
	assert_keys(&seen, "-goes z");
	list(s, "", "", 0, &seen);
	assert_keys(&seen, "freed moves z");
	assert_int_equal(store_lease_revoke(s, lease.id), ERR_NOTFOUND);
	assert_int_equal(store_lease_revoke(s, other.id), ERR_NONE);
	list(s, "", "", 0, &seen);
	assert_keys(&seen, "freed z");
	seen_clear(&seen);
}

static void put_under_no_lease_fails_alone(void **state)
{
	struct store *s = store_of(state);
	struct seen_row row;
	struct store_op a = put_op("a", "v"), b = put_op("b", "v"), c = put_op("c", "v");
	struct store_cmp never = { bytes_str("absent"), 77 };
	struct store_txn txns[] = { { .ops = &a, .op_cnt = 1 },
				    { .ops = &b, .op_cnt = 1, .lease = 12345 },
				    { .cmps = &never, .cmp_cnt = 1, .ops = &b, .op_cnt = 1, .lease = 12345 },
				    { .ops = &c, .op_cnt = 1 } };
	struct store_result r[4];

	store_commit_many(s, txns, 4, r);
	assert_int_equal(r[0].err, ERR_NONE);
	assert_int_equal(r[1].err, ERR_NOTFOUND);
	assert_int_equal(r[2].err, ERR_CONFLICT);
	assert_int_equal(r[3].err, ERR_NONE);
	assert_int_equal(get_row(s, "b", &row), ERR_NOTFOUND);
	assert_int_equal(get_row(s, "c", &row), ERR_NONE);
	assert_int_equal(store_lease_grant(s, 0, &(struct store_lease){ 0 }), ERR_RANGE);
	assert_int_equal(store_lease_grant(s, STORE_LEASE_TTL_MAX_MS + 1, &(struct store_lease){ 0 }), ERR_RANGE);
}

static void ipc_has_no_leases(void **state)
{
	struct store *s = store_of(state);
	struct store_lease lease;

	assert_int_equal(store_lease_grant(s, 1000, &lease), ERR_DENIED);
	assert_int_equal(store_lease_renew(s, 1), ERR_DENIED);
	assert_int_equal(store_lease_revoke(s, 1), ERR_DENIED);
	assert_int_equal(put_under(s, "k", 1).err, ERR_DENIED);
}

#define EACH(X)                   \
	X(keys_of_a_lapsed_lease_go_together) \
	X(renewed_lease_lasts)                \
	X(revoked_lease_takes_its_keys)       \
	X(put_under_no_lease_fails_alone)

int main(void)
{
	const struct CMUnitTest tests[] = { EACH(ON_MEMORY) EACH(ON_SQLITE) ON_IPC_MEMORY(ipc_has_no_leases) };
	const struct CMUnitTest etcd_tests[] = { EACH(ON_ETCD) };

	return etcd_is_there() ? cmocka_run_group_tests_name("leases, etcd", etcd_tests, NULL, NULL)
			       : cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
