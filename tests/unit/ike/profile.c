#include "ike_test.h"

#define BOTH MODEL_PROFILE_ALL

/* Two ends: the world has tunnels of those profiles, this one's is of one of them. */
static struct net *make_with(uint8_t profiles, enum model_profile profile, uint16_t group)
{
	struct net *n = make_net();

	n->g.world.profiles = profiles;
	gateway_tunnel(&n->g)->settings.profile = (uint8_t)profile;
	n->p.o.ike_cnt = 1;
	n->p.o.ike[0].group = group;
	n->p.group = group;
	return n;
}

static unsigned add_groups(enum model_profile profile, enum model_phase phase, uint16_t *groups)
{
	unsigned cnt = 0;

	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if (t->type == IKE_TT_KE && (t->phase & phase) != 0 && (t->profiles & MODEL_PROFILE_BIT(profile)) != 0)
			groups[cnt++] = t->id;
	}
	return cnt;
}

static void every_group_of_a_profile_comes_up_and_rekeys(void **state)
{
	uint16_t groups[32];

	(void)state;
	for (unsigned p = 0; p < MODEL_PROFILE_CNT; p++) {
		unsigned cnt = add_groups((enum model_profile)p, MODEL_PHASE_IKE, groups);
		assert_true(cnt >= 3);
		for (unsigned i = 0; i < cnt; i++) {
			struct net *n = make_with(MODEL_PROFILE_BIT(p), (enum model_profile)p, groups[i]);
			struct peer_suite ike = n->p.o.ike[0], esp = n->p.o.esp[0];

			net_must_up(n);
			assert_int_equal(sa_of(n).suite.group, groups[i]);
			assert_int_equal(sa_of(n).profile, p);
			esp.group = groups[i];
			peer_start_child(&n->p, peer_child_last(&n->p), &esp);
			assert_int_equal(notify_of(n), 0);
			peer_start_ike_rekey(&n->p, &ike);
			assert_int_equal(notify_of(n), 0);
			assert_int_equal(sa_of(n).profile, p);
			assert_int_equal(n->g.failure_cnt, 0);
			free_net(n);
		}
	}
}

static void a_suite_outside_of_the_profile_is_refused_once_the_tunnel_is_known(void **state)
{
	static const struct {
		enum model_profile profile;
		uint16_t group;
		const char *offered, *allowed, *missing;
	} cases[] = {
		{ MODEL_PROFILE_MAGIC, IKE_GROUP_CURVE25519, "CURVE25519", "MODP-1536 (profile magic)", "CURVE25519" },
		{ MODEL_PROFILE_MODERN, IKE_GROUP_MODP1536, "MODP-1536", "MODP-2048 (profile modern)", "MODP-1536" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net *n = make_with(BOTH, cases[i].profile, cases[i].group);

		assert_false(net_up(n));
		assert_int_equal(n->p.notify, IKE_N_AUTHENTICATION_FAILED);
		assert_int_equal(n->g.failure.code, MODEL_FAILURE_PROFILE);
		assert_int_equal(n->g.failure.stage, MODEL_STAGE_AUTH);
		assert_false(model_id_is_zero(&n->g.failure.tunnel_id));
		assert_non_null(strstr(n->g.failure.offered, cases[i].offered));
		assert_non_null(strstr(n->g.failure.allowed, cases[i].allowed));
		assert_null(strstr(n->g.failure.allowed, cases[i].missing));
		assert_int_equal(n->g.child_cnt, 0);
		assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 0);
		free_net(n);
	}
}

/* Nothing tells a stranger of the profile: without the PSK the answer and the record are those of a wrong PSK. */
static void a_wrong_psk_is_found_before_the_profile(void **state)
{
	struct net *n = make_with(BOTH, MODEL_PROFILE_MAGIC, IKE_GROUP_CURVE25519);

	(void)state;
	must(secret_set(&n->p.o.psk, bytes_str("another one")) == ERR_NONE);
	assert_false(net_up(n));
	assert_int_equal(n->p.notify, IKE_N_AUTHENTICATION_FAILED);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_WRONG_PSK);
	free_net(n);
}

static void groups_of_a_profile_that_no_tunnel_has_are_refused_at_once(void **state)
{
	static const struct {
		uint8_t profiles;
		uint16_t group;
	} cases[] = {
		{ 0, IKE_GROUP_CURVE25519 },
		{ MODEL_PROFILE_BIT(MODEL_PROFILE_MAGIC), IKE_GROUP_ECP256 },
		{ MODEL_PROFILE_BIT(MODEL_PROFILE_MODERN), IKE_GROUP_MODP1536 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net *n = make_with(cases[i].profiles, MODEL_PROFILE_MAGIC, cases[i].group);
		assert_false(net_up(n));
		assert_int_equal(n->p.notify, IKE_N_NO_PROPOSAL_CHOSEN);
		assert_int_equal(n->g.failure.code, MODEL_FAILURE_NO_GROUP_IKE);
		assert_int_equal(n->g.dhs, 0);
		free_net(n);
	}
}

/* The peer offers 31 with its value, then 14: with tunnels of both profiles, 14 is right for whichever it is. */
static void what_suits_every_profile_goes_before_what_suits_one(void **state)
{
	static const struct {
		uint8_t profiles;
		enum model_profile profile;
		uint16_t chosen;
	} cases[] = {
		{ BOTH, MODEL_PROFILE_MAGIC, IKE_GROUP_MODP2048 },
		{ BOTH, MODEL_PROFILE_MODERN, IKE_GROUP_MODP2048 },
		{ MODEL_PROFILE_BIT(MODEL_PROFILE_MAGIC), MODEL_PROFILE_MAGIC, IKE_GROUP_MODP2048 },
		{ MODEL_PROFILE_BIT(MODEL_PROFILE_MODERN), MODEL_PROFILE_MODERN, IKE_GROUP_CURVE25519 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net *n = make_with(cases[i].profiles, cases[i].profile, IKE_GROUP_CURVE25519);
		n->p.o.ike[1] = n->p.o.ike[0];
		n->p.o.ike[1].group = IKE_GROUP_MODP2048;
		n->p.o.ike_cnt = 2;
		assert_true(net_up(n));
		assert_int_equal(sa_of(n).suite.group, cases[i].chosen);
		free_net(n);
	}
}

static void assert_child_refused(enum model_profile profile, const struct peer_suite *esp, enum model_failure_code code)
{
	struct net *n = make_with(MODEL_PROFILE_BIT(profile), profile, IKE_GROUP_MODP2048);

	net_must_up(n);
	peer_start_child(&n->p, NULL, esp);
	assert_int_equal(notify_of(n), IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(n->g.failure.code, code);
	assert_int_equal(n->p.child_cnt, 1);
	free_net(n);
}

static void childs_are_of_the_tunnels_profile(void **state)
{
	const struct peer_suite sha1 = { IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA1_96, 0, IKE_GROUP_NONE };
	const struct peer_suite pfs31 = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_CURVE25519 };
	const struct peer_suite pfs5 = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_MODP1536 };

	(void)state;
	assert_child_refused(MODEL_PROFILE_MODERN, &sha1, MODEL_FAILURE_NO_PROPOSAL_CHILD);
	assert_child_refused(MODEL_PROFILE_MODERN, &pfs5, MODEL_FAILURE_NO_PFS_GROUP);
	assert_child_refused(MODEL_PROFILE_MAGIC, &pfs31, MODEL_FAILURE_NO_PFS_GROUP);
}

static void a_rekey_of_the_ike_sa_stays_in_the_profile(void **state)
{
	struct net *n = make_with(BOTH, MODEL_PROFILE_MAGIC, IKE_GROUP_MODP2048);
	struct peer_suite s = n->p.o.ike[0];

	(void)state;
	net_must_up(n);
	s.group = IKE_GROUP_ECP521;
	peer_start_ike_rekey(&n->p, &s);
	assert_int_equal(notify_of(n), IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_NO_GROUP_IKE);
	assert_null(strstr(n->g.failure.allowed, "ECP-521"));
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 1);
	free_net(n);
}

TESTS(cmocka_unit_test(every_group_of_a_profile_comes_up_and_rekeys),
      cmocka_unit_test(a_suite_outside_of_the_profile_is_refused_once_the_tunnel_is_known),
      cmocka_unit_test(a_wrong_psk_is_found_before_the_profile),
      cmocka_unit_test(groups_of_a_profile_that_no_tunnel_has_are_refused_at_once),
      cmocka_unit_test(what_suits_every_profile_goes_before_what_suits_one),
      cmocka_unit_test(childs_are_of_the_tunnels_profile),
      cmocka_unit_test(a_rekey_of_the_ike_sa_stays_in_the_profile), )
