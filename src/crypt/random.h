// Random bytes from the kernel.
// Any thread.
#pragma once

#include "base/bytes.h"

/* Fills dst with n bytes fit for keys (getrandom). Never fails: a kernel that cannot give random
 * bytes ends the process. */
void crypt_random(void *dst, size_t n);
