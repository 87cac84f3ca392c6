#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fwd/state.h"
#include "io/tun.h"

MUST_USE enum err fwd_account_put(struct fwd *f, uint32_t account_number, bool offramp_default)
{
	struct fwd_account *a = fwd_account_find(f, account_number);

	if (a != NULL) {
		atomic_store(&a->offramp_default, offramp_default);
		return ERR_NONE;
	}
	a = fwd_zalloc(sizeof(*a));
	if (a == NULL)
		return ERR_MEMORY;
	a->number = account_number;
	atomic_store(&a->offramp_default, offramp_default);
	enum err e = fwd_account_route(f, a, NULL, 0);
	if (e != ERR_NONE) {
		free(a);
		return e;
	}
	hmap_add(&f->accounts, &a->node, siphash_u64(&f->hash_key, account_number));
	return ERR_NONE;
}

MUST_USE enum err fwd_account_set_host(struct fwd *f, uint32_t account_number, bool host)
{
	struct fwd_account *a = fwd_account_find(f, account_number);

	if (a == NULL)
		return ERR_NOTFOUND;
	atomic_store(&a->host, host);
	return ERR_NONE;
}

MUST_USE enum err fwd_routes_set(struct fwd *f, uint32_t account_number, const struct fwd_route *routes,
				 size_t cnt)
{
	struct fwd_account *a = fwd_account_find(f, account_number);
	struct fwd_route *copy = NULL;

	if (a == NULL)
		return ERR_NOTFOUND;
	if (cnt != 0) {
		copy = calloc(cnt, sizeof(*copy));
		if (copy == NULL)
			return ERR_MEMORY;
		for (size_t i = 0; i < cnt; i++)
			copy[i] = routes[i];
	}
	enum err e = fwd_account_route(f, a, copy, cnt);
	if (e != ERR_NONE) {
		free(copy);
		return e;
	}
	free(a->routes);
	a->routes = copy;
	a->route_cnt = cnt;
	return ERR_NONE;
}

/* ---- off-ramps ---- */

static void close_offramp(struct fwd_retire *r)
{
	struct fwd_offramp *o = CONTAINER_OF(r, struct fwd_offramp, retire);
	for (unsigned i = 0; i < o->cnt; i++)
		close(o->fds[i]);
	free(o);
}

/* The list that workers scan: every account's off-ramp, for this one the given. */
static enum err list_offramps(struct fwd *f, struct fwd_account *changed, const struct fwd_offramp *now,
			      struct fwd_offramps **ret)
{
	struct fwd_offramps *all = calloc(1, sizeof(*all) + (f->accounts.cnt + 1) * sizeof(all->e[0]));
	struct hmap_walk w;

	if (all == NULL)
		return ERR_MEMORY;
	for (struct hmap_node *n = hmap_walk_first(&f->accounts, &w); n != NULL;
	     n = hmap_walk_next(&f->accounts, &w)) {
		struct fwd_account *a = CONTAINER_OF(n, struct fwd_account, node);
		const struct fwd_offramp *o = a == changed ? now : FWD_READ(a->offramp);
		if (o == NULL)
			continue;
		all->e[all->cnt].account = a;
		all->e[all->cnt++].offramp = o;
	}
	*ret = all;
	return ERR_NONE;
}

/* Publishes both, tells the workers, retires the former ones. The generation grows after the list is there
 * and before anything retires: a worker that still sees the old number cannot lose what it knows. */
static void publish_offramp(struct fwd *f, struct fwd_account *a, struct fwd_offramp *now,
			    struct fwd_offramps *all)
{
	struct fwd_offramp *old = FWD_READ(a->offramp);
	struct fwd_offramps *old_all = FWD_READ(f->offramps);

	FWD_PUBLISH(a->offramp, now);
	FWD_PUBLISH(f->offramps, all);
	atomic_fetch_add(&f->offramp_generation, 1);
	for (unsigned i = 0; i < f->worker_cnt; i++)
		(void)eventfd_write(f->readers[i].wake_fd, 1);
	if (old_all != NULL)
		fwd_retire_block(f, &old_all->retire);
	if (old != NULL)
		fwd_retire(f, &old->retire, close_offramp);
}

MUST_USE enum err fwd_account_offramp(struct fwd *f, uint32_t account_number, const int *fds, unsigned cnt,
				      uint16_t mtu)
{
	struct fwd_account *a = fwd_account_find(f, account_number);
	struct fwd_offramp *o = NULL;
	struct fwd_offramps *all;

	if (a == NULL)
		return ERR_NOTFOUND;
	if (cnt != 0) {
		o = calloc(1, sizeof(*o) + cnt * sizeof(o->fds[0]));
		if (o == NULL)
			return ERR_MEMORY;
		o->mtu = mtu;
		o->vnet = io_tun_has_vnet(fds[0]);
		o->cnt = cnt;
		for (unsigned i = 0; i < cnt; i++)
			o->fds[i] = fds[i];
	}
	enum err e = list_offramps(f, a, o, &all);
	if (e != ERR_NONE) {
		free(o);
		return e;
	}
	publish_offramp(f, a, o, all);
	return ERR_NONE;
}

/* ---- the end ---- */

static void free_account(struct fwd_retire *r)
{
	free(CONTAINER_OF(r, struct fwd_account, retire));
}

/* Takes the account out of the list that workers scan. */
static void hide_offramp(struct fwd *f, struct fwd_account *a)
{
	struct fwd_offramps *all;

	if (FWD_READ(a->offramp) == NULL)
		return;
	/* Only memory can fail here, and an account that is half deleted would be worse than the end of the
	 * process. */
	must(list_offramps(f, a, NULL, &all) == ERR_NONE);
	publish_offramp(f, a, NULL, all);
}

void fwd_account_drop(struct fwd *f, struct fwd_account *a)
{
	must(a->tunnels == NULL);
	hide_offramp(f, a);
	hmap_remove(&f->accounts, &a->node);
	fwd_account_unroute(f, a);
	free(a->routes);
	fwd_retire(f, &a->retire, free_account);
}

void fwd_account_delete(struct fwd *f, uint32_t account_number)
{
	struct fwd_account *a = fwd_account_find(f, account_number);
	if (a != NULL)
		fwd_account_drop(f, a);
}
