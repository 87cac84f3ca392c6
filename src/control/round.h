// Work on every entry of a table again and again, some of them at a time: a hundred thousand in one turn of the loop would hold up all
// that waits. A round over the whole table takes its period, or longer where there are so many that the bounds below do not allow it.
// The control thread.
//
// Between two parts entries come and go. One that is there all the while is looked at in each round: not later after the last time than
// a round takes, or two of them when the table has grown.
#pragma once

#include "base/hmap.h"

#include <stdbool.h>

#define CONTROL_PART 512         /* entries of one part, and what hashes to the same place as the last */
#define CONTROL_PART_US 4000u    /* between two parts */

struct control_round {
	size_t bucket;               /* that comes next */
	uint64_t next_us;            /* when the next part is due; 0: at once */
	uint64_t end_us;             /* of the round */
};

/* Does the next part if it is due; visit may remove the entry that it is given. True: it was the last one of a round. */
bool control_round_part(struct control_round *r, uint64_t now_us, uint64_t period_us, const struct hmap *m,
			void (*visit)(void *arg, struct hmap_node *n), void *arg);
/* One part from that bucket on, whose time the caller chooses. False: it was the last one; else *bucket is where the next begins. */
bool control_round_walk(const struct hmap *m, size_t *bucket, void (*visit)(void *arg, struct hmap_node *n), void *arg);
