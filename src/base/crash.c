#include "base/crash.h"

#ifdef ONRAMP_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void crash_point(const char *name)
{
	const char *path = getenv("ONRAMP_CRASH_POINT");
	char wanted[64];

	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, wanted, sizeof(wanted) - 1);
	close(fd);
	if (n <= 0)
		return;
	wanted[n] = 0;
	wanted[strcspn(wanted, "\n")] = 0;
	/* Of two that come here at once one has deleted it; the other is ended by the same signal. */
	if (strcmp(wanted, name) == 0 && unlink(path) == 0)
		raise(SIGKILL);
}

#endif
