// The last change of each key that changed lately, in order of revision: what an etcd client has seen of its watch.
// Private to store/. Any thread, under the owner's lock.
#pragma once

#include "base/hmap.h"
#include "base/siphash.h"
#include "store/engine.h"

/* What is kept in memory. A reader that falls further behind lists again. */
#define STORE_ETCD_LOG_BYTES (64u << 20)

struct store_etcd_log_entry;

struct store_etcd_log {
	struct store_etcd_log_entry *head, *tail; /* by revision, then key */
	struct hmap by_key;
	struct siphash_key hash_key;
	size_t bytes, bytes_max;
	uint64_t floor; /* changes after this one are all here ... */
	uint64_t rev;   /* ... up to this one */
};

/* Empty, from a revision on. ERR_MEMORY. */
MUST_USE enum err store_etcd_log_init(struct store_etcd_log *l, uint64_t floor);
void store_etcd_log_fini(struct store_etcd_log *l);

/* Forgets all, and goes on from another revision. */
void store_etcd_log_reset(struct store_etcd_log *l, uint64_t floor);

/* Adds a change; revisions may not go back. It is shown once advance has reached its revision. ERR_MEMORY. */
MUST_USE enum err store_etcd_log_add(struct store_etcd_log *l, const struct store_row *row);

/* All changes up to rev have been added. */
void store_etcd_log_advance(struct store_etcd_log *l, uint64_t rev);

/* Changes with the prefix from a position up to a revision, which the log must hold. */
void store_etcd_log_visit(const struct store_etcd_log *l, struct bytes prefix, const struct store_pos *from,
			  uint64_t upto, store_visit_fn *visit, void *arg);
