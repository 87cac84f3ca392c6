#include "store/copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "model/key.h"

/* Well within what etcd takes in one request. */
#define BATCH_BYTES (256 * 1024)

/* Keys and values of one transaction to be. */
struct batch {
	struct store *to;
	enum err err;
	struct store_copied done;
	size_t op_cnt, used;
	struct store_op ops[STORE_TXN_OPS_MAX];
	uint8_t room[BATCH_BYTES + STORE_KEY_MAX + STORE_VALUE_MAX];
};

/* What belongs to this store and its processes, not to what is in it. */
static bool is_local(struct bytes key)
{
	return bytes_eq(key, bytes_str(MODEL_KEY_MOVED)) || bytes_eq(key, bytes_str(MODEL_KEY_COPYING)) ||
	       bytes_starts(key, bytes_str(MODEL_KEY_NODES));
}

static void flush(struct batch *b)
{
	const struct store_txn txn = { .ops = b->ops, .op_cnt = b->op_cnt };

	if (b->err == ERR_NONE && b->op_cnt != 0)
		b->err = store_commit(b->to, &txn).err;
	b->op_cnt = b->used = 0;
}

static struct bytes keep(struct batch *b, struct bytes what)
{
	struct wr w = wr_of((struct space){ b->room + b->used, sizeof(b->room) - b->used });

	wr_put(&w, what);
	must(!w.bad);
	b->used += what.len;
	return wr_bytes(&w);
}

static void add(struct batch *b, enum store_op_kind kind, const struct store_row *row)
{
	struct bytes value = kind == STORE_PUT ? row->value : (struct bytes){ NULL, 0 };

	if (b->err != ERR_NONE || is_local(row->key))
		return;
	if (b->op_cnt == STORE_TXN_OPS_MAX || b->used > BATCH_BYTES)
		flush(b);
	struct bytes key = keep(b, row->key);
	b->ops[b->op_cnt++] = (struct store_op){ kind, key, keep(b, value) };
	b->done.cnt++;
	b->done.bytes += row->key.len + value.len;
}

static void add_put(void *arg, const struct store_row *row)
{
	add(arg, STORE_PUT, row);
}

static void add_delete(void *arg, const struct store_row *row)
{
	add(arg, STORE_DELETE, row);
}

/* Each row of `from` becomes an operation in `to`. A row function must not call its own store: to delete, page by page. */
static enum err apply_rows(struct batch *b, struct store *from, store_row_fn *fn, size_t limit)
{
	size_t before;

	do {
		before = b->done.cnt;
		enum err e = store_range(from, (struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }, limit, fn, b, NULL);
		if (e != ERR_NONE)
			return e;
		flush(b);
	} while (limit != 0 && b->err == ERR_NONE && b->done.cnt != before);
	return b->err;
}

/* ---- comparing ---- */

struct sum {
	size_t cnt;
	struct siphash_key chain;
};

static void add_sum(void *arg, const struct store_row *row)
{
	struct sum *s = arg;

	if (is_local(row->key))
		return;
	s->cnt++;
	s->chain.k0 = siphash(&s->chain, row->key);
	s->chain.k1 = siphash(&s->chain, row->value);
}

static enum err sum_of(struct store *s, struct sum *ret)
{
	struct sum sum = { 0 };

	enum err e = store_range(s, (struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }, 0, add_sum, &sum, NULL);
	if (e == ERR_NONE)
		*ret = sum;
	return e;
}

static enum err compare(struct store *from, struct store *to)
{
	struct sum a, b;

	enum err e = sum_of(from, &a);
	if (e == ERR_NONE)
		e = sum_of(to, &b);
	if (e != ERR_NONE)
		return e;
	return a.cnt == b.cnt && a.chain.k0 == b.chain.k0 && a.chain.k1 == b.chain.k1 ? ERR_NONE : ERR_CONFLICT;
}

/* ---- marks ---- */

static void see(void *arg, const struct store_row *row)
{
	(void)row;
	*(bool *)arg = true;
}

static enum err has(struct store *s, const char *key, bool *ret)
{
	*ret = false;
	enum err e = store_get(s, bytes_str(key), see, ret);
	return e == ERR_NOTFOUND ? ERR_NONE : e;
}

static enum err set_mark(struct store *s, const char *key, enum store_op_kind kind)
{
	static const uint8_t version = 1;
	const struct store_op op = { kind, bytes_str(key), kind == STORE_PUT ? bytes_of(&version, 1) : (struct bytes){ NULL, 0 } };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };

	return store_commit(s, &txn).err;
}

MUST_USE enum err store_copy_check(struct store *s)
{
	bool moved, copying = false;

	enum err e = has(s, MODEL_KEY_MOVED, &moved);
	if (e == ERR_NONE)
		e = has(s, MODEL_KEY_COPYING, &copying);
	return e != ERR_NONE ? e : moved ? ERR_CLOSED : copying ? ERR_AGAIN : ERR_NONE;
}

/* ---- the whole ---- */

/* *ret_again: the target is what an interrupted copy left. */
static enum err check_ends(struct store *from, struct store *to, bool *ret_again)
{
	bool moved, again, used = false;
	struct sum source;

	enum err e = has(from, MODEL_KEY_MOVED, &moved);
	if (e == ERR_NONE)
		e = has(to, MODEL_KEY_COPYING, &again);
	if (e == ERR_NONE && !again)
		e = store_range(to, (struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }, 1, see, &used, NULL);
	if (e == ERR_NONE)
		e = sum_of(from, &source);
	if (e != ERR_NONE)
		return e;
	if (moved && !again)
		return ERR_CLOSED;
	if (used)
		return ERR_EXISTS;
	*ret_again = again;
	return source.cnt == 0 ? ERR_NOTFOUND : ERR_NONE;
}

static enum err copy_rows(struct batch *b, struct store *from, bool again)
{
	enum err e = set_mark(b->to, MODEL_KEY_COPYING, STORE_PUT);

	if (e == ERR_NONE && again)
		e = apply_rows(b, b->to, add_delete, STORE_TXN_OPS_MAX);
	b->done = (struct store_copied){ 0 };
	return e != ERR_NONE ? e : apply_rows(b, from, add_put, 0);
}

MUST_USE enum err store_copy(struct store *from, struct store *to, struct store_copied *ret)
{
	bool again;

	enum err e = check_ends(from, to, &again);
	if (e != ERR_NONE)
		return e;
	struct batch *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return ERR_MEMORY;
	b->to = to;
	e = copy_rows(b, from, again);
	if (e == ERR_NONE)
		e = compare(from, to);
	if (e == ERR_NONE)
		e = set_mark(from, MODEL_KEY_MOVED, STORE_PUT);
	if (e == ERR_NONE)
		e = set_mark(to, MODEL_KEY_COPYING, STORE_DELETE);
	if (e == ERR_NONE)
		*ret = b->done;
	free(b);
	return e;
}
