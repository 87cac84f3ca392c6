#include <stdlib.h>

#include "fwd/state.h"

/* Open addressing. Readers walk from the hash to the first NULL; a removed SA leaves a mark that matches no
 * SPI, so that nobody behind it is lost. The keys are our own SPIs: strangers cannot make clusters. */
enum { SLOTS_FIRST = 64 };

static struct fwd_child removed; /* spi_in 0, which no SA has */

static uint32_t first_slot(uint32_t spi, uint32_t mask)
{
	return (uint32_t)(spi * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
}

static struct fwd_spi_table *make_table(uint32_t slots)
{
	struct fwd_spi_table *t = calloc(1, sizeof(*t) + slots * sizeof(t->slots[0]));
	if (t != NULL)
		t->mask = slots - 1;
	return t;
}

MUST_USE enum err fwd_spi_init(struct fwd *f)
{
	struct fwd_spi_table *t = make_table(SLOTS_FIRST);
	if (t == NULL)
		return ERR_MEMORY;
	FWD_PUBLISH(f->spis, t);
	return ERR_NONE;
}

void fwd_spi_fini(struct fwd *f)
{
	free(atomic_load(&f->spis));
}

static void insert(struct fwd_spi_table *t, struct fwd_child *c)
{
	uint32_t i = first_slot(c->spi_in, t->mask);

	while (FWD_READ(t->slots[i]) != NULL)
		i = (i + 1) & t->mask;
	FWD_PUBLISH(t->slots[i], c);
	t->used++;
	t->live++;
}

/* A table with the living SAs only, at most a quarter full. */
static enum err rebuild(struct fwd *f)
{
	struct fwd_spi_table *old = FWD_READ(f->spis);
	uint32_t slots = SLOTS_FIRST;

	while (slots / 4 < old->live + 1) {
		if (slots >= 1u << 30)
			return ERR_MEMORY;
		slots *= 2;
	}
	struct fwd_spi_table *t = make_table(slots);
	if (t == NULL)
		return ERR_MEMORY;
	for (uint32_t i = 0; i <= old->mask; i++) {
		struct fwd_child *c = FWD_READ(old->slots[i]);
		if (c != NULL && c != &removed)
			insert(t, c);
	}
	FWD_PUBLISH(f->spis, t);
	fwd_retire_block(f, &old->retire);
	return ERR_NONE;
}

MUST_USE enum err fwd_spi_add(struct fwd *f, struct fwd_child *c)
{
	struct fwd_spi_table *t = FWD_READ(f->spis);

	if (t->used + 1 > t->mask / 2) {
		enum err e = rebuild(f);
		if (e != ERR_NONE)
			return e;
	}
	insert(FWD_READ(f->spis), c);
	return ERR_NONE;
}

void fwd_spi_remove(struct fwd *f, const struct fwd_child *c)
{
	struct fwd_spi_table *t = FWD_READ(f->spis);
	uint32_t i = first_slot(c->spi_in, t->mask);

	while (FWD_READ(t->slots[i]) != c) {
		must(FWD_READ(t->slots[i]) != NULL);
		i = (i + 1) & t->mask;
	}
	FWD_PUBLISH(t->slots[i], &removed);
	t->live--;
}

static inline struct fwd_child *find_from(const struct fwd_spi_table *t, uint32_t i, uint32_t spi_in)
{
	/* Half of the slots at least are NULL, so this ends. */
	for (;;) {
		struct fwd_child *c = FWD_READ(t->slots[i]);
		if (c == NULL || (c->spi_in == spi_in && spi_in != 0))
			return c;
		i = (i + 1) & t->mask;
	}
}

struct fwd_child *fwd_spi_find(const struct fwd *f, uint32_t spi_in)
{
	const struct fwd_spi_table *t = FWD_READ(f->spis);
	return find_from(t, first_slot(spi_in, t->mask), spi_in);
}

/* With many SAs each step of a search waits for memory: the searches of a burst take each step together. */
void fwd_spi_find_burst(const struct fwd *f, const uint32_t *spis, size_t cnt, struct fwd_child **ret)
{
	const struct fwd_spi_table *t = FWD_READ(f->spis);

	for (size_t i = 0; i < cnt; i++)
		ret[i] = FWD_READ(t->slots[first_slot(spis[i], t->mask)]);
	for (size_t i = 0; i < cnt; i++)
		ret[i] = find_from(t, first_slot(spis[i], t->mask), spis[i]);
}
