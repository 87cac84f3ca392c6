// What a look-up in the store has said, and what waited for it.
#include "control/internal.h"

#include <stdlib.h>

static struct control_datagram *take_waiting(struct control_read *r)
{
	struct control_datagram *d = r->waiting;

	if (d != NULL)
		r->waiting = d->next;
	return d;
}

static void go_on(struct control *c, struct control_read *r)
{
	static struct fwd_punt p; /* the control thread's own */

	for (struct control_datagram *d; (d = take_waiting(r)) != NULL; free(d)) {
		p = (struct fwd_punt){ .local = d->local, .remote = d->remote, .len = d->len };
		memcpy(p.msg, d->msg, d->len);
		control_datagram_looked_up(c, &p, d->forwarded);
	}
}

static void free_read(struct control_read *r)
{
	for (struct control_datagram *d; (d = take_waiting(r)) != NULL;)
		free(d);
	free(r);
}

bool control_read_done(struct control *c, const struct store_done *done)
{
	struct hmap_node *n = hmap_first(&c->reads, control_read_hash(c, done->tag));

	while (n != NULL && CONTAINER_OF(n, struct control_read, by_tag)->tag != done->tag)
		n = hmap_next(n);
	if (n == NULL)
		return false;
	struct control_read *r = CONTAINER_OF(n, struct control_read, by_tag);
	hmap_remove(&c->reads, n);
	bool larval = r->child && c->larval_spi == (uint32_t)r->spi; /* it is on its way: the row came right before */
	bool found = r->child && control_child_find(c, (uint32_t)r->spi) != NULL;
	/* A store that is away does not say that there is none: the watch may still tell of it. */
	if (found || (r->child && !larval && done->result.err == ERR_NONE))
		control_park_ready(c, (uint32_t)r->spi, found);
	else if (!r->child && done->result.err == ERR_NONE)
		go_on(c, r);
	free_read(r);
	return true;
}

void control_reads_free(struct control *c)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->reads, &w); n != NULL; n = hmap_walk_next(&c->reads, &w)) {
		hmap_remove(&c->reads, n);
		free_read(CONTAINER_OF(n, struct control_read, by_tag));
	}
	hmap_fini(&c->reads);
}
