// The failures of a tunnel, each kind once with its first and last time and its number, in bounded memory.
// The thread that owns the history; pure but for its memory.
#pragma once

#include "model/failure.h"

#define EXPLAIN_HISTORY_MAX 16
#define EXPLAIN_TELL_US 600000000u /* a failure that goes on is told this often */

/* Slots keep their place, so that each has a record of its own in the store. */
struct explain_history {
	struct model_failure *slots[EXPLAIN_HISTORY_MAX]; /* NULL: free */
	uint64_t told_us[EXPLAIN_HISTORY_MAX];            /* when it was last told, 0: not yet */
};

/* Counts it with its like, or gives it a slot; without a free one it takes that of the one not seen for longest.
 * Returns the slot's number, -1 without memory. *ret_new: it was not there before. */
int explain_history_add(struct explain_history *h, const struct model_failure *f, bool *ret_new);
/* The cause of this kind of failure is gone: true when one was open. *ret_slot: its slot. */
bool explain_history_over(struct explain_history *h, uint8_t code, uint64_t now_us, unsigned *ret_slot);
/* A handshake has succeeded: what failed in one before (stages up to CHILD) is over. The slots that this changed. */
uint32_t explain_history_settle(struct explain_history *h, uint64_t now_us);
/* Whether the failure that was just added is news for the log: its kind was not told since the tunnel's state last changed, or
 * long ago. Counts as told then. */
bool explain_history_tell(struct explain_history *h, unsigned slot, uint64_t state_since_us);
/* Takes a failure from the store into the slot it had. */
void explain_history_restore(struct explain_history *h, unsigned slot, const struct model_failure *f);
/* Likewise what another node has written there. Ours of the same kind is the same one, seen by both; another of ours, unless it had
 * given way, moves to a slot of its own. unwritten: ours is not in the store yet. The slots that are to be written. */
uint32_t explain_history_merge(struct explain_history *h, unsigned slot, const struct model_failure *f, bool unwritten);
/* The slots with a failure, the newest first; returns how many. */
unsigned explain_history_order(const struct explain_history *h, uint8_t order[static EXPLAIN_HISTORY_MAX]);
/* The one that explains most: the last that somebody can mend, if nothing else came a minute later; NULL: none. */
const struct model_failure *explain_history_last(const struct explain_history *h);
void explain_history_free(struct explain_history *h);
