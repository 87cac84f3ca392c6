// The store thread's side of the ipc engine: one connection, one request at a time.
// The store thread only. The peer is the api process: its requests are checked like a stranger's.
#pragma once

#include "store/store.h"

/* What the peer may do: prefixes it may read, prefixes it may write (which it may also read). */
struct store_role {
	const char *const *read;   /* ended by NULL; NULL: none */
	const char *const *write;
};

struct store_ipc_server;

/* Owns fd (SOCK_SEQPACKET) from now on, also on failure. s and role outlive it. ERR_MEMORY. */
MUST_USE enum err store_ipc_server_new(struct store *s, int fd, const struct store_role *role,
				       struct store_ipc_server **ret);

/* Reads one request, does it, answers; never waits. ERR_AGAIN: nothing waiting, or the last answer still does;
 * ERR_CLOSED: the peer is gone; ERR_SYNTAX: a malformed request (answered with an error, go on). */
MUST_USE enum err store_ipc_server_step(struct store_ipc_server *v);

int store_ipc_server_fd(const struct store_ipc_server *v);

/* What to poll fd for before the next step: POLLIN, or POLLOUT while an answer waits. */
short store_ipc_server_events(const struct store_ipc_server *v);

void store_ipc_server_free(struct store_ipc_server *v); /* NULL is fine */
