// Every exchange between two ends, with each datagram of it lost, repeated or late, and then with all of that at random.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net.h"

static const struct peer_suite ike_gcm128 = { IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_PRF_HMAC_SHA2_512,
					      IKE_GROUP_MODP1536 };
static const struct peer_suite ike_cbc = { IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, IKE_PRF_HMAC_SHA2_384,
					   IKE_GROUP_MODP2048 };
static const struct peer_suite esp_pfs14 = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_MODP2048 };
static const struct peer_suite esp_pfs5 = { IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA1_96, 0, IKE_GROUP_MODP1536 };

/* A scenario starts on a network with nothing and ends after net_check holds. False: the peer gave up. */
typedef bool (*scenario)(struct net *n);

static bool finish(struct net *n)
{
	if (!net_run(n))
		return false;
	net_check(n);
	return true;
}

static bool bring_up(struct net *n)
{
	if (!net_up(n))
		return false;
	assert_int_equal(n->p.notify, 0);
	net_check(n);
	return true;
}

static bool only_up(struct net *n)
{
	return bring_up(n);
}

static bool child_create(struct net *n)
{
	if (!bring_up(n))
		return false;
	peer_start_child(&n->p, NULL, NULL);
	return finish(n) && n->p.notify == 0 && n->p.child_cnt == 2;
}

static bool rekey_child(struct net *n, const struct peer_suite *suite)
{
	if (!bring_up(n))
		return false;
	uint32_t old_in = n->p.child[0].spi_in, old_out = n->p.child[0].spi_out;
	peer_start_child(&n->p, &n->p.child[0], suite);
	if (!finish(n))
		return false;
	assert_int_equal(n->p.child_cnt, 2);
	uint32_t fresh = n->p.child[1].spi_out;
	assert_int_equal(gateway_child_find(&n->g, fresh)->replaces, old_out);
	assert_false(gateway_child_find(&n->g, fresh)->proven);
	peer_start_delete_child(&n->p, peer_child_find(&n->p, old_in));
	if (!finish(n))
		return false;
	assert_int_equal(n->p.child_cnt, 1);
	assert_true(gateway_child_find(&n->g, fresh)->proven);
	return true;
}

static bool child_rekey(struct net *n)
{
	return rekey_child(n, NULL);
}

static bool child_rekey_pfs14(struct net *n)
{
	return rekey_child(n, &esp_pfs14);
}

static bool child_rekey_pfs5(struct net *n)
{
	return rekey_child(n, &esp_pfs5);
}

static bool ike_rekey(struct net *n)
{
	if (!bring_up(n))
		return false;
	uint64_t old = n->p.ike[0].spi_r;
	peer_start_ike_rekey(&n->p, &ike_gcm128);
	if (!finish(n))
		return false;
	assert_int_equal(n->p.notify, 0);
	assert_int_not_equal(n->p.ike[0].spi_r, old);
	peer_start_delete_ike(&n->p, 1);
	if (!finish(n))
		return false;
	assert_int_equal(gateway_sa(&n->g, old).state, IKE_STATE_CLOSED);
	/* the children go on under the new SA, and a rekey of the other kind of cipher follows */
	peer_start_child(&n->p, &n->p.child[0], NULL);
	if (!finish(n))
		return false;
	peer_start_ike_rekey(&n->p, &ike_cbc);
	if (!finish(n))
		return false;
	peer_start_delete_ike(&n->p, 1);
	return finish(n) && n->p.child_cnt == 2;
}

static bool liveness_by_peer(struct net *n)
{
	for (unsigned i = 0; i < 3; i++) {
		if (i == 0 && !bring_up(n))
			return false;
		peer_start_liveness(&n->p);
		if (!finish(n))
			return false;
	}
	return true;
}

static bool liveness_by_gateway(struct net *n)
{
	if (!bring_up(n))
		return false;
	for (unsigned i = 1; i <= 3; i++) {
		net_sleep(n, 30500000);
		if (!finish(n))
			return false;
		assert_int_equal(n->p.requests_taken, i);
	}
	return true;
}

static bool delete_child_by_peer(struct net *n)
{
	if (!child_create(n))
		return false;
	peer_start_delete_child(&n->p, &n->p.child[0]);
	return finish(n) && n->p.child_cnt == 1;
}

static bool delete_child_by_gateway(struct net *n)
{
	if (!child_create(n))
		return false;
	gateway_event(&n->g, n->p.ike[0].spi_r,
		      (struct ike_event){ .kind = IKE_EV_CHILD_EXPIRED, .child_spi = n->p.child[0].spi_out });
	assert_int_equal(n->g.child_cnt, 1); /* at once, not after the answer */
	return finish(n) && n->p.child_cnt == 1 && n->p.deleted_by_gateway == 1;
}

static bool delete_ike_by_peer(struct net *n)
{
	if (!child_create(n))
		return false;
	peer_start_delete_ike(&n->p, 0);
	if (!finish(n))
		return false;
	assert_int_equal(n->g.child_cnt, 0);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_PEER_DELETED);
	return true;
}

static bool delete_ike_by_gateway(struct net *n)
{
	if (!child_create(n))
		return false;
	uint64_t spi = n->p.ike[0].spi_r;
	gateway_event(&n->g, spi,
		      (struct ike_event){ .kind = IKE_EV_CLOSE, .close_code = MODEL_FAILURE_CONFIG_REMOVED });
	assert_int_equal(n->g.child_cnt, 0);
	if (!finish(n))
		return false;
	assert_true(n->p.closed_by_gateway);
	assert_int_equal(gateway_sa(&n->g, spi).state, IKE_STATE_CLOSED);
	return true;
}

static bool cookie_and_other_group(struct net *n)
{
	n->g.world.want_cookie = true;
	n->p.o.ike_cnt = 2;
	n->p.o.ike[0].group = 2; /* not allowed; the KE payload is for group 5, which is in no proposal */
	n->p.o.ike[1] = ike_cbc;
	n->p.group = IKE_GROUP_MODP1536;
	return bring_up(n);
}

/* RFC 6023: the Child SAs come afterwards, or never. */
static bool childless(struct net *n)
{
	n->p.o.childless = true;
	if (!bring_up(n))
		return false;
	assert_int_equal(n->p.child_cnt, 0);
	peer_start_child(&n->p, NULL, NULL);
	if (!finish(n) || n->p.notify != 0 || n->p.child_cnt != 1)
		return false;
	peer_start_child(&n->p, &n->p.child[0], NULL);
	return finish(n) && n->p.notify == 0 && n->p.child_cnt == 2;
}

static const struct {
	const char *name;
	scenario run;
} scenarios[] = {
	{ "up", only_up },
	{ "childless", childless },
	{ "child create", child_create },
	{ "child rekey", child_rekey },
	{ "child rekey with PFS 14", child_rekey_pfs14 },
	{ "child rekey with PFS 5", child_rekey_pfs5 },
	{ "IKE rekey", ike_rekey },
	{ "liveness by peer", liveness_by_peer },
	{ "liveness by gateway", liveness_by_gateway },
	{ "child delete by peer", delete_child_by_peer },
	{ "child delete by gateway", delete_child_by_gateway },
	{ "IKE delete by peer", delete_ike_by_peer },
	{ "IKE delete by gateway", delete_ike_by_gateway },
	{ "cookie and other group", cookie_and_other_group },
};

/* ---- scripts ---- */

struct script {
	unsigned at;
	enum net_fault fault;
	bool used;
};

static enum net_fault one_fault(void *arg, unsigned i, bool to_gateway)
{
	struct script *s = arg;

	(void)to_gateway;
	if (i != s->at)
		return NET_FINE;
	s->used = true;
	return s->fault;
}

static enum net_fault random_fault(void *arg, unsigned i, bool to_gateway)
{
	uint32_t *seed = arg;

	(void)i;
	(void)to_gateway;
	*seed = *seed * 1664525u + 1013904223u;
	uint32_t v = *seed >> 24;
	return v < 50 ? NET_DROP : v < 80 ? NET_TWICE : v < 110 ? NET_LATE : v < 140 ? NET_TWICE_LATE : NET_FINE;
}

/* Whether everything but the shortest messages goes in fragments, both ways. */
static bool in_fragments;

static struct net *make_net(void)
{
	struct net *n = malloc(sizeof(*n));
	struct peer_options o;

	must(n != NULL);
	net_options(&o);
	if (in_fragments)
		o.fragment_size = 200;
	net_init(n, &o);
	if (in_fragments)
		n->g.world.fragment_mtu = 200;
	return n;
}

static int divide(void **state)
{
	(void)state;
	in_fragments = true;
	return 0;
}

static int unite(void **state)
{
	(void)state;
	in_fragments = false;
	return 0;
}

static void free_net(struct net *n)
{
	net_fini(n);
	free(n);
}

/* ---- tests ---- */

static void every_exchange_works_without_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		struct net *n = make_net();
		if (!scenarios[i].run(n))
			fail_msg("%s", scenarios[i].name);
		net_check_repeats(n);
		free_net(n);
	}
}

static void every_exchange_survives_each_fault_of_each_datagram(void **state)
{
	static const enum net_fault faults[] = { NET_DROP, NET_TWICE, NET_LATE, NET_TWICE_LATE };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		for (unsigned at = 0, more = 1; more; at++) {
			for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
				struct script s = { .at = at, .fault = faults[f] };
				struct net *n = make_net();
				n->fault = one_fault;
				n->fault_arg = &s;
				if (!scenarios[i].run(n))
					fail_msg("%s, fault %u of datagram %u", scenarios[i].name, faults[f], at);
				more = s.used;
				net_check_repeats(n);
				free_net(n);
			}
		}
	}
}

/* With a fifth of all datagrams lost a side may give up; then the other must not be left with half of something
 * that works, which net_check and net_check_repeats find in every run that ends well. */
static void every_exchange_survives_random_faults(void **state)
{
	unsigned good = 0, all = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= 12; seed++) {
		for (size_t i = 0; i < ARRAY_LEN(scenarios); i++, all++) {
			uint32_t run = seed * 7919 + (uint32_t)i;
			struct net *n = make_net();
			n->fault = random_fault;
			n->fault_arg = &run;
			good += scenarios[i].run(n);
			net_check_repeats(n);
			free_net(n);
		}
	}
	assert_true(good * 100 >= all * 95);
}

static void messages_went_in_fragments_both_ways(void **state)
{
	struct net *n = make_net();

	(void)state;
	assert_true(bring_up(n));
	peer_start_ike_rekey(&n->p, &ike_cbc);
	assert_true(finish(n));
	assert_true(n->g.pieces >= 3 && n->p.fragmented_in >= 2);
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_fragmented_in], 2);
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_fragmented_out], n->p.fragmented_in);
	free_net(n);
}

/* Another writer was faster: the same event is stepped again on the record as it was. */
static void every_exchange_survives_lost_commits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		struct net *n = make_net();
		n->g.conflict = true;
		if (!scenarios[i].run(n))
			fail_msg("%s", scenarios[i].name);
		free_net(n);
	}
}

static void every_ike_suite_comes_up_and_is_rekeyed(void **state)
{
	static const struct peer_suite ciphers[] = {
		{ IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, 0, 0 },
		{ IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, 0 },
		{ IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, 0, 0 },
	};
	static const uint16_t prfs[] = { IKE_PRF_HMAC_SHA2_256, IKE_PRF_HMAC_SHA2_384, IKE_PRF_HMAC_SHA2_512 };
	static const uint16_t groups[] = { IKE_GROUP_MODP2048, IKE_GROUP_MODP1536 };

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(ciphers); c++) {
		for (size_t p = 0; p < ARRAY_LEN(prfs); p++) {
			for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
				struct net *n = make_net();
				struct peer_suite s = ciphers[c];
				s.prf = prfs[p];
				s.group = groups[g];
				n->p.o.ike[0] = s;
				n->p.group = s.group;
				assert_true(bring_up(n));
				peer_start_ike_rekey(&n->p, &s);
				assert_true(finish(n) && n->p.notify == 0);
				free_net(n);
			}
		}
	}
}

static void every_esp_suite_comes_up_and_is_rekeyed_with_and_without_pfs(void **state)
{
	static const struct peer_suite ciphers[] = {
		{ IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, 0, 0 },
		{ IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, 0 },
		{ IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, 0, 0 },
		{ IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA1_96, 0, 0 },
		{ IKE_ENCR_NULL, 0, IKE_INTEG_HMAC_SHA2_256_128, 0, 0 },
		{ IKE_ENCR_NULL, 0, IKE_INTEG_HMAC_SHA1_96, 0, 0 },
	};
	static const uint16_t groups[] = { IKE_GROUP_NONE, IKE_GROUP_MODP2048, IKE_GROUP_MODP1536 };

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(ciphers); c++) {
		struct net *n = make_net();
		gateway_tunnel(&n->g)->allow_null = true;
		n->p.o.esp[0] = ciphers[c];
		assert_true(bring_up(n));
		for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
			struct peer_suite s = ciphers[c];
			uint32_t old = peer_child_last(&n->p)->spi_in;
			s.group = groups[g];
			peer_start_child(&n->p, peer_child_last(&n->p), &s);
			assert_true(finish(n));
			assert_int_equal(n->p.notify, 0);
			peer_start_delete_child(&n->p, peer_child_find(&n->p, old));
			assert_true(finish(n));
		}
		assert_int_equal(n->p.child_cnt, 1);
		free_net(n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_exchange_works_without_faults),
		cmocka_unit_test(every_exchange_survives_each_fault_of_each_datagram),
		cmocka_unit_test(every_exchange_survives_random_faults),
		cmocka_unit_test(every_exchange_survives_lost_commits),
		cmocka_unit_test_setup_teardown(messages_went_in_fragments_both_ways, divide, unite),
		cmocka_unit_test_setup_teardown(every_exchange_works_without_faults, divide, unite),
		cmocka_unit_test_setup_teardown(every_exchange_survives_each_fault_of_each_datagram, divide, unite),
		cmocka_unit_test_setup_teardown(every_exchange_survives_random_faults, divide, unite),
		cmocka_unit_test_setup_teardown(every_exchange_survives_lost_commits, divide, unite),
		cmocka_unit_test(every_ike_suite_comes_up_and_is_rekeyed),
		cmocka_unit_test(every_esp_suite_comes_up_and_is_rekeyed_with_and_without_pfs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
