#include "ike_test.h"

static void a_step_that_needs_dh_gives_only_that(void **state)
{
	struct net *n = make_net();
	struct ike_half half = { .request_len = 4242 };
	struct ike_out *out = n->g.step_out;

	(void)state;
	peer_start_init(&n->p);
	struct ike_event ev = { .kind = IKE_EV_MESSAGE, .local = n->p.remote, .remote = n->p.local,
				.msg = bytes_of(n->p.ike[0].request, n->p.ike[0].request_len) };
	ike_init_step(&n->g.world, &ev, &half, out);
	assert_int_equal(out->cnt, 1);
	assert_int_equal(out->actions[0].kind, IKE_ACT_DH);
	assert_int_equal(out->actions[0].dh.group, IKE_GROUP_MODP2048);
	assert_int_equal(out->actions[0].dh.peer_public.len, 256);
	assert_false(out->has_sa || out->changed);
	assert_int_equal(half.request_len, 4242); /* untouched */
	free_net(n);
}

/* PFS: the record is not touched between asking and answering, and the same event gives the same again. */
static void asking_for_dh_changes_no_record(void **state)
{
	static const struct peer_suite pfs = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_MODP2048 };
	struct net *n = make_up();
	struct ike_out *out = n->g.step_out;
	struct ike_sa sa = sa_of(n), after = { .rx_next = 99 }, rekeyed[2];

	(void)state;
	peer_start_child(&n->p, NULL, &pfs);
	struct ike_event ev = { .kind = IKE_EV_MESSAGE, .local = n->p.remote, .remote = n->p.local, .now_us = 5,
				.msg = bytes_of(n->p.ike[0].request, n->p.ike[0].request_len) };
	for (unsigned i = 0; i < 2; i++) {
		ike_sa_step(&n->g.world, &sa, &ev, &after, rekeyed, out);
		assert_int_equal(out->cnt, 1);
		assert_int_equal(out->actions[0].kind, IKE_ACT_DH);
		assert_false(out->has_sa);
		assert_int_equal(after.rx_next, 99);
	}
	free_net(n);
}

static void a_step_depends_on_nothing_but_its_arguments(void **state)
{
	struct net *n = make_up();
	struct ike_out *out = n->g.step_out;
	struct ike_sa sa = sa_of(n), a, b, rekeyed[2];
	uint8_t first[IKE_REPLY_MAX];

	(void)state;
	peer_start_child(&n->p, &n->p.child[0], NULL);
	struct ike_event ev = { .kind = IKE_EV_MESSAGE, .local = n->p.remote, .remote = n->p.local, .now_us = 5, .iv = 1000,
				.msg = bytes_of(n->p.ike[0].request, n->p.ike[0].request_len) };
	memset(ev.random, 0x5c, sizeof(ev.random));
	ike_sa_step(&n->g.world, &sa, &ev, &a, rekeyed, out);
	assert_true(out->has_sa);
	memcpy(first, a.reply.b, a.reply.len);
	ike_sa_step(&n->g.world, &sa, &ev, &b, rekeyed, out);
	assert_int_equal(a.reply.len, b.reply.len);
	assert_memory_equal(first, b.reply.b, b.reply.len);
	assert_int_equal(a.children[1].spi_in, b.children[1].spi_in);
	/* other random bytes and another IV: another SPI, another message */
	ev.iv += 2;
	memset(ev.random, 0x5d, sizeof(ev.random));
	ike_sa_step(&n->g.world, &sa, &ev, &b, rekeyed, out);
	assert_int_not_equal(a.children[1].spi_in, b.children[1].spi_in);
	assert_memory_not_equal(a.reply.b + 32, b.reply.b + 32, 8);
	free_net(n);
}

/* Put first, sent last: whoever runs the actions in order has the child installed before the peer hears of it. */
static void the_child_is_put_before_the_answer_is_sent(void **state)
{
	struct net *n = make_up();
	const struct ike_out *out = n->g.step_out;
	int put = -1, sent = -1, proven = -1;

	(void)state;
	peer_start_child(&n->p, NULL, NULL);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	for (int i = 0; i < (int)out->cnt; i++) {
		put = out->actions[i].kind == IKE_ACT_CHILD_PUT ? i : put;
		sent = out->actions[i].kind == IKE_ACT_SEND ? i : sent;
		proven = out->actions[i].kind == IKE_ACT_CHILD_PROVEN ? i : proven;
	}
	assert_true(proven >= 0 && put > proven && sent > put);
	free_net(n);
}

static void a_message_to_another_local_address_is_dropped(void **state)
{
	struct net *n = make_up();
	struct addr_endpoint other = endpoint("192.0.2.99", 500);

	(void)state;
	peer_start_liveness(&n->p);
	gateway_input(&n->g, &other, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	assert_int_equal(n->g.out_cnt, 0);
	assert_int_equal(n->g.drops[MODEL_DROP_ike_address], 1);
	free_net(n);
}

static void a_repeated_request_is_answered_where_it_came_from(void **state)
{
	struct net *n = make_up();
	struct addr_endpoint elsewhere = endpoint("203.0.113.50", 1234);

	(void)state;
	peer_start_liveness(&n->p);
	assert_int_equal(notify_of(n), 0);
	const struct net_datagram *last = &n->log[n->log_cnt - 1];
	uint64_t before = gateway_fingerprint(&n->g);
	gateway_input(&n->g, &last->to, &elsewhere, bytes_of(last->b, last->len));
	assert_int_equal(n->g.out_cnt, 1);
	assert_true(addr_endpoint_eq(&n->g.out[0].remote, &elsewhere));
	assert_int_equal(gateway_fingerprint(&n->g), before); /* a repetition moves no address */
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_retransmit_answered], 1);
	free_net(n);
}

/* Random bytes are used once: no two uses may overlap. */
static void the_random_bytes_of_a_step_are_shared_out(void **state)
{
	static const struct {
		unsigned at, len;
	} uses[] = {
		{ IKE_RANDOM_SPI, 8 }, { IKE_RANDOM_NONCE, IKE_NONCE_LEN }, { IKE_RANDOM_ESP_SPI, 4 * 8 },
		{ IKE_RANDOM_IV_REPLY, CRYPT_IV_MAX }, { IKE_RANDOM_IV_REQUEST, CRYPT_IV_MAX },
	};
	bool used[IKE_RANDOM_LEN] = { false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		for (unsigned b = uses[i].at; b < uses[i].at + uses[i].len; b++) {
			assert_true(b < IKE_RANDOM_LEN);
			assert_false(used[b]);
			used[b] = true;
		}
	}
}

TESTS(cmocka_unit_test(a_step_that_needs_dh_gives_only_that), cmocka_unit_test(asking_for_dh_changes_no_record),
      cmocka_unit_test(a_step_depends_on_nothing_but_its_arguments),
      cmocka_unit_test(the_child_is_put_before_the_answer_is_sent),
      cmocka_unit_test(a_message_to_another_local_address_is_dropped),
      cmocka_unit_test(a_repeated_request_is_answered_where_it_came_from),
      cmocka_unit_test(the_random_bytes_of_a_step_are_shared_out))
