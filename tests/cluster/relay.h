// A TCP relay in front of an etcd member, for what the network may do to a request and its answer.
// A thread of its own; the test sets the mode.
#pragma once

#include <stdatomic.h>

#include "base/addr.h"

enum relay_mode {
	RELAY_PASS,
	RELAY_CUT,    /* requests go through; with the first byte of an answer the connection ends */
	RELAY_EAT,    /* with the first byte of a request the connection ends */
	RELAY_HOLD,   /* requests are kept, and go through when the mode changes, though the client has gone */
	RELAY_REFUSE, /* every connection ends */
};

struct relay;

struct relay *relay_start(const struct addr_endpoint *listen_at, const struct addr_endpoint *target);
void relay_set(struct relay *r, enum relay_mode mode);
unsigned relay_cuts(const struct relay *r); /* answers that were cut off */
unsigned relay_held(const struct relay *r); /* bytes of requests that were held */
void relay_stop(struct relay *r);
