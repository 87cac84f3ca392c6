// Moving everything of one store into another that is empty: from the file of one machine into etcd, or back.
// One thread, to which both stores belong.
//
// A gateway that runs on either would make the same SAs go on twice. So at no time may both be started: the source says
// meta/moved before the target loses its meta/copying, and a gateway opens a store with neither of them (store_copy_check).
#pragma once

#include "store/store.h"

struct store_copied {
	size_t cnt; /* keys */
	uint64_t bytes;
};

/* Copies, reads both again, and compares. What an interrupted copy left in the target is replaced. Keys of running nodes
 * are left out. The source stays as it is, but for its mark.
 * ERR_NOTFOUND: nothing to move; ERR_EXISTS: the target has keys; ERR_CLOSED: the source was moved before; ERR_CONFLICT: what
 * the target has in the end is not what the source has, so somebody else writes. Else as store.h. */
MUST_USE enum err store_copy(struct store *from, struct store *to, struct store_copied *ret);

/* Whether a gateway may use this store. ERR_CLOSED: its content was moved elsewhere; ERR_AGAIN: it is the target of a copy
 * that did not end. Else as store.h. */
MUST_USE enum err store_copy_check(struct store *s);
