#include "store/page.h"

#include <stdlib.h>

#include "store/engine.h"
#include "store/ipc_msg.h"

struct reading {
	const struct store_page_ask *q;
	struct store_page *page;
	enum err err;
};

static enum err add_row(struct store_page *p, const struct store_row *row)
{
	size_t len = store_ipc_row_len(row);

	if (p->cap - p->len < len) {
		size_t cap = 2 * p->cap + len;
		uint8_t *rows = realloc(p->rows, cap);
		if (rows == NULL)
			return ERR_MEMORY;
		p->rows = rows;
		p->cap = cap;
	}
	struct wr w = wr_of((struct space){ p->rows + p->len, len });
	store_ipc_row_build(&w, row);
	p->len += len;
	p->row_cnt++;
	return ERR_NONE;
}

/* Of one key: the first that begins with it may be a longer one. */
static bool visit_row(void *arg, const struct store_row *row)
{
	struct reading *r = arg;

	if (!r->q->list && !bytes_eq(row->key, r->q->prefix))
		return false;
	r->err = add_row(r->page, row);
	return r->err == ERR_NONE;
}

MUST_USE enum err store_page_read(struct store *s, const struct store_page_ask *q, struct store_page *ret, uint64_t *ret_rev)
{
	struct reading r = { .q = q, .page = ret };

	enum err e = store_visit_range(s, q->prefix, q->after, q->list ? q->limit : 1, visit_row, &r, ret_rev);
	if (e == ERR_NONE)
		e = r.err;
	if (e == ERR_NONE && !q->list && ret->row_cnt == 0)
		e = add_row(ret, &(struct store_row){ .key = q->prefix, .mod_rev = *ret_rev, .deleted = true });
	return e;
}

void store_page_free(struct store_page *p)
{
	free(p->rows);
	*p = (struct store_page){ 0 };
}
