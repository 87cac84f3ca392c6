#include "ike/step.h"
#include "peer.h"

/* What goes to the control thread: IKE messages and notices about SAs. */

static struct rig_packet sent, got;

static void get_punt(struct rig *r, struct fwd_punt *ret)
{
	eventfd_t value;

	assert_true(rig_readable(r->rings[0].wake_fd, RIG_WAIT_MS));
	assert_int_equal(eventfd_read(r->rings[0].wake_fd, &value), 0);
	assert_true(ring_pop(&r->rings[0].punts, ret));
}

/* An IKE header that says its own length, and the rest of so many bytes. */
static size_t make_ike(uint8_t *room, size_t len)
{
	struct wr w = wr_of((struct space){ room, len });

	wr_u64(&w, 0x1122334455667788);
	wr_u64(&w, 0);
	wr_u8(&w, IKE_PL_SA);
	wr_u8(&w, 0x20);
	wr_u8(&w, IKE_EX_SA_INIT);
	wr_u8(&w, IKE_FLAG_INITIATOR);
	wr_u32(&w, 0);
	wr_u32(&w, (uint32_t)len);
	wr_zero(&w, len - wr_len(&w));
	assert_false(w.bad);
	return len;
}

static void ike_arrives_without_its_marker_and_with_both_ends(void **state)
{
	struct rig *r = *state;
	static struct fwd_punt p;
	uint8_t msg[300];

	make_ike(msg, sizeof(msg));
	assert_int_equal(io_udp_send(r->peers[SITE_B].fd, &r->natt, true, BYTES_OF(msg)), ERR_NONE);
	get_punt(r, &p);
	assert_true(p.natt && !p.no_marker);
	assert_true(addr_endpoint_eq(&p.local, &r->natt));
	assert_true(addr_endpoint_eq(&p.remote, &r->peers[SITE_B].local));
	assert_true(bytes_eq(bytes_of(p.msg, p.len), BYTES_OF(msg)));
	/* Port 500 has no markers. */
	assert_int_equal(io_udp_send(r->peers[SITE_B].fd, &r->ike, false, BYTES_OF(msg)), ERR_NONE);
	get_punt(r, &p);
	assert_true(!p.natt && !p.no_marker);
	assert_true(addr_endpoint_eq(&p.local, &r->ike));
	assert_true(bytes_eq(bytes_of(p.msg, p.len), BYTES_OF(msg)));
	assert_int_equal(rig_dropped_all(r), 0);
}

static void ike_that_forgot_its_marker_is_told_apart(void **state)
{
	struct rig *r = *state;
	static struct fwd_punt p;
	uint8_t msg[300];

	make_ike(msg, sizeof(msg));
	rig_peer_send_raw(r, SITE_A, BYTES_OF(msg));
	get_punt(r, &p);
	assert_true(p.natt && p.no_marker);
	assert_true(bytes_eq(bytes_of(p.msg, p.len), BYTES_OF(msg)));
}

static void a_message_above_the_limit_is_malformed(void **state)
{
	struct rig *r = *state;
	static uint8_t msg[FWD_PUNT_MSG_MAX + 1];
	static struct fwd_punt p;

	make_ike(msg, sizeof(msg));
	assert_int_equal(io_udp_send(r->peers[SITE_A].fd, &r->natt, true, BYTES_OF(msg)), ERR_NONE);
	rig_expect_drop(r, MODEL_DROP_ike_malformed);
	make_ike(msg, sizeof(msg) - 1);
	assert_int_equal(io_udp_send(r->peers[SITE_A].fd, &r->natt, true, bytes_of(msg, sizeof(msg) - 1)),
			 ERR_NONE);
	get_punt(r, &p);
	assert_int_equal(p.len, FWD_PUNT_MSG_MAX);
}

static void a_full_ring_drops_and_goes_on(void **state)
{
	struct rig *r = *state;
	static struct fwd_punt p;
	uint8_t msg[100];

	make_ike(msg, sizeof(msg));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(io_udp_send(r->peers[SITE_A].fd, &r->natt, true, BYTES_OF(msg)), ERR_NONE);
	assert_int_equal(io_udp_send(r->peers[SITE_A].fd, &r->natt, true, BYTES_OF(msg)), ERR_NONE);
	rig_expect_drop(r, MODEL_DROP_punt_full);
	for (unsigned i = 0; i < 4; i++)
		assert_true(ring_pop(&r->rings[0].punts, &p));
	assert_false(ring_pop(&r->rings[0].punts, &p));
	/* ESP goes on meanwhile and after. */
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
}

/* By the check byte alone. */
static void messages_to_our_spis_have_a_ring_of_their_own(void **state)
{
	struct rig *r = *state;
	static struct fwd_punt p;
	static const uint8_t random[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint8_t msg[100], known[100];
	struct wr w = wr_of(SPACE_OF(known));

	make_ike(msg, sizeof(msg));
	make_ike(known, sizeof(known));
	wr_u64(&w, 0x1122334455667788);
	wr_u64(&w, ike_spi_make(&r->rings[0].spi_key, 5, random));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(io_udp_send(r->peers[SITE_A].fd, &r->natt, true, BYTES_OF(msg)), ERR_NONE);
	assert_int_equal(io_udp_send(r->peers[SITE_A].fd, &r->natt, true, BYTES_OF(msg)), ERR_NONE);
	rig_expect_drop(r, MODEL_DROP_punt_full);
	/* no room for first messages, and yet for those to an SA */
	assert_int_equal(io_udp_send(r->peers[SITE_A].fd, &r->natt, true, BYTES_OF(known)), ERR_NONE);
	for (int i = 0; i < RIG_WAIT_MS && ring_peek(&r->rings[0].known) == NULL; i++)
		usleep(1000);
	assert_true(ring_pop(&r->rings[0].known, &p));
	assert_true(bytes_eq(bytes_of(p.msg, p.len), BYTES_OF(known)));
	/* the other role: then the first SPI is ours */
	wr_set_u8(&w, 15, (uint8_t)(known[15] ^ 1)); /* the check byte of the second is wrong now */
	assert_ptr_equal(fwd_punt_ring(&r->rings[0], BYTES_OF(known)), &r->rings[0].punts);
	w = wr_of(SPACE_OF(known));
	wr_u64(&w, ike_spi_make(&r->rings[0].spi_key, 5, random));
	assert_ptr_equal(fwd_punt_ring(&r->rings[0], BYTES_OF(known)), &r->rings[0].punts);
	known[19] = 0;
	assert_ptr_equal(fwd_punt_ring(&r->rings[0], BYTES_OF(known)), &r->rings[0].known);
	assert_ptr_equal(fwd_punt_ring(&r->rings[0], bytes_of(known, 27)), &r->rings[0].punts);
}

/* ---- notices ---- */

static bool get_notice(struct rig *r, struct fwd_notice *ret, int ms)
{
	for (int i = 0; i < ms; i++) {
		if (ring_pop(&r->rings[0].notices, ret))
			return true;
		usleep(1000);
	}
	return ring_pop(&r->rings[0].notices, ret);
}

static void the_first_packet_of_an_sa_is_told_once(void **state)
{
	struct rig *r = *state;
	struct fwd_notice n;

	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	for (unsigned i = 0; i < 5; i++) {
		rig_peer_send(r, SITE_A, &sent);
		rig_tun_get(r, 1, &got);
	}
	assert_true(get_notice(r, &n, RIG_WAIT_MS));
	assert_int_equal(n.kind, FWD_NOTICE_FIRST);
	assert_int_equal(n.spi_in, r->peers[SITE_A].spi_in);
	assert_true(rig_readable(r->rings[0].wake_fd, RIG_WAIT_MS));
	assert_false(get_notice(r, &n, 50));
}

static void a_forged_packet_tells_nothing(void **state)
{
	struct rig *r = *state;
	static uint8_t room[RIG_PACKET_MAX + 100];
	struct fwd_notice n;

	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	size_t len = rig_seal(&r->peers[SITE_A], bytes_of(sent.b, sent.len), IP_PROTO_IPIP, room);
	room[len - 1] ^= 1;
	/* From another address too. */
	assert_int_equal(io_udp_send(r->peers[SITE_B].fd, &r->natt, false, bytes_of(room, len)), ERR_NONE);
	rig_expect_drop(r, MODEL_DROP_esp_icv);
	assert_false(get_notice(r, &n, 50));
}

static void a_new_address_is_told_once_a_second_and_not_taken(void **state)
{
	struct rig *r = *state;
	static uint8_t room[RIG_PACKET_MAX + 100];
	struct fwd_notice n;
	unsigned told = 0;

	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	uint64_t start = clock_mono_ms();
	while (clock_mono_ms() - start < 1300) {
		size_t len = rig_seal(&r->peers[SITE_A], bytes_of(sent.b, sent.len), IP_PROTO_IPIP, room);
		assert_int_equal(io_udp_send(r->peers[SITE_B].fd, &r->natt, false, bytes_of(room, len)),
				 ERR_NONE);
		rig_tun_get(r, 1, &got);
		usleep(10000);
		while (ring_pop(&r->rings[0].notices, &n))
			if (n.kind == FWD_NOTICE_ADDRESS) {
				told++;
				assert_int_equal(n.spi_in, r->peers[SITE_A].spi_in);
				assert_true(addr_endpoint_eq(&n.remote, &r->peers[SITE_B].local));
			}
	}
	assert_int_equal(told, 2);
	/* One packet proves nothing: answers still go to the old address. */
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_A, &got);
}

static void an_sa_that_nears_its_end_is_told_once(void **state)
{
	struct rig *r = *state;
	struct fwd_notice n;
	struct fwd_child *c = fwd_spi_find(r->fwd, r->peers[SITE_A].spi_in);

	atomic_store(&c->key_counter->counter.ivs.next, (UINT64_C(1) << CRYPT_IV_COUNTER_BITS) / 4 * 3);
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 100);
	for (unsigned i = 0; i < 3; i++) {
		rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
		rig_peer_get(r, SITE_A, &got);
	}
	assert_true(get_notice(r, &n, RIG_WAIT_MS));
	assert_int_equal(n.kind, FWD_NOTICE_IV_LOW);
	assert_int_equal(n.spi_in, r->peers[SITE_A].spi_in);
	assert_false(get_notice(r, &n, 50));
}

static void a_notice_that_found_no_room_comes_later(void **state)
{
	struct rig *r = *state;
	struct fwd_notice n = { 0 };
	unsigned filled = 0;

	/* The ring's producer is the worker, which is quiet now. */
	while (ring_push(&r->rings[0].notices, &n))
		filled++;
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	while (filled-- > 0)
		assert_true(ring_pop(&r->rings[0].notices, &n));
	assert_false(ring_pop(&r->rings[0].notices, &n));
	rig_peer_send(r, SITE_A, &sent);
	rig_tun_get(r, 1, &got);
	assert_true(get_notice(r, &n, RIG_WAIT_MS));
	assert_int_equal(n.kind, FWD_NOTICE_FIRST);
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
		RUN(ike_arrives_without_its_marker_and_with_both_ends),
		RUN(ike_that_forgot_its_marker_is_told_apart),
		RUN(a_message_above_the_limit_is_malformed),
		RUN(a_full_ring_drops_and_goes_on),
		RUN(messages_to_our_spis_have_a_ring_of_their_own),
		RUN(the_first_packet_of_an_sa_is_told_once),
		RUN(a_forged_packet_tells_nothing),
		RUN(a_new_address_is_told_once_a_second_and_not_taken),
		RUN(an_sa_that_nears_its_end_is_told_once),
		RUN(a_notice_that_found_no_room_comes_later),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
