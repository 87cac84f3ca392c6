// The course of a run, step by step, and its two forms.
#pragma once

#include "check.h"

/* To show that a check can fail: one thing is broken on purpose. */
enum mutation {
	MUTATION_NONE,
	MUTATION_INCARNATION, /* two nodes have the same */
	MUTATION_ROW_LOST,    /* Child SAs are not written, and answered as if they were */
	MUTATION_ROW_HIDDEN,  /* a node never hears of some */
	MUTATION_SITE_EMPTY,  /* a site starts without what it had stored */
	MUTATION_RIGHT_KEY,   /* the site with the wrong key has the right one */
	MUTATION_SILENT,      /* a site is cut off for good */
	MUTATION_PACKETS,     /* the network loses packets in a calm time */
	MUTATION_CNT
};

void run_begin(void);
void run_step(void);
void run_for(uint64_t us);
/* Until the tunnels are up, at most so long. */
void run_up(uint64_t us);
/* What the router knows of the nodes; without: of those alone that can be asked. */
void run_route(void);
extern unsigned run_silent; /* to this process and from it nothing comes; WORLD_PROCESSES_MAX: there is none */

/* single.c: one gateway, alone */
void run_single(uint64_t seed);
/* cluster.c: nodes of one cluster */
void run_cluster(uint64_t seed, enum mutation m);
/* The checks that break with that mutation. */
enum check run_breaks(enum mutation m);
const char *run_mutation_text(enum mutation m);
