// SAs in the store: sealed on the way in, read back and installed at the start, so that a restart loses no tunnel.
#include "control/internal.h"

#include <stdlib.h>

#include "base/secret.h"

#define MARKS_TXNS 16 /* in one durable write */

/* ---- reading back ---- */

struct raising;

struct found {
	struct control *c;
	struct store *store;
	struct raising *raising;     /* first marks */
	struct model_child_sa child; /* of the row read last */
	uint64_t child_rev;
	enum err child_err;
	unsigned sas, children, stale;
	size_t stale_cap;
	struct model_key *stale_keys; /* records of no use any more */
};

static void add_stale(struct found *f, struct bytes key)
{
	if (f->stale == f->stale_cap) {
		size_t cap = f->stale_cap == 0 ? 64 : f->stale_cap * 2;
		struct model_key *p = realloc(f->stale_keys, cap * sizeof(*p));
		if (p == NULL)
			return; /* it is tried again at the next start */
		f->stale_keys = p;
		f->stale_cap = cap;
	}
	struct model_key *k = &f->stale_keys[f->stale];
	struct rd r = rd_of(key);
	if (key.len >= sizeof(k->text))
		return;
	rd_copy(&r, k->text, key.len);
	k->text[key.len] = 0;
	f->stale++;
}

static void read_child(void *arg, const struct store_row *row)
{
	struct found *f = arg;

	f->child_rev = row->mod_rev;
	f->child_err = control_open_child(f->c, row, &f->child);
}

static void read_mark(void *arg, const struct store_row *row)
{
	struct control_marks *marks = arg;
	(void)!control_marks_decode(row->value, marks);
}

/* ---- rows ---- */

/* One range must be over before the store is asked for something else: the rows are copied first. */
struct copied_row {
	struct copied_row *next;
	struct store_row row;
	uint8_t bytes[];
};

struct copies {
	struct copied_row *list;
	bool missing; /* there was no memory for one */
};

static void copy_row(void *arg, const struct store_row *row)
{
	struct copies *c = arg;
	struct copied_row *r = malloc(sizeof(*r) + row->key.len + row->value.len);
	if (r == NULL) {
		c->missing = true;
		return;
	}
	memcpy(r->bytes, row->key.p, row->key.len);
	if (row->value.len != 0)
		memcpy(r->bytes + row->key.len, row->value.p, row->value.len);
	r->row = *row;
	r->row.key.p = r->bytes;
	r->row.value.p = r->bytes + row->key.len;
	r->next = c->list;
	c->list = r;
}

static enum err each_row(struct store *s, const char *prefix, store_row_fn *fn, void *arg)
{
	struct copies c = { 0 };

	enum err e = store_range(s, bytes_str(prefix), (struct bytes){ NULL, 0 }, 0, copy_row, &c, NULL);
	if (e == ERR_NONE && c.missing)
		e = ERR_MEMORY;
	while (c.list != NULL) {
		struct copied_row *r = c.list;
		c.list = r->next;
		if (e == ERR_NONE)
			fn(arg, &r->row);
		free(r);
	}
	return e;
}

/* ---- what was used of the keys ---- */

/* Marks of many Child SAs that are raised in one durable write. */
struct raising {
	struct store *store;
	enum err err;
	size_t cnt;
	struct model_key keys[MARKS_TXNS * STORE_TXN_OPS_MAX];
	uint8_t values[MARKS_TXNS * STORE_TXN_OPS_MAX][CONTROL_MARKS_LEN];
	struct store_op ops[MARKS_TXNS * STORE_TXN_OPS_MAX];
};

static void write_marks(struct raising *m)
{
	struct store_txn txns[MARKS_TXNS];
	struct store_result results[MARKS_TXNS];
	size_t cnt = 0;

	for (size_t at = 0; at < m->cnt; at += STORE_TXN_OPS_MAX)
		txns[cnt++] = (struct store_txn){ .ops = m->ops + at,
						  .op_cnt = m->cnt - at < STORE_TXN_OPS_MAX ? m->cnt - at : STORE_TXN_OPS_MAX };
	if (cnt != 0)
		store_commit_many(m->store, txns, cnt, results);
	for (size_t i = 0; i < cnt && m->err == ERR_NONE; i++)
		m->err = results[i].err;
	m->cnt = 0;
}

static void raise_key(struct raising *m, struct bytes name, struct control_marks *marks)
{
	struct model_key *key = &m->keys[m->cnt];
	struct rd k = rd_of(name);

	rd_copy(&k, key->text, name.len);
	key->text[name.len] = 0;
	if (__builtin_add_overflow(marks->out, CONTROL_SEQ_BLOCK, &marks->out))
		marks->out = 0; /* used up */
	control_marks_encode(marks, m->values[m->cnt]);
	m->ops[m->cnt] = (struct store_op){ STORE_PUT, model_key_bytes(key), BYTES_OF(m->values[m->cnt]) };
	if (++m->cnt == ARRAY_LEN(m->keys))
		write_marks(m);
}

/* What cannot be read stays as it is, and its SA does not go on. */
static void raise_mark(void *arg, const struct store_row *row)
{
	struct raising *m = arg;
	struct control_marks marks;

	if (row->key.len < sizeof(m->keys->text) && control_marks_decode(row->value, &marks) && marks.out != 0)
		raise_key(m, row->key, &marks);
}

/* Sending goes on above what the process before may have used: the next block of every Child SA is reserved first. */
static enum err raise_marks(struct store *s, struct raising *m)
{
	m->store = s;
	enum err e = each_row(s, MODEL_KEY_SEQUENCE, raise_mark, m);
	write_marks(m);
	return e != ERR_NONE ? e : m->err;
}

/* False: the numbers are used up, or the store does not say, and the SA cannot go on. */
static bool take_marks(struct found *f)
{
	struct model_key key = model_key_sequence(f->child.spi_in);
	struct control_marks marks = { 0 };

	enum err e = store_get(f->store, model_key_bytes(&key), read_mark, &marks);
	if (e == ERR_NOTFOUND && f->child.seq_out_first != 0) { /* it has not needed a second block */
		marks.out = f->child.seq_out_first;
		raise_key(f->raising, model_key_bytes(&key), &marks);
		e = ERR_NONE;
	}
	if (e != ERR_NONE || marks.out <= CONTROL_SEQ_BLOCK || marks.out >= esp_seq_end_of(&f->child.suite))
		return false;
	f->child.seq_out_used = marks.out - CONTROL_SEQ_BLOCK;
	f->child.seq_in_seen = marks.in;
	f->child.bytes_used = marks.bytes;
	return true;
}

/* ---- SAs ---- */

/* Installs the children that a record names; those that are missing are forgotten by the record too. */
static void restore_children(struct found *f, struct ike_sa *r)
{
	struct ike_sa kept = *r;

	kept.child_cnt = 0;
	for (unsigned i = 0; i < r->child_cnt; i++) {
		struct model_key key = model_key_child(r->children[i].spi_in);
		enum err e = store_get(f->store, model_key_bytes(&key), read_child, f);
		if (e != ERR_NONE || f->child_err != ERR_NONE || f->child.expires_us <= f->c->now_us)
			continue;
		if (!take_marks(f))
			continue;
		f->child.ike_spi = ike_sa_our_spi(r);
		f->child.path = r->path;
		control_child_install(f->c, &f->child, 0, f->child_rev);
		kept.children[kept.child_cnt++] = r->children[i];
		f->children++;
	}
	control_children_prove(f->c, &kept, true);
	*r = kept;
	secret_wipe(&f->child, sizeof(f->child));
	ike_sa_wipe(&kept);
}

static void read_sa(void *arg, const struct store_row *row)
{
	struct found *f = arg;
	struct ike_sa r;

	enum err e = control_open_sa(f->c, row, &r);
	struct control_tunnel *t = e == ERR_NONE ? control_tunnel_find(f->c, &r.tunnel_id) : NULL;
	bool good = t != NULL && t->configured && r.state != IKE_STATE_CLOSED && r.expires_us > f->c->now_us;
	if (!good) {
		if (e != ERR_NONE)
			log_warn("record %.*s: %s; its tunnel will be set up again", (int)row->key.len,
				 (const char *)row->key.p, err_text(e));
		add_stale(f, row->key);
		return;
	}
	struct control_record made = { 0 };
	restore_children(f, &r);
	if (control_record_make(f->c, &r, &made) == ERR_NONE && control_sa_add(f->c, &r, &made, row->mod_rev, t) != NULL)
		f->sas++;
	control_record_free(&made);
	control_tunnel_check_up(f->c, t);
	ike_sa_wipe(&r);
}

static void check_child(void *arg, const struct store_row *row)
{
	struct found *f = arg;
	uint8_t spi[4];
	struct rd r = rd_of(row->key);

	rd_skip(&r, bytes_starts(row->key, bytes_str(MODEL_KEY_SEQUENCE)) ? strlen(MODEL_KEY_SEQUENCE) : strlen(MODEL_KEY_CHILD));
	if (text_hex_parse(rd_rest(&r), spi, sizeof(spi)) == ERR_NONE) {
		struct rd n = rd_of(BYTES_OF(spi));
		if (control_child_find(f->c, rd_u32(&n)) != NULL)
			return;
	}
	add_stale(f, row->key);
}

/* Children first come with their SA; what is left belongs to none. */
static enum err delete_stale(struct found *f)
{
	for (unsigned done = 0; done < f->stale;) {
		struct store_op ops[STORE_TXN_OPS_MAX];
		size_t n = 0;
		for (; n < ARRAY_LEN(ops) && done < f->stale; n++, done++)
			ops[n] = (struct store_op){ STORE_DELETE, model_key_bytes(&f->stale_keys[done]),
						    { NULL, 0 } };
		const struct store_txn txn = { .ops = ops, .op_cnt = n };
		struct store_result r = store_commit(f->store, &txn);
		if (r.err != ERR_NONE)
			return r.err;
	}
	return ERR_NONE;
}

static void mirror_row(void *arg, const struct store_row *row)
{
	control_mirror_change(arg, row);
}

/* Others work on them meanwhile: nothing is written or deleted. Child SAs come first, so that their IKE SA finds them. */
static enum err restore_shared(struct control *c, struct store *s)
{
	enum err e = each_row(s, MODEL_KEY_CHILD, mirror_row, c);
	if (e == ERR_NONE)
		e = each_row(s, MODEL_KEY_IKE, mirror_row, c);
	if (e == ERR_NONE)
		e = each_row(s, MODEL_KEY_SEQUENCE, mirror_row, c);
	if (e == ERR_NONE)
		e = each_row(s, MODEL_KEY_CURRENT, mirror_row, c);
	if (e == ERR_NONE)
		log_info("%zu IKE SAs with %zu Child SAs are shared with the other nodes", c->sas.cnt, c->children.cnt);
	return e;
}

MUST_USE enum err control_restore(struct control *c, struct store *s)
{
	struct found f = { .c = c, .store = s };

	if (c->clustered)
		return restore_shared(c, s);
	f.raising = calloc(1, sizeof(*f.raising));
	if (f.raising == NULL)
		return ERR_MEMORY;
	enum err e = raise_marks(s, f.raising);
	if (e == ERR_NONE)
		e = each_row(s, "ike/", read_sa, &f);
	write_marks(f.raising); /* before the first packet */
	if (e == ERR_NONE)
		e = f.raising->err;
	if (e == ERR_NONE)
		e = each_row(s, "child/", check_child, &f);
	if (e == ERR_NONE)
		e = each_row(s, MODEL_KEY_SEQUENCE, check_child, &f);
	if (e == ERR_NONE)
		e = delete_stale(&f);
	free(f.stale_keys);
	free(f.raising);
	if (e == ERR_NONE && f.sas != 0)
		log_info("%u IKE SAs with %u Child SAs go on from the store", f.sas, f.children);
	return e;
}
