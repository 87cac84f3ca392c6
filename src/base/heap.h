// A binary heap of times: which of many things is due first. Its nodes live inside their owners.
// The thread that owns the heap.
#pragma once

#include "base/err.h"
#include "base/must.h"

#include <stdint.h>

struct heap_node {
	uint64_t at;
	size_t index; /* 1 and up while in a heap, 0: in none */
};

struct heap {
	struct heap_node **nodes; /* nodes[1..cnt] */
	size_t cnt, cap;
};

/* Puts the node in, or moves it, to the time at. ERR_MEMORY: it was not in and could not be put. */
MUST_USE enum err heap_set(struct heap *h, struct heap_node *n, uint64_t at);
void heap_remove(struct heap *h, struct heap_node *n); /* a node in no heap is fine */
struct heap_node *heap_first(const struct heap *h);    /* NULL: empty */
void heap_fini(struct heap *h);
