// Transactions. Several go to etcd in one, each nested in it with its own comparisons: one entry of its log and one
// write to its disk for all. Their keys do not touch each other, as etcd compares before it writes any. Beside them stands
// a put of the group's own: etcd counts no nested one against its quota.
//
// Each transaction that is applied also writes its mark: the serial number of the group. The group compares the
// fence, a key that is written only after an outcome was lost: that done, what is still under way cannot be applied any
// more, and the marks tell what has been. So a lost answer is an unknown outcome only while etcd is away as well.
//
// Marks belong to no lease on purpose: one that lapsed in an outage would take the fence away.
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "store/etcd.h"

enum {
	GROUP_MAX = 48,            /* etcd allows 128 operations; nested ones have what those around them leave */
	GROUP_BYTES_MAX = 1000000, /* etcd takes 1.5 MiB */
	DROP_MS = 500,
	SWEEP_MAX = 64,
	SWEEP_AGE_S = 86400,
	MARK_LEN = 16,
};
_Static_assert(GROUP_MAX + 1 + STORE_TXN_OPS_MAX + 1 <= 128, "etcd's --max-txn-ops");
_Static_assert(STORE_TXN_OPS_MAX * (STORE_VALUE_MAX + STORE_ETCD_KEY_MAX) < 1400000, "etcd's --max-request-bytes");

/* Transactions that go in one; what borrows from the caller's. */
struct group {
	const struct store_txn *txns;
	struct store_result *results;
	size_t v[GROUP_MAX]; /* indexes in both */
	size_t cnt;
	size_t bytes;
};

struct cmp_item {
	Etcd__Compare cmp;
	struct store_etcd_key key;
};

struct op_item {
	Etcd__Op op;
	Etcd__PutRequest put;
	Etcd__DeleteRequest del;
	struct store_etcd_key key;
};

/* A nested transaction. */
struct sub_item {
	Etcd__Op op;
	Etcd__TxnRequest txn;
};

/* A group as etcd's request. Items and the lists that protobuf-c wants of them. */
struct request {
	struct cmp_item *cmps;
	struct op_item *ops;
	struct sub_item *subs;
	Etcd__Compare **cmp_list;
	Etcd__Op **op_list, **sub_list;
	size_t cmp_cnt, op_cnt; /* used so far */
	uint8_t mark[MARK_LEN];
	Etcd__TxnRequest outer;
	struct store_etcd_key fence_key;
	Etcd__Compare fence;
	Etcd__RangeRequest look;
	Etcd__Op look_op, *look_list[1];
};

/* ---- marks and the fence ---- */

static struct store_etcd_key mark_key(const struct etcd *e, const char *slot)
{
	char rest[32];
	int n = snprintf(rest, sizeof(rest), "%016llx/%s", (unsigned long long)e->id, slot);

	return store_etcd_key(e, "txn/", bytes_of(rest, (size_t)n));
}

static struct store_etcd_key fence_key(const struct etcd *e)
{
	return mark_key(e, "fence");
}

static void write_mark(const struct etcd *e, uint8_t b[static MARK_LEN])
{
	struct wr w = wr_of((struct space){ b, MARK_LEN });

	wr_u64(&w, e->serial);
	wr_u64(&w, clock_unix_us() / 1000000);
}

static void compare_fence(const struct etcd *e, const struct store_etcd_key *key, Etcd__Compare *cmp)
{
	*cmp = (Etcd__Compare)ETCD__COMPARE__INIT;
	cmp->target = ETCD__COMPARE__TARGET__MOD;
	cmp->key = store_etcd_blob(store_etcd_key_bytes(key));
	cmp->target_union_case = ETCD__COMPARE__TARGET_UNION_MOD_REVISION;
	cmp->mod_revision = (int64_t)e->fence_rev;
}

/* From the answer of one who found the fence changed. */
static void learn_fence(struct etcd *e, const Etcd__TxnResponse *r)
{
	const Etcd__OpResponse *op = r->n_responses == 1 ? r->responses[0] : NULL;
	bool there = op != NULL && op->response_case == ETCD__OP_RESPONSE__RESPONSE_RANGE && op->range->n_kvs == 1;

	e->fence_rev = there ? (uint64_t)op->range->kvs[0]->mod_revision : 0;
}

static enum err ask_txn(struct etcd *e, const Etcd__TxnRequest *q, const struct store_etcd_patience *p,
			Etcd__TxnResponse **ret)
{
	struct store_grpc_answer a;
	enum err err = store_etcd_ask(e, "/etcdserverpb.KV/Txn", &q->base, p, &a);

	if (err != ERR_NONE)
		return err;
	*ret = etcd__txn_response__unpack(NULL, a.msg.len, a.msg.p);
	if (*ret == NULL)
		return ERR_SYSTEM;
	store_etcd_note_rev(e, (*ret)->header);
	return ERR_NONE;
}

MUST_USE enum err store_etcd_settle(struct etcd *e, const struct store_etcd_patience *p)
{
	const struct store_etcd_key key = fence_key(e);
	uint8_t mark[MARK_LEN];
	Etcd__Compare cmp, *cmps[] = { &cmp };
	Etcd__PutRequest put = ETCD__PUT_REQUEST__INIT;
	Etcd__RangeRequest get = ETCD__RANGE_REQUEST__INIT;
	Etcd__Op raise = ETCD__OP__INIT, look = ETCD__OP__INIT, *raises[] = { &raise }, *looks[] = { &look };
	Etcd__TxnRequest q = ETCD__TXN_REQUEST__INIT;
	Etcd__TxnResponse *r;

	if (!e->unsettled)
		return ERR_NONE;
	compare_fence(e, &key, &cmp);
	write_mark(e, mark);
	put.key = get.key = cmp.key;
	put.value = store_etcd_blob(BYTES_OF(mark));
	raise.request_case = ETCD__OP__REQUEST_PUT;
	raise.put = &put;
	look.request_case = ETCD__OP__REQUEST_RANGE;
	look.range = &get;
	q.n_compare = q.n_success = q.n_failure = 1;
	q.compare = cmps;
	q.success = raises;
	q.failure = looks;
	/* Asking again is fine: only one attempt can raise it, and then it is raised. */
	enum err err = ask_txn(e, &q, p, &r);
	/* A full etcd applies nothing else that writes either: reads need not wait for it to be emptied. */
	if (err != ERR_NONE)
		return err == ERR_FULL ? ERR_NONE : err;
	if (r->succeeded)
		e->fence_rev = r->header == NULL ? 0 : (uint64_t)r->header->revision;
	else
		learn_fence(e, r);
	etcd__txn_response__free_unpacked(r, NULL);
	e->unsettled = false;
	return ERR_NONE;
}

/* Reads which of the group's transactions have been applied. */
static enum err read_marks(struct etcd *e, struct group *g, const struct store_etcd_patience *p, bool *ret_any)
{
	const struct store_etcd_key from = mark_key(e, ""), end = store_etcd_key_end(&from);
	Etcd__RangeRequest q = ETCD__RANGE_REQUEST__INIT;
	Etcd__RangeResponse *r;
	bool any = false;

	q.key = store_etcd_blob(store_etcd_key_bytes(&from));
	q.range_end = store_etcd_blob(store_etcd_key_bytes(&end));
	enum err err = store_etcd_range(e, &q, p, &r);
	if (err != ERR_NONE)
		return err;
	for (size_t i = 0; i < g->cnt; i++)
		g->results[g->v[i]] = (struct store_result){ .err = ERR_CONFLICT };
	for (size_t i = 0; i < r->n_kvs; i++) {
		struct bytes key = store_etcd_bytes(r->kvs[i]->key);
		struct rd value = rd_of(store_etcd_bytes(r->kvs[i]->value));
		uint64_t slot;
		if (rd_u64(&value) != e->serial || value.bad ||
		    text_u64_parse(bytes_of(key.p + from.len, key.len - from.len), GROUP_MAX - 1, &slot) != ERR_NONE ||
		    slot >= g->cnt)
			continue;
		g->results[g->v[slot]] = (struct store_result){ .rev = (uint64_t)r->kvs[i]->mod_revision };
		any = true;
	}
	etcd__range_response__free_unpacked(r, NULL);
	*ret_any = any;
	return ERR_NONE;
}

/* ---- building ---- */

static size_t count_bytes(const struct store_txn *txn)
{
	size_t n = 0;

	for (size_t i = 0; i < txn->cmp_cnt; i++)
		n += txn->cmps[i].key.len + STORE_ETCD_PREFIX_MAX;
	for (size_t i = 0; i < txn->op_cnt; i++)
		n += txn->ops[i].key.len + txn->ops[i].value.len + STORE_ETCD_PREFIX_MAX;
	return n;
}

static bool writes(const struct store_txn *txn, struct bytes key)
{
	for (size_t i = 0; i < txn->op_cnt; i++)
		if (bytes_eq(txn->ops[i].key, key))
			return true;
	return false;
}

/* Whether `later` reads or writes what `earlier` writes. */
static bool depends(const struct store_txn *later, const struct store_txn *earlier)
{
	for (size_t i = 0; i < later->cmp_cnt; i++)
		if (writes(earlier, later->cmps[i].key))
			return true;
	for (size_t i = 0; i < later->op_cnt; i++)
		if (writes(earlier, later->ops[i].key))
			return true;
	return false;
}

static bool fits(const struct group *g, const struct store_txn *txn)
{
	if (g->cnt == GROUP_MAX || (g->cnt != 0 && g->bytes + count_bytes(txn) > GROUP_BYTES_MAX))
		return false;
	for (size_t i = 0; i < g->cnt; i++)
		if (depends(txn, &g->txns[g->v[i]]))
			return false;
	return true;
}

static void free_request(struct request *q)
{
	free(q->cmps);
	free(q->ops);
	free(q->subs);
	free(q->cmp_list);
	free(q->op_list);
	free(q->sub_list);
}

static bool make_room(struct request *q, const struct group *g)
{
	size_t cmps = 1, ops = g->cnt + 1; /* the fence; a mark each, and the group's put */

	for (size_t i = 0; i < g->cnt; i++) {
		cmps += g->txns[g->v[i]].cmp_cnt;
		ops += g->txns[g->v[i]].op_cnt;
	}
	q->cmps = calloc(cmps, sizeof(*q->cmps));
	q->cmp_list = calloc(cmps, sizeof(Etcd__Compare *));
	q->ops = calloc(ops, sizeof(*q->ops));
	q->op_list = calloc(ops, sizeof(Etcd__Op *));
	q->subs = calloc(g->cnt, sizeof(*q->subs));
	q->sub_list = calloc(g->cnt + 1, sizeof(Etcd__Op *));
	return q->cmps != NULL && q->cmp_list != NULL && q->ops != NULL && q->op_list != NULL && q->subs != NULL &&
	       q->sub_list != NULL;
}

static void add_cmp(const struct etcd *e, struct request *q, const struct store_cmp *cmp)
{
	struct cmp_item *item = &q->cmps[q->cmp_cnt];

	item->key = store_etcd_key(e, "kv/", cmp->key);
	item->cmp = (Etcd__Compare)ETCD__COMPARE__INIT;
	item->cmp.target = ETCD__COMPARE__TARGET__MOD;
	item->cmp.key = store_etcd_blob(store_etcd_key_bytes(&item->key));
	item->cmp.target_union_case = ETCD__COMPARE__TARGET_UNION_MOD_REVISION;
	item->cmp.mod_revision = (int64_t)cmp->mod_rev;
	q->cmp_list[q->cmp_cnt++] = &item->cmp;
}

static struct op_item *add_put(struct request *q, struct store_etcd_key key, struct bytes value, uint64_t lease)
{
	struct op_item *item = &q->ops[q->op_cnt];

	item->key = key;
	item->put = (Etcd__PutRequest)ETCD__PUT_REQUEST__INIT;
	item->put.key = store_etcd_blob(store_etcd_key_bytes(&item->key));
	item->put.value = store_etcd_blob(value);
	item->put.lease = (int64_t)lease;
	item->op = (Etcd__Op)ETCD__OP__INIT;
	item->op.request_case = ETCD__OP__REQUEST_PUT;
	item->op.put = &item->put;
	q->op_list[q->op_cnt++] = &item->op;
	return item;
}

static void add_delete(const struct etcd *e, struct request *q, struct bytes key)
{
	struct op_item *item = &q->ops[q->op_cnt];

	item->key = store_etcd_key(e, "kv/", key);
	item->del = (Etcd__DeleteRequest)ETCD__DELETE_REQUEST__INIT;
	item->del.key = store_etcd_blob(store_etcd_key_bytes(&item->key));
	item->op = (Etcd__Op)ETCD__OP__INIT;
	item->op.request_case = ETCD__OP__REQUEST_DELETE;
	item->op.delete_ = &item->del;
	q->op_list[q->op_cnt++] = &item->op;
}

static void add_mark(const struct etcd *e, struct request *q, const char *slot)
{
	add_put(q, mark_key(e, slot), BYTES_OF(q->mark), 0);
}

static void add_txn(const struct etcd *e, struct request *q, size_t slot, const struct store_txn *txn)
{
	char name[24];

	for (size_t i = 0; i < txn->cmp_cnt; i++)
		add_cmp(e, q, &txn->cmps[i]);
	for (size_t i = 0; i < txn->op_cnt; i++) {
		const struct store_op *op = &txn->ops[i];
		if (!store_txn_op_counts(txn, i))
			continue;
		if (op->kind == STORE_PUT)
			add_put(q, store_etcd_key(e, "kv/", op->key), op->value, txn->lease);
		else
			add_delete(e, q, op->key);
	}
	snprintf(name, sizeof(name), "%zu", slot);
	add_mark(e, q, name);
}

static void add_nested(const struct etcd *e, struct request *q, size_t slot, const struct store_txn *txn)
{
	struct sub_item *sub = &q->subs[slot];
	size_t first_cmp = q->cmp_cnt, first_op = q->op_cnt;

	add_txn(e, q, slot, txn);
	sub->txn = (Etcd__TxnRequest)ETCD__TXN_REQUEST__INIT;
	sub->txn.n_compare = q->cmp_cnt - first_cmp;
	sub->txn.compare = q->cmp_list + first_cmp;
	sub->txn.n_success = q->op_cnt - first_op;
	sub->txn.success = q->op_list + first_op;
	sub->op = (Etcd__Op)ETCD__OP__INIT;
	sub->op.request_case = ETCD__OP__REQUEST_TXN;
	sub->op.txn = &sub->txn;
	q->sub_list[slot] = &sub->op;
}

/* The fence is the first comparison, and what is read where one does not hold. */
static void add_fence(const struct etcd *e, struct request *q)
{
	q->fence_key = fence_key(e);
	compare_fence(e, &q->fence_key, &q->fence);
	q->cmp_list[q->cmp_cnt++] = &q->fence;
	q->look = (Etcd__RangeRequest)ETCD__RANGE_REQUEST__INIT;
	q->look.key = q->fence.key;
	q->look_op = (Etcd__Op)ETCD__OP__INIT;
	q->look_op.request_case = ETCD__OP__REQUEST_RANGE;
	q->look_op.range = &q->look;
	q->look_list[0] = &q->look_op;
	q->outer.n_failure = 1;
	q->outer.failure = q->look_list;
}

/* One alone is not nested. On success free_request. ERR_MEMORY. */
static enum err build_request(const struct etcd *e, struct request *q, const struct group *g)
{
	*q = (struct request){ 0 };
	if (!make_room(q, g)) {
		free_request(q);
		return ERR_MEMORY;
	}
	q->outer = (Etcd__TxnRequest)ETCD__TXN_REQUEST__INIT;
	q->outer.compare = q->cmp_list;
	q->outer.n_compare = 1;
	write_mark(e, q->mark);
	add_fence(e, q);
	if (g->cnt == 1) {
		add_txn(e, q, 0, &g->txns[g->v[0]]);
		q->outer.n_compare = q->cmp_cnt;
		q->outer.n_success = q->op_cnt;
		q->outer.success = q->op_list;
		return ERR_NONE;
	}
	for (size_t i = 0; i < g->cnt; i++)
		add_nested(e, q, i, &g->txns[g->v[i]]);
	add_mark(e, q, "group");
	q->sub_list[g->cnt] = q->op_list[q->op_cnt - 1];
	q->outer.n_success = g->cnt + 1;
	q->outer.success = q->sub_list;
	return ERR_NONE;
}

/* ---- committing ---- */

static void fail_group(struct group *g, enum err err)
{
	for (size_t i = 0; i < g->cnt; i++)
		g->results[g->v[i]] = (struct store_result){ .err = err };
}

static void take_results(struct group *g, const Etcd__TxnResponse *r)
{
	for (size_t i = 0; i < g->cnt; i++) {
		const Etcd__OpResponse *op = r->responses[i];
		bool done = g->cnt == 1 || (op->response_case == ETCD__OP_RESPONSE__RESPONSE_TXN && op->txn->succeeded);
		g->results[g->v[i]] = done ? (struct store_result){ .rev = (uint64_t)r->header->revision }
					   : (struct store_result){ .err = ERR_CONFLICT };
	}
}

/* ERR_AGAIN: the fence had been raised, nothing was done. */
static enum err take_answer(struct etcd *e, struct group *g, struct bytes msg)
{
	Etcd__TxnResponse *r = etcd__txn_response__unpack(NULL, msg.len, msg.p);
	uint64_t fence_rev = e->fence_rev;
	enum err err = ERR_NONE;

	if (r == NULL)
		return ERR_UNKNOWN_OUTCOME;
	store_etcd_note_rev(e, r->header);
	if (!r->succeeded) {
		learn_fence(e, r);
		err = e->fence_rev != fence_rev ? ERR_AGAIN : ERR_CONFLICT;
	} else if (r->header == NULL || r->n_responses < g->cnt) {
		err = ERR_UNKNOWN_OUTCOME;
	} else {
		take_results(g, r);
	}
	etcd__txn_response__free_unpacked(r, NULL);
	return err;
}

/* The answer is lost, or says only that something went wrong on the way: raises the fence and looks.
 * ERR_AGAIN: nothing was done, nor will be. */
static enum err find_out(struct etcd *e, struct group *g, bool answered, const struct store_etcd_patience *p)
{
	bool any = false;

	if (!answered)
		e->unsettled = true;
	if (store_etcd_settle(e, p) != ERR_NONE || read_marks(e, g, p, &any) != ERR_NONE)
		return ERR_UNKNOWN_OUTCOME;
	return any ? ERR_NONE : ERR_AGAIN;
}

/* One attempt. ERR_NONE: the results stand. ERR_AGAIN: nothing was done. Else: that is the result of all. */
static enum err try_group(struct etcd *e, struct group *g, const struct store_etcd_patience *p)
{
	static const char path[] = "/etcdserverpb.KV/Txn";
	struct store_grpc_answer a;
	struct request q;

	enum err err = store_etcd_settle(e, p);
	if (err == ERR_NONE)
		err = build_request(e, &q, g);
	if (err != ERR_NONE)
		return err;
	err = store_etcd_try(e, path, &q.outer.base, p, &a);
	free_request(&q);
	if (err != ERR_NONE)
		return err;
	if (a.outcome == GRPC_ANSWERED && a.status == GRPC_OK) {
		err = take_answer(e, g, a.msg);
		return err == ERR_UNKNOWN_OUTCOME ? find_out(e, g, true, p) : err;
	}
	if (a.outcome == GRPC_ANSWERED && a.status == GRPC_NOT_FOUND)
		return ERR_NOTFOUND;
	store_etcd_note_failure(e, path, a.why);
	if (a.outcome == GRPC_UNSENT)
		return ERR_AGAIN;
	err = a.outcome == GRPC_ANSWERED ? store_etcd_error_of(&a) : ERR_AWAY;
	if (err == ERR_AWAY)
		return find_out(e, g, false, p);
	/* A full etcd says so also of the transaction that filled it, which was applied. */
	if (err == ERR_FULL) {
		enum err found = find_out(e, g, true, p);
		return found == ERR_AGAIN ? err : found;
	}
	return err;
}

/* ERR_NOTFOUND: a lease of one of them has lapsed, nothing was done. */
static enum err commit_group(struct etcd *e, struct group *g)
{
	const struct store_etcd_patience p = store_etcd_patience(e);
	enum err err;

	e->serial++;
	do {
		err = try_group(e, g, &p);
	} while (err == ERR_AGAIN && store_etcd_may_retry(&p));
	if (err == ERR_AGAIN)
		err = ERR_AWAY;
	if (err != ERR_NONE && (err != ERR_NOTFOUND || g->cnt == 1))
		fail_group(g, err);
	for (size_t i = 0; i < g->cnt; i++)
		if (g->results[g->v[i]].err == ERR_NONE)
			store_etcd_watch_expect(e->watch, g->results[g->v[i]].rev);
	return err;
}

static void commit_alone(struct etcd *e, const struct group *g)
{
	for (size_t i = 0; i < g->cnt; i++) {
		struct group one = { .txns = g->txns, .results = g->results, .v = { g->v[i] }, .cnt = 1 };
		(void)commit_group(e, &one);
	}
}

static void add_to_group(struct group *g, size_t index)
{
	g->bytes += count_bytes(&g->txns[index]);
	g->v[g->cnt++] = index;
}

void store_etcd_commit_many(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	struct etcd *e = store_etcd_of(s);
	struct group g = { .txns = txns, .results = results };

	for (size_t i = 0; i <= cnt; i++) {
		if (i < cnt && results[i].err != ERR_NONE)
			continue;
		if (i < cnt && fits(&g, &txns[i])) {
			add_to_group(&g, i);
			continue;
		}
		if (g.cnt != 0 && commit_group(e, &g) == ERR_NOTFOUND && g.cnt > 1)
			commit_alone(e, &g);
		g.cnt = g.bytes = 0;
		if (i < cnt)
			add_to_group(&g, i);
	}
}

/* ---- tidying ---- */

static void delete_keys(struct etcd *e, Etcd__DeleteRequest *dels, size_t cnt)
{
	const struct store_etcd_patience p = { clock_mono_ms() + DROP_MS };
	Etcd__Op ops[SWEEP_MAX], *list[SWEEP_MAX];
	Etcd__TxnRequest q = ETCD__TXN_REQUEST__INIT;
	Etcd__TxnResponse *r;

	for (size_t i = 0; i < cnt; i++) {
		ops[i] = (Etcd__Op)ETCD__OP__INIT;
		ops[i].request_case = ETCD__OP__REQUEST_DELETE;
		ops[i].delete_ = &dels[i];
		list[i] = &ops[i];
	}
	q.n_success = cnt;
	q.success = list;
	/* What is left is swept some day. */
	if (cnt != 0 && ask_txn(e, &q, &p, &r) == ERR_NONE)
		etcd__txn_response__free_unpacked(r, NULL);
}

void store_etcd_drop_marks(struct etcd *e)
{
	const struct store_etcd_key from = mark_key(e, ""), end = store_etcd_key_end(&from);
	Etcd__DeleteRequest all = ETCD__DELETE_REQUEST__INIT;

	/* Without its fence a transaction that is still under way might be applied. */
	if (e->unsettled)
		return;
	all.key = store_etcd_blob(store_etcd_key_bytes(&from));
	all.range_end = store_etcd_blob(store_etcd_key_bytes(&end));
	delete_keys(e, &all, 1);
}

void store_etcd_sweep(struct etcd *e)
{
	const struct store_etcd_patience p = { clock_mono_ms() + DROP_MS };
	const struct store_etcd_key from = store_etcd_key(e, "txn/", bytes_of(NULL, 0));
	const struct store_etcd_key end = store_etcd_key_end(&from);
	Etcd__RangeRequest q = ETCD__RANGE_REQUEST__INIT;
	Etcd__RangeResponse *r;
	Etcd__DeleteRequest dels[SWEEP_MAX];
	uint64_t now = clock_unix_us() / 1000000;
	size_t cnt = 0;

	q.key = store_etcd_blob(store_etcd_key_bytes(&from));
	q.range_end = store_etcd_blob(store_etcd_key_bytes(&end));
	q.limit = 1000;
	if (store_etcd_range(e, &q, &p, &r) != ERR_NONE)
		return;
	for (size_t i = 0; i < r->n_kvs && cnt < SWEEP_MAX; i++) {
		struct rd value = rd_of(store_etcd_bytes(r->kvs[i]->value));
		rd_skip(&value, 8);
		uint64_t made = rd_u64(&value);
		if (!rd_done(&value) || now < made || now - made < SWEEP_AGE_S)
			continue;
		dels[cnt] = (Etcd__DeleteRequest)ETCD__DELETE_REQUEST__INIT;
		dels[cnt++].key = r->kvs[i]->key;
	}
	delete_keys(e, dels, cnt);
	etcd__range_response__free_unpacked(r, NULL);
}
