#include "relay.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/must.h"

enum { PAIRS_MAX = 32, HOLD_MAX = 65536, HOLD_MS = 1000, LINGER_MS = 500, STEP_MS = 20 };

struct pair {
	int client, server; /* -1: closed */
	uint8_t held[HOLD_MAX];
	size_t held_len;
	uint64_t held_ms;    /* when the first byte was held */
	uint64_t released_ms; /* 0: not */
};

struct relay {
	pthread_t id;
	int fd;
	struct addr_endpoint target;
	_Atomic int mode;
	_Atomic bool stopping;
	_Atomic unsigned cuts, held;
	struct pair pairs[PAIRS_MAX];
};

static struct sockaddr_in sockaddr_of(const struct addr_endpoint *e)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(e->port) };
	must(e->addr.family == ADDR_V4);
	memcpy(&sa.sin_addr, e->addr.b, 4);
	return sa;
}

static void end_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void end_pair(struct pair *p)
{
	end_fd(&p->client);
	end_fd(&p->server);
	p->held_len = 0;
	p->released_ms = 0;
}

static void take_connection(struct relay *r)
{
	const struct sockaddr_in sa = sockaddr_of(&r->target);
	int client = accept(r->fd, NULL, NULL);
	struct pair *p = NULL;

	for (size_t i = 0; i < PAIRS_MAX && p == NULL; i++)
		if (r->pairs[i].client < 0 && r->pairs[i].server < 0)
			p = &r->pairs[i];
	if (client < 0 || p == NULL || r->mode == RELAY_REFUSE) {
		if (client >= 0)
			close(client);
		return;
	}
	p->client = client;
	p->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(p->server, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		end_pair(p);
}

static bool pass(int from, int to)
{
	uint8_t b[16384];
	ssize_t n = recv(from, b, sizeof(b), 0);
	return n > 0 && send(to, b, (size_t)n, MSG_NOSIGNAL) == n;
}

/* What comes more than a second after the first held byte is dropped: the client's farewell is not held. */
static void hold(struct relay *r, struct pair *p)
{
	uint8_t b[16384];
	ssize_t n = recv(p->client, b, sizeof(b), 0);

	if (n <= 0) {
		end_fd(&p->client);
		if (p->held_len == 0)
			end_pair(p);
		return;
	}
	if (p->held_len == 0)
		p->held_ms = clock_mono_ms();
	if (clock_mono_ms() - p->held_ms < HOLD_MS && p->held_len + (size_t)n <= HOLD_MAX) {
		memcpy(p->held + p->held_len, b, (size_t)n);
		p->held_len += (size_t)n;
		r->held += (unsigned)n;
	}
}

static void serve_client(struct relay *r, struct pair *p)
{
	if (r->mode == RELAY_HOLD || p->held_len != 0)
		hold(r, p);
	else if (r->mode == RELAY_EAT || r->mode == RELAY_REFUSE || !pass(p->client, p->server))
		end_pair(p);
}

static void serve_server(struct relay *r, struct pair *p)
{
	if (r->mode == RELAY_CUT)
		r->cuts++;
	if (r->mode == RELAY_CUT || r->mode == RELAY_REFUSE || p->client < 0 || !pass(p->server, p->client))
		end_pair(p);
}

static void tend_held(struct relay *r, struct pair *p)
{
	uint64_t now = clock_mono_ms();

	if (r->mode == RELAY_HOLD)
		return;
	if (p->released_ms == 0) {
		p->released_ms = now;
		if (send(p->server, p->held, p->held_len, MSG_NOSIGNAL) < 0)
			end_pair(p);
	} else if (p->client >= 0) {
		p->held_len = 0;
		p->released_ms = 0;
	} else if (now - p->released_ms > LINGER_MS) {
		end_pair(p);
	}
}

static void *run(void *arg)
{
	struct relay *r = arg;

	while (!r->stopping) {
		struct pollfd fds[1 + 2 * PAIRS_MAX] = { { .fd = r->fd, .events = POLLIN } };
		for (size_t i = 0; i < PAIRS_MAX; i++) {
			fds[1 + 2 * i] = (struct pollfd){ .fd = r->pairs[i].client, .events = POLLIN };
			fds[2 + 2 * i] = (struct pollfd){ .fd = r->pairs[i].server, .events = POLLIN };
		}
		(void)poll(fds, ARRAY_LEN(fds), STEP_MS);
		for (size_t i = 0; i < PAIRS_MAX; i++) {
			struct pair *p = &r->pairs[i];
			if (r->mode == RELAY_REFUSE)
				end_pair(p);
			if (p->client >= 0 && fds[1 + 2 * i].revents != 0)
				serve_client(r, p);
			if (p->server >= 0 && fds[2 + 2 * i].revents != 0)
				serve_server(r, p);
			if (p->server >= 0 && p->held_len != 0)
				tend_held(r, p);
		}
		if (fds[0].revents != 0)
			take_connection(r);
	}
	for (size_t i = 0; i < PAIRS_MAX; i++)
		end_pair(&r->pairs[i]);
	return NULL;
}

struct relay *relay_start(const struct addr_endpoint *listen_at, const struct addr_endpoint *target)
{
	const struct sockaddr_in sa = sockaddr_of(listen_at);
	struct relay *r = calloc(1, sizeof(*r));
	const int on = 1;

	must(r != NULL);
	r->target = *target;
	for (size_t i = 0; i < PAIRS_MAX; i++)
		r->pairs[i].client = r->pairs[i].server = -1;
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(setsockopt(r->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	must(bind(r->fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(r->fd, 16) == 0);
	must(pthread_create(&r->id, NULL, run, r) == 0);
	return r;
}

void relay_set(struct relay *r, enum relay_mode mode)
{
	r->mode = mode;
}

unsigned relay_cuts(const struct relay *r)
{
	return r->cuts;
}

unsigned relay_held(const struct relay *r)
{
	return r->held;
}

void relay_stop(struct relay *r)
{
	r->stopping = true;
	must(pthread_join(r->id, NULL) == 0);
	close(r->fd);
	free(r);
}
