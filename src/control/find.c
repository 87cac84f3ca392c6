// What control has, by its key: accounts and tunnels by id, SAs by SPI.
#include "control/internal.h"

uint64_t control_id_hash(const struct control *c, const struct model_id *id)
{
	return siphash(&c->hash_key, bytes_of(id->b, sizeof(id->b)));
}

struct control_account *control_account_find(const struct control *c, const struct model_id *id)
{
	for (struct hmap_node *n = hmap_first(&c->accounts_by_id, control_id_hash(c, id)); n != NULL; n = hmap_next(n)) {
		struct control_account *a = CONTAINER_OF(n, struct control_account, by_id);
		if (model_id_eq(&a->m.id, id))
			return a;
	}
	return NULL;
}

struct control_account *control_account_by_number(const struct control *c, uint32_t number)
{
	uint64_t h = siphash_u64(&c->hash_key, number);
	for (struct hmap_node *n = hmap_first(&c->accounts_by_number, h); n != NULL; n = hmap_next(n)) {
		struct control_account *a = CONTAINER_OF(n, struct control_account, by_number);
		if (a->m.number == number)
			return a;
	}
	return NULL;
}

struct control_tunnel *control_tunnel_find(const struct control *c, const struct model_id *id)
{
	for (struct hmap_node *n = hmap_first(&c->tunnels, control_id_hash(c, id)); n != NULL; n = hmap_next(n)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
		if (model_id_eq(&t->id, id))
			return t;
	}
	return NULL;
}

uint64_t control_spi_hash(const struct control *c, uint64_t spi)
{
	return siphash_u64(&c->hash_key, spi);
}

struct control_sa *control_sa_find(const struct control *c, uint64_t our_spi)
{
	for (struct hmap_node *n = hmap_first(&c->sas, control_spi_hash(c, our_spi)); n != NULL; n = hmap_next(n)) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		if (sa->r.spi == our_spi)
			return sa;
	}
	return NULL;
}

uint64_t control_child_hash(const struct control *c, uint32_t spi_in)
{
	return siphash_u64(&c->hash_key, spi_in);
}

struct control_child *control_child_find(const struct control *c, uint32_t spi_in)
{
	for (struct hmap_node *n = hmap_first(&c->children, control_child_hash(c, spi_in)); n != NULL; n = hmap_next(n)) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		if (child->spi_in == spi_in)
			return child;
	}
	return NULL;
}
