// The engine in memory: a sorted array of entries, deleted ones among them until they are forgotten.
#include "store/store.h"

#include <stdlib.h>

#include "base/ck.h"
#include "store/lease.h"

struct entry {
	struct bytes key, value; /* owned */
	uint64_t create_rev, mod_rev;
	uint64_t gone_seq; /* 0: it lives; otherwise the number of its deletion */
	uint64_t lease;    /* 0: none */
};

struct memory {
	struct store base;
	struct entry **v; /* by key */
	size_t cnt, cap;
	uint64_t rev, compacted, gone_seq;
	struct store_leases leases;
};

/* What a transaction needs, got before anything changes, so that it cannot stop half way. */
struct staged {
	struct bytes value;
	struct entry *fresh;
};

static struct memory *memory_of(struct store *s)
{
	return CONTAINER_OF(s, struct memory, base);
}

static void free_block(struct bytes *b)
{
	union {
		const uint8_t *c;
		void *p;
	} u = { .c = b->p };
	free(u.p);
	*b = (struct bytes){ 0 };
}

static bool copy_block(struct bytes b, struct bytes *ret)
{
	uint8_t *p = malloc(b.len == 0 ? 1 : b.len);
	if (p == NULL)
		return false;
	if (b.len != 0)
		memcpy(p, b.p, b.len);
	*ret = (struct bytes){ p, b.len };
	return true;
}

static void free_entry(struct entry *e)
{
	if (e == NULL)
		return;
	free_block(&e->key);
	free_block(&e->value);
	free(e);
}

/* The index of the first entry whose key is not below `key`. */
static size_t find_place(const struct memory *m, struct bytes key)
{
	size_t lo = 0, hi = m->cnt;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (bytes_cmp(m->v[mid]->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *find_entry(const struct memory *m, struct bytes key)
{
	size_t i = find_place(m, key);
	return i < m->cnt && bytes_eq(m->v[i]->key, key) ? m->v[i] : NULL;
}

static struct store_row row_of(const struct entry *e)
{
	return (struct store_row){ .key = e->key,
				   .value = e->value,
				   .create_rev = e->gone_seq == 0 ? e->create_rev : 0,
				   .mod_rev = e->mod_rev,
				   .deleted = e->gone_seq != 0 };
}

static void bury(struct memory *m, struct entry *e)
{
	free_block(&e->value);
	e->mod_rev = m->rev;
	e->gone_seq = ++m->gone_seq;
	e->lease = 0;
}

/* All keys of a lease go in one commit, as far as there are any. */
static void end_lease(struct memory *m, uint64_t id)
{
	bool any = false;

	store_leases_remove(&m->leases, id);
	for (size_t i = 0; i < m->cnt; i++) {
		if (m->v[i]->lease != id)
			continue;
		if (!any)
			m->rev++;
		any = true;
		bury(m, m->v[i]);
	}
	m->base.last_rev = m->rev;
}

static void end_lapsed(struct memory *m)
{
	for (uint64_t id; (id = store_leases_lapsed(&m->leases)) != 0;)
		end_lease(m, id);
}

static enum err get_key(struct store *s, struct bytes key, store_visit_fn *visit, void *arg)
{
	end_lapsed(memory_of(s));
	const struct entry *e = find_entry(memory_of(s), key);

	if (e == NULL || e->gone_seq != 0)
		return ERR_NOTFOUND;
	struct store_row row = row_of(e);
	visit(arg, &row);
	return ERR_NONE;
}

static enum err range_keys(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
			   store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct memory *m = memory_of(s);
	size_t seen = 0;

	end_lapsed(m);

	for (size_t i = find_place(m, bytes_cmp(after, prefix) > 0 ? after : prefix); i < m->cnt; i++) {
		const struct entry *e = m->v[i];
		if (!bytes_starts(e->key, prefix) || (limit != 0 && seen == limit))
			break;
		if (e->gone_seq != 0 || (after.len != 0 && bytes_cmp(e->key, after) <= 0))
			continue;
		struct store_row row = row_of(e);
		seen++;
		if (!visit(arg, &row))
			break;
	}
	*ret_rev = m->rev;
	return ERR_NONE;
}

static bool comparisons_hold(const struct memory *m, const struct store_txn *txn)
{
	for (size_t i = 0; i < txn->cmp_cnt; i++) {
		const struct entry *e = find_entry(m, txn->cmps[i].key);
		uint64_t rev = e == NULL || e->gone_seq != 0 ? 0 : e->mod_rev;
		if (rev != txn->cmps[i].mod_rev)
			return false;
	}
	return true;
}

static void drop_staged(struct staged *st, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++) {
		free_block(&st[i].value);
		free_entry(st[i].fresh);
	}
}

static bool make_room(struct memory *m, size_t more)
{
	size_t need, bytes;

	if (!ck_add(m->cnt, more, &need))
		return false;
	if (need <= m->cap)
		return true;
	if (!ck_mul(need, 2 * sizeof(*m->v), &bytes))
		return false;
	struct entry **v = realloc(m->v, bytes);
	if (v == NULL)
		return false;
	m->v = v;
	m->cap = need * 2;
	return true;
}

static bool stage(struct memory *m, const struct store_txn *txn, struct staged *st)
{
	for (size_t i = 0; i < txn->op_cnt; i++) {
		const struct store_op *op = &txn->ops[i];
		if (op->kind != STORE_PUT || !store_txn_op_counts(txn, i))
			continue;
		if (!copy_block(op->value, &st[i].value))
			return false;
		if (find_entry(m, op->key) != NULL)
			continue;
		st[i].fresh = calloc(1, sizeof(*st[i].fresh));
		if (st[i].fresh == NULL || !copy_block(op->key, &st[i].fresh->key))
			return false;
	}
	return make_room(m, txn->op_cnt);
}

static void put_entry(struct memory *m, const struct store_op *op, uint64_t lease, struct staged *st)
{
	size_t at = find_place(m, op->key);

	if (st->fresh != NULL) {
		memmove(&m->v[at + 1], &m->v[at], (m->cnt - at) * sizeof(*m->v));
		m->v[at] = st->fresh;
		m->cnt++;
		st->fresh = NULL;
	}
	struct entry *e = m->v[at];
	if (e->create_rev == 0 || e->gone_seq != 0)
		e->create_rev = m->rev;
	e->mod_rev = m->rev;
	e->gone_seq = 0;
	e->lease = lease;
	free_block(&e->value);
	e->value = st->value;
	st->value = (struct bytes){ 0 };
}

static void delete_entry(struct memory *m, struct bytes key)
{
	struct entry *e = find_entry(m, key);

	if (e == NULL || e->gone_seq != 0)
		return;
	bury(m, e);
}

static struct store_result commit_one(struct memory *m, const struct store_txn *txn)
{
	struct staged st[STORE_TXN_OPS_MAX] = { 0 };

	if (!comparisons_hold(m, txn))
		return (struct store_result){ .err = ERR_CONFLICT };
	if (txn->lease != 0 && !store_leases_has(&m->leases, txn->lease))
		return (struct store_result){ .err = ERR_NOTFOUND };
	if (!stage(m, txn, st)) {
		drop_staged(st, txn->op_cnt);
		return (struct store_result){ .err = ERR_SYSTEM };
	}
	m->rev++;
	for (size_t i = 0; i < txn->op_cnt; i++) {
		if (!store_txn_op_counts(txn, i))
			continue;
		if (txn->ops[i].kind == STORE_PUT)
			put_entry(m, &txn->ops[i], txn->lease, &st[i]);
		else
			delete_entry(m, txn->ops[i].key);
	}
	return (struct store_result){ .err = ERR_NONE, .rev = m->rev };
}

static void forget_old(struct memory *m)
{
	size_t kept = 0;

	if (m->gone_seq <= STORE_GONE_MAX)
		return;
	for (size_t i = 0; i < m->cnt; i++) {
		struct entry *e = m->v[i];
		if (e->gone_seq == 0 || e->gone_seq > m->gone_seq - STORE_GONE_MAX) {
			m->v[kept++] = e;
			continue;
		}
		if (e->mod_rev > m->compacted)
			m->compacted = e->mod_rev;
		free_entry(e);
	}
	m->cnt = kept;
}

static void commit_all(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	struct memory *m = memory_of(s);
	uint64_t gone_seq = m->gone_seq;

	end_lapsed(m);
	for (size_t i = 0; i < cnt; i++)
		if (results[i].err == ERR_NONE)
			results[i] = commit_one(m, &txns[i]);
	if (m->gone_seq != gone_seq)
		forget_old(m);
}

static int compare_changes(const void *pa, const void *pb)
{
	const struct entry *a = *(struct entry *const *)pa, *b = *(struct entry *const *)pb;
	return a->mod_rev != b->mod_rev ? (a->mod_rev > b->mod_rev) - (a->mod_rev < b->mod_rev)
					: bytes_cmp(a->key, b->key);
}

static bool is_wanted(const struct entry *e, struct bytes prefix, const struct store_pos *from, uint64_t upto)
{
	return bytes_starts(e->key, prefix) && e->mod_rev <= upto &&
	       (e->mod_rev > from->rev || (e->mod_rev == from->rev && bytes_cmp(e->key, from->key) >= 0));
}

static enum err list_changes(struct store *s, struct bytes prefix, const struct store_pos *from, uint64_t upto,
			     store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct memory *m = memory_of(s);
	size_t cnt = 0;

	end_lapsed(m);
	enum err err = store_pos_check(from, m->compacted, m->rev);

	if (err != ERR_NONE)
		return err;
	if (upto == 0 || upto > m->rev)
		upto = m->rev;
	struct entry **found = calloc(m->cnt + 1, sizeof(*found));
	if (found == NULL)
		return ERR_SYSTEM;
	for (size_t i = 0; i < m->cnt; i++)
		if (is_wanted(m->v[i], prefix, from, upto))
			found[cnt++] = m->v[i];
	qsort(found, cnt, sizeof(*found), compare_changes);
	for (size_t i = 0; i < cnt; i++) {
		struct store_row row = row_of(found[i]);
		if (!visit(arg, &row))
			break;
	}
	free(found);
	*ret_rev = upto;
	return ERR_NONE;
}

static enum err grant_lease(struct store *s, uint64_t ttl_ms, struct store_lease *ret)
{
	struct memory *m = memory_of(s);
	const struct store_lease lease = { .id = store_leases_new_id(), .ttl_ms = ttl_ms };

	enum err err = store_leases_add(&m->leases, lease.id, ttl_ms);
	if (err == ERR_NONE)
		*ret = lease;
	return err;
}

static enum err renew_lease(struct store *s, uint64_t id)
{
	struct memory *m = memory_of(s);

	end_lapsed(m);
	return store_leases_renew(&m->leases, id) ? ERR_NONE : ERR_NOTFOUND;
}

static enum err revoke_lease(struct store *s, uint64_t id)
{
	struct memory *m = memory_of(s);

	end_lapsed(m);
	if (!store_leases_has(&m->leases, id))
		return ERR_NOTFOUND;
	end_lease(m, id);
	return ERR_NONE;
}

static void free_memory(struct store *s)
{
	struct memory *m = memory_of(s);

	for (size_t i = 0; i < m->cnt; i++)
		free_entry(m->v[i]);
	free(m->v);
	store_leases_fini(&m->leases);
	store_fini(s);
	free(m);
}

static const struct store_engine memory_engine = {
	.get = get_key,
	.range = range_keys,
	.commit_many = commit_all,
	.changes = list_changes,
	.lease_grant = grant_lease,
	.lease_renew = renew_lease,
	.lease_revoke = revoke_lease,
	.free = free_memory,
};

MUST_USE enum err store_memory_new(struct store **ret)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return ERR_MEMORY;
	enum err err = store_init(&m->base, &memory_engine, true);
	if (err != ERR_NONE) {
		free(m);
		return err;
	}
	*ret = &m->base;
	return ERR_NONE;
}
