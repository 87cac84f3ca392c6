// A store thread as control has it: what it has told, and ways to wait for it.
// The thread of the test, as the control thread.
#pragma once

#include "harness.h"

#include <poll.h>

#include "base/clock.h"

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

static inline struct control *control_of(void **state)
{
	return *state;
}

static inline int set_up(void **state)
{
	struct control *c = calloc(1, sizeof(*c));
	struct store *s;
	assert_non_null(c);
	assert_int_equal(store_memory_new(&s), ERR_NONE);
	assert_int_equal(store_thread_start(s, -1, &role_all, &c->t), ERR_NONE);
	*state = c;
	return 0;
}

static inline int set_up_sqlite(void **state)
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

static inline int tear_down(void **state)
{
	struct control *c = *state;
	store_thread_stop(c->t);
	if (c->has_place)
		place_remove(&c->place);
	seen_clear(&c->told.changes);
	free(c);
	return 0;
}

static inline void note_done(void *arg, const struct store_done *done)
{
	struct control *c = arg;
	assert_true(c->told.done_cnt < ARRAY_LEN(c->told.done));
	c->told.done[c->told.done_cnt++] = *done;
}

static inline void note_change(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	see_row(&c->told.changes, row);
}

static inline void poll_once(struct control *c, int timeout_ms)
{
	struct pollfd pfd = { .fd = store_thread_fd(c->t), .events = POLLIN };
	if (poll(&pfd, 1, timeout_ms) == 1)
		store_thread_poll(c->t, note_done, note_change, c);
}

static inline void await_done(struct control *c, size_t cnt)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	while (c->told.done_cnt < cnt && clock_mono_ms() < end)
		poll_once(c, 1000);
	assert_int_equal(c->told.done_cnt, cnt);
}

static inline void await_change(struct control *c, const char *key)
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

static inline enum err submit_op(struct control *c, struct store_op op, uint64_t tag)
{
	return store_thread_submit(c->t, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, tag);
}

static inline void submit_put(struct control *c, const char *key, const char *value, uint64_t tag)
{
	assert_int_equal(submit_op(c, put_op(key, value), tag), ERR_NONE);
}

static inline struct store *connect_api(struct control *c, unsigned timeout_ms)
{
	struct store *s;
	int fds[2];
	socket_pair(fds);
	assert_int_equal(store_thread_set_ipc(c->t, fds[0]), ERR_NONE);
	assert_int_equal(store_ipc_new(fds[1], timeout_ms, &s), ERR_NONE);
	return s;
}

/* A row of a table of tests. */
#define ON_MEMORY(f) { #f, f, set_up, tear_down, NULL }
#define ON_SQLITE(f) { "sqlite: " #f, f, set_up_sqlite, tear_down, NULL }
