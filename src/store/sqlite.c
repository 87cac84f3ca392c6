// The engine over one SQLite file: every group of transactions is one durable write.
//
// kv is its own log of changes: its rows are numbered in order of their last revision, and in one revision of their keys
// (PLACE_BITS), so that what is written is written at its end. Only deletions need a table of their own, `gone`, whose
// rows are numbered in order of revision too; those of a key that has come back are passed over.
#include "store/sqlite_file.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/lease.h"

enum stmt {
	STMT_BEGIN_READ,
	STMT_BEGIN_WRITE,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_META_GET,
	STMT_META_SET,
	STMT_GET,
	STMT_RANGE,
	STMT_CHANGED,
	STMT_GONE,
	STMT_FIND,
	STMT_PUT,
	STMT_INSERT,
	STMT_UPDATE,
	STMT_DELETE,
	STMT_GONE_ADD,
	STMT_OLD_REV,
	STMT_OLD_DROP,
	STMT_LEASE_LIST,
	STMT_LEASE_ADD,
	STMT_LEASE_DROP,
	STMT_LEASED_KEY,
	STMT_LEASED_ADD,
	STMT_LEASED_DROP,
	STMT_CNT
};

#define MOD_REV "id >> " STORE_SQLITE_PLACE_BITS_TEXT
#define ROW "SELECT 0, key, value, create_rev, " MOD_REV " FROM kv"

static const char *const stmt_sql[STMT_CNT] = {
	[STMT_BEGIN_READ] = "BEGIN",
	/* Takes the write lock before anything is compared, so that what was compared stays true. */
	[STMT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_META_GET] = "SELECT rev, compacted FROM meta WHERE id = 1",
	[STMT_META_SET] = "UPDATE meta SET rev = ?1, compacted = ?2 WHERE id = 1",
	[STMT_GET] = ROW " WHERE key = ?1",
	[STMT_RANGE] = ROW " WHERE key >= ?1 ORDER BY key",
	[STMT_CHANGED] = ROW " WHERE id >= ?1 AND id < ?2 ORDER BY id",
	[STMT_GONE] = "SELECT 1, key, x'', 0, rev FROM gone WHERE (rev, key) >= (?1, ?2) AND rev <= ?3 "
		      "AND NOT EXISTS (SELECT 1 FROM kv WHERE kv.key = gone.key) ORDER BY rev, key",
	/* Without a look at the row. */
	[STMT_FIND] = "SELECT id FROM kv WHERE key = ?1",
	[STMT_PUT] = "INSERT INTO kv (id, key, value, create_rev) VALUES (?1, ?2, ?3, ?4) "
		     "ON CONFLICT (key) DO UPDATE SET id = excluded.id, value = excluded.value",
	/* Of a key that is known not to be there, or to be in that row. */
	[STMT_INSERT] = "INSERT INTO kv (id, key, value, create_rev) VALUES (?1, ?2, ?3, ?4)",
	[STMT_UPDATE] = "UPDATE kv SET id = ?1, value = ?2 WHERE id = ?3",
	[STMT_DELETE] = "DELETE FROM kv WHERE key = ?1",
	[STMT_GONE_ADD] = "INSERT OR REPLACE INTO gone (key, rev) VALUES (?1, ?2)",
	[STMT_OLD_REV] = "SELECT rev FROM gone WHERE seq <= (SELECT max(seq) FROM gone) - ?1 "
			 "ORDER BY seq DESC LIMIT 1",
	[STMT_OLD_DROP] = "DELETE FROM gone WHERE seq <= (SELECT max(seq) FROM gone) - ?1",
	[STMT_LEASE_LIST] = "SELECT id, ttl_ms FROM lease",
	[STMT_LEASE_ADD] = "INSERT INTO lease (id, ttl_ms) VALUES (?1, ?2)",
	[STMT_LEASE_DROP] = "DELETE FROM lease WHERE id = ?1",
	[STMT_LEASED_KEY] = "SELECT key FROM leased WHERE lease = ?1 LIMIT 1",
	[STMT_LEASED_ADD] = "INSERT OR REPLACE INTO leased (key, lease) VALUES (?1, ?2)",
	[STMT_LEASED_DROP] = "DELETE FROM leased WHERE key = ?1",
};

struct sqlite {
	struct store base;
	sqlite3 *db;
	sqlite3_stmt *stmts[STMT_CNT];
	struct log_limit limit;
	struct store_leases leases;
};

/* The state of one group of transactions. */
struct group {
	uint64_t rev, compacted;
	bool deleted;
};

static struct sqlite *sqlite_of(struct store *s)
{
	return CONTAINER_OF(s, struct sqlite, base);
}

static enum err end_lapsed(struct sqlite *q);

/* Says why; sqlite's text names tables and files, never values. */
static enum err fail(struct sqlite *q, const char *what)
{
	uint32_t held;

	if (log_limit_take(&q->limit, clock_mono_ms(), &held))
		log_error("store: %s: %s (%u like it held back)", what, sqlite3_errmsg(q->db), held);
	return ERR_SYSTEM;
}

/* A NULL pointer would be bound as SQL's NULL, which is not the empty block. */
static bool bind_block(sqlite3_stmt *st, int at, struct bytes b)
{
	return sqlite3_bind_blob(st, at, b.len == 0 ? "" : (const char *)b.p, (int)b.len, SQLITE_STATIC) ==
	       SQLITE_OK;
}

static bool bind_rev(sqlite3_stmt *st, int at, uint64_t rev)
{
	return sqlite3_bind_int64(st, at, (sqlite3_int64)rev) == SQLITE_OK;
}

static struct bytes column_block(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);
	int n = sqlite3_column_bytes(st, at);
	return p == NULL || n <= 0 ? bytes_of("", 0) : bytes_of(p, (size_t)n);
}

static uint64_t column_rev(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

/* Runs a statement that gives no rows, and whose parameters are bound. They stay bound afterwards, to memory that may be gone:
 * each use binds all of them anew. */
static bool run(struct sqlite *q, enum stmt n)
{
	bool ok = sqlite3_step(q->stmts[n]) == SQLITE_DONE;
	(void)sqlite3_reset(q->stmts[n]);
	return ok;
}

static void roll_back(struct sqlite *q)
{
	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(q->db) && !run(q, STMT_ROLLBACK))
		(void)fail(q, "cannot roll back");
}

static bool read_meta(struct sqlite *q, uint64_t *ret_rev, uint64_t *ret_compacted)
{
	sqlite3_stmt *st = q->stmts[STMT_META_GET];
	bool ok = sqlite3_step(st) == SQLITE_ROW;

	if (ok) {
		*ret_rev = column_rev(st, 0);
		*ret_compacted = column_rev(st, 1);
	}
	(void)sqlite3_reset(st);
	return ok;
}

/* Starts a transaction that reads, or one that writes. */
static enum err begin(struct sqlite *q, enum stmt kind, uint64_t *ret_rev, uint64_t *ret_compacted)
{
	if (!run(q, kind))
		return fail(q, "cannot begin");
	if (read_meta(q, ret_rev, ret_compacted))
		return ERR_NONE;
	enum err err = fail(q, "cannot read the revision");
	roll_back(q);
	return err;
}

static struct store_row row_of(sqlite3_stmt *st)
{
	return (struct store_row){ .deleted = sqlite3_column_int(st, 0) != 0,
				   .key = column_block(st, 1),
				   .value = column_block(st, 2),
				   .create_rev = column_rev(st, 3),
				   .mod_rev = column_rev(st, 4) };
}

static enum err get_key(struct store *s, struct bytes key, store_visit_fn *visit, void *arg)
{
	struct sqlite *q = sqlite_of(s);
	sqlite3_stmt *st = q->stmts[STMT_GET];
	enum err err = end_lapsed(q);

	if (err != ERR_NONE)
		return err;
	int rc = bind_block(st, 1, key) ? sqlite3_step(st) : SQLITE_ERROR;
	if (rc == SQLITE_ROW) {
		struct store_row row = row_of(st);
		visit(arg, &row);
	} else {
		err = rc == SQLITE_DONE ? ERR_NOTFOUND : fail(q, "cannot read");
	}
	(void)sqlite3_reset(st);
	return err;
}

/* Steps through rows in key order while they have the prefix. */
static int walk_range(sqlite3_stmt *st, struct bytes prefix, size_t limit, store_visit_fn *visit, void *arg)
{
	int rc;

	for (size_t seen = 0; (rc = sqlite3_step(st)) == SQLITE_ROW; seen++) {
		struct store_row row = row_of(st);
		if ((limit != 0 && seen == limit) || !bytes_starts(row.key, prefix) || !visit(arg, &row))
			return SQLITE_DONE;
	}
	return rc;
}

static enum err range_keys(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
			   store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct sqlite *q = sqlite_of(s);
	sqlite3_stmt *st = q->stmts[STMT_RANGE];
	struct store_key_next next = store_key_next(after);
	bool resumed = after.len != 0 && bytes_cmp(after, prefix) >= 0;
	struct bytes first = resumed ? bytes_of(next.b, next.len) : prefix;
	uint64_t rev, compacted;

	enum err err = end_lapsed(q);
	if (err == ERR_NONE)
		err = begin(q, STMT_BEGIN_READ, &rev, &compacted);
	if (err != ERR_NONE)
		return err;
	if (!bind_block(st, 1, first) || walk_range(st, prefix, limit, visit, arg) != SQLITE_DONE)
		err = fail(q, "cannot list");
	(void)sqlite3_reset(st);
	roll_back(q);
	if (err == ERR_NONE)
		*ret_rev = rev;
	return err;
}

/* One of the two lists of changes. */
struct changes {
	sqlite3_stmt *st;
	int rc;
	struct store_row row; /* if rc is SQLITE_ROW */
};

static void step_changes(struct changes *c)
{
	c->rc = sqlite3_step(c->st);
	if (c->rc == SQLITE_ROW)
		c->row = row_of(c->st);
}

static bool comes_before(const struct store_row *a, uint64_t rev, struct bytes key)
{
	return a->mod_rev != rev ? a->mod_rev < rev : bytes_cmp(a->key, key) < 0;
}

/* Both lists as one, in order of revision and key. */
static int walk_changes(struct changes *live, struct changes *gone, struct bytes prefix, const struct store_pos *from,
			store_visit_fn *visit, void *arg)
{
	do
		step_changes(live);
	while (live->rc == SQLITE_ROW && comes_before(&live->row, from->rev, from->key));
	step_changes(gone);
	while (live->rc == SQLITE_ROW || gone->rc == SQLITE_ROW) {
		bool first = gone->rc != SQLITE_ROW ||
			     (live->rc == SQLITE_ROW && comes_before(&live->row, gone->row.mod_rev, gone->row.key));
		struct changes *c = first ? live : gone;
		if (bytes_starts(c->row.key, prefix) && !visit(arg, &c->row))
			return SQLITE_DONE;
		step_changes(c);
	}
	return live->rc == SQLITE_DONE ? gone->rc : live->rc;
}

static bool bind_changes(sqlite3_stmt *live, sqlite3_stmt *gone, const struct store_pos *from, uint64_t upto)
{
	return bind_rev(live, 1, from->rev << STORE_SQLITE_PLACE_BITS) && bind_rev(live, 2, (upto + 1) << STORE_SQLITE_PLACE_BITS) &&
	       bind_rev(gone, 1, from->rev) && bind_block(gone, 2, from->key) && bind_rev(gone, 3, upto);
}

static enum err list_changes(struct store *s, struct bytes prefix, const struct store_pos *from, uint64_t upto,
			     store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct sqlite *q = sqlite_of(s);
	struct changes live = { .st = q->stmts[STMT_CHANGED] }, gone = { .st = q->stmts[STMT_GONE] };
	uint64_t rev, compacted;

	enum err err = end_lapsed(q);
	if (err == ERR_NONE)
		err = begin(q, STMT_BEGIN_READ, &rev, &compacted);
	if (err != ERR_NONE)
		return err;
	if (upto == 0 || upto > rev)
		upto = rev;
	err = store_pos_check(from, compacted, rev);
	if (err == ERR_NONE && (!bind_changes(live.st, gone.st, from, upto) ||
				walk_changes(&live, &gone, prefix, from, visit, arg) != SQLITE_DONE))
		err = fail(q, "cannot list changes");
	(void)sqlite3_reset(live.st);
	(void)sqlite3_reset(gone.st);
	roll_back(q);
	if (err == ERR_NONE)
		*ret_rev = upto;
	return err;
}

/* ids: the row of each key, 0: it is not there. */
static bool compare(struct sqlite *q, const struct store_txn *txn, uint64_t ids[static STORE_TXN_CMPS_MAX], bool *ret_hold)
{
	sqlite3_stmt *st = q->stmts[STMT_FIND];
	bool hold = true;

	for (size_t i = 0; i < txn->cmp_cnt && hold; i++) {
		int rc = bind_block(st, 1, txn->cmps[i].key) ? sqlite3_step(st) : SQLITE_ERROR;
		ids[i] = rc == SQLITE_ROW ? column_rev(st, 0) : 0;
		(void)sqlite3_reset(st);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			return false;
		hold = ids[i] >> STORE_SQLITE_PLACE_BITS == txn->cmps[i].mod_rev;
	}
	*ret_hold = hold;
	return true;
}

/* Takes a key into a lease, or (0) out of the one that it may be in. */
static bool set_lease(struct sqlite *q, struct bytes key, uint64_t lease)
{
	sqlite3_stmt *add = q->stmts[STMT_LEASED_ADD], *drop = q->stmts[STMT_LEASED_DROP];

	if (q->leases.cnt == 0)
		return true;
	if (lease == 0)
		return bind_block(drop, 1, key) && run(q, STMT_LEASED_DROP);
	return bind_block(add, 1, key) && bind_rev(add, 2, lease) && run(q, STMT_LEASED_ADD);
}

/* The place of a key among those of its transaction. */
static uint64_t place_of(const struct store_txn *txn, struct bytes key)
{
	uint64_t place = 0;

	for (size_t i = 0; i < txn->op_cnt; i++)
		place += bytes_cmp(txn->ops[i].key, key) < 0;
	return place;
}
_Static_assert(STORE_TXN_OPS_MAX <= 1 << STORE_SQLITE_PLACE_BITS, "each key of a transaction has its place");

/* Which of the comparisons is of the key; cmp_cnt: none. */
static size_t find_cmp(const struct store_txn *txn, struct bytes key)
{
	size_t i = 0;

	while (i < txn->cmp_cnt && !bytes_eq(txn->cmps[i].key, key))
		i++;
	return i;
}

static bool put_key(struct sqlite *q, const struct store_txn *txn, const uint64_t ids[static STORE_TXN_CMPS_MAX],
		    const struct store_op *op, uint64_t rev)
{
	size_t cmp = find_cmp(txn, op->key);
	enum stmt n = cmp == txn->cmp_cnt ? STMT_PUT : ids[cmp] == 0 ? STMT_INSERT : STMT_UPDATE;
	sqlite3_stmt *st = q->stmts[n];

	if (!set_lease(q, op->key, txn->lease) ||
	    !bind_rev(st, 1, rev << STORE_SQLITE_PLACE_BITS | place_of(txn, op->key)))
		return false;
	if (n == STMT_UPDATE)
		return bind_block(st, 2, op->value) && bind_rev(st, 3, ids[cmp]) && run(q, n);
	return bind_block(st, 2, op->key) && bind_block(st, 3, op->value) && bind_rev(st, 4, rev) && run(q, n);
}

static bool delete_key(struct sqlite *q, struct bytes key, struct group *g)
{
	sqlite3_stmt *st = q->stmts[STMT_DELETE], *add = q->stmts[STMT_GONE_ADD];

	if (!set_lease(q, key, 0) || !bind_block(st, 1, key) || !run(q, STMT_DELETE))
		return false;
	if (sqlite3_changes(q->db) == 0)
		return true;
	g->deleted = true;
	return bind_block(add, 1, key) && bind_rev(add, 2, g->rev) && run(q, STMT_GONE_ADD);
}

/* Does one transaction inside the group's. Nothing is written before all comparisons held, so one that
 * fails leaves nothing behind. false: the database failed, and the group with it. */
static bool apply(struct sqlite *q, const struct store_txn *txn, struct group *g, struct store_result *ret)
{
	uint64_t ids[STORE_TXN_CMPS_MAX];
	bool hold;

	if (!compare(q, txn, ids, &hold))
		return false;
	if (!hold) {
		*ret = (struct store_result){ .err = ERR_CONFLICT };
		return true;
	}
	if (txn->lease != 0 && !store_leases_has(&q->leases, txn->lease)) {
		*ret = (struct store_result){ .err = ERR_NOTFOUND };
		return true;
	}
	g->rev++;
	for (size_t i = 0; i < txn->op_cnt; i++) {
		const struct store_op *op = &txn->ops[i];
		if (!store_txn_op_counts(txn, i))
			continue;
		if (op->kind == STORE_PUT ? !put_key(q, txn, ids, op, g->rev) : !delete_key(q, op->key, g))
			return false;
	}
	*ret = (struct store_result){ .err = ERR_NONE, .rev = g->rev };
	return true;
}

/* Forgets all but the last deletions. */
static bool forget_old(struct sqlite *q, struct group *g)
{
	sqlite3_stmt *st = q->stmts[STMT_OLD_REV];
	uint64_t rev = 0;

	int rc = bind_rev(st, 1, STORE_GONE_MAX) ? sqlite3_step(st) : SQLITE_ERROR;
	if (rc == SQLITE_ROW)
		rev = column_rev(st, 0);
	(void)sqlite3_reset(st);
	if (rc == SQLITE_DONE)
		return true;
	if (rc != SQLITE_ROW)
		return false;
	g->compacted = rev;
	return bind_rev(q->stmts[STMT_OLD_DROP], 1, STORE_GONE_MAX) && run(q, STMT_OLD_DROP);
}

static bool apply_group(struct sqlite *q, const struct store_txn *txns, size_t cnt, struct group *g,
			struct store_result *results)
{
	sqlite3_stmt *set = q->stmts[STMT_META_SET];

	for (size_t i = 0; i < cnt; i++)
		if (results[i].err == ERR_NONE && !apply(q, &txns[i], g, &results[i]))
			return false;
	return (!g->deleted || forget_old(q, g)) && bind_rev(set, 1, g->rev) && bind_rev(set, 2, g->compacted) &&
	       run(q, STMT_META_SET);
}

static void fail_group(struct store_result *results, size_t cnt, enum err err)
{
	for (size_t i = 0; i < cnt; i++)
		if (results[i].err == ERR_NONE)
			results[i] = (struct store_result){ .err = err };
}

static void commit_all(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	struct sqlite *q = sqlite_of(s);
	struct group g = { 0 };

	enum err err = end_lapsed(q);
	if (err == ERR_NONE)
		err = begin(q, STMT_BEGIN_WRITE, &g.rev, &g.compacted);
	if (err != ERR_NONE) {
		fail_group(results, cnt, err);
		return;
	}
	uint64_t before = g.rev;
	if (!apply_group(q, txns, cnt, &g, results)) {
		fail_group(results, cnt, fail(q, "cannot write"));
		roll_back(q);
		return;
	}
	if (g.rev == before) {
		roll_back(q);
		return;
	}
	if (!run(q, STMT_COMMIT)) {
		/* The log may have reached the disk although its sync failed: a crash could bring it back. */
		(void)fail(q, "cannot commit");
		fail_group(results, cnt, ERR_UNKNOWN_OUTCOME);
		roll_back(q);
	}
}

/* ---- leases ---- */

/* Deletes the keys of a lease and the lease, all at the revision of the group. */
static bool delete_leased(struct sqlite *q, uint64_t id, struct group *g)
{
	sqlite3_stmt *st = q->stmts[STMT_LEASED_KEY], *drop = q->stmts[STMT_LEASE_DROP];
	int rc;

	do {
		uint8_t b[STORE_KEY_MAX];
		struct wr w = wr_of(SPACE_OF(b));
		rc = bind_rev(st, 1, id) ? sqlite3_step(st) : SQLITE_ERROR;
		if (rc == SQLITE_ROW)
			wr_put(&w, column_block(st, 0));
		(void)sqlite3_reset(st);
		if (rc == SQLITE_ROW && !delete_key(q, wr_bytes(&w), g))
			return false;
	} while (rc == SQLITE_ROW);
	return rc == SQLITE_DONE && bind_rev(drop, 1, id) && run(q, STMT_LEASE_DROP);
}

/* In one commit; the revision goes on only if a key went. */
static enum err end_lease(struct sqlite *q, uint64_t id)
{
	sqlite3_stmt *set = q->stmts[STMT_META_SET];
	struct group g = { 0 };

	enum err err = begin(q, STMT_BEGIN_WRITE, &g.rev, &g.compacted);
	if (err != ERR_NONE)
		return err;
	g.rev++;
	bool ok = delete_leased(q, id, &g) && (!g.deleted || forget_old(q, &g));
	if (ok && g.deleted)
		ok = bind_rev(set, 1, g.rev) && bind_rev(set, 2, g.compacted) && run(q, STMT_META_SET);
	if (!ok || !run(q, STMT_COMMIT)) {
		err = fail(q, "cannot end a lease");
		roll_back(q);
		return err;
	}
	store_leases_remove(&q->leases, id);
	if (g.deleted)
		q->base.last_rev = g.rev;
	return ERR_NONE;
}

static enum err end_lapsed(struct sqlite *q)
{
	enum err err = ERR_NONE;

	for (uint64_t id; err == ERR_NONE && (id = store_leases_lapsed(&q->leases)) != 0;)
		err = end_lease(q, id);
	return err;
}

static enum err grant_lease(struct store *s, uint64_t ttl_ms, struct store_lease *ret)
{
	struct sqlite *q = sqlite_of(s);
	sqlite3_stmt *add = q->stmts[STMT_LEASE_ADD];
	const struct store_lease lease = { .id = store_leases_new_id(), .ttl_ms = ttl_ms };

	enum err err = store_leases_add(&q->leases, lease.id, ttl_ms);
	if (err != ERR_NONE)
		return err;
	if (!bind_rev(add, 1, lease.id) || !bind_rev(add, 2, ttl_ms) || !run(q, STMT_LEASE_ADD)) {
		store_leases_remove(&q->leases, lease.id);
		return fail(q, "cannot grant a lease");
	}
	*ret = lease;
	return ERR_NONE;
}

static enum err renew_lease(struct store *s, uint64_t id)
{
	struct sqlite *q = sqlite_of(s);
	enum err err = end_lapsed(q);

	return err != ERR_NONE ? err : store_leases_renew(&q->leases, id) ? ERR_NONE : ERR_NOTFOUND;
}

static enum err revoke_lease(struct store *s, uint64_t id)
{
	struct sqlite *q = sqlite_of(s);
	enum err err = end_lapsed(q);

	if (err != ERR_NONE)
		return err;
	return store_leases_has(&q->leases, id) ? end_lease(q, id) : ERR_NOTFOUND;
}

/* Every lease that was there before has its whole time again. */
static enum err read_leases(struct sqlite *q)
{
	sqlite3_stmt *st = q->stmts[STMT_LEASE_LIST];
	enum err err = ERR_NONE;
	int rc;

	while (err == ERR_NONE && (rc = sqlite3_step(st)) == SQLITE_ROW)
		err = store_leases_add(&q->leases, column_rev(st, 0), column_rev(st, 1));
	if (err == ERR_NONE && rc != SQLITE_DONE)
		err = fail(q, "cannot read leases");
	(void)sqlite3_reset(st);
	return err;
}

/* ---- opening and closing ---- */

static void free_sqlite(struct store *s)
{
	struct sqlite *q = sqlite_of(s);

	for (size_t i = 0; i < STMT_CNT; i++)
		sqlite3_finalize(q->stmts[i]);
	sqlite3_close(q->db);
	store_leases_fini(&q->leases);
	store_fini(s);
	free(q);
}

static const struct store_engine sqlite_engine = {
	.get = get_key,
	.range = range_keys,
	.commit_many = commit_all,
	.changes = list_changes,
	.lease_grant = grant_lease,
	.lease_renew = renew_lease,
	.lease_revoke = revoke_lease,
	.free = free_sqlite,
};

static enum err prepare_all(struct sqlite *q)
{
	for (size_t i = 0; i < STMT_CNT; i++)
		if (sqlite3_prepare_v3(q->db, stmt_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &q->stmts[i], NULL) !=
		    SQLITE_OK)
			return fail(q, "not the tables that were expected");
	return ERR_NONE;
}

MUST_USE enum err store_sqlite_open(const char *path, struct store **ret)
{
	struct sqlite *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return ERR_SYSTEM;
	q->limit = (struct log_limit){ .burst = 5, .window_ms = 10000 };
	enum err err = store_init(&q->base, &sqlite_engine, true);
	if (err != ERR_NONE) {
		free(q);
		return err;
	}
	err = store_sqlite_file_open(path, &q->db);
	if (err == ERR_NONE)
		err = prepare_all(q);
	if (err == ERR_NONE)
		err = read_leases(q);
	if (err != ERR_NONE) {
		free_sqlite(&q->base);
		return err;
	}
	*ret = &q->base;
	return ERR_NONE;
}
