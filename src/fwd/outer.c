// What stands around the packets of an SA, and how long they may be.
#include <stdlib.h>

#include "esp/mtu.h"
#include "fwd/state.h"

uint16_t fwd_tunnel_path_mtu(const struct fwd_tunnel *t)
{
	uint16_t set = FWD_READ(t->config)->config.outer_mtu;
	return t->learned_mtu != 0 && t->learned_mtu < set ? t->learned_mtu : set;
}

struct fwd_outer_box *fwd_outer_make(const struct fwd_tunnel *t, const struct model_suite *suite,
				     const struct model_path *path)
{
	struct fwd_outer_box *o = calloc(1, sizeof(*o));
	if (o == NULL)
		return NULL;
	o->outer.path = *path;
	o->outer.mtu = esp_mtu(suite, fwd_tunnel_path_mtu(t),
			       path->remote.addr.family == ADDR_V6 ? ADDR_V6 : ADDR_V4, path->udp_encap);
	return o;
}

MUST_USE enum err fwd_outer_set(struct fwd *f, struct fwd_child *c, const struct model_path *path)
{
	struct fwd_outer_box *old = FWD_READ(c->outer);
	struct fwd_outer_box *o = fwd_outer_make(c->tunnel, &c->suite, path);

	if (o == NULL)
		return ERR_MEMORY;
	FWD_PUBLISH(c->outer, o);
	fwd_retire_block(f, &old->retire);
	return ERR_NONE;
}
