// Memory for keys: locked against swapping, left out of dumps, wiped when it is given back.
// Any thread; there is a lock inside, so nothing of this belongs on the packet road.
//
// Cells are cut from blocks of huge-page size, so that the keys of many SAs need few entries of the TLB. A
// block is kept until the process ends.
#pragma once

#include <stddef.h>

#define CRYPT_LOCKED_MAX 4096

/* At start, while the process may still raise its limits: raises RLIMIT_MEMLOCK as far as that is allowed,
 * and logs a warning when there stays one. */
void crypt_locked_start(void);

/* n bytes, zeroed, on a cache line boundary; n at most CRYPT_LOCKED_MAX (asserted). NULL: out of memory.
 * Memory that cannot be locked is given all the same, and logged once. */
void *crypt_locked_take(size_t n);
void crypt_locked_give(void *p, size_t n); /* NULL is fine */
