#include "explain/history.h"

#include "explain/advice.h"

#include <stdlib.h>

#define BEFORE_US 60000000u
#define CROSS_US 5000000u /* two nodes write within that time and know nothing of each other */

static int find_slot(const struct explain_history *h, const struct model_failure *f)
{
	for (int i = 0; i < EXPLAIN_HISTORY_MAX; i++)
		if (h->slots[i] != NULL && model_failure_same(h->slots[i], f))
			return i;
	return -1;
}

static int free_slot(const struct explain_history *h)
{
	int oldest = 0;

	for (int i = 0; i < EXPLAIN_HISTORY_MAX; i++) {
		if (h->slots[i] == NULL)
			return i;
		if (h->slots[i]->last_us < h->slots[oldest]->last_us)
			oldest = i;
	}
	return oldest;
}

int explain_history_add(struct explain_history *h, const struct model_failure *f, bool *ret_new)
{
	int slot = find_slot(h, f);
	struct model_failure m = *f;

	*ret_new = slot < 0;
	m.first_us = f->last_us;
	m.cnt = 1;
	m.over_us = 0;
	if (slot >= 0) {
		m.first_us = h->slots[slot]->first_us;
		m.cnt = h->slots[slot]->cnt == UINT32_MAX ? UINT32_MAX : h->slots[slot]->cnt + 1;
	} else {
		slot = free_slot(h);
		h->told_us[slot] = 0;
	}
	if (h->slots[slot] == NULL)
		h->slots[slot] = malloc(sizeof(m));
	if (h->slots[slot] == NULL)
		return -1;
	*h->slots[slot] = m;
	return slot;
}

bool explain_history_tell(struct explain_history *h, unsigned slot, uint64_t state_since_us)
{
	uint64_t now_us = h->slots[slot]->last_us, told_us = h->told_us[slot];

	if (told_us != 0 && told_us >= state_since_us && now_us < told_us + EXPLAIN_TELL_US)
		return false;
	h->told_us[slot] = now_us;
	return true;
}

bool explain_history_over(struct explain_history *h, uint8_t code, uint64_t now_us, unsigned *ret_slot)
{
	for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++) {
		if (h->slots[i] == NULL || h->slots[i]->code != code || h->slots[i]->over_us != 0)
			continue;
		h->slots[i]->over_us = now_us;
		h->told_us[i] = 0; /* when it comes back it is news */
		*ret_slot = i;
		return true;
	}
	return false;
}

uint32_t explain_history_settle(struct explain_history *h, uint64_t now_us)
{
	uint32_t changed = 0;

	for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++) {
		struct model_failure *f = h->slots[i];
		if (f == NULL || f->stage > MODEL_STAGE_CHILD || f->over_us != 0)
			continue;
		f->over_us = now_us;
		changed |= 1u << i;
	}
	return changed;
}

void explain_history_restore(struct explain_history *h, unsigned slot, const struct model_failure *f)
{
	if (slot >= EXPLAIN_HISTORY_MAX)
		return;
	if (h->slots[slot] == NULL)
		h->slots[slot] = malloc(sizeof(*f));
	if (h->slots[slot] != NULL)
		*h->slots[slot] = *f;
}

/* The newer one tells how it is; neither count has all that the other has seen. */
static void merge_same(struct model_failure *own, const struct model_failure *f)
{
	uint64_t first = own->first_us < f->first_us ? own->first_us : f->first_us;
	uint32_t cnt = own->cnt > f->cnt ? own->cnt : f->cnt;
	uint64_t over = own->last_us == f->last_us && own->over_us > f->over_us ? own->over_us : f->over_us;

	if (f->last_us >= own->last_us) {
		*own = *f;
		own->over_us = over;
	}
	own->first_us = first;
	own->cnt = cnt;
}

uint32_t explain_history_merge(struct explain_history *h, unsigned slot, const struct model_failure *f, bool unwritten)
{
	if (slot >= EXPLAIN_HISTORY_MAX || h->slots[slot] == NULL) {
		explain_history_restore(h, slot, f);
		return 0;
	}
	struct model_failure *own = h->slots[slot];
	if (model_failure_same(own, f)) {
		merge_same(own, f);
		return 0;
	}
	const struct model_failure mine = *own;
	*own = *f;
	h->told_us[slot] = 0;
	if (!unwritten && mine.last_us + CROSS_US < f->last_us)
		return 0;
	int other = find_slot(h, &mine);
	if (other < 0)
		other = free_slot(h);
	if (other == (int)slot)
		return 0;
	explain_history_restore(h, (unsigned)other, &mine);
	return 1u << other;
}

unsigned explain_history_order(const struct explain_history *h, uint8_t order[static EXPLAIN_HISTORY_MAX])
{
	unsigned cnt = 0;

	for (uint8_t i = 0; i < EXPLAIN_HISTORY_MAX; i++) {
		if (h->slots[i] == NULL)
			continue;
		unsigned at = cnt++;
		for (; at > 0 && h->slots[order[at - 1]]->last_us < h->slots[i]->last_us; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	return cnt;
}

/* What only tells what happened stands back behind what somebody can mend. */
static bool can_be_mended(const struct model_failure *f, const struct model_failure *newest)
{
	return f->over_us == 0 && explain_advice_find(f->code)->side != EXPLAIN_SIDE_NONE &&
	       f->last_us + BEFORE_US >= newest->last_us;
}

const struct model_failure *explain_history_last(const struct explain_history *h)
{
	uint8_t order[EXPLAIN_HISTORY_MAX];
	unsigned cnt = explain_history_order(h, order);

	for (unsigned i = 0; i < cnt; i++)
		if (can_be_mended(h->slots[order[i]], h->slots[order[0]]))
			return h->slots[order[i]];
	return cnt == 0 ? NULL : h->slots[order[0]];
}

void explain_history_free(struct explain_history *h)
{
	for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++)
		free(h->slots[i]);
	*h = (struct explain_history){ 0 };
}
