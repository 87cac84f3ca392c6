#include "control/round.h"

/* Up to the end of a chain: what is behind it may change before the walk goes on. */
bool control_round_walk(const struct hmap *m, size_t *bucket, void (*visit)(void *arg, struct hmap_node *n), void *arg)
{
	struct hmap_walk w = { .bucket = *bucket };
	unsigned cnt = 0;

	for (struct hmap_node *n = hmap_walk_next(m, &w); n != NULL; n = hmap_walk_next(m, &w)) {
		bool chain_ends = w.next == NULL;
		visit(arg, n);
		if (++cnt >= CONTROL_PART && chain_ends && w.bucket <= m->mask) {
			*bucket = w.bucket;
			return true;
		}
	}
	return false;
}

/* Of what is left of the round's time, the share of what was walked of the rest of the table. */
static uint64_t next_part(const struct control_round *r, uint64_t now_us, size_t walked, size_t rest)
{
	uint64_t from = r->next_us != 0 ? r->next_us : now_us, left = r->end_us > from ? r->end_us - from : 0;
	uint64_t at = from + (uint64_t)((double)left * (double)walked / (double)rest), least = now_us + CONTROL_PART_US;

	return at > least ? at : least;
}

bool control_round_part(struct control_round *r, uint64_t now_us, uint64_t period_us, const struct hmap *m,
			void (*visit)(void *arg, struct hmap_node *n), void *arg)
{
	size_t first = r->bucket, all = m->mask + 1;

	if (now_us < r->next_us)
		return false;
	if (first == 0) /* who comes late by less than a period makes up for it */
		r->end_us = (r->end_us != 0 && now_us - r->end_us < period_us ? r->end_us : now_us) + period_us;
	bool more = control_round_walk(m, &r->bucket, visit, arg);
	if (!more)
		r->bucket = 0;
	r->next_us = next_part(r, now_us, (more ? r->bucket : all) - first, all - first);
	return !more;
}
