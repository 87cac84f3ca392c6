// The replay window of an inbound SA, right under several workers without a lock.
// Workers. RFC 4303 3.4.3, RFC 6479 (a window of blocks that needs no shifting).
//
// A ring of words, each a block number and 32 bits. A bit is set by compare-and-swap while its word carries its
// block, and the block number of a word only grows: so no number is taken twice, whatever the interleaving.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct esp_replay {
	uint32_t window; /* packets; 0: no checks */
	uint32_t mask;
	_Atomic uint32_t top; /* the highest number taken */
	_Atomic uint64_t *words;
};

MUST_USE enum err esp_replay_init(struct esp_replay *r, uint32_t window); /* ERR_MEMORY */
void esp_replay_fini(struct esp_replay *r);

/* False for a number that is surely a repetition or too old: asked before the integrity check. */
bool esp_replay_check(const struct esp_replay *r, uint32_t seq);

/* Takes the number after the integrity check; false when another packet took it, or it is too old. */
bool esp_replay_take(struct esp_replay *r, uint32_t seq);
