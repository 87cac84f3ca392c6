// What a worker does with ESP packets, without its queues: they are sealed and opened with the SAs that are installed, numbered where
// control says, and control is told of them. All of one process, in its turn.
#pragma once

#include "fwd/lookup.h"
#include "process.h"

/* The SA on which a gateway sends to that site's tunnel, and a site to its own; NULL: there is none. */
struct fwd_child *worker_sender(const struct process *p, unsigned site);
/* Seals packet number `packet` and sends it, or hands it over to be numbered elsewhere. */
void worker_send(struct process *p, struct fwd_child *child, uint64_t packet);
/* An ESP packet that has come. */
void worker_take(struct process *p, const struct world_datagram *d);
/* What control gives: packets that have waited for their SA, and for their numbers. */
void worker_turn(struct process *p);

/* To show that a check can fail: this node numbers all packets itself, whatever control says. */
extern const struct process *worker_lawless;
