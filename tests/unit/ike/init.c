#include "ike_test.h"

/* Sends the peer's first message and gives the gateway's answer; NULL: none. */
static const struct gateway_datagram *first_answer(struct net *n)
{
	n->g.out_cnt = 0;
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	return n->g.out_cnt == 0 ? NULL : &n->g.out[0];
}

static uint16_t notify_in(const struct gateway_datagram *d, struct bytes *data)
{
	struct wire_ike_header h;
	struct wire_ike_payloads in;
	struct wire_ike_notify n;

	must(wire_ike_header_parse(bytes_of(d->b, d->len), &h) == ERR_NONE);
	must(wire_ike_payloads_parse(h.next, bytes_of(d->b + 28, d->len - 28), &in) == ERR_NONE);
	assert_int_equal(in.cnt, 1);
	assert_int_equal(h.flags, IKE_FLAG_RESPONSE);
	assert_int_equal(h.spi_r, 0);
	must(wire_ike_notify_parse(in.p[0].body, &n) == ERR_NONE);
	*data = n.data;
	return n.type;
}

static void the_answer_makes_a_half_open_sa(void **state)
{
	struct net *n = make_net();

	(void)state;
	peer_start_init(&n->p);
	const struct gateway_datagram *d = first_answer(n);
	assert_non_null(d);
	assert_true(n->g.has_half);
	const struct ike_half *h = &n->g.half;
	assert_int_equal(h->sa.state, IKE_STATE_HALF_OPEN);
	assert_false(h->sa.auth_verified);
	assert_true(ike_spi_check(&n->g.world.spi_key, h->sa.spi_r));
	assert_int_equal(h->sa.spi_r >> 52, n->g.world.node_slot);
	assert_int_equal(h->expires_us, n->g.now_us + IKE_HALF_OPEN_US);
	assert_int_equal(h->request_len, n->p.ike[0].request_len);
	assert_int_equal(h->response_len, d->len);
	assert_memory_equal(h->response, d->b, d->len);
	assert_int_equal(n->g.dhs, 1);
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 0);
	free_net(n);
}

static void a_repeated_request_gets_the_same_answer_without_work(void **state)
{
	struct net *n = make_net();

	(void)state;
	peer_start_init(&n->p);
	struct gateway_datagram first = *first_answer(n);
	uint64_t before = gateway_fingerprint(&n->g);
	const struct gateway_datagram *again = first_answer(n);
	assert_int_equal(again->len, first.len);
	assert_memory_equal(again->b, first.b, first.len);
	assert_int_equal(n->g.dhs, 1);
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_retransmit_answered], 1);
	assert_int_equal(gateway_fingerprint(&n->g), before);
	/* another message under the same SPI is not that request */
	n->p.ike[0].request[60] ^= 1;
	assert_null(first_answer(n));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_unexpected], 1);
	free_net(n);
}

static void a_refused_offer_costs_nothing_and_is_explained(void **state)
{
	struct net *n = make_net();
	struct bytes data;

	(void)state;
	n->p.o.ike[0] = (struct peer_suite){ 3, 0, IKE_INTEG_HMAC_SHA1_96, 2, IKE_GROUP_MODP2048 };
	peer_start_init(&n->p);
	const struct gateway_datagram *d = first_answer(n);
	assert_int_equal(notify_in(d, &data), IKE_N_NO_PROPOSAL_CHOSEN);
	assert_true(d->len <= n->p.ike[0].request_len);
	assert_false(n->g.has_half);
	assert_int_equal(n->g.dhs, 0);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_NO_PROPOSAL_IKE);
	assert_int_equal(n->g.failure.stage, MODEL_STAGE_SA_INIT);
	assert_string_equal(n->g.failure.offered, "3DES / HMAC-SHA1-96 / PRF-HMAC-SHA1 / MODP-2048");
	assert_non_null(strstr(n->g.failure.allowed, "AES-GCM-16-256"));
	assert_true(addr_endpoint_eq(&n->g.failure.remote, &n->p.local));
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_failed], 1);
	free_net(n);
}

static void another_group_is_named_and_the_peer_comes_up_with_it(void **state)
{
	struct net *n = make_net();
	struct bytes data;

	(void)state;
	n->p.group = IKE_GROUP_MODP1536; /* its KE payload; its proposal has 14 only */
	peer_start_init(&n->p);
	const struct gateway_datagram *d = first_answer(n);
	assert_int_equal(notify_in(d, &data), IKE_N_INVALID_KE_PAYLOAD);
	assert_hex(data, "000e");
	assert_false(n->g.has_half);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_WRONG_GROUP);
	assert_string_equal(n->g.failure.offered, "MODP-1536");
	assert_string_equal(n->g.failure.allowed, "MODP-2048");
	n->g.out_cnt = 0;
	assert_true(net_run(n));
	assert_true(n->g.has_half);
	free_net(n);
}

/* Takes the KE payload's value away or spoils it. */
static void spoil_ke(void *arg, struct peer_edit *e)
{
	struct wire_ike_payloads in;
	const uint8_t *fill = arg;

	must(wire_ike_payloads_parse(e->first, bytes_of(e->chain.p, e->len), &in) == ERR_NONE);
	const struct wire_ike_payload *ke = wire_ike_find(&in, IKE_PL_KE, 0);
	size_t at = (size_t)(ke->body.p - e->chain.p) + 4;
	memset(e->chain.p + at, fill[0], ke->body.len - 4);
	e->chain.p[at + ke->body.len - 5] = fill[1];
}

/* RFC 6989: 0, 1 and what is not below the prime minus one. */
static void an_invalid_public_value_is_dropped(void **state)
{
	static const uint8_t values[][2] = { { 0, 0 }, { 0, 1 }, { 0xff, 0xff } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct net *n = make_net();
		uint8_t fill[2] = { values[i][0], values[i][1] };
		n->p.o.edit = spoil_ke;
		n->p.o.edit_arg = fill;
		peer_start_init(&n->p);
		assert_null(first_answer(n));
		assert_false(n->g.has_half);
		assert_int_equal(n->g.failure.code, MODEL_FAILURE_BAD_KE);
		assert_int_equal(n->g.drops[MODEL_DROP_ike_malformed], 1);
		free_net(n);
	}
}

static void under_load_only_a_proven_address_costs_anything(void **state)
{
	struct net *n = make_net();
	struct bytes data;

	(void)state;
	n->g.world.want_cookie = true;
	peer_start_init(&n->p);
	const struct gateway_datagram *d = first_answer(n);
	assert_int_equal(notify_in(d, &data), IKE_N_COOKIE);
	assert_int_equal(data.len, IKE_COOKIE_LEN);
	assert_true(d->len <= n->p.ike[0].request_len);
	assert_false(n->g.has_half);
	assert_int_equal(n->g.dhs, 0);
	assert_int_equal(n->g.drops[MODEL_DROP_ike_cookie], 1);
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_cookies_sent], 1);
	assert_int_equal(n->g.failure_cnt, 0);
	n->g.out_cnt = 0;
	assert_true(net_run(n)); /* with the cookie */
	assert_true(n->g.has_half);
	/* a cookie is no use from another address */
	n->g.has_half = false;
	n->g.out_cnt = 0;
	struct addr_endpoint other = endpoint("198.51.100.99", 500);
	gateway_input(&n->g, &n->p.remote, &other, bytes_of(n->p.init_request, n->p.init_request_len));
	assert_false(n->g.has_half);
	assert_int_equal(notify_in(&n->g.out[0], &data), IKE_N_COOKIE);
	free_net(n);
}

/* Cuts the nonce to its least length. */
static void shorten_nonce(void *arg, struct peer_edit *e)
{
	struct wire_ike_payloads in;

	must(wire_ike_payloads_parse(e->first, bytes_of(e->chain.p, e->len), &in) == ERR_NONE);
	const struct wire_ike_payload *nonce = wire_ike_find(&in, IKE_PL_NONCE, 0);
	size_t at = (size_t)(nonce->body.p - e->chain.p), cut = nonce->body.len - WIRE_IKE_NONCE_MIN;
	memmove(&e->chain.p[at + WIRE_IKE_NONCE_MIN], &e->chain.p[at + nonce->body.len], e->len - at - nonce->body.len);
	e->chain.p[at - 1] = 4 + WIRE_IKE_NONCE_MIN;
	e->len -= cut;
	*(size_t *)arg = e->len + WIRE_IKE_HEADER_LEN;
}

/* Whoever spoofs an address must not make more of his bytes by us. */
static void an_answer_longer_than_the_request_waits_for_a_cookie(void **state)
{
	struct net *n = make_net();
	struct bytes data;
	size_t sent = 0;

	(void)state;
	n->p.o.edit = shorten_nonce;
	n->p.o.edit_arg = &sent;
	peer_start_init(&n->p);
	const struct gateway_datagram *d = first_answer(n);
	assert_int_equal(notify_in(d, &data), IKE_N_COOKIE);
	assert_true(d->len <= sent);
	assert_false(n->g.has_half);
	assert_int_equal(n->g.dhs, 0);
	n->g.out_cnt = 0;
	assert_true(net_run(n)); /* with the cookie */
	assert_true(n->g.has_half && n->g.half.response_len > sent);
	free_net(n);
}

/* RFC 6023 3: said to all, unless the answer would get longer than the request by it. */
static void childless_is_offered_where_there_is_room(void **state)
{
	struct net *n = make_net();
	struct wire_ike_payloads in;
	struct wire_ike_notify found;

	(void)state;
	peer_start_init(&n->p);
	const struct gateway_datagram *d = first_answer(n);
	assert_true(d->len <= n->p.ike[0].request_len);
	assert_int_equal(wire_ike_payloads_parse(d->b[16], bytes_of(d->b + 28, d->len - 28), &in), ERR_NONE);
	assert_true(wire_ike_notify_find(&in, IKE_N_CHILDLESS_IKEV2_SUPPORTED, &found));
	free_net(n);
}

static void nat_is_seen_in_the_half_open_sa(void **state)
{
	struct net *a = make_net(), *b = make_net(), *c = make_net();

	(void)state;
	peer_start_init(&a->p);
	(void)first_answer(a);
	assert_false(a->g.half.sa.nat_peer || a->g.half.sa.nat_local || a->g.half.sa.path.udp_encap);
	b->p.o.natd = PEER_NATD_FAKE;
	peer_start_init(&b->p);
	(void)first_answer(b);
	assert_true(b->g.half.sa.nat_peer && b->g.half.sa.path.udp_encap && !b->g.half.sa.nat_local);
	c->p.o.natd = PEER_NATD_NONE;
	peer_start_init(&c->p);
	size_t len = first_answer(c)->len;
	assert_false(c->g.half.sa.nat_peer || c->g.half.sa.nat_local);
	assert_int_equal(len, a->g.half.response_len - 2 * 28); /* not asked, not answered */
	free_net(a);
	free_net(b);
	free_net(c);
}

static void messages_for_no_sa_are_dropped_with_their_reason(void **state)
{
	struct net *n = make_up();
	uint8_t old[PEER_MSG_MAX];

	(void)state;
	peer_start_liveness(&n->p);
	size_t len = n->p.ike[0].request_len;
	memcpy(old, n->p.ike[0].request, len);
	old[8] ^= 0xff; /* another responder SPI */
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(old, len));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_unknown_spi], 1);
	assert_int_equal(n->g.out_cnt, 0);
	memset(old, 0, 8); /* no initiator SPI at all */
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(old, len));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_malformed], 1);
	free_net(n);
}

static void a_long_first_message_is_dropped(void **state)
{
	static uint8_t big[IKE_MESSAGE_MAX];
	struct net *n = make_net();
	struct wire_ike_builder b;
	struct bytes msg;

	(void)state;
	peer_start_init(&n->p);
	wire_ike_begin(&b, SPACE_OF(big), &(struct wire_ike_header){ .spi_i = 1, .major = 2, .exchange = IKE_EX_SA_INIT,
								     .flags = IKE_FLAG_INITIATOR });
	wr_put(&b.w, bytes_of(n->p.ike[0].request + 28, n->p.ike[0].request_len - 28));
	wr_set_u8(&b.w, 16, IKE_PL_SA);
	must(wire_ike_finish(&b, &msg) == ERR_NONE);
	gateway_input(&n->g, &n->p.remote, &n->p.local, msg);
	assert_true(n->g.has_half); /* so far it is a good one */
	n->g.has_half = false;
	n->g.out_cnt = 0;
	memset(big + msg.len, 0, 2000);
	size_t len = msg.len + 2000;
	big[26] = (uint8_t)(len >> 8);
	big[27] = (uint8_t)len;
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(big, len));
	assert_false(n->g.has_half);
	assert_int_equal(n->g.drops[MODEL_DROP_ike_malformed], 1);
	free_net(n);
}

TESTS(cmocka_unit_test(the_answer_makes_a_half_open_sa),
      cmocka_unit_test(a_repeated_request_gets_the_same_answer_without_work),
      cmocka_unit_test(a_refused_offer_costs_nothing_and_is_explained),
      cmocka_unit_test(another_group_is_named_and_the_peer_comes_up_with_it),
      cmocka_unit_test(an_invalid_public_value_is_dropped),
      cmocka_unit_test(under_load_only_a_proven_address_costs_anything),
      cmocka_unit_test(an_answer_longer_than_the_request_waits_for_a_cookie),
      cmocka_unit_test(childless_is_offered_where_there_is_room),
      cmocka_unit_test(nat_is_seen_in_the_half_open_sa),
      cmocka_unit_test(messages_for_no_sa_are_dropped_with_their_reason),
      cmocka_unit_test(a_long_first_message_is_dropped))
