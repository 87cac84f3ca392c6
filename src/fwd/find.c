// Accounts by number, tunnels by id: the writer's own maps.
#include "fwd/state.h"

struct fwd_account *fwd_account_find(const struct fwd *f, uint32_t number)
{
	uint64_t hash = siphash_u64(&f->hash_key, number);

	for (struct hmap_node *n = hmap_first(&f->accounts, hash); n != NULL; n = hmap_next(n)) {
		struct fwd_account *a = CONTAINER_OF(n, struct fwd_account, node);
		if (a->number == number)
			return a;
	}
	return NULL;
}

uint64_t fwd_tunnel_hash(const struct fwd *f, const struct model_id *id)
{
	return siphash(&f->hash_key, bytes_of(id->b, sizeof(id->b)));
}

struct fwd_tunnel *fwd_tunnel_find(const struct fwd *f, const struct model_id *id)
{
	for (struct hmap_node *n = hmap_first(&f->tunnels, fwd_tunnel_hash(f, id)); n != NULL; n = hmap_next(n)) {
		struct fwd_tunnel *t = CONTAINER_OF(n, struct fwd_tunnel, node);
		if (model_id_eq(&t->id, id))
			return t;
	}
	return NULL;
}
