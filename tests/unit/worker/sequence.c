// Packets of SAs that one node of a cluster numbers: to control where that is another one, and from control where it is this one.
#include "peer.h"

enum { RING = 4 };
#define LONG_MS UINT64_C(1000000000000)

static struct rig_packet sent, got;
static struct fwd_inner inner;
static struct model_child_sa child;

static int start(void **state)
{
	static struct rig r;

	rig_start(&r, 1, &rig_gcm);
	assert_int_equal(ring_init(&r.rings[0].inners, RING, sizeof(struct fwd_inner)), ERR_NONE);
	assert_int_equal(ring_init(&r.rings[0].seals, RING, sizeof(struct fwd_inner)), ERR_NONE);
	fwd_share_numbers(r.fwd);
	fwd_number_until(r.fwd, LONG_MS);
	child = rig_child(&r, SITE_A, 1, &rig_gcm);
	child.sequenced = true;
	rig_install(&r, SITE_A, &child);
	fwd_child_prove(r.fwd, child.spi_in);
	*state = &r;
	return 0;
}

static int stop(void **state)
{
	struct rig *r = *state;

	rig_stop(r);
	ring_fini(&r->rings[0].inners);
	ring_fini(&r->rings[0].seals);
	return 0;
}

static void wait_for_control(struct rig *r)
{
	uint64_t cnt;

	assert_true(rig_readable(r->rings[0].wake_fd, RIG_WAIT_MS));
	assert_int_equal(read(r->rings[0].wake_fd, &cnt, sizeof(cnt)), sizeof(cnt));
}

static void send_one(struct rig *r)
{
	rig_make_udp(&sent, "192.168.7.1", "10.1.0.5", 300);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
}

/* The next ESP packet's number; the inner packet is in got. */
static uint32_t take(struct rig *r)
{
	static uint8_t room[RIG_PACKET_MAX];
	struct wire_esp h;

	assert_true(rig_readable(r->peers[SITE_A].fd, RIG_WAIT_MS));
	ssize_t n = recv(r->peers[SITE_A].fd, room, sizeof(room), 0);
	must(n > 0 && wire_esp_parse(bytes_of(room, (size_t)n), &h) == ERR_NONE);
	rig_peer_open(&r->peers[SITE_A], room, (size_t)n, &got);
	return h.seq;
}

/* It is what would have been sealed: its TTL is lower by one. */
static void a_packet_that_is_not_numbered_here_goes_to_control(void **state)
{
	struct rig *r = *state;

	send_one(r);
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].inners, &inner));
	assert_int_equal(inner.spi_in, child.spi_in);
	assert_int_equal(inner.len, sent.len);
	assert_int_equal(inner.b[8], 63);
	rig_quiet(r);
	assert_int_equal(rig_dropped_all(r), 0);
}

static void what_comes_from_control_is_sealed_with_the_numbers_of_the_block(void **state)
{
	struct rig *r = *state;

	send_one(r);
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].inners, &inner));
	fwd_child_number(r->fwd, child.spi_in, 1000, 1002, 1002);
	assert_true(ring_push(&r->rings[0].seals, &inner));
	fwd_wake(r->fwd, 0);
	assert_int_equal(take(r), 1001);
	assert_true(bytes_eq(got.ip.payload, sent.ip.payload));
	assert_int_equal(got.ip.ttl, 63);
	send_one(r);
	assert_int_equal(take(r), 1002);
	send_one(r);
	rig_expect_drop(r, MODEL_DROP_seq_block);
}

static void it_goes_to_control_once(void **state)
{
	struct rig *r = *state;

	send_one(r);
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].inners, &inner));
	assert_true(ring_push(&r->rings[0].seals, &inner));
	fwd_wake(r->fwd, 0);
	rig_expect_drop(r, MODEL_DROP_seq_moved);
	assert_false(ring_pop(&r->rings[0].inners, &inner));
	fwd_child_delete(r->fwd, child.spi_in);
	assert_true(ring_push(&r->rings[0].seals, &inner));
	fwd_wake(r->fwd, 0);
	rig_expect_drop(r, MODEL_DROP_tunnel_down);
}

/* When control has said that this node is about to cease. */
static void what_control_has_given_is_still_numbered(void **state)
{
	struct rig *r = *state;

	send_one(r);
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].inners, &inner));
	fwd_child_number(r->fwd, child.spi_in, 0, 100, 100);
	fwd_child_finish(r->fwd, child.spi_in);
	assert_true(ring_push(&r->rings[0].seals, &inner));
	fwd_wake(r->fwd, 0);
	assert_int_equal(take(r), 1);
	send_one(r);
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].inners, &inner));
	assert_int_equal(rig_dropped_all(r), 0);
}

static void a_worker_whose_control_sleeps_numbers_no_more(void **state)
{
	struct rig *r = *state;

	fwd_child_number(r->fwd, child.spi_in, 0, 100, 100);
	send_one(r);
	assert_int_equal(take(r), 1);
	fwd_number_until(r->fwd, clock_mono_ms());
	send_one(r);
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].inners, &inner));
	fwd_number_until(r->fwd, LONG_MS);
	send_one(r);
	assert_int_equal(take(r), 2);
}

static void control_hears_when_half_a_block_is_used(void **state)
{
	struct rig *r = *state;
	struct fwd_notice notice;

	fwd_child_number(r->fwd, child.spi_in, 0, 8, 4);
	for (unsigned i = 1; i <= 5; i++) {
		send_one(r);
		assert_int_equal(take(r), i);
	}
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].notices, &notice));
	assert_int_equal(notice.kind, FWD_NOTICE_NUMBERS);
	assert_int_equal(notice.spi_in, child.spi_in);
	assert_false(ring_pop(&r->rings[0].notices, &notice)); /* once */
	fwd_child_number(r->fwd, child.spi_in, 0, 12, 6);
	send_one(r);
	assert_int_equal(take(r), 6);
	wait_for_control(r);
	assert_true(ring_pop(&r->rings[0].notices, &notice));
}

static void a_full_ring_drops_and_counts(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < RING + 3; i++)
		send_one(r);
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped(r, MODEL_DROP_seq_full) < 3; i++)
		usleep(1000);
	assert_int_equal(rig_dropped(r, MODEL_DROP_seq_full), 3);
	assert_int_equal(rig_dropped_all(r), 3);
}

static void another_tunnels_packets_are_numbered_as_ever(void **state)
{
	struct rig *r = *state;

	rig_make_udp(&sent, "192.168.7.1", "10.2.0.5", 300);
	rig_tun_send(r, 1, bytes_of(sent.b, sent.len));
	rig_peer_get(r, SITE_B, &got);
	assert_true(bytes_eq(got.ip.payload, sent.ip.payload));
	assert_false(ring_pop(&r->rings[0].inners, &inner));
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(a_packet_that_is_not_numbered_here_goes_to_control),
		RUN(what_comes_from_control_is_sealed_with_the_numbers_of_the_block),
		RUN(it_goes_to_control_once),
		RUN(what_control_has_given_is_still_numbered),
		RUN(a_worker_whose_control_sleeps_numbers_no_more),
		RUN(control_hears_when_half_a_block_is_used),
		RUN(a_full_ring_drops_and_counts),
		RUN(another_tunnels_packets_are_numbered_as_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
