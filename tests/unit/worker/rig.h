// A gateway without a kernel's TUN: workers on loopback sockets, off-ramps that are socket pairs, Child SAs made by
// hand, and peers that seal and open by crypt_esp alone.
//
//   site A ──┐                        ┌── account 1: TUN
//   site B ──┤ 127.0.0.1, ESP in UDP ─┤ tunnels A, B
//   site C ──┘                        └── account 2: TUN, tunnel C, with A's addresses
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypt/esp_cipher.h"
#include "fwd/state.h"
#include "io/udp.h"
#include "wire/esp.h"
#include "wire/icmp.h"
#include "worker/worker.h"

enum { RIG_WORKERS = 2, RIG_PACKET_MAX = 20000, RIG_WAIT_MS = 5000, RIG_QUIET_MS = 60 };
enum rig_site { SITE_A, SITE_B, SITE_C, SITE_CNT };

struct rig_peer {
	int fd;
	struct addr_endpoint local;
	uint32_t spi_in, spi_out; /* as the gateway sees them */
	uint32_t seq;
	struct crypt_esp *seal, *open;
	struct model_child_sa child;
};

struct rig {
	struct fwd *fwd;
	struct worker *workers[RIG_WORKERS];
	struct fwd_punt_rings rings[RIG_WORKERS];
	struct addr_endpoint natt, ike;
	int natt_fds[RIG_WORKERS], ike_fd;
	int tuns[3]; /* our ends of the off-ramps of accounts 1 and 2 */
	struct rig_peer peers[SITE_CNT];
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];
};

struct rig_packet {
	uint8_t b[RIG_PACKET_MAX];
	size_t len;
	struct wire_ip ip;
};

static inline struct addr rig_addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(bytes_str(text), &a), ERR_NONE);
	return a;
}

static inline struct addr_prefix rig_prefix(const char *text)
{
	struct addr_prefix p;
	assert_int_equal(addr_prefix_parse(bytes_str(text), &p), ERR_NONE);
	return p;
}

static inline struct model_id rig_id(unsigned n)
{
	return (struct model_id){ .b = { (uint8_t)n, 0xaa } };
}

/* ---- sockets ---- */

static inline struct addr_endpoint rig_bound(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	return io_sockaddr_to(&ss);
}

static inline int rig_udp(struct addr_endpoint *ret_local)
{
	struct addr_endpoint any = { .addr = rig_addr("127.0.0.1") };
	int fd;
	assert_int_equal(io_udp_open(&any, &fd), ERR_NONE);
	*ret_local = rig_bound(fd);
	return fd;
}

static inline bool rig_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, ms) == 1;
}

static inline void rig_tun(struct rig *r, unsigned account)
{
	int pair[2];
	if (r->tuns[account] >= 0)
		close(r->tuns[account]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	r->tuns[account] = pair[0];
	assert_int_equal(fwd_account_offramp(r->fwd, account, &pair[1], 1, 1500), ERR_NONE);
}

/* ---- SAs ---- */

static inline void rig_any_ts(struct model_ts ts[static 2], uint8_t *ret_cnt)
{
	ts[0] = (struct model_ts){ .port_last = UINT16_MAX, .first = rig_addr("0.0.0.0"),
				   .last = rig_addr("255.255.255.255") };
	ts[1] = (struct model_ts){ .port_last = UINT16_MAX, .first = rig_addr("::"),
				   .last = rig_addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") };
	*ret_cnt = 2;
}

static inline struct model_child_sa rig_child(const struct rig *r, enum rig_site site, unsigned generation,
					      const struct model_suite *suite)
{
	struct model_child_sa c = {
		.spi_in = 0x1000u * (site + 1u) + generation,
		.spi_out = 0x900000u + 0x1000u * (site + 1u) + generation,
		.tunnel_id = rig_id(site),
		.suite = *suite,
		.path = { .local = r->natt, .remote = r->peers[site].local, .udp_encap = true },
	};
	rig_any_ts(c.ts_local, &c.ts_local_cnt);
	rig_any_ts(c.ts_remote, &c.ts_remote_cnt);
	for (unsigned i = 0; i < MODEL_CHILD_KEY_MAX; i++) {
		c.keys_in.encr[i] = (uint8_t)(site * 50 + generation * 5 + i);
		c.keys_out.encr[i] = (uint8_t)(site * 50 + generation * 5 + i + 128);
	}
	for (unsigned i = 0; i < MODEL_CHILD_ICV_KEY_MAX; i++) {
		c.keys_in.integ[i] = (uint8_t)(site * 50 + generation * 5 + i + 1);
		c.keys_out.integ[i] = (uint8_t)(site * 50 + generation * 5 + i + 131);
	}
	return c;
}

static inline size_t rig_encr_len(const struct model_suite *s)
{
	return crypt_encr_key_len(s->encr, s->key_bits);
}

/* The peer takes the other side of an SA. */
static inline void rig_peer_take(struct rig_peer *p, const struct model_child_sa *c)
{
	const struct model_suite *s = &c->suite;
	size_t encr = rig_encr_len(s), integ = crypt_integ_key_len(s->integ);

	crypt_esp_free(p->seal);
	crypt_esp_free(p->open);
	assert_int_equal(crypt_esp_new(s->encr, s->key_bits, s->integ, bytes_of(c->keys_in.encr, encr),
				       bytes_of(c->keys_in.integ, integ), false, &p->seal), ERR_NONE);
	assert_int_equal(crypt_esp_new(s->encr, s->key_bits, s->integ, bytes_of(c->keys_out.encr, encr),
				       bytes_of(c->keys_out.integ, integ), true, &p->open), ERR_NONE);
	p->spi_in = c->spi_in;
	p->spi_out = c->spi_out;
	p->seq = 0;
	p->child = *c;
}

static inline void rig_install(struct rig *r, enum rig_site site, const struct model_child_sa *c)
{
	assert_int_equal(fwd_child_put(r->fwd, c), ERR_NONE);
	rig_peer_take(&r->peers[site], c);
}

static const struct model_suite rig_gcm = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 };

static inline struct fwd_tunnel_config rig_config(enum rig_site site)
{
	return (struct fwd_tunnel_config){
		.tunnel_id = rig_id(site),
		.account_number = site == SITE_C ? 2 : 1,
		.interface4 = rig_prefix(site == SITE_B ? "10.100.0.2/31" : "10.100.0.0/31"),
		.interface6 = rig_prefix(site == SITE_B ? "fd00:100::2/127" : "fd00:100::/127"),
		.outer_mtu = 1500,
	};
}

static inline void rig_routes(struct rig *r)
{
	const struct fwd_route first[] = {
		{ .prefix = rig_prefix("10.1.0.0/16"), .priority = 100, .tunnel_id = rig_id(SITE_A) },
		{ .prefix = rig_prefix("fd01::/16"), .priority = 100, .tunnel_id = rig_id(SITE_A) },
		{ .prefix = rig_prefix("10.2.0.0/16"), .priority = 100, .tunnel_id = rig_id(SITE_B) },
		{ .prefix = rig_prefix("fd02::/16"), .priority = 100, .tunnel_id = rig_id(SITE_B) },
	};
	const struct fwd_route second[] = {
		{ .prefix = rig_prefix("10.1.0.0/16"), .priority = 100, .tunnel_id = rig_id(SITE_C) },
		{ .prefix = rig_prefix("fd01::/16"), .priority = 100, .tunnel_id = rig_id(SITE_C) },
	};
	assert_int_equal(fwd_routes_set(r->fwd, 1, first, ARRAY_LEN(first)), ERR_NONE);
	assert_int_equal(fwd_routes_set(r->fwd, 2, second, ARRAY_LEN(second)), ERR_NONE);
}

/* ---- the whole ---- */

static inline void rig_start(struct rig *r, unsigned worker_cnt, const struct model_suite *suite)
{
	*r = (struct rig){ .tuns = { -1, -1, -1 } };
	assert_int_equal(fwd_new(worker_cnt, 7, &r->fwd), ERR_NONE);
	r->natt_fds[0] = rig_udp(&r->natt);
	for (unsigned i = 1; i < worker_cnt; i++)
		assert_int_equal(io_udp_open(&r->natt, &r->natt_fds[i]), ERR_NONE);
	r->ike_fd = rig_udp(&r->ike);
	for (unsigned account = 1; account <= 2; account++) {
		assert_int_equal(fwd_account_put(r->fwd, account, true), ERR_NONE);
		rig_tun(r, account);
	}
	for (enum rig_site s = 0; s < SITE_CNT; s++) {
		struct fwd_tunnel_config config = rig_config(s);
		r->peers[s].fd = rig_udp(&r->peers[s].local);
		assert_int_equal(fwd_tunnel_put(r->fwd, &config), ERR_NONE);
		struct model_child_sa c = rig_child(r, s, 0, suite);
		rig_install(r, s, &c);
	}
	rig_routes(r);
	for (unsigned i = 0; i < worker_cnt; i++) {
		struct worker_config config = { .index = i, .fwd = r->fwd, .rings = &r->rings[i] };
		assert_int_equal(ring_init(&r->rings[i].punts, 4, sizeof(struct fwd_punt)), ERR_NONE);
		r->rings[i].spi_key = (struct siphash_key){ 21, 22 };
		assert_int_equal(ring_init(&r->rings[i].known, 4, sizeof(struct fwd_punt)), ERR_NONE);
		assert_int_equal(ring_init(&r->rings[i].notices, 64, sizeof(struct fwd_notice)), ERR_NONE);
		r->rings[i].wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		config.sockets[config.socket_cnt++] =
			(struct worker_socket){ r->natt_fds[i], WORKER_SOCKET_NATT, true, r->natt };
		if (i == 0)
			config.sockets[config.socket_cnt++] =
				(struct worker_socket){ r->ike_fd, WORKER_SOCKET_IKE, true, r->ike };
		assert_int_equal(worker_start(&config, &r->workers[i]), ERR_NONE);
	}
}

static inline void rig_stop(struct rig *r)
{
	for (unsigned i = 0; i < RIG_WORKERS && r->workers[i] != NULL; i++) {
		worker_stop(r->workers[i]);
		ring_fini(&r->rings[i].punts);
		ring_fini(&r->rings[i].known);
		ring_fini(&r->rings[i].notices);
		close(r->rings[i].wake_fd);
		close(r->natt_fds[i]);
	}
	fwd_free(r->fwd);
	close(r->ike_fd);
	close(r->tuns[1]);
	close(r->tuns[2]);
	for (enum rig_site s = 0; s < SITE_CNT; s++) {
		close(r->peers[s].fd);
		crypt_esp_free(r->peers[s].seal);
		crypt_esp_free(r->peers[s].open);
	}
}
