// Packets through the tunnels, each known by its number: what becomes of it.
#pragma once

#include "fwd/lookup.h"
#include "process.h"

void traffic_begin(bool on);
/* While calm, no packet may be lost: the world loses none, and all processes live. */
void traffic_calm(bool calm);
void traffic_count(void); /* a while after a calm time: all that was sent in it has come, or is lost */
void traffic_send(struct process *p); /* what is due */
/* Packets that were sent while it was calm, and of those the ones that did not come. */
unsigned traffic_sent(void);
unsigned traffic_lost(void);

/* ---- what becomes of one ---- */

void traffic_sealed(const struct process *p, const struct fwd_child *child, uint64_t packet);
/* To be numbered by another node, or when it is settled which one does. */
void traffic_handed_over(uint64_t packet);
void traffic_came(const struct process *p, uint64_t packet);
void traffic_dropped(const struct process *p, uint64_t packet, enum model_drop why);
/* Later ones came first, or itself: no place of the peer's window is left for it. */
void traffic_overtaken(const struct process *p, uint64_t packet);

/* It goes in IP fragments, and the nodes do not agree on which of them gathers these. */
void traffic_disturbed(uint64_t packet);
