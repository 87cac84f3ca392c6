// The control thread's loop: one place that waits, everything else is called from here.
#include "control/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secret.h"
#include "crypt/prf.h"
#include "crypt/random.h"

#define PUNTS_A_TURN 64           /* datagrams of one worker before the others have their turn */
#define COOKIE_LIFE_US 120000000u /* a cookie secret serves this long, and as long again as the one before */
#define TURN_MAX_US 1000000u

/* What an epoll event is about; workers are SOURCE_WORKER and up. */
enum source {
	SOURCE_SIGNAL,
	SOURCE_PARENT,
	SOURCE_STORE,
	SOURCE_DH,
	SOURCE_LIVE,
	SOURCE_MESH,
	SOURCE_FRAGMENT4,
	SOURCE_FRAGMENT6,
	SOURCE_CLIENT,
	SOURCE_WORKER = SOURCE_CLIENT + CONTROL_CLIENTS_MAX,
};

static enum err watch_events(struct control *c, int fd, uint32_t events, unsigned source)
{
	struct epoll_event ev = { .events = events, .data.u32 = source };
	return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? ERR_NONE : ERR_SYSTEM;
}

static enum err watch_fd(struct control *c, int fd, unsigned source)
{
	return watch_events(c, fd, EPOLLIN, source);
}

/* An eventfd: each write is an event, so that its counter need not be read. */
static enum err watch_bell(struct control *c, int fd, unsigned source)
{
	return watch_events(c, fd, EPOLLIN | EPOLLET, source);
}

/* ---- start ---- */

static void turn_cookie_secret(struct control *c)
{
	c->world.cookie_key[1] = c->world.cookie_key[0];
	crypt_random(&c->world.cookie_key[0], sizeof(c->world.cookie_key[0]));
	c->world.cookie_version++;
	c->cookie_turn_us = c->now_us + COOKIE_LIFE_US;
}

/* The key of the check bytes in SPIs is the same after a restart: SAs that live on keep their SPIs. */
static enum err make_world(struct control *c)
{
	uint8_t spi_key[16];

	enum err e = control_keys_load(c, c->cfg.store);
	if (e == ERR_NONE)
		e = crypt_hkdf((struct bytes){ NULL, 0 }, BYTES_OF(c->secret), bytes_str("onramp spi"), spi_key,
			       sizeof(spi_key));
	if (e != ERR_NONE)
		return e;
	c->world = (struct ike_world){ .domain = c->cfg.conf->identity_domain, .find_tunnel = control_find_tunnel,
				       .find_previous_psk = control_find_previous_psk,
				       .fragment_mtu = (uint16_t)c->cfg.conf->ike_fragment_mtu,
				       .find_selectors = control_find_selectors, .find_rows = control_find_rows,
				       .arg = c };
	struct rd r = rd_of(BYTES_OF(spi_key));
	c->world.spi_key.k0 = rd_u64(&r);
	c->world.spi_key.k1 = rd_u64(&r);
	for (unsigned i = 0; i < c->cfg.worker_cnt; i++)
		c->cfg.rings[i].spi_key = c->world.spi_key;
	crypt_random(c->world.decoy_psk, sizeof(c->world.decoy_psk));
	crypt_random(&c->hash_key, sizeof(c->hash_key));
	turn_cookie_secret(c);
	turn_cookie_secret(c);
	return ERR_NONE;
}

static enum err make_tables(struct control *c)
{
	struct hmap *all[] = { &c->accounts_by_id, &c->accounts_by_number, &c->tunnels, &c->routes, &c->by_customer, &c->by_remote, &c->halves_by_spi,
			       &c->halves_by_init, &c->sas, &c->children, &c->ops, &c->sources, &c->buried, &c->reads, &c->lots, &c->relist.seen };
	enum err e = ERR_NONE;
	for (size_t i = 0; e == ERR_NONE && i < ARRAY_LEN(all); i++)
		e = hmap_init(all[i]);
	return e;
}

static enum err open_signals(struct control *c)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return c->signal_fd < 0 ? ERR_SYSTEM : ERR_NONE;
}

/* The api process may change the configuration and read states; nothing else of the store is its business. */
static enum err start_store(struct control *c, uint64_t rev)
{
	enum { SAS_CNT = 2 }; /* of the shared ones: what a gateway follows that is alone */
	static const char *const read[] = { "cfg/", "st/", NULL }, *const write[] = { "cfg/", NULL };
	static const char *const shared[] = { MODEL_KEY_IKE, MODEL_KEY_CHILD, MODEL_KEY_SEQUENCE, MODEL_KEY_CURRENT, MODEL_KEY_WHY,
					      MODEL_KEY_NODES, MODEL_KEY_COOKIE, MODEL_KEY_TICK, MODEL_KEY_FORMAT };
	static const struct store_role role = { .read = read, .write = write };
	const size_t cnt = c->clustered ? ARRAY_LEN(shared) : c->followed ? SAS_CNT : 0;

	enum err e = store_thread_start(c->cfg.store, c->cfg.store_ipc_fd, &role, &c->store);
	if (e == ERR_NONE)
		e = store_thread_watch(c->store, bytes_str(MODEL_KEY_CFG), rev);
	for (size_t i = 0; e == ERR_NONE && i < cnt; i++)
		e = store_thread_watch(c->store, bytes_str(shared[i]), rev);
	return e;
}

static enum err watch_all(struct control *c)
{
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	enum err e = c->epoll_fd < 0 ? ERR_SYSTEM : watch_fd(c, c->signal_fd, SOURCE_SIGNAL);
	if (e == ERR_NONE)
		e = watch_fd(c, c->cfg.parent.fd, SOURCE_PARENT);
	if (e == ERR_NONE)
		e = watch_fd(c, store_thread_fd(c->store), SOURCE_STORE);
	if (e == ERR_NONE)
		e = watch_bell(c, control_dh_fd(c->dh), SOURCE_DH);
	if (e == ERR_NONE && c->live_fd >= 0)
		e = watch_fd(c, c->live_fd, SOURCE_LIVE);
	if (e == ERR_NONE && control_mesh_fd(c) >= 0)
		e = watch_fd(c, control_mesh_fd(c), SOURCE_MESH);
	if (e == ERR_NONE && control_gather_fd(c, false) >= 0)
		e = watch_fd(c, control_gather_fd(c, false), SOURCE_FRAGMENT4);
	if (e == ERR_NONE && control_gather_fd(c, true) >= 0)
		e = watch_fd(c, control_gather_fd(c, true), SOURCE_FRAGMENT6);
	for (unsigned i = 0; e == ERR_NONE && i < c->cfg.worker_cnt; i++)
		e = watch_bell(c, c->cfg.rings[i].wake_fd, SOURCE_WORKER + i);
	return e;
}

static enum err load_all(struct control *c, uint64_t *ret_rev)
{
	fwd_hold(c->fwd); /* until the configuration is published */
	enum err e = control_clock_load(c, c->cfg.store);
	if (e == ERR_NONE)
		e = control_format_load(c, c->cfg.store);
	if (e == ERR_NONE)
		e = control_config_load(c, c->cfg.store, ret_rev);
	if (e == ERR_NONE && c->cfg.site != NULL)
		e = control_site_load(c);
	if (e == ERR_NONE)
		e = control_keys_reseal(c, c->cfg.store);
	if (e == ERR_NONE)
		e = control_states_load(c, c->cfg.store);
	if (e == ERR_NONE)
		e = control_why_load(c, c->cfg.store);
	if (e == ERR_NONE)
		e = control_restore(c, c->cfg.store);
	if (e == ERR_NONE) {
		struct hmap_walk w;
		for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); n != NULL;
		     n = hmap_walk_next(&c->tunnels, &w))
			control_tunnel_check_up(c, CONTAINER_OF(n, struct control_tunnel, by_id));
		control_config_publish(c);
		control_site_begin(c);
	}
	return e;
}

MUST_USE enum err control_new(const struct control_config *config, struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	uint64_t rev = 0;

	if (c == NULL)
		return ERR_MEMORY;
	c->cfg = *config;
	c->clustered = config->cluster != NULL;
	c->followed = c->clustered || config->conf->store_engine == CONF_STORE_ETCD;
	c->fwd = config->fwd;
	c->counters = fwd_control_counters(config->fwd);
	c->live_fd = config->live_fd;
	c->epoll_fd = c->signal_fd = -1;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		c->client_fds[i] = -1;
	c->seal_keys = *config->seal_keys;
	c->commit_log = (struct log_limit){ .burst = 5, .window_ms = 10000 };
	c->failure_log = (struct log_limit){ .burst = 20, .window_ms = 10000 };
	control_clock_init(c);
	crypt_iv_space_init(&c->ike_iv, config->incarnation);
	c->read_budget.fill_us = c->now_us;
	enum err e = make_tables(c);
	if (e == ERR_NONE)
		e = make_world(c);
	if (e == ERR_NONE)
		e = control_psks_init(c);
	if (e == ERR_NONE)
		e = control_steps_init(c);
	if (e == ERR_NONE)
		e = open_signals(c);
	if (e == ERR_NONE)
		e = control_seq_start(c);
	if (e == ERR_NONE)
		e = load_all(c, &rev);
	control_clock_read(c); /* that may have taken longer than a lease lasts */
	if (e == ERR_NONE)
		e = control_mesh_start(c);
	if (e == ERR_NONE)
		e = control_gather_start(c);
	if (e == ERR_NONE)
		e = control_node_start(c, config->store);
	if (e == ERR_NONE)
		e = control_seen_start(c);
	if (e == ERR_NONE)
		e = control_dh_new(config->conf->dh_threads, &c->dh);
	if (e == ERR_NONE)
		e = start_store(c, rev);
	if (e == ERR_NONE)
		e = watch_all(c);
	if (e != ERR_NONE) {
		log_error("control cannot start: %s", err_text(e));
		control_free(c);
		return e;
	}
	control_mesh_applied(c, rev);
	*ret = c;
	return ERR_NONE;
}

void control_free(struct control *c)
{
	if (c == NULL)
		return;
	c->flush_us = 0;
	if (c->store != NULL) {
		c->stop = true;
		control_states_flush(c);
		control_why_flush(c);
		control_node_leave(c);
		store_thread_stop(c->store);
	}
	control_mesh_free(c);
	control_gather_free(c);
	control_seen_free(c);
	control_node_free(c);
	control_held_free(c);
	control_reads_free(c);
	control_park_free(c);
	control_relist_free(c);
	control_graves_free(c);
	control_orphans_free(c);
	control_dh_free(c->dh);
	struct hmap_walk w;
	for (struct hmap_node *n = hmap_walk_first(&c->ops, &w); n != NULL; n = hmap_walk_next(&c->ops, &w))
		control_op_free(c, CONTAINER_OF(n, struct control_op, by_tag));
	hmap_fini(&c->ops);
	control_steps_free(c);
	control_sas_free(c);
	control_seq_free(c);
	control_site_free(c);
	control_psks_free(c);
	control_config_free(c);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->client_fds[i] >= 0)
			close(c->client_fds[i]);
	const int fds[] = { c->epoll_fd, c->signal_fd, c->live_fd };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	secret_wipe(c, sizeof(*c));
	free(c);
}

/* ---- events ---- */

/* False: more may wait. */
static bool take_punts(struct control *c, struct ring *ring)
{
	const struct fwd_punt *p;
	unsigned done = 0;

	while (done < PUNTS_A_TURN && (p = ring_peek(ring)) != NULL) {
		control_datagram(c, p);
		ring_done(ring);
		done++;
	}
	return done < PUNTS_A_TURN;
}

static void take_stray(struct control *c, const void *element)
{
	control_park_packet(c, element);
}

static void take_inner(struct control *c, const void *element)
{
	control_seq_local(c, element);
}

/* As many as there were when it began: a flood of them does not hold up the rest. */
static void take_packets(struct control *c, struct ring *ring, unsigned cnt, void (*take)(struct control *c, const void *element))
{
	const void *element;

	for (unsigned i = 0; i < cnt && ring->slots != NULL && (element = ring_peek(ring)) != NULL; i++) {
		take(c, element);
		ring_done(ring);
	}
}

static void take_worker(struct control *c, unsigned worker)
{
	struct fwd_punt_rings *r = &c->cfg.rings[worker];
	struct fwd_notice n;
	const uint64_t one = 1;

	while (ring_pop(&r->notices, &n))
		control_notice(c, &n);
	take_packets(c, &r->strays, FWD_STRAY_CNT, take_stray);
	take_packets(c, &r->inners, FWD_INNER_CNT, take_inner);
	/* Messages to SAs first: each turn of new ones, a flood of them too, comes after all those that wait. */
	bool empty = take_punts(c, &r->known);
	if (empty)
		empty = take_punts(c, &r->punts);
	if (!empty) /* come back after the others */
		(void)!write(r->wake_fd, &one, sizeof(one));
}

static void take_committed(void *arg, const struct store_done *done)
{
	struct control *c = arg;

	if (done->tag == 0 && done->result.err != ERR_NONE)
		log_warn("a tunnel's state could not be written: %s", err_text(done->result.err));
	else if (done->tag != 0 && !control_node_done(c, done) && !control_marks_done(c, done) && !control_read_done(c, done) &&
		 !control_relist_done(c, done) && !control_ivs_done(c, done) && !control_seq_done(c, done))
		control_op_committed(c, done);
}

static void take_change(void *arg, const struct store_row *row)
{
	if (!control_relist_row(arg, row))
		return;
	if (bytes_starts(row->key, bytes_str(MODEL_KEY_CFG)))
		control_config_change(arg, row);
	else if (bytes_starts(row->key, bytes_str(MODEL_KEY_WHY)))
		control_why_change(arg, row);
	else if (bytes_eq(row->key, bytes_str(MODEL_KEY_INCARNATION)))
		control_ivs_row(arg, row);
	else if (!control_node_change(arg, row))
		control_mirror_change(arg, row);
}

static void take_dh(struct control *c)
{
	struct control_dh_done d;

	while (control_dh_take(c->dh, &d)) {
		control_op_dh_done(c, &d);
		secret_wipe(&d, sizeof(d));
	}
}

static void take_store(struct control *c)
{
	store_thread_poll(c->store, take_committed, take_change, c);
	control_mirror_settle(c);
	control_config_publish(c);
	uint64_t seen = store_thread_seen(c->store);
	if (seen <= c->seen_rev)
		return;
	c->seen_rev = seen;
	control_mesh_applied(c, seen);
}

/* Somebody asks a site for its status: the socket's mode has decided who may. */
static void accept_client(struct control *c)
{
	int fd = accept4(c->live_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	unsigned i = 0;

	while (i < CONTROL_CLIENTS_MAX && c->client_fds[i] >= 0)
		i++;
	if (fd < 0)
		return;
	if (i == CONTROL_CLIENTS_MAX || watch_fd(c, fd, SOURCE_CLIENT + i) != ERR_NONE)
		close(fd);
	else
		c->client_fds[i] = fd;
}

/* A service manager may send it to each process, and the parent then once more. */
static void take_signal(struct control *c)
{
	struct signalfd_siginfo si;

	(void)!read(c->signal_fd, &si, sizeof(si));
	if (c->cfg.site == NULL)
		c->stop = true;
	else if (c->end_us == 0)
		control_site_leave(c);
}

static void take_event(struct control *c, unsigned source)
{
	switch (source) {
	case SOURCE_SIGNAL:
		take_signal(c);
		break;
	case SOURCE_PARENT:
		if (!c->cfg.parent.on_readable(c->cfg.parent.arg, c))
			c->stop = true;
		break;
	case SOURCE_STORE:
		take_store(c);
		break;
	case SOURCE_DH:
		take_dh(c);
		break;
	case SOURCE_LIVE:
		if (c->cfg.site != NULL)
			accept_client(c);
		else
			control_live_serve(c, &c->live_fd);
		break;
	case SOURCE_MESH:
		control_mesh_receive(c);
		break;
	case SOURCE_FRAGMENT4:
	case SOURCE_FRAGMENT6:
		control_gather_receive(c, source == SOURCE_FRAGMENT6);
		break;
	default:
		if (source < SOURCE_WORKER)
			control_live_serve(c, &c->client_fds[source - SOURCE_CLIENT]);
		else
			take_worker(c, source - SOURCE_WORKER);
		break;
	}
}

static int next_timeout_ms(const struct control *c)
{
	uint64_t at = control_sas_next_us(c), turn = c->now_us + TURN_MAX_US, start = control_site_next_us(c);
	if (start < at)
		at = start;
	if (control_mesh_next_us(c) < at)
		at = control_mesh_next_us(c);
	if (control_children_next_us(c) < at)
		at = control_children_next_us(c);
	if (control_why_next_us(c) < at)
		at = control_why_next_us(c);
	if (control_held_next_us(c) < at)
		at = control_held_next_us(c);
	if (control_gather_next_us(c) < at)
		at = control_gather_next_us(c);
	if (control_park_next_us(c) < at)
		at = control_park_next_us(c);
	if (control_seq_next_us(c) < at)
		at = control_seq_next_us(c);
	if (control_relist_next_us(c) < at)
		at = control_relist_next_us(c);
	if (c->dirty != NULL && c->flush_us < at)
		at = c->flush_us;
	if (c->publish_due && c->publish_us < at)
		at = c->publish_us;
	if (control_psks_wait(c))
		at = c->now_us;
	if (at > turn)
		at = turn;
	return at <= c->now_us ? 0 : (int)((at - c->now_us) / 1000 + 1);
}

void control_turn(struct control *c, int wait_ms)
{
	struct epoll_event events[32];

	int n = epoll_wait(c->epoll_fd, events, (int)ARRAY_LEN(events), wait_ms);
	log_hold();
	control_clock_read(c);
	control_seq_turn(c);
	for (int i = 0; i < n; i++)
		take_event(c, events[i].data.u32);
	control_sas_timers(c);
	control_site_timers(c);
	control_park_timers(c);
	control_gather_timers(c);
	c->stop = c->stop || (c->end_us != 0 && control_site_left(c));
	control_why_tick(c);
	control_states_flush(c);
	if (c->publish_due)
		control_config_publish(c);
	control_children_check(c);
	control_psks_tick(c);
	control_ivs_tick(c);
	control_mirror_tick(c);
	control_orphans_tick(c);
	control_relist_tick(c);
	control_held_run(c);
	fwd_collect(c->fwd);
	control_node_timers(c);
	control_seen_timers(c);
	control_mesh_timers(c);
	control_seq_timers(c);
	if (c->node == NULL && c->now_us >= c->cookie_turn_us)
		turn_cookie_secret(c);
	log_release();
}

void control_run(struct control *c)
{
	while (!c->stop) {
		control_clock_read(c);
		control_turn(c, next_timeout_ms(c));
	}
}

/* ---- from the parent ---- */

void control_set_sockets(struct control *c, const struct control_socket *sockets, unsigned cnt)
{
	c->cfg.sockets = sockets;
	c->cfg.socket_cnt = cnt;
}

void control_offramp(struct control *c, uint32_t account_number, enum err result, uint16_t mtu, const int *fds,
		     unsigned cnt)
{
	enum err e = result != ERR_NONE || cnt == 0 ? ERR_AWAY
						    : fwd_account_offramp(c->fwd, account_number, fds, cnt, mtu);
	if (e == ERR_NONE)
		return;
	if (result == ERR_NONE) /* else the parent has told the log why */
		log_error("account %u has no off-ramp: %s", account_number, err_text(e));
	for (unsigned i = 0; i < cnt; i++)
		close(fds[i]);
}

void control_attach(struct control *c, int store_fd, int live_fd)
{
	if (c->live_fd >= 0)
		close(c->live_fd);
	c->live_fd = live_fd;
	enum err e = store_thread_set_ipc(c->store, store_fd);
	if (e == ERR_NONE)
		e = watch_fd(c, live_fd, SOURCE_LIVE);
	if (e != ERR_NONE)
		log_error("the api cannot be attached: %s", err_text(e));
}
