#include "model/format.h"

#ifdef ONRAMP_CRASH_POINTS

#include <stdlib.h>
#include <string.h>

uint16_t model_format_newest(void)
{
	const char *wanted = getenv("ONRAMP_RECORD_FORMAT");
	return wanted != NULL && strcmp(wanted, "1") == 0 ? MODEL_FORMAT_OLDEST : MODEL_FORMAT_NEWEST;
}

#endif
