// The store thread while one of its calls waits for an engine that others share: what they commit is told, and what the call
// itself commits is told behind its result.
#include "harness.h"

#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/engine.h"
#include "store/thread.h"

enum { PATIENCE_MS = 30000 };

static const struct store_engine *whole;
static struct store_engine shared;
static uint64_t top_rev;
static atomic_bool enough; /* the answer may come */

struct control {
	struct store_thread *t;
	struct seen changes;
	bool done;
};

static void commit_one(struct store *s, const char *key)
{
	struct store_op op = put_op(key, "1");
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
	struct store_result r = { 0 };

	whole->commit_many(s, &txn, 1, &r);
	assert_int_equal(r.err, ERR_NONE);
	top_rev = r.rev;
}

/* Somebody commits before it and behind it, and its answer is long on its way. */
static void commit_slowly(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	commit_one(s, "w/before");
	whole->commit_many(s, txns, cnt, results);
	commit_one(s, "w/behind");
	while (!atomic_load(&enough) && clock_mono_ms() < end) {
		s->meanwhile(s->meanwhile_arg);
		usleep(1000);
	}
}

static uint64_t seen_rev(struct store *s)
{
	(void)s;
	return top_rev;
}

static enum err seen_changes(struct store *s, const struct store_pos *from, store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	return top_rev < from->rev ? ERR_AGAIN : whole->changes(s, bytes_of("", 0), from, 0, visit, arg, ret_rev);
}

static void begin(struct control *c)
{
	struct store *s;

	*c = (struct control){ 0 };
	atomic_store(&enough, false);
	assert_int_equal(store_memory_new(&s), ERR_NONE);
	top_rev = put(s, "w/first", "1");
	whole = s->engine;
	shared = *whole;
	shared.commit_many = commit_slowly;
	shared.seen_rev = seen_rev;
	shared.seen_changes = seen_changes;
	s->engine = &shared;
	assert_int_equal(store_thread_start(s, -1, &role_all, &c->t), ERR_NONE);
	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), top_rev), ERR_NONE);
}

static void end(struct control *c)
{
	atomic_store(&enough, true);
	store_thread_stop(c->t);
	seen_clear(&c->changes);
}

static void note_change(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	see_row(&c->changes, row);
}

static void note_done(void *arg, const struct store_done *done)
{
	struct control *c = arg;
	assert_int_equal(done->result.err, ERR_NONE);
	c->done = true;
}

/* Until so many changes have come, or the result. */
static void await(struct control *c, size_t cnt, bool done)
{
	uint64_t until = clock_mono_ms() + PATIENCE_MS;

	while (done ? !c->done : c->changes.cnt < cnt) {
		struct pollfd pfd = { .fd = store_thread_fd(c->t), .events = POLLIN };
		assert_true(clock_mono_ms() < until);
		if (poll(&pfd, 1, 1000) == 1)
			store_thread_poll(c->t, note_done, note_change, c);
	}
}

static void submit_own(struct control *c, bool loose)
{
	struct store_op op = put_op("w/own", "1");
	const struct store_txn txn = { .ops = &op, .op_cnt = 1, .loose = loose };
	assert_int_equal(store_thread_submit(c->t, &txn, 1), ERR_NONE);
}

static void own_changes_are_told_behind_their_result(void **state)
{
	struct control c;

	(void)state;
	begin(&c);
	submit_own(&c, false);
	await(&c, 1, false);
	assert_false(c.done);
	assert_keys(&c.changes, "w/before");
	atomic_store(&enough, true);
	await(&c, 0, true);
	await(&c, 3, false);
	assert_keys(&c.changes, "w/before w/own w/behind");
	end(&c);
}

static void those_of_a_loose_transaction_hold_nothing_up(void **state)
{
	struct control c;

	(void)state;
	begin(&c);
	submit_own(&c, true);
	await(&c, 3, false);
	assert_false(c.done);
	assert_keys(&c.changes, "w/before w/own w/behind");
	atomic_store(&enough, true);
	await(&c, 0, true);
	end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_changes_are_told_behind_their_result),
		cmocka_unit_test(those_of_a_loose_transaction_hold_nothing_up),
	};
	return cmocka_run_group_tests_name("store thread, while a call waits", tests, NULL, NULL);
}
