// The store thread seen from control: order, groups, changes under load, sockets replaced.
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "store/engine.h"

enum { PATIENCE_MS = 30000 };

/* What control has been told. */
struct told {
	struct store_done done[8192];
	size_t done_cnt;
	struct seen changes;
	bool change_before_done;
};

struct control {
	struct store_thread *t;
	struct told told;
	struct place place;
	bool has_place;
};

static struct control *control_of(void **state)
{
	return *state;
}

static int set_up(void **state)
{
	struct control *c = calloc(1, sizeof(*c));
	struct store *s;
	assert_non_null(c);
	assert_int_equal(store_memory_new(&s), ERR_NONE);
	assert_int_equal(store_thread_start(s, -1, &role_all, &c->t), ERR_NONE);
	*state = c;
	return 0;
}

static int set_up_sqlite(void **state)
{
	struct control *c = calloc(1, sizeof(*c));
	struct store *s;
	assert_non_null(c);
	place_make(&c->place);
	c->has_place = true;
	assert_int_equal(store_sqlite_open(c->place.path, &s), ERR_NONE);
	assert_int_equal(store_thread_start(s, -1, &role_all, &c->t), ERR_NONE);
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	struct control *c = *state;
	store_thread_stop(c->t);
	if (c->has_place)
		place_remove(&c->place);
	seen_clear(&c->told.changes);
	free(c);
	return 0;
}

static void note_done(void *arg, const struct store_done *done)
{
	struct control *c = arg;
	assert_true(c->told.done_cnt < ARRAY_LEN(c->told.done));
	c->told.done[c->told.done_cnt++] = *done;
}

static void note_change(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	see_row(&c->told.changes, row);
}

static void poll_once(struct control *c, int timeout_ms)
{
	struct pollfd pfd = { .fd = store_thread_fd(c->t), .events = POLLIN };
	if (poll(&pfd, 1, timeout_ms) == 1)
		store_thread_poll(c->t, note_done, note_change, c);
}

static void await_done(struct control *c, size_t cnt)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	while (c->told.done_cnt < cnt && clock_mono_ms() < end)
		poll_once(c, 1000);
	assert_int_equal(c->told.done_cnt, cnt);
}

static void await_change(struct control *c, const char *key)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	for (;;) {
		const struct seen *s = &c->told.changes;
		if (s->cnt != 0 && strcmp(s->v[s->cnt - 1].key, key) == 0)
			return;
		assert_true(clock_mono_ms() < end);
		poll_once(c, 1000);
	}
}

static enum err submit_op(struct control *c, struct store_op op, uint64_t tag)
{
	return store_thread_submit(c->t, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, tag);
}

static void submit_put(struct control *c, const char *key, const char *value, uint64_t tag)
{
	assert_int_equal(submit_op(c, put_op(key, value), tag), ERR_NONE);
}

static struct store *connect_api(struct control *c, unsigned timeout_ms)
{
	struct store *s;
	int fds[2];
	socket_pair(fds);
	assert_int_equal(store_thread_set_ipc(c->t, fds[0]), ERR_NONE);
	assert_int_equal(store_ipc_new(fds[1], timeout_ms, &s), ERR_NONE);
	return s;
}

/* ---- submitting ---- */

static void results_come_in_order_of_submission(void **state)
{
	struct control *c = control_of(state);

	for (uint64_t i = 0; i < 1000; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k/%u", (unsigned)(i % 10));
		submit_put(c, key, "v", 100 + i);
	}
	await_done(c, 1000);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(c->told.done[i].tag, 100 + i);
		assert_int_equal(c->told.done[i].result.err, ERR_NONE);
		assert_int_equal(c->told.done[i].result.rev, i + 1);
	}
}

static void each_result_of_a_group_stands_by_itself(void **state)
{
	struct control *c = control_of(state);
	static uint8_t big[STORE_VALUE_MAX + 1];
	struct store_cmp absent = { bytes_str("k"), 0 };
	struct store_op op = put_op("k", "v"), bad = { STORE_PUT, bytes_str("k"), BYTES_OF(big) };

	for (unsigned i = 0; i < 60; i++) {
		struct store_txn txn = { .cmps = &absent, .cmp_cnt = 1, .ops = &op, .op_cnt = 1 };
		if (i % 3 == 1)
			txn = (struct store_txn){ .ops = &bad, .op_cnt = 1 };
		else if (i % 3 == 2)
			txn.cmp_cnt = 0;
		assert_int_equal(store_thread_submit(c->t, &txn, i), ERR_NONE);
	}
	await_done(c, 60);
	for (unsigned i = 0; i < 60; i++) {
		enum err want = i == 0 || i % 3 == 2 ? ERR_NONE : i % 3 == 1 ? ERR_RANGE : ERR_CONFLICT;
		assert_int_equal(c->told.done[i].tag, i);
		assert_int_equal(c->told.done[i].result.err, want);
	}
}

static void submitted_transaction_is_a_copy(void **state)
{
	struct control *c = control_of(state);
	char key[8] = "k", value[8] = "right";

	submit_put(c, key, value, 1);
	memset(key, 'x', sizeof(key));
	memset(value, 'x', sizeof(value));
	await_done(c, 1);
	struct store *api = connect_api(c, PATIENCE_MS);
	struct seen_row row;
	assert_int_equal(get_row(api, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "right");
	store_free(api);
}

static void too_many_under_way_are_refused_until_polled(void **state)
{
	struct control *c = control_of(state);

	for (uint64_t i = 0; i < STORE_THREAD_SUBMIT_MAX; i++)
		submit_put(c, "k", "v", i);
	assert_int_equal(submit_op(c, put_op("k", "v"), 0), ERR_FULL);
	await_done(c, STORE_THREAD_SUBMIT_MAX);
	submit_put(c, "k", "v", 1);
	await_done(c, STORE_THREAD_SUBMIT_MAX + 1);
}

static void resubmit(void *arg, const struct store_done *done)
{
	struct control *c = arg;
	note_done(arg, done);
	if (done->tag < 50)
		submit_put(c, "k", "v", done->tag + 1);
}

static void callbacks_may_submit(void **state)
{
	struct control *c = control_of(state);
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	submit_put(c, "k", "v", 0);
	while (c->told.done_cnt < 51 && clock_mono_ms() < end) {
		struct pollfd pfd = { .fd = store_thread_fd(c->t), .events = POLLIN };
		if (poll(&pfd, 1, 1000) == 1)
			store_thread_poll(c->t, resubmit, note_change, c);
	}
	assert_int_equal(c->told.done_cnt, 51);
}

static void stop_commits_what_waits(void **state)
{
	struct control *c = control_of(state);
	struct store *s;
	struct seen seen = { 0 };

	for (unsigned i = 0; i < 500; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k/%03u", i);
		submit_put(c, key, "v", i);
	}
	store_thread_stop(c->t);
	c->t = NULL;
	assert_int_equal(store_sqlite_open(c->place.path, &s), ERR_NONE);
	list(s, "k/", "", 0, &seen);
	assert_int_equal(seen.cnt, 500);
	store_free(s);
	seen_clear(&seen);
}

static void stop_of_nothing_is_fine(void **state)
{
	(void)state;
	store_thread_stop(NULL);
}

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

/* ---- the api's socket ---- */

static void replaced_socket_is_served_and_the_old_one_closed(void **state)
{
	struct control *c = control_of(state);
	struct store *old = connect_api(c, PATIENCE_MS);
	struct seen_row row;

	put(old, "k", "v");
	struct store *new = connect_api(c, PATIENCE_MS);
	assert_int_equal(get_row(new, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "v");
	assert_int_equal(get_row(old, "k", &row), ERR_AWAY);
	assert_int_equal(do_op(old, put_op("k", "w")).err, ERR_AWAY);
	store_free(old);
	put(new, "k", "w");
	/* A client that goes away is no harm, and another may come. */
	store_free(new);
	new = connect_api(c, PATIENCE_MS);
	assert_int_equal(get_row(new, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "w");
	assert_int_equal(store_thread_set_ipc(c->t, -1), ERR_NONE);
	assert_int_equal(get_row(new, "k", &row), ERR_AWAY);
	store_free(new);
	submit_put(c, "k", "x", 1);
	await_done(c, 1);
}

static void quickly_replaced_sockets_do_not_leak(void **state)
{
	struct control *c = control_of(state);
	int fds[2];

	for (unsigned i = 0; i < 2000; i++) {
		socket_pair(fds);
		assert_int_equal(store_thread_set_ipc(c->t, fds[0]), ERR_NONE);
		close(fds[1]);
	}
	struct store *api = connect_api(c, PATIENCE_MS);
	put(api, "k", "v");
	/* The next free descriptor is a small one. */
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fd < 100);
	close(fd);
	store_free(api);
}

struct junk {
	int fd;
	_Atomic bool stop;
};

static void *send_junk(void *arg)
{
	struct junk *j = arg;
	static uint8_t bytes[50000];
	for (unsigned i = 0; !j->stop; i++) {
		for (unsigned k = 0; k < 16; k++)
			bytes[k] = (uint8_t)(i * 31 + k);
		if (send(j->fd, bytes, 1 + i * 37 % sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			usleep(100);
	}
	return NULL;
}

static void junk_on_the_socket_does_not_stop_control(void **state)
{
	struct control *c = control_of(state);
	struct junk j = { 0 };
	pthread_t id;
	int fds[2];

	socket_pair(fds);
	j.fd = fds[1];
	assert_int_equal(store_thread_set_ipc(c->t, fds[0]), ERR_NONE);
	assert_int_equal(pthread_create(&id, NULL, send_junk, &j), 0);
	for (unsigned i = 0; i < 500; i++) {
		submit_put(c, "k", "v", i);
		await_done(c, i + 1);
	}
	j.stop = true;
	assert_int_equal(pthread_join(id, NULL), 0);
	close(fds[1]);
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

/* ---- reads ---- */

static void read_gives_the_row_and_then_the_result(void **state)
{
	struct control *c = control_of(state);

	submit_put(c, "a", "1", 1);
	submit_put(c, "ab", "2", 2);
	assert_int_equal(store_thread_read(c->t, bytes_str("a"), 3), ERR_NONE);
	submit_put(c, "a", "3", 4);
	await_done(c, 4);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(c->told.done[i].tag, i + 1);
	assert_int_equal(c->told.done[2].result.err, ERR_NONE);
	assert_int_equal(c->told.done[2].row_cnt, 1);
	assert_keys(&c->told.changes, "a"); /* nothing is watched */
	assert_string_equal(c->told.changes.v[0].value, "1");
	assert_int_equal(c->told.changes.v[0].mod_rev, c->told.done[0].result.rev);
	assert_true(c->told.done[2].result.rev >= c->told.done[1].result.rev);
}

static void read_of_nothing_is_a_deletion_at_its_revision(void **state)
{
	struct control *c = control_of(state);

	submit_put(c, "keys", "1", 1); /* begins with what is asked for */
	assert_int_equal(store_thread_read(c->t, bytes_str("key"), 2), ERR_NONE);
	await_done(c, 2);
	assert_keys(&c->told.changes, "-key");
	assert_int_equal(c->told.changes.v[0].mod_rev, c->told.done[1].result.rev);
	assert_int_equal(c->told.done[1].result.rev, c->told.done[0].result.rev);
	assert_int_equal(store_thread_read(c->t, bytes_str(""), 3), ERR_RANGE);
}

static void list_comes_in_pages(void **state)
{
	struct control *c = control_of(state);
	char key[8];

	for (unsigned i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "p/%u", i);
		submit_put(c, key, "x", 0);
	}
	submit_put(c, "q", "x", 0);
	assert_int_equal(store_thread_list(c->t, bytes_str("p/"), bytes_str(""), 4, 1), ERR_NONE);
	assert_int_equal(store_thread_list(c->t, bytes_str("p/"), bytes_str("p/3"), 4, 2), ERR_NONE);
	assert_int_equal(store_thread_list(c->t, bytes_str("p/"), bytes_str("p/7"), 4, 3), ERR_NONE);
	await_done(c, 14);
	assert_keys(&c->told.changes, "p/0 p/1 p/2 p/3 p/4 p/5 p/6 p/7 p/8 p/9");
	assert_int_equal(c->told.done[11].row_cnt, 4);
	assert_int_equal(c->told.done[13].row_cnt, 2);
	assert_int_equal(store_thread_list(c->t, bytes_str("p/"), bytes_str(""), 0, 4), ERR_RANGE);
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

#define ON_MEMORY(f) { #f, f, set_up, tear_down, NULL }
#define ON_SQLITE(f) { "sqlite: " #f, f, set_up_sqlite, tear_down, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_MEMORY(results_come_in_order_of_submission),
		ON_SQLITE(results_come_in_order_of_submission),
		ON_MEMORY(each_result_of_a_group_stands_by_itself),
		ON_SQLITE(each_result_of_a_group_stands_by_itself),
		ON_MEMORY(submitted_transaction_is_a_copy),
		ON_MEMORY(too_many_under_way_are_refused_until_polled),
		ON_MEMORY(callbacks_may_submit),
		ON_SQLITE(stop_commits_what_waits),
		ON_MEMORY(stop_of_nothing_is_fine),
		ON_MEMORY(watch_tells_changes_of_control_and_api),
		ON_MEMORY(watch_begins_after_its_revision),
		ON_MEMORY(watch_that_cannot_be_kept_is_refused),
		ON_MEMORY(result_comes_before_its_change),
		ON_MEMORY(watch_misses_nothing_under_load),
		ON_SQLITE(watch_misses_nothing_under_load),
		ON_SQLITE(changes_that_fill_many_buffers_all_come),
		ON_MEMORY(sleeping_control_holds_the_api_back),
		ON_MEMORY(replaced_socket_is_served_and_the_old_one_closed),
		ON_MEMORY(quickly_replaced_sockets_do_not_leak),
		ON_MEMORY(junk_on_the_socket_does_not_stop_control),
		ON_MEMORY(api_and_control_lose_no_increment),
		ON_SQLITE(api_and_control_lose_no_increment),
		{ "lost_changes_are_told_and_later_ones_come", lost_changes_are_told_and_later_ones_come, NULL, NULL, NULL },
		ON_MEMORY(read_gives_the_row_and_then_the_result),
		ON_SQLITE(read_gives_the_row_and_then_the_result),
		ON_MEMORY(read_of_nothing_is_a_deletion_at_its_revision),
		ON_SQLITE(read_of_nothing_is_a_deletion_at_its_revision),
		ON_MEMORY(list_comes_in_pages),
		ON_SQLITE(list_comes_in_pages),
		ON_MEMORY(seen_follows_what_was_handed_out),
		ON_SQLITE(seen_follows_what_was_handed_out),
		ON_MEMORY(changes_between_those_of_no_interest_all_come),
		ON_SQLITE(changes_between_those_of_no_interest_all_come),
	};
	return cmocka_run_group_tests_name("store thread", tests, NULL, NULL);
}
