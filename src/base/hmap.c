#include "base/hmap.h"

#include <stdlib.h>

#define BUCKETS_FIRST 64

MUST_USE enum err hmap_init(struct hmap *m)
{
	struct hmap_node **b = calloc(BUCKETS_FIRST, sizeof(struct hmap_node *));
	if (b == NULL)
		return ERR_MEMORY;
	*m = (struct hmap){ .buckets = b, .mask = BUCKETS_FIRST - 1 };
	return ERR_NONE;
}

void hmap_fini(struct hmap *m)
{
	free(m->buckets);
	*m = (struct hmap){ 0 };
}

static void grow(struct hmap *m)
{
	size_t cnt = (m->mask + 1) * 2;
	struct hmap_node **b = calloc(cnt, sizeof(struct hmap_node *));

	if (b == NULL)
		return;
	for (size_t i = 0; i <= m->mask; i++) {
		while (m->buckets[i] != NULL) {
			struct hmap_node *n = m->buckets[i];
			m->buckets[i] = n->next;
			n->next = b[n->hash & (cnt - 1)];
			b[n->hash & (cnt - 1)] = n;
		}
	}
	free(m->buckets);
	m->buckets = b;
	m->mask = cnt - 1;
}

void hmap_add(struct hmap *m, struct hmap_node *n, uint64_t hash)
{
	if (m->cnt > m->mask)
		grow(m);
	n->hash = hash;
	n->next = m->buckets[hash & m->mask];
	m->buckets[hash & m->mask] = n;
	m->cnt++;
}

void hmap_remove(struct hmap *m, struct hmap_node *n)
{
	struct hmap_node **p = &m->buckets[n->hash & m->mask];
	while (*p != n) {
		must(*p != NULL);
		p = &(*p)->next;
	}
	*p = n->next;
	n->next = NULL;
	m->cnt--;
}

static struct hmap_node *skip_others(struct hmap_node *n, uint64_t hash)
{
	while (n != NULL && n->hash != hash)
		n = n->next;
	return n;
}

struct hmap_node *hmap_first(const struct hmap *m, uint64_t hash)
{
	return skip_others(m->buckets[hash & m->mask], hash);
}

struct hmap_node *hmap_next(const struct hmap_node *n)
{
	return skip_others(n->next, n->hash);
}

struct hmap_node *hmap_walk_first(const struct hmap *m, struct hmap_walk *w)
{
	*w = (struct hmap_walk){ 0 };
	return hmap_walk_next(m, w);
}

struct hmap_node *hmap_walk_next(const struct hmap *m, struct hmap_walk *w)
{
	struct hmap_node *n = w->next;
	while (n == NULL && w->bucket <= m->mask)
		n = m->buckets[w->bucket++];
	w->next = n == NULL ? NULL : n->next;
	return n;
}
