// What fuzz targets share. A target is one function, as libFuzzer wants it; it states what must hold with
// must(). Tests only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Returns 0. The block is of exactly that size, and not the target's to change. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A view may only show bytes of the input that it was parsed from. */
static inline void must_lie_within(struct bytes view, struct bytes input)
{
	if (view.len != 0)
		must(view.p >= input.p && view.len <= input.len &&
		     (size_t)(view.p - input.p) <= input.len - view.len);
}

/* A writable copy in the target's own room; room must be big enough, else nothing is copied and cap is 0. */
static inline struct space copy_to(struct bytes input, struct space room)
{
	if (input.len > room.cap)
		return (struct space){ room.p, 0 };
	if (input.len != 0)
		memcpy(room.p, input.p, input.len);
	return (struct space){ room.p, input.len };
}
