#include "store/store.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "store/engine.h"

MUST_USE enum err store_init(struct store *s, const struct store_engine *engine, bool wake)
{
	int fd = wake ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;

	if (wake && fd < 0)
		return ERR_SYSTEM;
	*s = (struct store){ .engine = engine, .wake_fd = fd };
	return ERR_NONE;
}

void store_fini(struct store *s)
{
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	s->wake_fd = -1;
}

static bool key_fits(struct bytes key)
{
	return key.len != 0 && key.len <= STORE_KEY_MAX;
}

MUST_USE enum err store_txn_check(const struct store_txn *txn)
{
	if (txn->cmp_cnt > STORE_TXN_CMPS_MAX || txn->op_cnt > STORE_TXN_OPS_MAX)
		return ERR_RANGE;
	for (size_t i = 0; i < txn->cmp_cnt; i++)
		if (!key_fits(txn->cmps[i].key))
			return ERR_RANGE;
	for (size_t i = 0; i < txn->op_cnt; i++)
		if (!key_fits(txn->ops[i].key) || txn->ops[i].value.len > STORE_VALUE_MAX)
			return ERR_RANGE;
	return ERR_NONE;
}

bool store_txn_op_counts(const struct store_txn *txn, size_t i)
{
	for (size_t k = i + 1; k < txn->op_cnt; k++)
		if (bytes_eq(txn->ops[i].key, txn->ops[k].key))
			return false;
	return true;
}

struct store_key_next store_key_next(struct bytes key)
{
	struct store_key_next n = { 0 };
	struct wr w = wr_of(SPACE_OF(n.b));

	must(key.len <= STORE_KEY_MAX);
	wr_put(&w, key);
	wr_u8(&w, 0);
	n.len = wr_len(&w);
	return n;
}

/* A row function that calls its store would pull the rows from under its own feet. */
static void enter(struct store *s)
{
	must(!s->busy);
	s->busy = true;
}

static void leave(struct store *s)
{
	s->busy = false;
}

struct each {
	store_row_fn *row;
	void *arg;
};

static bool visit_each(void *arg, const struct store_row *row)
{
	const struct each *e = arg;
	e->row(e->arg, row);
	return true;
}

MUST_USE enum err store_get(struct store *s, struct bytes key, store_row_fn *row, void *arg)
{
	struct each e = { row, arg };

	if (!key_fits(key))
		return ERR_NOTFOUND;
	enter(s);
	enum err err = s->engine->get(s, key, visit_each, &e);
	leave(s);
	return err;
}

MUST_USE enum err store_visit_range(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
				    store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	uint64_t rev = 0;

	/* No key is longer than the limit, so the cut one separates the same keys; a prefix of 256 bytes
	 * followed by anything more has no keys, and its rows lie after every key there is. */
	if (prefix.len > STORE_KEY_MAX) {
		prefix.len = STORE_KEY_MAX;
		after = prefix;
	}
	if (after.len > STORE_KEY_MAX)
		after.len = STORE_KEY_MAX;
	enter(s);
	enum err err = s->engine->range(s, prefix, after, limit, visit, arg, &rev);
	leave(s);
	if (err == ERR_NONE && ret_rev != NULL)
		*ret_rev = rev;
	return err;
}

MUST_USE enum err store_range(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
			      store_row_fn *row, void *arg, uint64_t *ret_rev)
{
	struct each e = { row, arg };
	return store_visit_range(s, prefix, after, limit, visit_each, &e, ret_rev);
}

/* Readers poll the descriptor; a full counter means that they are told already. */
static void tell(const struct store *s)
{
	const uint64_t one = 1;
	if (s->wake_fd >= 0 && write(s->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void store_commit_many(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	bool changed = false;

	for (size_t i = 0; i < cnt; i++)
		results[i] = (struct store_result){ .err = store_txn_check(&txns[i]) };
	enter(s);
	s->engine->commit_many(s, txns, cnt, results);
	leave(s);
	for (size_t i = 0; i < cnt; i++) {
		if (results[i].err != ERR_NONE) {
			results[i].rev = 0;
			continue;
		}
		changed = true;
		if (results[i].rev > s->last_rev)
			s->last_rev = results[i].rev;
	}
	/* Where others commit as well, the engine tells when a change has come by. */
	if (changed && s->engine->seen_rev == NULL)
		tell(s);
}

struct store_result store_commit(struct store *s, const struct store_txn *txn)
{
	struct store_result r;
	store_commit_many(s, txn, 1, &r);
	return r;
}

MUST_USE enum err store_visit_changes(struct store *s, struct bytes prefix, const struct store_pos *from,
				      uint64_t upto, store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	uint64_t rev = 0;

	/* Revisions are signed in SQL. */
	if (from->rev > INT64_MAX)
		return ERR_COMPACTED;
	enter(s);
	enum err err = s->engine->changes(s, prefix, from, upto, visit, arg, &rev);
	leave(s);
	if (err == ERR_NONE && ret_rev != NULL)
		*ret_rev = rev;
	return err;
}

MUST_USE enum err store_visit_seen(struct store *s, const struct store_pos *from, store_visit_fn *visit, void *arg,
				   uint64_t *ret_rev)
{
	must(s->busy && s->engine->seen_changes != NULL);
	return s->engine->seen_changes(s, from, visit, arg, ret_rev);
}

MUST_USE enum err store_changes(struct store *s, struct bytes prefix, uint64_t from_rev, store_row_fn *row,
				void *arg, uint64_t *ret_rev)
{
	struct each e = { row, arg };
	struct store_pos from = { .rev = from_rev < INT64_MAX ? from_rev + 1 : from_rev };
	return store_visit_changes(s, prefix, &from, 0, visit_each, &e, ret_rev);
}

int store_wake_fd(const struct store *s)
{
	return s->wake_fd;
}

MUST_USE enum err store_lease_grant(struct store *s, uint64_t ttl_ms, struct store_lease *ret)
{
	if (ttl_ms == 0 || ttl_ms > STORE_LEASE_TTL_MAX_MS)
		return ERR_RANGE;
	enter(s);
	enum err err = s->engine->lease_grant == NULL ? ERR_DENIED : s->engine->lease_grant(s, ttl_ms, ret);
	leave(s);
	return err;
}

MUST_USE enum err store_lease_renew(struct store *s, uint64_t id)
{
	enter(s);
	enum err err = s->engine->lease_renew == NULL ? ERR_DENIED : s->engine->lease_renew(s, id);
	leave(s);
	return err;
}

MUST_USE enum err store_lease_revoke(struct store *s, uint64_t id)
{
	enter(s);
	enum err err = s->engine->lease_revoke == NULL ? ERR_DENIED : s->engine->lease_revoke(s, id);
	leave(s);
	return err;
}

void store_free(struct store *s)
{
	if (s != NULL)
		s->engine->free(s);
}
