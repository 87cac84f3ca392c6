// src/ike against src/ike: everything that both sides may start, alone and at once, with messages lost, repeated and late.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "duo.h"

#define SECOND_US ((uint64_t)1000000)
#define QUIET_US (400 * SECOND_US) /* redundant and replaced SAs are collected in it, dead peers noticed */

static const struct {
	const char *name;
	enum ike_event_kind kind;
} moves[] = {
	{ "child rekey", IKE_EV_REKEY_CHILD },
	{ "IKE rekey", IKE_EV_REKEY_IKE },
	{ "child delete", IKE_EV_CHILD_EXPIRED },
	{ "IKE delete", IKE_EV_CLOSE },
	{ "new child", IKE_EV_NEW_CHILD },
};
enum { MOVES = ARRAY_LEN(moves), NO_MOVE = MOVES };

static struct duo *make(uint64_t seed)
{
	struct duo *d = malloc(sizeof(*d));

	must(d != NULL);
	duo_init(d, seed);
	return d;
}

static void release(struct duo *d)
{
	duo_fini(d);
	free(d);
}

static const char *name_of(size_t move)
{
	return move < MOVES ? moves[move].name : "nothing";
}

/* ---- the start ---- */

static void both_sides_come_up_with_the_same_keys(void **state)
{
	static const uint8_t profiles[] = { MODEL_PROFILE_MAGIC, MODEL_PROFILE_MODERN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		struct duo *d = make(i);
		d->real_dh = true;
		d->peer.settings.profile = d->start.peer.settings.profile = profiles[i];
		duo_up(d);
		for (unsigned n = 0; n < 2; n++) {
			duo_event(d, n, IKE_EV_REKEY_CHILD);
			duo_run(d, 10 * SECOND_US);
			duo_event(d, n, IKE_EV_REKEY_IKE);
			duo_run(d, 10 * SECOND_US);
			assert_null(duo_check(d));
			assert_int_equal(d->end[n].counters[MODEL_COUNTER_child_rekeyed], n + 1);
			assert_int_equal(d->end[n].counters[MODEL_COUNTER_ike_rekeyed], n + 1);
		}
		release(d);
	}
}

static void extended_numbers_are_agreed_on_where_both_may(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool starts = (i & 1) != 0, answers = (i & 2) != 0;
		struct duo *d = make(20 + i);
		d->start.peer.allow_esn = starts;
		d->peer.allow_esn = answers;
		duo_up(d);
		for (unsigned n = 0; n < 2; n++) {
			duo_event(d, n, IKE_EV_REKEY_IKE);
			duo_run(d, 10 * SECOND_US);
			duo_event(d, n, IKE_EV_REKEY_CHILD);
			duo_run(d, 10 * SECOND_US);
			assert_null(duo_check(d));
			for (unsigned k = 0; k < d->end[n].child_cnt; k++)
				assert_int_equal(d->end[n].children[k].sa.suite.esn,
						 starts && answers ? IKE_ESN_YES : IKE_ESN_NONE);
			assert_int_equal(d->end[n].counters[MODEL_COUNTER_child_rekeyed], n + 1);
		}
		release(d);
	}
}

/* The one that starts has algorithms of its own: offered, taken, and held to in the rekeys of both sides. */
static void algorithms_of_a_tunnel_hold_from_the_first_offer_to_the_last_rekey(void **state)
{
	static const char *const ike[] = { "aes256", "sha256", "prfsha384", "modp2048" }, *const child[] = { "aes128", "ecp384" };
	uint32_t named = 0;

	(void)state;
	struct duo *d = make(1);
	d->start.ike_rows = d->start.child_rows = MODEL_ROWS_ALL;
	for (size_t i = 0; i < ARRAY_LEN(ike); i++)
		must(model_rows_name(MODEL_PHASE_IKE, MODEL_PROFILE_MAGIC, bytes_str(ike[i]), &d->start.ike_rows, &named) ==
		     ERR_NONE);
	named = 0;
	for (size_t i = 0; i < ARRAY_LEN(child); i++)
		must(model_rows_name(MODEL_PHASE_CHILD, MODEL_PROFILE_MAGIC, bytes_str(child[i]), &d->start.child_rows, &named) ==
		     ERR_NONE);
	duo_up(d);
	for (unsigned round = 0; round < 4; round++) {
		struct ike_sa sa;
		assert_true(duo_sa(d, 0, &sa));
		assert_int_equal(sa.suite.encr, IKE_ENCR_AES_CBC);
		assert_int_equal(sa.suite.prf, IKE_PRF_HMAC_SHA2_384);
		assert_int_equal(sa.suite.group, IKE_GROUP_MODP2048);
		const struct model_suite *s = &d->end[0].children[0].sa.suite;
		assert_int_equal(s->key_bits, 128);
		assert_int_equal(s->group, round == 0 ? IKE_GROUP_NONE : IKE_GROUP_ECP384);
		duo_event(d, round % 2, IKE_EV_REKEY_CHILD);
		duo_run(d, 10 * SECOND_US);
		duo_event(d, round % 2, IKE_EV_REKEY_IKE);
		duo_run(d, 10 * SECOND_US);
		assert_null(duo_check(d));
	}
	release(d);
}

static void a_cookie_is_sent_back(void **state)
{
	struct duo *d = make(3);

	(void)state;
	d->end[1].world.want_cookie = true;
	duo_up(d);
	assert_int_equal(d->end[1].counters[MODEL_COUNTER_ike_cookies_sent], 1);
	release(d);
}

static void a_wrong_psk_ends_the_start_on_both_sides(void **state)
{
	struct duo *d = make(4);

	(void)state;
	must(secret_set(&d->start.peer.psk, bytes_str("another")) == ERR_NONE);
	duo_start(d);
	duo_run(d, SECOND_US);
	assert_false(d->end[0].has_half || d->end[1].has_half);
	assert_int_equal(duo_count(d, 0) + duo_count(d, 1), 0);
	assert_int_equal(d->end[0].failures[MODEL_FAILURE_AUTH_REFUSED], 1);
	assert_int_equal(d->end[1].failures[MODEL_FAILURE_WRONG_PSK], 1);
	release(d);
}

static void a_gateway_with_another_identity_is_left(void **state)
{
	struct duo *d = make(5);

	(void)state;
	d->start.gateway_id_type = IKE_ID_FQDN;
	d->start.gateway_id_len = 3;
	memcpy(d->start.gateway_id, "abc", 3);
	duo_start(d);
	duo_run(d, SECOND_US);
	assert_false(d->end[0].has_half);
	assert_int_equal(duo_count(d, 0) + duo_count(d, 1), 0);
	assert_int_equal(d->end[0].failures[MODEL_FAILURE_WRONG_GATEWAY], 1);
	release(d);
}

static void silence_ends_the_start(void **state)
{
	struct duo *d = make(6);

	(void)state;
	d->silent = true;
	duo_start(d);
	duo_run(d, 60 * SECOND_US);
	assert_false(d->end[0].has_half);
	assert_int_equal(d->end[0].failures[MODEL_FAILURE_NO_ANSWER], 1);
	release(d);
}

static void the_start_survives_each_fault_of_each_datagram(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 8; at++) {
		for (unsigned fault = DUO_DROP; fault <= DUO_LATE; fault++) {
			struct duo *d = make(at * 10 + fault);
			d->fault_at = at;
			d->fault_kind = (enum duo_fault)fault;
			duo_start(d);
			duo_run(d, 30 * SECOND_US);
			if (duo_check(d) != NULL || duo_count(d, 0) != 1 || d->end[0].child_cnt != 1)
				fail_msg("fault %u of datagram %u: %s", fault, at, duo_check(d));
			release(d);
		}
	}
}

/* A NAT is seen, or claimed: both sides go to 4500 and put ESP in UDP. */
static void forced_encapsulation_floats_to_4500(void **state)
{
	struct duo *d = make(7);
	struct ike_sa sa;

	(void)state;
	d->start.encap = IKE_ENCAP_FORCED;
	duo_up(d);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(duo_sa(d, i, &sa));
		assert_true(sa.path.udp_encap);
		assert_int_equal(sa.path.local.port, IKE_NATT_PORT);
		assert_int_equal(sa.path.remote.port, IKE_NATT_PORT);
	}
	release(d);
}

/* ---- two moves at once ---- */

struct clash {
	size_t a, b;       /* of end 0, of end 1 */
	uint64_t skew_us;  /* b comes that much later */
	unsigned fault_at;
	enum duo_fault fault;
	uint64_t seed;
};

/* What must be true afterwards. NULL: it is. */
static const char *judge(const struct duo *d, const struct clash *k)
{
	const char *wrong = duo_check(d);
	bool closed = (k->a < MOVES && moves[k->a].kind == IKE_EV_CLOSE) ||
		      (k->b < MOVES && moves[k->b].kind == IKE_EV_CLOSE);
	bool deleted = (k->a < MOVES && moves[k->a].kind == IKE_EV_CHILD_EXPIRED) ||
		       (k->b < MOVES && moves[k->b].kind == IKE_EV_CHILD_EXPIRED);
	unsigned more = (k->a < MOVES && moves[k->a].kind == IKE_EV_NEW_CHILD);

	if (wrong != NULL)
		return wrong;
	if (closed)
		return duo_count(d, 0) == 0 ? NULL : "an IKE SA outlives its Delete";
	if (duo_count(d, 0) != 1)
		return "the IKE SA is gone";
	if (!deleted && d->end[0].child_cnt != 1 + more)
		return "not the Child SAs that were asked for";
	if (d->end[0].child_cnt == 0)
		return "no Child SA, though the starter wants one";
	if (!deleted && d->end[0].esp_lost + d->end[1].esp_lost != 0)
		return "ESP was lost";
	return NULL;
}

static bool clash(const struct clash *k)
{
	struct duo *d = make(k->seed);
	unsigned sent;

	duo_up(d);
	d->esp_every_us = 7000;
	d->start.pfs = k->seed % 2 ? IKE_PFS_NEVER : IKE_PFS_PREFER;
	duo_run(d, 100000);
	d->sent = 0;
	d->fault_at = k->fault_at;
	d->fault_kind = k->fault;
	if (k->a < MOVES)
		duo_event(d, 0, moves[k->a].kind);
	duo_run(d, k->skew_us);
	if (k->b < MOVES)
		duo_event(d, 1, moves[k->b].kind);
	duo_run(d, 30 * SECOND_US);
	d->esp_every_us = 0;
	sent = d->sent;
	duo_run(d, QUIET_US);
	const char *wrong = judge(d, k);
	if (wrong != NULL)
		fail_msg("%s against %s %u us later, fault %u of datagram %u, seed %u: %s", name_of(k->a), name_of(k->b),
			 (unsigned)k->skew_us, k->fault, k->fault_at, (unsigned)k->seed, wrong);
	release(d);
	return k->fault_at < sent;
}

static void each_move_alone_survives_each_fault(void **state)
{
	(void)state;
	for (size_t m = 0; m < MOVES; m++) {
		for (unsigned side = 0; side < 2; side++) {
			struct clash k = { .a = side == 0 ? m : NO_MOVE, .b = side == 1 ? m : NO_MOVE, .seed = m };
			(void)clash(&k);
			bool more = true;
			for (k.fault_at = 0; more; k.fault_at++)
				for (k.fault = DUO_DROP; k.fault <= DUO_LATE; k.fault++)
					more = clash(&k) && k.fault_at < 12;
		}
	}
}

/* Each pair, at once or with one message or more in between, without faults; several seeds, so that either nonce is the
 * lowest one. */
static void any_two_moves_may_meet(void **state)
{
	static const uint64_t skews[] = { 0, 4000, 10000, 10001, 14000, 20000, 25000, 40000, 1000000, 2005000, 2012000 };

	(void)state;
	for (size_t a = 0; a < MOVES; a++)
		for (size_t b = 0; b < MOVES; b++)
			for (size_t s = 0; s < ARRAY_LEN(skews); s++)
				for (uint64_t seed = 0; seed < 4; seed++)
					(void)clash(&(struct clash){ .a = a, .b = b, .skew_us = skews[s], .seed = seed,
								     .fault_at = 9999 });
}

static void any_two_moves_may_meet_under_each_fault(void **state)
{
	static const uint64_t skews[] = { 0, 12000 };

	(void)state;
	for (size_t a = 0; a < MOVES; a++)
		for (size_t b = 0; b < MOVES; b++)
			for (size_t s = 0; s < ARRAY_LEN(skews); s++)
				for (unsigned at = 0; at < 12; at++)
					for (unsigned fault = DUO_DROP; fault <= DUO_LATE; fault++)
						(void)clash(&(struct clash){ .a = a, .b = b, .skew_us = skews[s],
									     .fault_at = at,
									     .fault = (enum duo_fault)fault,
									     .seed = at + 100 * s });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_come_up_with_the_same_keys),
		cmocka_unit_test(extended_numbers_are_agreed_on_where_both_may),
		cmocka_unit_test(algorithms_of_a_tunnel_hold_from_the_first_offer_to_the_last_rekey),
		cmocka_unit_test(a_cookie_is_sent_back),
		cmocka_unit_test(a_wrong_psk_ends_the_start_on_both_sides),
		cmocka_unit_test(a_gateway_with_another_identity_is_left),
		cmocka_unit_test(silence_ends_the_start),
		cmocka_unit_test(the_start_survives_each_fault_of_each_datagram),
		cmocka_unit_test(forced_encapsulation_floats_to_4500),
		cmocka_unit_test(each_move_alone_survives_each_fault),
		cmocka_unit_test(any_two_moves_may_meet),
		cmocka_unit_test(any_two_moves_may_meet_under_each_fault),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
