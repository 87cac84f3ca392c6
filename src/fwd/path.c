// The MTU of the way that a tunnel's outer packets take, as routers on it say.
#include "fwd/state.h"

enum { IP4_MTU_MIN = 576, IP6_MTU_MIN = 1280, AGAIN_MS = 1000 };

/* Whoever is not on the way does not know the SPI that the peer chose. */
static bool is_of(const struct fwd_child *c, const struct fwd_too_big *t)
{
	const struct model_path *p = &FWD_READ(c->outer)->outer.path;

	if (c->spi_out != t->spi_out || !addr_eq(&p->local.addr, &t->local.addr) ||
	    !addr_eq(&p->remote.addr, &t->remote.addr))
		return false;
	if (!p->udp_encap)
		return t->local.port == 0 && t->remote.port == 0;
	return p->local.port == t->local.port && p->remote.port == t->remote.port;
}

static struct fwd_tunnel *find_tunnel(const struct fwd *f, const struct fwd_too_big *t)
{
	struct hmap_node *n = hmap_first(&f->out_spis, siphash_u64(&f->hash_key, t->spi_out));

	for (; n != NULL; n = hmap_next(n)) {
		struct fwd_child *c = CONTAINER_OF(n, struct fwd_child, out_node);
		if (is_of(c, t))
			return c->tunnel;
	}
	return NULL;
}

/* SAs for which there is no memory keep what they had: the next word comes with the next packet that is too big. */
static void renew_outers(struct fwd *f, struct fwd_tunnel *t)
{
	for (struct fwd_child *c = t->children; c != NULL; c = c->next)
		(void)!fwd_outer_set(f, c, &FWD_READ(c->outer)->outer.path);
}

/* Of what was under way when the path was lowered routers speak as well. */
static enum fwd_path_word hear_again(struct fwd_tunnel *t, uint32_t mtu, uint64_t now_ms)
{
	if (t->learned_mtu == 0 || mtu >= FWD_READ(t->config)->config.outer_mtu || now_ms - t->learned_ms < AGAIN_MS)
		return FWD_PATH_IGNORED;
	t->learned_ms = now_ms;
	return FWD_PATH_KNOWN;
}

enum fwd_path_word fwd_path_too_big(struct fwd *f, const struct fwd_too_big *t, uint64_t now_ms)
{
	struct fwd_tunnel *tunnel = find_tunnel(f, t);
	uint32_t mtu = t->mtu;

	/* RFC 8201 4: discarded. */
	if (tunnel == NULL || (t->remote.addr.family == ADDR_V6 && mtu < IP6_MTU_MIN))
		return FWD_PATH_IGNORED;
	if (mtu < IP4_MTU_MIN)
		mtu = IP4_MTU_MIN;
	if (mtu >= fwd_tunnel_path_mtu(tunnel))
		return hear_again(tunnel, mtu, now_ms);
	f->learned_cnt += tunnel->learned_mtu == 0;
	tunnel->learned_mtu = (uint16_t)mtu;
	tunnel->learned_ms = now_ms;
	renew_outers(f, tunnel);
	return FWD_PATH_LOWERED;
}

void fwd_paths_age(struct fwd *f, uint64_t now_ms)
{
	struct hmap_walk w;

	if (f->learned_cnt == 0)
		return;
	for (struct hmap_node *n = hmap_walk_first(&f->tunnels, &w); n != NULL; n = hmap_walk_next(&f->tunnels, &w)) {
		struct fwd_tunnel *t = CONTAINER_OF(n, struct fwd_tunnel, node);
		if (t->learned_mtu == 0 || now_ms - t->learned_ms < FWD_PATH_AGE_MS)
			continue;
		t->learned_mtu = 0;
		f->learned_cnt--;
		renew_outers(f, t);
	}
}
