// The gateway process: drops its rights, opens the store, takes an incarnation, starts the workers, runs control.
#include "bin/roles.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "bin/store.h"
#include "control/control.h"
#include "crypt/esp_cipher.h"
#include "crypt/locked.h"
#include "host/msg.h"
#include "host/rights.h"
#include "host/site.h"
#include "worker/worker.h"

struct gateway {
	struct fwd *fwd;
	struct fwd_punt_rings rings[FWD_WORKERS_MAX];
	struct worker *workers[FWD_WORKERS_MAX];
	struct control_socket sockets[HOST_SOCKETS_MAX];
	unsigned socket_cnt;
	struct host_gateway_env env;
	struct control *control;
};

/* ---- the parent ---- */

static void tell_parent(int fd, const struct host_msg *m)
{
	enum err e = host_msg_send(fd, m, NULL, 0);
	if (e != ERR_NONE)
		log_error("cannot reach the parent process: %s", err_text(e));
}

static void want_offramp(void *arg, uint32_t account_number, const char *netns)
{
	const struct gateway *g = arg;
	struct host_msg m = { .kind = HOST_MSG_OFFRAMP_WANT, .account_number = account_number };
	snprintf(m.netns, sizeof(m.netns), "%s", netns);
	tell_parent(g->env.parent_fd, &m);
}

static void drop_offramp(void *arg, uint32_t account_number)
{
	const struct gateway *g = arg;
	const struct host_msg m = { .kind = HOST_MSG_OFFRAMP_DROP, .account_number = account_number };
	tell_parent(g->env.parent_fd, &m);
}

static void set_routes(void *arg, uint32_t account_number, const struct addr_prefix *prefixes, size_t cnt)
{
	const struct gateway *g = arg;
	size_t done = 0;

	do {
		struct host_msg m = { .kind = HOST_MSG_ROUTES, .account_number = account_number };
		while (m.prefix_cnt < HOST_PREFIXES_MAX && done < cnt)
			m.prefixes[m.prefix_cnt++] = prefixes[done++];
		m.more = done < cnt;
		tell_parent(g->env.parent_fd, &m);
	} while (done < cnt);
}

/* ---- workers ---- */

static const enum worker_socket_kind kinds[] = { [HOST_SOCKET_IKE] = WORKER_SOCKET_IKE,
						 [HOST_SOCKET_NATT] = WORKER_SOCKET_NATT,
						 [HOST_SOCKET_ESP] = WORKER_SOCKET_ESP,
						 [HOST_SOCKET_ESP_DF] = WORKER_SOCKET_ESP_DF,
						 [HOST_SOCKET_ICMP] = WORKER_SOCKET_ICMP };

static bool is_udp(const struct host_socket *s)
{
	return s->kind == HOST_SOCKET_IKE || s->kind == HOST_SOCKET_NATT;
}

static enum err start_worker(struct gateway *g, unsigned index)
{
	const struct host_gateway_env *env = &g->env;
	struct worker_config c = { .index = index, .fwd = g->fwd, .rings = &g->rings[index] };

	for (unsigned i = 0; i < env->sockets.cnt; i++) {
		const struct host_socket *s = &env->sockets.s[i];
		if (is_udp(s) && s->worker != index)
			continue;
		must(c.socket_cnt < WORKER_SOCKETS_MAX);
		c.sockets[c.socket_cnt++] = (struct worker_socket){ s->fd, (uint8_t)kinds[s->kind],
								    s->worker == index && s->kind != HOST_SOCKET_ESP_DF, s->local };
	}
	return worker_start(&c, &g->workers[index]);
}

static enum err start_workers(struct gateway *g)
{
	enum err e = ERR_NONE;

	for (unsigned i = 0; e == ERR_NONE && i < g->env.workers; i++)
		e = start_worker(g, i);
	return e;
}

static void stop_workers(struct gateway *g)
{
	for (unsigned i = 0; i < g->env.workers; i++) {
		worker_stop(g->workers[i]);
		g->workers[i] = NULL;
	}
}

/* What control sends from: the sockets of one worker. */
static void list_sockets(struct gateway *g)
{
	const struct host_sockets *all = &g->env.sockets;

	g->socket_cnt = 0;
	for (unsigned i = 0; i < all->cnt; i++)
		if (is_udp(&all->s[i]) && all->s[i].worker == 0)
			g->sockets[g->socket_cnt++] = (struct control_socket){ all->s[i].fd, all->s[i].local };
}

/* ---- from the parent ---- */

/* A tunnel of a site has another local address. What comes while the workers change their sockets waits in those. */
static void take_move(struct gateway *g, struct control *c, const struct host_msg *m, const int *fds, unsigned cnt)
{
	struct host_sockets *all = &g->env.sockets;
	struct conf_site *site = g->env.site;
	const struct addr to = m->prefixes[0].addr;
	enum err e = site == NULL || m->tunnel >= site->tunnel_cnt || m->prefix_cnt != 1 ? ERR_SYNTAX : ERR_NONE;

	stop_workers(g);
	if (e == ERR_NONE) {
		host_site_close_unused(site, NULL, all);
		if (!host_has_address(all, &to))
			e = host_adopt_address(&to, g->env.workers, site->native_esp, fds, cnt, all);
	}
	if (e != ERR_NONE) {
		log_error("a tunnel cannot move: %s", err_text(e));
		for (unsigned i = 0; i < cnt; i++)
			close(fds[i]);
	} else {
		site->tunnels[m->tunnel].local_address = to;
		list_sockets(g);
	}
	enum err started = start_workers(g);
	if (started != ERR_NONE) {
		log_error("the workers cannot start again: %s", err_text(started));
		exit(1); /* the parent starts us anew */
	}
	control_set_sockets(c, g->sockets, g->socket_cnt);
	if (e == ERR_NONE)
		control_move(c, m->tunnel);
}

static bool read_parent(void *arg, struct control *c)
{
	struct gateway *g = arg;
	int fds[HOST_FDS_MAX];
	struct host_msg m;
	unsigned cnt;

	enum err e = host_msg_recv(g->env.parent_fd, &m, fds, &cnt);
	if (e != ERR_NONE)
		return e == ERR_AGAIN;
	if (m.kind == HOST_MSG_OFFRAMP) {
		control_offramp(c, m.account_number, (enum err)m.error, m.mtu, fds, cnt);
		return true;
	}
	if (m.kind == HOST_MSG_ATTACH && cnt == 2) {
		control_attach(c, fds[0], fds[1]);
		return true;
	}
	if (m.kind == HOST_MSG_MOVED) {
		take_move(g, c, &m, fds, cnt);
		return true;
	}
	for (unsigned i = 0; i < cnt; i++)
		close(fds[i]);
	return true;
}

static enum err make_rings(struct fwd_punt_rings *r, bool cluster)
{
	enum err e = ring_init(&r->punts, FWD_PUNT_CNT, sizeof(struct fwd_punt));
	if (e == ERR_NONE)
		e = ring_init(&r->known, FWD_KNOWN_CNT, sizeof(struct fwd_punt));
	if (e == ERR_NONE)
		e = ring_init(&r->notices, FWD_NOTICE_CNT, sizeof(struct fwd_notice));
	if (e == ERR_NONE && cluster)
		e = ring_init(&r->strays, FWD_STRAY_CNT, sizeof(struct fwd_stray));
	if (e == ERR_NONE && cluster)
		e = ring_init(&r->returns, FWD_STRAY_CNT, sizeof(struct fwd_stray));
	if (e == ERR_NONE && cluster)
		e = ring_init(&r->inners, FWD_INNER_CNT, sizeof(struct fwd_inner));
	if (e == ERR_NONE && cluster)
		e = ring_init(&r->seals, FWD_INNER_CNT, sizeof(struct fwd_inner));
	r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return e != ERR_NONE ? e : r->wake_fd < 0 ? ERR_SYSTEM : ERR_NONE;
}

/* ---- the whole ---- */

static enum err start_control(struct gateway *g)
{
	const struct host_gateway_env *env = &g->env;
	struct store *store;
	uint32_t incarnation = 0;

	enum err e = bin_store_use(env->conf, &env->etcd_tls, &store);
	if (e != ERR_NONE)
		return e;
	e = control_incarnation_take(store, &incarnation);
	if (e == ERR_NONE)
		e = fwd_new(env->workers, incarnation, &g->fwd);
	for (unsigned i = 0; e == ERR_NONE && i < env->workers; i++)
		e = make_rings(&g->rings[i], env->conf->cluster.mesh_address.port != 0);
	list_sockets(g);
	if (e != ERR_NONE) {
		log_error("the gateway cannot start: %s", err_text(e));
		store_free(store);
		return e;
	}
	const struct control_config config = {
		.conf = env->conf, .site = env->site,
		.cluster = env->conf->cluster.mesh_address.port != 0 ? &env->conf->cluster : NULL,
		.mesh_fd = env->cluster.mesh, .fragments = env->cluster.fragments,
		.store = store, .store_ipc_fd = env->store_fd, .live_fd = env->live_fd,
		.seal_keys = env->seal_keys, .incarnation = incarnation, .fwd = g->fwd, .rings = g->rings,
		.worker_cnt = env->workers, .sockets = g->sockets, .socket_cnt = g->socket_cnt,
		.parent = { .arg = g, .fd = env->parent_fd, .want_offramp = want_offramp,
			    .drop_offramp = drop_offramp, .set_routes = set_routes, .on_readable = read_parent },
	};
	log_info("incarnation %u, %u workers", incarnation, env->workers);
	return control_new(&config, &g->control);
}

int gateway_main(const struct host_gateway_env *env)
{
	static struct gateway g;
	const struct host_rights rights = { .user = env->conf->user, .write_dir = env->conf->state_dir,
					    .tcp = env->conf->store_engine == CONF_STORE_ETCD };
	const struct host_msg ready = { .kind = HOST_MSG_READY };

	g.env = *env;
	crypt_locked_start(); /* while it may raise limits */
	log_info("ESP crypto: %s", crypt_esp_chosen());
	enum err e = host_rights_drop(&rights);
	if (e == ERR_NONE)
		e = start_control(&g);
	if (e == ERR_NONE)
		e = start_workers(&g);
	if (e == ERR_NONE) {
		tell_parent(env->parent_fd, &ready);
		control_run(g.control);
	}
	stop_workers(&g);
	control_free(g.control);
	if (g.fwd != NULL)
		fwd_free(g.fwd);
	for (unsigned i = 0; i < env->workers; i++) {
		ring_fini(&g.rings[i].punts);
		ring_fini(&g.rings[i].known);
		ring_fini(&g.rings[i].notices);
		ring_fini(&g.rings[i].strays);
		ring_fini(&g.rings[i].returns);
		ring_fini(&g.rings[i].inners);
		ring_fini(&g.rings[i].seals);
	}
	return e == ERR_NONE ? 0 : 1;
}
