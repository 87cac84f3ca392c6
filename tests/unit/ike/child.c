#include "ike_test.h"

static const struct peer_suite pfs14 = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_MODP2048 };
static const struct peer_suite pfs5 = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_MODP1536 };

static void a_rekey_replaces_and_is_proven_by_the_next_request(void **state)
{
	struct net *n = make_up();
	uint32_t old = n->p.child[0].spi_out;

	(void)state;
	assert_false(gateway_child_find(&n->g, old)->proven);
	peer_start_child(&n->p, &n->p.child[0], NULL);
	assert_int_equal(notify_of(n), 0);
	assert_true(gateway_child_find(&n->g, old)->proven); /* by this request */
	struct gateway_child *fresh = gateway_child_find(&n->g, n->p.child[1].spi_out);
	assert_int_equal(fresh->replaces, old);
	assert_false(fresh->proven);
	struct ike_sa sa = sa_of(n);
	assert_true(sa.children[0].replaced && !sa.children[1].replaced);
	assert_int_equal(sa.child_rekeys, 1);
	assert_int_equal(n->g.counters[MODEL_COUNTER_child_rekeyed], 1);
	peer_start_liveness(&n->p); /* any request will do */
	assert_int_equal(notify_of(n), 0);
	assert_true(gateway_child_find(&n->g, n->p.child[1].spi_out)->proven);
	assert_true(n->g.changed);
	free_net(n);
}

static void keys_of_a_rekey_are_fresh(void **state)
{
	struct net *n = make_up();

	(void)state;
	peer_start_child(&n->p, &n->p.child[0], NULL);
	assert_int_equal(notify_of(n), 0);
	net_check(n);
	assert_memory_not_equal(&n->g.children[0].sa.keys_in, &n->g.children[1].sa.keys_in, 32);
	assert_memory_not_equal(&n->g.children[1].sa.keys_out, &n->g.children[1].sa.keys_in, 32);
	free_net(n);
}

/* Changes the SPI in REKEY_SA, which is the first payload. */
static void other_spi(void *arg, struct peer_edit *e)
{
	(void)arg;
	e->chain.p[4 + 4] ^= 0xff;
}

static void rekeying_what_is_not_there_is_told(void **state)
{
	struct net *n = make_up();

	(void)state;
	n->p.o.edit = other_spi;
	peer_start_child(&n->p, &n->p.child[0], NULL);
	assert_int_equal(notify_of(n), IKE_N_CHILD_SA_NOT_FOUND);
	assert_int_equal(n->g.child_cnt, 1);
	free_net(n);
}

static void rekeying_what_was_rekeyed_or_is_being_closed_has_to_wait(void **state)
{
	struct net *n = make_up();

	(void)state;
	peer_start_child(&n->p, &n->p.child[0], NULL);
	assert_int_equal(notify_of(n), 0);
	peer_start_child(&n->p, &n->p.child[0], NULL);
	assert_int_equal(notify_of(n), IKE_N_TEMPORARY_FAILURE);
	uint64_t spi = n->p.ike[0].spi_r;
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_CHILD_EXPIRED, .child_spi = n->p.child[1].spi_out });
	n->g.out_cnt = 0; /* its Delete is lost for now */
	peer_start_child(&n->p, &n->p.child[1], NULL);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	n->g.out_cnt = 1;
	assert_true(net_run(n));
	assert_int_equal(n->p.notify, IKE_N_TEMPORARY_FAILURE);
	free_net(n);
}

static void there_is_a_limit_of_children(void **state)
{
	struct net *n = make_up();

	(void)state;
	for (unsigned i = 1; i < IKE_CHILDREN_MAX; i++) {
		peer_start_child(&n->p, NULL, NULL);
		assert_int_equal(notify_of(n), 0);
	}
	net_check(n);
	peer_start_child(&n->p, NULL, NULL);
	assert_int_equal(notify_of(n), IKE_N_NO_ADDITIONAL_SAS);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_TOO_MANY_CHILDREN);
	assert_int_equal(n->g.child_cnt, IKE_CHILDREN_MAX);
	/* and all of them can go in one step */
	peer_start_delete_ike(&n->p, 0);
	assert_int_equal(notify_of(n), 0);
	assert_int_equal(n->g.child_cnt, 0);
	free_net(n);
}

/* At once, so that nothing that waits is sent again: the error notify of the answer, 0 for none. */
static uint16_t child_at_once(struct net *n)
{
	unsigned which;

	peer_start_child(&n->p, NULL, NULL);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	assert_int_equal(n->g.out_cnt, 1);
	n->g.out_cnt = 0;
	assert_int_equal(peer_input(&n->p, bytes_of(n->g.out[0].b, n->g.out[0].len), &which), PEER_EV_DONE);
	return n->p.notify;
}

/* A peer that keeps our request waiting, and asks for children of its own meanwhile. */
static void a_place_is_kept_for_the_child_that_we_ask_for(void **state)
{
	struct net *n = make_up();
	uint64_t spi = n->p.ike[0].spi_r;

	(void)state;
	for (unsigned i = 1; i < IKE_CHILDREN_MAX - 2; i++) {
		peer_start_child(&n->p, NULL, NULL);
		assert_int_equal(notify_of(n), 0);
	}
	gateway_event(&n->g, spi, (struct ike_event){ .kind = IKE_EV_REKEY_CHILD, .child_spi = n->p.child[0].spi_out });
	gateway_timers(&n->g);
	n->g.out_cnt = 0; /* lost for now */
	assert_int_equal(sa_of(n).request.kind, IKE_REQUEST_REKEY_CHILD);
	assert_int_equal(child_at_once(n), 0);
	assert_int_equal(n->g.child_cnt, IKE_CHILDREN_MAX - 1);
	assert_int_equal(child_at_once(n), IKE_N_NO_ADDITIONAL_SAS);
	assert_int_equal(n->g.child_cnt, IKE_CHILDREN_MAX - 1);
	free_net(n);
}

static void pfs_with_another_group_in_ke_is_told_the_right_one(void **state)
{
	struct net *n = make_up();

	(void)state;
	n->p.o.ke_group = IKE_GROUP_MODP1536; /* the proposal says 14 */
	peer_start_child(&n->p, &n->p.child[0], &pfs14);
	assert_int_equal(notify_of(n), IKE_N_INVALID_KE_PAYLOAD);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_WRONG_GROUP);
	assert_int_equal(n->g.failure.stage, MODEL_STAGE_CHILD);
	assert_int_equal(n->g.dhs, 1); /* of IKE_SA_INIT */
	n->p.o.ke_group = 0;
	peer_start_child(&n->p, &n->p.child[0], &pfs14);
	assert_int_equal(notify_of(n), 0);
	assert_int_equal(n->g.dhs, 2);
	net_check(n);
	free_net(n);
}

/* The group of the only KE transform becomes one that is not allowed. */
static void other_group(void *arg, struct peer_edit *e)
{
	struct wire_ike_payloads in;
	const uint16_t *group = arg;

	must(wire_ike_payloads_parse(e->first, bytes_of(e->chain.p, e->len), &in) == ERR_NONE);
	const struct wire_ike_payload *sa = wire_ike_find(&in, IKE_PL_SA, 0);
	size_t at = (size_t)(sa->body.p - e->chain.p);
	/* proposal header 8, SPI 4, ENCR with attribute 12, KE: id at 6 */
	e->chain.p[at + 8 + 4 + 12 + 6] = (uint8_t)(*group >> 8);
	e->chain.p[at + 8 + 4 + 12 + 7] = (uint8_t)*group;
}

static void a_pfs_group_that_is_not_allowed_is_explained(void **state)
{
	struct net *n = make_up();
	uint16_t group = 2;

	(void)state;
	n->p.o.edit = other_group;
	n->p.o.edit_arg = &group;
	peer_start_child(&n->p, &n->p.child[0], &pfs5);
	assert_int_equal(notify_of(n), IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_NO_PFS_GROUP);
	assert_string_equal(n->g.failure.offered, "MODP-1024");
	assert_non_null(strstr(n->g.failure.allowed, "MODP-2048"));
	free_net(n);
}

static void spoil_ke(void *arg, struct peer_edit *e)
{
	struct wire_ike_payloads in;

	(void)arg;
	must(wire_ike_payloads_parse(e->first, bytes_of(e->chain.p, e->len), &in) == ERR_NONE);
	const struct wire_ike_payload *ke = wire_ike_find(&in, IKE_PL_KE, 0);
	memset(e->chain.p + (ke->body.p - e->chain.p) + 4, 0, ke->body.len - 4);
}

static void an_invalid_public_value_is_refused(void **state)
{
	struct net *n = make_up();

	(void)state;
	n->p.o.edit = spoil_ke;
	peer_start_child(&n->p, NULL, &pfs14);
	assert_int_equal(notify_of(n), IKE_N_INVALID_SYNTAX);
	assert_int_equal(n->g.child_cnt, 1);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_BAD_MESSAGE);
	free_net(n);
}

static void null_after_the_opt_in_only(void **state)
{
	static const struct peer_suite null = { IKE_ENCR_NULL, 0, IKE_INTEG_HMAC_SHA1_96, 0, 0 };
	struct net *n = make_up();

	(void)state;
	peer_start_child(&n->p, NULL, &null);
	assert_int_equal(notify_of(n), IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_NULL_NOT_ALLOWED);
	assert_true(model_id_eq(&n->g.failure.tunnel_id, &gateway_tunnel(&n->g)->tunnel_id));
	free_net(n);
}

static void selectors_of_a_policy_based_peer_are_taken(void **state)
{
	struct net *n = make_up();

	(void)state;
	n->p.o.tsi_cnt = n->p.o.tsr_cnt = 1;
	n->p.o.tsi[0] = (struct wire_ike_ts){ .port_last = 65535, .first = endpoint("10.1.0.0", 0).addr,
					      .last = endpoint("10.1.255.255", 0).addr };
	n->p.o.tsr[0] = (struct wire_ike_ts){ .protocol = 6, .port_first = 443, .port_last = 443,
					      .first = endpoint("10.2.0.0", 0).addr, .last = endpoint("10.2.0.255", 0).addr };
	peer_start_child(&n->p, NULL, NULL);
	assert_int_equal(notify_of(n), 0);
	const struct model_child_sa *c = &n->g.children[1].sa;
	assert_int_equal(c->ts_remote_cnt, 1);
	assert_int_equal(c->ts_local_cnt, 1);
	assert_true(addr_eq(&c->ts_remote[0].first, &n->p.o.tsi[0].first));
	assert_int_equal(c->ts_local[0].protocol, 6);
	assert_int_equal(c->ts_local[0].port_first, 443);
	net_check(n);
	free_net(n);
}

/* More than a Child SA holds are narrowed to the first ones; more than are read are refused. */
static void many_selectors_are_narrowed(void **state)
{
	struct net *n = make_up();

	(void)state;
	n->p.o.tsi_cnt = WIRE_IKE_TS_MAX;
	for (unsigned i = 0; i < WIRE_IKE_TS_MAX; i++)
		n->p.o.tsi[i] = peer_ts_any(ADDR_V4);
	peer_start_child(&n->p, NULL, NULL);
	assert_int_equal(notify_of(n), 0);
	assert_int_equal(n->p.child[1].tsi_cnt, MODEL_TS_MAX);
	free_net(n);
}

static void the_peers_spi_is_used_once(void **state)
{
	struct net *n = make_up();
	struct ike_sa sa = sa_of(n);

	(void)state;
	assert_non_null(ike_child_find(&sa, 0, n->p.child[0].spi_in));
	assert_non_null(ike_child_find(&sa, n->p.child[0].spi_out, 0));
	assert_null(ike_child_find(&sa, n->p.child[0].spi_in, 0));
	ike_child_forget(&sa, &sa.children[0]);
	assert_int_equal(sa.child_cnt, 0);
	free_net(n);
}

TESTS(cmocka_unit_test(a_rekey_replaces_and_is_proven_by_the_next_request),
      cmocka_unit_test(keys_of_a_rekey_are_fresh), cmocka_unit_test(rekeying_what_is_not_there_is_told),
      cmocka_unit_test(rekeying_what_was_rekeyed_or_is_being_closed_has_to_wait),
      cmocka_unit_test(there_is_a_limit_of_children), cmocka_unit_test(a_place_is_kept_for_the_child_that_we_ask_for),
      cmocka_unit_test(pfs_with_another_group_in_ke_is_told_the_right_one),
      cmocka_unit_test(a_pfs_group_that_is_not_allowed_is_explained),
      cmocka_unit_test(an_invalid_public_value_is_refused), cmocka_unit_test(null_after_the_opt_in_only),
      cmocka_unit_test(selectors_of_a_policy_based_peer_are_taken), cmocka_unit_test(many_selectors_are_narrowed),
      cmocka_unit_test(the_peers_spi_is_used_once))
