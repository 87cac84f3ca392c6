// The two clocks. Only threads that own a loop ask; pure code is given times in events.
// Any thread.
#pragma once

#include <stdint.h>

/* Since some fixed point, never back (CLOCK_MONOTONIC). */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);

/* Since 1970, as the wall clock has it, in microseconds. For people and records only. */
uint64_t clock_unix_us(void);

#define CLOCK_TEXT_MAX 32
/* "2026-11-23T15:00:00.123456Z" from such a time; returns text. */
const char *clock_text(uint64_t unix_us, char text[static CLOCK_TEXT_MAX]);
