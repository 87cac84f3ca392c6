#include "model/problem.h"

#include <stdarg.h>

void model_problem_set(struct model_problem *p, int code, const char *field, const char *fmt, ...)
{
	va_list ap;
	p->code = code;
	snprintf(p->field, sizeof(p->field), "%s", field);
	va_start(ap, fmt);
	vsnprintf(p->text, sizeof(p->text), fmt, ap);
	va_end(ap);
}
