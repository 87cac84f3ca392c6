// The store thread: owns the engine, commits what control submits, serves the api process, tells changes.
// store_thread_submit, _read, _list, _grant, _renew, _poll: the control thread. The thread itself runs inside.
#pragma once

#include "store/ipc_server.h"

struct store_thread;

/* Transactions that may be under way: submitted, and their result not yet polled. */
#define STORE_THREAD_SUBMIT_MAX 1024
#define STORE_THREAD_WATCH_MAX 16
#define STORE_THREAD_LIST_MAX 256 /* rows of one store_thread_list */

/* The result of a transaction or a read. Values may hold sealed secrets only. */
struct store_done {
	uint64_t tag;
	struct store_result result; /* rev of a read: a revision of which its rows are at least */
	size_t row_cnt;             /* of a read: that were handed out for it */
	struct bytes last_key;      /* of the last of them; borrowed for the time of the call */
	struct store_lease lease;   /* of a grant */
};
typedef void store_done_fn(void *arg, const struct store_done *done);

/* Takes the engine over (on failure it stays the caller's). ipc_fd: the api's socket or -1, owned from now on.
 * role outlives the thread. ERR_MEMORY, ERR_SYSTEM. */
MUST_USE enum err store_thread_start(struct store *s, int ipc_fd, const struct store_role *role,
				     struct store_thread **ret);

/* Another socket for the api process (it was restarted); the old one is closed. -1: none for now. */
MUST_USE enum err store_thread_set_ipc(struct store_thread *t, int ipc_fd);

/* Queues a transaction; its result comes in store_thread_poll with the tag, in order of submission.
 * ERR_FULL: too many are under way; ERR_MEMORY. */
MUST_USE enum err store_thread_submit(struct store_thread *t, const struct store_txn *txn, uint64_t tag);

/* Queues a read of one key, behind what was submitted before: its row is at least as new as the call. It comes in
 * store_thread_poll through the change function, right before the result with the tag: a key that is not there as a deletion
 * with the revision of the read. The row may be newer than changes that are handed out after it. ERR_RANGE; ERR_FULL:
 * too many submitted or read are under way; ERR_MEMORY. */
MUST_USE enum err store_thread_read(struct store_thread *t, struct bytes key, uint64_t tag);

/* Likewise the first rows with the prefix, in lexical order, after the key `after` (empty: from the first), at most
 * limit (up to STORE_THREAD_LIST_MAX). */
MUST_USE enum err store_thread_list(struct store_thread *t, struct bytes prefix, struct bytes after, size_t limit,
				    uint64_t tag);

/* Queues store_lease_grant and store_lease_renew; what they give comes as a result with the tag. ERR_FULL, ERR_MEMORY. */
MUST_USE enum err store_thread_grant(struct store_thread *t, uint64_t ttl_ms, uint64_t tag);
MUST_USE enum err store_thread_renew(struct store_thread *t, uint64_t lease, uint64_t tag);

/* Up to this revision every change under the watched prefixes was handed out. */
uint64_t store_thread_seen(struct store_thread *t);

/* True, once: changes were forgotten before they were read (an engine that was out of reach for longer than it keeps
 * history). Those from now on come; what there is has to be listed. */
bool store_thread_lost(struct store_thread *t);

/* Readable when results or changes wait. */
int store_thread_fd(const struct store_thread *t);

/* Hands out results, then changes under the watched prefixes. Changes come in order of revision;
 * of a key that changed more than once in between only the last change may come. A callback may submit. */
void store_thread_poll(struct store_thread *t, store_done_fn *done, store_row_fn *change, void *arg);

/* Watches a prefix from from_rev on (call after reading the store, before start of the loop). Waits for the
 * thread to answer. ERR_COMPACTED: list again; ERR_FULL, ERR_RANGE, ERR_SYSTEM. */
MUST_USE enum err store_thread_watch(struct store_thread *t, struct bytes prefix, uint64_t from_rev);

/* Commits what waits, stops, closes the engine. NULL is fine. */
void store_thread_stop(struct store_thread *t);
