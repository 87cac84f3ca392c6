#include <stdlib.h>

#include "base/ck.h"
#include "fwd/state.h"

/* Of equal prefixes the first kind that is there counts. */
enum rank { RANK_LOCAL, RANK_CONNECTED, RANK_STATIC };

struct candidate {
	struct addr_prefix prefix;
	enum rank rank;
	uint32_t priority;
	uint16_t weight;
	struct fwd_tunnel *tunnel;
};

struct builder {
	struct candidate *items;
	size_t cnt;
	struct fwd_lpm_entry *v4, *v6;
	size_t v4_cnt, v6_cnt;
	uint32_t group_cnt, hop_cnt;
	struct fwd_table *table;
};

static int compare_candidates(const void *va, const void *vb)
{
	const struct candidate *a = va, *b = vb;
	int c = addr_cmp(&a->prefix.addr, &b->prefix.addr);

	if (c != 0)
		return c;
	if (a->prefix.len != b->prefix.len)
		return a->prefix.len < b->prefix.len ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	/* The same order on every node and after every change, so that flows stay where they are. */
	return memcmp(a->tunnel->id.b, b->tunnel->id.b, sizeof(a->tunnel->id.b));
}

static void add_interface(struct builder *b, struct fwd_tunnel *t, const struct addr_prefix *p)
{
	struct addr_prefix own = { p->addr, (uint8_t)(8 * addr_len(p->addr.family)) };

	if (p->addr.family == ADDR_NONE)
		return;
	b->items[b->cnt++] = (struct candidate){ .prefix = own, .rank = RANK_LOCAL, .tunnel = t };
	if (p->len < own.len)
		b->items[b->cnt++] = (struct candidate){ .prefix = addr_prefix_mask(p),
							 .rank = RANK_CONNECTED,
							 .tunnel = t };
	struct addr *inner = p->addr.family == ADDR_V4 ? &b->table->inner4 : &b->table->inner6;
	if (inner->family == ADDR_NONE)
		*inner = p->addr;
}

static void collect(struct fwd *f, const struct fwd_account *a, const struct fwd_route *routes, size_t cnt,
		    struct builder *b)
{
	for (struct fwd_tunnel *t = a->tunnels; t != NULL; t = t->next) {
		add_interface(b, t, &FWD_READ(t->config)->config.interface4);
		add_interface(b, t, &FWD_READ(t->config)->config.interface6);
	}
	for (size_t i = 0; i < cnt; i++) {
		struct fwd_tunnel *t = fwd_tunnel_find(f, &routes[i].tunnel_id);
		if (t == NULL || t->account != a)
			continue;
		b->items[b->cnt++] = (struct candidate){
			.prefix = addr_prefix_mask(&routes[i].prefix),
			.rank = RANK_STATIC,
			.priority = routes[i].priority,
			.weight = routes[i].weight,
			.tunnel = t,
		};
	}
}

/* The next hops of one prefix: the candidates that are as good as the first. Returns the index behind the
 * last candidate of the prefix. */
static size_t add_group(struct builder *b, size_t at)
{
	const struct candidate *best = &b->items[at];
	struct fwd_group *g = &b->table->groups[b->group_cnt];
	uint32_t share = 0;

	*g = (struct fwd_group){ .local = best->rank == RANK_LOCAL, .first = b->hop_cnt };
	for (; at < b->cnt && addr_prefix_eq(&b->items[at].prefix, &best->prefix); at++) {
		const struct candidate *c = &b->items[at];
		if (c->rank != best->rank || c->priority != best->priority)
			continue;
		share += c->weight == 0 ? 1 : c->weight;
		b->table->hops[b->hop_cnt++] = (struct fwd_next_hop){ c->tunnel, share };
		g->cnt++;
	}
	struct fwd_lpm_entry e = { best->prefix, b->group_cnt++ };
	if (best->prefix.addr.family == ADDR_V4)
		b->v4[b->v4_cnt++] = e;
	else
		b->v6[b->v6_cnt++] = e;
	return at;
}

static enum err fill_table(struct builder *b)
{
	if (b->cnt != 0)
		qsort(b->items, b->cnt, sizeof(*b->items), compare_candidates);
	for (size_t i = 0; i < b->cnt;)
		i = add_group(b, i);
	enum err e = fwd_lpm_build(b->v4, b->v4_cnt, &b->table->v4);
	return e != ERR_NONE ? e : fwd_lpm_build(b->v6, b->v6_cnt, &b->table->v6);
}

/* Room for so many candidates, each of which may have a prefix of its own. */
static bool make_room(struct builder *b, size_t cnt)
{
	b->table = fwd_zalloc(sizeof(*b->table));
	b->items = calloc(cnt, sizeof(*b->items));
	b->v4 = calloc(cnt, sizeof(*b->v4));
	b->v6 = calloc(cnt, sizeof(*b->v6));
	if (b->table == NULL || b->items == NULL || b->v4 == NULL || b->v6 == NULL)
		return false;
	b->table->groups = calloc(cnt, sizeof(*b->table->groups));
	b->table->hops = calloc(cnt, sizeof(*b->table->hops));
	return b->table->groups != NULL && b->table->hops != NULL;
}

static void free_table(struct fwd_table *t)
{
	if (t == NULL)
		return;
	fwd_lpm_fini(&t->v4);
	fwd_lpm_fini(&t->v6);
	free(t->groups);
	free(t->hops);
	free(t);
}

static void release_table(struct fwd_retire *r)
{
	free_table(CONTAINER_OF(r, struct fwd_table, retire));
}

static void free_tunnel(struct fwd_retire *r)
{
	struct fwd_tunnel *t = CONTAINER_OF(r, struct fwd_tunnel, retire);
	free(atomic_load(&t->config));
	free(atomic_load(&t->senders));
	free(t);
}

/* The end of tunnels that no table names any more. */
static void retire_gone(struct fwd *f, struct fwd_account *a)
{
	while (a->gone != NULL) {
		struct fwd_tunnel *t = a->gone;
		a->gone = t->next;
		fwd_retire(f, &t->retire, free_tunnel);
	}
}

void fwd_account_unroute(struct fwd *f, struct fwd_account *a)
{
	fwd_retire(f, &FWD_READ(a->table)->retire, release_table);
	retire_gone(f, a);
}

MUST_USE enum err fwd_account_route(struct fwd *f, struct fwd_account *a, const struct fwd_route *routes,
				    size_t cnt)
{
	struct builder b = { 0 };
	enum err e = ERR_MEMORY;
	size_t room = 1;

	if (f->held && FWD_READ(a->table) != NULL) {
		a->stale = true;
		return ERR_NONE;
	}
	for (const struct fwd_tunnel *t = a->tunnels; t != NULL; t = t->next)
		room += 4;
	if (ck_add(room, cnt, &room) && room < UINT32_MAX && make_room(&b, room)) {
		collect(f, a, routes, cnt, &b);
		e = fill_table(&b);
	}
	free(b.items);
	free(b.v4);
	free(b.v6);
	if (e != ERR_NONE) {
		free_table(b.table);
		return e;
	}
	struct fwd_table *old = FWD_READ(a->table);
	FWD_PUBLISH(a->table, b.table);
	a->stale = false;
	if (old != NULL)
		fwd_retire(f, &old->retire, release_table);
	retire_gone(f, a);
	return ERR_NONE;
}

void fwd_hold(struct fwd *f)
{
	f->held = true;
}

MUST_USE enum err fwd_release(struct fwd *f)
{
	enum err e = ERR_NONE;
	struct hmap_walk w;

	f->held = false;
	for (struct hmap_node *n = hmap_walk_first(&f->accounts, &w); n != NULL; n = hmap_walk_next(&f->accounts, &w)) {
		struct fwd_account *a = CONTAINER_OF(n, struct fwd_account, node);
		if (a->stale && fwd_account_route(f, a, a->routes, a->route_cnt) != ERR_NONE)
			e = ERR_MEMORY;
	}
	return e;
}
