#include "model/live.h"

#include "model/record.h"

enum { VERSION = 1 };
enum request_field { Q_OP = 1, Q_ACCOUNT, Q_TUNNEL, Q_NUMBER };

enum err model_live_request_encode(const struct model_live_request *r, struct wr *w)
{
	tlv_begin(w, VERSION);
	tlv_u8(w, Q_OP, r->op);
	model_record_put_id(w, Q_ACCOUNT, &r->account_id);
	model_record_put_id(w, Q_TUNNEL, &r->tunnel_id);
	if (r->number != 0)
		tlv_u32(w, Q_NUMBER, r->number);
	return model_record_written(w);
}

enum err model_live_request_decode(struct bytes b, struct model_live_request *ret)
{
	struct model_live_request q = { 0 };
	struct model_record d;
	enum err e = model_record_start(&d, b, VERSION);

	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case Q_OP:
			q.op = model_record_u8(&d, MODEL_LIVE_OP_LAST);
			d.bad |= q.op == 0;
			break;
		case Q_ACCOUNT: q.account_id = model_record_id(&d); break;
		case Q_TUNNEL: q.tunnel_id = model_record_id(&d); break;
		case Q_NUMBER: q.number = model_record_u32(&d); break;
		}
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, MODEL_RECORD_BIT(Q_OP));
	if (e == ERR_NONE)
		*ret = q;
	return e;
}

/* ---- the reply ---- */

enum reply_field { R_ERROR = 1, R_TUNNEL, R_COUNTER, R_FAILURE, R_MORE, R_NODE, R_NUMBER };
#define REPEATED (MODEL_RECORD_BIT(R_TUNNEL) | MODEL_RECORD_BIT(R_COUNTER) | MODEL_RECORD_BIT(R_FAILURE) | MODEL_RECORD_BIT(R_NODE))
#define MORE_LEN 5 /* the last field, for which room is kept: type, length, value */

enum tunnel_field {
	T_ACCOUNT = 1,
	T_TUNNEL,
	T_UP,
	T_SINCE,
	T_IDENTITY_TYPE,
	T_IDENTITY,
	T_IKE_SUITE,
	T_CHILD_SUITE,
	T_PATH,
	T_START_PORT,
	T_NAT_CLAIMED,
	T_NAT_SEEN,
	T_CHILD_CNT,
	T_MTU,
	T_CHILD_REKEYS,
	T_IKE_REKEYS,
	T_IN_PACKETS,
	T_IN_BYTES,
	T_OUT_PACKETS,
	T_OUT_BYTES,
	T_LAST_IN,
	T_FAILURE,
	T_NAME,
};

enum counter_field { C_NAME = 1, C_VALUE };
enum node_field { N_SLOT = 1, N_NAME, N_SITE, N_MESH, N_INCARNATION, N_SELF, N_ALIVE, N_DRAINING, N_FRESH, N_READY, N_APPLIED };

void model_live_reply_begin(struct model_live_reply *r, struct space room, enum err result)
{
	r->w = wr_of(room);
	tlv_begin(&r->w, VERSION);
	tlv_u8(&r->w, R_ERROR, (uint8_t)result);
	must(!r->w.bad && (size_t)(r->w.end - r->w.p) >= MORE_LEN);
	r->w.end -= MORE_LEN;
}

void model_live_reply_number(struct model_live_reply *r, uint32_t number)
{
	tlv_u32(&r->w, R_NUMBER, number);
	must(!r->w.bad);
}

/* After an entry: takes it back when it did not fit. */
static enum err keep_or_take_back(struct model_live_reply *r, const struct wr *before)
{
	if (!r->w.bad)
		return ERR_NONE;
	r->w = *before;
	return ERR_FULL;
}

static enum err put_tunnel(struct wr *w, const struct model_live_tunnel *t)
{
	enum err e = ERR_NONE;
	model_record_put_id(w, T_ACCOUNT, &t->account_id);
	model_record_put_id(w, T_TUNNEL, &t->tunnel_id);
	if (t->name[0] != 0)
		tlv_text(w, T_NAME, t->name);
	tlv_u8(w, T_UP, t->up);
	tlv_u64(w, T_SINCE, t->since_us);
	tlv_u8(w, T_IDENTITY_TYPE, t->identity_type);
	tlv_text(w, T_IDENTITY, t->identity);
	model_suite_put(w, T_IKE_SUITE, &t->ike_suite);
	model_suite_put(w, T_CHILD_SUITE, &t->child_suite);
	model_path_put(w, T_PATH, &t->path);
	tlv_u16(w, T_START_PORT, t->start_port);
	tlv_u8(w, T_NAT_CLAIMED, t->nat_claimed);
	tlv_u8(w, T_NAT_SEEN, t->nat_seen);
	tlv_u16(w, T_CHILD_CNT, t->child_cnt);
	tlv_u16(w, T_MTU, t->effective_mtu);
	tlv_u32(w, T_CHILD_REKEYS, t->child_rekeys);
	tlv_u32(w, T_IKE_REKEYS, t->ike_rekeys);
	tlv_u64(w, T_IN_PACKETS, t->in_packets);
	tlv_u64(w, T_IN_BYTES, t->in_bytes);
	tlv_u64(w, T_OUT_PACKETS, t->out_packets);
	tlv_u64(w, T_OUT_BYTES, t->out_bytes);
	tlv_u64(w, T_LAST_IN, t->last_in_us);
	if (t->has_failure) {
		size_t mark = tlv_open(w, T_FAILURE);
		e = model_failure_encode(&t->failure, w);
		tlv_close(w, mark);
	}
	return e;
}

enum err model_live_reply_add_tunnel(struct model_live_reply *r, const struct model_live_tunnel *t)
{
	struct wr before = r->w;
	size_t mark = tlv_open(&r->w, R_TUNNEL);
	if (put_tunnel(&r->w, t) == ERR_NONE)
		tlv_close(&r->w, mark);
	return keep_or_take_back(r, &before);
}

enum err model_live_reply_add_counter(struct model_live_reply *r, const char *name, uint64_t value)
{
	struct wr before = r->w;
	size_t mark = tlv_open(&r->w, R_COUNTER);
	must(strlen(name) < sizeof(((struct model_live_counter *)NULL)->name));
	tlv_text(&r->w, C_NAME, name);
	tlv_u64(&r->w, C_VALUE, value);
	tlv_close(&r->w, mark);
	return keep_or_take_back(r, &before);
}

enum err model_live_reply_add_node(struct model_live_reply *r, const struct model_live_node *n)
{
	struct wr before = r->w;
	size_t mark = tlv_open(&r->w, R_NODE);
	tlv_u16(&r->w, N_SLOT, n->slot);
	tlv_text(&r->w, N_NAME, n->name);
	tlv_text(&r->w, N_SITE, n->site);
	tlv_text(&r->w, N_MESH, n->mesh);
	tlv_u32(&r->w, N_INCARNATION, n->incarnation);
	tlv_u8(&r->w, N_SELF, n->self);
	tlv_u8(&r->w, N_ALIVE, n->alive);
	tlv_u8(&r->w, N_DRAINING, n->draining);
	tlv_u8(&r->w, N_FRESH, n->fresh);
	tlv_u8(&r->w, N_READY, n->ready);
	tlv_u64(&r->w, N_APPLIED, n->applied);
	tlv_close(&r->w, mark);
	return keep_or_take_back(r, &before);
}

enum err model_live_reply_add_failure(struct model_live_reply *r, const struct model_failure *f)
{
	struct wr before = r->w;
	size_t mark = tlv_open(&r->w, R_FAILURE);
	if (model_failure_encode(f, &r->w) == ERR_NONE)
		tlv_close(&r->w, mark);
	return keep_or_take_back(r, &before);
}

struct bytes model_live_reply_end(struct model_live_reply *r, bool more)
{
	r->w.end += MORE_LEN;
	tlv_u8(&r->w, R_MORE, more);
	return wr_bytes(&r->w);
}

/* ---- reading ---- */

static enum err get_tunnel_field(struct model_record *d, unsigned type, struct model_live_tunnel *t)
{
	switch (type) {
	case T_ACCOUNT: t->account_id = model_record_id(d); break;
	case T_TUNNEL: t->tunnel_id = model_record_id(d); break;
	case T_NAME: model_record_text(d, t->name, sizeof(t->name)); break;
	case T_UP: t->up = model_record_bool(d); break;
	case T_SINCE: t->since_us = model_record_u64(d); break;
	case T_IDENTITY_TYPE: t->identity_type = model_record_u8(d, UINT8_MAX); break;
	case T_IDENTITY: model_record_text(d, t->identity, sizeof(t->identity)); break;
	case T_IKE_SUITE: return model_suite_get(d->field.value, &t->ike_suite);
	case T_CHILD_SUITE: return model_suite_get(d->field.value, &t->child_suite);
	case T_PATH: return model_path_get(d->field.value, &t->path);
	case T_START_PORT: t->start_port = model_record_u16(d); break;
	case T_NAT_CLAIMED: t->nat_claimed = model_record_bool(d); break;
	case T_NAT_SEEN: t->nat_seen = model_record_bool(d); break;
	case T_CHILD_CNT: t->child_cnt = model_record_u16(d); break;
	case T_MTU: t->effective_mtu = model_record_u16(d); break;
	case T_CHILD_REKEYS: t->child_rekeys = model_record_u32(d); break;
	case T_IKE_REKEYS: t->ike_rekeys = model_record_u32(d); break;
	case T_IN_PACKETS: t->in_packets = model_record_u64(d); break;
	case T_IN_BYTES: t->in_bytes = model_record_u64(d); break;
	case T_OUT_PACKETS: t->out_packets = model_record_u64(d); break;
	case T_OUT_BYTES: t->out_bytes = model_record_u64(d); break;
	case T_LAST_IN: t->last_in_us = model_record_u64(d); break;
	case T_FAILURE:
		t->has_failure = true;
		return model_failure_decode(d->field.value, &t->failure);
	}
	return ERR_NONE;
}

static enum err read_tunnel(struct bytes value, const struct model_live_sink *sink)
{
	struct model_live_tunnel t = { 0 };
	struct model_record d;
	enum err e = ERR_NONE;

	model_record_start_nested(&d, value);
	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;)
		e = get_tunnel_field(&d, type, &t);
	if (e == ERR_NONE)
		e = model_record_end(&d, MODEL_RECORD_BIT(T_ACCOUNT) | MODEL_RECORD_BIT(T_TUNNEL));
	if (e == ERR_NONE && sink->tunnel != NULL)
		sink->tunnel(sink->arg, &t);
	return e;
}

static enum err read_counter(struct bytes value, const struct model_live_sink *sink)
{
	struct model_live_counter c = { 0 };
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		if (type == C_NAME)
			model_record_text(&d, c.name, sizeof(c.name));
		else if (type == C_VALUE)
			c.value = model_record_u64(&d);
	}
	enum err e = model_record_end(&d, MODEL_RECORD_BIT(C_NAME) | MODEL_RECORD_BIT(C_VALUE));
	if (e == ERR_NONE && sink->counter != NULL)
		sink->counter(sink->arg, &c);
	return e;
}

static enum err read_node(struct bytes value, const struct model_live_sink *sink)
{
	struct model_live_node n = { 0 };
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case N_SLOT: n.slot = model_record_u16(&d); break;
		case N_NAME: model_record_text(&d, n.name, sizeof(n.name)); break;
		case N_SITE: model_record_text(&d, n.site, sizeof(n.site)); break;
		case N_MESH: model_record_text(&d, n.mesh, sizeof(n.mesh)); break;
		case N_INCARNATION: n.incarnation = model_record_u32(&d); break;
		case N_SELF: n.self = model_record_bool(&d); break;
		case N_ALIVE: n.alive = model_record_bool(&d); break;
		case N_DRAINING: n.draining = model_record_bool(&d); break;
		case N_FRESH: n.fresh = model_record_bool(&d); break;
		case N_READY: n.ready = model_record_bool(&d); break;
		case N_APPLIED: n.applied = model_record_u64(&d); break;
		}
	}
	enum err e = model_record_end(&d, MODEL_RECORD_BIT(N_SLOT) | MODEL_RECORD_BIT(N_NAME));
	if (e == ERR_NONE && sink->node != NULL)
		sink->node(sink->arg, &n);
	return e;
}

static enum err read_failure(struct bytes value, const struct model_live_sink *sink)
{
	struct model_failure f;
	enum err e = model_failure_decode(value, &f);
	if (e == ERR_NONE && sink->failure != NULL)
		sink->failure(sink->arg, &f);
	return e;
}

static enum err read_reply(struct bytes b, const struct model_live_sink *sink, enum err *error, bool *more)
{
	struct model_record d;
	enum err e = model_record_start(&d, b, VERSION);

	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, REPEATED)) != 0;) {
		switch (type) {
		case R_ERROR: *error = (enum err)model_record_u8(&d, ERR_COUNT - 1); break;
		case R_TUNNEL: e = read_tunnel(d.field.value, sink); break;
		case R_COUNTER: e = read_counter(d.field.value, sink); break;
		case R_FAILURE: e = read_failure(d.field.value, sink); break;
		case R_NODE: e = read_node(d.field.value, sink); break;
		case R_MORE: *more = model_record_bool(&d); break;
		}
	}
	return e != ERR_NONE ? e : model_record_end(&d, MODEL_RECORD_BIT(R_ERROR) | MODEL_RECORD_BIT(R_MORE));
}

enum err model_live_reply_parse(struct bytes b, const struct model_live_sink *sink, enum err *ret_error,
				bool *ret_more)
{
	static const struct model_live_sink silent;
	enum err error = ERR_NONE;
	bool more = false;
	/* the whole reply is read once before anything of it is passed on */
	enum err e = read_reply(b, &silent, &error, &more);

	if (e == ERR_NONE)
		e = read_reply(b, sink, &error, &more);
	if (e == ERR_NONE) {
		*ret_error = error;
		*ret_more = more;
	}
	return e;
}

uint32_t model_live_reply_answers(struct bytes b)
{
	struct model_record d;
	uint32_t number = 0;

	if (model_record_start(&d, b, VERSION) != ERR_NONE)
		return 0;
	for (unsigned type; (type = model_record_next(&d, REPEATED)) != 0;)
		if (type == R_NUMBER)
			number = model_record_u32(&d);
	return number;
}
