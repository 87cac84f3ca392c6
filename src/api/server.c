#include "api/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/call.h"
#include "base/clock.h"
#include "base/log.h"

#define CONNECTIONS_MAX 512u
#define CONNECTIONS_PER_ADDRESS_MAX 64u
#define IDLE_S 30u
/* one connection's memory in the library: its headers, of which we take API_HEADERS_MAX, and a read buffer */
#define CONNECTION_MEMORY 98304u
/* In the words of GnuTLS, whose usual ones have TLS 1.0 and 1.1 as well (RFC 8996). */
#define TLS_VERSIONS "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define RUNS_MAX 16 /* turns of the library in one call, so that one busy client cannot hold the loop */

static void __attribute__((format(printf, 2, 0))) log_library(void *cls, const char *fmt, va_list ap)
{
	static struct log_limit limit = { .burst = 5, .window_ms = 60000 };
	char text[256];
	uint32_t held;

	(void)cls;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = 0;
	if (log_limit_take(&limit, clock_mono_ms(), &held))
		log_debug("http: %s (%u lines held back)", text, held);
}

/* NULL: the library refused. The listening socket is the daemon's from then on. */
static struct MHD_Daemon *start_daemon(struct api_http_door *door, int fd, unsigned per_address,
				       const char *cert, const char *key)
{
	unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (cert != NULL ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_VERSIONS },
		{ MHD_OPTION_END, 0, NULL },
	};
	const struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	return MHD_start_daemon(flags, 0, NULL, NULL, api_http_handle, door, MHD_OPTION_EXTERNAL_LOGGER,
				log_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address,
				MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				(size_t)CONNECTION_MEMORY, MHD_OPTION_UNESCAPE_CALLBACK,
				api_http_keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, api_http_completed,
				NULL, MHD_OPTION_NOTIFY_CONNECTION, api_peers_notice, &door->server->peers,
				MHD_OPTION_ARRAY, cert != NULL ? tls : none, MHD_OPTION_END);
}

static enum err watch(struct api_server *s, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
	return epoll_ctl(s->wait_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? ERR_NONE : ERR_SYSTEM;
}

static enum err watch_daemon(struct api_server *s, struct MHD_Daemon *d)
{
	const union MHD_DaemonInfo *info =
		d == NULL ? NULL : MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD);
	return info == NULL ? ERR_SYSTEM : watch(s, info->epoll_fd);
}

static enum err start_doors(struct api_server *s, const struct api_config *config)
{
	enum err e = ERR_NONE;

	s->http_door = (struct api_http_door){ .server = s };
	s->admin_door = (struct api_http_door){ .server = s, .admin = true };
	if (config->http_fd >= 0) {
		s->http = start_daemon(&s->http_door, config->http_fd, CONNECTIONS_PER_ADDRESS_MAX,
				       config->tls_cert_pem, config->tls_key_pem);
		e = watch_daemon(s, s->http);
	}
	if (e == ERR_NONE && config->admin_fd >= 0) {
		s->admin = start_daemon(&s->admin_door, config->admin_fd, 0, NULL, NULL);
		e = watch_daemon(s, s->admin);
	}
	return e;
}

/* Ends a daemon; its listening socket stays open when it is not ours yet. */
static void stop_daemon(struct MHD_Daemon **d, bool keep_socket)
{
	if (*d == NULL)
		return;
	if (keep_socket) {
		int fd = MHD_quiesce_daemon(*d);
		(void)fd;
	}
	MHD_stop_daemon(*d);
	*d = NULL;
}

static void close_waiting(struct api_server *s)
{
	if (s->timer_fd >= 0)
		close(s->timer_fd);
	if (s->wait_fd >= 0)
		close(s->wait_fd);
}

MUST_USE enum err api_server_start(const struct api_config *config, struct api_server **ret)
{
	struct api_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_MEMORY;
	api_json_init();
	s->conf = config->conf;
	s->peers.limit_ms = API_REQUEST_MS;
	s->seal = config->seal;
	s->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	enum err e = s->wait_fd < 0 || s->timer_fd < 0 ? ERR_SYSTEM : watch(s, s->timer_fd);
	if (e == ERR_NONE)
		e = start_doors(s, config);
	if (e != ERR_NONE) {
		stop_daemon(&s->http, true);
		stop_daemon(&s->admin, true);
		close_waiting(s);
		free(s);
		return e;
	}
	s->store = config->store;
	api_live_init(&s->live, config->live_fd);
	*ret = s;
	api_server_run(s);
	return ERR_NONE;
}

int api_server_fd(const struct api_server *s)
{
	return s->wait_fd;
}

/* Lets a daemon work; returns the milliseconds after which it wants to again, UINT64_MAX: only on events. */
static uint64_t run_daemon(struct MHD_Daemon *d)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;

	if (d == NULL)
		return UINT64_MAX;
	for (unsigned i = 0; i < RUNS_MAX; i++) {
		if (MHD_run(d) != MHD_YES)
			return 1000;
		if (MHD_get_timeout(d, &wait) != MHD_YES)
			return UINT64_MAX;
		if (wait != 0)
			return wait;
	}
	return 0;
}

void api_server_run(struct api_server *s)
{
	api_peers_look(&s->peers);
	uint64_t a = run_daemon(s->http), b = run_daemon(s->admin), wait = a < b ? a : b;
	struct itimerspec t = { 0 };
	uint64_t ticks;

	if (read(s->timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		log_error("api: timer: errno %d", errno);
	if (wait != UINT64_MAX) {
		t.it_value.tv_sec = (time_t)(wait / 1000);
		t.it_value.tv_nsec = wait == 0 ? 1 : (long)(wait % 1000) * 1000000;
	}
	must(timerfd_settime(s->timer_fd, 0, &t, NULL) == 0);
}

void api_server_set_store(struct api_server *s, struct store *store)
{
	store_free(s->store);
	s->store = store;
	api_views_free(s); /* it may be another database */
}

void api_server_set_live(struct api_server *s, int live_fd)
{
	api_live_set(&s->live, live_fd);
}

void api_server_stop(struct api_server *s)
{
	if (s == NULL)
		return;
	stop_daemon(&s->http, false);
	stop_daemon(&s->admin, false);
	close_waiting(s);
	store_free(s->store);
	api_live_fini(&s->live);
	api_views_free(s);
	free(s);
}
