// The format in which SA records are written (meta/format): that of the oldest program over this store, raised when the
// last one of a release before is gone for good.
#include "control/node.h"

#define DUTY_KEY UINT64_C(0x666f726d6174) /* "format" */
#define VALUE_LEN 2

/* A node that is only being started again comes back within that. */
#ifdef ONRAMP_CRASH_POINTS
#define SETTLE_US 4000000u
#else
#define SETTLE_US 60000000u
#endif

struct found {
	bool bad;
	uint16_t format; /* 0: no record */
	uint64_t mod_rev;
};

static void read_format(void *arg, const struct store_row *row)
{
	struct found *f = arg;
	struct rd r = rd_of(row->value);

	f->format = row->deleted ? 0 : rd_u16(&r);
	f->bad = !row->deleted && (!rd_done(&r) || f->format == 0);
	f->mod_rev = row->mod_rev;
}

/* The transaction that raises it, with what it borrows. */
struct raising {
	uint8_t value[VALUE_LEN];
	struct store_put put;
};

static const struct store_txn *make_raising(uint16_t format, uint64_t mod_rev, struct raising *ret)
{
	struct wr w = wr_of(SPACE_OF(ret->value));

	wr_u16(&w, format);
	return store_put_txn(&ret->put, bytes_str(MODEL_KEY_FORMAT), mod_rev, wr_bytes(&w));
}

/* ERR_VERSION, ERR_SYNTAX; the cause is logged. */
static enum err judge(const struct found *f)
{
	if (f->bad) {
		log_error(MODEL_KEY_FORMAT " in the store is not understood");
		return ERR_SYNTAX;
	}
	if (f->format <= model_format_newest())
		return ERR_NONE;
	log_error("the records of SAs in the store are in format %u, and this program reads up to %u: start the release that "
		  "wrote them", f->format, model_format_newest());
	return ERR_VERSION;
}

/* Alone nobody has to be waited for. */
static enum err raise_alone(struct control *c, struct store *s, const struct found *f)
{
	struct raising raising;

	if (f->format >= model_format_newest())
		return ERR_NONE;
	enum err e = store_commit(s, make_raising(model_format_newest(), f->mod_rev, &raising)).err;
	if (e != ERR_NONE)
		log_error(MODEL_KEY_FORMAT " cannot be written: %s", err_text(e));
	else
		c->format = model_format_newest();
	return e;
}

enum err control_format_load(struct control *c, struct store *s)
{
	struct found f = { 0 };

	enum err e = store_get(s, bytes_str(MODEL_KEY_FORMAT), read_format, &f);
	if (e != ERR_NONE && e != ERR_NOTFOUND)
		return e;
	e = judge(&f);
	if (e != ERR_NONE)
		return e;
	c->format = f.format != 0 ? f.format : MODEL_FORMAT_OLDEST;
	c->format_rev = f.mod_rev;
	return c->clustered ? ERR_NONE : raise_alone(c, s, &f);
}

void control_format_change(struct control *c, const struct store_row *row)
{
	struct found f = { 0 };

	if (row->deleted || row->mod_rev <= c->format_rev)
		return;
	read_format(&f, row);
	c->format_rev = row->mod_rev;
	if (judge(&f) != ERR_NONE) {
		c->stop = true; /* what the others write now is nothing to this program */
		return;
	}
	if (f.format != c->format)
		log_info("records of SAs are written in format %u from now on", f.format);
	c->format = f.format;
}

void control_format_timers(struct control *c)
{
	struct control_node *n = c->node;
	struct raising raising;

	if (cluster_format(&c->members) <= c->format) {
		n->format_us = 0;
		return;
	}
	if (n->format_us == 0)
		n->format_us = c->now_us + SETTLE_US;
	if (c->now_us < n->format_us || !cluster_duty(&c->members, DUTY_KEY))
		return;
	/* What became of it the change tells; until then it is tried again. */
	const struct store_txn *txn = make_raising(cluster_format(&c->members), c->format_rev, &raising);
	n->format_us = c->now_us + SETTLE_US;
	if (store_thread_submit(c->store, txn, control_node_tag(NODE_TAG_FORMAT)) != ERR_NONE)
		log_debug(MODEL_KEY_FORMAT " stays as it is for now");
}
