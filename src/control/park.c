// ESP packets of SAs that are not known here: another node has made the SA a moment ago, and the store tells of it any time now.
// They wait a little, the store is asked once, and then they go to their worker as if they had just come. What the check byte
// of the SPI lets through is one in 256 of junk: everything is bounded.
#include "control/internal.h"

#include <stdlib.h>

#define LOTS_MAX 1024            /* SPIs, those that the store does not have among them */
#define LOT_MAX 32               /* packets of one */
#define STRAYS_MAX 4096          /* of all */
#define WAIT_US UINT64_C(300000)
#define GONE_US UINT64_C(2000000)

static uint64_t hash_spi(const struct control *c, uint32_t spi)
{
	return siphash_u64(&c->hash_key, spi);
}

static struct control_lot *find_lot(const struct control *c, uint32_t spi)
{
	for (struct hmap_node *n = hmap_first(&c->lots, hash_spi(c, spi)); n != NULL; n = hmap_next(n)) {
		struct control_lot *lot = CONTAINER_OF(n, struct control_lot, by_spi);
		if (lot->spi == spi)
			return lot;
	}
	return NULL;
}

/* NULL: there are too many, or no memory. */
static struct control_lot *add_lot(struct control *c, uint32_t spi)
{
	struct control_lot *lot = c->lots.cnt >= LOTS_MAX ? NULL : calloc(1, sizeof(*lot));

	if (lot == NULL)
		return NULL;
	lot->spi = spi;
	if (heap_set(&c->lot_timers, &lot->timer, c->now_us + WAIT_US) != ERR_NONE) {
		free(lot);
		return NULL;
	}
	hmap_add(&c->lots, &lot->by_spi, hash_spi(c, spi));
	return lot;
}

static struct control_stray *take_first(struct control *c, struct control_lot *lot)
{
	struct control_stray *s = lot->first;

	if (s == NULL)
		return NULL;
	lot->first = s->next;
	lot->cnt--;
	c->stray_cnt--;
	return s;
}

static void drop_all(struct control *c, struct control_lot *lot, enum model_drop why)
{
	for (struct control_stray *s; (s = take_first(c, lot)) != NULL; free(s))
		control_drop(c, why);
}

static void remove_lot(struct control *c, struct control_lot *lot)
{
	hmap_remove(&c->lots, &lot->by_spi);
	heap_remove(&c->lot_timers, &lot->timer);
	free(lot);
}

/* False: no memory. */
static bool keep(struct control *c, struct control_lot *lot, const struct fwd_stray *from)
{
	struct control_stray **last = &lot->first;
	struct control_stray *s = malloc(sizeof(*s) + from->len);

	if (s == NULL)
		return false;
	*s = (struct control_stray){ .remote = from->remote, .tos = from->tos, .worker = from->worker, .native = from->native,
				     .len = from->len };
	memcpy(s->b, from->b, from->len);
	while (*last != NULL)
		last = &(*last)->next;
	*last = s;
	lot->cnt++;
	c->stray_cnt++;
	return true;
}

/* To its worker; false: its ring is full. */
static bool give_back(struct control *c, uint32_t spi, const struct control_stray *s)
{
	struct ring *ring = &c->cfg.rings[s->worker].returns;
	struct fwd_stray *slot = ring_slot(ring);

	if (slot == NULL)
		return false;
	slot->remote = s->remote;
	slot->spi = spi;
	slot->tos = s->tos;
	slot->worker = s->worker;
	slot->native = s->native;
	slot->len = s->len;
	memcpy(slot->b, s->b, s->len);
	ring_give(ring);
	fwd_wake(c->fwd, s->worker);
	return true;
}

void control_park_packet(struct control *c, const struct fwd_stray *from)
{
	struct control_lot *lot = find_lot(c, from->spi);
	bool is_new = lot == NULL;

	if (lot != NULL && lot->gone) {
		control_drop(c, MODEL_DROP_esp_unknown_spi);
		return;
	}
	if (is_new)
		lot = add_lot(c, from->spi);
	if (lot == NULL || lot->cnt >= LOT_MAX || c->stray_cnt >= STRAYS_MAX || !keep(c, lot, from)) {
		control_drop(c, MODEL_DROP_esp_park_full);
		return;
	}
	/* It was installed between the worker's look and ours; else, where the store may not be asked just now, its watch may
	 * still tell. */
	if (control_child_find(c, from->spi) != NULL)
		control_park_ready(c, from->spi, true);
	else if (is_new)
		(void)!control_read_child(c, from->spi);
}

void control_park_ready(struct control *c, uint32_t spi_in, bool found)
{
	struct control_lot *lot = c->lots.cnt == 0 ? NULL : find_lot(c, spi_in); /* nothing waits, as nearly always */

	if (lot == NULL)
		return;
	if (!found) {
		drop_all(c, lot, MODEL_DROP_esp_unknown_spi);
		lot->gone = true;
		if (heap_set(&c->lot_timers, &lot->timer, c->now_us + GONE_US) != ERR_NONE)
			remove_lot(c, lot);
		return;
	}
	for (struct control_stray *s; (s = take_first(c, lot)) != NULL; free(s))
		if (!give_back(c, spi_in, s))
			control_drop(c, MODEL_DROP_esp_park_full);
	remove_lot(c, lot);
}

void control_park_timers(struct control *c)
{
	struct heap_node *n;

	while ((n = heap_first(&c->lot_timers)) != NULL && n->at <= c->now_us) {
		struct control_lot *lot = CONTAINER_OF(n, struct control_lot, timer);
		drop_all(c, lot, MODEL_DROP_esp_park_expired);
		remove_lot(c, lot);
	}
}

uint64_t control_park_next_us(const struct control *c)
{
	const struct heap_node *n = heap_first(&c->lot_timers);
	return n != NULL ? n->at : UINT64_MAX;
}

void control_park_free(struct control *c)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->lots, &w); n != NULL; n = hmap_walk_next(&c->lots, &w)) {
		struct control_lot *lot = CONTAINER_OF(n, struct control_lot, by_spi);
		for (struct control_stray *s; (s = take_first(c, lot)) != NULL;)
			free(s);
		remove_lot(c, lot);
	}
	hmap_fini(&c->lots);
	heap_fini(&c->lot_timers);
}
