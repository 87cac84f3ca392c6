/* esp-pair: one end of a tunnel with fixed keys, for measuring the packet road without IKE and control.
 *
 *   esp-pair 0|1 LOCAL REMOTE TUN MTU [aes128gcm16|aes256gcm16|aes256-sha256|null-sha256] [native] [WORKERS]
 *
 * Run one in each of two network namespaces and route through TUN: everything that goes in comes out at the other end. SIGTERM and SIGINT end it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/tun.h"
#include "io/udp.h"
#include "worker/worker.h"

enum { ACCOUNT = 1, WORKERS_MAX = 16, PORT = 4500 };

static void check(enum err e, const char *what)
{
	if (e == ERR_NONE)
		return;
	fprintf(stderr, "esp-pair: %s: %s\n", what, err_text(e));
	exit(1);
}

static const struct {
	const char *name;
	struct model_suite suite;
} suites[] = {
	{ "aes128gcm16", { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 128 } },
	{ "aes256gcm16", { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 } },
	{ "aes256-sha256", { .encr = IKE_ENCR_AES_CBC, .key_bits = 256, .integ = IKE_INTEG_HMAC_SHA2_256_128 } },
	{ "null-sha256", { .encr = IKE_ENCR_NULL, .integ = IKE_INTEG_HMAC_SHA2_256_128 } },
};

struct options {
	unsigned end, mtu, workers;
	struct addr_endpoint local, remote;
	const char *tun;
	struct model_suite suite;
	bool native;
};

static struct addr address(const char *text)
{
	struct addr a;
	check(addr_parse(bytes_str(text), &a), text);
	return a;
}

static struct addr_prefix prefix(const char *text)
{
	struct addr_prefix p;
	check(addr_prefix_parse(bytes_str(text), &p), text);
	return p;
}

static void read_option(struct options *o, const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		if (strcmp(text, suites[i].name) == 0) {
			o->suite = suites[i].suite;
			return;
		}
	if (strcmp(text, "native") == 0)
		o->native = true;
	else
		o->workers = (unsigned)strtoul(text, NULL, 10);
}

static struct options read_options(int argc, char **argv)
{
	if (argc < 6) {
		fprintf(stderr, "usage: esp-pair 0|1 LOCAL REMOTE TUN MTU [SUITE] [native] [WORKERS]\n");
		exit(2);
	}
	struct options o = {
		.end = (unsigned)strtoul(argv[1], NULL, 10) & 1,
		.local = { address(argv[2]), PORT },
		.remote = { address(argv[3]), PORT },
		.tun = argv[4],
		.mtu = (unsigned)strtoul(argv[5], NULL, 10),
		.suite = suites[0].suite,
		.workers = 2,
	};
	for (int i = 6; i < argc; i++)
		read_option(&o, argv[i]);
	if (o.workers == 0 || o.workers > WORKERS_MAX)
		o.workers = 1;
	return o;
}

/* Both ends derive the same keys: direction d is that from end d. */
static struct model_child_keys make_keys(unsigned direction)
{
	struct model_child_keys k;

	memset(&k, 0x10 + (int)direction, sizeof(k));
	return k;
}

static void any(struct model_ts ts[static 2], uint8_t *ret_cnt)
{
	ts[0] = (struct model_ts){ .port_last = UINT16_MAX, .first = address("0.0.0.0"), .last = address("255.255.255.255") };
	ts[1] = (struct model_ts){ .port_last = UINT16_MAX, .first = address("::"),
				   .last = address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") };
	*ret_cnt = 2;
}

/* One tunnel in the site's role: the TUN leads to the host, and everything lies in the tunnel. */
static void make_state(struct fwd *f, const struct options *o)
{
	const struct model_id id = { .b = { 1 } };
	const struct fwd_tunnel_config config = { .tunnel_id = id, .account_number = ACCOUNT, .outer_mtu = 1500 };
	const struct fwd_route routes[] = {
		{ .prefix = prefix("0.0.0.0/0"), .priority = 1, .tunnel_id = id },
		{ .prefix = prefix("::/0"), .priority = 1, .tunnel_id = id },
	};
	struct model_child_sa c = {
		.spi_in = 0x1000 + o->end,
		.spi_out = 0x1001 - o->end,
		.tunnel_id = id,
		.suite = o->suite,
		.path = { .local = o->local, .remote = o->remote, .udp_encap = !o->native },
		.keys_in = make_keys(1 - o->end),
		.keys_out = make_keys(o->end),
	};
	int fds[WORKERS_MAX];

	any(c.ts_local, &c.ts_local_cnt);
	any(c.ts_remote, &c.ts_remote_cnt);
	check(fwd_account_put(f, ACCOUNT, true), "account");
	check(fwd_account_set_host(f, ACCOUNT, true), "account");
	check(fwd_tunnel_put(f, &config), "tunnel");
	check(fwd_routes_set(f, ACCOUNT, routes, ARRAY_LEN(routes)), "routes");
	check(fwd_child_put(f, &c), "SA");
	check(io_tun_open(o->tun, "", o->mtu, o->workers, fds), "TUN");
	check(fwd_account_offramp(f, ACCOUNT, fds, o->workers, (uint16_t)o->mtu), "off-ramp");
}

static struct worker *start(struct fwd *f, const struct options *o, unsigned index, struct fwd_punt_rings *rings)
{
	struct worker_config c = { .index = index, .fwd = f, .rings = rings };
	struct worker *w;
	int fd;

	check(ring_init(&rings->punts, FWD_PUNT_CNT, sizeof(struct fwd_punt)), "ring");
	check(ring_init(&rings->notices, FWD_NOTICE_CNT, sizeof(struct fwd_notice)), "ring");
	rings->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	check(o->native ? io_esp_open(&o->local.addr, &fd) : io_udp_open(&o->local, &fd), "socket");
	c.sockets[c.socket_cnt++] = (struct worker_socket){ fd, o->native ? WORKER_SOCKET_ESP : WORKER_SOCKET_NATT,
							    !o->native || index == 0, o->local };
	check(worker_start(&c, &w), "worker");
	return w;
}

static void print_counters(const struct fwd *f)
{
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];

	fwd_counters_sum(f, drops, counters);
	for (unsigned i = 0; i < MODEL_COUNTER_CNT; i++)
		if (counters[i] != 0)
			fprintf(stderr, "%s %lu\n", model_counter_name(i), (unsigned long)counters[i]);
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		if (drops[i] != 0)
			fprintf(stderr, "drop %s %lu\n", model_drop_name(i), (unsigned long)drops[i]);
}

int main(int argc, char **argv)
{
	static struct fwd_punt_rings rings[WORKERS_MAX];
	struct worker *workers[WORKERS_MAX];
	struct options o = read_options(argc, argv);
	struct fwd *f;
	sigset_t ends;
	int signal;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	check(fwd_new(o.workers, 1, &f), "forwarding state");
	make_state(f, &o);
	for (unsigned i = 0; i < o.workers; i++)
		workers[i] = start(f, &o, i, &rings[i]);
	(void)sigwait(&ends, &signal);
	for (unsigned i = 0; i < o.workers; i++)
		worker_stop(workers[i]);
	print_counters(f);
	fwd_free(f);
	return 0;
}
