// What the keys of Child SAs are used for, over all nodes: numbers, where the peer checks for replays (RFC 4303 3.4.3), and packets, where
// their tunnel limits them (RFC 4301 4.4.2.1).
#pragma once

#include "fwd/lookup.h"
#include "process.h"

void keys_begin(void);
/* A node has sent that packet, with this number. */
void keys_sealed(const struct process *p, const struct fwd_child *child, uint64_t number, uint64_t packet);
void keys_opened(const struct process *p, const struct fwd_child *child);
/* A change of what the store says of an SA. */
void keys_stored(const struct world_event *e);
/* After quiet: what is installed is not used up. */
void keys_check(const struct process *p);
