// ESP packets of SAs that this node does not know yet: to control and back.
#include "ike/step.h"
#include "peer.h"

static struct rig_packet sent, got;
static struct fwd_stray stray;

static int start(void **state)
{
	static struct rig r;

	rig_start(&r, 1, &rig_gcm);
	assert_int_equal(ring_init(&r.rings[0].strays, 4, sizeof(struct fwd_stray)), ERR_NONE);
	assert_int_equal(ring_init(&r.rings[0].returns, 4, sizeof(struct fwd_stray)), ERR_NONE);
	*state = &r;
	return 0;
}

static int stop(void **state)
{
	struct rig *r = *state;

	rig_stop(r);
	ring_fini(&r->rings[0].strays);
	ring_fini(&r->rings[0].returns);
	return 0;
}

/* A Child SA that the peer has and the gateway not yet. good: its SPI has our check byte. */
static struct model_child_sa make_child(struct rig *r, uint8_t number, bool good)
{
	const uint8_t random[8] = { [7] = number };
	struct model_child_sa c = rig_child(r, SITE_A, number, &rig_gcm);

	c.spi_in = ike_esp_spi_make(&r->rings[0].spi_key, random) ^ !good;
	rig_peer_take(&r->peers[SITE_A], &c);
	return c;
}

static void expect_stray(struct rig *r)
{
	uint64_t cnt;

	assert_true(rig_readable(r->rings[0].wake_fd, RIG_WAIT_MS));
	assert_int_equal(read(r->rings[0].wake_fd, &cnt, sizeof(cnt)), sizeof(cnt));
	assert_true(ring_pop(&r->rings[0].strays, &stray));
}

static void a_packet_before_its_sa_is_opened_when_that_has_come(void **state)
{
	struct rig *r = *state;
	const struct model_child_sa c = make_child(r, 1, true);

	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 333);
	rig_peer_send(r, SITE_A, &sent);
	expect_stray(r);
	assert_int_equal(stray.spi, c.spi_in);
	assert_true(addr_endpoint_eq(&stray.remote, &r->peers[SITE_A].local));
	assert_false(stray.native);
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
	assert_true(ring_push(&r->rings[0].returns, &stray));
	fwd_wake(r->fwd, 0);
	rig_tun_get(r, 1, &got);
	assert_int_equal(got.len, sent.len);
	assert_true(bytes_eq(got.ip.payload, sent.ip.payload));
	assert_int_equal(rig_counted(r, MODEL_COUNTER_esp_in_packets), 1);
	assert_int_equal(rig_dropped_all(r), 0);
}

static void it_comes_to_control_once(void **state)
{
	struct rig *r = *state;

	(void)make_child(r, 2, true);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	expect_stray(r);
	assert_true(ring_push(&r->rings[0].returns, &stray));
	fwd_wake(r->fwd, 0);
	rig_expect_drop(r, MODEL_DROP_esp_unknown_spi);
	assert_false(ring_pop(&r->rings[0].strays, &stray));
}

static void junk_and_floods_stay_in_front(void **state)
{
	struct rig *r = *state;

	(void)make_child(r, 3, false);
	rig_make_udp(&sent, "10.1.0.5", "192.168.7.1", 100);
	rig_peer_send(r, SITE_A, &sent);
	rig_expect_drop(r, MODEL_DROP_esp_bad_spi);
	assert_false(ring_pop(&r->rings[0].strays, &stray));
	(void)make_child(r, 4, true);
	for (unsigned i = 0; i < 7; i++)
		rig_peer_send(r, SITE_A, &sent);
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped(r, MODEL_DROP_esp_park_full) < 3; i++)
		usleep(1000);
	assert_int_equal(rig_dropped(r, MODEL_DROP_esp_park_full), 3);
	assert_int_equal(rig_dropped_all(r), 3);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(a_packet_before_its_sa_is_opened_when_that_has_come),
		RUN(it_comes_to_control_once),
		RUN(junk_and_floods_stay_in_front),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
