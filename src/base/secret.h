// Secrets: values that wipe themselves and have no print path.
// Any thread; a secret belongs to its owner.
//
// There is no formatter for a struct secret on purpose. Logs, answers and events take text or
// numbers, so a secret cannot reach them but by an explicit read of its bytes, which a reviewer sees.
#pragma once

#include "base/bytes.h"

#define SECRET_MAX 256 /* the longest PSK the API takes */

struct secret {
	uint16_t len;
	uint8_t b[SECRET_MAX];
};

/* Zeroes memory in a way no compiler removes. p may be NULL when n is 0. */
void secret_wipe(void *p, size_t n);

/* Copies b; ERR_LONG above SECRET_MAX. The old value is wiped. */
MUST_USE enum err secret_set(struct secret *s, struct bytes b);

/* Wipes and empties; s may be NULL. */
void secret_fini(struct secret *s);

static inline struct bytes secret_bytes(const struct secret *s)
{
	return (struct bytes){ s->b, s->len };
}

/* Keeps every later secret of this process out of core dumps and away from debuggers of the same
 * user (PR_SET_DUMPABLE 0, core limit 0). Called once at start. */
MUST_USE enum err secret_protect_process(void);
