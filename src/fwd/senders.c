// Which SA of a tunnel to send on.
#include <stdlib.h>

#include "fwd/state.h"

/* Proven ones, the last proof first; behind them those without a proof, the newest first. */
static bool goes_before(const struct fwd_child *a, const struct fwd_child *b)
{
	return a->proven > b->proven;
}

MUST_USE enum err fwd_senders_order(struct fwd *f, struct fwd_tunnel *t)
{
	struct fwd_senders *old = FWD_READ(t->senders), *s = NULL;
	size_t cnt = 0;

	for (const struct fwd_child *c = t->children; c != NULL; c = c->next)
		cnt++;
	if (cnt != 0) {
		s = calloc(1, sizeof(*s) + cnt * sizeof(s->children[0]));
		if (s == NULL)
			return ERR_MEMORY;
	}
	for (struct fwd_child *c = t->children; c != NULL; c = c->next) {
		uint32_t i = s->cnt++;
		for (; i > 0 && goes_before(c, atomic_load(&s->children[i - 1])); i--)
			atomic_store(&s->children[i], atomic_load(&s->children[i - 1]));
		atomic_store(&s->children[i], c);
	}
	FWD_PUBLISH(t->senders, s);
	if (old != NULL)
		fwd_retire_block(f, &old->retire);
	return ERR_NONE;
}
