// When a tunnel that we start is started, and started again: pure, one small machine for each tunnel.
// Any thread; time and random bytes come in. Used by control/site.c.
//
//   WAITING --time has come--> TRYING --IKE SA stands--> UP
//      ^                         |                        |
//      +------ it failed --------+                        |
//      +------ the last IKE SA ended ---------------------+
//
// Each failure in a row waits twice as long as the one before, 1 s to 60 s, with jitter; a tunnel that was up for 60 s begins
// with 1 s again. After a clean Delete of the peer the first attempt waits for nothing.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define START_DELAY_MIN_MS 1000u
#define START_DELAY_MAX_MS 60000u
#define START_STEADY_US 60000000u

enum start_state { START_WAITING, START_TRYING, START_UP };

struct start_machine {
	uint8_t state;     /* enum start_state */
	uint64_t at_us;    /* WAITING: when to start */
	uint64_t up_us;    /* UP: since when */
	uint32_t delay_ms; /* of the next wait; 0: nothing went wrong lately */
	uint32_t tries;    /* attempts since it was up */
};

void start_machine_init(struct start_machine *m, uint64_t now_us);
/* WAITING: an attempt was begun. */
void start_machine_begin(struct start_machine *m);
/* Any state: an IKE SA stands (also one of before a restart). */
void start_machine_up(struct start_machine *m, uint64_t now_us);
/* TRYING: it came to nothing. UP: the last IKE SA is gone; clean: the peer deleted it. In WAITING nothing happens. */
void start_machine_end(struct start_machine *m, uint64_t now_us, bool clean, uint32_t random);
