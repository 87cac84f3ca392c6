// src/ike against src/ike for a long time: many rekeys, soft limits alone, loss, an attacker who repeats and changes what
// he saw. Virtual time.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "duo.h"
#include "esp/limits.h"
#include "wire/ike.h"

#define SECOND_US ((uint64_t)1000000)
#define QUIET_US (400 * SECOND_US)

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

/* Nothing is left over, no packet was lost. */
static void must_be_whole(const struct duo *d)
{
	const char *wrong = duo_check(d);

	if (wrong != NULL || duo_count(d, 0) != 1 || d->end[0].child_cnt != 1)
		fail_msg("seed %u: %s", (unsigned)d->seed, wrong == NULL ? "not one of each" : wrong);
	if (d->end[0].esp_lost + d->end[1].esp_lost != 0)
		fail_msg("seed %u: %u packets lost", (unsigned)d->seed, d->end[0].esp_lost + d->end[1].esp_lost);
}

/* Half by each side; every twentieth time the IKE SA, too. */
static void a_thousand_child_rekeys_and_fifty_ike_rekeys_lose_nothing(void **state)
{
	struct duo *d = make(1);
	unsigned ike = 0;

	(void)state;
	duo_up(d);
	d->esp_every_us = 20000;
	for (unsigned i = 0; i < 1000; i++) {
		d->start.pfs = i % 3 == 0 ? IKE_PFS_PREFER : IKE_PFS_NEVER;
		duo_event(d, i % 2, IKE_EV_REKEY_CHILD);
		duo_run(d, 3 * SECOND_US);
		if (i % 20 == 19) {
			duo_event(d, ike++ % 2, IKE_EV_REKEY_IKE);
			duo_run(d, SECOND_US);
		}
	}
	duo_run(d, QUIET_US);
	must_be_whole(d);
	assert_int_equal(ike, 50);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(d->end[i].counters[MODEL_COUNTER_child_rekeyed], 1000);
		assert_int_equal(d->end[i].counters[MODEL_COUNTER_ike_rekeyed], 50);
		assert_true(d->end[i].esp_in > 150000);
		assert_int_equal(d->end[i].failures[MODEL_FAILURE_REKEY_REFUSED], 0);
	}
	release(d);
}

/* Short lifetimes: all rekeys come from the soft limits, on both sides, and no SA reaches its end. */
static void soft_limits_alone_keep_a_tunnel_up_for_a_week(void **state)
{
	struct duo *d = make(2);

	(void)state;
	d->peer.settings.child_lifetime_s = d->start.peer.settings.child_lifetime_s = 900;
	d->peer.settings.ike_lifetime_s = d->start.peer.settings.ike_lifetime_s = 3600;
	duo_up(d);
	d->esp_every_us = 250000;
	duo_run(d, 7 * 86400 * SECOND_US);
	d->esp_every_us = 0;
	for (unsigned i = 0; i < 5 && duo_check(d) != NULL; i++)
		duo_run(d, 5 * SECOND_US); /* in the middle of a rekey */
	must_be_whole(d);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(d->end[i].failures[MODEL_FAILURE_EXPIRED], 0);
		assert_true(d->end[i].counters[MODEL_COUNTER_child_rekeyed] > 600);
		assert_true(d->end[i].counters[MODEL_COUNTER_ike_rekeyed] > 160);
	}
	release(d);
}

/* What control does once a second with each Child SA. */
struct counted {
	uint32_t spi_in;
	struct esp_limits limits;
	bool asked;
};

static bool ask_at_the_limit(struct duo *d, unsigned end, uint64_t packets, struct counted *c)
{
	const struct model_suite suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 };
	const struct duo_child *child = NULL;
	struct ike_sa sa;

	for (unsigned i = 0; duo_sa(d, end, &sa) && i < sa.child_cnt; i++)
		for (unsigned k = 0; !sa.children[i].replaced && !sa.children[i].closing && k < d->end[end].child_cnt; k++)
			if (d->end[end].children[k].sa.spi_in == sa.children[i].spi_in)
				child = &d->end[end].children[k];
	if (child == NULL)
		return false;
	if (c->spi_in != child->sa.spi_in) {
		*c = (struct counted){ .spi_in = child->sa.spi_in };
		esp_limits_make(&suite, packets, 0, end == 0, (uint32_t)duo_random(d), &c->limits);
	}
	const struct esp_used used = { .packets = child->sent, .numbers = child->sent };
	if (c->asked || esp_limits_judge(&c->limits, &used) != ESP_WEAR_SOFT)
		return false;
	c->asked = true;
	duo_event(d, end, IKE_EV_REKEY_CHILD);
	return true;
}

/* Both sides have the same limit and see the same packets: the jitter has the starter begin nearly each rekey. They are looked at
 * once a second, so that now and then both are due in the same one. */
static void packet_limits_seldom_meet_and_lose_nothing(void **state)
{
	const uint64_t packets = 5000;
	struct duo *d = make(77);
	struct counted counted[2] = { { 0 }, { 0 } };
	unsigned asked[2] = { 0, 0 };

	(void)state;
	duo_up(d);
	d->esp_every_us = 10000;
	for (unsigned second = 0; second < 3600; second++) {
		for (unsigned end = 0; end < 2; end++)
			asked[end] += ask_at_the_limit(d, end, packets, &counted[end]);
		duo_run(d, SECOND_US);
	}
	d->esp_every_us = 0;
	duo_run(d, QUIET_US);
	must_be_whole(d);
	/* 100 packets a second each way: 40 to 46 seconds each. */
	assert_true(asked[0] >= 3600 / 47 && asked[0] <= 3600 / 40);
	assert_true(asked[1] <= asked[0] / 8);
	for (unsigned i = 0; i < 2; i++) {
		unsigned rekeyed = d->end[i].counters[MODEL_COUNTER_child_rekeyed];
		assert_true(rekeyed >= asked[0] && rekeyed <= asked[0] + asked[1]);
		assert_int_equal(d->end[i].failures[MODEL_FAILURE_REKEY_REFUSED], 0);
		assert_true(d->end[i].esp_in > 350000);
	}
	release(d);
}

/* The same lifetimes on both sides and both as the side that goes first: their limits meet often. */
static void limits_that_meet_lose_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct duo *d = make(seed);
		duo_up(d);
		d->esp_every_us = 50000;
		for (unsigned i = 0; i < 40; i++) {
			enum ike_event_kind a = duo_random(d) % 4 == 0 ? IKE_EV_REKEY_IKE : IKE_EV_REKEY_CHILD;
			enum ike_event_kind b = duo_random(d) % 4 == 0 ? IKE_EV_REKEY_IKE : IKE_EV_REKEY_CHILD;
			duo_event(d, 0, a);
			duo_run(d, duo_random(d) % 25000);
			duo_event(d, 1, b);
			duo_run(d, duo_random(d) % (4 * SECOND_US));
		}
		duo_run(d, QUIET_US);
		must_be_whole(d);
		release(d);
	}
}

static enum ike_event_kind random_kind(struct duo *d)
{
	static const enum ike_event_kind kinds[] = { IKE_EV_REKEY_CHILD, IKE_EV_REKEY_CHILD, IKE_EV_REKEY_IKE,
						     IKE_EV_NEW_CHILD,   IKE_EV_CHILD_EXPIRED };
	return kinds[duo_random(d) % ARRAY_LEN(kinds)];
}

/* A fifth of all messages lost, repeated or late, with all that either side may do. A side may give up; then nothing may
 * be left of it, and the starter comes back. */
static void loss_leaves_nothing_over(void **state)
{
	unsigned whole = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 120; seed++) {
		struct duo *d = make(seed);
		duo_up(d);
		d->loss_percent = 20;
		for (unsigned i = 0; i < 30; i++) {
			duo_event(d, duo_random(d) % 2, random_kind(d));
			duo_run(d, duo_random(d) % (6 * SECOND_US));
		}
		d->loss_percent = 0;
		duo_run(d, QUIET_US);
		if (duo_check(d) != NULL)
			fail_msg("seed %u: %s", (unsigned)seed, duo_check(d));
		whole += duo_count(d, 0) == 1 && d->end[0].child_cnt >= 1;
		release(d);
	}
	assert_true(whole >= 110);
}

/* ---- any message in any state ---- */

/* Something that was sent once, to either side, maybe changed; or made up. */
static void attack(struct duo *d)
{
	struct duo_datagram g = d->pool[duo_random(d) % d->pool_cnt];
	unsigned what = (unsigned)(duo_random(d) % 8);

	if (what == 0)
		g.to = !g.to;
	if (what == 1)
		g.b[duo_random(d) % g.len] ^= (uint8_t)(1u << duo_random(d) % 8);
	if (what == 2)
		g.b[18] = (uint8_t)(IKE_EX_SA_INIT + duo_random(d) % 4); /* exchange */
	if (what == 3)
		g.b[19] ^= duo_random(d) % 2 ? IKE_FLAG_RESPONSE : IKE_FLAG_INITIATOR;
	if (what == 4)
		g.b[23] = (uint8_t)duo_random(d); /* message id */
	if (what == 5 && g.len > 60)
		g.len -= duo_random(d) % 30;
	if (what == 6)
		for (unsigned i = WIRE_IKE_HEADER_LEN; i < g.len; i++)
			g.b[i] = (uint8_t)duo_random(d);
	duo_deliver(d, &g);
}

/* Without the keys nobody can make the two disagree, end an SA or keep one alive. IKE_SA_INIT itself is open to whoever
 * sits in the middle: then the start may fail, and nothing is left of it. */
static void an_attacker_changes_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct duo *d = make(seed);
		bool early = seed % 3 == 0;
		duo_start(d);
		duo_run(d, early ? 1 : SECOND_US);
		for (unsigned i = 0; i < 400; i++) {
			attack(d);
			if (i % 10 == 9)
				duo_run(d, duo_random(d) % 30000);
			if (i > 100 && i % 40 == 0)
				duo_event(d, duo_random(d) % 2, random_kind(d));
		}
		duo_run(d, QUIET_US);
		if (duo_check(d) != NULL || (!early && duo_count(d, 0) != 1))
			fail_msg("seed %u: %s", (unsigned)seed, duo_check(d));
		release(d);
	}
}

/* A man in the middle who answers IKE_SA_INIT himself has the keys of SK, not the PSK: whatever he puts into
 * IKE_AUTH, in either direction, no SA becomes ESTABLISHED. */
static void nobody_becomes_established_without_the_psk(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct duo *d = make(seed);
		uint8_t wrong[32];
		for (unsigned i = 0; i < sizeof(wrong); i++)
			wrong[i] = (uint8_t)duo_random(d);
		must(secret_set(seed % 2 ? &d->peer.psk : &d->start.peer.psk, BYTES_OF(wrong)) == ERR_NONE);
		d->loss_percent = seed % 3 == 0 ? 20 : 0;
		duo_start(d);
		for (unsigned i = 0; i < 100; i++) {
			attack(d);
			duo_run(d, duo_random(d) % 50000);
			assert_int_equal(duo_count(d, 0), 0);
			assert_int_equal(duo_count(d, 1), 0);
		}
		duo_run(d, 100 * SECOND_US);
		assert_int_equal(duo_count(d, 0) + duo_count(d, 1), 0);
		assert_false(d->end[0].has_half);
		release(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_child_rekeys_and_fifty_ike_rekeys_lose_nothing),
		cmocka_unit_test(soft_limits_alone_keep_a_tunnel_up_for_a_week),
		cmocka_unit_test(packet_limits_seldom_meet_and_lose_nothing),
		cmocka_unit_test(limits_that_meet_lose_nothing),
		cmocka_unit_test(loss_leaves_nothing_over),
		cmocka_unit_test(an_attacker_changes_nothing),
		cmocka_unit_test(nobody_becomes_established_without_the_psk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
