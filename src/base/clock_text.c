// Apart from the clocks, which a simulation has of its own.
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

const char *clock_text(uint64_t unix_us, char text[static CLOCK_TEXT_MAX])
{
	/* The text of the second is the last one's most of the time, and costs more than all else of a log line. */
	static _Thread_local time_t last;
	static _Thread_local char head[24];
	time_t s = (time_t)(unix_us / 1000000);
	struct tm tm;

	if (head[0] == '\0' || s != last) {
		if (gmtime_r(&s, &tm) == NULL || strftime(head, sizeof(head), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
			snprintf(head, sizeof(head), "-");
		last = s;
	}
	snprintf(text, CLOCK_TEXT_MAX, "%s.%06" PRIu64 "Z", head, unix_us % 1000000);
	return text;
}
