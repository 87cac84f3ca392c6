// IP fragments of datagrams to this host (IPv4, RFC 791 3.2): a copy of each, and the way for one that came elsewhere into the kernel,
// which puts them together. Opening: the parent process. The rest: the thread that owns the sockets.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"

#define IO_FRAGMENT_MAX 9000 /* a longer one is cut, and no fragment any more */

/* ERR_SYSTEM with errno. */
MUST_USE enum err io_fragment_open(int *ret_copies, int *ret_way);
/* The next copy, from its IP header on. ERR_AGAIN: none waits; ERR_SYSTEM. */
MUST_USE enum err io_fragment_take(int copies, struct space room, size_t *ret_len);
/* packet: a fragment to the address to, which is this host's. ERR_AGAIN, ERR_SYSTEM. */
MUST_USE enum err io_fragment_give(int way, const struct addr *to, struct bytes packet);
