// IP fragments of datagrams to this host (RFC 791 3.2; RFC 8200 4.5, whose header comes right behind the IPv6 header): a copy of each, and the way
// for one that came elsewhere into the kernel, which puts them together. Opening: the parent process. The rest: the thread that owns the sockets.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"

#define IO_FRAGMENT_MAX 9000 /* a longer one is cut, and no fragment any more */

struct io_fragments {
	int copies4, copies6;
	int way4;            /* IPv6 fragments go in by copies6 */
};
#define IO_FRAGMENTS_NONE ((struct io_fragments){ -1, -1, -1 })

/* ERR_SYSTEM with errno. */
MUST_USE enum err io_fragments_open(struct io_fragments *ret);
void io_fragments_close(struct io_fragments *f);
/* The next copy, from its IP header on. ERR_AGAIN: none waits; ERR_SYSTEM. */
MUST_USE enum err io_fragment_take(int copies, struct space room, size_t *ret_len);
/* packet: a fragment to the address to, which is this host's. ERR_AGAIN, ERR_SYSTEM. */
MUST_USE enum err io_fragment_give(const struct io_fragments *f, const struct addr *to, struct bytes packet);
