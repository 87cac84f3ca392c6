// A gateway and its sites, all of the real control code, under losses, delays and crashes that follow from a seed.
//   sim --seed N --count N [--trace]
// Each seed: the tunnels come up, then for a while processes die without farewell and start again, datagrams are lost, repeated and
// overtake each other, and SAs are rekeyed at random; then quiet, after which everything must agree.
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/secret.h"
#include "control/internal.h"

#define SITES_MAX 3
#define PROCESSES (SITES_MAX + 1) /* the gateway is the first */
#define STEP_US 5000u
#define SECOND_US UINT64_C(1000000)
#define UP_US (30 * SECOND_US)
#define FAULTS_US (40 * SECOND_US)
#define DEAD_US SECOND_US /* much less than the time after which the other end gives up */
#define QUIET_US (60 * SECOND_US)

static const char psk[] = "a key that is long enough for the simulation";

struct process {
	struct addr addr;
	struct store *store;         /* outlives it */
	uint32_t incarnation;
	struct control *c;
	struct fwd *fwd;
	struct fwd_punt_rings rings;
	struct control_socket sockets[2];
	int parent_fd;
	uint64_t start_us;           /* of one that is dead */
	struct conf conf;
	struct conf_site site;
	struct conf_tunnel tunnel;
};

static struct process process[PROCESSES];
static struct crypt_seal_ring seal;
static struct model_id account_id;
static bool trace;
static struct addr_prefix everything[] = { { .addr = { .family = ADDR_V4 } }, { .addr = { .family = ADDR_V6 } } };

#define TRACE(...) (trace ? (void)(printf("%10.3f ", (double)world_now_us() / 1e6), printf(__VA_ARGS__)) : (void)0)

/* ---- processes ---- */

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

static void start(unsigned who)
{
	struct process *p = &process[who];

	p->incarnation++;
	p->rings = (struct fwd_punt_rings){ .wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	p->parent_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must(p->rings.wake_fd >= 0 && p->parent_fd >= 0 && fwd_new(1, p->incarnation, &p->fwd) == ERR_NONE);
	must(ring_init(&p->rings.punts, 16, sizeof(struct fwd_punt)) == ERR_NONE);
	must(ring_init(&p->rings.known, 16, sizeof(struct fwd_punt)) == ERR_NONE);
	must(ring_init(&p->rings.notices, 16, sizeof(struct fwd_notice)) == ERR_NONE);
	for (unsigned i = 0; i < ARRAY_LEN(p->sockets); i++)
		p->sockets[i] = (struct control_socket){ (int)(who * 2 + i), { p->addr, i == 0 ? 500 : 4500 } };
	const struct control_config config = {
		.conf = &p->conf, .site = who == 0 ? NULL : &p->site, .mesh_fd = -1, .store = p->store, .store_ipc_fd = -1,
		.live_fd = -1, .seal_keys = &seal, .incarnation = p->incarnation, .fwd = p->fwd, .rings = &p->rings,
		.worker_cnt = 1, .sockets = p->sockets, .socket_cnt = ARRAY_LEN(p->sockets),
		.parent = { .fd = p->parent_fd, .want_offramp = want_offramp, .drop_offramp = drop_offramp,
			    .set_routes = set_routes, .on_readable = on_readable },
	};
	must(control_new(&config, &p->c) == ERR_NONE);
}

/* It writes nothing any more, and says nothing. */
static void kill_process(unsigned who)
{
	struct process *p = &process[who];

	world_dying(true);
	control_free(p->c);
	world_dying(false);
	p->c = NULL;
	fwd_free(p->fwd);
	ring_fini(&p->rings.punts);
	ring_fini(&p->rings.known);
	ring_fini(&p->rings.notices);
	close(p->rings.wake_fd);
	close(p->parent_fd);
}

/* ---- configuration ---- */

static void put(struct store *s, struct model_key key, struct bytes value)
{
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), value };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
	must(store_commit(s, &txn).err == ERR_NONE);
}

static void put_account(struct store *s, const struct addr *gateway)
{
	uint8_t room[MODEL_ACCOUNT_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_account a;

	model_account_init(&a);
	a.id = account_id;
	a.number = 1;
	a.endpoint_cnt = 1;
	a.endpoints[0] = *gateway;
	must(model_account_encode(&a, &w) == ERR_NONE);
	put(s, model_key_account(&a.id), wr_bytes(&w));
}

static void put_tunnel(struct store *s, unsigned who)
{
	uint8_t room[MODEL_TUNNEL_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_tunnel m;
	struct crypt_seal_public to;
	size_t len;

	model_tunnel_init(&m);
	m.id = account_id;
	m.id.b[15] = (uint8_t)who;
	m.account_id = account_id;
	snprintf(m.name, sizeof(m.name), "site%u", who);
	m.cloudflare_endpoint = process[0].addr;
	m.customer_endpoint = process[who].addr;
	m.psk_set_us = 1;
	must(model_tunnel_encode(&m, &w) == ERR_NONE);
	put(s, model_key_tunnel(&account_id, &m.id), wr_bytes(&w));
	struct model_psk k = { .tunnel_id = m.id, .set_us = 1 };
	const struct model_key key = model_key_psk(&account_id, &m.id);
	must(crypt_seal_public_of(&seal.key[0], &to) == ERR_NONE);
	must(crypt_box_seal(&to, model_key_bytes(&key), bytes_str(psk), SPACE_OF(k.current), &len) == ERR_NONE);
	k.current_len = (uint16_t)len;
	w = wr_of(SPACE_OF(room));
	must(model_psk_encode(&k, &w) == ERR_NONE);
	put(s, key, wr_bytes(&w));
}

static void configure_site(unsigned who)
{
	struct process *p = &process[who];
	struct conf_tunnel *t = &p->tunnel;

	*t = (struct conf_tunnel){ .gateway = process[0].addr, .local_address = p->addr, .dpd_delay = 30, .ike_lifetime = 86400,
				   .child_lifetime = 28800, .mtu = 1500, .mobike = true };
	snprintf(t->name, sizeof(t->name), "site%u", who);
	t->gateway_id = (struct conf_identity){ .type = IKE_ID_IPV4_ADDR, .len = 4 };
	struct rd r = rd_of(addr_bytes(&process[0].addr));
	rd_copy(&r, t->gateway_id.b, 4);
	t->local_ts = t->remote_ts = (struct conf_prefixes){ .cnt = ARRAY_LEN(everything), .p = everything };
	must(secret_set(&t->psk, bytes_str(psk)) == ERR_NONE);
	p->site = (struct conf_site){ .dh_threads = 1, .tun_mtu = 1400, .ike_fragment_mtu = 1280, .tunnel_cnt = 1, .tunnels = t };
}

static void configure(unsigned sites)
{
	seal.cnt = 1;
	must(crypt_seal_generate(&seal.key[0]) == ERR_NONE);
	memset(account_id.b, 7, sizeof(account_id.b));
	for (unsigned i = 0; i <= sites; i++) {
		struct process *p = &process[i];
		*p = (struct process){ 0 };
		char text[32];
		snprintf(text, sizeof(text), "192.0.2.%u", i + 1);
		must(addr_parse(bytes_str(text), &p->addr) == ERR_NONE && store_memory_new(&p->store) == ERR_NONE);
		conf_init(&p->conf);
		p->conf.gateway_address_cnt = 1;
		p->conf.gateway_addresses[0] = p->addr;
	}
	put_account(process[0].store, &process[0].addr);
	for (unsigned i = 1; i <= sites; i++) {
		put_tunnel(process[0].store, i);
		configure_site(i);
	}
}

/* ---- the run ---- */

static void deliver(unsigned sites, const struct world_datagram *d)
{
	static struct fwd_punt punt;
	unsigned to = 0;

	while (to <= sites && !addr_eq(&process[to].addr, &d->to.addr))
		to++;
	if (to > sites || process[to].c == NULL || d->len < 28) /* a keepalive is the worker's */
		return;
	punt = (struct fwd_punt){ .local = d->to, .natt = d->marker, .len = (uint16_t)d->len,
				  .remote = process[d->from / 2].sockets[d->from % 2].local };
	struct wr w = wr_of(SPACE_OF(punt.msg));
	wr_put(&w, bytes_of(d->b, d->len));
	must(!w.bad);
	if (ring_push(fwd_punt_ring(&process[to].rings, bytes_of(d->b, d->len)), &punt))
		(void)eventfd_write(process[to].rings.wake_fd, 1);
}

static void step(unsigned sites)
{
	struct world_datagram d;

	world_advance(STEP_US);
	while (world_take(&d))
		deliver(sites, &d);
	for (unsigned i = 0; i <= sites; i++)
		if (process[i].c != NULL)
			control_turn(process[i].c, 0);
}

static struct control_tunnel *some_tunnel(struct control *c, uint64_t which)
{
	struct hmap_walk w;
	struct hmap_node *n = hmap_walk_first(&c->tunnels, &w);

	for (which %= c->tunnels.cnt; which != 0; which--)
		n = hmap_walk_next(&c->tunnels, &w);
	return CONTAINER_OF(n, struct control_tunnel, by_id);
}

static void fault(unsigned sites)
{
	unsigned who = (unsigned)world_random(sites + 1);
	bool ike = world_random(4) == 0;

	if (process[who].c == NULL)
		return;
	if (world_random(3) == 0) {
		TRACE("process %u dies\n", who);
		kill_process(who);
		process[who].start_us = world_now_us() + world_random(DEAD_US);
	} else {
		enum err e = control_tunnel_rekey(process[who].c, some_tunnel(process[who].c, world_random(sites)), ike);
		TRACE("process %u rekeys %s: %s\n", who, ike ? "the IKE SA" : "Child SAs", err_text(e));
	}
}

static void revive(unsigned sites, uint64_t until_us)
{
	for (unsigned i = 0; i <= sites; i++) {
		if (process[i].c != NULL || process[i].start_us > until_us)
			continue;
		TRACE("process %u starts\n", i);
		start(i);
	}
}

/* ---- what must hold ---- */

static unsigned wrong;

static void fail(const char *what, unsigned who)
{
	printf("process %u: %s\n", who, what);
	wrong++;
}

struct counted {
	unsigned who, ike, child;
};

/* The table has what the store has. */
static void check_row(void *arg, const struct store_row *row)
{
	struct counted *n = arg;
	const struct control *c = process[n->who].c;
	uint64_t spi;
	uint32_t spi_in;

	if (model_key_ike_parse(row->key, &spi)) {
		const struct control_sa *sa = control_sa_find(c, spi);
		n->ike++;
		if (sa == NULL || sa->mod_rev != row->mod_rev)
			fail("an IKE SA is not as the store has it", n->who);
	} else if (model_key_child_parse(row->key, &spi_in)) {
		n->child++;
		if (control_child_find(c, spi_in) == NULL)
			fail("a Child SA of the store is not installed", n->who);
	}
}

/* One that is closed answers for a while, out of memory. */
static size_t open_sas(const struct control *c)
{
	struct hmap_walk w;
	size_t cnt = 0;

	for (struct hmap_node *n = hmap_walk_first(&c->sas, &w); n != NULL; n = hmap_walk_next(&c->sas, &w))
		cnt += CONTAINER_OF(n, struct control_sa, by_spi)->r.state != IKE_STATE_CLOSED;
	return cnt;
}

/* IKE SAs by their SPIs, Child SAs by how many: of each one the other end has the other half. */
static void check(unsigned sites)
{
	size_t children = 0;

	for (unsigned i = 0; i <= sites; i++) {
		struct control *c = process[i].c;
		struct counted n = { .who = i };
		must(store_range(process[i].store, bytes_str(""), (struct bytes){ NULL, 0 }, 0, check_row, &n, NULL) == ERR_NONE);
		if (n.ike != open_sas(c) || n.child != c->children.cnt)
			fail("it has SAs that the store has not", i);
		for (unsigned k = 0; k < c->tunnels.cnt; k++) {
			const struct control_tunnel *t = some_tunnel(c, k);
			if (!t->up || t->sas == NULL || t->sas->r.state != IKE_STATE_ESTABLISHED)
				fail("a tunnel is not up", i);
		}
		children += i == 0 ? 0 : c->children.cnt;
	}
	if (children != process[0].c->children.cnt)
		fail("the ends do not have the same number of Child SAs", 0);
	if (world_repeated_ivs() != 0)
		fail("an IV was used twice", 0);
}

static bool all_up(unsigned sites)
{
	for (unsigned k = 0; k < sites; k++)
		if (!some_tunnel(process[0].c, k)->up || !some_tunnel(process[k + 1].c, 0)->up)
			return false;
	return true;
}

static void run(uint64_t seed)
{
	world_begin(seed);
	unsigned sites = 1 + (unsigned)world_random(SITES_MAX);
	world_faults = (struct world_faults){ .net_us = 20000, .store_us = 10000, .dh_us = 10000 };
	configure(sites);
	for (unsigned i = 0; i <= sites; i++)
		start(i);
	for (uint64_t end = world_now_us() + UP_US; world_now_us() < end && !all_up(sites);)
		step(sites);
	for (uint64_t end = world_now_us() + SECOND_US; world_now_us() < end;)
		step(sites);
	if (!all_up(sites))
		fail("the tunnels do not come up", 0);
	unsigned inits = world_inits();
	bool lossy = world_random(2) == 0;
	world_faults.loss = lossy ? (unsigned)world_random(200) : 0;
	world_faults.repeat = (unsigned)world_random(100);
	world_faults.net_us = (unsigned)world_random(100000);
	world_faults.store_us = (unsigned)world_random(100000);
	for (uint64_t end = world_now_us() + FAULTS_US; world_now_us() < end;) {
		step(sites);
		if (world_random(200) == 0)
			fault(sites);
		revive(sites, world_now_us());
	}
	revive(sites, UINT64_MAX);
	world_faults = (struct world_faults){ .net_us = 20000, .store_us = 10000, .dh_us = 10000 };
	TRACE("quiet\n");
	for (uint64_t end = world_now_us() + QUIET_US; world_now_us() < end;)
		step(sites);
	check(sites);
	/* Of many that are lost all six of one request may be, and the SA ends as it should. */
	if (!lossy && world_inits() != inits)
		fail("an IKE SA was set up anew", 0);
	for (unsigned i = 0; i <= sites; i++) {
		kill_process(i);
		store_free(process[i].store);
		secret_fini(&process[i].tunnel.psk);
	}
	world_end();
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, count = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			trace = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			count = strtoull(argv[++i], NULL, 0);
		else
			return fprintf(stderr, "usage: sim [--seed N] [--count N] [--trace]\n"), 2;
	}
	log_init("sim", trace ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
	for (uint64_t end = seed + count; seed < end; seed++) {
		unsigned before = wrong;
		run(seed);
		if (wrong != before)
			printf("FAIL: sim --seed %llu --trace\n", (unsigned long long)seed);
	}
	printf("%llu seeds, %u failures\n", (unsigned long long)count, wrong);
	return wrong != 0;
}
