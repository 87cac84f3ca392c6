// The two clocks. Only threads that own a loop ask; pure code is given times in events.
// Any thread.
#pragma once

#include <stdint.h>

/* Since some fixed point, never back (CLOCK_MONOTONIC). */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);

/* Since 1970, as the wall clock has it, in microseconds. For people and records only. */
uint64_t clock_unix_us(void);
