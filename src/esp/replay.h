// The replay window of an inbound SA, right under several workers without a lock.
// Workers. RFC 4303 3.4.3, appendix A; RFC 6479 (a window of blocks that needs no shifting).
//
// A ring of words, each a block number and 16 bits. A bit is set by compare-and-swap while its word carries its
// block, and the block number of a word only grows: so no number is taken twice, whatever the interleaving.
//
// Numbers have 64 bits here. A packet carries the lower 32; with extended numbers the upper ones are concluded from the
// highest number taken, and the integrity check covers them. So the receiver follows a gap of up to 2^32 packets less the
// window. It does not search farther (RFC 4303 A3 leaves that open): an outage of that length ends the SA by the
// liveness check long before.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* No number reaches this: at 7 billion packets a second it takes a week, the longest lifetime that an SA may have. */
#define ESP_SEQ_END (UINT64_C(1) << 52)

struct esp_replay {
	uint32_t window; /* packets; 0: no checks */
	uint32_t mask;
	_Atomic uint64_t top; /* the highest number taken */
	_Atomic uint64_t *words;
};

/* top: the highest number that was taken before, 0 for a new SA. ERR_MEMORY. */
MUST_USE enum err esp_replay_init(struct esp_replay *r, uint32_t window, uint64_t top);
void esp_replay_fini(struct esp_replay *r);

/* The extended number of a packet that carries this lower half (RFC 4303 A2.2). Needs a window. */
uint64_t esp_replay_extend(const struct esp_replay *r, uint32_t seq_lo);

/* False for a number that is surely a repetition or too old: asked before the integrity check. */
bool esp_replay_check(const struct esp_replay *r, uint64_t seq);

/* Takes the number after the integrity check; false when another packet took it, or it is too old. */
bool esp_replay_take(struct esp_replay *r, uint64_t seq);
