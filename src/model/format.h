// The formats of SA records: the version that stands at the head of each.
// Any thread; pure. Reference: cluster.md 4.0; doc/cluster.md, "Upgrades".
//
// A program reads all formats up to its newest. What it writes is the store's format (meta/format), which rises when every
// node reads the next one: while two releases work together, each reads what the other writes.
#pragma once

#include <stdint.h>

#define MODEL_FORMAT_OLDEST 1

#ifdef ONRAMP_CRASH_POINTS
/* Builds for tests have one format more, which differs in its number alone, so that the way from one to the next can be
 * gone; ONRAMP_RECORD_FORMAT makes them the release before. */
uint16_t model_format_newest(void);
#else
static inline uint16_t model_format_newest(void)
{
	return 1;
}
#endif
