#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

_Noreturn void must_fail(const char *file, int line, const char *what)
{
	log_release();
	fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, what);
	abort();
}
