// The api process: drops its rights, connects to the gateway's store, runs the HTTP server.
#include "bin/roles.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/server.h"
#include "base/log.h"
#include "host/msg.h"
#include "host/rights.h"

#define STORE_TIMEOUT_MS 5000

static int open_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The gateway was started again: its store and its live detail are at new sockets. False: the parent is gone. */
static bool read_parent(const struct host_api_env *env, struct api_server *server)
{
	int fds[HOST_FDS_MAX];
	struct host_msg m;
	struct store *store;
	unsigned cnt;

	enum err e = host_msg_recv(env->parent_fd, &m, fds, &cnt);
	if (e != ERR_NONE)
		return e == ERR_AGAIN;
	if (m.kind != HOST_MSG_ATTACH || cnt != 2) {
		for (unsigned i = 0; i < cnt; i++)
			close(fds[i]);
		return true;
	}
	api_server_set_live(server, fds[1]);
	e = store_ipc_new(fds[0], STORE_TIMEOUT_MS, &store);
	if (e == ERR_NONE)
		api_server_set_store(server, store);
	else
		log_error("cannot reach the store: %s", err_text(e));
	return true;
}

static void serve(const struct host_api_env *env, struct api_server *server, int signal_fd)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = signal_fd, .events = POLLIN },
					{ .fd = env->parent_fd, .events = POLLIN },
					{ .fd = api_server_fd(server), .events = POLLIN } };
		if (poll(fds, ARRAY_LEN(fds), 1000) < 0 && errno != EINTR)
			return;
		if (fds[0].revents != 0)
			return;
		if (fds[1].revents != 0 && !read_parent(env, server))
			return;
		api_server_run(server);
	}
}

int api_main(const struct host_api_env *env)
{
	const struct host_rights rights = { .user = env->conf->user };
	const struct host_msg ready = { .kind = HOST_MSG_READY };
	struct api_server *server = NULL;
	struct store *store;

	enum err e = host_rights_drop(&rights);
	int signal_fd = open_signals();
	if (e == ERR_NONE)
		e = store_ipc_new(env->store_fd, STORE_TIMEOUT_MS, &store);
	if (e == ERR_NONE) {
		const struct api_config config = { .http_fd = env->http_fd, .admin_fd = env->admin_fd,
						   .store = store, .live_fd = env->live_fd, .seal = env->seal,
						   .conf = env->conf, .tls_cert_pem = env->tls_cert_pem,
						   .tls_key_pem = env->tls_key_pem };
		e = api_server_start(&config, &server);
	}
	if (e == ERR_NONE)
		e = host_msg_send(env->parent_fd, &ready, NULL, 0);
	if (e == ERR_NONE)
		serve(env, server, signal_fd);
	else
		log_error("the api cannot start: %s", err_text(e));
	api_server_stop(server);
	return e == ERR_NONE ? 0 : 1;
}
