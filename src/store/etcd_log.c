#include "store/etcd_log.h"

#include <stdlib.h>

#include "crypt/random.h"

struct store_etcd_log_entry {
	struct store_etcd_log_entry *prev, *next;
	struct hmap_node node;
	uint64_t create_rev, mod_rev;
	bool deleted;
	size_t key_len, value_len;
	uint8_t b[]; /* key, value */
};

static struct bytes key_of(const struct store_etcd_log_entry *e)
{
	return bytes_of(e->b, e->key_len);
}

static size_t cost_of(const struct store_etcd_log_entry *e)
{
	return sizeof(*e) + e->key_len + e->value_len;
}

MUST_USE enum err store_etcd_log_init(struct store_etcd_log *l, uint64_t floor)
{
	*l = (struct store_etcd_log){ .floor = floor, .rev = floor, .bytes_max = STORE_ETCD_LOG_BYTES };
	crypt_random(&l->hash_key, sizeof(l->hash_key));
	return hmap_init(&l->by_key);
}

static void unlink_entry(struct store_etcd_log *l, struct store_etcd_log_entry *e)
{
	if (e->prev != NULL)
		e->prev->next = e->next;
	else
		l->head = e->next;
	if (e->next != NULL)
		e->next->prev = e->prev;
	else
		l->tail = e->prev;
	hmap_remove(&l->by_key, &e->node);
	l->bytes -= cost_of(e);
}

void store_etcd_log_reset(struct store_etcd_log *l, uint64_t floor)
{
	for (struct store_etcd_log_entry *e; (e = l->head) != NULL; free(e))
		unlink_entry(l, e);
	l->floor = l->rev = floor;
}

void store_etcd_log_fini(struct store_etcd_log *l)
{
	store_etcd_log_reset(l, 0);
	hmap_fini(&l->by_key);
}

static struct store_etcd_log_entry *find_entry(const struct store_etcd_log *l, struct bytes key, uint64_t hash)
{
	for (struct hmap_node *n = hmap_first(&l->by_key, hash); n != NULL; n = hmap_next(n)) {
		struct store_etcd_log_entry *e = CONTAINER_OF(n, struct store_etcd_log_entry, node);
		if (bytes_eq(key_of(e), key))
			return e;
	}
	return NULL;
}

static bool is_before(const struct store_etcd_log_entry *e, uint64_t rev, struct bytes key)
{
	return e->mod_rev < rev || (e->mod_rev == rev && bytes_cmp(key_of(e), key) < 0);
}

/* Behind all that is older. Only within one revision do keys come in another order than ours. */
static void link_entry(struct store_etcd_log *l, struct store_etcd_log_entry *e)
{
	struct store_etcd_log_entry *before = l->tail;

	while (before != NULL && !is_before(before, e->mod_rev, key_of(e)))
		before = before->prev;
	e->prev = before;
	e->next = before == NULL ? l->head : before->next;
	if (e->next != NULL)
		e->next->prev = e;
	else
		l->tail = e;
	if (before != NULL)
		before->next = e;
	else
		l->head = e;
	l->bytes += cost_of(e);
}

static struct store_etcd_log_entry *copy_row(const struct store_row *row)
{
	struct store_etcd_log_entry *e = malloc(sizeof(*e) + row->key.len + row->value.len);

	if (e == NULL)
		return NULL;
	*e = (struct store_etcd_log_entry){ .create_rev = row->create_rev, .mod_rev = row->mod_rev,
					    .deleted = row->deleted, .key_len = row->key.len,
					    .value_len = row->value.len };
	struct wr w = wr_of((struct space){ e->b, row->key.len + row->value.len });
	wr_put(&w, row->key);
	wr_put(&w, row->value);
	return e;
}

MUST_USE enum err store_etcd_log_add(struct store_etcd_log *l, const struct store_row *row)
{
	uint64_t hash = siphash(&l->hash_key, row->key);
	struct store_etcd_log_entry *old = find_entry(l, row->key, hash), *e = copy_row(row);

	if (e == NULL)
		return ERR_MEMORY;
	if (old != NULL) {
		unlink_entry(l, old);
		free(old);
	}
	hmap_add(&l->by_key, &e->node, hash);
	link_entry(l, e);
	return ERR_NONE;
}

void store_etcd_log_advance(struct store_etcd_log *l, uint64_t rev)
{
	if (rev > l->rev)
		l->rev = rev;
	for (struct store_etcd_log_entry *e; l->bytes > l->bytes_max && (e = l->head) != NULL; free(e)) {
		if (e->mod_rev > l->floor)
			l->floor = e->mod_rev;
		unlink_entry(l, e);
	}
}

static struct store_row row_of(const struct store_etcd_log_entry *e)
{
	return (struct store_row){ .key = key_of(e),
				   .value = bytes_of(e->b + e->key_len, e->value_len),
				   .create_rev = e->create_rev,
				   .mod_rev = e->mod_rev,
				   .deleted = e->deleted };
}

void store_etcd_log_visit(const struct store_etcd_log *l, struct bytes prefix, const struct store_pos *from,
			  uint64_t upto, store_visit_fn *visit, void *arg)
{
	const struct store_etcd_log_entry *e = l->tail;

	/* Readers follow closely: what they have not seen is at the end. */
	while (e != NULL && !is_before(e, from->rev, from->key))
		e = e->prev;
	for (e = e == NULL ? l->head : e->next; e != NULL && e->mod_rev <= upto; e = e->next) {
		struct store_row row = row_of(e);
		if (bytes_starts(row.key, prefix) && !visit(arg, &row))
			return;
	}
}
