// How many handshakes are half open from each address, and from each network around it (/24, /48): one entry in a table
// for as long as there is one.
#include "control/internal.h"

#include <stdlib.h>

struct source {
	struct hmap_node node;
	struct addr addr; /* the rest is zero for a network */
	bool network;
	unsigned cnt;
};

static struct addr network_of(const struct addr *a)
{
	struct addr n = *a;
	size_t keep = a->family == ADDR_V4 ? 3 : 6;

	memset(&n.b[keep], 0, sizeof(n.b) - keep);
	return n;
}

static uint64_t hash_source(const struct control *c, const struct addr *a, bool network)
{
	uint8_t b[17];
	struct wr w = wr_of(SPACE_OF(b));

	wr_put(&w, BYTES_OF(a->b));
	wr_u8(&w, network);
	return siphash(&c->hash_key, BYTES_OF(b));
}

static struct source *find(const struct control *c, const struct addr *a, bool network)
{
	for (struct hmap_node *n = hmap_first(&c->sources, hash_source(c, a, network)); n != NULL; n = hmap_next(n)) {
		struct source *s = CONTAINER_OF(n, struct source, node);
		if (s->network == network && addr_eq(&s->addr, a))
			return s;
	}
	return NULL;
}

static bool add(struct control *c, const struct addr *a, bool network)
{
	struct source *s = find(c, a, network);

	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return false;
		s->addr = *a;
		s->network = network;
		hmap_add(&c->sources, &s->node, hash_source(c, a, network));
	}
	s->cnt++;
	return true;
}

static void take_off(struct control *c, const struct addr *a, bool network)
{
	struct source *s = find(c, a, network);

	must(s != NULL);
	if (--s->cnt == 0) {
		hmap_remove(&c->sources, &s->node);
		free(s);
	}
}

bool control_source_add(struct control *c, const struct addr *a)
{
	const struct addr network = network_of(a);

	if (!add(c, a, false))
		return false;
	if (add(c, &network, true))
		return true;
	take_off(c, a, false);
	return false;
}

void control_source_remove(struct control *c, const struct addr *a)
{
	const struct addr network = network_of(a);

	take_off(c, a, false);
	take_off(c, &network, true);
}

bool control_source_allowed(const struct control *c, const struct addr *a)
{
	const struct addr network = network_of(a);
	const struct source *one = find(c, a, false), *all = find(c, &network, true);
	unsigned per_address = c->cfg.conf->half_open_per_address, per_network = c->cfg.conf->half_open_per_prefix;

	if (per_network < per_address)
		per_network = per_address;
	return (one == NULL || one->cnt < per_address) && (all == NULL || all->cnt < per_network);
}
