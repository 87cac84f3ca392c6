// The etcd engine's parts: what etcd.c, etcd_ask.c, etcd_txn.c, etcd_lease.c and etcd_watch.c share.
// Private to store/. All by the thread that owns the store, but for the watch's own thread inside etcd_watch.c.
//
// Keys in etcd: PREFIX "kv/" and the store's key; PREFIX "txn/", the handle's number and a slot: the marks by which a
// writer knows whether a transaction whose answer was lost has been applied.
#pragma once

#include "base/log.h"
#include "store/engine.h"
#include "store/etcd.pb-c.h"
#include "store/grpc.h"

#define STORE_ETCD_PREFIX_MAX 128
#define STORE_ETCD_KEY_MAX (STORE_ETCD_PREFIX_MAX + 32 + STORE_KEY_MAX)

/* A call waits this long at one member before it asks the next. */
#define STORE_ETCD_TRY_MS 1500

struct store_etcd_watch;

struct etcd {
	struct store base;
	struct store_grpc_config grpc_config; /* owned copies */
	struct addr_endpoint *endpoints;
	char *ca_pem, *cert_pem, *key_pem;
	char prefix[STORE_ETCD_PREFIX_MAX + 1];
	unsigned timeout_ms;

	struct store_grpc *grpc;
	struct store_etcd_watch *watch;
	struct log_limit limit;
	bool failing;        /* the last call failed: say so when one works again */
	uint64_t known_rev;  /* the highest seen in any answer */
	bool put_back;       /* an answer was of an older one: nothing is asked any more */

	uint64_t id;         /* of this handle, random */
	uint64_t serial;     /* of the group of transactions under way */
	uint64_t fence_rev;  /* of the fence key: each group compares it */
	bool unsettled;      /* a group may be under way of which nothing is known: to be fenced off */
};

static inline struct etcd *store_etcd_of(struct store *s)
{
	return CONTAINER_OF(s, struct etcd, base);
}

/* ---- keys ---- */

struct store_etcd_key {
	size_t len;
	uint8_t b[STORE_ETCD_KEY_MAX];
};

/* PREFIX, folder ("kv/" or "txn/"), rest. */
struct store_etcd_key store_etcd_key(const struct etcd *e, const char *folder, struct bytes rest);
/* The first key behind all that have this prefix. */
struct store_etcd_key store_etcd_key_end(const struct store_etcd_key *prefix);

static inline struct bytes store_etcd_key_bytes(const struct store_etcd_key *k)
{
	return bytes_of(k->b, k->len);
}

/* protobuf-c has no constant blocks. */
static inline ProtobufCBinaryData store_etcd_blob(struct bytes b)
{
	union {
		const uint8_t *c;
		uint8_t *p;
	} u = { .c = b.p };
	return (ProtobufCBinaryData){ .len = b.len, .data = u.p };
}

static inline struct bytes store_etcd_bytes(ProtobufCBinaryData d)
{
	return bytes_of(d.data, d.len);
}

/* ---- calls ---- */

/* How long a call of the store may still take, over all that it asks of etcd. */
struct store_etcd_patience {
	uint64_t end_ms;
};
struct store_etcd_patience store_etcd_patience(const struct etcd *e);

/* One request, once. ERR_MEMORY when it could not even be built; ERR_SYSTEM after etcd was put back. */
MUST_USE enum err store_etcd_try(struct etcd *e, const char *path, const ProtobufCMessage *request,
				 const struct store_etcd_patience *p, struct store_grpc_answer *ret);

/* A request that may be done twice: again at the next member until it is answered or time is up. ERR_AWAY, ERR_DENIED,
 * ERR_COMPACTED (the revision asked for is no longer, or not yet, there), ERR_NOTFOUND, ERR_FULL, ERR_SYSTEM. */
MUST_USE enum err store_etcd_ask(struct etcd *e, const char *path, const ProtobufCMessage *request,
				 const struct store_etcd_patience *p, struct store_grpc_answer *ret);

/* After a failed attempt: waits a moment. false: time is up. */
bool store_etcd_may_retry(const struct store_etcd_patience *p);

/* What a status that is not GRPC_OK means to the caller. */
enum err store_etcd_error_of(const struct store_grpc_answer *a);

void store_etcd_note_failure(struct etcd *e, const char *path, const char *why);
/* Of an answer that all members had to agree on: its revision is not below that of one before it, unless an older copy of etcd was
 * put in its place. What this process has of it is of another time then: it goes on as if etcd were away, until it is started again. */
void store_etcd_note_rev(struct etcd *e, const Etcd__Header *header);

MUST_USE enum err store_etcd_range(struct etcd *e, Etcd__RangeRequest *q, const struct store_etcd_patience *p,
				   Etcd__RangeResponse **ret);

/* ---- transactions: etcd_txn.c ---- */

void store_etcd_commit_many(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results);

/* Before a read: after an unknown outcome nothing may be applied behind the reader's back. */
MUST_USE enum err store_etcd_settle(struct etcd *e, const struct store_etcd_patience *p);

/* Marks of handles that ended without taking them away. */
void store_etcd_sweep(struct etcd *e);
void store_etcd_drop_marks(struct etcd *e);

/* ---- leases: etcd_lease.c ---- */

MUST_USE enum err store_etcd_lease_grant(struct store *s, uint64_t ttl_ms, struct store_lease *ret);
MUST_USE enum err store_etcd_lease_renew(struct store *s, uint64_t id);
MUST_USE enum err store_etcd_lease_revoke(struct store *s, uint64_t id);

/* ---- the watch: etcd_watch.c ---- */

/* Watches all keys of the prefix after from_rev, by a thread and a connection of its own. wake_fd is told. */
MUST_USE enum err store_etcd_watch_start(const struct store_grpc_config *c, const char *prefix, uint64_t from_rev,
					 int wake_fd, struct store_etcd_watch **ret);
void store_etcd_watch_stop(struct store_etcd_watch *w); /* NULL is fine */

/* Until when all changes have been seen. */
uint64_t store_etcd_watch_rev(struct store_etcd_watch *w);

/* We committed at rev: when the watch does not come to it in time it is stalled. */
void store_etcd_watch_expect(struct store_etcd_watch *w, uint64_t rev);

/* Waits until the log reaches back to after_rev and on to rev. ERR_NOTFOUND: it does not reach back; ERR_AWAY: not in
 * time. */
MUST_USE enum err store_etcd_watch_await(struct store_etcd_watch *w, uint64_t after_rev, uint64_t rev, uint64_t end_ms);

/* Begins the log again at an older revision. */
void store_etcd_watch_rewind(struct store_etcd_watch *w, uint64_t after_rev);

/* The changes in the log from a position, up to a revision or (0) all. ERR_COMPACTED: it no longer reaches back. */
MUST_USE enum err store_etcd_watch_visit(struct store_etcd_watch *w, struct bytes prefix, const struct store_pos *from,
					 uint64_t upto, store_visit_fn *visit, void *arg, uint64_t *ret_rev);
