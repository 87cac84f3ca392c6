// The store thread seen from control: transactions and reads in order, groups, the api's socket replaced.
#include "thread_rig.h"

#include <fcntl.h>
#include <pthread.h>

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
		if (i % 100 < 50) /* what it asks for as well is in nobody's way */
			assert_int_equal(store_thread_read(c->t, bytes_str(key), 1000 + i), ERR_NONE);
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
		ON_MEMORY(replaced_socket_is_served_and_the_old_one_closed),
		ON_MEMORY(quickly_replaced_sockets_do_not_leak),
		ON_MEMORY(junk_on_the_socket_does_not_stop_control),
		ON_MEMORY(read_gives_the_row_and_then_the_result),
		ON_SQLITE(read_gives_the_row_and_then_the_result),
		ON_MEMORY(read_of_nothing_is_a_deletion_at_its_revision),
		ON_SQLITE(read_of_nothing_is_a_deletion_at_its_revision),
		ON_MEMORY(list_comes_in_pages),
		ON_SQLITE(list_comes_in_pages),
	};
	return cmocka_run_group_tests_name("store thread", tests, NULL, NULL);
}
