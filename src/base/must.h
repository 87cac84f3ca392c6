// Assertions that stay on in release: our own faults end the process, a stranger's never may.
// Any thread.
#pragma once

#include <stddef.h>

_Noreturn void must_fail(const char *file, int line, const char *what);

#define must(cond) ((cond) ? (void)0 : must_fail(__FILE__, __LINE__, #cond))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))
