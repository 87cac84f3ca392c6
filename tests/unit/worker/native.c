#include "peer.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

/* ESP as IP protocol 50, over raw sockets on the loopback device of a namespace of its own. */

static bool allowed;

static void bring_loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

struct native {
	struct rig *rig;
	struct fwd_punt_rings rings;
	struct worker *worker;
	int gateway_fd, gateway_df_fd, peer_fd;
	struct rig_peer peer;
	struct addr gateway, site;
};

/* A second worker's seat, with a raw socket only. */
static void open_native(struct native *n, struct rig *r, const char *gateway, const char *site)
{
	struct worker_config config = { .index = 1, .fwd = r->fwd, .rings = &n->rings };

	*n = (struct native){ .rig = r, .gateway = rig_addr(gateway), .site = rig_addr(site) };
	assert_int_equal(io_esp_open(&n->gateway, &n->gateway_fd), ERR_NONE);
	assert_int_equal(io_esp_open_df(&n->gateway, &n->gateway_df_fd), ERR_NONE);
	assert_int_equal(io_esp_open(&n->site, &n->peer_fd), ERR_NONE);
	assert_int_equal(ring_init(&n->rings.punts, 4, sizeof(struct fwd_punt)), ERR_NONE);
	assert_int_equal(ring_init(&n->rings.known, 4, sizeof(struct fwd_punt)), ERR_NONE);
	assert_int_equal(ring_init(&n->rings.notices, 16, sizeof(struct fwd_notice)), ERR_NONE);
	n->rings.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct model_child_sa c = rig_child(r, SITE_A, 1, &rig_gcm);
	c.path = (struct model_path){ .local.addr = n->gateway, .remote.addr = n->site };
	fwd_child_delete(r->fwd, r->peers[SITE_A].spi_in);
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
	rig_peer_take(&n->peer, &c);
	config.sockets[0] =
		(struct worker_socket){ n->gateway_fd, WORKER_SOCKET_ESP, true, { .addr = n->gateway } };
	config.sockets[1] =
		(struct worker_socket){ n->gateway_df_fd, WORKER_SOCKET_ESP_DF, false, { .addr = n->gateway } };
	config.socket_cnt = 2;
	assert_int_equal(worker_start(&config, &n->worker), ERR_NONE);
}

static void close_native(struct native *n)
{
	worker_stop(n->worker);
	ring_fini(&n->rings.punts);
	ring_fini(&n->rings.known);
	ring_fini(&n->rings.notices);
	close(n->rings.wake_fd);
	close(n->gateway_fd);
	close(n->gateway_df_fd);
	close(n->peer_fd);
	crypt_esp_free(n->peer.seal);
	crypt_esp_free(n->peer.open);
}

static void send_native(struct native *n, struct bytes inner, uint8_t next)
{
	static uint8_t room[RIG_PACKET_MAX + 100];
	struct addr_endpoint to = { .addr = n->gateway };
	size_t len = rig_seal(&n->peer, inner, next, room);
	assert_int_equal(io_udp_send(n->peer_fd, &to, false, bytes_of(room, len)), ERR_NONE);
}

static void get_native(struct native *n, struct rig_packet *ret)
{
	static uint8_t room[RIG_PACKET_MAX + 100];
	struct wire_ip outer = { .dont_fragment = true };
	size_t at = 0;

	assert_true(rig_readable(n->peer_fd, RIG_WAIT_MS));
	ssize_t len = recv(n->peer_fd, room, sizeof(room), 0);
	assert_true(len > 0);
	if (n->site.family == ADDR_V4) {
		assert_int_equal(wire_ip_parse(bytes_of(room, (size_t)len), &outer), ERR_NONE);
		assert_int_equal(outer.protocol, IP_PROTO_ESP);
		at = outer.header_len;
	}
	rig_peer_open(&n->peer, room + at, (size_t)len - at, ret);
	/* RFC 4301 8.1: copied. */
	assert_int_equal(outer.dont_fragment, ret->ip.dont_fragment);
}

/* One worker answers the TUN, the other the raw socket: an echo stays with the raw one. */
static void round_trip(const char *gateway, const char *site, const char *inner_src, const char *inner_own)
{
	static struct rig r;
	static struct rig_packet sent, got;
	struct native n;
	struct fwd_notice notice;

	if (!allowed)
		skip();
	rig_start(&r, RIG_WORKERS, &rig_gcm);
	/* The seat of worker 1 goes to the raw socket. */
	worker_stop(r.workers[1]);
	ring_fini(&r.rings[1].punts);
	ring_fini(&r.rings[1].known);
	ring_fini(&r.rings[1].notices);
	close(r.rings[1].wake_fd);
	close(r.natt_fds[1]);
	r.workers[1] = NULL;
	open_native(&n, &r, gateway, site);
	rig_mark(&r);

	rig_make_echo(&sent, inner_src, inner_own);
	send_native(&n, bytes_of(sent.b, sent.len), sent.ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6);
	get_native(&n, &got);
	assert_true(addr_eq(&got.ip.dst, &sent.ip.src));
	rig_make_udp(&sent, inner_src, sent.ip.version == 4 ? "192.168.7.1" : "fd99::1", 1400);
	send_native(&n, bytes_of(sent.b, sent.len), sent.ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6);
	rig_tun_get(&r, 1, &got);
	assert_true(bytes_eq(got.ip.payload, sent.ip.payload));
	assert_int_equal(rig_dropped_all(&r), 0);
	assert_true(ring_pop(&n.rings.notices, &notice));
	assert_int_equal(notice.kind, FWD_NOTICE_FIRST);
	assert_false(ring_pop(&n.rings.notices, &notice));

	struct addr_endpoint to = { .addr = n.gateway };
	static const uint8_t reserved[12] = { 0, 0, 0, 255 }, unknown[12] = { 0x55 };
	assert_int_equal(io_udp_send(n.peer_fd, &to, false, bytes_of(reserved, 7)), ERR_NONE);
	rig_expect_drop(&r, MODEL_DROP_esp_short);
	assert_int_equal(io_udp_send(n.peer_fd, &to, false, BYTES_OF(reserved)), ERR_NONE);
	rig_expect_drop(&r, MODEL_DROP_esp_bad_spi);
	assert_int_equal(io_udp_send(n.peer_fd, &to, false, BYTES_OF(unknown)), ERR_NONE);
	rig_expect_drop(&r, MODEL_DROP_esp_unknown_spi);
	close_native(&n);
	rig_stop(&r);
}

static void native_esp_goes_both_ways_over_ipv4(void **state)
{
	(void)state;
	round_trip("127.0.0.1", "127.0.0.2", "10.1.0.5", "10.100.0.0");
	round_trip("127.0.0.1", "127.0.0.2", "fd01::5", "fd00:100::");
}

static void native_esp_goes_both_ways_over_ipv6(void **state)
{
	(void)state;
	round_trip("fd0a::1", "fd0a::2", "10.1.0.5", "10.100.0.0");
	round_trip("fd0a::1", "fd0a::2", "fd01::5", "fd00:100::");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(native_esp_goes_both_ways_over_ipv4),
		cmocka_unit_test(native_esp_goes_both_ways_over_ipv6),
	};
	allowed = unshare(CLONE_NEWNET) == 0;
	if (allowed) {
		bring_loopback_up();
		allowed = system("ip -6 addr add fd0a::1/128 dev lo && ip -6 addr add fd0a::2/128 dev lo") == 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
