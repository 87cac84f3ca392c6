#include <stdlib.h>

#include "fwd/state.h"

static enum err reroute(struct fwd *f, struct fwd_account *a)
{
	return fwd_account_route(f, a, a->routes, a->route_cnt);
}

/* ---- adding and changing ---- */

static enum err add_tunnel(struct fwd *f, struct fwd_account *a, struct fwd_config_box *box)
{
	struct fwd_tunnel *t = fwd_zalloc(sizeof(*t));
	if (t == NULL)
		return ERR_MEMORY;
	t->id = box->config.tunnel_id;
	t->account = a;
	FWD_PUBLISH(t->config, box);
	hmap_add(&f->tunnels, &t->node, fwd_tunnel_hash(f, &t->id));
	t->next = a->tunnels;
	a->tunnels = t;
	enum err e = reroute(f, a);
	if (e != ERR_NONE) {
		hmap_remove(&f->tunnels, &t->node);
		a->tunnels = t->next;
		free(t);
	}
	return e;
}

static enum err change_tunnel(struct fwd *f, struct fwd_tunnel *t, struct fwd_config_box *box)
{
	struct fwd_config_box *old = FWD_READ(t->config);

	FWD_PUBLISH(t->config, box);
	enum err e = reroute(f, t->account);
	for (struct fwd_child *c = t->children; c != NULL && e == ERR_NONE; c = c->next)
		e = fwd_outer_set(f, c, &FWD_READ(c->outer)->outer.path);
	if (e != ERR_NONE) {
		/* A worker may have seen the new one: it is not this thread's to free at once. */
		FWD_PUBLISH(t->config, old);
		fwd_retire_block(f, &box->retire);
		return e;
	}
	fwd_retire_block(f, &old->retire);
	return ERR_NONE;
}

MUST_USE enum err fwd_tunnel_put(struct fwd *f, const struct fwd_tunnel_config *c)
{
	struct fwd_account *a = fwd_account_find(f, c->account_number);
	struct fwd_tunnel *t = fwd_tunnel_find(f, &c->tunnel_id);

	if (a == NULL)
		return ERR_NOTFOUND;
	struct fwd_config_box *box = calloc(1, sizeof(*box));
	if (box == NULL)
		return ERR_MEMORY;
	box->config = *c;
	if (t != NULL && t->account == a)
		return change_tunnel(f, t, box);
	if (t != NULL)
		fwd_tunnel_delete(f, &c->tunnel_id);
	enum err e = add_tunnel(f, a, box);
	if (e != ERR_NONE)
		free(box);
	return e;
}

/* ---- removing ---- */

void fwd_tunnel_delete(struct fwd *f, const struct model_id *tunnel_id)
{
	struct fwd_tunnel *t = fwd_tunnel_find(f, tunnel_id);

	if (t == NULL)
		return;
	while (t->children != NULL)
		fwd_child_drop(f, t->children);
	hmap_remove(&f->tunnels, &t->node);
	struct fwd_tunnel **at = &t->account->tunnels;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	f->learned_cnt -= t->learned_mtu != 0;
	t->next = t->account->gone;
	t->account->gone = t;
	/* A table that still names the tunnel would let packets of the account reach freed memory: the new one retires it. */
	must(reroute(f, t->account) == ERR_NONE);
}

/* ---- what is asked of it ---- */

uint32_t fwd_tunnel_sends_on(const struct fwd *f, const struct model_id *tunnel, struct bytes packet)
{
	const struct fwd_tunnel *t = fwd_tunnel_find(f, tunnel);
	enum model_drop why;
	struct wire_ip ip;

	if (t == NULL || wire_ip_parse(packet, &ip) != ERR_NONE)
		return 0;
	const struct fwd_child *c = fwd_tunnel_sender(t, &ip, &why);
	return c == NULL ? 0 : c->spi_in;
}

MUST_USE enum err fwd_tunnel_stats(const struct fwd *f, const struct model_id *tunnel_id,
				   struct fwd_tunnel_stats *ret)
{
	struct fwd_tunnel *t = fwd_tunnel_find(f, tunnel_id);

	if (t == NULL)
		return ERR_NOTFOUND;
	struct fwd_senders *s = FWD_READ(t->senders);
	struct fwd_tunnel_stats v = {
		.path_mtu = fwd_tunnel_path_mtu(t),
		.in_packets = atomic_load(&t->in_packets),
		.in_bytes = atomic_load(&t->in_bytes),
		.out_packets = atomic_load(&t->out_packets),
		.out_bytes = atomic_load(&t->out_bytes),
		.last_in_us = atomic_load(&t->last_in_us),
		.switches = atomic_load(&t->switches),
	};
	for (const struct fwd_child *c = t->children; c != NULL; c = c->next) {
		v.in_now += atomic_load(&c->in_packets);
		v.out_now += atomic_load(&c->out_packets);
	}
	for (uint32_t i = 0; s != NULL && i < s->cnt && !v.up; i++) {
		const struct fwd_child *c = FWD_READ(s->children[i]);
		if (c == NULL)
			continue;
		v.up = true;
		v.effective_mtu = FWD_READ(c->outer)->outer.mtu;
	}
	*ret = v;
	return ERR_NONE;
}
