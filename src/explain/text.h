// A bounded sentence in the making: what does not fit is cut off, what is not printable becomes '?'.
// Any thread. Private to explain/.
#pragma once

#include <stddef.h>

struct explain_text {
	char *p;
	size_t cap; /* with the NUL */
	size_t len;
};

void explain_text_start(struct explain_text *t, char *room, size_t cap);
__attribute__((format(printf, 2, 3))) void explain_text_say(struct explain_text *t, const char *fmt, ...);
