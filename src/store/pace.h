// How often transactions are made durable. Pure; of the store thread.
//
// A durable write costs about as much for one transaction as for many. In a rush there is one each PACE_US, with all that
// has come meanwhile; nobody who comes alone waits.
#pragma once

#include <stdint.h>

#define STORE_PACE_US 20000 /* between two durable writes, in a rush */
#define STORE_PACE_CALM 8   /* durable writes in a row before it is one */

struct store_pace {
	uint64_t used_us; /* up to when the time is used */
};

/* For how long the next write has to wait. */
static inline uint64_t store_pace_left_us(const struct store_pace *p, uint64_t now_us)
{
	uint64_t calm_us = now_us + (STORE_PACE_CALM - 1) * (uint64_t)STORE_PACE_US;
	return p->used_us > calm_us ? p->used_us - calm_us : 0;
}

/* There was a write. */
static inline void store_pace_use(struct store_pace *p, uint64_t now_us)
{
	p->used_us = (p->used_us > now_us ? p->used_us : now_us) + STORE_PACE_US;
}
