#include "io/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct errand {
	int ns_fd;
	int (*fn)(void *arg);
	void *arg;
	int result;
};

/* A network namespace belongs to a thread: this one ends in the other, nobody else moves. */
static void *run_errand(void *p)
{
	struct errand *e = p;
	e->result = setns(e->ns_fd, CLONE_NEWNET) == 0 ? e->fn(e->arg) : errno;
	return NULL;
}

static int open_netns(const char *netns)
{
	char path[128];
	int n = snprintf(path, sizeof(path), "/run/netns/%s", netns);

	if (n < 0 || (size_t)n >= sizeof(path) || strchr(netns, '/') != NULL || netns[0] == '.') {
		errno = ENOENT;
		return -1;
	}
	return open(path, O_RDONLY | O_CLOEXEC);
}

MUST_USE enum err io_netns_run(const char *netns, int (*fn)(void *arg), void *arg)
{
	struct errand e = { .fn = fn, .arg = arg };
	pthread_t thread;

	if (netns[0] == '\0') {
		e.result = fn(arg);
	} else {
		e.ns_fd = open_netns(netns);
		if (e.ns_fd < 0)
			return errno == ENOENT ? ERR_NOTFOUND : ERR_SYSTEM;
		/* The thread may have ended before this call returns: its result is not to be written over. */
		int started = pthread_create(&thread, NULL, run_errand, &e);
		if (started == 0)
			pthread_join(thread, NULL);
		else
			e.result = started;
		close(e.ns_fd);
	}
	errno = e.result;
	return e.result == 0 ? ERR_NONE : ERR_SYSTEM;
}
