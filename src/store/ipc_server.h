// The store thread's side of the ipc engine: one call answers one waiting request.
// The store thread only. The peer is the api process: its requests are checked like a stranger's.
#pragma once

#include "store/store.h"

/* What the peer may do: prefixes it may read, prefixes it may write (which it may also read). */
struct store_role {
	const char *const *read;   /* ended by NULL */
	const char *const *write;
};

/* Reads one request from fd (non-blocking SOCK_SEQPACKET), does it, answers. ERR_AGAIN: nothing waiting;
 * ERR_CLOSED: the peer is gone; ERR_SYNTAX: a malformed request (answered with an error, go on). */
MUST_USE enum err store_ipc_serve(struct store *s, int fd, const struct store_role *role);
