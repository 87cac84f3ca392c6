// The course of a run, step by step, and its two forms.
#pragma once

#include "check.h"
#include "mutation.h"

void run_begin(void);
void run_step(void);
void run_for(uint64_t us);
/* Until the tunnels are up, at most so long. */
void run_up(uint64_t us);
/* What the router knows of the nodes; without: of those alone that can be asked. */
void run_route(void);
extern unsigned run_silent; /* to this process and from it nothing comes; WORLD_PROCESSES_MAX: there is none */
extern unsigned run_mute;   /* likewise no ESP from it */

/* single.c: one gateway, alone */
void run_single(uint64_t seed);
/* cluster.c: nodes of one cluster */
void run_cluster(uint64_t seed, enum mutation m);
