#include "base/heap.h"

#include <stdlib.h>

static void place(struct heap *h, struct heap_node *n, size_t i)
{
	h->nodes[i] = n;
	n->index = i;
}

static void sift_up(struct heap *h, struct heap_node *n)
{
	size_t i = n->index;
	while (i > 1 && h->nodes[i / 2]->at > n->at) {
		place(h, h->nodes[i / 2], i);
		i /= 2;
	}
	place(h, n, i);
}

static void sift_down(struct heap *h, struct heap_node *n)
{
	size_t i = n->index;
	for (;;) {
		size_t c = 2 * i;
		if (c < h->cnt && h->nodes[c + 1]->at < h->nodes[c]->at)
			c++;
		if (c > h->cnt || h->nodes[c]->at >= n->at)
			break;
		place(h, h->nodes[c], i);
		i = c;
	}
	place(h, n, i);
}

MUST_USE enum err heap_set(struct heap *h, struct heap_node *n, uint64_t at)
{
	if (n->index == 0) {
		if (h->cnt + 2 > h->cap) {
			size_t cap = h->cap == 0 ? 64 : h->cap * 2;
			struct heap_node **p = realloc(h->nodes, cap * sizeof(struct heap_node *));
			if (p == NULL)
				return ERR_MEMORY;
			h->nodes = p;
			h->cap = cap;
		}
		place(h, n, ++h->cnt);
	}
	n->at = at;
	sift_up(h, n);
	sift_down(h, n);
	return ERR_NONE;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	size_t i = n->index;
	if (i == 0)
		return;
	must(i <= h->cnt && h->nodes[i] == n);
	struct heap_node *last = h->nodes[h->cnt--];
	n->index = 0;
	if (last == n)
		return;
	place(h, last, i);
	sift_up(h, last);
	sift_down(h, last);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->cnt == 0 ? NULL : h->nodes[1];
}

void heap_fini(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){ 0 };
}
