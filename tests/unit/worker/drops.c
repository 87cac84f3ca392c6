#include "peer.h"

/* Each reason to drop a packet, provoked and counted once; and what its source is told. */

static struct rig_packet sent, got;
static uint8_t room[RIG_PACKET_MAX + 100];

/* ---- outside ---- */

static void outer_junk_has_its_reasons(void **state)
{
	static const struct {
		uint8_t bytes[40];
		size_t len;
		enum model_drop why;
	} rows[] = {
		{ { 0xff }, 1, MODEL_DROP_natt_keepalive },
		{ { 0 }, 1, MODEL_DROP_outer_malformed },
		{ { 1, 2, 3 }, 3, MODEL_DROP_outer_malformed },
		{ { 0x77, 0x77, 0x77, 0x77, 0, 0, 0, 1, 9, 9, 9, 9 }, 12, MODEL_DROP_esp_unknown_spi },
		{ { 0x77, 0x77, 0x77, 0x77, 0, 0, 0, 1 }, 8, MODEL_DROP_esp_unknown_spi },
		{ { 0, 0, 0x10, 0, 0, 0, 0, 1 }, 8, MODEL_DROP_esp_short },
		{ { 0, 0, 0x10, 0, 0, 0, 0, 1, 1 }, 33, MODEL_DROP_esp_short },
		{ { 0, 0, 0x10, 0, 0, 0, 0, 1, 1 }, 34, MODEL_DROP_esp_icv },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rig_peer_send_raw(r, SITE_A, bytes_of(rows[i].bytes, rows[i].len));
		rig_expect_drop(r, rows[i].why);
	}
	rig_quiet(r);
}

static void a_packet_of_odd_length_does_not_reach_the_cipher(void **state)
{
	struct rig *r = *state;
	struct model_suite cbc = { .encr = IKE_ENCR_AES_CBC,
				   .key_bits = 256,
				   .integ = IKE_INTEG_HMAC_SHA1_96 };
	struct model_child_sa c = rig_child(r, SITE_A, 1, &cbc);

	rig_install(r, SITE_A, &c);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	size_t len = rig_seal(&r->peers[SITE_A], bytes_of(sent.b, sent.len), IP_PROTO_IPIP, room);
	rig_peer_send_raw(r, SITE_A, bytes_of(room, len - 1));
	rig_expect_drop(r, MODEL_DROP_esp_length);
}

static void a_flipped_bit_is_an_icv_error(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	size_t len = rig_seal(&r->peers[SITE_A], bytes_of(sent.b, sent.len), IP_PROTO_IPIP, room);
	room[40] ^= 0x10;
	rig_peer_send_raw(r, SITE_A, bytes_of(room, len));
	rig_expect_drop(r, MODEL_DROP_esp_icv);
	struct fwd_child_stats s;
	assert_int_equal(fwd_child_stats(r->fwd, r->peers[SITE_A].spi_in, &s), ERR_NONE);
	assert_int_equal(s.in_packets, 0);
}

static void a_window_drops_repetitions_and_no_window_does_not(void **state)
{
	struct rig *r = *state;
	struct fwd_tunnel_config config = rig_config(SITE_A);

	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	size_t len = rig_seal(&r->peers[SITE_A], bytes_of(sent.b, sent.len), IP_PROTO_IPIP, room);
	for (unsigned i = 0; i < 2; i++) {
		rig_peer_send_raw(r, SITE_A, bytes_of(room, len));
		rig_tun_get(r, 1, &got);
	}
	config.replay_window = 64;
	assert_int_equal(fwd_tunnel_put(r->fwd, &config), ERR_NONE);
	struct model_child_sa c = rig_child(r, SITE_A, 1, &rig_gcm);
	rig_install(r, SITE_A, &c);
	len = rig_seal(&r->peers[SITE_A], bytes_of(sent.b, sent.len), IP_PROTO_IPIP, room);
	rig_peer_send_raw(r, SITE_A, bytes_of(room, len));
	rig_tun_get(r, 1, &got);
	rig_peer_send_raw(r, SITE_A, bytes_of(room, len));
	rig_expect_drop(r, MODEL_DROP_esp_replay);
}

/* ---- the trailer ---- */

static void trailers_have_their_reasons(void **state)
{
	static const struct {
		uint8_t text[8];
		enum model_drop why;
	} rows[] = {
		{ { 1, 2, 3, 4, 5, 7, 6, 4 }, MODEL_DROP_esp_padding },
		{ { 1, 2, 3, 4, 5, 6, 200, 4 }, MODEL_DROP_esp_padding },
		{ { 1, 2, 3, 4, 5, 6, 6, 59 }, MODEL_DROP_esp_dummy },
		{ { 1, 2, 3, 4, 5, 6, 6, 6 }, MODEL_DROP_esp_next_header },
		{ { 1, 2, 3, 4, 5, 6, 6, 4 }, MODEL_DROP_inner_malformed }, /* nothing inside */
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = rig_seal_text(&r->peers[SITE_A], BYTES_OF(rows[i].text), room);
		rig_peer_send_raw(r, SITE_A, bytes_of(room, len));
		rig_expect_drop(r, rows[i].why);
	}
}

/* RFC 4303 2.6, 2.7: padding against traffic analysis stands behind the inner packet, whose length tells it; dummies are
 * numbered like the others and thrown away. */
static void padding_against_traffic_analysis_is_taken_and_thrown_away(void **state)
{
	struct rig *r = *state;
	struct fwd_tunnel_config config = rig_config(SITE_A);
	struct rig_packet padded;

	config.replay_window = 64;
	assert_int_equal(fwd_tunnel_put(r->fwd, &config), ERR_NONE);
	struct model_child_sa c = rig_child(r, SITE_A, 1, &rig_gcm);
	rig_install(r, SITE_A, &c);
	for (unsigned tfc = 0; tfc < 300; tfc += 37) {
		for (unsigned v6 = 0; v6 < 2; v6++) {
			rig_make_udp(&sent, v6 ? "fd01::5" : "10.1.0.5", v6 ? "fd99::1" : "192.168.7.1", 100);
			padded = sent;
			memset(padded.b + padded.len, 0xa5, tfc);
			padded.len += tfc;
			rig_peer_send_as(r, SITE_A, bytes_of(padded.b, padded.len), v6 ? IP_PROTO_IPV6 : IP_PROTO_IPIP);
			rig_tun_get(r, 1, &got);
			assert_int_equal(got.len, sent.len);
		}
		rig_peer_send_as(r, SITE_A, bytes_of(padded.b + padded.len - tfc, tfc), IP_PROTO_NONE);
		rig_expect_drop(r, MODEL_DROP_esp_dummy);
	}
	struct fwd_child_stats s;
	assert_int_equal(fwd_child_stats(r->fwd, r->peers[SITE_A].spi_in, &s), ERR_NONE);
	assert_int_equal(s.seq_in, r->peers[SITE_A].seq);
}

/* ---- the inner packet ---- */

static void inner_headers_are_not_believed(void **state)
{
	struct rig *r = *state;
	struct rig_packet good;

	rig_make_udp(&good, "10.1.0.5", "192.168.7.1", 100);
	for (unsigned row = 0; row < 8; row++) {
		uint8_t next = IP_PROTO_IPIP;
		sent = good;
		switch (row) {
		case 0: rig_set4(&sent, 0, 0x44); break;        /* header length below 20 */
		case 1: rig_set4(&sent, 0, 0x55); break;        /* version 5 */
		case 2: rig_set4(&sent, 3, 101); break;         /* longer than what came */
		case 3: rig_set4(&sent, 3, 19); break;          /* shorter than its header */
		case 4: sent.b[10] ^= 1; break;                 /* checksum */
		case 5: next = IP_PROTO_IPV6; break;            /* says v6, is v4 */
		case 6: sent.len = 19; break;
		case 7:
			rig_make_udp(&sent, "fd01::5", "fd99::1", 100);
			break;                                  /* says v4, is v6 */
		}
		rig_peer_send_as(r, SITE_A, bytes_of(sent.b, sent.len), next);
		rig_expect_drop(r, MODEL_DROP_inner_malformed);
	}
	rig_quiet(r);
}

static struct model_child_sa narrow_child(const struct rig *r)
{
	struct model_child_sa c = rig_child(r, SITE_A, 1, &rig_gcm);
	c.ts_remote_cnt = c.ts_local_cnt = 1;
	c.ts_remote[0] = (struct model_ts){ .port_last = UINT16_MAX, .first = rig_addr("10.1.0.0"),
					    .last = rig_addr("10.1.0.255") };
	c.ts_local[0] = (struct model_ts){ .protocol = IP_PROTO_UDP,
					   .port_first = 2000,
					   .port_last = 2000,
					   .first = rig_addr("192.168.0.0"),
					   .last = rig_addr("192.168.255.255") };
	return c;
}

static void selectors_hold_in_both_directions(void **state)
{
	struct rig *r = *state;
	struct model_child_sa c = narrow_child(r);

	fwd_child_delete(r->fwd, r->peers[SITE_A].spi_in);
	rig_install(r, SITE_A, &c);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	rig_make_udp(&sent, "10.1.1.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_inner_source);
	rig_make_udp(&sent, "10.1.0.5", "192.169.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_inner_selector);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	sent.b[23] = 0xd1; /* port 2001 */
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_inner_selector);
	rig_make_udp(&sent, "fd01::5", "fd99::1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_inner_source);
	/* Out: the source's port is 1000, the selector wants 2000 on our side. */
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_tun_get(r, 1, &got);
	rig_assert_icmp(&got, "10.100.0.0", 3, 13, 0, &sent);
	rig_expect_drop(r, MODEL_DROP_inner_selector);
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	sent.b[20] = 0x07, sent.b[21] = 0xd0;
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
}

static void martians_are_dropped_from_both_sides(void **state)
{
	static const char *const rows[][2] = {
		{ "127.0.0.1", "192.168.7.1" }, { "0.0.0.0", "192.168.7.1" },      { "224.0.0.5", "192.168.7.1" },
		{ "255.255.255.255", "10.1.0.5" }, { "10.1.0.5", "127.0.0.1" },    { "10.1.0.5", "224.0.0.5" },
		{ "10.1.0.5", "255.255.255.255" }, { "10.1.0.5", "0.0.0.0" },      { "::1", "fd99::1" },
		{ "::", "fd99::1" },               { "ff02::1", "fd99::1" },       { "fd01::5", "::1" },
		{ "fd01::5", "ff02::5" },          { "fe80::1", "fd99::1" },       { "fd01::5", "fe80::1" },
		{ "::ffff:10.1.0.5", "fd99::1" },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rig_make_udp(&sent, rows[i][0], rows[i][1], 100);
		rig_peer_send(r, SITE_A, &sent);
		rig_expect_drop(r, MODEL_DROP_inner_martian);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_expect_drop(r, MODEL_DROP_inner_martian);
	}
	rig_quiet(r);
	assert_int_equal(rig_counted(r, MODEL_COUNTER_icmp_sent), 0);
}

static void junk_from_the_off_ramp_is_malformed(void **state)
{
	struct rig *r = *state;

	rig_tun_send(r, 1, bytes_str("?"));
	rig_expect_drop(r, MODEL_DROP_inner_malformed);
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	sent.b[8] = 63; /* the sum no longer fits */
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_expect_drop(r, MODEL_DROP_inner_malformed);
}

/* ---- routing ---- */

static void the_last_hop_is_told_back_into_the_tunnel(void **state)
{
	struct rig *r = *state;

	for (uint8_t ttl = 0; ttl <= 1; ttl++) {
		rig_make_udp(&sent, "10.1.0.5", "10.2.0.5", 100);
		rig_set4(&sent, 8, ttl);
		rig_peer_send(r, SITE_A, &sent);
		rig_peer_get(r, SITE_A, &got);
		rig_assert_icmp(&got, "10.100.0.0", 11, 0, 0, &sent);
		rig_expect_drop(r, MODEL_DROP_ttl_expired);
		rig_make_udp(&sent, "fd01::5", "fd99::5", 100);
		sent.b[7] = ttl;
		rig_peer_send(r, SITE_A, &sent);
		rig_peer_get(r, SITE_A, &got);
		rig_assert_icmp(&got, "fd00:100::", 3, 0, 0, &sent);
		rig_expect_drop(r, MODEL_DROP_ttl_expired);
		rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
		rig_set4(&sent, 8, ttl);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_tun_get(r, 1, &got);
		assert_int_equal(got.ip.payload.p[0], 11);
		rig_expect_drop(r, MODEL_DROP_ttl_expired);
	}
}

static void a_packet_back_into_its_tunnel_is_dropped_in_silence(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "10.1.0.5", "10.1.0.6", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_hairpin);
	rig_quiet(r);
}

static void a_tunnel_without_an_sa_is_down(void **state)
{
	struct rig *r = *state;

	fwd_child_delete(r->fwd, r->peers[SITE_B].spi_in);
	rig_make_udp(&sent, "192.168.7.1", "10.2.0.5", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_tun_get(r, 1, &got);
	rig_assert_icmp(&got, "10.100.0.2", 3, 1, 0, &sent);
	rig_expect_drop(r, MODEL_DROP_tunnel_down);
	rig_make_udp(&sent, "10.1.0.5", "10.2.0.5", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_peer_get(r, SITE_A, &got);
	rig_assert_icmp(&got, "10.100.0.0", 3, 1, 0, &sent);
	rig_expect_drop(r, MODEL_DROP_tunnel_down);
	rig_make_udp(&sent, "fd99::1", "fd02::5", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_tun_get(r, 1, &got);
	rig_assert_icmp(&got, "fd00:100::2", 1, 3, 0, &sent);
	rig_expect_drop(r, MODEL_DROP_tunnel_down);
}

static void where_no_route_leads_is_unreachable(void **state)
{
	struct rig *r = *state;

	assert_int_equal(fwd_account_put(r->fwd, 1, false), ERR_NONE);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_peer_get(r, SITE_A, &got);
	rig_assert_icmp(&got, "10.100.0.0", 3, 0, 0, &sent);
	rig_expect_drop(r, MODEL_DROP_no_route);
	/* The off-ramp's own packets do not go back there, whatever the setting. */
	for (unsigned offramp = 0; offramp < 2; offramp++) {
		assert_int_equal(fwd_account_put(r->fwd, 1, offramp == 1), ERR_NONE);
		rig_make_udp(&sent, "192.168.7.1", "192.168.8.1", 100);
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_tun_get(r, 1, &got);
		assert_int_equal(got.ip.payload.p[0], 3);
		rig_expect_drop(r, MODEL_DROP_no_route);
	}
}

static void an_account_without_an_off_ramp_says_so(void **state)
{
	struct rig *r = *state;

	assert_int_equal(fwd_account_offramp(r->fwd, 1, NULL, 0, 0), ERR_NONE);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_peer_get(r, SITE_A, &got);
	rig_assert_icmp(&got, "10.100.0.0", 3, 0, 0, &sent);
	rig_expect_drop(r, MODEL_DROP_offramp_down);
}

static void an_off_ramp_that_takes_nothing_is_counted(void **state)
{
	struct rig *r = *state;

	close(r->tuns[1]);
	r->tuns[1] = dup(r->tuns[2]);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_tun_write);
}

static void other_packets_to_the_inner_address_are_local(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "10.1.0.5", "10.100.0.0", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_tunnel_local);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_expect_drop(r, MODEL_DROP_tunnel_local);
	rig_make_echo(&sent, "10.1.0.5", "10.100.0.0");
	sent.b[sent.len - 1] ^= 1; /* the checksum of the message */
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_tunnel_local);
	rig_quiet(r);
}

/* ---- sending ---- */

static struct esp_counter *counter_of(struct rig *r, enum rig_site site)
{
	return &fwd_spi_find(r->fwd, r->peers[site].spi_in)->key_counter->counter;
}

static void an_sa_at_its_end_sends_nothing(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	atomic_store(&counter_of(r, SITE_A)->seq, UINT32_MAX);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_expect_drop(r, MODEL_DROP_esp_expired);
	atomic_store(&counter_of(r, SITE_A)->seq, 5);
	atomic_store(&counter_of(r, SITE_A)->ivs.next, UINT64_C(1) << CRYPT_IV_COUNTER_BITS);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_expect_drop(r, MODEL_DROP_iv_exhausted);
	rig_quiet(r);
}

static void a_path_from_an_address_without_a_socket_fails(void **state)
{
	struct rig *r = *state;
	struct model_path path = r->peers[SITE_A].child.path;

	path.local.addr = rig_addr("127.0.0.9");
	fwd_child_path(r->fwd, r->peers[SITE_A].spi_in, &path);
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_expect_drop(r, MODEL_DROP_send_failed);
	/* Nor does native ESP leave by a UDP socket. */
	path = r->peers[SITE_A].child.path;
	path.udp_encap = false;
	fwd_child_path(r->fwd, r->peers[SITE_A].spi_in, &path);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_expect_drop(r, MODEL_DROP_send_failed);
	/* The system's own refusal: an ESP packet, but more than UDP can carry. */
	fwd_child_path(r->fwd, r->peers[SITE_A].spi_in, &r->peers[SITE_A].child.path);
	static uint8_t big[0xffc8];
	struct rig_packet head;
	rig_make_udp(&head, "192.168.7.1", "10.1.0.5", 100);
	head.b[2] = 0xff;
	head.b[3] = 0xc8;
	rig_set4(&head, 8, 64);
	memcpy(big, head.b, head.len);
	rig_tun_send(r, 1, BYTES_OF(big));
	rig_expect_drop(r, MODEL_DROP_send_failed);
	rig_quiet(r);
}

static void icmp_errors_are_limited(void **state)
{
	enum { CNT = 400 };
	struct rig *r = *state;
	unsigned answers = 0;

	rig_make_udp(&sent, "10.1.0.5", "10.2.0.5", 100);
	rig_set4(&sent, 8, 1);
	uint64_t start = clock_mono_ms();
	for (unsigned i = 0; i < CNT; i++)
		rig_peer_send(r, SITE_A, &sent);
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped(r, MODEL_DROP_ttl_expired) < CNT; i++)
		usleep(1000);
	uint64_t took = clock_mono_ms() - start;
	assert_int_equal(rig_dropped(r, MODEL_DROP_ttl_expired), CNT);
	uint64_t limited = rig_dropped(r, MODEL_DROP_icmp_limited);
	for (; rig_readable(r->peers[SITE_A].fd, 50); answers++)
		rig_peer_get(r, SITE_A, &got);
	assert_int_equal(answers + limited, CNT);
	/* 100 at once, 1000 a second. */
	assert_true(answers >= 100 && answers <= 100 + took + 10);
	assert_int_equal(rig_dropped_all(r), CNT + limited);
}

static void the_errors_of_one_tunnel_leave_those_of_another_alone(void **state)
{
	enum { CNT = 400, EACH = 40 };
	static struct rig_packet big;
	struct rig *r = *state;

	rig_make_udp(&sent, "10.1.0.5", "10.2.0.5", 100);
	rig_set4(&sent, 8, 1);
	rig_make_udp(&big, "10.2.0.5", "10.1.0.5", 1490);
	rig_set4(&big, 6, 0x40);
	for (unsigned i = 0; i < CNT; i++) {
		rig_peer_send(r, SITE_A, &sent);
		if (i % EACH == 0)
			rig_peer_send(r, SITE_B, &big);
	}
	for (unsigned i = 0; i < CNT; i += EACH) {
		rig_peer_get(r, SITE_B, &got);
		assert_int_equal(got.ip.protocol, IP_PROTO_ICMP);
	}
}

static void errors_are_not_answered_with_errors(void **state)
{
	struct rig *r = *state;

	rig_make_echo(&sent, "10.1.0.5", "10.2.0.5");
	sent.b[20] = 11; /* time exceeded */
	rig_set4(&sent, 8, 1);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_ttl_expired);
	rig_quiet(r);
}

/* ---- everything has one fate ---- */

static uint32_t noise = 12345;

static uint32_t random_u32(void)
{
	noise ^= noise << 13;
	noise ^= noise >> 17;
	noise ^= noise << 5;
	return noise;
}

/* A good packet with some bytes changed, cut or grown. */
static struct bytes mutate(void)
{
	static const char *const ends[][2] = { { "10.1.0.5", "10.2.0.5" },   { "10.1.0.5", "192.168.7.1" },
					       { "fd01::5", "fd02::5" },     { "10.1.0.5", "10.100.0.0" },
					       { "fd01::5", "fd00:100::2" }, { "10.1.0.5", "10.1.0.9" } };
	size_t which = random_u32() % ARRAY_LEN(ends);

	rig_make_udp(&sent, ends[which][0], ends[which][1], 60 + random_u32() % 200);
	for (unsigned n = random_u32() % 4; n > 0; n--)
		sent.b[random_u32() % 60] = (uint8_t)random_u32();
	if (random_u32() % 2 == 0 && sent.b[0] >> 4 == 4)
		rig_set4(&sent, 8, (uint8_t)(random_u32() % 4));
	if (random_u32() % 8 == 0)
		sent.len = random_u32() % sent.len;
	return bytes_of(sent.b, sent.len);
}

static unsigned drain(struct rig *r)
{
	unsigned cnt = 0;

	for (enum rig_site s = 0; s < SITE_CNT; s++)
		for (; rig_readable(r->peers[s].fd, 0); cnt++)
			rig_peer_get(r, s, &got);
	for (unsigned account = 1; account <= 2; account++)
		for (; rig_readable(r->tuns[account], 0); cnt++)
			rig_tun_get(r, account, &got);
	return cnt;
}

/* Whatever stands inside, each packet is dropped for one reason, or one packet comes out; and for an ICMP
 * error one comes out too. What comes out is well formed (rig_peer_get and rig_tun_get look). */
static void malformed_inner_packets_of_every_kind_have_one_fate(void **state)
{
	enum { CNT = 6000 };
	struct rig *r = *state;
	uint64_t out = 0;

	for (unsigned i = 0; i < CNT; i++) {
		struct bytes inner = mutate();
		if (random_u32() % 3 == 0 && inner.len != 0)
			rig_tun_send(r, 1, inner);
		else
			rig_peer_send_as(r, SITE_A, inner,
					 random_u32() % 5 == 0 ? IP_PROTO_IPV6 : IP_PROTO_IPIP);
		out += drain(r);
	}
	for (unsigned i = 0; i < 100; i++) {
		usleep(1000);
		out += drain(r);
	}
	uint64_t errors = rig_counted(r, MODEL_COUNTER_icmp_sent);
	uint64_t dropped = rig_dropped_all(r) - rig_dropped(r, MODEL_DROP_icmp_limited);
	assert_true(dropped > CNT / 20 && out > CNT / 20);
	assert_int_equal(dropped + out - errors, CNT);
}

static void random_datagrams_do_no_harm(void **state)
{
	enum { CNT = 4000 };
	struct rig *r = *state;
	struct fwd_punt punt;
	uint64_t punted = 0;

	for (unsigned i = 0; i < CNT; i++) {
		size_t len = 1 + random_u32() % 300;
		for (size_t k = 0; k < len; k++)
			room[k] = (uint8_t)random_u32();
		if (i % 2 == 0) /* near a real SA */
			memcpy(room, (uint8_t[]){ 0, 0, 0x10, 0, 0, 0, 0, 1 }, len < 8 ? len : 8);
		rig_peer_send_raw(r, SITE_A, bytes_of(room, len));
		while (ring_pop(&r->rings[0].punts, &punt))
			punted++;
	}
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped_all(r) + punted < CNT; i++) {
		usleep(1000);
		while (ring_pop(&r->rings[0].punts, &punt))
			punted++;
	}
	assert_int_equal(rig_dropped_all(r) + punted, CNT);
	rig_quiet(r);
	/* And the gateway lives. */
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
}

static int start(void **state)
{
	static struct rig rig;
	rig_start(&rig, 1, &rig_gcm);
	rig_mark(&rig);
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
		RUN(outer_junk_has_its_reasons),
		RUN(a_packet_of_odd_length_does_not_reach_the_cipher),
		RUN(a_flipped_bit_is_an_icv_error),
		RUN(a_window_drops_repetitions_and_no_window_does_not),
		RUN(trailers_have_their_reasons),
		RUN(padding_against_traffic_analysis_is_taken_and_thrown_away),
		RUN(inner_headers_are_not_believed),
		RUN(selectors_hold_in_both_directions),
		RUN(martians_are_dropped_from_both_sides),
		RUN(junk_from_the_off_ramp_is_malformed),
		RUN(the_last_hop_is_told_back_into_the_tunnel),
		RUN(a_packet_back_into_its_tunnel_is_dropped_in_silence),
		RUN(a_tunnel_without_an_sa_is_down),
		RUN(where_no_route_leads_is_unreachable),
		RUN(an_account_without_an_off_ramp_says_so),
		RUN(an_off_ramp_that_takes_nothing_is_counted),
		RUN(other_packets_to_the_inner_address_are_local),
		RUN(an_sa_at_its_end_sends_nothing),
		RUN(a_path_from_an_address_without_a_socket_fails),
		RUN(icmp_errors_are_limited),
		RUN(the_errors_of_one_tunnel_leave_those_of_another_alone),
		RUN(errors_are_not_answered_with_errors),
		RUN(malformed_inner_packets_of_every_kind_have_one_fate),
		RUN(random_datagrams_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
