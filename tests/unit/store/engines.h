// The same test over every engine: memory, sqlite, and ipc in front of each; over etcd where ONRAMP_ETCD names one
// (tests/cluster/store.py).
// The thread of the test.
#pragma once

#include "harness.h"

struct fixture {
	struct store *s;
	struct store_thread *thread; /* serves s, for ipc */
	struct place place;
	bool has_place;
};

static inline struct fixture *fixture_of(void **state)
{
	return *state;
}

static inline struct store *store_of(void **state)
{
	return fixture_of(state)->s;
}

static inline struct fixture *make_memory(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(store_memory_new(&f->s), ERR_NONE);
	return f;
}

static inline struct fixture *make_sqlite(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	place_make(&f->place);
	f->has_place = true;
	assert_int_equal(store_sqlite_open(f->place.path, &f->s), ERR_NONE);
	return f;
}

/* Moves the store behind a thread and puts a client in its place. */
static inline struct fixture *put_behind_ipc(struct fixture *f)
{
	int fds[2];
	socket_pair(fds);
	assert_int_equal(store_thread_start(f->s, fds[0], &role_all, &f->thread), ERR_NONE);
	assert_int_equal(store_ipc_new(fds[1], 30000, &f->s), ERR_NONE);
	return f;
}

static inline int set_up_memory(void **state)
{
	*state = make_memory();
	return 0;
}

static inline int set_up_sqlite(void **state)
{
	*state = make_sqlite();
	return 0;
}

static inline int set_up_ipc_memory(void **state)
{
	*state = put_behind_ipc(make_memory());
	return 0;
}

static inline int set_up_ipc_sqlite(void **state)
{
	*state = put_behind_ipc(make_sqlite());
	return 0;
}

static inline int set_up_etcd(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->s = etcd_open_new();
	*state = f;
	return 0;
}

static inline int set_up_ipc_etcd(void **state)
{
	set_up_etcd(state);
	*state = put_behind_ipc(*state);
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	store_free(f->s);
	store_thread_stop(f->thread);
	if (f->has_place)
		place_remove(&f->place);
	free(f);
	return 0;
}

/* A row of a table of tests. */
#define ON_MEMORY(f) { "memory: " #f, f, set_up_memory, tear_down, NULL },
#define ON_SQLITE(f) { "sqlite: " #f, f, set_up_sqlite, tear_down, NULL },
#define ON_IPC_MEMORY(f) { "ipc, memory: " #f, f, set_up_ipc_memory, tear_down, NULL },
#define ON_IPC_SQLITE(f) { "ipc, sqlite: " #f, f, set_up_ipc_sqlite, tear_down, NULL },
#define ON_ETCD(f) { "etcd: " #f, f, set_up_etcd, tear_down, NULL },
#define ON_IPC_ETCD(f) { "ipc, etcd: " #f, f, set_up_ipc_etcd, tear_down, NULL },
