// A bounded ring between one writing and one reading thread, of elements of one size.
// ring_push: the producer thread only. ring_pop: the consumer thread only.
//
// The producer owns head, the consumer owns tail; each publishes with release and reads the
// other's with acquire, so an element is complete before it is seen and copied before its slot
// is used again.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ring {
	_Alignas(64) _Atomic uint32_t head; /* written by the producer */
	_Alignas(64) _Atomic uint32_t tail; /* written by the consumer */
	_Alignas(64) uint32_t mask;
	uint32_t elem_len;
	uint8_t *slots;
};

/* cnt is rounded up to a power of two. ERR_MEMORY. */
MUST_USE enum err ring_init(struct ring *r, uint32_t cnt, uint32_t elem_len);
void ring_fini(struct ring *r); /* wipes the slots; r may be zeroed */

/* Everything that was given up to now, for the producer; and whether the consumer is done with it. */
uint32_t ring_given(const struct ring *r);
bool ring_taken(const struct ring *r, uint32_t given);

/* Copies one element in; false when full. */
MUST_USE bool ring_push(struct ring *r, const void *elem);

/* Room for the producer to fill in place, NULL when full; ring_give makes it seen. */
void *ring_slot(struct ring *r);
void ring_give(struct ring *r);

/* The oldest element, borrowed until ring_done, NULL when empty. */
const void *ring_peek(struct ring *r);
void ring_done(struct ring *r);

/* Copies one element out; false when empty. */
MUST_USE bool ring_pop(struct ring *r, void *elem);
