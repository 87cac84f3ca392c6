#include "esp/replay.h"

#include <stdlib.h>

enum { BLOCK_BITS = 16 };

MUST_USE enum err esp_replay_init(struct esp_replay *r, uint32_t window, uint64_t top)
{
	uint32_t cnt = 1;

	/* A window touches at most one block more than it fills. */
	while (cnt < window / BLOCK_BITS + 2)
		cnt *= 2;
	_Atomic uint64_t *words = NULL;
	if (window != 0 && (words = calloc(cnt, sizeof(*words))) == NULL)
		return ERR_MEMORY;
	*r = (struct esp_replay){ .window = window, .mask = cnt - 1, .words = words };
	atomic_init(&r->top, top);
	return ERR_NONE;
}

void esp_replay_fini(struct esp_replay *r)
{
	free(r->words);
	r->words = NULL;
}

/* With the names of RFC 4303 A2.2: T is the top, Th and Tl its halves, W the window. */
uint64_t esp_replay_extend(const struct esp_replay *r, uint32_t seq_lo)
{
	uint64_t top = atomic_load_explicit(&r->top, memory_order_relaxed);
	uint32_t th = (uint32_t)(top >> 32), tl = (uint32_t)top;
	uint32_t bottom = tl - (r->window - 1); /* modulo 2^32 */

	if (tl >= r->window - 1) /* case A: the window lies within one subspace */
		th += seq_lo < bottom;
	else if (th != 0) /* case B: it spans two of them; before number 0 there is none */
		th -= seq_lo >= bottom;
	return (uint64_t)th << 32 | seq_lo;
}

/* RFC 4303 3.3.3: the first packet has number 1, so 0 is never right. */
static bool is_in_reach(const struct esp_replay *r, uint64_t seq)
{
	uint64_t top = atomic_load_explicit(&r->top, memory_order_relaxed);
	return seq != 0 && seq < ESP_SEQ_END && (seq > top || top - seq < r->window);
}

bool esp_replay_check(const struct esp_replay *r, uint64_t seq)
{
	if (r->window == 0)
		return true;
	if (!is_in_reach(r, seq))
		return false;
	uint64_t block = seq / BLOCK_BITS;
	uint64_t word = atomic_load_explicit(&r->words[block & r->mask], memory_order_relaxed);
	if (word >> BLOCK_BITS != block)
		return word >> BLOCK_BITS < block;
	return (word & UINT64_C(1) << seq % BLOCK_BITS) == 0;
}

bool esp_replay_take(struct esp_replay *r, uint64_t seq)
{
	if (r->window == 0)
		return true;
	if (!is_in_reach(r, seq))
		return false;
	uint64_t block = seq / BLOCK_BITS, bit = UINT64_C(1) << seq % BLOCK_BITS, new;
	_Atomic uint64_t *slot = &r->words[block & r->mask];
	uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
	do {
		uint64_t there = word >> BLOCK_BITS;
		if (there > block || (there == block && (word & bit) != 0))
			return false;
		new = there == block ? word | bit : block << BLOCK_BITS | bit;
	} while (!atomic_compare_exchange_weak_explicit(slot, &word, new, memory_order_relaxed,
							memory_order_relaxed));

	uint64_t top = atomic_load_explicit(&r->top, memory_order_relaxed);
	while (top < seq && !atomic_compare_exchange_weak_explicit(&r->top, &top, seq, memory_order_relaxed,
								   memory_order_relaxed))
		;
	return true;
}
