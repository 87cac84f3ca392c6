// What the tests of the store share: short ways to write and read, and places to keep a store.
// The thread of the test.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store/thread.h"

/* ---- a folder with a database, gone after the test ---- */

struct place {
	char dir[64];
	char path[96];
};

static inline void place_make(struct place *p)
{
	snprintf(p->dir, sizeof(p->dir), "/tmp/onramp-store-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/db", p->dir);
}

static inline void place_remove(const struct place *p)
{
	static const char *const tails[] = { "", "-wal", "-shm", "-journal" };
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		snprintf(path, sizeof(path), "%s%s", p->path, tails[i]);
		unlink(path);
	}
	rmdir(p->dir);
}

/* ---- etcd, where a script has started one ----
 * ONRAMP_ETCD: "192.0.2.1:2379 192.0.2.1:2380", ONRAMP_ETCD_TLS: the folder of ca.pem, client.pem, client.key. */

static inline bool etcd_is_there(void)
{
	return getenv("ONRAMP_ETCD") != NULL;
}

static inline char *read_text(const char *dir, const char *name)
{
	enum { TEXT_MAX = 16384 };
	char path[256], *text = calloc(1, TEXT_MAX);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "r");
	assert_non_null(text);
	assert_non_null(f);
	assert_true(fread(text, 1, TEXT_MAX - 1, f) > 0);
	fclose(f);
	return text;
}

enum { ETCD_ENDPOINTS_MAX = 8 };

static inline size_t etcd_endpoints(struct addr_endpoint ret[static ETCD_ENDPOINTS_MAX])
{
	char list[256], *save = NULL;
	size_t cnt = 0;

	snprintf(list, sizeof(list), "%s", getenv("ONRAMP_ETCD"));
	for (char *word = strtok_r(list, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		char *colon = strrchr(word, ':');
		assert_non_null(colon);
		assert_true(cnt < ETCD_ENDPOINTS_MAX);
		ret[cnt].port = (uint16_t)atoi(colon + 1);
		assert_int_equal(addr_parse(bytes_of(word, (size_t)(colon - word)), &ret[cnt++].addr), ERR_NONE);
	}
	return cnt;
}

/* ca: the name of a file in the folder. */
static inline enum err etcd_try_open(const struct addr_endpoint *endpoints, size_t cnt, const char *ca,
				     const char *prefix, unsigned timeout_ms, struct store **ret)
{
	const char *dir = getenv("ONRAMP_ETCD_TLS");
	assert_non_null(dir);
	char *ca_pem = read_text(dir, ca), *cert = read_text(dir, "client.pem"), *key = read_text(dir, "client.key");
	const struct store_etcd_config c = { .endpoints = endpoints, .endpoint_cnt = cnt, .ca_pem = ca_pem, .cert_pem = cert,
					     .key_pem = key, .prefix = prefix, .timeout_ms = timeout_ms };
	enum err err = store_etcd_open(&c, ret);
	free(ca_pem);
	free(cert);
	free(key);
	return err;
}

/* The endpoints from the one with index `first` on, the others behind it. */
static inline struct store *etcd_open_at(const char *prefix, size_t first, unsigned timeout_ms)
{
	struct addr_endpoint all[ETCD_ENDPOINTS_MAX], turned[ETCD_ENDPOINTS_MAX];
	size_t cnt = etcd_endpoints(all);
	struct store *s;

	for (size_t i = 0; i < cnt; i++)
		turned[i] = all[(first + i) % cnt];
	assert_int_equal(etcd_try_open(turned, cnt, "ca.pem", prefix, timeout_ms, &s), ERR_NONE);
	return s;
}

/* Over keys that nobody else has. */
static inline const char *etcd_new_prefix(void)
{
	static char prefix[64];
	static unsigned cnt;
	snprintf(prefix, sizeof(prefix), "test-%d-%u/", getpid(), cnt++);
	return prefix;
}

static inline struct store *etcd_open_new(void)
{
	return etcd_open_at(etcd_new_prefix(), 0, 8000);
}

/* ---- writing ---- */

static inline struct store_op put_op(const char *key, const char *value)
{
	return (struct store_op){ STORE_PUT, bytes_str(key), bytes_str(value) };
}

static inline struct store_op delete_op(const char *key)
{
	return (struct store_op){ STORE_DELETE, bytes_str(key), { 0 } };
}

static inline struct store_result put_if(struct store *s, const char *key, const char *value, uint64_t mod_rev)
{
	struct store_cmp cmp = { bytes_str(key), mod_rev };
	struct store_op op = put_op(key, value);
	return store_commit(s, &(struct store_txn){ .cmps = &cmp, .cmp_cnt = 1, .ops = &op, .op_cnt = 1 });
}

static inline struct store_result do_op(struct store *s, struct store_op op)
{
	return store_commit(s, &(struct store_txn){ .ops = &op, .op_cnt = 1 });
}

static inline uint64_t put(struct store *s, const char *key, const char *value)
{
	struct store_result r = do_op(s, put_op(key, value));
	assert_int_equal(r.err, ERR_NONE);
	return r.rev;
}

static inline uint64_t delete_one(struct store *s, const char *key)
{
	struct store_result r = do_op(s, delete_op(key));
	assert_int_equal(r.err, ERR_NONE);
	return r.rev;
}

/* ---- reading ---- */

struct seen_row {
	char key[STORE_KEY_MAX + 2];
	size_t key_len;
	char value[64]; /* its beginning */
	size_t value_len;
	uint64_t create_rev, mod_rev;
	bool deleted;
};

struct seen {
	struct seen_row *v;
	size_t cnt, cap;
};

static inline void see_row(void *arg, const struct store_row *row)
{
	struct seen *s = arg;
	if (s->cnt == s->cap) {
		s->cap = s->cap == 0 ? 64 : s->cap * 2;
		s->v = realloc(s->v, s->cap * sizeof(*s->v));
		assert_non_null(s->v);
	}
	struct seen_row *d = &s->v[s->cnt++];
	memset(d, 0, sizeof(*d));
	assert_true(row->key.len <= STORE_KEY_MAX);
	memcpy(d->key, row->key.p, row->key.len);
	if (row->value.len != 0)
		memcpy(d->value, row->value.p, row->value.len < 63 ? row->value.len : 63);
	d->key_len = row->key.len;
	d->value_len = row->value.len;
	d->create_rev = row->create_rev;
	d->mod_rev = row->mod_rev;
	d->deleted = row->deleted;
}

static inline void seen_clear(struct seen *s)
{
	free(s->v);
	*s = (struct seen){ 0 };
}

static inline enum err get_row(struct store *s, const char *key, struct seen_row *ret)
{
	struct seen seen = { 0 };
	enum err err = store_get(s, bytes_str(key), see_row, &seen);
	assert_int_equal(seen.cnt, err == ERR_NONE ? 1 : 0);
	if (err == ERR_NONE)
		*ret = seen.v[0];
	seen_clear(&seen);
	return err;
}

static inline uint64_t list(struct store *s, const char *prefix, const char *after, size_t limit, struct seen *ret)
{
	uint64_t rev = 0;
	seen_clear(ret);
	assert_int_equal(store_range(s, bytes_str(prefix), bytes_str(after), limit, see_row, ret, &rev), ERR_NONE);
	return rev;
}

static inline uint64_t changes(struct store *s, const char *prefix, uint64_t from, struct seen *ret)
{
	uint64_t rev = 0;
	seen_clear(ret);
	assert_int_equal(store_changes(s, bytes_str(prefix), from, see_row, ret, &rev), ERR_NONE);
	return rev;
}

/* "a b c": the keys in the order in which they came, deleted ones with a minus sign. */
static inline void assert_keys(const struct seen *s, const char *want)
{
	char got[1024] = "";
	size_t at = 0;
	for (size_t i = 0; i < s->cnt; i++)
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%s%s", i == 0 ? "" : " ",
				       s->v[i].deleted ? "-" : "", s->v[i].key);
	assert_string_equal(got, want);
}

/* ---- sockets ---- */

static inline void socket_pair(int fds[static 2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

static const char *const all_keys[] = { "", NULL };
static const struct store_role role_all = { .read = NULL, .write = all_keys };
