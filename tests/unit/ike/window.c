#include "ike_test.h"

static struct ike_sa answered(uint32_t id, const char *request)
{
	struct ike_sa sa = { .rx_next = id };
	ike_window_keep(&sa, id, bytes_str(request), bytes_str("the answer"));
	return sa;
}

static void the_next_id_and_later_ones_are_new(void **state)
{
	struct ike_sa sa = { .rx_next = 5, .state = IKE_STATE_ESTABLISHED };

	(void)state;
	assert_int_equal(ike_window_judge(&sa, 5, bytes_str("x")), IKE_WINDOW_NEW);
	assert_int_equal(ike_window_judge(&sa, 4, bytes_str("x")), IKE_WINDOW_OUTSIDE);
	assert_int_equal(ike_window_judge(&sa, 6, bytes_str("x")), IKE_WINDOW_NEW);
	assert_int_equal(ike_window_judge(&sa, 0, bytes_str("x")), IKE_WINDOW_OUTSIDE);
	sa.state = IKE_STATE_HALF_OPEN;
	assert_int_equal(ike_window_judge(&sa, 5, bytes_str("x")), IKE_WINDOW_NEW);
	assert_int_equal(ike_window_judge(&sa, 6, bytes_str("x")), IKE_WINDOW_OUTSIDE);
}

static void a_repetition_is_the_same_bytes_under_the_last_id(void **state)
{
	struct ike_sa sa = answered(5, "request");

	(void)state;
	assert_int_equal(sa.rx_next, 6);
	assert_int_equal(ike_window_judge(&sa, 5, bytes_str("request")), IKE_WINDOW_REPEATED);
	assert_int_equal(ike_window_judge(&sa, 5, bytes_str("another")), IKE_WINDOW_OUTSIDE);
	assert_int_equal(ike_window_judge(&sa, 4, bytes_str("request")), IKE_WINDOW_OUTSIDE);
	assert_memory_equal(sa.reply.b, "the answer", sa.reply.len);
}

static void ids_do_not_wrap(void **state)
{
	struct ike_sa sa = { .rx_next = UINT32_MAX };

	(void)state;
	assert_int_equal(ike_window_judge(&sa, UINT32_MAX, bytes_str("x")), IKE_WINDOW_OUTSIDE);
	assert_int_equal(ike_window_judge(&sa, 0, bytes_str("x")), IKE_WINDOW_OUTSIDE);
}

/* RFC 7296 2.4: more and more patient. Times at which the request goes out, from the first one on. */
static void our_request_is_repeated_at_growing_intervals_and_given_up(void **state)
{
	static const unsigned gaps_ms[] = { 500, 900, 1620, 2916, 5248, 9447 };
	struct net *n = make_up();
	uint64_t last;

	(void)state;
	n->g.now_us += 31000000;
	gateway_timers(&n->g);
	assert_int_equal(n->g.out_cnt, 1);
	last = n->g.now_us;
	for (size_t i = 0; i < ARRAY_LEN(gaps_ms); i++) {
		struct gateway_datagram first = n->g.out[0];
		n->g.now_us = gateway_next_us(&n->g);
		assert_int_equal((n->g.now_us - last) / 1000, gaps_ms[i]);
		last = n->g.now_us;
		n->g.out_cnt = 0;
		gateway_timers(&n->g);
		if (i + 1 == ARRAY_LEN(gaps_ms))
			break;
		assert_int_equal(n->g.out_cnt, 1);
		/* bitwise the same: it is one message with one IV */
		assert_int_equal(n->g.out[0].len, first.len);
		assert_memory_equal(n->g.out[0].b, first.b, first.len);
	}
	assert_int_equal(n->g.out_cnt, 0);
	assert_int_equal(sa_of(n).state, IKE_STATE_CLOSED);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_LIVENESS);
	assert_int_equal(n->g.child_cnt, 0);
	free_net(n);
}

TESTS(cmocka_unit_test(the_next_id_and_later_ones_are_new), cmocka_unit_test(a_repetition_is_the_same_bytes_under_the_last_id),
      cmocka_unit_test(ids_do_not_wrap),
      cmocka_unit_test(our_request_is_repeated_at_growing_intervals_and_given_up))
