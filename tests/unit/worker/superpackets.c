#include "peer.h"

#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "esp/burst.h"
#include "io/tun.h"

/* Many packets in one system call, with a real TUN and loopback in a namespace of its own. */

enum { CNT = 31, PAYLOAD = 1000, LAST = 300, PORT = 7000 };

static bool allowed;
static struct rig rig;

struct control {
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	};
};

static bool shell(const char *line)
{
	return system(line) == 0;
}

static int start(void **state)
{
	int fd;
	(void)state;

	if (!allowed)
		return 0;
	rig_start(&rig, 1, &rig_gcm);
	assert_int_equal(io_tun_open("onr-s", "", 1500, 1, &fd), ERR_NONE);
	assert_int_equal(fwd_account_offramp(rig.fwd, 1, &fd, 1, 1500), ERR_NONE);
	assert_true(shell("ip addr add 192.168.7.1/32 dev onr-s && ip route add 10.1.0.0/16 dev onr-s src 192.168.7.1 && "
			  "ip -6 addr add fd99::1/128 dev onr-s nodad && ip -6 route add fd01::/16 dev onr-s src fd99::1"));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	if (!allowed)
		return 0;
	rig_stop(&rig);
	return shell("ip link set lo mtu 65536") ? 0 : -1;
}

/* ---- the kernel's side of the TUN ---- */

static int open_udp(const char *local, const char *remote)
{
	struct addr_endpoint own = { rig_addr(local), PORT }, to = { rig_addr(remote), PORT };
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	assert_int_equal(io_udp_open(&own, &fd), ERR_NONE);
	io_sockaddr_from(&to, &ss, &len);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static void set_segment(struct msghdr *m, struct control *c, uint16_t segment)
{
	m->msg_control = c->room;
	m->msg_controllen = CMSG_SPACE(sizeof(segment));
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	h->cmsg_level = IPPROTO_UDP;
	h->cmsg_type = UDP_SEGMENT;
	h->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(h), &segment, sizeof(segment));
}

static ssize_t send_burst(int fd, const struct addr_endpoint *to, void *data, size_t len, uint16_t segment)
{
	struct control control = { 0 };
	struct sockaddr_storage ss;
	struct iovec iov = { data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (to != NULL) {
		io_sockaddr_from(to, &ss, &m.msg_namelen);
		m.msg_name = &ss;
	}
	set_segment(&m, &control, segment);
	return sendmsg(fd, &m, 0);
}

static uint8_t data[70000];

static void fill(size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 13 + i / 256);
}

static void assert_datagram(const struct rig_packet *p, size_t i, size_t segment, size_t last)
{
	assert_int_equal(p->ip.protocol, IP_PROTO_UDP);
	assert_int_equal(p->ip.payload.len, 8 + (i == CNT - 1 ? last : segment));
	assert_int_equal(wire_checksum(p->ip.payload, wire_pseudo_sum(&p->ip, p->ip.payload.len)), 0xffff);
	assert_memory_equal(p->ip.payload.p + 8, data + i * segment, p->ip.payload.len - 8);
}

/* ---- both sides ---- */

static int open_tap(const char *device)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return fd;
}

/* The next packet that came in by it. */
static size_t read_tap(int fd, uint8_t *room, size_t cap)
{
	struct sockaddr_ll ll;
	socklen_t len;
	ssize_t n;

	do {
		assert_true(rig_readable(fd, RIG_WAIT_MS));
		len = sizeof(ll);
		n = recvfrom(fd, room, cap, 0, (struct sockaddr *)&ll, &len);
		assert_true(n > 0);
	} while (ll.sll_pkttype == PACKET_OUTGOING);
	return (size_t)n;
}

/* Sealed packets of one size, as one burst of the peer. */
static void send_sealed(const struct rig_packet *packets, unsigned cnt)
{
	static uint8_t burst[70000], room[RIG_PACKET_MAX + 100];
	struct rig_peer *p = &rig.peers[SITE_A];
	struct wr w = wr_of(SPACE_OF(burst));
	size_t first = 0;

	for (unsigned i = 0; i < cnt; i++) {
		size_t len = rig_seal(p, bytes_of(packets[i].b, packets[i].len),
				      packets[i].ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6, room);
		first = i == 0 ? len : first;
		wr_put(&w, bytes_of(room, len));
	}
	assert_false(w.bad);
	assert_int_equal(send_burst(p->fd, &rig.natt, burst, wr_len(&w), (uint16_t)first), (ssize_t)wr_len(&w));
}

/* ---- from the TUN ---- */

static void a_superpacket_from_the_tun_reaches_the_peer_as_packets(void **state)
{
	static const char *const ends[][2] = { { "192.168.7.1", "10.1.0.5" }, { "fd99::1", "fd01::5" } };
	static struct rig_packet got;
	(void)state;

	if (!allowed)
		skip();
	fill(sizeof(data));
	for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
		int fd = open_udp(ends[k][0], ends[k][1]);
		rig_mark(&rig);
		assert_int_equal(send_burst(fd, NULL, data, (CNT - 1) * PAYLOAD + LAST, PAYLOAD),
				 (CNT - 1) * PAYLOAD + LAST);
		for (size_t i = 0; i < CNT; i++) {
			rig_peer_get(&rig, SITE_A, &got);
			assert_datagram(&got, i, PAYLOAD, LAST);
			assert_int_equal(got.ip.ttl, 63);
		}
		rig_expect_count(&rig, MODEL_COUNTER_esp_out_packets, CNT);
		rig_expect_count(&rig, MODEL_COUNTER_tun_in_packets, CNT);
		assert_int_equal(rig_dropped_all(&rig), 0);
		close(fd);
	}
}

static void it_leaves_as_a_superpacket(void **state)
{
	static uint8_t room[70000];
	static struct rig_packet got;
	struct control control = { 0 };
	struct iovec iov = { room, sizeof(room) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	int segment = 0;
	(void)state;

	if (!allowed)
		skip();
	int fd = open_udp("192.168.7.1", "10.1.0.5");
	assert_true(io_udp_take_bursts(rig.peers[SITE_A].fd));
	assert_true(send_burst(fd, NULL, data, (CNT - 1) * PAYLOAD + LAST, PAYLOAD) > 0);
	assert_true(rig_readable(rig.peers[SITE_A].fd, RIG_WAIT_MS));
	ssize_t n = recvmsg(rig.peers[SITE_A].fd, &m, 0);
	const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	assert_non_null(c);
	assert_int_equal(c->cmsg_type, UDP_GRO);
	memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	/* The last one may be beside it: the sealed length of a full packet is in it CNT - 1 times. */
	assert_int_equal(segment, esp_sealed_len(fwd_child_out(fwd_spi_find(rig.fwd, rig.peers[SITE_A].spi_in)),
						 PAYLOAD + 28));
	assert_true(n > segment * (CNT - 1));
	for (size_t i = 0; i < CNT; i++) {
		size_t at = i * (size_t)segment, left = (size_t)n - at;
		rig_peer_open(&rig.peers[SITE_A], room + at, left < (size_t)segment ? left : (size_t)segment, &got);
		assert_datagram(&got, i, PAYLOAD, LAST);
	}
	close(fd);
}

/* Packets above the MTU of the first link are fragmented by the kernel, which it does for single ones only. */
static void sends_above_the_first_link(int want_pmtu)
{
	static struct rig_packet got;

	int fd = open_udp("192.168.7.1", "10.1.0.5");
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &want_pmtu, sizeof(want_pmtu)), 0);
	assert_true(shell("ip link set lo mtu 900"));
	rig_mark(&rig);
	assert_true(send_burst(fd, NULL, data, (CNT - 1) * PAYLOAD + LAST, PAYLOAD) > 0);
	for (size_t i = 0; i < CNT; i++) {
		rig_peer_get(&rig, SITE_A, &got);
		assert_datagram(&got, i, PAYLOAD, LAST);
		assert_int_equal(got.ip.dont_fragment, want_pmtu == IP_PMTUDISC_PROBE);
	}
	assert_int_equal(rig_dropped_all(&rig), 0);
	close(fd);
}

static void what_the_kernel_refuses_as_a_superpacket_goes_singly(void **state)
{
	(void)state;
	if (!allowed)
		skip();
	sends_above_the_first_link(IP_PMTUDISC_DONT);
}

/* The tunnel's MTU says that they may be so long. */
static void what_the_first_link_refuses_with_df_goes_without(void **state)
{
	(void)state;
	if (!allowed)
		skip();
	sends_above_the_first_link(IP_PMTUDISC_PROBE);
}

/* What the gateway sends to a site: whether it has DF. */
static bool read_df(int tap, enum rig_site to)
{
	static uint8_t room[70000];
	uint16_t src, dst;
	struct wire_ip ip;

	do {
		size_t len = read_tap(tap, room, sizeof(room));
		assert_int_equal(wire_ip_parse(bytes_of(room, len), &ip), ERR_NONE);
	} while (!wire_ports(&ip, &src, &dst) || dst != rig.peers[to].local.port);
	return ip.dont_fragment;
}

static void a_tunnel_that_is_set_too_wide_takes_no_df_from_the_others(void **state)
{
	static struct rig_packet packet, got;
	(void)state;

	if (!allowed)
		skip();
	assert_true(shell("ip link set lo mtu 900"));
	int tap = open_tap("lo");
	for (unsigned i = 0; i < 2; i++) {
		rig_make_udp(&packet, "10.1.0.5", "10.2.0.5", 1200);
		rig_set4(&packet, 6, 0x40);
		rig_peer_send(&rig, SITE_A, &packet);
		assert_false(read_df(tap, SITE_B));
		rig_peer_get(&rig, SITE_B, &got);
		rig_make_udp(&packet, "10.1.0.5", "10.2.0.5", 700);
		rig_set4(&packet, 6, 0x40);
		rig_peer_send(&rig, SITE_A, &packet);
		assert_true(read_df(tap, SITE_B));
		rig_peer_get(&rig, SITE_B, &got);
	}
	assert_int_equal(rig_dropped_all(&rig), 0);
	close(tap);
}

static void every_packet_of_a_superpacket_is_counted_when_it_is_dropped(void **state)
{
	enum { BIG = 1450 };
	const int want = IP_PMTUDISC_PROBE;
	int fd, error = 0;
	socklen_t len = sizeof(error);
	(void)state;

	if (!allowed)
		skip();
	fd = open_udp("192.168.7.1", "10.1.0.5");
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &want, sizeof(want)), 0);
	rig_mark(&rig);
	assert_true(send_burst(fd, NULL, data, 10 * BIG, BIG) > 0);
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped(&rig, MODEL_DROP_too_big) < 10; i++)
		usleep(1000);
	assert_int_equal(rig_dropped(&rig, MODEL_DROP_too_big), 10);
	assert_int_equal(rig_dropped_all(&rig), 10);
	/* One error, about the first packet; the kernel finds the socket by it. */
	rig_expect_count(&rig, MODEL_COUNTER_icmp_sent, 1);
	for (unsigned i = 0; i < RIG_WAIT_MS && error == 0; i++, usleep(1000))
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, EMSGSIZE);
	close(fd);
}

/* ---- to the TUN ---- */

static void make_tcp(struct rig_packet *p, unsigned version, uint32_t seq, uint8_t flags, struct bytes payload)
{
	rig_make_udp(p, version == 4 ? "10.1.0.5" : "fd01::5", version == 4 ? "192.168.7.1" : "fd99::1",
		     (version == 4 ? 40u : 60u) + payload.len);
	struct wr w = wr_of((struct space){ p->b, p->len });
	(void)wr_reserve(&w, p->ip.header_len);
	if (version == 4) {
		rig_set4(p, 9, IP_PROTO_TCP);
		rig_set4(p, 6, 0x40);
	} else {
		p->b[6] = IP_PROTO_TCP;
	}
	wr_u16(&w, PORT);
	wr_u16(&w, PORT + 1);
	wr_u32(&w, seq);
	wr_u32(&w, 77);
	wr_u16(&w, (uint16_t)(5 << 12 | flags));
	wr_u16(&w, 1000);
	wr_u32(&w, 0);
	wr_put(&w, payload);
	assert_false(w.bad);
	rig_parse(p);
	uint16_t sum = (uint16_t)~wire_checksum(p->ip.payload, wire_pseudo_sum(&p->ip, p->ip.payload.len));
	wr_set_u16(&w, p->ip.header_len + 16, sum);
}

static void segments_of_a_burst_enter_the_tun_as_one(void **state)
{
	static struct rig_packet packets[10];
	static uint8_t room[70000];
	(void)state;

	if (!allowed)
		skip();
	for (unsigned version = 4; version <= 6; version += 2) {
		int tap = open_tap("onr-s");
		size_t header = version == 4 ? 40 : 60;
		rig_mark(&rig);
		for (unsigned i = 0; i < 10; i++) {
			make_tcp(&packets[i], version, i * PAYLOAD, 0x10, bytes_of(data + i * PAYLOAD, PAYLOAD));
			if (version == 4)
				rig_set4(&packets[i], 5, (uint8_t)i);
		}
		send_sealed(packets, 10);
		assert_int_equal(read_tap(tap, room, sizeof(room)), header + 10 * PAYLOAD);
		assert_memory_equal(room + header, data, 10 * PAYLOAD);
		assert_int_equal(room[version == 4 ? 8 : 7], 63);
		rig_expect_count(&rig, MODEL_COUNTER_tun_out_packets, 10);
		/* One with a wrong sum goes as it is, and those around it in order. */
		packets[4].b[header + 3] ^= 1;
		send_sealed(packets, 10);
		assert_int_equal(read_tap(tap, room, sizeof(room)), header + 4 * PAYLOAD);
		assert_int_equal(read_tap(tap, room, sizeof(room)), header + PAYLOAD);
		assert_int_equal(room[header + 3], data[4 * PAYLOAD + 3] ^ 1);
		assert_int_equal(read_tap(tap, room, sizeof(room)), header + 5 * PAYLOAD);
		assert_memory_equal(room + header, data + 5 * PAYLOAD, 5 * PAYLOAD);
		assert_int_equal(rig_dropped_all(&rig), 0);
		close(tap);
	}
}

static void two_flows_of_a_burst_are_two(void **state)
{
	static struct rig_packet packets[10];
	static uint8_t room[70000];
	(void)state;

	if (!allowed)
		skip();
	int tap = open_tap("onr-s");
	for (unsigned i = 0; i < 10; i++) {
		make_tcp(&packets[i], i % 2 == 0 ? 4 : 6, i / 2 * 900, 0x10, bytes_of(data + i * 900, i % 2 == 0 ? 920 : 900));
		if (i % 2 == 0) {
			make_tcp(&packets[i], 4, i / 2 * 920, 0x10, bytes_of(data + i * 900, 920));
			rig_set4(&packets[i], 5, (uint8_t)(i / 2));
		}
	}
	send_sealed(packets, 10);
	size_t one = read_tap(tap, room, sizeof(room)), two = read_tap(tap, room, sizeof(room));
	assert_int_equal(one + two, 40 + 5 * 920 + 60 + 5 * 900);
	close(tap);
}

/* Cut again by the kernel they are what was sent. */
static void datagrams_of_a_burst_reach_a_socket_whole(void **state)
{
	static struct rig_packet packets[CNT];
	static uint8_t room[2000];
	(void)state;

	if (!allowed)
		skip();
	int fd = open_udp("192.168.7.1", "10.1.0.5");
	for (unsigned i = 0; i < CNT; i++) {
		rig_make_udp(&packets[i], "10.1.0.5", "192.168.7.1", 28 + (i == CNT - 1 ? LAST : PAYLOAD));
		struct wr w = wr_of((struct space){ packets[i].b, packets[i].len });
		rig_set4(&packets[i], 5, (uint8_t)i);
		(void)wr_reserve(&w, 20);
		wr_u16(&w, PORT);
		wr_u16(&w, PORT);
		(void)wr_reserve(&w, 4);
		wr_put(&w, bytes_of(data + i * PAYLOAD, i == CNT - 1 ? LAST : PAYLOAD));
		rig_parse(&packets[i]);
		wr_set_u16(&w, 26, (uint16_t)~wire_checksum(packets[i].ip.payload,
							     wire_pseudo_sum(&packets[i].ip, packets[i].ip.payload.len)));
	}
	rig_mark(&rig);
	send_sealed(packets, CNT);
	for (unsigned i = 0; i < CNT; i++) {
		assert_true(rig_readable(fd, RIG_WAIT_MS));
		assert_int_equal(recv(fd, room, sizeof(room), 0), i == CNT - 1 ? LAST : PAYLOAD);
		assert_memory_equal(room, data + i * PAYLOAD, i == CNT - 1 ? LAST : PAYLOAD);
	}
	rig_expect_count(&rig, MODEL_COUNTER_tun_out_packets, CNT);
	assert_int_equal(rig_dropped_all(&rig), 0);
	close(fd);
}

/* ---- from one tunnel to another ---- */

/* Between others there is no room for another header and trailer: the longer ones of CBC with SHA-256. */
static void a_burst_is_sealed_again_for_another_tunnel(void **state)
{
	static const struct model_suite cbc = { .encr = IKE_ENCR_AES_CBC, .key_bits = 256,
						.integ = IKE_INTEG_HMAC_SHA2_256_128 };
	static struct rig_packet packets[CNT], got;
	(void)state;

	if (!allowed)
		skip();
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < CNT; i++) {
			rig_make_udp(&packets[i], "10.1.0.5", "10.2.0.5", 1000);
			packets[i].b[500] = (uint8_t)i;
		}
		rig_mark(&rig);
		send_sealed(packets, CNT);
		for (unsigned i = 0; i < CNT; i++) {
			rig_peer_get(&rig, SITE_B, &got);
			assert_int_equal(got.len, 1000);
			assert_memory_equal(got.b + 20, packets[i].b + 20, 980);
		}
		assert_int_equal(rig_dropped_all(&rig), 0);
		struct model_child_sa c = rig_child(&rig, SITE_B, 1, &cbc);
		if (round == 0) {
			rig_install(&rig, SITE_B, &c);
			fwd_child_prove(rig.fwd, c.spi_in);
		}
	}
}

/* What leaves between two superpackets of one system call has nothing to do with those that still wait. */
static void superpackets_that_came_together_are_each_what_they_were(void **state)
{
	enum { BURSTS = 16, EACH = 64, LEN = 200 };
	static struct rig_packet packets[EACH], got;
	static uint8_t room[RIG_PACKET_MAX + 100], bursts[BURSTS][EACH * (LEN + 64)];
	struct rig_peer *p = &rig.peers[SITE_A];
	size_t sealed = 0;
	(void)state;

	if (!allowed)
		skip();
	for (unsigned k = 0; k < BURSTS; k++) {
		struct wr w = wr_of(SPACE_OF(bursts[k]));
		for (unsigned i = 0; i < EACH; i++) {
			rig_make_udp(&packets[i], "10.1.0.5", "10.2.0.5", LEN);
			packets[i].b[100] = (uint8_t)k;
			packets[i].b[101] = (uint8_t)i;
			rig_set4(&packets[i], 1, i % 2 == 0 ? 0 : 0x20); /* so that each leaves alone */
			sealed = rig_seal(p, bytes_of(packets[i].b, LEN), IP_PROTO_IPIP, room);
			wr_put(&w, bytes_of(room, sealed));
		}
		assert_false(w.bad);
	}
	rig_mark(&rig);
	for (unsigned k = 0; k < BURSTS; k++)
		assert_int_equal(send_burst(p->fd, &rig.natt, bursts[k], EACH * sealed, (uint16_t)sealed), EACH * sealed);
	for (unsigned i = 0; i < BURSTS * EACH; i++) {
		rig_peer_get(&rig, SITE_B, &got);
		assert_int_equal(got.len, LEN);
		assert_int_equal(got.b[100], i / EACH);
		assert_int_equal(got.b[101], i % EACH);
	}
	assert_int_equal(rig_dropped_all(&rig), 0);
	/* Nor did the peer move. */
	for (const struct fwd_notice *n; (n = ring_peek(&rig.rings[0].notices)) != NULL; ring_done(&rig.rings[0].notices))
		assert_int_not_equal(n->kind, FWD_NOTICE_ADDRESS);
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		RUN(a_superpacket_from_the_tun_reaches_the_peer_as_packets),
		RUN(it_leaves_as_a_superpacket),
		RUN(what_the_kernel_refuses_as_a_superpacket_goes_singly),
		RUN(what_the_first_link_refuses_with_df_goes_without),
		RUN(a_tunnel_that_is_set_too_wide_takes_no_df_from_the_others),
		RUN(every_packet_of_a_superpacket_is_counted_when_it_is_dropped),
		RUN(segments_of_a_burst_enter_the_tun_as_one),
		RUN(two_flows_of_a_burst_are_two),
		RUN(datagrams_of_a_burst_reach_a_socket_whole),
		RUN(a_burst_is_sealed_again_for_another_tunnel),
		RUN(superpackets_that_came_together_are_each_what_they_were),
	};
	fill(sizeof(data));
	allowed = unshare(CLONE_NEWNET) == 0 && shell("ip link set lo up 2>/dev/null");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
