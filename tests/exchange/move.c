// src/ike against src/ike with addresses that change: MOBIKE with messages lost, repeated and late, moves during rekeys,
// several moves in a row, NAT that comes and goes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "duo.h"

#define SECOND_US ((uint64_t)1000000)
#define QUIET_US (200 * SECOND_US)

static struct duo *make(uint64_t seed)
{
	struct duo *d = malloc(sizeof(*d));

	must(d != NULL);
	duo_init(d, seed);
	d->start.mobike = true;
	return d;
}

static void release(struct duo *d)
{
	duo_fini(d);
	free(d);
}

static struct addr_endpoint endpoint(const char *text, uint16_t port)
{
	struct addr_endpoint e = { .port = port };
	must(addr_parse(bytes_str(text), &e.addr) == ERR_NONE);
	return e;
}

/* Native ESP has no ports. */
static bool same_way(const struct model_path *a, const struct model_path *b)
{
	return a->udp_encap == b->udp_encap && addr_eq(&a->local.addr, &b->local.addr) &&
	       addr_eq(&a->remote.addr, &b->remote.addr) &&
	       (!a->udp_encap || (a->local.port == b->local.port && a->remote.port == b->remote.port));
}

/* Both sides have the same SAs, and send to where the other one is. NULL: so it is. */
static const char *judge(const struct duo *d)
{
	const char *wrong = duo_check(d);
	struct ike_sa a, b;

	if (wrong != NULL)
		return wrong;
	if (!duo_sa(d, 0, &a) || !duo_sa(d, 1, &b) || a.child_cnt == 0)
		return "nothing stands";
	const struct addr_endpoint here = d->nat.addr.family != ADDR_NONE ? d->nat : a.path.local;
	if (!addr_eq(&a.path.local.addr, &d->end[0].addr.addr))
		return "the starter does not know where it is";
	if (!addr_endpoint_eq(&b.path.remote, &here))
		return "the gateway has not followed";
	if (a.path.udp_encap != b.path.udp_encap)
		return "one side encapsulates";
	if (a.update_due || b.candidate.remote.addr.family != ADDR_NONE)
		return "something is still to be said";
	for (unsigned i = 0; i < 2; i++)
		for (unsigned n = 0; n < d->end[i].child_cnt; n++)
			if (!same_way(&d->end[i].children[n].sa.path, i == 0 ? &a.path : &b.path))
				return "a Child SA goes another way";
	return NULL;
}

static void must_be_whole(const struct duo *d, const char *what, unsigned n, unsigned m)
{
	const char *wrong = judge(d);
	if (wrong != NULL)
		fail_msg("%s, %u, %u, seed %u: %s", what, n, m, (unsigned)d->seed, wrong);
}

/* RFC 4555 3.3 */
static void who_may_move_goes_to_4500_without_a_nat(void **state)
{
	struct duo *d = make(1);
	struct ike_sa sa;

	(void)state;
	duo_up(d);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(duo_sa(d, i, &sa));
		assert_true(sa.mobike);
		assert_int_equal(sa.path.local.port, IKE_NATT_PORT);
		assert_int_equal(sa.path.remote.port, IKE_NATT_PORT);
		assert_false(sa.path.udp_encap);
	}
	release(d);
	d = make(2);
	d->start.encap = IKE_ENCAP_NATIVE;
	duo_up(d);
	assert_true(duo_sa(d, 0, &sa));
	assert_int_equal(sa.path.local.port, IKE_PORT);
	duo_move(d, "203.0.113.9");
	duo_run(d, 5 * SECOND_US);
	must_be_whole(d, "native", 0, 0);
	release(d);
}

static void a_move_needs_no_new_handshake_and_loses_what_was_under_way(void **state)
{
	struct duo *d = make(3);
	struct ike_sa before, after;

	(void)state;
	duo_up(d);
	d->esp_every_us = 5000;
	duo_run(d, SECOND_US);
	assert_true(duo_sa(d, 0, &before));
	duo_move(d, "203.0.113.9");
	duo_run(d, 5 * SECOND_US);
	d->esp_every_us = 0;
	duo_run(d, SECOND_US);
	must_be_whole(d, "one move", 0, 0);
	assert_true(duo_sa(d, 0, &after));
	assert_int_equal(after.spi_i, before.spi_i);
	assert_int_equal(d->end[1].paths, 1);
	assert_int_equal(d->end[1].counters[MODEL_COUNTER_address_changes], 1);
	assert_int_equal(d->end[0].esp_astray, 0);
	/* update, check and its answer take 30 ms, and what flew then 30 ms */
	assert_true(d->end[1].esp_astray <= 12);
	release(d);
}

static void a_move_survives_each_fault_of_each_datagram(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 8; at++) {
		for (unsigned fault = DUO_DROP; fault <= DUO_LATE; fault++) {
			struct duo *d = make(at * 10 + fault);
			duo_up(d);
			d->sent = 0;
			d->fault_at = at;
			d->fault_kind = (enum duo_fault)fault;
			duo_move(d, "203.0.113.9");
			duo_run(d, QUIET_US);
			must_be_whole(d, "fault", at, fault);
			release(d);
		}
	}
}

static const enum ike_event_kind duties[] = { IKE_EV_REKEY_CHILD, IKE_EV_REKEY_IKE, IKE_EV_NEW_CHILD, IKE_EV_CHILD_EXPIRED };

/* The other one begins something before, while, or after the move. */
static void a_move_may_meet_a_rekey_of_either_side(void **state)
{
	static const uint64_t skews[] = { 0, 4000, 10000, 14000, 20000, 30000, 40000, 500000 };

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(duties) * ARRAY_LEN(skews) * 4; n++) {
		uint64_t skew = skews[n / 4 % ARRAY_LEN(skews)];
		enum ike_event_kind kind = duties[n / 4 / ARRAY_LEN(skews)];
		struct duo *d = make(n);
		duo_up(d);
		if (n % 2 == 0)
			duo_event(d, n / 2 % 2, kind);
		else
			duo_move(d, "203.0.113.9");
		duo_run(d, skew);
		if (n % 2 == 0)
			duo_move(d, "203.0.113.9");
		else
			duo_event(d, n / 2 % 2, kind);
		duo_run(d, QUIET_US);
		must_be_whole(d, "duty", (unsigned)kind, (unsigned)skew);
		release(d);
	}
}

static void several_moves_in_a_row_end_at_the_last_one(void **state)
{
	static const uint64_t skews[] = { 0, 5000, 10000, 15000, 20000, 25000, 30000, 45000, 700000 };
	static const char *const ways[][3] = {
		{ "203.0.113.9", "203.0.113.10", "203.0.113.11" },
		{ "203.0.113.9", "198.51.100.7", "203.0.113.9" },
		{ "203.0.113.9", "198.51.100.7", "198.51.100.7" },
	};

	(void)state;
	for (unsigned way = 0; way < ARRAY_LEN(ways); way++) {
		for (unsigned s = 0; s < ARRAY_LEN(skews); s++) {
			struct duo *d = make(way * 100 + s);
			duo_up(d);
			for (unsigned i = 0; i < 3; i++) {
				duo_move(d, ways[way][i]);
				duo_run(d, skews[s]);
			}
			duo_run(d, QUIET_US);
			must_be_whole(d, "way", way, (unsigned)skews[s]);
			release(d);
		}
	}
}

/* Anything at any time, with every third message lost, late or twice; afterwards the path is good, and all must come right. */
static void moves_and_rekeys_under_loss_end_well(void **state)
{
	static const char *const places[] = { "203.0.113.9", "203.0.113.10", "198.51.100.7", "192.0.2.77" };

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct duo *d = make(seed);
		duo_up(d);
		d->loss_percent = 15;
		d->esp_every_us = 50000;
		for (unsigned i = 0; i < 8; i++) {
			if (duo_random(d) % 2 == 0)
				duo_move(d, places[duo_random(d) % ARRAY_LEN(places)]);
			else
				duo_event(d, duo_random(d) % 2, duties[duo_random(d) % 2]);
			duo_run(d, duo_random(d) % (2 * SECOND_US));
		}
		d->loss_percent = 0;
		duo_run(d, 60 * SECOND_US);
		d->esp_every_us = 0;
		duo_run(d, QUIET_US);
		/* Where a side gave the other one up (RFC 7296 2.4) there is nothing to be wrong with. */
		if (d->end[0].failures[MODEL_FAILURE_LIVENESS] + d->end[1].failures[MODEL_FAILURE_LIVENESS] == 0)
			must_be_whole(d, "loss", 0, 0);
		release(d);
	}
}

static void nat_comes_and_goes_with_the_address(void **state)
{
	struct duo *d = make(5);
	struct ike_sa sa;

	(void)state;
	duo_up(d);
	d->nat = endpoint("192.0.2.99", 31000);
	duo_move(d, "10.0.0.2");
	duo_run(d, 5 * SECOND_US);
	must_be_whole(d, "into a NAT", 0, 0);
	assert_true(duo_sa(d, 0, &sa));
	assert_true(sa.path.udp_encap && sa.nat_local);
	d->nat = (struct addr_endpoint){ 0 };
	duo_move(d, "203.0.113.9");
	duo_run(d, 5 * SECOND_US);
	must_be_whole(d, "out of it", 0, 0);
	assert_true(duo_sa(d, 0, &sa));
	assert_false(sa.path.udp_encap || sa.nat_local);
	release(d);
}

static struct duo *make_behind_nat(uint64_t seed, bool mobike)
{
	struct duo *d = make(seed);

	d->start.mobike = mobike;
	d->start.encap = IKE_ENCAP_FORCED;
	d->start.local.port = d->start.remote.port = IKE_NATT_PORT;
	d->nat = endpoint("192.0.2.99", 31000);
	duo_up(d);
	return d;
}

static void a_new_mapping_is_followed_by_traffic_with_and_without_mobike(void **state)
{
	(void)state;
	for (unsigned mobike = 0; mobike < 2; mobike++) {
		struct duo *d = make_behind_nat(6, mobike);
		d->esp_every_us = 20000;
		duo_run(d, SECOND_US);
		d->nat = endpoint("192.0.2.99", 32000);
		duo_run(d, 2 * SECOND_US);
		d->esp_every_us = 0;
		duo_run(d, 5 * SECOND_US);
		must_be_whole(d, "mapping", mobike, 0);
		assert_int_equal(d->end[1].counters[MODEL_COUNTER_address_changes], 1);
		release(d);
	}
}

/* RFC 4555 3.8: no ESP shows it; the starter's own liveness check does. */
static void a_new_mapping_of_an_idle_tunnel_is_found_by_the_liveness_check(void **state)
{
	struct duo *d = make_behind_nat(7, true);

	(void)state;
	d->nat = endpoint("192.0.2.98", 32000);
	duo_run(d, 40 * SECOND_US);
	must_be_whole(d, "idle", 0, 0);
	release(d);
}

/* The peer asks so much that it has no reason to check, and what we ask goes where it is not any more. */
static void a_busy_peer_behind_a_new_mapping_gets_what_we_ask(void **state)
{
	struct duo *d = make_behind_nat(11, true);

	(void)state;
	d->nat = endpoint("192.0.2.98", 32000);
	duo_event(d, 1, IKE_EV_REKEY_CHILD);
	for (unsigned s = 0; s < 60; s++) {
		duo_event(d, 0, IKE_EV_REKEY_CHILD);
		duo_run(d, SECOND_US);
	}
	assert_int_equal(d->end[1].failures[MODEL_FAILURE_LIVENESS], 0);
	assert_true(d->end[1].counters[MODEL_COUNTER_child_rekeyed] > 20);
	duo_run(d, 40 * SECOND_US);
	must_be_whole(d, "busy", 0, 0);
	release(d);
}

static void a_peer_without_mobike_is_left(void **state)
{
	struct duo *d = make(8);

	(void)state;
	d->start.mobike = false;
	duo_up(d);
	duo_move(d, "203.0.113.9");
	assert_int_equal(duo_count(d, 0), 0);
	assert_int_equal(d->end[0].child_cnt, 0);
	assert_int_equal(d->end[0].failures[MODEL_FAILURE_MOVED], 1);
	release(d);
}

static void a_refused_move_ends_the_tunnel_and_both_say_why(void **state)
{
	struct duo *d = make(9);

	(void)state;
	d->peer.customer_endpoint = d->end[0].addr.addr;
	duo_up(d);
	duo_move(d, "203.0.113.9");
	duo_run(d, 5 * SECOND_US);
	assert_null(duo_check(d));
	assert_int_equal(duo_count(d, 0) + duo_count(d, 1), 0);
	assert_int_equal(d->end[0].failures[MODEL_FAILURE_MOVE_REFUSED], 1);
	assert_int_equal(d->end[1].failures[MODEL_FAILURE_MOVE_REFUSED], 1);
	release(d);
}

/* What was sent from former addresses, sent again from anywhere by somebody else. */
static void old_messages_from_elsewhere_move_nothing(void **state)
{
	struct duo *d = make(10);

	(void)state;
	duo_up(d);
	duo_move(d, "203.0.113.9");
	duo_run(d, SECOND_US);
	duo_move(d, "203.0.113.10");
	duo_run(d, SECOND_US);
	for (unsigned i = 0; i < d->pool_cnt; i++) {
		struct duo_datagram g = d->pool[i];
		g.from = endpoint("192.0.2.66", 4500);
		g.dest = d->end[g.to].addr;
		g.dest.port = IKE_NATT_PORT;
		duo_deliver(d, &g);
	}
	d->end[1].has_half = false; /* of the repeated IKE_SA_INIT */
	duo_run(d, QUIET_US);
	must_be_whole(d, "repeated", 0, 0);
	assert_int_equal(d->end[1].paths, 2);
	release(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_move_goes_to_4500_without_a_nat),
		cmocka_unit_test(a_move_needs_no_new_handshake_and_loses_what_was_under_way),
		cmocka_unit_test(a_move_survives_each_fault_of_each_datagram),
		cmocka_unit_test(a_move_may_meet_a_rekey_of_either_side),
		cmocka_unit_test(several_moves_in_a_row_end_at_the_last_one),
		cmocka_unit_test(moves_and_rekeys_under_loss_end_well),
		cmocka_unit_test(nat_comes_and_goes_with_the_address),
		cmocka_unit_test(a_new_mapping_is_followed_by_traffic_with_and_without_mobike),
		cmocka_unit_test(a_new_mapping_of_an_idle_tunnel_is_found_by_the_liveness_check),
		cmocka_unit_test(a_busy_peer_behind_a_new_mapping_gets_what_we_ask),
		cmocka_unit_test(a_peer_without_mobike_is_left),
		cmocka_unit_test(a_refused_move_ends_the_tunnel_and_both_say_why),
		cmocka_unit_test(old_messages_from_elsewhere_move_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
