// A hash table of nodes that live inside their owners: no allocation a node, the caller compares.
// The thread that owns the table.
//
// Keys that strangers choose are hashed with a secret (base/siphash.h) by the caller.
#pragma once

#include "base/err.h"
#include "base/must.h"

#include <stdint.h>

struct hmap_node {
	struct hmap_node *next;
	uint64_t hash;
};

struct hmap {
	struct hmap_node **buckets;
	size_t mask;
	size_t cnt;
};

MUST_USE enum err hmap_init(struct hmap *m); /* ERR_MEMORY */
void hmap_fini(struct hmap *m);              /* forgets the nodes; m may be zeroed */

/* Never fails: when the table cannot grow its chains become longer. */
void hmap_add(struct hmap *m, struct hmap_node *n, uint64_t hash);

/* n must be in the table (asserted). */
void hmap_remove(struct hmap *m, struct hmap_node *n);

/* The nodes with a hash, newest first: for (n = hmap_first(m, h); n != NULL; n = hmap_next(n)). */
struct hmap_node *hmap_first(const struct hmap *m, uint64_t hash);
struct hmap_node *hmap_next(const struct hmap_node *n);

/* All nodes. The one handed out last may be removed while walking. */
struct hmap_walk {
	size_t bucket;
	struct hmap_node *next;
};
struct hmap_node *hmap_walk_first(const struct hmap *m, struct hmap_walk *w);
struct hmap_node *hmap_walk_next(const struct hmap *m, struct hmap_walk *w);
