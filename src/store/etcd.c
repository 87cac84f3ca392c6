// The etcd engine: opened and closed, and its reads, which are linearizable; long ones come in pages.
#include "store/etcd.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/secret.h"
#include "crypt/random.h"

enum {
	PAGE_ROWS = 1000,          /* of the first page of a range; the longest rows there can be fit an answer */
	PAGE_ROWS_MAX = 16384,
	PAGE_BYTES = 4 << 20,      /* of later pages, as far as the rows before them tell */
};

/* ---- reads ---- */

/* False for a key that is none of ours. */
static bool row_of(const struct etcd *e, const Etcd__KeyValue *kv, struct store_row *ret)
{
	size_t skip = strlen(e->prefix) + 3;
	struct bytes key = store_etcd_bytes(kv->key);

	if (key.len <= skip || key.len - skip > STORE_KEY_MAX)
		return false;
	*ret = (struct store_row){ .key = bytes_of(key.p + skip, key.len - skip),
				   .value = store_etcd_bytes(kv->value),
				   .create_rev = (uint64_t)kv->create_revision,
				   .mod_rev = (uint64_t)kv->mod_revision };
	return true;
}

static enum err get_key(struct store *s, struct bytes key, store_visit_fn *visit, void *arg)
{
	struct etcd *e = store_etcd_of(s);
	const struct store_etcd_patience p = store_etcd_patience(e);
	const struct store_etcd_key k = store_etcd_key(e, "kv/", key);
	Etcd__RangeRequest q = ETCD__RANGE_REQUEST__INIT;
	Etcd__RangeResponse *r;
	struct store_row row;

	q.key = store_etcd_blob(store_etcd_key_bytes(&k));
	enum err err = store_etcd_settle(e, &p);
	if (err == ERR_NONE)
		err = store_etcd_range(e, &q, &p, &r);
	if (err != ERR_NONE)
		return err;
	if (r->n_kvs == 1 && row_of(e, r->kvs[0], &row))
		visit(arg, &row);
	else
		err = ERR_NOTFOUND;
	etcd__range_response__free_unpacked(r, NULL);
	return err;
}

/* A range as it is read: the next page begins at `next`. */
struct walk {
	struct etcd *e;
	struct store_etcd_patience p;
	struct store_etcd_key next, end;
	size_t limit; /* rows that are still wanted; 0: all */
	size_t rows;  /* of the next page */
	store_visit_fn *visit;
	void *arg;
	uint64_t rev; /* of the first page */
};

static enum err ask_page(struct walk *w, Etcd__RangeResponse **ret)
{
	Etcd__RangeRequest q = ETCD__RANGE_REQUEST__INIT;

	q.key = store_etcd_blob(store_etcd_key_bytes(&w->next));
	q.range_end = store_etcd_blob(store_etcd_key_bytes(&w->end));
	q.limit = (int64_t)(w->limit != 0 && w->limit < w->rows ? w->limit : w->rows);
	return store_etcd_range(w->e, &q, &w->p, ret);
}

/* For each page etcd 3.4 walks through all keys up to the end of the range: the more rows, the less of that. */
static size_t choose_rows(size_t rows, size_t bytes)
{
	size_t fit = bytes == 0 ? PAGE_ROWS : PAGE_BYTES / (bytes / rows + 1);

	return fit < PAGE_ROWS ? PAGE_ROWS : fit > PAGE_ROWS_MAX ? PAGE_ROWS_MAX : fit;
}

/* ret_more: there is another page, and it is wanted. */
static enum err read_page(struct walk *w, bool *ret_more)
{
	Etcd__RangeResponse *r;
	struct store_row row = { 0 };
	size_t bytes = 0;
	bool more = true;

	enum err err = ask_page(w, &r);
	if (err != ERR_NONE && w->rows > PAGE_ROWS) { /* the rows from here on may be longer, or etcd slower */
		w->rows = PAGE_ROWS;
		w->p = store_etcd_patience(w->e);
		err = ask_page(w, &r);
	}
	if (err != ERR_NONE)
		return err;
	if (w->rev == 0 && r->header != NULL)
		w->rev = (uint64_t)r->header->revision;
	for (size_t i = 0; more && i < r->n_kvs; i++) {
		bytes += r->kvs[i]->key.len + r->kvs[i]->value.len;
		if (row_of(w->e, r->kvs[i], &row))
			more = w->visit(w->arg, &row);
	}
	if (row.key.len != 0) {
		const struct store_key_next after = store_key_next(row.key);
		w->next = store_etcd_key(w->e, "kv/", bytes_of(after.b, after.len));
	}
	*ret_more = more && r->more && row.key.len != 0 && (w->limit == 0 || w->limit > r->n_kvs);
	if (w->limit != 0)
		w->limit -= *ret_more ? r->n_kvs : 0;
	w->rows = choose_rows(r->n_kvs, bytes);
	etcd__range_response__free_unpacked(r, NULL);
	/* Each page has the whole of the patience: a long list is not a slow answer. */
	w->p = store_etcd_patience(w->e);
	return ERR_NONE;
}

static enum err range_keys(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
			   store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct etcd *e = store_etcd_of(s);
	const struct store_key_next next = store_key_next(after);
	bool resumed = after.len != 0 && bytes_cmp(after, prefix) >= 0;
	struct walk w = { .e = e, .p = store_etcd_patience(e), .limit = limit, .rows = PAGE_ROWS, .visit = visit,
			  .arg = arg };
	bool more;

	const struct store_etcd_key whole = store_etcd_key(e, "kv/", prefix);
	w.end = store_etcd_key_end(&whole);
	w.next = resumed ? store_etcd_key(e, "kv/", bytes_of(next.b, next.len)) : whole;
	enum err err = store_etcd_settle(e, &w.p);
	if (err != ERR_NONE)
		return err;
	do {
		err = read_page(&w, &more);
	} while (err == ERR_NONE && more);
	if (err == ERR_NONE)
		*ret_rev = w.rev;
	return err;
}

/* ---- changes ---- */

/* Asks for a key that is not there as it was at a revision, 0: now. */
static enum err read_at(struct etcd *e, uint64_t rev, const struct store_etcd_patience *p)
{
	const struct store_etcd_key k = store_etcd_key(e, "kv/", bytes_of(NULL, 0));
	Etcd__RangeRequest q = ETCD__RANGE_REQUEST__INIT;
	Etcd__RangeResponse *r;

	q.key = store_etcd_blob(store_etcd_key_bytes(&k));
	q.revision = (int64_t)rev;
	enum err err = store_etcd_range(e, &q, p, &r);
	if (err == ERR_NONE)
		etcd__range_response__free_unpacked(r, NULL);
	return err;
}

/* Whether all changes after a revision can still be had, and whether there is such a revision at all. */
static enum err check_history(struct etcd *e, uint64_t rev, const struct store_etcd_patience *p)
{
	return read_at(e, rev == 0 ? 1 : rev, p);
}

static enum err reach_back(struct etcd *e, uint64_t after_rev, const struct store_etcd_patience *p)
{
	enum err err = check_history(e, after_rev, p);

	if (err == ERR_NONE)
		store_etcd_watch_rewind(e->watch, after_rev);
	return err;
}

static enum err list_changes(struct store *s, struct bytes prefix, const struct store_pos *from, uint64_t upto,
			     store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct etcd *e = store_etcd_of(s);
	const struct store_etcd_patience p = store_etcd_patience(e);
	uint64_t after = from->rev == 0 ? 0 : from->rev - 1;
	uint64_t until = upto != 0 && upto < s->last_rev ? upto : s->last_rev;
	enum err err = after > e->known_rev ? check_history(e, after, &p) : ERR_NONE;

	if (err != ERR_NONE)
		return err;
	err = store_etcd_watch_await(e->watch, after, until, p.end_ms);
	if (err == ERR_NOTFOUND) {
		err = reach_back(e, after, &p);
		if (err == ERR_NONE)
			err = store_etcd_watch_await(e->watch, after, until, p.end_ms);
		if (err == ERR_NOTFOUND) /* more than fits the log */
			err = ERR_COMPACTED;
	}
	if (err != ERR_NONE)
		return err;
	uint64_t rev = after;
	/* The reader has listed at a revision that the watch has not come to: there is nothing to tell yet. */
	if (store_etcd_watch_rev(e->watch) > after)
		err = store_etcd_watch_visit(e->watch, prefix, from, upto, visit, arg, &rev);
	if (err == ERR_NONE)
		*ret_rev = rev;
	return err;
}

static uint64_t seen_rev(struct store *s)
{
	return store_etcd_watch_rev(store_etcd_of(s)->watch);
}

static enum err seen_changes(struct store *s, const struct store_pos *from, store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct store_etcd_watch *w = store_etcd_of(s)->watch;

	if (store_etcd_watch_rev(w) < from->rev)
		return ERR_AGAIN;
	return store_etcd_watch_visit(w, bytes_of("", 0), from, 0, visit, arg, ret_rev);
}

/* Before the store thread runs nobody takes changes, which then keep the descriptor readable. */
static bool meanwhile(void *arg)
{
	const struct etcd *e = arg;

	if (e->base.meanwhile == NULL)
		return false;
	e->base.meanwhile(e->base.meanwhile_arg);
	return true;
}

/* ---- opening and closing ---- */

static void free_etcd(struct store *s)
{
	struct etcd *e = store_etcd_of(s);

	s->meanwhile = NULL;
	store_etcd_watch_stop(e->watch);
	if (e->serial != 0)
		store_etcd_drop_marks(e);
	store_grpc_free(e->grpc);
	if (e->key_pem != NULL)
		secret_wipe(e->key_pem, strlen(e->key_pem));
	free(e->key_pem);
	free(e->cert_pem);
	free(e->ca_pem);
	free(e->endpoints);
	store_fini(s);
	free(e);
}

static const struct store_engine etcd_engine = {
	.get = get_key,
	.range = range_keys,
	.commit_many = store_etcd_commit_many,
	.changes = list_changes,
	.seen_rev = seen_rev,
	.seen_changes = seen_changes,
	.lease_grant = store_etcd_lease_grant,
	.lease_renew = store_etcd_lease_renew,
	.lease_revoke = store_etcd_lease_revoke,
	.free = free_etcd,
};

static enum err copy_config(struct etcd *e, const struct store_etcd_config *c)
{
	e->endpoints = calloc(c->endpoint_cnt, sizeof(*e->endpoints));
	e->ca_pem = strdup(c->ca_pem);
	e->cert_pem = strdup(c->cert_pem);
	e->key_pem = strdup(c->key_pem);
	if (e->endpoints == NULL || e->ca_pem == NULL || e->cert_pem == NULL || e->key_pem == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < c->endpoint_cnt; i++)
		e->endpoints[i] = c->endpoints[i];
	snprintf(e->prefix, sizeof(e->prefix), "%s", c->prefix);
	e->timeout_ms = c->timeout_ms;
	e->limit = (struct log_limit){ .burst = 5, .window_ms = 10000 };
	e->grpc_config = (struct store_grpc_config){ .endpoints = e->endpoints, .endpoint_cnt = c->endpoint_cnt,
						     .ca_pem = e->ca_pem, .cert_pem = e->cert_pem, .key_pem = e->key_pem };
	crypt_random(&e->id, sizeof(e->id));
	return ERR_NONE;
}

/* Finds the revision at which the cluster is, and watches from there. */
static enum err begin(struct etcd *e)
{
	const struct store_etcd_patience p = store_etcd_patience(e);

	enum err err = store_grpc_new(&e->grpc_config, &e->grpc);
	if (err == ERR_NONE)
		err = read_at(e, 0, &p);
	if (err == ERR_NONE)
		err = store_etcd_watch_start(&e->grpc_config, e->prefix, e->known_rev, e->base.wake_fd, &e->watch);
	if (err == ERR_NONE) {
		store_grpc_meanwhile(e->grpc, e->base.wake_fd, meanwhile, e);
		store_etcd_sweep(e);
	}
	return err;
}

MUST_USE enum err store_etcd_open(const struct store_etcd_config *c, struct store **ret)
{
	if (c->endpoint_cnt == 0 || c->prefix[0] == 0 || strlen(c->prefix) > STORE_ETCD_PREFIX_MAX)
		return ERR_RANGE;
	struct etcd *e = calloc(1, sizeof(*e));
	if (e == NULL)
		return ERR_MEMORY;
	enum err err = store_init(&e->base, &etcd_engine, true);
	if (err != ERR_NONE) {
		free(e);
		return err;
	}
	err = copy_config(e, c);
	if (err == ERR_NONE)
		err = begin(e);
	if (err != ERR_NONE) {
		free_etcd(&e->base);
		return err;
	}
	*ret = &e->base;
	return ERR_NONE;
}
