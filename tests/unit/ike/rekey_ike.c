#include "ike_test.h"

static const struct peer_suite good = { IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_PRF_HMAC_SHA2_384,
					IKE_GROUP_MODP1536 };

static struct net *make_rekeyed(uint64_t *ret_old)
{
	struct net *n = make_up();
	*ret_old = n->p.ike[0].spi_r;
	peer_start_ike_rekey(&n->p, &good);
	assert_int_equal(notify_of(n), 0);
	return n;
}

static void the_new_sa_inherits_tunnel_children_and_lifetime(void **state)
{
	uint64_t old_spi;
	struct net *n = make_rekeyed(&old_spi);
	struct ike_sa old = gateway_sa(&n->g, old_spi), fresh = sa_of(n);

	(void)state;
	net_check(n);
	assert_int_equal(old.state, IKE_STATE_REKEYED);
	assert_int_equal(old.child_cnt, 0);
	assert_int_equal(fresh.state, IKE_STATE_ESTABLISHED);
	assert_true(fresh.auth_verified);
	assert_int_equal(fresh.child_cnt, 1);
	assert_int_equal(n->g.children[0].sa.ike_spi, fresh.spi_r);
	assert_int_equal(fresh.expires_us - fresh.created_us, 86400000000u);
	assert_int_equal(fresh.ike_rekeys, 1);
	assert_int_equal(fresh.rx_next, 0);
	assert_int_equal(fresh.reply.len, 0);
	assert_true(model_id_eq(&fresh.tunnel_id, &old.tunnel_id));
	assert_memory_not_equal(&fresh.keys, &old.keys, sizeof(fresh.keys));
	assert_true(ike_spi_check(&n->g.world.spi_key, fresh.spi_r));
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_rekeyed], 1);
	free_net(n);
}

static void the_old_sa_makes_nothing_new(void **state)
{
	uint64_t old_spi;
	struct net *n = make_rekeyed(&old_spi);

	(void)state;
	struct peer_ike fresh = n->p.ike[0];
	n->p.ike[0] = n->p.ike[1];
	n->p.ike[1] = (struct peer_ike){ 0 };
	peer_start_child(&n->p, NULL, NULL);
	assert_int_equal(notify_of(n), IKE_N_TEMPORARY_FAILURE);
	peer_start_ike_rekey(&n->p, &good);
	assert_int_equal(notify_of(n), IKE_N_TEMPORARY_FAILURE);
	peer_start_liveness(&n->p); /* which it still answers */
	assert_int_equal(notify_of(n), 0);
	n->p.ike[1] = n->p.ike[0];
	n->p.ike[0] = fresh;
	net_check(n);
	free_net(n);
}

static void the_peers_delete_of_the_old_sa_is_no_failure(void **state)
{
	uint64_t old_spi;
	struct net *n = make_rekeyed(&old_spi);

	(void)state;
	peer_start_delete_ike(&n->p, 1);
	assert_int_equal(notify_of(n), 0);
	assert_int_equal(gateway_sa(&n->g, old_spi).state, IKE_STATE_CLOSED);
	assert_int_equal(n->g.failure_cnt, 0);
	assert_int_equal(n->g.child_cnt, 1);
	free_net(n);
}

static void an_old_sa_that_the_peer_forgets_is_deleted_by_us(void **state)
{
	uint64_t old_spi;
	struct net *n = make_rekeyed(&old_spi);

	(void)state;
	net_sleep(n, IKE_REKEYED_KEEP_US + 1000000);
	assert_true(net_run(n));
	assert_false(n->p.ike[1].up);
	assert_true(n->p.ike[0].up);
	assert_int_equal(gateway_sa(&n->g, old_spi).state, IKE_STATE_CLOSED);
	assert_int_equal(n->g.failure_cnt, 0);
	assert_int_equal(n->g.child_cnt, 1);
	free_net(n);
}

static void a_suite_or_group_that_is_not_allowed_leaves_all_as_it_was(void **state)
{
	static const struct peer_suite sha1 = { IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA1_96, IKE_PRF_HMAC_SHA2_256,
						IKE_GROUP_MODP2048 };
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	peer_start_ike_rekey(&n->p, &sha1);
	assert_int_equal(notify_of(n), IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_NO_PROPOSAL_IKE);
	assert_string_equal(n->g.failure.offered, "AES-CBC-256 / HMAC-SHA1-96 / PRF-HMAC-SHA2-256 / MODP-2048");
	assert_int_equal(n->p.ike[0].spi_r, spi);
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 1);
	net_check(n);
	free_net(n);
}

static void not_while_a_child_is_being_closed(void **state)
{
	struct net *n = make_up();

	(void)state;
	gateway_event(&n->g, n->p.ike[0].spi_r,
		      (struct ike_event){ .kind = IKE_EV_CHILD_EXPIRED, .child_spi = n->p.child[0].spi_out });
	n->g.out_cnt = 0;
	peer_start_ike_rekey(&n->p, &good);
	assert_int_equal(notify_of(n), IKE_N_TEMPORARY_FAILURE);
	assert_int_equal(n->p.child_cnt, 0); /* the Delete came again meanwhile */
	net_check(n);
	free_net(n);
}

static void a_child_that_awaits_proof_is_proven_under_the_new_sa(void **state)
{
	struct net *n = make_up();

	(void)state;
	peer_start_child(&n->p, &n->p.child[0], NULL);
	assert_int_equal(notify_of(n), 0);
	peer_start_ike_rekey(&n->p, &good);
	assert_int_equal(notify_of(n), 0);
	assert_true(gateway_child_find(&n->g, n->p.child[1].spi_out)->proven);
	free_net(n);
}

TESTS(cmocka_unit_test(the_new_sa_inherits_tunnel_children_and_lifetime),
      cmocka_unit_test(the_old_sa_makes_nothing_new), cmocka_unit_test(the_peers_delete_of_the_old_sa_is_no_failure),
      cmocka_unit_test(an_old_sa_that_the_peer_forgets_is_deleted_by_us),
      cmocka_unit_test(a_suite_or_group_that_is_not_allowed_leaves_all_as_it_was),
      cmocka_unit_test(not_while_a_child_is_being_closed),
      cmocka_unit_test(a_child_that_awaits_proof_is_proven_under_the_new_sa))
