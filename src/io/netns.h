// Doing something in another network namespace while the process stays where it is.
// The parent process.
#pragma once

#include "base/err.h"

/* Runs fn(arg) in the namespace, in a thread that lives only so long; "" runs it here. fn returns 0 or an
 * errno. ERR_NOTFOUND: no such namespace; ERR_SYSTEM with errno. */
MUST_USE enum err io_netns_run(const char *netns, int (*fn)(void *arg), void *arg);
