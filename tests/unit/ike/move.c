#include "ike_test.h"

#include "base/tlv.h"

/* What the peer's INFORMATIONAL request says. */
struct say {
	bool update, natd, nat, no_nats;
	const struct addr_endpoint *no_nats_from; /* NULL: as the gateway sees the peer */
	size_t cookie_len;                        /* 0: none */
	unsigned cookies;
};

static void put(struct wire_ike_builder *b, uint16_t type, struct bytes data)
{
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, type, data);
}

static void put_no_nats(const struct net *n, const struct say *s, struct wire_ike_builder *b)
{
	const struct addr_endpoint *from = s->no_nats_from != NULL ? s->no_nats_from : &n->peer_seen;
	uint8_t room[36];
	struct wr w = wr_of(SPACE_OF(room));

	wr_put(&w, addr_bytes(&from->addr));
	wr_put(&w, addr_bytes(&n->p.remote.addr));
	wr_u16(&w, from->port);
	wr_u16(&w, n->p.remote.port);
	put(b, IKE_N_NO_NATS_ALLOWED, wr_bytes(&w));
}

static void start_say(struct net *n, struct say s)
{
	static const uint8_t cookie[80] = { 7, 7, 7 };
	struct addr_endpoint own = n->peer_seen;
	struct wire_ike_builder b;
	struct wire_ike_header h;
	uint8_t room[1024];
	struct bytes msg;

	own.port = s.nat ? 1 : own.port;
	wire_ike_begin(&b, SPACE_OF(room), &(struct wire_ike_header){ .major = 2 });
	if (s.update)
		put(&b, IKE_N_UPDATE_SA_ADDRESSES, (struct bytes){ 0 });
	if (s.natd)
		must(ike_natd_put(&b, n->p.ike[0].spi_i, n->p.ike[0].spi_r, &own, &n->p.remote) == ERR_NONE);
	if (s.no_nats)
		put_no_nats(n, &s, &b);
	for (unsigned i = 0; i < s.cookies; i++)
		put(&b, IKE_N_COOKIE2, bytes_of(cookie, s.cookie_len));
	must(wire_ike_finish(&b, &msg) == ERR_NONE && wire_ike_header_parse(msg, &h) == ERR_NONE);
	peer_start_info(&n->p, h.next, bytes_of(msg.p + WIRE_IKE_HEADER_LEN, msg.len - WIRE_IKE_HEADER_LEN));
}

static uint16_t say(struct net *n, struct say s)
{
	start_say(n, s);
	return notify_of(n);
}

static struct net *make_mobile(bool mobike)
{
	struct net *n = make_net();

	n->p.o.mobike = mobike;
	n->p.local.port = n->p.remote.port = IKE_NATT_PORT;
	n->peer_seen = n->p.local;
	net_must_up(n);
	return n;
}

static bool is_at(struct net *n, const struct addr_endpoint *e)
{
	struct ike_sa sa = sa_of(n);
	return addr_endpoint_eq(&sa.path.remote, e);
}

static void mobike_is_for_those_who_ask(void **state)
{
	(void)state;
	for (unsigned asks = 0; asks < 2; asks++) {
		struct net *n = make_mobile(asks);
		assert_int_equal(n->p.mobike, asks);
		assert_int_equal(sa_of(n).mobike, asks);
		free_net(n);
	}
}

static void an_update_moves_the_sa_after_the_new_address_answered(void **state)
{
	struct net *n = make_mobile(true);
	struct addr_endpoint old = n->peer_seen;

	(void)state;
	n->peer_seen = endpoint("203.0.113.77", 4500);
	start_say(n, (struct say){ .update = true, .natd = true });
	gateway_input(&n->g, &n->p.remote, &n->peer_seen, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	/* the answer, and the check: both go to where the message came from */
	assert_int_equal(n->g.out_cnt, 2);
	assert_true(addr_endpoint_eq(&n->g.out[0].remote, &n->peer_seen));
	assert_true(addr_endpoint_eq(&n->g.out[1].remote, &n->peer_seen));
	assert_int_equal(n->g.paths, 0);
	assert_true(is_at(n, &old));
	assert_int_equal(notify_of(n), 0);
	assert_true(n->p.answer_natd);
	assert_int_equal(n->p.cookies_taken, 1);
	assert_int_equal(n->g.paths, 1);
	assert_true(is_at(n, &n->peer_seen));
	assert_int_equal(n->g.counters[MODEL_COUNTER_address_changes], 1);
	net_check(n);
	free_net(n);
}

/* Somebody on the way sends the peer's message on from another address, to which nothing comes back. */
static void an_update_from_where_nobody_answers_moves_nothing(void **state)
{
	struct net *n = make_mobile(true);
	struct addr_endpoint forged = endpoint("203.0.113.200", 4500), old = n->peer_seen;

	(void)state;
	start_say(n, (struct say){ .update = true });
	gateway_input(&n->g, &n->p.remote, &forged, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	n->p.ike[0].step = PEER_IDLE;
	net_sleep(n, 30000000);
	assert_int_equal(n->g.paths, 0);
	assert_true(is_at(n, &old));
	assert_int_equal(sa_of(n).state, IKE_STATE_ESTABLISHED);
	assert_int_equal(sa_of(n).candidate.remote.addr.family, ADDR_NONE);
	assert_int_equal(n->g.failure_cnt, 0);
	free_net(n);
}

/* RFC 4555 3.8 */
static void with_mobike_no_other_request_moves_the_sa_but_esp_does(void **state)
{
	struct net *n = make_mobile(true);
	struct addr_endpoint old = n->peer_seen;

	(void)state;
	n->peer_seen = endpoint("203.0.113.77", 4500);
	peer_start_liveness(&n->p);
	assert_int_equal(notify_of(n), 0);
	assert_int_equal(n->g.paths, 0);
	assert_true(is_at(n, &old));
	gateway_event(&n->g, n->p.ike[0].spi_r,
		      (struct ike_event){ .kind = IKE_EV_ADDRESS, .local = n->p.remote, .remote = n->peer_seen });
	assert_true(net_run(n));
	assert_int_equal(n->p.cookies_taken, 1);
	assert_int_equal(n->g.paths, 1);
	assert_true(is_at(n, &n->peer_seen));
	free_net(n);
}

static void without_mobike_an_update_is_nothing(void **state)
{
	struct net *n = make_mobile(false);

	(void)state;
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true, .cookies = 1, .cookie_len = 16 }), 0);
	assert_false(n->p.answer_natd);
	assert_int_equal(n->p.cookie2_len, 0);
	assert_int_equal(n->g.paths, 0);
	free_net(n);
}

static void a_tunnel_with_a_customer_endpoint_takes_no_other_address(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.o.mobike = true;
	n->p.local.port = n->p.remote.port = IKE_NATT_PORT;
	n->peer_seen = n->p.local;
	gateway_tunnel(&n->g)->customer_endpoint = n->p.local.addr;
	net_must_up(n);
	struct addr_endpoint old = n->peer_seen;
	n->peer_seen = endpoint("203.0.113.77", 4500);
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true, .cookies = 1, .cookie_len = 8 }),
			 IKE_N_UNACCEPTABLE_ADDRESSES);
	assert_int_equal(n->p.cookie2_len, 8);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_MOVE_REFUSED);
	assert_non_null(strstr(n->g.failure.offered, "203.0.113.77"));
	assert_non_null(strstr(n->g.failure.allowed, "198.51.100.7"));
	assert_true(is_at(n, &old));
	/* nor is it followed where ESP comes from */
	gateway_event(&n->g, n->p.ike[0].spi_r,
		      (struct ike_event){ .kind = IKE_EV_ADDRESS, .local = n->p.remote, .remote = n->peer_seen });
	assert_int_equal(n->g.out_cnt, 0);
	/* another port of the same address is its NAT's business */
	n->peer_seen = old;
	n->peer_seen.port = 61000;
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true }), 0);
	assert_true(is_at(n, &n->peer_seen));
	free_net(n);
}

/* RFC 4555 3.9 */
static void where_the_peer_forbids_nat_the_addresses_must_be_its_own(void **state)
{
	const struct addr_endpoint other = endpoint("10.0.0.1", 4500);
	struct net *n = make_mobile(true);
	struct addr_endpoint old = n->peer_seen;

	(void)state;
	n->peer_seen = endpoint("203.0.113.77", 4500);
	assert_int_equal(say(n, (struct say){ .update = true, .no_nats = true, .no_nats_from = &other, .cookies = 1,
					      .cookie_len = 64 }), IKE_N_UNEXPECTED_NAT_DETECTED);
	assert_int_equal(n->p.cookie2_len, 64);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_NAT_FORBIDDEN);
	assert_true(is_at(n, &old));
	assert_int_equal(say(n, (struct say){ .update = true, .no_nats = true }), 0);
	assert_true(is_at(n, &n->peer_seen));
	free_net(n);
}

static void cookie2_comes_back_as_it_is(void **state)
{
	static const struct {
		unsigned cookies;
		size_t len;
		bool good;
	} cases[] = { { 1, 8, true }, { 1, 64, true }, { 1, 7, false }, { 1, 65, false }, { 2, 16, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net *n = make_mobile(true);
		uint16_t notify = say(n, (struct say){ .cookies = cases[i].cookies, .cookie_len = cases[i].len });
		assert_int_equal(notify, cases[i].good ? 0 : IKE_N_INVALID_SYNTAX);
		assert_int_equal(n->p.cookie2_len, cases[i].good ? cases[i].len : 0);
		if (cases[i].good)
			assert_int_equal(n->p.cookie2[2], 7);
		free_net(n);
	}
}

/* RFC 4555 3.7: the SA must be closed. */
static void an_answer_with_another_cookie2_ends_the_sa(void **state)
{
	static const enum peer_cookie2 faults[] = { PEER_COOKIE2_OTHER, PEER_COOKIE2_NONE };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct net *n = make_mobile(true);
		uint64_t spi = n->p.ike[0].spi_r;
		n->p.o.cookie2 = faults[i];
		n->peer_seen = endpoint("203.0.113.77", 4500);
		assert_int_equal(say(n, (struct say){ .update = true }), 0);
		assert_int_equal(n->g.paths, 0);
		assert_int_equal(n->g.failure.code, MODEL_FAILURE_BAD_MESSAGE);
		assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
		free_net(n);
	}
}

/* As libreswan does; RFC 4555 3.8 lets NAT detection stand in every request. */
static void a_peer_that_returns_cookie2_beside_nat_detection_alone_is_followed(void **state)
{
	struct net *n = make_mobile(true);

	(void)state;
	n->p.o.cookie2 = PEER_COOKIE2_BESIDE_NATD;
	n->peer_seen = endpoint("203.0.113.77", 4500);
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true }), 0);
	assert_int_equal(n->p.cookies_taken, 1);
	assert_true(is_at(n, &n->peer_seen));
	net_check(n);
	free_net(n);
}

/* RFC 4555 3.5: NAT detection in the update turns encapsulation on and off; where the address is the same, at once. */
static void an_update_says_whether_there_is_a_nat(void **state)
{
	struct net *n = make_mobile(true);

	(void)state;
	assert_false(sa_of(n).path.udp_encap);
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true, .nat = true }), 0);
	assert_true(sa_of(n).path.udp_encap && sa_of(n).nat_peer);
	assert_int_equal(n->g.paths, 1);
	assert_int_equal(n->p.cookies_taken, 0);
	n->peer_seen = endpoint("203.0.113.77", 4500);
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true }), 0);
	assert_false(sa_of(n).path.udp_encap || sa_of(n).nat_peer);
	assert_int_equal(n->g.paths, 2);
	assert_int_equal(n->p.cookies_taken, 1);
	free_net(n);
}

/* The gateway's own request waits for its answer at the old address, and goes on at the new one; then comes the check. */
static void a_request_on_its_way_is_answered_at_the_new_address(void **state)
{
	struct net *n = make_mobile(true);

	(void)state;
	n->peer_seen = endpoint("203.0.113.77", 4500);
	net_sleep(n, 30200000); /* a liveness check, which reaches nobody */
	assert_int_equal(sa_of(n).request.kind, IKE_REQUEST_LIVENESS);
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true }), 0);
	assert_int_equal(n->p.requests_taken, 2);
	assert_int_equal(n->p.cookies_taken, 1);
	assert_true(is_at(n, &n->peer_seen));
	net_check(n);
	free_net(n);
}

/* Back again before the check came to an end: nothing has changed. */
static void a_peer_that_comes_back_at_once_is_where_it_was(void **state)
{
	struct net *n = make_mobile(true);
	struct addr_endpoint old = n->peer_seen, other = endpoint("203.0.113.77", 4500);

	(void)state;
	n->peer_seen = other;
	start_say(n, (struct say){ .update = true, .natd = true });
	gateway_input(&n->g, &n->p.remote, &other, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	assert_int_equal(sa_of(n).request.kind, IKE_REQUEST_ADDRESS);
	n->g.out_cnt = 0; /* lost */
	n->peer_seen = old;
	assert_int_equal(notify_of(n), 0); /* the repeated request is answered, and is no other update */
	assert_int_equal(say(n, (struct say){ .update = true, .natd = true }), 0);
	assert_int_equal(n->g.paths, 0);
	assert_true(is_at(n, &old));
	assert_int_equal(sa_of(n).candidate.remote.addr.family, ADDR_NONE);
	net_check(n);
	free_net(n);
}

/* A record of before: the address under test stood in the request. */
static void a_former_record_keeps_its_check(void **state)
{
	struct net *n = make_mobile(false);
	struct addr_endpoint seen = endpoint("203.0.113.77", 50001);
	uint8_t room[IKE_SA_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct ike_sa sa = sa_of(n), back;

	(void)state;
	must(ike_sa_encode(&sa, MODEL_FORMAT_OLDEST, &w) == ERR_NONE);
	size_t mark = tlv_open(&w, 22); /* F_REQUEST */
	tlv_u8(&w, 1, IKE_REQUEST_ADDRESS);
	tlv_u32(&w, 4, 3);
	tlv_u64(&w, 5, 77);
	tlv_endpoint(&w, 6, &seen);
	tlv_u16(&w, 7, 4500);
	tlv_bytes(&w, 9, bytes_str("a message"));
	tlv_close(&w, mark);
	must(!w.bad);
	assert_int_equal(ike_sa_decode(wr_bytes(&w), &back), ERR_NONE);
	assert_int_equal(back.request.kind, IKE_REQUEST_ADDRESS);
	assert_true(addr_endpoint_eq(&back.candidate.remote, &seen));
	assert_int_equal(back.candidate.local_port, 4500);
	assert_false(back.candidate.told);
	free_net(n);
}

TESTS(cmocka_unit_test(mobike_is_for_those_who_ask),
      cmocka_unit_test(an_update_moves_the_sa_after_the_new_address_answered),
      cmocka_unit_test(an_update_from_where_nobody_answers_moves_nothing),
      cmocka_unit_test(with_mobike_no_other_request_moves_the_sa_but_esp_does),
      cmocka_unit_test(without_mobike_an_update_is_nothing),
      cmocka_unit_test(a_tunnel_with_a_customer_endpoint_takes_no_other_address),
      cmocka_unit_test(where_the_peer_forbids_nat_the_addresses_must_be_its_own),
      cmocka_unit_test(cookie2_comes_back_as_it_is), cmocka_unit_test(an_answer_with_another_cookie2_ends_the_sa),
      cmocka_unit_test(a_peer_that_returns_cookie2_beside_nat_detection_alone_is_followed),
      cmocka_unit_test(an_update_says_whether_there_is_a_nat),
      cmocka_unit_test(a_request_on_its_way_is_answered_at_the_new_address),
      cmocka_unit_test(a_peer_that_comes_back_at_once_is_where_it_was), cmocka_unit_test(a_former_record_keeps_its_check))
