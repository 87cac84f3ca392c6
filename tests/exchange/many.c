// Many Child SAs on one IKE SA, each with selectors of its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net.h"

#define MANY 100

static const struct peer_suite ike_suite = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, IKE_PRF_HMAC_SHA2_256,
					     IKE_GROUP_MODP2048 };

/* The i-th policy: 10.i.0.0/24 and 10.i.1.0/24, TCP 1000 to 2000 to it, any to us. */
static void set_policy(struct peer_options *o, uint8_t i)
{
	o->tsi_cnt = 2;
	o->tsr_cnt = 1;
	for (uint8_t n = 0; n < 2; n++) {
		o->tsi[n] = (struct wire_ike_ts){ .protocol = IP_PROTO_TCP, .port_first = 1000, .port_last = 2000 };
		o->tsi[n].first = (struct addr){ { 10, i, n, 0 }, ADDR_V4 };
		o->tsi[n].last = (struct addr){ { 10, i, n, 255 }, ADDR_V4 };
	}
	o->tsr[0] = peer_ts_any(ADDR_V4);
}

static struct net *make_many(unsigned cnt)
{
	struct net *n = malloc(sizeof(*n));
	struct peer_options o;

	must(n != NULL);
	net_options(&o);
	set_policy(&o, 0);
	net_init(n, &o);
	net_must_up(n);
	for (unsigned i = 1; i < cnt; i++) {
		set_policy(&n->p.o, (uint8_t)i);
		peer_start_child(&n->p, NULL, NULL);
		must(net_run(n) && n->p.notify == 0);
	}
	must(n->p.child_cnt == cnt);
	net_check(n);
	return n;
}

static void free_net(struct net *n)
{
	net_fini(n);
	free(n);
}

static void a_hundred_children_keep_their_selectors(void **state)
{
	struct net *n = make_many(MANY);

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		const struct model_child_sa *c = &gateway_child_find(&n->g, n->p.child[i].spi_out)->sa;
		assert_int_equal(c->ts_remote_cnt, 2);
		assert_int_equal(c->ts_local_cnt, 1);
		assert_int_equal(c->ts_remote[1].first.b[1], i);
		assert_int_equal(c->ts_remote[1].protocol, IP_PROTO_TCP);
		assert_int_equal(c->ts_remote[1].port_first, 1000);
		assert_int_equal(c->ts_remote[1].port_last, 2000);
	}
	free_net(n);
}

static void each_is_rekeyed_and_deleted_by_itself(void **state)
{
	struct net *n = make_many(MANY);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t old = n->p.child[i * 40].spi_in;
		set_policy(&n->p.o, (uint8_t)(i * 40));
		peer_start_child(&n->p, &n->p.child[i * 40], NULL);
		assert_true(net_run(n) && n->p.notify == 0);
		peer_start_delete_child(&n->p, peer_child_find(&n->p, old));
		assert_true(net_run(n));
		net_check(n);
	}
	assert_int_equal(n->p.child_cnt, MANY);
	free_net(n);
}

static void all_move_to_the_next_ike_sa(void **state)
{
	struct net *n = make_many(MANY);

	(void)state;
	peer_start_ike_rekey(&n->p, &ike_suite);
	assert_true(net_run(n) && n->p.notify == 0);
	net_check(n);
	peer_start_delete_ike(&n->p, 1);
	assert_true(net_run(n));
	net_check(n);
	assert_int_equal(n->g.child_cnt, MANY);
	free_net(n);
}

/* RFC 7296 1.4.1: one Delete payload may name them all, and the answer names our halves. */
static void one_delete_ends_them_all(void **state)
{
	struct net *n = make_many(MANY);
	uint8_t chain[8 + 4 * MANY] = { 0 };
	struct wr w = wr_of(SPACE_OF(chain));

	(void)state;
	wr_u16(&w, 0);
	wr_u16(&w, sizeof(chain));
	wr_u8(&w, IKE_PROTO_ESP);
	wr_u8(&w, 4);
	wr_u16(&w, MANY);
	for (unsigned i = 0; i < MANY; i++)
		wr_u32(&w, n->p.child[i].spi_in);
	peer_start_info(&n->p, IKE_PL_DELETE, BYTES_OF(chain));
	assert_true(net_run(n) && n->p.notify == 0);
	assert_int_equal(n->g.child_cnt, 0);
	n->p.child_cnt = 0;
	net_check(n);
	free_net(n);
}

static void the_end_of_the_ike_sa_ends_them_all(void **state)
{
	(void)state;
	for (unsigned by_peer = 0; by_peer < 2; by_peer++) {
		struct net *n = make_many(MANY);
		if (by_peer)
			peer_start_delete_ike(&n->p, 0);
		else
			gateway_event(&n->g, n->p.ike[0].spi_r,
				      (struct ike_event){ .kind = IKE_EV_CLOSE, .close_code = MODEL_FAILURE_CONFIG_REMOVED });
		assert_true(net_run(n));
		assert_int_equal(n->g.child_cnt, 0);
		assert_int_equal(gateway_count(&n->g, IKE_STATE_CLOSED), 1);
		free_net(n);
	}
}

static void one_too_many_is_refused_and_explained(void **state)
{
	struct net *n = make_many(IKE_CHILDREN_MAX - 1);

	(void)state;
	peer_start_child(&n->p, NULL, NULL);
	assert_true(net_run(n) && n->p.notify == 0);
	n->p.child_cnt--; /* the peer has room for no more of its own */
	peer_start_child(&n->p, NULL, NULL);
	assert_true(net_run(n));
	assert_int_equal(n->p.notify, IKE_N_NO_ADDITIONAL_SAS);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_TOO_MANY_CHILDREN);
	assert_int_equal(n->g.child_cnt, IKE_CHILDREN_MAX);
	free_net(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_children_keep_their_selectors),
		cmocka_unit_test(each_is_rekeyed_and_deleted_by_itself),
		cmocka_unit_test(all_move_to_the_next_ike_sa),
		cmocka_unit_test(one_delete_ends_them_all),
		cmocka_unit_test(the_end_of_the_ike_sa_ends_them_all),
		cmocka_unit_test(one_too_many_is_refused_and_explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
