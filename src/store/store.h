// The store: keys, values, one revision counter, transactions by compare-and-swap, and a log of changes.
// A struct store belongs to one thread. Engines: sqlite (one machine), etcd (many), memory (tests), ipc (the api
// process).
//
// Every commit raises the revision, on one machine by one; of transactions that were committed together (commit_many)
// several may share one in etcd. Each key knows the revision that made it (create) and that
// changed it last (mod). A reader that has seen revision r asks for the changes after r and misses none;
// when the log no longer reaches back that far it is told so (ERR_COMPACTED) and lists again.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"

#define STORE_KEY_MAX 256
#define STORE_VALUE_MAX 16384
#define STORE_TXN_CMPS_MAX 16
#define STORE_TXN_OPS_MAX 64
#define STORE_LEASE_TTL_MAX_MS 86400000 /* a day */

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
	uint64_t lease; /* to which all keys that it puts belong; 0: to none */
	bool loose;     /* only for store_thread_submit: changes of its keys may be told before its result */
};

struct store_result {
	enum err err;  /* ERR_NONE, ERR_CONFLICT (a comparison failed), ERR_RANGE (over a limit above),
	                  ERR_DENIED (key outside the role, or a lease by ipc), ERR_NOTFOUND (the lease has lapsed),
	                  ERR_FULL (etcd has reached its quota), ERR_AWAY, ERR_UNKNOWN_OUTCOME, ERR_SYSTEM */
	uint64_t rev;  /* of the commit */
};

/* The transaction that puts one key if its revision is still that one. It lies in *p, which must outlive it. */
struct store_put {
	struct store_cmp cmp;
	struct store_op op;
	struct store_txn txn;
};
static inline const struct store_txn *store_put_txn(struct store_put *p, struct bytes key, uint64_t mod_rev, struct bytes value)
{
	p->cmp = (struct store_cmp){ key, mod_rev };
	p->op = (struct store_op){ STORE_PUT, key, value };
	p->txn = (struct store_txn){ .cmps = &p->cmp, .cmp_cnt = 1, .ops = &p->op, .op_cnt = 1 };
	return &p->txn;
}

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

/* An eventfd that is readable after commits, with etcd also after those of others; -1 if the engine has none (ipc).
 * Owned by the store. */
int store_wake_fd(const struct store *s);

/* ---- leases ---- */

/* Keys that were put under a lease go, in one commit, when it is revoked or was not renewed for its time. A put without
 * a lease, or with another, takes its key out of it. On one machine a lapsed lease takes effect with the next
 * call of any kind, and after a restart every lease has its whole time again.
 * ipc has no leases: ERR_DENIED. ERR_RANGE: a time of 0 or more than a day. ERR_NOTFOUND: it has lapsed. Else
 * ERR_AWAY, ERR_SYSTEM. */
struct store_lease {
	uint64_t id;     /* not 0 */
	uint64_t ttl_ms; /* at least what was asked for: etcd counts in seconds and has a least time */
};

MUST_USE enum err store_lease_grant(struct store *s, uint64_t ttl_ms, struct store_lease *ret);
MUST_USE enum err store_lease_renew(struct store *s, uint64_t id);
MUST_USE enum err store_lease_revoke(struct store *s, uint64_t id);

void store_free(struct store *s); /* NULL is fine */

/* ---- engines ---- */

/* In memory, for tests. ERR_MEMORY. */
MUST_USE enum err store_memory_new(struct store **ret);

/* A file, made if missing (mode 0600), WAL, synchronous=FULL. The last 100,000 deletions are remembered;
 * changes of what still lives are never forgotten.
 * ERR_SYSTEM: cannot be opened or written; ERR_VERSION: made by a newer program; ERR_SYNTAX: not ours. */
MUST_USE enum err store_sqlite_open(const char *path, struct store **ret);

/* etcd 3.4 or newer over TLS with client certificates; endpoints are asked in turn when one fails. Texts are copied.
 * Each call waits at most timeout_ms: then ERR_AWAY, or ERR_UNKNOWN_OUTCOME for a commit; after that no later call
 * comes back before it is certain that nothing of it will still be applied. store_changes shows at least what this
 * handle has committed; commits of others come as fast as etcd tells them, and then the wake fd is readable.
 * ERR_AWAY: no member answers; ERR_DENIED; ERR_RANGE: no endpoint, or a prefix too long; ERR_MEMORY, ERR_SYSTEM. */
struct store_etcd_config {
	const struct addr_endpoint *endpoints;
	size_t endpoint_cnt;
	const char *ca_pem, *cert_pem, *key_pem; /* the texts themselves: the files may be root's */
	const char *prefix;                      /* of all keys, such as "onramp/" */
	unsigned timeout_ms;
};
MUST_USE enum err store_etcd_open(const struct store_etcd_config *c, struct store **ret);

/* A client of the store thread over a SOCK_SEQPACKET socket, which it owns from now on, also on failure. Every
 * call waits at most timeout_ms: then ERR_AWAY, or ERR_UNKNOWN_OUTCOME for a commit. Once the other side has
 * closed the socket, every call gives ERR_AWAY. */
MUST_USE enum err store_ipc_new(int fd, unsigned timeout_ms, struct store **ret);
