// A node's slot over the memory engine: claimed, kept, lost, claimed anew; the tick and the cookie secret beside it.
#include "control/node.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

enum { PATIENCE_MS = 30000, OWN = 500 };

static struct conf_cluster conf = { .mesh_address = { .port = 4700 }, .node = "n1", .site = "default" };
static struct control *c;
static struct store *store; /* until the thread has it */
static uint64_t done_tag;
static enum err done_err;

static void begin(uint32_t incarnation)
{
	c = calloc(1, sizeof(*c));
	assert_non_null(c);
	c->cfg.cluster = &conf;
	c->cfg.incarnation = incarnation;
	c->cfg.mesh_fd = -1;
	c->now_us = 1000000000000;
	memset(c->secret, 7, sizeof(c->secret));
	assert_int_equal(store_memory_new(&store), ERR_NONE);
}

static int end(void **state)
{
	(void)state;
	if (c == NULL)
		return 0;
	if (c->store != NULL)
		store_thread_stop(c->store);
	else
		store_free(store);
	control_node_free(c);
	free(c);
	c = NULL;
	return 0;
}

static void put(const char *key, struct bytes value)
{
	const struct store_op op = { STORE_PUT, bytes_str(key), value };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
	assert_int_equal(store_commit(store, &txn).err, ERR_NONE);
}

static struct bytes record_with_format(const char *name, uint32_t incarnation, uint8_t state, uint16_t newest)
{
	static uint8_t room[CLUSTER_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct cluster_node n = { .incarnation = incarnation, .state = state, .format_oldest = 1, .format_newest = newest,
				  .mesh = { addr_from_v4_u32(0x0a000001), 4700 }, .site = "default" };
	snprintf(n.name, sizeof(n.name), "%s", name);
	cluster_node_encode(&n, &w);
	assert_false(w.bad);
	return wr_bytes(&w);
}

static struct bytes node_record(const char *name, uint32_t incarnation, uint8_t state)
{
	return record_with_format(name, incarnation, state, 1);
}

static void start(void)
{
	static const char *const nothing[] = { NULL };
	static const struct store_role role = { .read = nothing, .write = nothing };
	static const char *const watched[] = { MODEL_KEY_NODES, MODEL_KEY_TICK, MODEL_KEY_COOKIE, MODEL_KEY_FORMAT };
	assert_int_equal(control_node_start(c, store), ERR_NONE);
	assert_int_equal(store_thread_start(store, -1, &role, &c->store), ERR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		assert_int_equal(store_thread_watch(c->store, bytes_str(watched[i]), 0), ERR_NONE);
}

static void note_done(void *arg, const struct store_done *done)
{
	(void)arg;
	if (control_node_done(c, done))
		return;
	done_tag = done->tag;
	done_err = done->result.err;
}

static void note_change(void *arg, const struct store_row *row)
{
	(void)arg;
	assert_true(control_node_change(c, row));
}

static void turn(void)
{
	struct pollfd p = { .fd = store_thread_fd(c->store), .events = POLLIN };
	(void)poll(&p, 1, 5);
	store_thread_poll(c->store, note_done, note_change, NULL);
	control_node_timers(c);
}

/* Runs until it holds; the clock of the node stands unless the test moves it. */
static void await(bool (*holds)(void))
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;
	while (!holds()) {
		assert_true(clock_mono_ms() < until);
		turn();
	}
}

static bool holds_slot(void)
{
	return c->members.held;
}

static bool lost_slot(void)
{
	return !c->members.held;
}

static bool knows_another(void)
{
	return c->members.cnt == 1;
}

static bool other_done(void)
{
	return done_tag == 1;
}

/* Another one writes to the store. */
static enum err by_another(enum store_op_kind kind, uint16_t slot, struct bytes value, uint64_t mod_rev)
{
	const struct model_key key = model_key_node(slot);
	const struct store_cmp cmp = { model_key_bytes(&key), mod_rev };
	const struct store_op op = { kind, model_key_bytes(&key), value };
	const struct store_txn txn = { .cmps = &cmp, .cmp_cnt = mod_rev != 0, .ops = &op, .op_cnt = 1 };
	done_tag = 0;
	assert_int_equal(store_thread_submit(c->store, &txn, 1), ERR_NONE);
	await(other_done);
	return done_err;
}

static void node_alone_has_a_slot_and_every_duty(void **state)
{
	(void)state;
	begin(OWN);
	start();
	assert_true(c->members.held);
	assert_in_range(c->node->slot, 1, CLUSTER_SLOT_MAX);
	assert_int_equal(c->world.node_slot, c->node->slot);
	assert_int_equal(c->members.cnt, 0);
	assert_true(cluster_duty(&c->members, 77));
	assert_true(control_node_starts(c));
}

static void without_a_cluster_there_is_no_node(void **state)
{
	(void)state;
	begin(OWN);
	c->cfg.cluster = NULL;
	assert_int_equal(control_node_start(c, store), ERR_NONE);
	assert_null(c->node);
	control_node_timers(c);
	assert_true(control_node_starts(c));
	assert_true(control_node_fresh(c));
	assert_int_equal(c->world.node_slot, 0);
}

static void slot_of_another_is_left_alone(void **state)
{
	(void)state;
	uint16_t first;
	begin(OWN);
	start();
	first = c->node->slot;
	assert_int_equal(end(NULL), 0);
	begin(OWN);
	put(model_key_node(first).text, node_record("n2", 400, CLUSTER_UP));
	start();
	assert_int_not_equal(c->node->slot, first);
	assert_int_equal(c->members.cnt, 1);
	assert_int_equal(cluster_member_at(&c->members, first)->n.incarnation, 400);
}

static void slot_of_the_process_before_is_taken_over_with_its_draining(void **state)
{
	(void)state;
	begin(OWN);
	put("node/abc", node_record("n1", OWN - 1, CLUSTER_DRAINING));
	start();
	assert_int_equal(c->node->slot, 0xabc);
	assert_int_equal(c->members.cnt, 0);
	assert_true(c->members.draining);
	control_node_drain(c, false);
	assert_false(c->members.draining);
}

static void record_of_a_later_process_of_that_name_is_not_taken(void **state)
{
	(void)state;
	begin(OWN);
	put("node/abc", node_record("n1", OWN + 1, CLUSTER_UP));
	start();
	assert_int_not_equal(c->node->slot, 0xabc);
	assert_int_equal(c->members.cnt, 1);
}

static void slot_that_was_taken_away_is_claimed_elsewhere(void **state)
{
	(void)state;
	begin(OWN);
	start();
	uint16_t first = c->node->slot;
	assert_int_equal(by_another(STORE_PUT, first, node_record("n1", OWN + 5, CLUSTER_UP), 0), ERR_NONE);
	await(lost_slot);
	assert_false(cluster_duty(&c->members, 5));
	assert_false(control_node_starts(c));
	c->now_us += CONTROL_RENEW_US;
	await(holds_slot);
	assert_int_not_equal(c->node->slot, first);
	assert_int_equal(c->world.node_slot, c->node->slot);
	assert_int_equal(cluster_member_at(&c->members, first)->n.incarnation, OWN + 5);
}

static void record_that_is_gone_is_written_anew_in_its_slot(void **state)
{
	(void)state;
	begin(OWN);
	start();
	uint16_t first = c->node->slot;
	assert_int_equal(by_another(STORE_DELETE, first, bytes_str(""), 0), ERR_NONE);
	await(lost_slot);
	await(holds_slot);
	assert_int_equal(c->node->slot, first);
}

/* A frozen process must not believe in what it had; and its clock may lose one second in a hundred, while it is drawn to that of the others. */
static void lease_counts_from_when_it_was_asked_for(void **state)
{
	(void)state;
	begin(OWN);
	start();
	assert_true(c->members.held);
	c->now_us += CONTROL_LEASE_MS * 990 - 1;
	c->node->next_us = c->now_us + 1000000; /* the store does not answer */
	control_node_timers(c);
	assert_true(c->members.held);
	c->now_us++;
	control_node_timers(c);
	assert_false(c->members.held);
	assert_false(control_node_starts(c));
	c->node->next_us = c->now_us; /* it is back, and has kept the lease */
	await(holds_slot);
}

static bool drains_in_store(void)
{
	return !c->node->writing && !c->node->dirty;
}

static void drain_is_written_for_the_others(void **state)
{
	(void)state;
	begin(OWN);
	start();
	uint64_t rev = c->node->mod_rev;
	control_node_drain(c, true);
	assert_true(c->members.draining);
	assert_false(cluster_ready(&c->members, true, c->now_us));
	await(drains_in_store);
	assert_true(c->node->mod_rev > rev);
	assert_true(c->members.held);
	control_node_drain(c, true); /* nothing new */
	assert_false(c->node->dirty);
}

static void members_come_and_go_with_their_records(void **state)
{
	(void)state;
	begin(OWN);
	start();
	uint16_t other = (uint16_t)(c->node->slot == 9 ? 10 : 9);
	assert_int_equal(by_another(STORE_PUT, other, node_record("n2", 7, CLUSTER_UP), 0), ERR_NONE);
	await(knows_another);
	assert_true(cluster_alive(&c->members, other));
	assert_int_equal(by_another(STORE_PUT, other, bytes_str("junk"), 0), ERR_NONE); /* of a newer program: what is known stays */
	assert_int_equal(by_another(STORE_DELETE, other, bytes_str(""), 0), ERR_NONE);
	while (c->members.cnt != 0)
		turn();
	assert_false(cluster_alive(&c->members, other));
}

/* ---- the format of records ---- */

static bool writes_newest(void)
{
	return c->format == model_format_newest();
}

static void turns(unsigned cnt)
{
	while (cnt-- != 0)
		turn();
}

static void format_rises_when_every_node_reads_it(void **state)
{
	const uint64_t long_us = 61000000;
	(void)state;
	begin(OWN);
	c->clustered = true;
	assert_int_equal(control_format_load(c, store), ERR_NONE);
	assert_int_equal(c->format, MODEL_FORMAT_OLDEST);
	start();
	c->node->until_us = UINT64_MAX;
	const uint16_t other = (uint16_t)(c->node->slot == 9 ? 10 : 9);
	assert_int_equal(by_another(STORE_PUT, other, record_with_format("n2", 7, CLUSTER_UP, 1), 0), ERR_NONE);
	await(knows_another);
	for (unsigned i = 0; i < 3; i++) {
		c->now_us += long_us;
		turns(20);
		assert_int_equal(c->format, MODEL_FORMAT_OLDEST); /* the other could not read more */
	}
	assert_int_equal(by_another(STORE_PUT, other, record_with_format("n2", 8, CLUSTER_UP, 2), 0), ERR_NONE);
	turns(20);
	assert_int_equal(c->format, MODEL_FORMAT_OLDEST); /* one that is only being started again might come back */
	/* Whose duty it is depends on the slots; when the other is gone it is ours. */
	assert_int_equal(by_another(STORE_DELETE, other, bytes_str(""), 0), ERR_NONE);
	turns(20);
	c->now_us += long_us;
	await(writes_newest);
}

static void program_that_is_older_than_the_records_ends(void **state)
{
	uint8_t value[2];
	struct wr w = wr_of(SPACE_OF(value));
	(void)state;
	begin(OWN);
	c->clustered = true;
	assert_int_equal(control_format_load(c, store), ERR_NONE);
	start();
	const struct store_row row = { .key = bytes_str(MODEL_KEY_FORMAT), .value = BYTES_OF(value), .mod_rev = 1000 };
	wr_u16(&w, (uint16_t)(model_format_newest() + 1));
	assert_true(control_node_change(c, &row));
	assert_true(c->stop);
}

static void program_that_is_older_than_the_records_does_not_start(void **state)
{
	uint8_t value[2];
	struct wr w = wr_of(SPACE_OF(value));
	(void)state;
	begin(OWN);
	wr_u16(&w, (uint16_t)(model_format_newest() + 1));
	put(MODEL_KEY_FORMAT, wr_bytes(&w));
	assert_int_equal(control_format_load(c, store), ERR_VERSION);
	put(MODEL_KEY_FORMAT, bytes_str("junk"));
	assert_int_equal(control_format_load(c, store), ERR_SYNTAX);
}

static void gateway_that_is_alone_writes_the_newest_format(void **state)
{
	(void)state;
	begin(OWN);
	assert_int_equal(control_format_load(c, store), ERR_NONE);
	assert_true(writes_newest());
	c->format = 0;
	assert_int_equal(control_format_load(c, store), ERR_NONE);
	assert_true(writes_newest());
}

/* ---- the clock ---- */

static struct bytes tick(uint64_t now_us, uint16_t slot)
{
	static uint8_t room[64];
	struct wr w = wr_of(SPACE_OF(room));
	control_tick_encode(now_us, slot, &w);
	assert_false(w.bad);
	return wr_bytes(&w);
}

static void node_whose_clock_is_far_off_does_not_start(void **state)
{
	const uint64_t far_us = 61000000, near_us = 59000000;
	(void)state;
	begin(OWN);
	c->clustered = true;
	assert_int_equal(control_clock_load(c, store), ERR_NONE); /* the first node of all */
	put(MODEL_KEY_TICK, tick(c->now_us - far_us, 9));
	assert_int_equal(control_clock_load(c, store), ERR_NONE); /* nobody was there for so long */
	put("node/009", node_record("n2", 7, CLUSTER_UP));
	assert_int_equal(control_clock_load(c, store), ERR_RANGE);
	put(MODEL_KEY_TICK, tick(c->now_us - near_us, 9));
	assert_int_equal(control_clock_load(c, store), ERR_NONE);
	put(MODEL_KEY_TICK, tick(c->now_us + far_us, 9));
	assert_int_equal(control_clock_load(c, store), ERR_RANGE);
	c->clustered = false;
	assert_int_equal(control_clock_load(c, store), ERR_NONE);
}

static void node_whose_clock_is_behind_starts_with_that_of_the_others(void **state)
{
	(void)state;
	begin(OWN);
	c->clustered = true;
	c->clock_offset_us = c->now_us - clock_mono_ns() / 1000;
	uint64_t other_us = c->now_us + 30000000;
	put(MODEL_KEY_TICK, tick(other_us, 9));
	assert_int_equal(control_clock_load(c, store), ERR_NONE);
	assert_in_range(c->now_us, other_us, other_us + 20000000);
}

/* For so many seconds a tick each, by a clock that is so far ahead of ours. */
static void hear_ticks(unsigned seconds, int64_t ahead_us)
{
	while (seconds-- != 0) {
		c->now_us += 1000000;
		control_clock_tick(c, tick(c->now_us + (uint64_t)ahead_us, 9));
	}
}

static void clock_is_drawn_to_that_of_the_others(void **state)
{
	(void)state;
	begin(OWN);
	c->clock_offset_us = 1000000000;
	hear_ticks(101, 30000000);
	assert_int_equal(c->clock_offset_us, 1000000000 + 100 * 10000); /* one in a hundred; the first tick tells no gap */
	hear_ticks(10, 3000);
	assert_int_equal(c->clock_offset_us, 1000000000 + 100 * 10000 + 10 * 3000);
	c->clock_offset_us = 1000000000;
	hear_ticks(10, -900000); /* so long news may take */
	assert_int_equal(c->clock_offset_us, 1000000000);
	hear_ticks(10, -30000000);
	assert_int_equal(c->clock_offset_us, 1000000000 - 10 * 10000);
	c->clock_offset_us = 1000000000;
	c->now_us += 30000000;
	control_clock_tick(c, tick(c->now_us - 30000000, 9)); /* those that waited, together */
	for (unsigned i = 0; i < 30; i++)
		control_clock_tick(c, tick(c->now_us - 30000000 + i * 1000000, 9));
	assert_int_equal(c->clock_offset_us, 1000000000);
}

static void clock_never_goes_back(void **state)
{
	(void)state;
	begin(OWN);
	c->now_us = 0;
	control_clock_init(c);
	uint64_t before = c->now_us;
	c->clock_offset_us -= 5000000;
	control_clock_read(c);
	assert_int_equal(c->now_us, before);
	c->clock_offset_us += 6000000;
	control_clock_read(c);
	assert_true(c->now_us > before);
}

static void tick_shows_that_news_come(void **state)
{
	(void)state;
	begin(OWN);
	put(MODEL_KEY_TICK, bytes_str("of before"));
	start();
	c->now_us += CONTROL_STALE_US - 1;
	c->node->until_us = UINT64_MAX;
	assert_true(control_node_fresh(c));
	c->now_us++;
	assert_false(control_node_fresh(c));
	uint64_t before = c->node->tick_rev;
	control_node_timers(c);
	assert_true(c->node->ticking);
	while (c->node->tick_rev == before)
		turn();
	assert_true(control_node_fresh(c));
}

static void secret_is_that_of_the_store_and_turns(void **state)
{
	(void)state;
	begin(OWN);
	start();
	assert_int_equal(c->world.cookie_version, 0);
	assert_int_equal(c->world.cookie_make, 1);
	struct siphash_key first = c->world.cookie_key[0];
	uint64_t rev = c->node->cookie_rev;
	c->node->until_us = UINT64_MAX;
	c->now_us += 5000000;
	control_node_timers(c);
	assert_int_equal(c->world.cookie_make, 0); /* by now all have it */
	assert_int_equal(c->node->cookie_rev, rev);
	c->now_us += 115000000;
	while (c->node->cookie_rev == rev)
		turn();
	assert_int_equal(c->world.cookie_version, 1);
	assert_memory_equal(&c->world.cookie_key[1], &first, sizeof(first));
	assert_memory_not_equal(&c->world.cookie_key[0], &first, sizeof(first));
	assert_int_equal(c->world.cookie_make, 1);
}

static void next_process_has_the_same_secret(void **state)
{
	(void)state;
	begin(OWN);
	assert_int_equal(control_node_start(c, store), ERR_NONE);
	struct siphash_key keys[2] = { c->world.cookie_key[0], c->world.cookie_key[1] };
	control_node_free(c);
	memset(&c->world, 0, sizeof(c->world));
	c->cfg.incarnation++;
	assert_int_equal(control_node_start(c, store), ERR_NONE);
	assert_memory_equal(c->world.cookie_key, keys, sizeof(keys));
	control_node_free(c);
	memset(c->secret, 8, sizeof(c->secret)); /* another sealing key: not of this cluster */
	c->cfg.incarnation++;
	assert_int_equal(control_node_start(c, store), ERR_AUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(node_alone_has_a_slot_and_every_duty, end),
		cmocka_unit_test_teardown(without_a_cluster_there_is_no_node, end),
		cmocka_unit_test_teardown(slot_of_another_is_left_alone, end),
		cmocka_unit_test_teardown(slot_of_the_process_before_is_taken_over_with_its_draining, end),
		cmocka_unit_test_teardown(record_of_a_later_process_of_that_name_is_not_taken, end),
		cmocka_unit_test_teardown(slot_that_was_taken_away_is_claimed_elsewhere, end),
		cmocka_unit_test_teardown(record_that_is_gone_is_written_anew_in_its_slot, end),
		cmocka_unit_test_teardown(lease_counts_from_when_it_was_asked_for, end),
		cmocka_unit_test_teardown(drain_is_written_for_the_others, end),
		cmocka_unit_test_teardown(members_come_and_go_with_their_records, end),
		cmocka_unit_test_teardown(format_rises_when_every_node_reads_it, end),
		cmocka_unit_test_teardown(program_that_is_older_than_the_records_ends, end),
		cmocka_unit_test_teardown(program_that_is_older_than_the_records_does_not_start, end),
		cmocka_unit_test_teardown(gateway_that_is_alone_writes_the_newest_format, end),
		cmocka_unit_test_teardown(node_whose_clock_is_far_off_does_not_start, end),
		cmocka_unit_test_teardown(node_whose_clock_is_behind_starts_with_that_of_the_others, end),
		cmocka_unit_test_teardown(clock_is_drawn_to_that_of_the_others, end),
		cmocka_unit_test_teardown(clock_never_goes_back, end),
		cmocka_unit_test_teardown(tick_shows_that_news_come, end),
		cmocka_unit_test_teardown(secret_is_that_of_the_store_and_turns, end),
		cmocka_unit_test_teardown(next_process_has_the_same_secret, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
