// The store thread seen from control: what is watched, also under load and when history is lost.
#include "thread_rig.h"

#include <pthread.h>

#include "store/engine.h"

/* ---- watching ---- */

static void watch_tells_changes_of_control_and_api(void **state)
{
	struct control *c = control_of(state);
	struct store *api = connect_api(c, PATIENCE_MS);

	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), 0), ERR_NONE);
	assert_int_equal(store_thread_watch(c->t, bytes_str("v/"), 0), ERR_NONE);
	put(api, "w/a", "1");
	put(api, "x/a", "1");
	await_change(c, "w/a");
	submit_put(c, "v/b", "2", 1);
	await_change(c, "v/b");
	submit_op(c, delete_op("w/a"), 2);
	put(api, "v/end", "1");
	await_change(c, "v/end");
	assert_keys(&c->told.changes, "w/a v/b -w/a v/end");
	assert_string_equal(c->told.changes.v[1].value, "2");
	store_free(api);
}

static void watch_begins_after_its_revision(void **state)
{
	struct control *c = control_of(state);
	struct store *api = connect_api(c, PATIENCE_MS);

	put(api, "w/old", "1");
	uint64_t seen_rev = put(api, "w/known", "1");
	put(api, "w/missed", "1");
	put(api, "u/missed", "1");
	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), seen_rev), ERR_NONE);
	await_change(c, "w/missed");
	/* A second watch that begins earlier does not tell the first one's changes again. */
	assert_int_equal(store_thread_watch(c->t, bytes_str("u/"), 0), ERR_NONE);
	await_change(c, "u/missed");
	assert_keys(&c->told.changes, "w/missed u/missed");
	store_free(api);
}

static void watch_that_cannot_be_kept_is_refused(void **state)
{
	struct control *c = control_of(state);
	char long_prefix[STORE_KEY_MAX + 1];

	memset(long_prefix, 'k', sizeof(long_prefix));
	assert_int_equal(store_thread_watch(c->t, BYTES_OF(long_prefix), 0), ERR_RANGE);
	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), 1000), ERR_COMPACTED);
	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), UINT64_MAX), ERR_COMPACTED);
	for (unsigned i = 0; i < STORE_THREAD_WATCH_MAX; i++)
		assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), 0), ERR_NONE);
	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), 0), ERR_FULL);
}

static void note_order(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	note_change(arg, row);
	if (c->told.done_cnt == 0)
		c->told.change_before_done = true;
}

static void result_comes_before_its_change(void **state)
{
	struct control *c = control_of(state);
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	assert_int_equal(store_thread_watch(c->t, bytes_str(""), 0), ERR_NONE);
	submit_put(c, "k", "v", 1);
	while (c->told.changes.cnt == 0 && clock_mono_ms() < end) {
		struct pollfd pfd = { .fd = store_thread_fd(c->t), .events = POLLIN };
		if (poll(&pfd, 1, 1000) == 1)
			store_thread_poll(c->t, note_done, note_order, c);
	}
	assert_int_equal(c->told.changes.cnt, 1);
	assert_false(c->told.change_before_done);
}

static void seen_follows_what_was_handed_out(void **state)
{
	struct control *c = control_of(state);
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), 0), ERR_NONE);
	submit_put(c, "w/1", "x", 1);
	await_change(c, "w/1");
	assert_true(store_thread_seen(c->t) >= c->told.changes.v[0].mod_rev);
	submit_put(c, "other", "x", 2);
	await_done(c, 2);
	while (store_thread_seen(c->t) < c->told.done[1].result.rev) { /* none of our business */
		assert_true(clock_mono_ms() < end);
		poll_once(c, 10);
	}
	assert_int_equal(c->told.changes.cnt, 1);
}

/* Of what control commits itself, only what is watched is read back: nothing is lost of what is, in whatever order they come,
 * and of the api's changes between. */
static void changes_between_those_of_no_interest_all_come(void **state)
{
	struct control *c = control_of(state);
	struct store *api = connect_api(c, PATIENCE_MS);
	size_t watched = 0;

	assert_int_equal(store_thread_watch(c->t, bytes_str("w/"), 0), ERR_NONE);
	for (unsigned i = 0; i < 300; i++) {
		char key[16];
		bool other = i % 3 == 0;
		snprintf(key, sizeof(key), "%s/%u", other ? "x" : "w", i);
		if (i % 5 == 4)
			put(api, key, "1");
		else
			submit_put(c, key, "1", i + 1);
		watched += !other;
		if (i % 7 == 0)
			poll_once(c, 0);
	}
	submit_put(c, "w/end", "1", 1000);
	await_change(c, "w/end");
	assert_int_equal(c->told.changes.cnt, watched + 1);
	store_free(api);
}

/* ---- load ---- */

enum { KEYS = 40, ROUNDS = 1500 };

struct api_load {
	struct store *s;
	unsigned failed;
};

/* Puts and deletes keys of its own, then says that it is at its end. */
static void *load_by_api(void *arg)
{
	struct api_load *a = arg;
	static uint8_t value[3000];

	for (unsigned i = 0; i < ROUNDS; i++) {
		char key[16];
		snprintf(key, sizeof(key), "a/%02u", i * 7 % KEYS);
		struct store_op op = { i % 3 == 2 ? STORE_DELETE : STORE_PUT, bytes_str(key),
				       bytes_of(value, 4 + i % 2996) };
		struct wr w = wr_of(SPACE_OF(value));
		wr_u32(&w, i);
		if (i % 3 == 2)
			op.value.len = 0;
		if (do_op(a->s, op).err != ERR_NONE)
			a->failed++;
	}
	if (do_op(a->s, put_op("a/end", "x")).err != ERR_NONE)
		a->failed++;
	return NULL;
}

/* Rebuilds the store from what was told: the last change of each key. */
static void assert_told_equals_store(const struct seen *told, struct store *s, const char *prefix)
{
	struct seen rows = { 0 };
	size_t alive = 0;

	list(s, prefix, "", 0, &rows);
	for (size_t i = 0; i < told->cnt; i++) {
		bool last = true;
		for (size_t k = i + 1; k < told->cnt && last; k++)
			last = strcmp(told->v[i].key, told->v[k].key) != 0;
		if (!last || told->v[i].deleted || strncmp(told->v[i].key, prefix, strlen(prefix)) != 0)
			continue;
		alive++;
		bool found = false;
		for (size_t k = 0; k < rows.cnt && !found; k++)
			found = strcmp(rows.v[k].key, told->v[i].key) == 0 &&
				rows.v[k].mod_rev == told->v[i].mod_rev &&
				rows.v[k].value_len == told->v[i].value_len &&
				memcmp(rows.v[k].value, told->v[i].value, sizeof(rows.v[k].value)) == 0;
		assert_true(found);
	}
	assert_int_equal(alive, rows.cnt);
	seen_clear(&rows);
}

static void watch_misses_nothing_under_load(void **state)
{
	struct control *c = control_of(state);
	struct api_load load = { .s = connect_api(c, PATIENCE_MS) };
	pthread_t id;
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	bool api_ended = false, own_ended = false;

	assert_int_equal(store_thread_watch(c->t, bytes_str("a/"), 0), ERR_NONE);
	assert_int_equal(store_thread_watch(c->t, bytes_str("c/"), 0), ERR_NONE);
	assert_int_equal(pthread_create(&id, NULL, load_by_api, &load), 0);
	for (unsigned sent = 0; !(api_ended && own_ended);) {
		char key[16];
		snprintf(key, sizeof(key), "c/%02u", sent % KEYS);
		for (unsigned n = 0; n < 5 && sent < ROUNDS; n++, sent++)
			if (submit_op(c, sent % 5 == 4 ? delete_op(key) : put_op(key, "v"), sent) != ERR_NONE)
				break;
		if (sent == ROUNDS && submit_op(c, put_op("c/end", "x"), sent) == ERR_NONE)
			sent++;
		size_t from = c->told.changes.cnt;
		poll_once(c, 100);
		for (size_t i = from; i < c->told.changes.cnt; i++) {
			const struct seen_row *row = &c->told.changes.v[i];
			api_ended = api_ended || strcmp(row->key, "a/end") == 0;
			own_ended = own_ended || strcmp(row->key, "c/end") == 0;
			assert_true(i == 0 || row[-1].mod_rev <= row->mod_rev);
		}
		assert_true(clock_mono_ms() < end);
	}
	assert_int_equal(pthread_join(id, NULL), 0);
	assert_int_equal(load.failed, 0);
	for (size_t i = 0; i < c->told.done_cnt; i++)
		assert_int_equal(c->told.done[i].tag, i);
	assert_told_equals_store(&c->told.changes, load.s, "a/");
	assert_told_equals_store(&c->told.changes, load.s, "c/");
	store_free(load.s);
}

static void changes_that_fill_many_buffers_all_come(void **state)
{
	enum { TXNS = 10 };
	struct control *c = control_of(state);
	static uint8_t value[STORE_VALUE_MAX];
	char keys[STORE_TXN_OPS_MAX][16];
	struct store_op ops[STORE_TXN_OPS_MAX];

	assert_int_equal(store_thread_watch(c->t, bytes_str("b/"), 0), ERR_NONE);
	for (unsigned n = 0; n < TXNS; n++) {
		for (unsigned i = 0; i < STORE_TXN_OPS_MAX; i++) {
			snprintf(keys[i], sizeof(keys[i]), "b/%03u", n * STORE_TXN_OPS_MAX + i);
			ops[i] = (struct store_op){ STORE_PUT, bytes_str(keys[i]), BYTES_OF(value) };
		}
		const struct store_txn txn = { .ops = ops, .op_cnt = STORE_TXN_OPS_MAX };
		assert_int_equal(store_thread_submit(c->t, &txn, n), ERR_NONE);
	}
	await_done(c, TXNS);
	await_change(c, "b/639");
	assert_int_equal(c->told.changes.cnt, TXNS * STORE_TXN_OPS_MAX);
	for (unsigned i = 0; i < c->told.changes.cnt; i++) {
		char want[16];
		snprintf(want, sizeof(want), "b/%03u", i);
		assert_string_equal(c->told.changes.v[i].key, want);
		assert_int_equal(c->told.changes.v[i].value_len, STORE_VALUE_MAX);
	}
}

/* Deletions are remembered for so long only; a control that sleeps must not lose one. */
static void sleeping_control_holds_the_api_back(void **state)
{
	struct control *c = control_of(state);
	struct store *api = connect_api(c, 1500);
	unsigned n = 0;

	assert_int_equal(store_thread_watch(c->t, bytes_str("s/"), 0), ERR_NONE);
	struct store_result r = { 0 };
	while (r.err == ERR_NONE && n < 5000) {
		char key[16];
		snprintf(key, sizeof(key), "s/%04u", n++);
		r = do_op(api, put_op(key, "v"));
	}
	assert_int_equal(r.err, ERR_UNKNOWN_OUTCOME);
	assert_true(n > 200 && n < 600);
	/* It wakes: the one of unknown outcome is done as well, and the late answer does not disturb. */
	char last[16];
	snprintf(last, sizeof(last), "s/%04u", n - 1);
	await_change(c, last);
	assert_int_equal(c->told.changes.cnt, n);
	put(api, "s/more", "v");
	await_change(c, "s/more");
	store_free(api);
}

/* ---- both at once ---- */

static void *increment_by_api(void *arg)
{
	struct api_load *a = arg;
	for (unsigned done = 0; done < 300 && a->failed == 0;) {
		struct seen seen = { 0 };
		char text[32];
		if (store_get(a->s, bytes_str("n"), see_row, &seen) != ERR_NONE) {
			a->failed = 1;
			break;
		}
		snprintf(text, sizeof(text), "%lu", strtoul(seen.v[0].value, NULL, 10) + 1);
		struct store_result r = put_if(a->s, "n", text, seen.v[0].mod_rev);
		done += r.err == ERR_NONE;
		a->failed = r.err != ERR_NONE && r.err != ERR_CONFLICT;
		seen_clear(&seen);
	}
	return NULL;
}

/* Control knows the counter from its watch alone. */
static void api_and_control_lose_no_increment(void **state)
{
	struct control *c = control_of(state);
	struct api_load load = { .s = connect_api(c, PATIENCE_MS) };
	uint64_t end = clock_mono_ms() + PATIENCE_MS, base = put(load.s, "n", "0");
	unsigned own = 0;
	pthread_t id;
	struct seen_row row;

	assert_int_equal(store_thread_watch(c->t, bytes_str("n"), base - 1), ERR_NONE);
	await_change(c, "n");
	assert_int_equal(pthread_create(&id, NULL, increment_by_api, &load), 0);
	while (own < 300) {
		const struct seen_row *now = &c->told.changes.v[c->told.changes.cnt - 1];
		char text[32];
		snprintf(text, sizeof(text), "%lu", strtoul(now->value, NULL, 10) + 1);
		struct store_cmp cmp = { bytes_str("n"), now->mod_rev };
		struct store_op op = put_op("n", text);
		const struct store_txn txn = { .cmps = &cmp, .cmp_cnt = 1, .ops = &op, .op_cnt = 1 };
		assert_int_equal(store_thread_submit(c->t, &txn, 0), ERR_NONE);
		c->told.done_cnt = 0;
		await_done(c, 1);
		const struct store_result r = c->told.done[0].result;
		assert_true(r.err == ERR_NONE || r.err == ERR_CONFLICT);
		own += r.err == ERR_NONE;
		/* A conflict means that a newer change is on its way; a success is one. */
		while (c->told.changes.v[c->told.changes.cnt - 1].mod_rev <= cmp.mod_rev) {
			poll_once(c, 1000);
			assert_true(clock_mono_ms() < end);
		}
	}
	/* The api may have more to do, and would be held back by a control that sleeps. */
	while (pthread_tryjoin_np(id, NULL) != 0) {
		poll_once(c, 10);
		assert_true(clock_mono_ms() < end);
	}
	assert_int_equal(load.failed, 0);
	assert_int_equal(get_row(load.s, "n", &row), ERR_NONE);
	assert_string_equal(row.value, "600");
	store_free(load.s);
}

/* ---- history that is not there any more ---- */

static const struct store_engine *whole;
static unsigned forgetful; /* so often */

static enum err forget(struct store *s, struct bytes prefix, const struct store_pos *from, uint64_t upto, store_visit_fn *visit,
		       void *arg, uint64_t *ret_rev)
{
	if (forgetful != 0 && from->rev > 1) {
		forgetful--;
		return ERR_COMPACTED;
	}
	return whole->changes(s, prefix, from, upto, visit, arg, ret_rev);
}

static void lost_changes_are_told_and_later_ones_come(void **state)
{
	static struct store_engine engine;
	static struct control c;
	struct store *s;

	(void)state;
	assert_int_equal(store_memory_new(&s), ERR_NONE);
	whole = s->engine;
	engine = *whole;
	engine.changes = forget;
	s->engine = &engine;
	put(s, "w/0", "x");
	assert_int_equal(store_thread_start(s, -1, &role_all, &c.t), ERR_NONE);
	assert_int_equal(store_thread_watch(c.t, bytes_str("w/"), 0), ERR_NONE);
	await_change(&c, "w/0");
	assert_false(store_thread_lost(c.t));
	forgetful = 1;
	submit_put(&c, "w/1", "x", 1);
	await_done(&c, 1);
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	while (!store_thread_lost(c.t)) {
		assert_true(clock_mono_ms() < end);
		poll_once(&c, 10);
	}
	assert_false(store_thread_lost(c.t));
	submit_put(&c, "w/2", "x", 2);
	await_change(&c, "w/2");
	store_thread_stop(c.t);
	seen_clear(&c.told.changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_MEMORY(watch_tells_changes_of_control_and_api),
		ON_MEMORY(watch_begins_after_its_revision),
		ON_MEMORY(watch_that_cannot_be_kept_is_refused),
		ON_MEMORY(result_comes_before_its_change),
		ON_MEMORY(watch_misses_nothing_under_load),
		ON_SQLITE(watch_misses_nothing_under_load),
		ON_SQLITE(changes_that_fill_many_buffers_all_come),
		ON_MEMORY(sleeping_control_holds_the_api_back),
		ON_MEMORY(api_and_control_lose_no_increment),
		ON_SQLITE(api_and_control_lose_no_increment),
		{ "lost_changes_are_told_and_later_ones_come", lost_changes_are_told_and_later_ones_come, NULL, NULL, NULL },
		ON_MEMORY(seen_follows_what_was_handed_out),
		ON_SQLITE(seen_follows_what_was_handed_out),
		ON_MEMORY(changes_between_those_of_no_interest_all_come),
		ON_SQLITE(changes_between_those_of_no_interest_all_come),
	};
	return cmocka_run_group_tests_name("store thread, watches", tests, NULL, NULL);
}
