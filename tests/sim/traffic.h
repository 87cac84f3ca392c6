// Packets through the tunnels: sealed and opened with the SAs that are installed, so that every IV is a real one, and each packet is
// known by its number. What a worker does with them, without its queues.
#pragma once

#include "process.h"

void traffic_begin(bool on);
/* While calm, no packet may be lost: the world loses none, and all processes live. */
void traffic_calm(bool calm);
void traffic_count(void); /* a while after a calm time: all that was sent in it has come, or is lost */
void traffic_send(struct process *p); /* what is due */
void traffic_take(struct process *p, const struct world_datagram *d);
void traffic_returned(struct process *p); /* packets that had to wait for their SA */
/* Packets that were sent while it was calm, and of those the ones that did not come. */
unsigned traffic_sent(void);
unsigned traffic_lost(void);
