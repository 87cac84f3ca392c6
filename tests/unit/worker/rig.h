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
		assert_int_equal(ring_init(&r->rings[i].notices, 64, sizeof(struct fwd_notice)), ERR_NONE);
		r->rings[i].wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		config.sockets[config.socket_cnt++] = (struct worker_socket){ r->natt_fds[i], WORKER_SOCKET_NATT, true,
									     r->natt };
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

/* ---- what a peer sends and gets ---- */

/* Text with its trailer, from the peer, as it stands. The packet's bytes behind the call are in room. */
static inline size_t rig_seal_text(struct rig_peer *p, struct bytes text, uint8_t *room)
{
	const struct model_suite *s = &p->child.suite;
	size_t iv = crypt_encr_iv_len(s->encr), icv = crypt_icv_len(s->encr, s->integ);
	struct wr w = wr_of((struct space){ room, RIG_PACKET_MAX + 100 });

	wr_u32(&w, p->spi_in);
	wr_u32(&w, ++p->seq);
	for (size_t i = 0; i < iv; i++)
		wr_u8(&w, (uint8_t)(p->seq >> 8 * (i % 4)));
	wr_put(&w, text);
	wr_zero(&w, icv);
	assert_false(w.bad);
	struct crypt_esp_job job = { .ctx = p->seal, .esp = room, .len = wr_len(&w) };
	crypt_esp_seal(&job, 1);
	assert_int_equal(job.result, ERR_NONE);
	return wr_len(&w);
}

static inline size_t rig_seal(struct rig_peer *p, struct bytes inner, uint8_t next_header, uint8_t *room)
{
	static uint8_t text[RIG_PACKET_MAX + 64];
	struct wr w = wr_of(SPACE_OF(text));
	size_t pad = wire_esp_pad_len(inner.len, crypt_encr_block_len(p->child.suite.encr));

	wr_put(&w, inner);
	for (size_t i = 1; i <= pad; i++)
		wr_u8(&w, (uint8_t)i);
	wr_u8(&w, (uint8_t)pad);
	wr_u8(&w, next_header);
	assert_false(w.bad);
	return rig_seal_text(p, wr_bytes(&w), room);
}

static inline void rig_peer_send_raw(struct rig *r, enum rig_site site, struct bytes datagram)
{
	assert_int_equal(io_udp_send(r->peers[site].fd, &r->natt, false, datagram), ERR_NONE);
}

static inline void rig_peer_send_as(struct rig *r, enum rig_site site, struct bytes inner, uint8_t next_header)
{
	static uint8_t room[RIG_PACKET_MAX + 100];
	size_t len = rig_seal(&r->peers[site], inner, next_header, room);
	rig_peer_send_raw(r, site, bytes_of(room, len));
}

static inline void rig_peer_send(struct rig *r, enum rig_site site, const struct rig_packet *p)
{
	rig_peer_send_as(r, site, bytes_of(p->b, p->len), p->b[0] >> 4 == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6);
}

static inline void rig_parse(struct rig_packet *p)
{
	assert_int_equal(wire_ip_parse(bytes_of(p->b, p->len), &p->ip), ERR_NONE);
	assert_int_equal(p->ip.total_len, p->len);
	if (p->ip.version == 4)
		assert_true(wire_ip4_checksum_ok(bytes_of(p->b, p->ip.header_len)));
}

/* Opens an ESP packet that the gateway sent; the inner one is in ret. */
static inline void rig_peer_open(struct rig_peer *p, uint8_t *esp, size_t len, struct rig_packet *ret)
{
	const struct model_suite *s = &p->child.suite;
	size_t front = 8 + crypt_encr_iv_len(s->encr), icv = crypt_icv_len(s->encr, s->integ);
	struct crypt_esp_job job = { .ctx = p->open, .esp = esp, .len = len };
	struct wire_esp h;
	struct bytes inner;
	uint8_t next;

	assert_int_equal(wire_esp_parse(bytes_of(esp, len), &h), ERR_NONE);
	assert_int_equal(h.spi, p->spi_out);
	crypt_esp_open(&job, 1);
	assert_int_equal(job.result, ERR_NONE);
	assert_int_equal(wire_esp_strip(bytes_of(esp + front, len - front - icv), &inner, &next), ERR_NONE);
	assert_true(inner.len <= sizeof(ret->b));
	memcpy(ret->b, inner.p, inner.len);
	ret->len = inner.len;
	rig_parse(ret);
	assert_int_equal(next, ret->ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6);
}

/* The next inner packet that reaches the site. */
static inline void rig_peer_get(struct rig *r, enum rig_site site, struct rig_packet *ret)
{
	static uint8_t room[RIG_PACKET_MAX + 100];
	struct rig_peer *p = &r->peers[site];

	assert_true(rig_readable(p->fd, RIG_WAIT_MS));
	ssize_t n = recv(p->fd, room, sizeof(room), 0);
	assert_true(n > 0);
	rig_peer_open(p, room, (size_t)n, ret);
}

static inline void rig_tun_send(struct rig *r, unsigned account, struct bytes packet)
{
	assert_int_equal(send(r->tuns[account], packet.p, packet.len, 0), (ssize_t)packet.len);
}

static inline void rig_tun_get(struct rig *r, unsigned account, struct rig_packet *ret)
{
	assert_true(rig_readable(r->tuns[account], RIG_WAIT_MS));
	ssize_t n = recv(r->tuns[account], ret->b, sizeof(ret->b), 0);
	assert_true(n > 0);
	ret->len = (size_t)n;
	rig_parse(ret);
}

/* Nobody got anything (that was not taken yet). */
static inline void rig_quiet(struct rig *r)
{
	usleep(RIG_QUIET_MS * 1000);
	for (enum rig_site s = 0; s < SITE_CNT; s++)
		assert_false(rig_readable(r->peers[s].fd, 0));
	assert_false(rig_readable(r->tuns[1], 0));
	assert_false(rig_readable(r->tuns[2], 0));
}

/* ---- counters ---- */

static inline void rig_mark(struct rig *r)
{
	fwd_counters_sum(r->fwd, r->drops, r->counters);
}

static inline uint64_t rig_dropped(const struct rig *r, enum model_drop d)
{
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];
	fwd_counters_sum(r->fwd, drops, counters);
	return drops[d] - r->drops[d];
}

static inline uint64_t rig_counted(const struct rig *r, enum model_counter c)
{
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];
	fwd_counters_sum(r->fwd, drops, counters);
	return counters[c] - r->counters[c];
}

static inline uint64_t rig_dropped_all(const struct rig *r)
{
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT], sum = 0;
	fwd_counters_sum(r->fwd, drops, counters);
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		sum += drops[i] - r->drops[i];
	return sum;
}

/* One more drop since the mark than there was, of this kind and of no other; then a new mark. */
static inline void rig_expect_drop(struct rig *r, enum model_drop why)
{
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped_all(r) == 0; i++)
		usleep(1000);
	usleep(2000);
	if (rig_dropped(r, why) != 1 || rig_dropped_all(r) != 1)
		for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
			if (rig_dropped(r, i) != 0)
				print_message("%s: %u\n", model_drop_name(i), (unsigned)rig_dropped(r, i));
	assert_int_equal(rig_dropped(r, why), 1);
	assert_int_equal(rig_dropped_all(r), 1);
	rig_mark(r);
}

static inline void rig_expect_count(struct rig *r, enum model_counter c, uint64_t n)
{
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_counted(r, c) < n; i++)
		usleep(1000);
	assert_int_equal(rig_counted(r, c), n);
}

/* ---- inner packets ---- */

/* UDP from src to dst with so many bytes in all. */
static inline void rig_make_udp(struct rig_packet *p, const char *src, const char *dst, size_t len)
{
	struct addr s = rig_addr(src), d = rig_addr(dst);
	struct wr w = wr_of(SPACE_OF(p->b));

	if (s.family == ADDR_V4) {
		wr_u8(&w, 0x45);
		wr_u8(&w, 0);
		wr_u16(&w, (uint16_t)len);
		wr_u32(&w, 0x12340000);
		wr_u8(&w, 64);
		wr_u8(&w, IP_PROTO_UDP);
		wr_u16(&w, 0);
	} else {
		wr_u32(&w, 6u << 28);
		wr_u16(&w, (uint16_t)(len - 40));
		wr_u8(&w, IP_PROTO_UDP);
		wr_u8(&w, 64);
	}
	wr_put(&w, addr_bytes(&s));
	wr_put(&w, addr_bytes(&d));
	size_t udp = len - wr_len(&w);
	wr_u16(&w, 1000);
	wr_u16(&w, 2000);
	wr_u16(&w, (uint16_t)udp);
	wr_u16(&w, 0);
	while (wr_len(&w) < len)
		wr_u8(&w, (uint8_t)wr_len(&w));
	assert_false(w.bad);
	p->len = len;
	if (s.family == ADDR_V4)
		wr_set_u16(&w, 10, (uint16_t)~wire_checksum(bytes_of(p->b, 20), 0));
	rig_parse(p);
}

/* Changes a byte of an IPv4 header and mends its sum. */
static inline void rig_set4(struct rig_packet *p, size_t at, uint8_t value)
{
	p->b[at] = value;
	p->b[10] = p->b[11] = 0;
	uint16_t sum = (uint16_t)~wire_checksum(bytes_of(p->b, 20), 0);
	p->b[10] = (uint8_t)(sum >> 8);
	p->b[11] = (uint8_t)sum;
}

static inline void rig_make_echo(struct rig_packet *p, const char *src, const char *dst)
{
	struct addr s = rig_addr(src), d = rig_addr(dst);
	assert_int_equal(wire_icmp_echo_build(&s, &d, 7, 9, bytes_str("are you there?"), SPACE_OF(p->b), &p->len),
			 ERR_NONE);
	rig_parse(p);
}

/* An ICMP message: its type and code, the word behind the checksum, and that it quotes the packet. */
static inline void rig_assert_icmp(const struct rig_packet *e, const char *from, uint8_t type, uint8_t code,
				   uint32_t word, const struct rig_packet *about)
{
	struct addr want = rig_addr(from);
	struct rd r = rd_of(e->ip.payload);

	assert_int_equal(e->ip.protocol, e->ip.version == 4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6);
	assert_true(addr_eq(&e->ip.src, &want));
	assert_true(addr_eq(&e->ip.dst, &about->ip.src));
	assert_int_equal(rd_u8(&r), type);
	assert_int_equal(rd_u8(&r), code);
	rd_skip(&r, 2);
	assert_int_equal(rd_u32(&r), word);
	/* The addresses of what was refused stand in the quotation. */
	struct bytes quote = rd_rest(&r);
	assert_true(quote.len >= about->ip.header_len);
	assert_memory_equal(quote.p + 12, about->b + 12, 8);
}
