// The store: keys, values, one revision counter, transactions by compare-and-swap, and a log of changes.
// A struct store belongs to one thread. Engines: sqlite (one machine), memory (tests), ipc (the api process).
//
// Every commit raises the revision by one; each key knows the revision that made it (create) and that
// changed it last (mod). A reader that has seen revision r asks for the changes after r and misses none;
// when the log no longer reaches back that far it is told so (ERR_COMPACTED) and lists again.
#pragma once

#include "base/bytes.h"

#define STORE_KEY_MAX 256
#define STORE_VALUE_MAX 16384
#define STORE_TXN_CMPS_MAX 16
#define STORE_TXN_OPS_MAX 64

struct store;

struct store_row {
	struct bytes key, value; /* borrowed for the time of the call */
	uint64_t create_rev, mod_rev;
	bool deleted;            /* only in changes: the key is gone, value is empty */
};
/* Must not call the same store. */
typedef void store_row_fn(void *arg, const struct store_row *row);

struct store_cmp {
	struct bytes key;
	uint64_t mod_rev; /* 0: must not exist */
};

enum store_op_kind { STORE_PUT, STORE_DELETE };

struct store_op {
	enum store_op_kind kind;
	struct bytes key, value;
};

/* All comparisons must hold, then all operations are done, or none. Of several operations on one key the last
 * counts; to delete what is not there is no error. Borrowed for the time of the call. */
struct store_txn {
	const struct store_cmp *cmps;
	size_t cmp_cnt;
	const struct store_op *ops;
	size_t op_cnt;
};

struct store_result {
	enum err err;  /* ERR_NONE, ERR_CONFLICT (a comparison failed), ERR_RANGE (over a limit above),
	                  ERR_DENIED (ipc: key outside the role), ERR_AWAY, ERR_UNKNOWN_OUTCOME, ERR_SYSTEM */
	uint64_t rev;  /* of the commit */
};

/* One key. ERR_NOTFOUND; ERR_DENIED, ERR_AWAY, ERR_SYSTEM as above. */
MUST_USE enum err store_get(struct store *s, struct bytes key, store_row_fn *row, void *arg);

/* All keys with the prefix in lexical order, after the key `after` (empty: from the first), at most
 * limit rows (0: all). *ret_rev, if not NULL: a revision of which the rows are at least. */
MUST_USE enum err store_range(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
			      store_row_fn *row, void *arg, uint64_t *ret_rev);

struct store_result store_commit(struct store *s, const struct store_txn *txn);

/* Many transactions in one durable write (group commit); each stands or falls by itself. */
void store_commit_many(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results);

/* The last change after from_rev of each changed key with the prefix, in order of revision.
 * *ret_rev: ask with this the next time. ERR_COMPACTED: list again (also when from_rev is beyond the store's
 * own revision, as after an older copy was put back). */
MUST_USE enum err store_changes(struct store *s, struct bytes prefix, uint64_t from_rev, store_row_fn *row,
				void *arg, uint64_t *ret_rev);

/* An eventfd that is readable after commits; -1 if the engine has none (ipc). Owned by the store. */
int store_wake_fd(const struct store *s);

void store_free(struct store *s); /* NULL is fine */

/* ---- engines ---- */

/* In memory, for tests. ERR_MEMORY. */
MUST_USE enum err store_memory_new(struct store **ret);

/* A file, made if missing (mode 0600), WAL, synchronous=FULL. The last 100,000 deletions are remembered;
 * changes of what still lives are never forgotten.
 * ERR_SYSTEM: cannot be opened or written; ERR_VERSION: made by a newer program; ERR_SYNTAX: not ours. */
MUST_USE enum err store_sqlite_open(const char *path, struct store **ret);

/* A client of the store thread over a SOCK_SEQPACKET socket, which it owns from now on, also on failure. Every
 * call waits at most timeout_ms: then ERR_AWAY, or ERR_UNKNOWN_OUTCOME for a commit. Once the other side has
 * closed the socket, every call gives ERR_AWAY. */
MUST_USE enum err store_ipc_new(int fd, unsigned timeout_ms, struct store **ret);
