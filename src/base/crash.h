// Places at which a test ends the process as a crash would: only in builds with sanitizers, which nobody installs.
// Any thread.
#pragma once

#ifdef ONRAMP_CRASH_POINTS
/* If the file that ONRAMP_CRASH_POINT names holds this name: deletes it, so that the next process goes on, and ends with SIGKILL. */
void crash_point(const char *name);
#else
static inline void crash_point(const char *name)
{
	(void)name;
}
#endif
