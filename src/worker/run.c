#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/udp.h"
#include "worker/state.h"

enum { EVENTS_MAX = 64, RESCAN_MS = 1000 };

/* What an event is about: in the upper half of its data the source, in the lower one the index. */
enum source { SOURCE_STOP, SOURCE_WAKE, SOURCE_SOCKET, SOURCE_QUEUE };

static bool watch(const struct worker *w, int fd, enum source source, size_t index)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | (uint32_t)index };
	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* ---- the off-ramps' queues ---- */

static void forget_queue(struct worker *w, struct worker_queue *q)
{
	if (q->fd < 0)
		return;
	/* Closing is not enough: the device's owner has descriptors of the same open file. */
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, q->fd, NULL);
	close(q->fd);
	q->fd = -1;
}

static void forget_queues(struct worker *w)
{
	for (size_t i = 0; i < w->queue_cnt; i++)
		forget_queue(w, &w->queues[i]);
	free(w->queues);
	w->queues = NULL;
	w->queue_cnt = 0;
}

static bool add_queue(struct worker *w, const struct fwd_queue *q)
{
	struct worker_queue *more = realloc(w->queues, (w->queue_cnt + 1) * sizeof(*more));
	if (more == NULL)
		return false;
	w->queues = more;
	int fd = fcntl(q->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (!watch(w, fd, SOURCE_QUEUE, w->queue_cnt)) {
		close(fd);
		return false;
	}
	w->queues[w->queue_cnt++] = (struct worker_queue){ q->account, fd, q->vnet };
	return true;
}

/* The set of queues as it is now. A queue that cannot be watched is tried again with the next change, or after a while: not at once,
 * for in a turn that looks for queues none is read. */
static bool scan_queues(struct worker *w)
{
	uint64_t generation = fwd_offramp_generation(w->reader);
	struct fwd_queue_walk walk = { 0 };
	struct fwd_queue q;
	bool whole = true;

	if (generation == w->generation && w->now_ms < w->rescan_ms)
		return false;
	forget_queues(w);
	while (fwd_queue_next(w->reader, &walk, &q))
		whole = add_queue(w, &q) && whole;
	w->generation = generation;
	w->rescan_ms = whole ? UINT64_MAX : w->now_ms + RESCAN_MS;
	return true;
}

/* ---- bursts ---- */

static void serve_socket(struct worker *w, const struct worker_socket *s)
{
	unsigned cnt;

	worker_receive(w, s);
	while ((cnt = worker_take(w)) != 0) {
		worker_inbound(w, s, cnt);
		worker_send_flush(w);
	}
}

static void serve_queue(struct worker *w, struct worker_queue *q)
{
	bool gone;

	if (q->fd < 0)
		return;
	unsigned cnt = worker_read(w, q, &gone);
	worker_outbound(w, q, cnt);
	if (gone)
		forget_queue(w, q);
}

static void serve(struct worker *w, uint64_t data, bool rescanned)
{
	uint32_t index = (uint32_t)data;
	eventfd_t value;

	switch ((enum source)(data >> 32)) {
	case SOURCE_STOP:
		return;
	case SOURCE_WAKE:
		(void)eventfd_read(fwd_reader_wake_fd(w->config.fwd, w->config.index), &value);
		while (worker_returned(w)) { /* the next ones take the same room */
			worker_send_flush(w);
			worker_offramp_flush(w);
		}
		worker_send_flush(w);
		worker_offramp_flush(w);
		while (worker_seal_returned(w))
			;
		break;
	case SOURCE_SOCKET:
		serve_socket(w, &w->config.sockets[index]);
		break;
	case SOURCE_QUEUE:
		/* The index was one of the former set; what is readable still tells so in the next round. */
		if (!rescanned)
			serve_queue(w, &w->queues[index]);
		break;
	}
	worker_send_flush(w);
	worker_offramp_flush(w);
	worker_punt_flush(w);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[EVENTS_MAX];
	bool stopped = false;

	w->reader = fwd_reader_join(w->config.fwd, w->config.index);
	w->counters = fwd_reader_counters(w->reader);
	(void)scan_queues(w);
	while (!stopped) {
		fwd_reader_rest(w->reader);
		int n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, -1);
		fwd_reader_resume(w->reader);
		w->now_ms = clock_mono_ms();
		w->now_us = clock_unix_us();
		bool rescanned = scan_queues(w);
		for (int i = 0; i < n; i++) {
			stopped = stopped || events[i].data.u64 >> 32 == SOURCE_STOP;
			serve(w, events[i].data.u64, rescanned);
		}
	}
	forget_queues(w);
	fwd_reader_leave(w->reader);
	return NULL;
}

/* ---- starting and stopping ---- */

static bool open_events(struct worker *w)
{
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->epoll_fd < 0 || w->stop_fd < 0 || !watch(w, w->stop_fd, SOURCE_STOP, 0) ||
	    !watch(w, fwd_reader_wake_fd(w->config.fwd, w->config.index), SOURCE_WAKE, 0))
		return false;
	for (unsigned i = 0; i < w->config.socket_cnt; i++) {
		const struct worker_socket *s = &w->config.sockets[i];
		if (s->receive && !watch(w, s->fd, SOURCE_SOCKET, i))
			return false;
		if (s->receive && (s->kind == WORKER_SOCKET_IKE || s->kind == WORKER_SOCKET_NATT))
			(void)io_udp_take_bursts(s->fd);
	}
	return true;
}

static bool make_buffers(struct worker *w)
{
	w->memory = malloc((size_t)WORKER_BURST * (WORKER_BUF_LEN + WORKER_ICMP_BUF_LEN) + WORKER_OUT_LEN);
	if (w->memory == NULL)
		return false;
	uint8_t *at = w->memory;
	for (unsigned i = 0; i < WORKER_BURST; i++, at += WORKER_BUF_LEN)
		w->bufs[i] = (struct space){ at, WORKER_BUF_LEN };
	for (unsigned i = 0; i < WORKER_BURST; i++, at += WORKER_ICMP_BUF_LEN)
		w->errors[i].buf = (struct space){ at, WORKER_ICMP_BUF_LEN };
	w->out = (struct space){ at, WORKER_OUT_LEN };
	return true;
}

static void free_worker(struct worker *w)
{
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
	free(w->memory);
	free(w);
}

/* Signals are for the thread that set the process up. */
static int start_thread(struct worker *w)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int result = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

MUST_USE enum err worker_start(const struct worker_config *c, struct worker **ret)
{
	must(c->socket_cnt <= WORKER_SOCKETS_MAX);
	struct worker *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return ERR_MEMORY;
	w->config = *c;
	w->epoll_fd = w->stop_fd = -1;
	if (!make_buffers(w)) {
		free_worker(w);
		return ERR_MEMORY;
	}
	if (!open_events(w)) {
		int saved = errno;
		free_worker(w);
		errno = saved;
		return ERR_SYSTEM;
	}
	int result = start_thread(w);
	if (result != 0) {
		free_worker(w);
		errno = result;
		return ERR_SYSTEM;
	}
	*ret = w;
	return ERR_NONE;
}

void worker_stop(struct worker *w)
{
	if (w == NULL)
		return;
	(void)eventfd_write(w->stop_fd, 1);
	pthread_join(w->thread, NULL);
	free_worker(w);
}
