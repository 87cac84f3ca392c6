// What an engine of the store is: the table of functions behind store.h. Not for users of the store.
// A struct store belongs to one thread.
//
// Two things are finer here than in store.h: a visitor may say that it has seen enough, and changes are
// asked for from a position inside a revision. By both, answers can be cut into pages.
#pragma once

#include "store/store.h"

/* How many deletions the engines remember. What lives needs no log: its mod_rev tells when it changed. */
#define STORE_GONE_MAX 100000

/* false: enough, the call ends without error. */
typedef bool store_visit_fn(void *arg, const struct store_row *row);

/* All changes at revision rev with a key not below `key`, and all of later revisions. */
struct store_pos {
	uint64_t rev;
	struct bytes key; /* at most STORE_KEY_MAX + 1 */
};

/* Arguments were checked by store.c: keys and transactions are within their limits. */
struct store_engine {
	enum err (*get)(struct store *s, struct bytes key, store_visit_fn *visit, void *arg);
	enum err (*range)(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
			  store_visit_fn *visit, void *arg, uint64_t *ret_rev);
	/* Leaves alone those whose result has an error already. */
	void (*commit_many)(struct store *s, const struct store_txn *txns, size_t cnt,
			    struct store_result *results);
	/* Changes up to revision upto (0: all). *ret_rev: the last revision looked at. */
	enum err (*changes)(struct store *s, struct bytes prefix, const struct store_pos *from, uint64_t upto,
			    store_visit_fn *visit, void *arg, uint64_t *ret_rev);
	/* Up to which revision changes need not wait for news from elsewhere. NULL: they never do, and nobody else commits. */
	uint64_t (*seen_rev)(struct store *s);
	/* Those of the changes that have come by, also while another call waits. With seen_rev. */
	enum err (*seen_changes)(struct store *s, const struct store_pos *from, store_visit_fn *visit, void *arg, uint64_t *ret_rev);
	/* NULL: no leases, ERR_DENIED. */
	enum err (*lease_grant)(struct store *s, uint64_t ttl_ms, struct store_lease *ret);
	enum err (*lease_renew)(struct store *s, uint64_t id);
	enum err (*lease_revoke)(struct store *s, uint64_t id);
	void (*free)(struct store *s);
};

/* First member of each engine's own struct. */
struct store {
	const struct store_engine *engine;
	int wake_fd;       /* -1: none */
	uint64_t last_rev; /* of the last commit by this handle, 0: none yet */
	bool busy;         /* a row function runs */
	/* Called again and again while a call waits for others; NULL: nothing. It calls store_visit_seen alone. */
	void (*meanwhile)(void *arg);
	void *meanwhile_arg;
};

/* wake: with an eventfd. ERR_SYSTEM. */
MUST_USE enum err store_init(struct store *s, const struct store_engine *engine, bool wake);
void store_fini(struct store *s);

/* ERR_RANGE: over a limit. */
MUST_USE enum err store_txn_check(const struct store_txn *txn);

/* Of several operations on one key only the last counts. */
bool store_txn_op_counts(const struct store_txn *txn, size_t i);

/* As store_range and store_changes, with a visitor. */
MUST_USE enum err store_visit_range(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
				    store_visit_fn *visit, void *arg, uint64_t *ret_rev);
MUST_USE enum err store_visit_changes(struct store *s, struct bytes prefix, const struct store_pos *from,
				      uint64_t upto, store_visit_fn *visit, void *arg, uint64_t *ret_rev);

/* Changes that have come by, of all keys. From meanwhile alone; the engine has seen_changes. ERR_AGAIN: none; ERR_COMPACTED: not
 * here. */
MUST_USE enum err store_visit_seen(struct store *s, const struct store_pos *from, store_visit_fn *visit, void *arg,
				   uint64_t *ret_rev);

/* ERR_COMPACTED when the position cannot be served: deletions up to `compacted` are forgotten, or the
 * position lies beyond what this store has seen (an older copy was put back). */
static inline enum err store_pos_check(const struct store_pos *from, uint64_t compacted, uint64_t rev)
{
	return compacted >= from->rev || from->rev > rev + 1 ? ERR_COMPACTED : ERR_NONE;
}

/* The smallest key greater than `key`. */
struct store_key_next {
	size_t len;
	uint8_t b[STORE_KEY_MAX + 1];
};
struct store_key_next store_key_next(struct bytes key);
