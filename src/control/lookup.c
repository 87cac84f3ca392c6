// SAs that are not known here and may be of another node: one look-up each in the store, bounded in number and rate.
#include "control/internal.h"

#include <stdlib.h>

#define READS_MAX 256     /* under way */
#define READS_A_SECOND 500
#define READS_BURST 100
#define WAITING_MAX 8     /* messages for one IKE SA, or pieces of one */

uint64_t control_read_hash(const struct control *c, uint64_t tag)
{
	return siphash_u64(&c->hash_key, tag);
}

static struct control_read *find_spi(const struct control *c, bool child, uint64_t spi)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->reads, &w); n != NULL; n = hmap_walk_next(&c->reads, &w)) {
		struct control_read *r = CONTAINER_OF(n, struct control_read, by_tag);
		if (r->child == child && r->spi == spi)
			return r;
	}
	return NULL;
}

bool control_read_allowed(struct control *c)
{
	return control_budget_take(&c->read_budget, c->now_us, READS_A_SECOND, READS_BURST);
}

/* The look-up of that SA that is under way, or a new one. ERR_FULL. */
static enum err look_up(struct control *c, bool child, uint64_t spi, struct control_read **ret)
{
	struct control_read *r = find_spi(c, child, spi);

	*ret = r;
	if (r != NULL)
		return ERR_NONE;
	if (c->reads.cnt >= READS_MAX || !control_read_allowed(c))
		return ERR_FULL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return ERR_MEMORY;
	r->child = child;
	r->spi = spi;
	r->tag = ++c->next_tag;
	struct model_key key = child ? model_key_child((uint32_t)spi) : model_key_ike(spi);
	enum err e = store_thread_read(c->store, model_key_bytes(&key), r->tag);
	if (e != ERR_NONE) {
		free(r);
		return e;
	}
	hmap_add(&c->reads, &r->by_tag, control_read_hash(c, r->tag));
	*ret = r;
	return ERR_NONE;
}

MUST_USE enum err control_read_child(struct control *c, uint32_t spi_in)
{
	struct control_read *r;
	return look_up(c, true, spi_in, &r);
}

MUST_USE enum err control_read_ike(struct control *c, uint64_t our_spi, const struct fwd_punt *waiting, bool forwarded)
{
	struct control_read *r;

	enum err e = look_up(c, false, our_spi, &r);
	if (e != ERR_NONE)
		return e;
	struct control_datagram *d = r->waiting_cnt == WAITING_MAX ? NULL : malloc(sizeof(*d) + waiting->len);
	if (d == NULL)
		return ERR_FULL;
	*d = (struct control_datagram){ .local = waiting->local, .remote = waiting->remote, .forwarded = forwarded,
					  .len = waiting->len };
	memcpy(d->msg, waiting->msg, waiting->len);
	struct control_datagram **last = &r->waiting;
	while (*last != NULL)
		last = &(*last)->next;
	*last = d;
	r->waiting_cnt++;
	return ERR_NONE;
}
