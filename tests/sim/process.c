#include "process.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/secret.h"
#include "cover.h"
#include "history.h"
#include "worker.h"
#include "world_ip.h"
#include "world_nat.h"

#define RING_CNT 64
#define TURN_US 50000u
#define MESH_PORT 4511

struct processes all;
const struct process *process_copied;

bool process_is_honest(const struct process *p)
{
	return p->kind == PROCESS_GATEWAY || p->site_kind == SITE_HONEST;
}

bool process_is_wanted(const struct process *p)
{
	return p->kind == PROCESS_SITE && p->site_kind == SITE_HONEST && p->stored.there && p->file.generation == p->stored.generation &&
	       p->file.key == p->stored.key && p->file.named == p->stored.named;
}

/* ---- the parent ---- */

static void want_offramp(void *arg, uint32_t account_number, const char *netns)
{
	(void)arg, (void)account_number, (void)netns;
}

static void drop_offramp(void *arg, uint32_t account_number)
{
	(void)arg, (void)account_number;
}

static void set_routes(void *arg, uint32_t account_number, const struct addr_prefix *prefixes, size_t cnt)
{
	(void)arg, (void)account_number, (void)prefixes, (void)cnt;
}

static bool on_readable(void *arg, struct control *c)
{
	(void)arg, (void)c;
	return true;
}

/* ---- life ---- */

static bool is_node(const struct process *p)
{
	return p->kind == PROCESS_GATEWAY && all.clustered;
}

static void make_rings(struct process *p)
{
	p->rings = (struct fwd_punt_rings){ .wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	p->parent_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must(p->rings.wake_fd >= 0 && p->parent_fd >= 0);
	must(ring_init(&p->rings.punts, RING_CNT, sizeof(struct fwd_punt)) == ERR_NONE);
	must(ring_init(&p->rings.known, RING_CNT, sizeof(struct fwd_punt)) == ERR_NONE);
	must(ring_init(&p->rings.notices, RING_CNT, sizeof(struct fwd_notice)) == ERR_NONE);
	if (!is_node(p))
		return;
	must(ring_init(&p->rings.strays, RING_CNT, sizeof(struct fwd_stray)) == ERR_NONE);
	must(ring_init(&p->rings.returns, RING_CNT, sizeof(struct fwd_stray)) == ERR_NONE);
	must(ring_init(&p->rings.inners, RING_CNT, sizeof(struct fwd_inner)) == ERR_NONE);
	must(ring_init(&p->rings.seals, RING_CNT, sizeof(struct fwd_inner)) == ERR_NONE);
}

static void end_rest(struct process *p)
{
	p->c = NULL;
	cover_process(p);
	world_net_mesh(p->who, -1, &p->conf.cluster.mesh_address);
	fwd_free(p->fwd);
	ring_fini(&p->rings.punts);
	ring_fini(&p->rings.known);
	ring_fini(&p->rings.notices);
	ring_fini(&p->rings.strays);
	ring_fini(&p->rings.returns);
	ring_fini(&p->rings.inners);
	ring_fini(&p->rings.seals);
	close(p->rings.wake_fd);
	close(p->parent_fd);
}

static int open_mesh(struct process *p)
{
	int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); /* always readable: whoever runs is asked for what has come */

	must(fd >= 0);
	world_net_mesh(p->who, fd, &p->conf.cluster.mesh_address);
	return fd;
}

static enum err start_control(struct process *p)
{
	for (unsigned i = 0; i < ARRAY_LEN(p->sockets); i++) {
		p->sockets[i].local = (struct addr_endpoint){ p->addr, i == 0 ? 500 : 4500 };
		p->sockets[i].fd = world_net_socket(p->who, i, &p->sockets[i].local);
	}
	make_rings(p);
	must(fwd_new(1, p->incarnation, &p->fwd) == ERR_NONE);
	const struct control_config config = {
		.conf = &p->conf, .site = p->kind == PROCESS_GATEWAY ? NULL : &p->site,
		.cluster = is_node(p) ? &p->conf.cluster : NULL, .mesh_fd = is_node(p) ? open_mesh(p) : -1,
		.fragments = is_node(p) ? world_ip_open(p->who) : IO_FRAGMENTS_NONE,
		.store = p->store, .store_ipc_fd = -1, .live_fd = -1, .seal_keys = &all.seal, .incarnation = p->incarnation,
		.fwd = p->fwd, .rings = &p->rings, .worker_cnt = 1, .sockets = p->sockets, .socket_cnt = ARRAY_LEN(p->sockets),
		.parent = { .fd = p->parent_fd, .want_offramp = want_offramp, .drop_offramp = drop_offramp,
			    .set_routes = set_routes, .on_readable = on_readable },
	};
	return control_new(&config, &p->c);
}

bool process_start(struct process *p)
{
	if (p->kind == PROCESS_SITE)
		tunnel_read_file(p);
	(void)world_enter(&p->clock);
	enum err e = control_incarnation_take(p->store, &p->incarnation);
	if (e == ERR_NONE && process_copied != NULL && process_copied != p)
		p->incarnation = process_copied->incarnation;
	if (e == ERR_NONE) {
		e = start_control(p);
		if (e != ERR_NONE)
			end_rest(p);
	}
	(void)world_enter(NULL);
	history_add("%s starts with incarnation %u: %s", p->name, p->incarnation, err_text(e));
	p->poked = true;
	p->frozen_us = 0;
	p->packets_us = world_now_us();
	world_link_of(p->store)->frozen = false;
	return e == ERR_NONE;
}

/* It writes nothing any more, and says nothing. */
void process_kill(struct process *p)
{
	history_add("%s dies", p->name);
	(void)world_enter(&p->clock);
	world_dying(true);
	control_free(p->c);
	world_dying(false);
	world_ip_forget(p->who);
	end_rest(p);
	(void)world_enter(NULL);
	p->dead_us = world_now_us();
}

void process_over_etcd(struct process *p)
{
	p->conf.store_engine = CONF_STORE_ETCD;
	world_link_of(p->store)->remote = true;
}

void process_empty(struct process *p)
{
	world_store_clear(p->ws);
}

bool process_is_frozen(const struct process *p)
{
	return world_now_us() < p->frozen_us;
}

void process_turn(struct process *p)
{
	bool due = world_link_run(p->store);

	if (p->c == NULL || process_is_frozen(p))
		return;
	if (!due && !p->poked && world_now_us() < p->turn_us && !world_dh_due(p->c->dh) && !world_mesh_due(p->who) &&
	    !world_ip_due(p->who))
		return;
	p->poked = false;
	p->turn_us = world_now_us() + world_random(TURN_US);
	(void)world_enter(&p->clock);
	control_turn(p->c, 0);
	worker_turn(p);
	(void)world_enter(NULL);
}

void process_deliver(struct process *p, const struct world_datagram *d)
{
	static struct fwd_punt punt;

	p->poked = true;
	if (d->told_rev > p->told_rev)
		p->told_rev = d->told_rev;
	if (d->esp) {
		worker_take(p, d);
		return;
	}
	if (d->len < 28) /* a keepalive is the worker's */
		return;
	punt = (struct fwd_punt){ .local = d->to, .natt = d->marker, .len = (uint16_t)d->len, .remote = d->source };
	struct wr w = wr_of(SPACE_OF(punt.msg));
	wr_put(&w, bytes_of(d->b, d->len));
	must(!w.bad);
	if (ring_push(fwd_punt_ring(&p->rings, bytes_of(d->b, d->len)), &punt))
		(void)eventfd_write(p->rings.wake_fd, 1);
}

unsigned process_site_number(const struct process *site)
{
	return site->who - all.gateways + 1;
}

struct process *process_site(unsigned number)
{
	return &all.p[all.gateways + number - 1];
}

struct control_tunnel *process_tunnel(const struct process *p, unsigned site)
{
	const struct model_id id = tunnel_id(process_site(site));
	struct hmap_walk w;

	if (p->kind == PROCESS_GATEWAY)
		return control_tunnel_find(p->c, &id);
	return CONTAINER_OF(hmap_walk_first(&p->c->tunnels, &w), struct control_tunnel, by_id);
}

void process_tell_drops(const struct process *p)
{
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];

	if (p->c == NULL)
		return;
	fwd_counters_sum(p->fwd, drop, counter);
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		if (drop[i] != 0)
			history_add("%s has dropped %llu: %s", p->name, (unsigned long long)drop[i],
				    model_drop_name(i));
}

unsigned process_inits(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < all.cnt; i++)
		cnt += process_is_honest(&all.p[i]) ? world_inits(i) : 0;
	return cnt;
}

/* ---- all ---- */

static void init_gateway(struct process *p, struct world_store *ws)
{
	p->kind = PROCESS_GATEWAY;
	p->ws = ws;
	snprintf(p->name, sizeof(p->name), "node %u", p->who);
	must(addr_parse(bytes_str("192.0.2.1"), &p->addr) == ERR_NONE);
	snprintf(p->conf.cluster.node, sizeof(p->conf.cluster.node), "n%u", p->who);
	snprintf(p->conf.cluster.site, sizeof(p->conf.cluster.site), "default");
	char text[32];
	snprintf(text, sizeof(text), "10.0.0.%u", p->who + 1);
	must(addr_parse(bytes_str(text), &p->conf.cluster.mesh_address.addr) == ERR_NONE);
	p->conf.cluster.mesh_address.port = MESH_PORT;
}

static void init_site(struct process *p, unsigned number, enum site_kind kind)
{
	char text[32];

	p->kind = PROCESS_SITE;
	p->site_kind = kind;
	p->ws = world_store_new();
	snprintf(p->name, sizeof(p->name), "site %u", number);
	snprintf(text, sizeof(text), "192.0.2.%u", number + 1);
	must(addr_parse(bytes_str(text), &p->addr) == ERR_NONE);
}

static void init_process(struct process *p, unsigned honest)
{
	unsigned number = p->who - all.gateways + 1;

	conf_init(&p->conf);
	p->conf.ike_fragment_mtu = all.settings.fragment_mtu;
	if (all.settings.cookies)
		p->conf.cookie_threshold = 0;
	if (p->who < all.gateways)
		init_gateway(p, all.ws);
	else
		init_site(p, number, number <= honest ? SITE_HONEST : p->who == all.cnt - 1 ? SITE_FORGER : SITE_WRONG_KEY);
	p->conf.gateway_address_cnt = 1;
	p->conf.gateway_addresses[0] = p->addr;
	p->store = world_link_open(p->ws, p->who);
	world_link_of(p->store)->remote = all.clustered && p->kind == PROCESS_GATEWAY;
	if (all.clustered)
		p->clock = (struct world_clock){ world_random(1000000000), (int64_t)world_random(1000000) - 500000 };
}

void processes_init(unsigned gateways, bool clustered, unsigned honest, bool strangers, const struct tunnel_settings *settings)
{
	unsigned sites = honest + (strangers ? 2 : 0);

	must(gateways + sites <= WORLD_PROCESSES_MAX);
	all = (struct processes){ .gateways = gateways, .cnt = gateways + sites, .clustered = clustered, .ws = world_store_new(),
				  .settings = *settings };
	process_copied = NULL;
	worker_lawless = NULL;
	world_told = all.ws;
	all.seal.cnt = 1;
	must(crypt_seal_generate(&all.seal.key[0]) == ERR_NONE);
	memset(all.account_id.b, 7, sizeof(all.account_id.b));
	for (unsigned i = 0; i < all.cnt; i++) {
		all.p[i].who = i;
		init_process(&all.p[i], honest);
	}
	tunnels_begin();
}

void processes_fini(void)
{
	for (unsigned i = 0; i < all.cnt; i++) {
		struct process *p = &all.p[i];
		if (p->c != NULL)
			process_kill(p);
		world_link_close(p->store);
		if (p->kind == PROCESS_SITE)
			world_store_free(p->ws);
		secret_fini(&p->tunnel.psk);
	}
	world_store_free(all.ws);
}
