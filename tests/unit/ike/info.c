#include "ike_test.h"

/* A chain of payloads made by fill, sent as an INFORMATIONAL request. */
static uint16_t send_info(struct net *n, void (*fill)(struct net *n, struct wire_ike_builder *b))
{
	struct wire_ike_builder b;
	struct wire_ike_header h;
	uint8_t room[1024];
	struct bytes msg;

	wire_ike_begin(&b, SPACE_OF(room), &(struct wire_ike_header){ .major = 2 });
	fill(n, &b);
	must(wire_ike_finish(&b, &msg) == ERR_NONE && wire_ike_header_parse(msg, &h) == ERR_NONE);
	peer_start_info(&n->p, h.next, bytes_of(msg.p + 28, msg.len - 28));
	return notify_of(n);
}

static struct net *make_with_three(void)
{
	struct net *n = make_up();
	for (unsigned i = 0; i < 2; i++) {
		peer_start_child(&n->p, NULL, NULL);
		assert_int_equal(notify_of(n), 0);
	}
	return n;
}

static void delete_two_and_junk(struct net *n, struct wire_ike_builder *b)
{
	uint32_t spis[] = { n->p.child[0].spi_in, 0xdeadbeef, n->p.child[2].spi_in, n->p.child[0].spi_in, 0 };
	uint32_t ours = n->p.child[1].spi_out; /* our SPI, not the peer's: names nothing */
	wire_ike_put_delete(b, IKE_PROTO_ESP, spis, 5);
	wire_ike_put_delete(b, IKE_PROTO_ESP, &ours, 1);
}

static void a_delete_ends_those_pairs_that_are_there_once(void **state)
{
	struct net *n = make_with_three();

	(void)state;
	assert_int_equal(send_info(n, delete_two_and_junk), 0);
	assert_int_equal(n->g.child_cnt, 1);
	assert_int_equal(n->g.children[0].sa.spi_in, n->p.child[1].spi_out);
	assert_int_equal(sa_of(n).child_cnt, 1);
	free_net(n);
}

static void delete_ah(struct net *n, struct wire_ike_builder *b)
{
	wire_ike_put_delete(b, IKE_PROTO_AH, &n->p.child[0].spi_in, 1);
}

static void a_delete_of_another_protocol_ends_nothing(void **state)
{
	struct net *n = make_up();

	(void)state;
	assert_int_equal(send_info(n, delete_ah), 0);
	assert_int_equal(n->g.child_cnt, 1);
	free_net(n);
}

static void good_and_broken_delete(struct net *n, struct wire_ike_builder *b)
{
	wire_ike_put_delete(b, IKE_PROTO_ESP, &n->p.child[0].spi_in, 1);
	wire_ike_open(b, IKE_PL_DELETE);
	wr_u32(&b->w, 0x03040009); /* nine SPIs, and none follows */
}

static void a_broken_delete_ends_nothing(void **state)
{
	struct net *n = make_up();

	(void)state;
	assert_int_equal(send_info(n, good_and_broken_delete), IKE_N_INVALID_SYNTAX);
	assert_int_equal(n->g.child_cnt, 1);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_BAD_MESSAGE);
	peer_start_liveness(&n->p);
	assert_int_equal(notify_of(n), 0); /* the SA goes on */
	free_net(n);
}

static void delete_of_all(struct net *n, struct wire_ike_builder *b)
{
	wire_ike_put_delete(b, IKE_PROTO_ESP, &n->p.child[0].spi_in, 1);
	wire_ike_put_delete(b, IKE_PROTO_IKE, NULL, 0);
}

static void a_delete_of_the_ike_sa_ends_its_children_and_wipes_the_keys(void **state)
{
	struct net *n = make_with_three();
	uint64_t spi = n->p.ike[0].spi_r;
	static const struct ike_keys zero;

	(void)state;
	assert_int_equal(send_info(n, delete_of_all), 0);
	struct ike_sa sa = gateway_sa(&n->g, spi);
	assert_int_equal(sa.state, IKE_STATE_CLOSED);
	assert_int_equal(n->g.child_cnt, 0);
	assert_memory_equal(&sa.keys, &zero, sizeof(zero));
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_PEER_DELETED);
	assert_int_equal(n->g.failure.stage, MODEL_STAGE_LIVE);
	assert_int_equal(sa.expires_us, n->log[n->log_cnt - 1].at_us + IKE_CLOSED_KEEP_US);
	/* the repeated Delete is answered alike, another message not at all */
	const struct net_datagram *last = &n->log[n->log_cnt - 1];
	gateway_input(&n->g, &last->to, &last->from, bytes_of(last->b, last->len));
	assert_int_equal(n->g.out_cnt, 1);
	assert_memory_equal(n->g.out[0].b, sa.reply.b, sa.reply.len);
	n->g.out_cnt = 0;
	n->p.ike[0].up = true;
	peer_start_liveness(&n->p);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	assert_int_equal(n->g.out_cnt, 0);
	assert_int_equal(n->g.drops[MODEL_DROP_ike_unexpected], 1);
	/* and in the end it is forgotten */
	n->p.ike[0].step = PEER_IDLE;
	net_sleep(n, IKE_CLOSED_KEEP_US + 1000000);
	assert_null(gateway_sa_find(&n->g, spi));
	free_net(n);
}

static void auth_failed(struct net *n, struct wire_ike_builder *b)
{
	(void)n;
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, IKE_N_AUTHENTICATION_FAILED, (struct bytes){ 0 });
}

/* RFC 7296 2.21.2 */
static void a_peer_that_did_not_take_our_auth_ends_the_sa(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	assert_int_equal(send_info(n, auth_failed), 0);
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
	assert_string_equal(n->g.failure.offered, "AUTHENTICATION_FAILED");
	assert_int_equal(n->g.child_cnt, 0);
	free_net(n);
}

static void other_notifies(struct net *n, struct wire_ike_builder *b)
{
	(void)n;
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, IKE_N_INVALID_SPI, (struct bytes){ 0 });
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, 40000, bytes_str("private"));
	wire_ike_open(b, IKE_PL_VENDOR);
	wire_ike_open(b, IKE_PL_CP);
	wr_u32(&b->w, 0x01000000);
}

static void other_payloads_are_passed_over_and_the_answer_is_empty(void **state)
{
	struct net *n = make_up();
	unsigned failures = n->g.failure_cnt;

	(void)state;
	assert_int_equal(send_info(n, other_notifies), 0);
	assert_int_equal(n->g.child_cnt, 1);
	assert_int_equal(n->g.failure_cnt, failures);
	net_check(n);
	free_net(n);
}

static void plain_liveness_is_no_change_of_the_record(void **state)
{
	struct net *n = make_up();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		peer_start_liveness(&n->p);
		assert_int_equal(notify_of(n), 0);
		assert_int_equal(n->g.changed, i == 0); /* the first one proves the first Child SA */
	}
	free_net(n);
}

TESTS(cmocka_unit_test(a_delete_ends_those_pairs_that_are_there_once),
      cmocka_unit_test(a_delete_of_another_protocol_ends_nothing), cmocka_unit_test(a_broken_delete_ends_nothing),
      cmocka_unit_test(a_delete_of_the_ike_sa_ends_its_children_and_wipes_the_keys),
      cmocka_unit_test(a_peer_that_did_not_take_our_auth_ends_the_sa),
      cmocka_unit_test(other_payloads_are_passed_over_and_the_answer_is_empty),
      cmocka_unit_test(plain_liveness_is_no_change_of_the_record))
