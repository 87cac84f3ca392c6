#include "ike_test.h"

static void no_answer(struct net *n)
{
	n->p.local.addr = endpoint("203.0.113.200", 0).addr; /* gone to where nothing reaches it */
}

static void silence_asks_for_liveness_after_the_tunnels_delay(void **state)
{
	struct net *n = make_up();

	(void)state;
	struct ike_sa sa = sa_of(n);
	assert_int_equal(ike_sa_timer(&sa, 0), sa.last_in_us + 30000000);
	net_sleep(n, 29000000);
	assert_int_equal(n->p.requests_taken, 0);
	net_sleep(n, 2000000);
	assert_int_equal(n->p.requests_taken, 1);
	free_net(n);
}

static void esp_is_a_sign_of_life_too(void **state)
{
	struct net *n = make_up();

	(void)state;
	struct ike_sa sa = sa_of(n);
	n->g.last_esp_us = sa.last_in_us + 20000000;
	assert_int_equal(ike_sa_timer(&sa, n->g.last_esp_us), sa.last_in_us + 50000000);
	net_sleep(n, 40000000);
	assert_int_equal(n->p.requests_taken, 0);
	/* a timer that comes early does nothing */
	uint64_t before = gateway_fingerprint(&n->g);
	gateway_event(&n->g, sa.spi_r, (struct ike_event){ .kind = IKE_EV_TIMER, .last_esp_us = n->g.last_esp_us });
	assert_int_equal(gateway_fingerprint(&n->g), before);
	free_net(n);
}

static void no_delay_means_no_liveness_check(void **state)
{
	struct net *n = make_net();

	(void)state;
	gateway_tunnel(&n->g)->settings.dpd_delay_s = 0;
	net_must_up(n);
	assert_int_equal(ike_sa_timer(&(struct ike_sa){ .state = IKE_STATE_ESTABLISHED, .expires_us = 5 }, 0), 5);
	net_sleep(n, 3600000000);
	assert_int_equal(n->p.requests_taken, 0);
	free_net(n);
}

static void a_dead_peer_ends_the_sa_after_about_twenty_seconds(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	no_answer(n);
	net_sleep(n, 30000000 + 19000000);
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_ESTABLISHED);
	net_sleep(n, 3000000);
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_LIVENESS);
	assert_int_equal(n->g.child_cnt, 0);
	free_net(n);
}

static void the_lifetime_ends_the_sa_with_a_delete(void **state)
{
	struct net *n = make_net();

	(void)state;
	gateway_tunnel(&n->g)->settings.ike_lifetime_s = 300;
	net_must_up(n);
	uint64_t spi = n->p.ike[0].spi_r;
	net_sleep(n, 299000000);
	assert_true(n->p.ike[0].up);
	net_sleep(n, 2000000);
	assert_true(n->p.closed_by_gateway);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_EXPIRED);
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
	assert_int_equal(n->g.child_cnt, 0);
	free_net(n);
}

static void close_removes_children_at_once_and_records_why(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_CLOSE, .close_code = MODEL_FAILURE_CONFIG_REMOVED });
	assert_int_equal(n->g.child_cnt, 0);
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_CONFIG_REMOVED);
	assert_true(gateway_sa(&n->g, spi).closing);
	/* again: nothing more */
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_CLOSE, .close_code = MODEL_FAILURE_CONFIG_REMOVED });
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(n->g.failure_cnt, 1);
	/* and no new child */
	peer_start_child(&n->p, NULL, NULL);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	assert_int_equal(n->g.child_cnt, 0);
	assert_true(net_run(n));
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
	free_net(n);
}

static void close_of_a_dead_peer_gives_up_in_the_end(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	no_answer(n);
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_CLOSE, .close_code = MODEL_FAILURE_CONFIG_REMOVED });
	net_sleep(n, 25000000);
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
	assert_int_equal(n->g.failure_cnt, 1); /* only why it was closed */
	free_net(n);
}

/* Window 1: the Delete waits for the answer to what was asked before, which is asked again at once. */
static void close_while_a_request_is_on_its_way_sends_the_delete_after_it(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	n->g.now_us += 31000000;
	gateway_timers(&n->g);
	struct gateway_datagram ask = n->g.out[0];
	n->g.out_cnt = 0; /* lost */
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_CLOSE, .close_code = MODEL_FAILURE_CONFIG_REMOVED });
	assert_int_equal(n->g.child_cnt, 0);
	assert_int_equal(n->g.out_cnt, 1);
	assert_memory_equal(n->g.out[0].b, ask.b, ask.len);
	assert_true(net_run(n));
	assert_int_equal(n->p.requests_taken, 2);
	assert_true(n->p.closed_by_gateway);
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
	free_net(n);
}

static void expired_children_are_deleted_one_after_the_other(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;
	uint32_t spis[3];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		peer_start_child(&n->p, NULL, NULL);
		assert_int_equal(notify_of(n), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		spis[i] = n->p.child[i].spi_out;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned twice = 0; twice < 2; twice++)
			gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_CHILD_EXPIRED, .child_spi = spis[i] });
	assert_int_equal(n->g.child_cnt, 0); /* all at once here */
	assert_int_equal(n->g.out_cnt, 1);   /* one request at a time */
	assert_true(net_run(n));
	assert_int_equal(n->p.deleted_by_gateway, 3);
	assert_int_equal(sa_of(n).child_cnt, 0);
	net_check(n);
	free_net(n);
}

static void a_rekey_is_due_at_once_of_one_child_or_of_each(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	peer_start_child(&n->p, NULL, NULL);
	assert_int_equal(notify_of(n), 0);
	struct ike_sa sa = sa_of(n);
	assert_int_equal(sa.child_cnt, 2);
	const uint64_t later = sa.children[0].due_us;
	assert_true(later > n->g.now_us && sa.children[1].due_us > n->g.now_us);
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_REKEY_CHILD, .child_spi = sa.children[1].spi_in });
	sa = sa_of(n);
	assert_int_equal(sa.children[0].due_us, later);
	assert_int_equal(sa.children[1].due_us, n->g.now_us);
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_REKEY_CHILD });
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_REKEY_IKE });
	sa = sa_of(n);
	assert_int_equal(sa.children[0].due_us, n->g.now_us);
	assert_int_equal(sa.rekey_us, n->g.now_us);
	assert_int_equal(n->g.out_cnt, 0); /* the timer begins it */
	free_net(n);
}

/* RFC 7296 2.25.1: both sides delete the same child at the same time. */
static void crossing_deletes_end_well(void **state)
{
	struct net *n = make_up();

	(void)state;
	gateway_event(&n->g, n->p.ike[0].spi_r,
		      (struct ike_event){ .kind = IKE_EV_CHILD_EXPIRED, .child_spi = n->p.child[0].spi_out });
	n->p.deletes_spi = 0;
	peer_start_delete_child(&n->p, &n->p.child[0]);
	n->p.deletes_spi = 0; /* the answer names nothing: ours is on its way */
	assert_int_equal(notify_of(n), 0);
	n->p.child_cnt = 0;
	assert_int_equal(sa_of(n).child_cnt, 0);
	assert_int_equal(n->g.child_cnt, 0);
	net_check(n);
	free_net(n);
}

/* ---- a moved peer ---- */

static void see_esp_from(struct net *n, struct addr_endpoint e)
{
	struct addr_endpoint local = sa_of(n).path.local;
	gateway_event(&n->g, n->p.ike[0].spi_r,
		      (struct ike_event){ .kind = IKE_EV_ADDRESS, .local = local, .remote = e });
}

static bool is_at(struct net *n, const struct addr_endpoint *e)
{
	struct ike_sa sa = sa_of(n);
	return addr_endpoint_eq(&sa.path.remote, e);
}

static struct net *make_nat(void)
{
	struct net *n = make_net();
	n->p.o.natd = PEER_NATD_FAKE;
	n->peer_seen = endpoint("203.0.113.5", 61234);
	net_must_up(n);
	return n;
}

static void a_new_address_is_taken_after_it_answered(void **state)
{
	struct net *n = make_nat();

	(void)state;
	n->peer_seen = endpoint("203.0.113.77", 50001);
	see_esp_from(n, n->peer_seen);
	assert_int_equal(n->g.paths, 0); /* one packet proves nothing */
	assert_int_equal(n->g.out_cnt, 1);
	assert_true(addr_endpoint_eq(&n->g.out[0].remote, &n->peer_seen));
	assert_int_equal(n->g.out[0].local.port, 4500);
	/* more packets from there change nothing while it is asked */
	see_esp_from(n, n->peer_seen);
	assert_int_equal(n->g.out_cnt, 1);
	assert_true(net_run(n));
	assert_int_equal(n->g.paths, 1);
	assert_true(is_at(n, &n->peer_seen));
	assert_int_equal(n->g.counters[MODEL_COUNTER_address_changes], 1);
	free_net(n);
}

static void an_address_that_does_not_answer_is_not_taken_and_the_sa_lives(void **state)
{
	struct net *n = make_nat();
	struct addr_endpoint forged = endpoint("192.0.2.200", 4000), old = sa_of(n).path.remote;

	(void)state;
	see_esp_from(n, forged);
	assert_true(net_run(n)); /* the same request goes on to the proven address, which answers */
	assert_int_equal(n->g.paths, 0);
	assert_true(is_at(n, &old));
	assert_int_equal(n->p.requests_taken, 1);
	assert_int_equal(n->g.failure_cnt, 0);
	/* and there is a pause before the next such test */
	see_esp_from(n, forged);
	assert_int_equal(n->g.out_cnt, 0);
	n->g.now_us += IKE_ADDRESS_PAUSE_US + 1;
	see_esp_from(n, forged);
	assert_int_equal(n->g.out_cnt, 1);
	assert_true(net_run(n));
	net_check(n);
	free_net(n);
}

static void an_answer_from_elsewhere_moves_nothing(void **state)
{
	struct net *n = make_nat();
	struct addr_endpoint old = n->peer_seen;

	(void)state;
	see_esp_from(n, endpoint("203.0.113.77", 50001));
	/* somebody forwards the question to the peer, which answers from where it is */
	struct gateway_datagram d = n->g.out[0];
	unsigned which;
	n->g.out_cnt = 0;
	assert_int_equal(peer_input(&n->p, bytes_of(d.b, d.len), &which), PEER_EV_ANSWER);
	gateway_input(&n->g, &d.local, &old, bytes_of(n->p.ike[0].answer, n->p.ike[0].answer_len));
	assert_int_equal(n->g.paths, 0);
	assert_true(is_at(n, &old));
	assert_int_equal(sa_of(n).request.kind, IKE_REQUEST_NONE);
	free_net(n);
}

static void a_request_from_a_new_address_is_answered_there_and_checked(void **state)
{
	struct net *n = make_nat();

	(void)state;
	n->peer_seen = endpoint("203.0.113.77", 50001);
	peer_start_liveness(&n->p);
	assert_int_equal(notify_of(n), 0);
	assert_int_equal(n->g.paths, 1);
	assert_true(is_at(n, &n->peer_seen));
	net_check(n);
	free_net(n);
}

/* A NAT that forgot the mapping: the check of the old address stays without answer, then ESP shows the new one. */
static void a_waiting_liveness_check_goes_to_the_new_address(void **state)
{
	struct net *n = make_nat();

	(void)state;
	n->peer_seen = endpoint("203.0.113.77", 50001);
	net_sleep(n, 31000000); /* asks the old address */
	assert_int_equal(sa_of(n).request.kind, IKE_REQUEST_LIVENESS);
	see_esp_from(n, n->peer_seen);
	assert_true(addr_endpoint_eq(&n->g.out[0].remote, &n->peer_seen));
	/* That it is answered proves nothing, for the old address was asked the same: then the check is made. */
	assert_int_equal(sa_of(n).request.kind, IKE_REQUEST_LIVENESS);
	assert_true(net_run(n));
	assert_int_equal(n->p.requests_taken, 2);
	assert_int_equal(n->g.paths, 1);
	assert_true(is_at(n, &n->peer_seen));
	net_check(n);
	free_net(n);
}

static void native_esp_keeps_the_ports_of_ike(void **state)
{
	struct net *n = make_up();
	struct addr_endpoint seen = endpoint("203.0.113.77", 0);

	(void)state;
	n->p.local.addr = seen.addr;
	gateway_event(&n->g, n->p.ike[0].spi_r,
		      (struct ike_event){ .kind = IKE_EV_ADDRESS, .local = endpoint("192.0.2.1", 0), .remote = seen });
	assert_int_equal(n->g.out[0].remote.port, 500);
	assert_int_equal(n->g.out[0].local.port, 500);
	assert_true(net_run(n));
	assert_int_equal(n->g.paths, 1);
	assert_int_equal(sa_of(n).path.remote.port, 500);
	free_net(n);
}

/* Changes the record of the SA that stands. */
static void put_ids(struct net *n, uint32_t rx_next, uint32_t tx_next)
{
	struct gateway_sa *g = gateway_sa_find(&n->g, n->p.ike[0].spi_r);
	struct ike_sa sa = sa_of(n);
	struct wr w = wr_of(SPACE_OF(g->record));

	sa.rx_next = n->p.ike[0].tx_next = rx_next;
	sa.tx_next = n->p.ike[0].rx_next = tx_next;
	assert_int_equal(ike_sa_encode(&sa, MODEL_FORMAT_OLDEST, &w), ERR_NONE);
	g->len = wr_len(&w);
}

static void message_ids_and_ivs_that_are_low_bring_a_rekey(void **state)
{
	static const struct {
		uint32_t rx, tx;
		uint8_t wear;
		bool soon;
	} rows[] = {
		{ IKE_IDS_LOW, 5, IKE_WEAR_FINE, true },      { 5, IKE_IDS_LOW, IKE_WEAR_FINE, true },
		{ IKE_IDS_LOW - 1, 5, IKE_WEAR_FINE, false }, { 5, IKE_IDS_LOW - 1, IKE_WEAR_FINE, false },
		{ 5, 5, IKE_WEAR_LOW, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct net *n = make_up();
		put_ids(n, rows[i].rx, rows[i].tx);
		uint64_t before = sa_of(n).rekey_us;
		assert_true(before > n->g.now_us + 60000000);
		gateway_event(&n->g, n->p.ike[0].spi_r, (struct ike_event){ .kind = IKE_EV_TIMER, .iv_wear = rows[i].wear });
		struct ike_sa sa = sa_of(n);
		assert_int_equal(sa.rekey_us < before, rows[i].soon);
		if (rows[i].soon)
			assert_true(sa.rekey_us >= n->g.now_us && sa.rekey_us <= n->g.now_us + 30000000);
		/* Once: the next step does not put it off. */
		gateway_event(&n->g, n->p.ike[0].spi_r, (struct ike_event){ .kind = IKE_EV_TIMER, .iv_wear = rows[i].wear });
		assert_int_equal(sa_of(n).rekey_us, sa.rekey_us);
		net_sleep(n, rows[i].soon ? 31000000 : 20000000); /* before a liveness check takes the next id */
		assert_int_equal(sa_of(n).request.kind == IKE_REQUEST_REKEY_IKE || sa_of(n).rekey_tries != 0, rows[i].soon);
		free_net(n);
	}
}

static void message_ids_and_ivs_do_not_come_to_their_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct net *n = make_up();
		uint64_t spi = n->p.ike[0].spi_r;
		if (i != 2)
			put_ids(n, i == 0 ? IKE_IDS_ENDING : 5, i == 1 ? IKE_IDS_ENDING : 5);
		gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_ADDRESS, .local = n->p.remote, .remote = n->p.local,
							      .iv_wear = i == 2 ? IKE_WEAR_ENDING : IKE_WEAR_FINE });
		assert_true(net_run(n));
		assert_true(n->p.closed_by_gateway);
		assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
		assert_int_equal(n->g.failure.code, MODEL_FAILURE_EXPIRED);
		assert_int_equal(n->g.child_cnt, 0);
		free_net(n);
	}
}

TESTS(cmocka_unit_test(silence_asks_for_liveness_after_the_tunnels_delay), cmocka_unit_test(esp_is_a_sign_of_life_too),
      cmocka_unit_test(no_delay_means_no_liveness_check),
      cmocka_unit_test(a_dead_peer_ends_the_sa_after_about_twenty_seconds),
      cmocka_unit_test(the_lifetime_ends_the_sa_with_a_delete),
      cmocka_unit_test(close_removes_children_at_once_and_records_why),
      cmocka_unit_test(close_of_a_dead_peer_gives_up_in_the_end),
      cmocka_unit_test(close_while_a_request_is_on_its_way_sends_the_delete_after_it),
      cmocka_unit_test(expired_children_are_deleted_one_after_the_other),
      cmocka_unit_test(a_rekey_is_due_at_once_of_one_child_or_of_each),
      cmocka_unit_test(crossing_deletes_end_well), cmocka_unit_test(a_new_address_is_taken_after_it_answered),
      cmocka_unit_test(an_address_that_does_not_answer_is_not_taken_and_the_sa_lives),
      cmocka_unit_test(an_answer_from_elsewhere_moves_nothing),
      cmocka_unit_test(a_request_from_a_new_address_is_answered_there_and_checked),
      cmocka_unit_test(a_waiting_liveness_check_goes_to_the_new_address),
      cmocka_unit_test(native_esp_keeps_the_ports_of_ike),
      cmocka_unit_test(message_ids_and_ivs_that_are_low_bring_a_rekey),
      cmocka_unit_test(message_ids_and_ivs_do_not_come_to_their_end))
