// The formats of SA records: the version that stands at the head of each.
// Any thread; pure. doc/cluster.md says how an upgrade goes.
//
// A program reads all formats up to its newest. What it writes is the store's format (meta/format), which rises when every
// node reads the next one: while two releases work together, each reads what the other writes.
#pragma once

#include <stdint.h>

#define MODEL_FORMAT_OLDEST 1
#define MODEL_FORMAT_SHORT_KEYS 2 /* from here on keys are as long as their suite makes them (model_record_put_key) */
#define MODEL_FORMAT_NEWEST MODEL_FORMAT_SHORT_KEYS

#ifdef ONRAMP_CRASH_POINTS
/* ONRAMP_RECORD_FORMAT=1 makes a build for tests the release before. */
uint16_t model_format_newest(void);
#else
static inline uint16_t model_format_newest(void)
{
	return MODEL_FORMAT_NEWEST;
}
#endif
