#include "cluster/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 20000 };
static const uint64_t start = 1000000000;
static struct cluster_members m;

static void put(uint16_t slot, uint32_t incarnation, const char *site, uint64_t now)
{
	struct cluster_node n = { .incarnation = incarnation, .state = CLUSTER_UP, .format_oldest = 1, .format_newest = 1,
				  .mesh = { addr_from_v4_u32(0x0a5a0000u + slot), 4700 } };
	for (size_t i = 0; site[i] != 0; i++)
		n.site[i] = site[i];
	assert_int_equal(cluster_members_put(&m, slot, &n, 1, now), ERR_NONE);
}

/* This node has slot 1; `others` more follow. */
static void begin(unsigned others)
{
	cluster_members_init(&m, "west", start);
	cluster_members_self(&m, 1, true, false);
	for (unsigned i = 0; i < others; i++)
		put((uint16_t)(2 + i), 100 + i, "west", start);
}

static void ping(uint16_t slot, uint64_t applied, uint64_t now)
{
	const struct cluster_ping p = { .fresh = true, .applied = applied };
	cluster_members_heard(&m, slot, &p, now);
}

static void without_a_cluster_every_duty_is_ours(void **state)
{
	(void)state;
	m = (struct cluster_members){ 0 };
	assert_true(cluster_duty(&m, 0));
	assert_true(cluster_duty(&m, UINT64_MAX));
	assert_int_equal(cluster_chosen(&m, 5), 0);
	assert_int_equal(cluster_site_applied(&m), UINT64_MAX);
	assert_true(cluster_ready(&m, false, start));
	assert_false(cluster_cut(&m, start));
}

static void node_without_a_lease_has_no_duty(void **state)
{
	(void)state;
	begin(0);
	assert_true(cluster_duty(&m, 5));
	cluster_members_self(&m, 1, false, false);
	assert_false(cluster_duty(&m, 5));
	cluster_members_self(&m, 0, false, false);
	assert_false(cluster_duty(&m, 5));
}

static void duties_are_shared_evenly(void **state)
{
	(void)state;
	unsigned cnt[6] = { 0 };
	begin(3);
	for (uint64_t key = 0; key < KEYS; key++) {
		uint16_t slot = cluster_chosen(&m, key);
		assert_in_range(slot, 1, 4);
		cnt[slot]++;
	}
	for (unsigned slot = 1; slot <= 4; slot++)
		assert_in_range(cnt[slot], KEYS / 4 * 8 / 10, KEYS / 4 * 12 / 10);
}

/* Only what the dead one had moves, and all of it. */
static void death_moves_only_the_duties_of_the_dead(void **state)
{
	(void)state;
	uint16_t before[KEYS];
	begin(3);
	for (uint64_t key = 0; key < KEYS; key++)
		before[key] = cluster_chosen(&m, key);
	cluster_members_remove(&m, 3);
	for (uint64_t key = 0; key < KEYS; key++) {
		uint16_t now = cluster_chosen(&m, key);
		if (before[key] == 3)
			assert_int_not_equal(now, 3);
		else
			assert_int_equal(now, before[key]);
	}
}

static void all_nodes_agree_whoever_they_are(void **state)
{
	(void)state;
	uint16_t before[KEYS];
	begin(2);
	for (uint64_t key = 0; key < KEYS; key++)
		before[key] = cluster_chosen(&m, key);
	cluster_members_init(&m, "east", start);
	put(3, 9, "east", start);
	put(1, 8, "east", start);
	cluster_members_self(&m, 2, true, false);
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(cluster_chosen(&m, key), before[key]);
}

static void silent_node_is_dead_until_it_is_heard(void **state)
{
	(void)state;
	uint64_t now = start;
	begin(2);
	for (unsigned i = 0; i < 4; i++) {
		now += CLUSTER_PING_US;
		ping(2, 1, now);
		assert_false(cluster_members_look(&m, now));
	}
	assert_true(cluster_alive(&m, 3));
	now += CLUSTER_PING_US;
	ping(2, 1, now);
	assert_true(cluster_members_look(&m, now));
	assert_false(cluster_members_look(&m, now)); /* told once */
	assert_true(cluster_alive(&m, 2));
	assert_false(cluster_alive(&m, 3));
	assert_false(cluster_alive(&m, 4));
	assert_true(cluster_alive(&m, 1));
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_not_equal(cluster_chosen(&m, key), 3);
	ping(3, 1, now);
	assert_true(cluster_alive(&m, 3));
}

/* A process that was frozen, or had no processor, must not take all others for dead. */
static void own_pause_is_no_silence_of_the_others(void **state)
{
	(void)state;
	uint64_t now = start + CLUSTER_PING_US;
	begin(2);
	ping(2, 1, now);
	assert_false(cluster_members_look(&m, now));
	now += 60000000;
	assert_false(cluster_members_look(&m, now));
	assert_true(cluster_alive(&m, 2));
	assert_false(cluster_cut(&m, now));
	for (unsigned i = 0; i < 6; i++)
		(void)cluster_members_look(&m, now += CLUSTER_PING_US);
	assert_false(cluster_alive(&m, 2)); /* it was silent while we listened */
}

static void draining_node_gives_its_duties_away(void **state)
{
	(void)state;
	const struct cluster_ping draining = { .draining = true, .fresh = true };
	begin(1);
	cluster_members_heard(&m, 2, &draining, start);
	for (uint64_t key = 0; key < KEYS; key++)
		assert_true(cluster_duty(&m, key));
	cluster_members_self(&m, 1, true, true); /* now all of them drain: somebody must do it */
	unsigned mine = 0;
	for (uint64_t key = 0; key < KEYS; key++)
		mine += cluster_duty(&m, key);
	assert_in_range(mine, 1, KEYS - 1);
	ping(2, 0, start);
	for (uint64_t key = 0; key < KEYS; key++)
		assert_false(cluster_duty(&m, key));
	assert_true(cluster_alive(&m, 1));
}

static void site_has_applied_what_its_slowest_live_node_has(void **state)
{
	(void)state;
	begin(2);
	put(9, 50, "east", start);
	assert_int_equal(cluster_site_applied(&m), UINT64_MAX); /* nobody was heard yet */
	ping(2, 30, start);
	ping(3, 20, start);
	ping(9, 1, start);
	assert_int_equal(cluster_site_applied(&m), 20);
	ping(3, 10, start); /* an older datagram that came late */
	assert_int_equal(cluster_site_applied(&m), 20);
	uint64_t now = start;
	for (unsigned i = 0; i < 5; i++) {
		ping(2, 40, now += CLUSTER_PING_US);
		(void)cluster_members_look(&m, now);
	}
	assert_int_equal(cluster_site_applied(&m), 40);
	put(2, 999, "west", now); /* another process in its slot */
	assert_int_equal(cluster_site_applied(&m), UINT64_MAX);
}

static void node_that_hears_nobody_is_deaf_until_it_does(void **state)
{
	(void)state;
	uint64_t now = start;
	begin(0);
	assert_false(cluster_deaf(&m)); /* alone */
	begin(2);
	assert_false(cluster_deaf(&m));
	for (uint64_t end = now + CLUSTER_DEAD_US; now < end;) {
		now += CLUSTER_PING_US;
		ping(2, 0, now);
		(void)cluster_members_look(&m, now);
	}
	assert_false(cluster_alive(&m, 3));
	assert_false(cluster_deaf(&m)); /* one is heard */
	for (uint64_t end = now + CLUSTER_DEAD_US; now < end;)
		(void)cluster_members_look(&m, now += CLUSTER_PING_US);
	assert_true(cluster_deaf(&m));
	ping(3, 0, now);
	assert_false(cluster_deaf(&m));
}

static void node_that_hears_nobody_is_cut(void **state)
{
	(void)state;
	uint64_t now = start;
	begin(1);
	for (unsigned i = 0; i < 39; i++) {
		(void)cluster_members_look(&m, now += CLUSTER_PING_US);
		assert_false(cluster_cut(&m, now));
		assert_true(cluster_ready(&m, true, now)); /* the other one may be dead: its lease still stands */
	}
	(void)cluster_members_look(&m, now += CLUSTER_PING_US);
	assert_true(cluster_cut(&m, now));
	assert_false(cluster_ready(&m, true, now));
	cluster_members_remove(&m, 2);
	assert_false(cluster_cut(&m, now));
	put(2, 1000, "west", now);
	assert_false(cluster_cut(&m, now));
}

static void when_nobody_has_news_nobody_withdraws(void **state)
{
	(void)state;
	const struct cluster_ping stale = { .applied = 1 };
	begin(2);
	cluster_members_heard(&m, 2, &stale, start);
	ping(3, 1, start);
	assert_true(cluster_ready(&m, true, start));
	assert_false(cluster_ready(&m, false, start)); /* 3 has: it is us */
	cluster_members_heard(&m, 3, &stale, start);
	assert_true(cluster_ready(&m, false, start));
	cluster_members_self(&m, 1, false, false); /* the lease went with the store */
	assert_true(cluster_ready(&m, false, start));
	assert_false(cluster_ready(&m, true, start)); /* back, and without a lease: not yet */
	cluster_members_self(&m, 1, true, true);
	assert_false(cluster_ready(&m, true, start));
}

static void table_is_bounded(void **state)
{
	(void)state;
	struct cluster_node n = { .incarnation = 1, .mesh = { .port = 1 } };
	begin(CLUSTER_NODES_MAX);
	assert_int_equal(cluster_members_put(&m, 4000, &n, 1, start), ERR_FULL);
	assert_int_equal(m.cnt, CLUSTER_NODES_MAX);
	cluster_members_remove(&m, 2);
	assert_int_equal(cluster_members_put(&m, 4000, &n, 1, start), ERR_NONE);
	cluster_members_remove(&m, 3999); /* not there */
	assert_int_equal(m.cnt, CLUSTER_NODES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_cluster_every_duty_is_ours),
		cmocka_unit_test(node_without_a_lease_has_no_duty),
		cmocka_unit_test(duties_are_shared_evenly),
		cmocka_unit_test(death_moves_only_the_duties_of_the_dead),
		cmocka_unit_test(all_nodes_agree_whoever_they_are),
		cmocka_unit_test(silent_node_is_dead_until_it_is_heard),
		cmocka_unit_test(own_pause_is_no_silence_of_the_others),
		cmocka_unit_test(draining_node_gives_its_duties_away),
		cmocka_unit_test(site_has_applied_what_its_slowest_live_node_has),
		cmocka_unit_test(node_that_hears_nobody_is_cut),
      cmocka_unit_test(node_that_hears_nobody_is_deaf_until_it_does),
		cmocka_unit_test(when_nobody_has_news_nobody_withdraws),
		cmocka_unit_test(table_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
