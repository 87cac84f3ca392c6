#include "explain/text.h"

#include <stdarg.h>
#include <stdio.h>

void explain_text_start(struct explain_text *t, char *room, size_t cap)
{
	*t = (struct explain_text){ .p = room, .cap = cap };
	room[0] = 0;
}

void explain_text_say(struct explain_text *t, const char *fmt, ...)
{
	va_list ap;
	size_t from = t->len;

	va_start(ap, fmt);
	int n = vsnprintf(t->p + from, t->cap - from, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len = (size_t)n < t->cap - from ? from + (size_t)n : t->cap - 1;
	for (size_t i = from; i < t->len; i++)
		if (t->p[i] < 0x20 || t->p[i] > 0x7e)
			t->p[i] = '?';
}
