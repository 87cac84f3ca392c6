// A budget that fills with time: so many a second, and no more than so many at once.
// The control thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct control_budget {
	uint64_t left;
	uint64_t fill_us; /* up to when it was filled */
};

/* Takes one. False: nothing is left. */
static inline bool control_budget_take(struct control_budget *b, uint64_t now_us, uint64_t a_second, uint64_t burst)
{
	uint64_t more = (now_us - b->fill_us) * a_second / 1000000;

	if (more != 0) {
		b->left = b->left + more < burst ? b->left + more : burst;
		b->fill_us = now_us;
	}
	if (b->left == 0)
		return false;
	b->left--;
	return true;
}
