#include "base/err.h"

#define ERR_TEXT(name, text) [name] = text,
static const char *const texts[ERR_COUNT] = { ERR_LIST(ERR_TEXT) };
#undef ERR_TEXT

const char *err_text(enum err e)
{
	return (unsigned)e < ERR_COUNT ? texts[e] : "unknown error";
}
