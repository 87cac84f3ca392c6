#include "host/parent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "host/notify.h"
#include "host/offramp.h"
#include "host/site.h"

enum child_kind { CHILD_GATEWAY, CHILD_API, CHILD_CNT };

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
#define STEADY_MS 10000    /* a child that lived this long starts again without delay */
#define STOP_WAIT_MS 5000

struct child {
	pid_t pid;          /* 0: not running */
	int fd;             /* host/msg.h; -1: none */
	bool ready;
	uint64_t started_ms;
	uint64_t start_at_ms; /* when to start it (again) */
	unsigned backoff_ms;
};

/* Written by the parent's only thread. */
struct parent {
	const struct conf *conf;
	struct conf_site *site; /* NULL: a gateway */
	struct host_uplink uplink;
	const struct host_mains *mains;
	struct crypt_seal_ring seal_keys;
	struct crypt_seal_public seal;
	struct host_sockets sockets;
	struct host_offramps *offramps;
	unsigned workers;
	int http_fd, admin_fd, status_fd, signal_fd; /* -1: not of this role */
	struct host_cluster_fds cluster;
	struct host_tls api_tls, etcd_tls;
	struct child child[CHILD_CNT];
	bool told_ready;
};

/* The three socket pairs of a child that starts: [0] stays with the parent or goes to the other child. */
struct pairs {
	int parent[2], store[2], live[2];
};

static const char *const child_names[CHILD_CNT] = { [CHILD_GATEWAY] = "gateway", [CHILD_API] = "api" };

static const char *const process_names[CHILD_CNT] = { [CHILD_GATEWAY] = "onramp-gateway", [CHILD_API] = "onramp-api" };

unsigned host_worker_cnt(const struct conf *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = c->workers != 0 ? c->workers : cores < 1 ? 1 : (unsigned)cores;
	return n > 16 ? 16 : n;
}

static bool make_pair(int fds[2], bool nonblock)
{
	const int size = 1 << 20;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0, fds) != 0)
		return false;
	for (int i = 0; i < 2; i++)
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return true;
}

static void close_pair(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static bool make_pairs(struct pairs *p)
{
	*p = (struct pairs){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (make_pair(p->parent, false) && make_pair(p->store, true) && make_pair(p->live, true))
		return true;
	log_error("cannot make socket pairs: %s", strerror(errno));
	close_pair(p->parent);
	close_pair(p->store);
	close_pair(p->live);
	return false;
}

/* In the child: its own name for ps, signals as at a program's start, and the end of the parent is its end. */
static void settle_child(const char *name, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_NAME, name) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
		_exit(1);
}

/* Runs in the new process and never returns. It closes what belongs to the parent and to its sibling. */
static _Noreturn void become_child(struct parent *p, enum child_kind kind, const struct pairs *pairs, pid_t parent)
{
	settle_child(p->site != NULL ? "onramp-site" : process_names[kind], parent);
	log_init(p->site != NULL ? "site" : child_names[kind], p->conf->log_level);
	close(p->signal_fd);
	if (p->uplink.fd >= 0)
		close(p->uplink.fd);
	close(pairs->parent[0]);
	close(pairs->store[kind == CHILD_GATEWAY ? 1 : 0]);
	close(pairs->live[kind == CHILD_GATEWAY ? 1 : 0]);
	for (unsigned i = 0; i < CHILD_CNT; i++)
		if (p->child[i].fd >= 0)
			close(p->child[i].fd);
	host_offramps_free(p->offramps);
	if (kind == CHILD_GATEWAY) {
		struct host_gateway_env env = { .conf = p->conf, .site = p->site, .seal_keys = &p->seal_keys, .sockets = p->sockets,
						.workers = p->workers, .parent_fd = pairs->parent[1],
						.store_fd = pairs->store[0], .live_fd = pairs->live[0],
						.cluster = p->cluster, .etcd_tls = p->etcd_tls };
		if (p->site != NULL) {
			close(pairs->store[0]);
			close(pairs->live[0]);
			env.store_fd = -1;
			env.live_fd = p->status_fd;
		} else {
			close(p->http_fd);
			close(p->admin_fd);
		}
		exit(p->mains->gateway(&env));
	}
	struct host_api_env env = { .conf = p->conf, .seal = p->seal, .parent_fd = pairs->parent[1],
				    .store_fd = pairs->store[1], .live_fd = pairs->live[1], .http_fd = p->http_fd,
				    .admin_fd = p->admin_fd, .tls_cert_pem = p->api_tls.cert_pem,
				    .tls_key_pem = p->api_tls.key_pem };
	secret_wipe(&p->seal_keys, sizeof(p->seal_keys));
	host_tls_fini(&p->etcd_tls);
	for (unsigned i = 0; i < p->sockets.cnt; i++)
		close(p->sockets.s[i].fd);
	host_close_cluster(&p->cluster);
	exit(p->mains->api(&env));
}

/* The sibling learns of the new ends; one that is not running gets its own at its start. */
static void attach_sibling(const struct parent *p, enum child_kind started, const struct pairs *pairs)
{
	const struct host_msg m = { .kind = HOST_MSG_ATTACH };
	enum child_kind other = started == CHILD_GATEWAY ? CHILD_API : CHILD_GATEWAY;
	const int fds[2] = { pairs->store[started == CHILD_GATEWAY ? 1 : 0],
			     pairs->live[started == CHILD_GATEWAY ? 1 : 0] };

	if (p->child[other].fd < 0)
		return;
	enum err e = host_msg_send(p->child[other].fd, &m, fds, 2);
	if (e != ERR_NONE)
		log_warn("cannot tell the %s of the new %s: %s", child_names[other], child_names[started], err_text(e));
}

static bool start_child(struct parent *p, enum child_kind kind)
{
	struct child *c = &p->child[kind];
	struct pairs pairs;
	pid_t self = getpid();

	if (!make_pairs(&pairs))
		return false;
	pid_t pid = fork();
	if (pid == 0)
		become_child(p, kind, &pairs, self);
	if (pid > 0)
		attach_sibling(p, kind, &pairs);
	close_pair(pairs.store);
	close_pair(pairs.live);
	close(pairs.parent[1]);
	if (pid < 0) {
		log_error("cannot start the %s: %s", child_names[kind], strerror(errno));
		close(pairs.parent[0]);
		return false;
	}
	uint64_t now = clock_mono_ms();
	*c = (struct child){ .pid = pid, .fd = pairs.parent[0], .started_ms = now, .backoff_ms = c->backoff_ms };
	return true;
}

/* Starts every child whose time has come. The pair that the first start made for a sibling not yet running is lost:
 * the sibling's own start makes a new one and tells us. */
static void start_due(struct parent *p)
{
	uint64_t now = clock_mono_ms();
	for (unsigned i = 0; i < CHILD_CNT; i++) {
		struct child *c = &p->child[i];
		if (c->pid != 0 || now < c->start_at_ms)
			continue;
		if (!start_child(p, (enum child_kind)i))
			c->start_at_ms = now + BACKOFF_MAX_MS;
	}
}

static void note_death(struct parent *p, enum child_kind kind, int status)
{
	struct child *c = &p->child[kind];
	uint64_t now = clock_mono_ms();
	bool steady = now - c->started_ms >= STEADY_MS;

	c->backoff_ms = steady || c->backoff_ms == 0 ? BACKOFF_MIN_MS
			: c->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : c->backoff_ms * 2;
	if (WIFSIGNALED(status))
		log_error("the %s ended by signal %d; it is started again in %u ms", child_names[kind],
			  WTERMSIG(status), c->backoff_ms);
	else
		log_error("the %s ended with status %d; it is started again in %u ms", child_names[kind],
			  WEXITSTATUS(status), c->backoff_ms);
	close(c->fd);
	*c = (struct child){ .fd = -1, .backoff_ms = c->backoff_ms, .start_at_ms = now + c->backoff_ms };
}

static void reap(struct parent *p)
{
	int status;
	for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG))
		for (unsigned i = 0; i < CHILD_CNT; i++)
			if (p->child[i].pid == pid)
				note_death(p, (enum child_kind)i, status);
}

/* True when the signal asks for the end. */
static bool take_signals(struct parent *p)
{
	struct signalfd_siginfo si;
	bool stop = false;

	while (read(p->signal_fd, &si, sizeof(si)) == sizeof(si))
		stop = stop || si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT;
	reap(p);
	return stop;
}

static void take_message(struct parent *p, enum child_kind kind)
{
	int fds[HOST_FDS_MAX];
	struct host_msg m;
	unsigned cnt;

	enum err e = host_msg_recv(p->child[kind].fd, &m, fds, &cnt);
	if (e != ERR_NONE) {
		if (e != ERR_AGAIN && e != ERR_CLOSED)
			log_warn("a message of the %s was refused: %s", child_names[kind], err_text(e));
		return;
	}
	for (unsigned i = 0; i < cnt; i++)
		close(fds[i]);
	if (m.kind == HOST_MSG_READY)
		p->child[kind].ready = true;
	else if (kind == CHILD_GATEWAY)
		host_offramps_take(p->offramps, &m, p->child[kind].fd);
	if (!p->told_ready && p->child[CHILD_GATEWAY].ready && (p->site != NULL || p->child[CHILD_API].ready)) {
		p->told_ready = true;
		log_info("ready");
		host_notify("READY=1");
	}
}

static int next_timeout(const struct parent *p)
{
	uint64_t now = clock_mono_ms(), at = now + 60000;
	for (unsigned i = 0; i < CHILD_CNT; i++)
		if (p->child[i].pid == 0 && p->child[i].start_at_ms < at)
			at = p->child[i].start_at_ms;
	if (p->uplink.look_ms != 0 && p->uplink.look_ms < at)
		at = p->uplink.look_ms;
	return at <= now ? 0 : (int)(at - now);
}

static void look_due(struct parent *p)
{
	uint64_t now = clock_mono_ms();

	if (p->uplink.look_ms != 0 && now >= p->uplink.look_ms)
		host_uplink_look(&p->uplink, p->site, now, p->workers, &p->sockets, p->child[CHILD_GATEWAY].fd);
}

static void serve(struct parent *p)
{
	for (;;) {
		struct pollfd fds[2 + CHILD_CNT] = { { .fd = p->signal_fd, .events = POLLIN } };
		start_due(p);
		look_due(p);
		for (unsigned i = 0; i < CHILD_CNT; i++)
			fds[1 + i] = (struct pollfd){ .fd = p->child[i].fd, .events = POLLIN };
		fds[1 + CHILD_CNT] = (struct pollfd){ .fd = p->uplink.fd, .events = POLLIN };
		if (poll(fds, ARRAY_LEN(fds), next_timeout(p)) < 0 && errno != EINTR)
			return;
		for (unsigned i = 0; i < CHILD_CNT; i++)
			if ((fds[1 + i].revents & POLLIN) != 0)
				take_message(p, (enum child_kind)i);
			else if (fds[1 + i].revents != 0) /* hung up: the signal follows */
				poll(NULL, 0, 10);
		if (fds[1 + CHILD_CNT].revents != 0)
			host_uplink_take(&p->uplink, clock_mono_ms());
		if ((fds[0].revents & POLLIN) != 0 && take_signals(p))
			return;
	}
}

/* The api first, so that no configuration is taken that the gateway no longer sees. */
static void stop_children(struct parent *p)
{
	static const enum child_kind order[CHILD_CNT] = { CHILD_API, CHILD_GATEWAY };
	for (unsigned i = 0; i < CHILD_CNT; i++) {
		struct child *c = &p->child[order[i]];
		uint64_t end = clock_mono_ms() + STOP_WAIT_MS;
		if (c->pid == 0)
			continue;
		kill(c->pid, SIGTERM);
		while (waitpid(c->pid, NULL, WNOHANG) == 0) {
			if (clock_mono_ms() > end) {
				log_warn("the %s does not stop: killing it", child_names[order[i]]);
				kill(c->pid, SIGKILL);
				end = UINT64_MAX;
			}
			poll(NULL, 0, 10);
		}
		close(c->fd);
		*c = (struct child){ .fd = -1 };
	}
}

static enum err open_signals(int *ret_fd)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return ERR_SYSTEM;
	*ret_fd = fd;
	return ERR_NONE;
}

/* What only a gateway has. */
static enum err open_api(struct parent *p)
{
	const struct conf *c = p->conf;

	enum err e = host_open_http(c, &p->http_fd);
	if (e == ERR_NONE)
		e = host_open_admin(c, &p->admin_fd);
	return e != ERR_NONE ? e : host_open_api_tls(c, &p->api_tls);
}

static enum err open_site(struct parent *p)
{
	enum err e = host_uplink_open(p->site, &p->uplink);
	return e != ERR_NONE ? e : host_site_pin(p->site);
}

static enum err open_all(struct parent *p)
{
	const struct conf *c = p->conf;
	enum err e = secret_protect_process();

	if (e == ERR_NONE)
		e = open_signals(&p->signal_fd);
	if (e == ERR_NONE)
		e = host_open_state_dir(c);
	if (e == ERR_NONE)
		e = host_open_seal_keys(c, &p->seal_keys);
	if (e == ERR_NONE)
		e = crypt_seal_public_of(&p->seal_keys.key[0], &p->seal);
	if (e == ERR_NONE)
		e = p->site != NULL ? host_open_status(c, &p->status_fd) : open_api(p);
	if (e == ERR_NONE)
		e = host_open_etcd_tls(c, &p->etcd_tls);
	if (e == ERR_NONE)
		e = host_open_cluster(c, &p->cluster);
	if (e == ERR_NONE)
		e = host_open_sockets(c, p->workers, &p->sockets);
	if (e == ERR_NONE && p->site != NULL)
		e = open_site(p);
	if (e == ERR_NONE)
		e = host_offramps_new(p->workers, c->offramp_mtu, c->install_routes, p->site, &p->offramps);
	return e;
}

int host_run(const struct conf *c, struct conf_site *site, const struct host_mains *mains)
{
	struct parent p = { .conf = c, .site = site, .mains = mains, .workers = host_worker_cnt(c), .http_fd = -1,
			    .admin_fd = -1, .status_fd = -1, .cluster = HOST_NO_CLUSTER, .uplink = { .fd = -1 } };

	for (unsigned i = 0; i < CHILD_CNT; i++)
		p.child[i].fd = -1;
	if (site != NULL)
		p.child[CHILD_API].start_at_ms = UINT64_MAX;
	enum err e = open_all(&p);
	if (e == ERR_NONE) {
		serve(&p);
		log_info("stopping");
		host_notify("STOPPING=1");
		stop_children(&p);
		host_offramps_free(p.offramps);
	}
	if (site != NULL)
		host_site_unpin(site);
	secret_wipe(&p.seal_keys, sizeof(p.seal_keys));
	host_tls_fini(&p.api_tls);
	host_tls_fini(&p.etcd_tls);
	free(p.sockets.s);
	return e == ERR_NONE ? 0 : 1;
}
