#include "peer.h"

#include <fcntl.h>

/* Where packets go that are good. */

static struct rig_packet sent, got;

/* The packet arrived whole, one hop older. */
static void assert_forwarded(void)
{
	assert_int_equal(got.len, sent.len);
	assert_int_equal(got.ip.ttl, sent.ip.ttl - 1);
	assert_true(bytes_eq(got.ip.payload, sent.ip.payload));
	assert_true(addr_eq(&got.ip.src, &sent.ip.src));
	assert_true(addr_eq(&got.ip.dst, &sent.ip.dst));
}

static void every_suite_carries_both_families_both_ways(void **state)
{
	static const struct model_suite suites[] = {
		{ .encr = IKE_ENCR_AES_GCM_16, .key_bits = 128 },
		{ .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
		{ .encr = IKE_ENCR_AES_CBC, .key_bits = 256, .integ = IKE_INTEG_HMAC_SHA2_256_128 },
		{ .encr = IKE_ENCR_AES_CBC, .key_bits = 256, .integ = IKE_INTEG_HMAC_SHA1_96 },
		{ .encr = IKE_ENCR_NULL, .integ = IKE_INTEG_HMAC_SHA2_256_128 },
		{ .encr = IKE_ENCR_NULL, .integ = IKE_INTEG_HMAC_SHA1_96 },
	};
	static const char *const ends[][2] = { { "10.1.0.5", "192.168.7.1" }, { "fd01::5", "fd99::1" } };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		struct rig r;
		rig_start(&r, 1, &suites[i]);
		for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
			rig_make_udp(&sent, ends[k][0], ends[k][1], 300 + 13 * i);
			rig_peer_send(&r, SITE_A, &sent);
			rig_tun_get(&r, 1, &got);
			assert_forwarded();
			rig_make_udp(&sent, ends[k][1], ends[k][0], 1300 + i);
			rig_tun_send(&r, 1, bytes_of(sent.b, sent.len));
			rig_peer_get(&r, SITE_A, &got);
			assert_forwarded();
		}
		assert_int_equal(rig_dropped_all(&r), 0);
		rig_stop(&r);
	}
}

static void two_sites_reach_each_other_through_the_gateway(void **state)
{
	static const char *const ends[][2] = { { "10.1.0.5", "10.2.0.5" }, { "fd01::5", "fd02::5" } };
	struct rig *r = *state;

	for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
		rig_make_udp(&sent, ends[k][0], ends[k][1], 900);
		rig_peer_send(r, SITE_A, &sent);
		rig_peer_get(r, SITE_B, &got);
		assert_forwarded();
		rig_make_udp(&sent, ends[k][1], ends[k][0], 901);
		rig_peer_send(r, SITE_B, &sent);
		rig_peer_get(r, SITE_A, &got);
		assert_forwarded();
	}
	rig_quiet(r);
	assert_int_equal(rig_dropped_all(r), 0);
}

static void accounts_with_the_same_addresses_stay_apart(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 200);
	rig_tun_send(r, 2, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_C, &got);
	assert_forwarded();
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	assert_forwarded();
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 200);
	rig_peer_send(r, SITE_C, &sent);
	rig_tun_get(r, 2, &got);
	/* Account 2 has no way to site B, whose prefix the other account has. */
	rig_make_udp(&sent, "10.1.0.5", "10.2.0.5", 200);
	rig_peer_send(r, SITE_C, &sent);
	rig_tun_get(r, 2, &got);
	assert_forwarded();
	rig_quiet(r);
}

static void the_customer_side_of_an_interface_address_is_connected(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "192.168.7.1", "10.100.0.3", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_B, &got);
	assert_forwarded();
	rig_make_udp(&sent, "fd99::1", "fd00:100::3", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_B, &got);
	assert_forwarded();
}

static void the_inner_address_answers_ping_from_both_sides(void **state)
{
	static const char *const ends[][2] = { { "10.1.0.5", "10.100.0.0" }, { "10.1.0.5", "10.100.0.2" },
					       { "fd01::5", "fd00:100::" } };
	struct rig *r = *state;

	for (size_t k = 0; k < ARRAY_LEN(ends); k++)
		for (unsigned side = 0; side < 2; side++) {
			rig_make_echo(&sent, ends[k][0], ends[k][1]);
			if (side == 0) {
				rig_peer_send(r, SITE_A, &sent);
				rig_peer_get(r, SITE_A, &got);
			} else {
				rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
				rig_tun_get(r, 1, &got);
			}
			assert_true(addr_eq(&got.ip.src, &sent.ip.dst));
			assert_true(addr_eq(&got.ip.dst, &sent.ip.src));
			assert_int_equal(got.ip.payload.p[0], got.ip.version == 4 ? 0 : 129);
			assert_true(bytes_eq(bytes_of(got.ip.payload.p + 4, got.ip.payload.len - 4),
					     bytes_of(sent.ip.payload.p + 4, sent.ip.payload.len - 4)));
		}
	rig_expect_count(r, MODEL_COUNTER_echo_answered, 6);
	assert_int_equal(rig_dropped_all(r), 0);
}

static void padding_behind_the_inner_packet_is_cut_off(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	memset(sent.b + 100, 0, 200);
	rig_peer_send_as(r, SITE_A, bytes_of(sent.b, 300), IP_PROTO_IPIP);
	rig_tun_get(r, 1, &got);
	assert_int_equal(got.len, 100);
}

/* ---- sizes ---- */

static void packets_that_fit_the_path_go_and_bigger_ones_are_told(void **state)
{
	struct rig *r = *state;

	/* AES-GCM in UDP on a path of 1500: 1438. */
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 1438);
	rig_set4(&sent, 6, 0x40);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 1439);
	rig_set4(&sent, 6, 0x40);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_tun_get(r, 1, &got);
	rig_assert_icmp(&got, "10.100.0.0", 3, 4, 1438, &sent);
	rig_expect_drop(r, MODEL_DROP_too_big);
	rig_make_udp(&sent, "fd99::1", "fd01::5", 1439);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_tun_get(r, 1, &got);
	rig_assert_icmp(&got, "fd00:100::", 2, 0, 1438, &sent);
	rig_expect_drop(r, MODEL_DROP_too_big);
}

static void packets_that_may_be_fragmented_go_whole(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 5000);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	assert_forwarded();
}

static void between_tunnels_the_way_out_counts(void **state)
{
	struct rig *r = *state;
	struct fwd_tunnel_config narrow = rig_config(SITE_B);

	narrow.outer_mtu = 1000;
	assert_int_equal(fwd_tunnel_put(r->fwd, &narrow), ERR_NONE);
	rig_make_udp(&sent, "10.1.0.5", "10.2.0.5", 1200);
	rig_set4(&sent, 6, 0x40);
	rig_peer_send(r, SITE_A, &sent);
	rig_peer_get(r, SITE_A, &got);
	rig_assert_icmp(&got, "10.100.0.0", 3, 4, 938, &sent);
	rig_expect_drop(r, MODEL_DROP_too_big);
	/* IPv6 passes its 1280 bytes on any link. */
	rig_make_udp(&sent, "fd01::5", "fd02::5", 1280);
	rig_peer_send(r, SITE_A, &sent);
	rig_peer_get(r, SITE_B, &got);
	assert_forwarded();
	rig_make_udp(&sent, "fd01::5", "fd02::5", 1281);
	rig_peer_send(r, SITE_A, &sent);
	rig_peer_get(r, SITE_A, &got);
	rig_assert_icmp(&got, "fd00:100::", 2, 0, 1280, &sent);
	rig_expect_drop(r, MODEL_DROP_too_big);
}

static void without_an_inner_ipv6_address_too_big_is_told_all_the_same(void **state)
{
	struct rig *r = *state;

	for (enum rig_site s = SITE_A; s <= SITE_B; s++) {
		struct fwd_tunnel_config c = rig_config(s);
		c.interface6 = (struct addr_prefix){ 0 };
		assert_int_equal(fwd_tunnel_put(r->fwd, &c), ERR_NONE);
	}
	rig_make_udp(&sent, "fd99::1", "fd01::5", 1439);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_tun_get(r, 1, &got);
	rig_assert_icmp(&got, "fd01::5", 2, 0, 1438, &sent);
	rig_expect_drop(r, MODEL_DROP_too_big);
}

/* ---- TCP ---- */

static void make_syn(const char *src, const char *dst, uint16_t mss)
{
	rig_make_udp(&sent, src, dst, (rig_addr(src).family == ADDR_V4 ? 20u : 40u) + 24u);
	size_t at = sent.ip.header_len;
	uint8_t tcp[24] = {
		0x04, 0, 0, 80, [12] = 6 << 4, [13] = 0x02, [20] = 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss
	};
	memcpy(sent.b + at, tcp, sizeof(tcp));
	if (sent.ip.version == 4)
		rig_set4(&sent, 9, IP_PROTO_TCP);
	else
		sent.b[6] = IP_PROTO_TCP;
	rig_parse(&sent);
	uint32_t sum = wire_checksum(addr_bytes(&sent.ip.src), IP_PROTO_TCP + sizeof(tcp));
	sum = wire_checksum(addr_bytes(&sent.ip.dst), sum);
	uint16_t check = (uint16_t)~wire_checksum(sent.ip.payload, sum);
	sent.b[at + 16] = (uint8_t)(check >> 8);
	sent.b[at + 17] = (uint8_t)check;
}

static void assert_mss(uint16_t mss)
{
	uint32_t sum = wire_checksum(addr_bytes(&got.ip.src), IP_PROTO_TCP + 24);
	sum = wire_checksum(addr_bytes(&got.ip.dst), sum);
	assert_int_equal(wire_checksum(got.ip.payload, sum), 0xffff);
	assert_int_equal(got.ip.payload.p[22] << 8 | got.ip.payload.p[23], mss);
}

static void set_clamp(struct rig *r, enum rig_site site, uint16_t clamp, uint16_t outer_mtu)
{
	struct fwd_tunnel_config c = rig_config(site);
	c.mss_clamp = clamp;
	c.outer_mtu = outer_mtu;
	assert_int_equal(fwd_tunnel_put(r->fwd, &c), ERR_NONE);
}

static void syns_are_clamped_to_the_tunnel_both_ways(void **state)
{
	struct rig *r = *state;

	make_syn("192.168.7.1", "10.1.0.5", 1460);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	assert_mss(1398);
	make_syn("10.1.0.5", "192.168.7.1", 1460);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	assert_mss(1398);
	make_syn("fd01::5", "fd99::1", 1440);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	assert_mss(1378);
	make_syn("10.1.0.5", "192.168.7.1", 1200);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	assert_mss(1200);
	rig_expect_count(r, MODEL_COUNTER_mss_clamped, 3);
}

static void between_tunnels_the_narrower_one_clamps(void **state)
{
	struct rig *r = *state;

	set_clamp(r, SITE_B, 0, 1000);
	make_syn("10.1.0.5", "10.2.0.5", 1460);
	rig_peer_send(r, SITE_A, &sent);
	rig_peer_get(r, SITE_B, &got);
	assert_mss(898);
	make_syn("10.2.0.5", "10.1.0.5", 1460);
	rig_peer_send(r, SITE_B, &sent);
	rig_peer_get(r, SITE_A, &got);
	assert_mss(898);
}

static void the_clamp_may_be_set_or_turned_off(void **state)
{
	struct rig *r = *state;

	set_clamp(r, SITE_A, 1300, 1500);
	make_syn("10.1.0.5", "192.168.7.1", 1460);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	assert_mss(1300);
	set_clamp(r, SITE_A, 1, 1500);
	make_syn("10.1.0.5", "192.168.7.1", 1460);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	assert_mss(1460);
}

/* ---- marks ---- */

static void set_tos(int fd, int tos)
{
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0);
}

static void congestion_outside_is_told_inside(void **state)
{
	static const uint8_t rows[][3] = {
		/* outer, inner, what arrives */
		{ 3, 0x2a, 0x2b }, { 3, 0x01, 0x03 }, { 3, 0xfb, 0xfb }, { 2, 0x02, 0x02 }, { 1, 0x28, 0x28 },
		{ 1, 0x2a, 0x29 }, { 2, 0x29, 0x29 }, { 0, 0x2b, 0x2b }, { 1, 0x2b, 0x2b }, { 2, 0x28, 0x28 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_tos(r->peers[SITE_A].fd, rows[i][0]);
		rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
		rig_set4(&sent, 1, rows[i][1]);
		rig_peer_send(r, SITE_A, &sent);
		rig_tun_get(r, 1, &got); /* checks the sum of the header */
		assert_int_equal(got.ip.tos, rows[i][2]);
		rig_make_udp(&sent, "fd01::5", "fd99::1", 100);
		sent.b[0] = (uint8_t)(0x60 | rows[i][1] >> 4);
		sent.b[1] = (uint8_t)(rows[i][1] << 4);
		rig_peer_send(r, SITE_A, &sent);
		rig_tun_get(r, 1, &got);
		assert_int_equal(got.ip.tos, rows[i][2]);
	}
}

static void a_marked_packet_whose_sender_knows_no_marks_is_dropped(void **state)
{
	struct rig *r = *state;

	set_tos(r->peers[SITE_A].fd, 3);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_set4(&sent, 1, 0x28);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_inner_congested);
	rig_make_udp(&sent, "fd01::5", "fd99::1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_inner_congested);
}

static void the_inner_mark_stands_on_the_outer_packet(void **state)
{
	struct rig *r = *state;
	static const uint8_t marks[] = { 0xb8, 0x02, 0 };

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		uint8_t room[2000];
		union {
			char room[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control;
		struct iovec iov = { room, sizeof(room) };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
				    .msg_controllen = sizeof(control.room) };
		rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
		rig_set4(&sent, 1, marks[i]);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		assert_true(rig_readable(r->peers[SITE_A].fd, RIG_WAIT_MS));
		ssize_t n = recvmsg(r->peers[SITE_A].fd, &m, 0);
		assert_true(n > 0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		assert_non_null(c);
		assert_int_equal(c->cmsg_type, IP_TOS);
		assert_int_equal(*CMSG_DATA(c), marks[i]);
		rig_peer_open(&r->peers[SITE_A], room, (size_t)n, &got);
		assert_int_equal(got.ip.tos, marks[i]);
	}
}

/* ---- changes while it runs ---- */

static void a_new_path_is_taken_by_the_next_packet(void **state)
{
	struct rig *r = *state;
	struct model_path path = r->peers[SITE_A].child.path;
	int old = r->peers[SITE_A].fd;

	r->peers[SITE_A].fd = rig_udp(&path.remote);
	fwd_child_path(r->fwd, r->peers[SITE_A].spi_in, &path);
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	assert_false(rig_readable(old, 0));
	close(old);
}

static void a_rekeyed_sa_is_sent_on_only_after_its_proof(void **state)
{
	struct rig *r = *state;
	struct rig_peer old = r->peers[SITE_A];
	struct model_child_sa next = rig_child(r, SITE_A, 1, &rig_gcm);

	old.fd = r->peers[SITE_A].fd;
	r->peers[SITE_A].seal = r->peers[SITE_A].open = NULL;
	rig_install(r, SITE_A, &next);
	struct rig_peer new = r->peers[SITE_A];

	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	r->peers[SITE_A] = old;
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	fwd_child_prove(r->fwd, next.spi_in);
	r->peers[SITE_A] = new;
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	/* What the peer still sends on the old one is taken until that goes. */
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	r->peers[SITE_A] = old;
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	fwd_child_delete(r->fwd, old.spi_in);
	rig_mark(r);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_esp_unknown_spi);
	crypt_esp_free(old.seal);
	crypt_esp_free(old.open);
	r->peers[SITE_A] = new;
}

static void an_off_ramp_may_be_exchanged(void **state)
{
	struct rig *r = *state;

	for (unsigned round = 0; round < 20; round++) {
		rig_tun(r, 1);
		rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_peer_get(r, SITE_A, &got);
		assert_forwarded();
		rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
		rig_peer_send(r, SITE_A, &sent);
		rig_tun_get(r, 1, &got);
		assert_forwarded();
	}
}

static void an_off_ramp_that_cannot_be_watched_does_not_stop_the_others(void **state)
{
	struct rig *r = *state;

	/* What epoll refuses, as it refuses any when the limits of the process are reached. */
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fwd_account_offramp(r->fwd, 2, &fd, 1, 1500), ERR_NONE);
	for (unsigned i = 0; i < 3; i++) {
		rig_make_udp(&sent, "192.168.7.7", "10.1.0.5", 100 + i);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_peer_get(r, SITE_A, &got);
		assert_forwarded();
	}
}

static void counters_of_sa_and_tunnel_are_exact(void **state)
{
	struct rig *r = *state;
	struct fwd_child_stats sa;
	struct fwd_tunnel_stats tunnel;
	struct model_id id = rig_id(SITE_A);

	for (unsigned i = 0; i < 100; i++) {
		rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100 + i);
		rig_peer_send(r, SITE_A, &sent);
		rig_tun_get(r, 1, &got);
		rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 200 + i);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_peer_get(r, SITE_A, &got);
	}
	rig_expect_count(r, MODEL_COUNTER_esp_out_packets, 100);
	assert_int_equal(fwd_child_stats(r->fwd, r->peers[SITE_A].spi_in, &sa), ERR_NONE);
	assert_int_equal(fwd_tunnel_stats(r->fwd, &id, &tunnel), ERR_NONE);
	assert_int_equal(sa.in_packets, 100);
	assert_int_equal(sa.in_bytes, 100 * 100 + 4950);
	assert_int_equal(sa.out_packets, 100);
	assert_int_equal(sa.out_bytes, 100 * 200 + 4950);
	assert_int_equal(sa.effective_mtu, 1438);
	assert_true(sa.last_in_us != 0 && sa.last_in_us <= clock_unix_us());
	assert_int_equal(tunnel.in_bytes, sa.in_bytes);
	assert_int_equal(tunnel.out_bytes, sa.out_bytes);
	assert_true(tunnel.up);
	assert_int_equal(rig_counted(r, MODEL_COUNTER_esp_in_packets), 100);
	assert_int_equal(rig_counted(r, MODEL_COUNTER_esp_in_bytes), 100 * 100 + 4950);
	assert_int_equal(rig_counted(r, MODEL_COUNTER_esp_out_bytes), 100 * 200 + 4950);
	assert_int_equal(rig_counted(r, MODEL_COUNTER_tun_in_packets), 100);
	assert_int_equal(rig_counted(r, MODEL_COUNTER_tun_out_packets), 100);
	/* The tunnel's figures outlive the SA. */
	fwd_child_delete(r->fwd, r->peers[SITE_A].spi_in);
	assert_int_equal(fwd_child_stats(r->fwd, r->peers[SITE_A].spi_in, &sa), ERR_NOTFOUND);
	assert_int_equal(fwd_tunnel_stats(r->fwd, &id, &tunnel), ERR_NONE);
	assert_int_equal(tunnel.in_packets, 100);
	assert_false(tunnel.up);
}

/* A site: the kernel behind the TUN is the router, also between two tunnels and to the inner addresses. */
static void at_a_site_everything_goes_to_the_host_and_costs_no_hop(void **state)
{
	static const char *const to[] = { "10.2.0.5", "10.1.0.9", "10.100.0.0", "192.168.7.1" };
	struct rig *r = *state;

	assert_int_equal(fwd_account_set_host(r->fwd, 9, true), ERR_NOTFOUND);
	assert_int_equal(fwd_account_set_host(r->fwd, 1, true), ERR_NONE);
	for (size_t k = 0; k < ARRAY_LEN(to); k++) {
		rig_make_udp(&sent, "10.1.0.5", to[k], 200);
		rig_peer_send(r, SITE_A, &sent);
		rig_tun_get(r, 1, &got);
		assert_int_equal(got.len, sent.len);
		assert_memory_equal(got.b, sent.b, sent.len);
	}
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 200);
	sent.b[8] = 1; /* the TTL of routing protocols; the checksum's other bytes carry the difference */
	uint16_t sum = (uint16_t)(sent.b[10] << 8 | sent.b[11]);
	uint32_t more = sum + (63u << 8);
	sum = (uint16_t)((more & 0xffff) + (more >> 16));
	sent.b[10] = (uint8_t)(sum >> 8);
	sent.b[11] = (uint8_t)sum;
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	assert_int_equal(got.len, sent.len);
	assert_memory_equal(got.b, sent.b, sent.len);
	rig_quiet(r);
	assert_int_equal(rig_dropped_all(r), 0);
}

/* The host's routes lead what was just sealed into the TUN again. */
static void at_a_site_an_outer_packet_is_not_sealed_again(void **state)
{
	static const char own[] = "10.9.0.1", gateway[] = "10.1.0.77";
	struct rig *r = *state;
	const struct rig_peer *peer = &r->peers[SITE_A];
	struct model_path path = peer->child.path;

	assert_int_equal(fwd_account_set_host(r->fwd, 1, true), ERR_NONE);
	path.local.addr = rig_addr(own);
	path.remote.addr = rig_addr(gateway);
	fwd_child_path(r->fwd, peer->spi_in, &path);
	for (unsigned k = 0; k < 3; k++) {
		rig_make_udp(&sent, own, gateway, 200);
		sent.b[20] = (uint8_t)((k == 0 ? 4500 : 500) >> 8); /* the source port */
		sent.b[21] = (uint8_t)(k == 0 ? 4500 : 500);
		if (k == 2)
			rig_set4(&sent, 9, IP_PROTO_ESP);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_expect_drop(r, MODEL_DROP_outer_loop);
	}
	rig_quiet(r);
	/* It is one by its addresses. */
	fwd_child_path(r->fwd, peer->spi_in, &peer->child.path);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
	assert_memory_equal(got.b, sent.b, sent.len);
}

static int start(void **state)
{
	static struct rig rig;
	rig_start(&rig, 1, &rig_gcm);
	*state = &rig;
	return 0;
}

static int stop(void **state)
{
	rig_stop(*state);
	return 0;
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_carries_both_families_both_ways),
		RUN(two_sites_reach_each_other_through_the_gateway),
		RUN(accounts_with_the_same_addresses_stay_apart),
		RUN(the_customer_side_of_an_interface_address_is_connected),
		RUN(the_inner_address_answers_ping_from_both_sides),
		RUN(padding_behind_the_inner_packet_is_cut_off),
		RUN(packets_that_fit_the_path_go_and_bigger_ones_are_told),
		RUN(packets_that_may_be_fragmented_go_whole),
		RUN(between_tunnels_the_way_out_counts),
		RUN(without_an_inner_ipv6_address_too_big_is_told_all_the_same),
		RUN(syns_are_clamped_to_the_tunnel_both_ways),
		RUN(between_tunnels_the_narrower_one_clamps),
		RUN(the_clamp_may_be_set_or_turned_off),
		RUN(congestion_outside_is_told_inside),
		RUN(a_marked_packet_whose_sender_knows_no_marks_is_dropped),
		RUN(the_inner_mark_stands_on_the_outer_packet),
		RUN(a_new_path_is_taken_by_the_next_packet),
		RUN(a_rekeyed_sa_is_sent_on_only_after_its_proof),
		RUN(an_off_ramp_may_be_exchanged),
		RUN(an_off_ramp_that_cannot_be_watched_does_not_stop_the_others),
		RUN(counters_of_sa_and_tunnel_are_exact),
		RUN(at_a_site_everything_goes_to_the_host_and_costs_no_hop),
		RUN(at_a_site_an_outer_packet_is_not_sealed_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
