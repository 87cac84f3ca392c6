// SAs that are gone: what the store had of them comes late, and brings none of them back.
#include "control/internal.h"

#include <stdlib.h>

#define SWEEP_US 60000000u           /* they are looked after this often */

static uint64_t hash_buried(const struct control *c, bool child, uint64_t spi)
{
	return siphash_u64(&c->hash_key, child ? ~spi : spi);
}

static struct control_buried *find_buried(const struct control *c, bool child, uint64_t spi)
{
	for (struct hmap_node *n = hmap_first(&c->buried, hash_buried(c, child, spi)); n != NULL; n = hmap_next(n)) {
		struct control_buried *b = CONTAINER_OF(n, struct control_buried, node);
		if (b->child == child && b->spi == spi)
			return b;
	}
	return NULL;
}

/* NULL: no memory. */
static struct control_buried *bury(struct control *c, bool child, uint64_t spi, uint64_t rev, uint64_t until_us)
{
	struct control_buried *b = find_buried(c, child, spi);

	if (b == NULL) {
		b = calloc(1, sizeof(*b));
		if (b == NULL) {
			log_error("no memory to remember an SA that is gone");
			return NULL;
		}
		b->child = child;
		b->spi = spi;
		hmap_add(&c->buried, &b->node, hash_buried(c, child, spi));
	}
	if (rev > b->rev)
		b->rev = rev;
	if (until_us < c->now_us + CONTROL_GRAVE_US)
		until_us = c->now_us + CONTROL_GRAVE_US;
	if (until_us > b->until_us)
		b->until_us = until_us;
	return b;
}

void control_bury(struct control *c, bool child, uint64_t spi, uint64_t rev, uint64_t until_us)
{
	(void)bury(c, child, spi, rev, until_us);
}

void control_bury_child(struct control *c, const struct control_child *child, uint64_t rev)
{
	struct control_buried *b = bury(c, true, child->spi_in, rev, child->expires_us);

	if (b != NULL)
		b->tunnel_id = child->tunnel_id;
}

const struct model_id *control_buried_tunnel(const struct control *c, uint32_t spi_in)
{
	const struct control_buried *b = find_buried(c, true, spi_in);
	return b == NULL ? NULL : &b->tunnel_id;
}

bool control_is_buried(const struct control *c, bool child, uint64_t spi, uint64_t rev)
{
	const struct control_buried *b = find_buried(c, child, spi);
	return b != NULL && rev <= b->rev;
}

static void look_at(void *arg, struct hmap_node *n)
{
	struct control *c = arg;
	struct control_buried *b = CONTAINER_OF(n, struct control_buried, node);

	if (b->until_us > c->now_us)
		return;
	hmap_remove(&c->buried, n);
	free(b);
}

void control_graves_free(struct control *c)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->buried, &w); n != NULL; n = hmap_walk_next(&c->buried, &w)) {
		hmap_remove(&c->buried, n);
		free(CONTAINER_OF(n, struct control_buried, node));
	}
	hmap_fini(&c->buried);
}

void control_graves_tick(struct control *c)
{
	(void)control_round_part(&c->graves, c->now_us, SWEEP_US, &c->buried, look_at, c);
}
