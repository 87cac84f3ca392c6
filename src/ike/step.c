#include "ike/step.h"

#include "base/secret.h"
#include "ike/exchanges.h"

static void drop(struct ike_ctx *c, enum model_drop reason)
{
	ike_out_reset(c->out);
	ike_out_drop(c->out, reason);
	c->drop = true;
}

/* ---- messages ---- */

/* What can be said of a message before its integrity is checked. */
static bool accept_header(struct ike_ctx *c)
{
	const struct ike_event *ev = c->ev;
	const struct ike_sa *sa = c->sa;
	bool repeated_init;

	if (ev->msg.len > IKE_MESSAGE_MAX || wire_ike_header_parse(ev->msg, &c->h) != ERR_NONE) {
		drop(c, MODEL_DROP_ike_malformed);
		return false;
	}
	if (c->h.major != 2) {
		drop(c, c->h.major == 1 ? MODEL_DROP_ike_v1 : MODEL_DROP_ike_version);
		return false;
	}
	repeated_init = c->half != NULL && c->h.exchange == IKE_EX_SA_INIT && c->h.spi_r == 0;
	if (c->h.spi_i != sa->spi_i || (c->h.spi_r != sa->spi_r && !repeated_init)) {
		drop(c, MODEL_DROP_ike_unknown_spi);
		return false;
	}
	/* RFC 7296 3.1: the flag says who started the SA, not who started the exchange. */
	if (((c->h.flags & IKE_FLAG_INITIATOR) != 0) != (sa->role == IKE_RESPONDER)) {
		drop(c, MODEL_DROP_ike_unexpected);
		return false;
	}
	if (!addr_eq(&ev->local.addr, &sa->path.local.addr)) {
		drop(c, MODEL_DROP_ike_address);
		return false;
	}
	return true;
}

static void note_undecrypted(struct ike_ctx *c)
{
	struct model_failure *f = ike_out_fail(c->out, c->ev, NULL, MODEL_FAILURE_DECRYPT, MODEL_STAGE_AUTH);
	char suite[MODEL_SUITE_TEXT_MAX];

	ike_text_add(f->offered, sizeof(f->offered), "%s, %zu bytes, that the keys of this exchange do not open (%s)",
		     ike_exchange_name(c->h.exchange), c->ev->msg.len, model_suite_text(&c->sa->suite, suite));
}

/* Decrypts and walks the payloads. False: dropped. *ret_notify: 0, or how the request is to be refused. */
static bool open_message(struct ike_ctx *c, uint16_t *ret_notify, uint8_t *ret_type)
{
	bool response = (c->h.flags & IKE_FLAG_RESPONSE) != 0;
	struct bytes inner;
	uint8_t first;

	enum err e = ERR_NONE;
	if (c->ev->whole) { /* ike/frag.c has checked each of its fragments */
		first = c->ev->inner_first;
		inner = c->ev->inner;
	} else {
		e = ike_protect_open(c->sa, IKE_PL_SK, c->ev->msg, ike_out_scratch(c->out, c->ev->msg), &first, &inner);
	}
	if (e != ERR_NONE) {
		drop(c, e == ERR_AUTH ? MODEL_DROP_ike_auth : MODEL_DROP_ike_malformed);
		if (e == ERR_AUTH && c->half != NULL)
			note_undecrypted(c);
		return false;
	}
	*ret_type = 0;
	if (wire_ike_payloads_parse(first, inner, &c->in) != ERR_NONE)
		*ret_notify = IKE_N_INVALID_SYNTAX;
	else
		*ret_notify = ike_rules_check(c->h.exchange, response, &c->in, ret_type);
	return true;
}

static void refuse_rules(struct ike_ctx *c, uint16_t notify, uint8_t type)
{
	char what[64];

	what[0] = '\0';
	if (notify == IKE_N_INVALID_SYNTAX && type == 0)
		ike_text_add(what, sizeof(what), "payload lengths that do not add up");
	else if (notify == IKE_N_INVALID_SYNTAX)
		ike_text_add(what, sizeof(what), "payload %u missing or there too often", type);
	else
		ike_text_add(what, sizeof(what), "an unknown critical payload, type %u", type);
	ike_reply_syntax(c, what);
	if (notify == IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD)
		ike_reply_notify(c, notify, bytes_of(&type, 1)); /* RFC 7296 2.5 */
}

/* Window 1: whoever asks anew has our last answer, and with it the children that it made. */
static void prove_children(struct ike_ctx *c)
{
	for (unsigned i = 0; i < c->sa->child_cnt; i++) {
		struct ike_child_ref *ref = &c->sa->children[i];
		if (!ref->unproven)
			continue;
		ref->unproven = false;
		c->changed = true;
		/* Not back to one that another has replaced meanwhile. */
		if (!ref->closing && !ref->replaced)
			ike_out_add(c->out, IKE_ACT_CHILD_PROVEN)->spi = ref->spi_in;
	}
}

static void answer_again(struct ike_ctx *c)
{
	struct wr w = wr_of(SPACE_OF(c->out->room[0]));

	wr_put(&w, bytes_of(c->sa->reply.b, c->sa->reply.len));
	ike_out_send(c->out, wr_bytes(&w), &c->ev->local, &c->ev->remote);
	ike_out_count(c->out, MODEL_COUNTER_ike_retransmit_answered);
	c->drop = true;
}

/* Seals and sends the answer, and keeps it for repetitions. */
static void finish_reply(struct ike_ctx *c)
{
	struct bytes msg;

	if (ike_message_seal(c, &c->reply, &msg) != ERR_NONE) {
		drop(c, MODEL_DROP_ike_busy);
		return;
	}
	ike_window_keep(c->sa, c->h.msg_id, c->ev->msg, msg);
	c->sa->last_in_us = c->ev->now_us;
	c->keep = true;
	ike_out_send(c->out, msg, &c->ev->local, &c->ev->remote);
}

static enum ike_state take_request(struct ike_ctx *c)
{
	enum ike_state state = (enum ike_state)c->sa->state, next = state;
	ike_handler handler = ike_table_find(state, IKE_IN_REQUEST, c->h.exchange);
	uint16_t notify = 0;
	uint8_t type = 0;

	if (c->half != NULL && c->h.exchange == IKE_EX_SA_INIT && handler != NULL) {
		next = handler(c); /* in the clear, and outside the window of protected messages */
		c->drop = true;
		return next;
	}
	switch (ike_window_judge(c->sa, c->h.msg_id, c->ev->msg)) {
	case IKE_WINDOW_NEW:
		break;
	case IKE_WINDOW_REPEATED:
		answer_again(c);
		return state;
	case IKE_WINDOW_OUTSIDE:
		drop(c, MODEL_DROP_ike_msgid);
		return state;
	}
	if (handler == NULL) {
		drop(c, MODEL_DROP_ike_unexpected);
		return state;
	}
	if (!open_message(c, &notify, &type))
		return state;
	c->out->asks = notify != 0 || c->h.exchange != IKE_EX_INFORMATIONAL || wire_ike_find(&c->in, IKE_PL_DELETE, 0) != NULL;
	ike_reply_begin(c);
	prove_children(c);
	if (notify != 0)
		refuse_rules(c, notify, type);
	else
		next = handler(c);
	if (!c->drop)
		finish_reply(c);
	return c->drop ? state : next;
}

static enum ike_state take_response(struct ike_ctx *c)
{
	const struct ike_request *q = &c->sa->request;
	enum ike_state state = (enum ike_state)c->sa->state;
	ike_handler handler = ike_table_find(state, IKE_IN_RESPONSE, c->h.exchange);
	uint16_t notify = 0;
	uint8_t type = 0;

	if (handler == NULL) {
		drop(c, MODEL_DROP_ike_unexpected);
		return state;
	}
	if (q->kind == IKE_REQUEST_NONE || q->msg_id != c->h.msg_id) {
		drop(c, MODEL_DROP_ike_msgid);
		return state;
	}
	if (c->h.exchange != ike_request_exchange(q)) {
		drop(c, MODEL_DROP_ike_unexpected);
		return state;
	}
	if (!open_message(c, &notify, &type))
		return state;
	/* RFC 7296 2.21: an answer is never answered; the request is repeated or given up. */
	if (notify != 0) {
		drop(c, MODEL_DROP_ike_malformed);
		return state;
	}
	c->sa->last_in_us = c->ev->now_us;
	c->keep = true;
	return handler(c);
}

static enum ike_state take_message(struct ike_ctx *c)
{
	enum ike_state state = (enum ike_state)c->sa->state;

	if (!accept_header(c))
		return state;
	if ((c->h.flags & IKE_FLAG_RESPONSE) != 0)
		return take_response(c);
	enum ike_state next = take_request(c);
	if (c->keep && state == IKE_STATE_ESTABLISHED && next == IKE_STATE_ESTABLISHED)
		ike_move_check(c);
	return next;
}

/* ---- the doors ---- */

/* To one of ours nobody may ask anything yet. */
static enum ike_state take_half(struct ike_ctx *c)
{
	if (c->ev->kind == IKE_EV_TIMER)
		return ike_start_timer(c);
	if (c->half->start == NULL)
		return take_message(c);
	if (c->sa->spi_r == 0) {
		ike_start_message(c);
		return IKE_STATE_HALF_OPEN;
	}
	if (!accept_header(c))
		return IKE_STATE_HALF_OPEN;
	if ((c->h.flags & IKE_FLAG_RESPONSE) != 0)
		return take_response(c);
	drop(c, MODEL_DROP_ike_unexpected);
	return IKE_STATE_HALF_OPEN;
}

void ike_half_step(const struct ike_world *world, const struct ike_half *half, const struct ike_event *ev,
		   struct ike_half *ret_half, struct ike_sa *ret, struct ike_out *out)
{
	bool ours = half->start != NULL; /* a peer's changes only by becoming an SA */
	struct ike_sa sa = half->sa;
	UNSET struct ike_half next_half;
	struct ike_ctx c = { .world = world, .ev = ev, .out = out, .half = half, .half_ret = ours ? &next_half : NULL, .sa = &sa };

	ike_out_reset(out);
	must((ev->kind == IKE_EV_MESSAGE || ev->kind == IKE_EV_TIMER) && half->sa.state == IKE_STATE_HALF_OPEN);
	if (ours)
		next_half = *half;
	enum ike_state next = take_half(&c);
	if (ours && c.has_half && !c.drop) {
		next_half.sa = sa;
		*ret_half = next_half;
		out->has_half = true;
	} else if (c.drop) {
		/* nothing was done */
	} else if (c.keep && next == IKE_STATE_ESTABLISHED) {
		/* The one place where an SA becomes ESTABLISHED. */
		must(sa.auth_verified);
		sa.state = IKE_STATE_ESTABLISHED;
		*ret = sa;
		out->has_sa = true;
		out->changed = true;
	} else if (c.keep) {
		out->changed = true; /* refused: the half-open SA goes */
	}
	if (ours)
		ike_half_wipe(&next_half);
	ike_sa_wipe(&sa);
}

static enum ike_state take_event(struct ike_ctx *c)
{
	enum ike_state state = (enum ike_state)c->sa->state;
	ike_handler handler = NULL;

	switch (c->ev->kind) {
	case IKE_EV_MESSAGE:
		return take_message(c);
	case IKE_EV_TIMER:
		handler = ike_table_find(state, IKE_ON_TIMER, 0);
		break;
	case IKE_EV_CLOSE:
		handler = ike_table_find(state, IKE_ON_CLOSE, 0);
		break;
	case IKE_EV_ADDRESS:
		handler = ike_table_find(state, IKE_ON_ADDRESS, 0);
		break;
	case IKE_EV_MOVED:
		handler = ike_table_find(state, IKE_ON_MOVED, 0);
		break;
	case IKE_EV_CHILD_EXPIRED:
		handler = ike_table_find(state, IKE_ON_CHILD_EXPIRED, 0);
		break;
	case IKE_EV_REKEY_CHILD:
	case IKE_EV_REKEY_IKE:
	case IKE_EV_NEW_CHILD:
		handler = ike_table_find(state, IKE_ON_DUTY, 0);
		break;
	case IKE_EV_START:
		break;
	}
	return handler != NULL ? handler(c) : state;
}

/* What stays of a closed SA: the cached answer and what finds it. */
static void strip_closed(struct ike_sa *sa, uint64_t now_us)
{
	must(sa->child_cnt == 0);
	secret_wipe(&sa->keys, sizeof(sa->keys));
	ike_request_done(sa);
	sa->expires_us = now_us + IKE_CLOSED_KEEP_US;
}

void ike_sa_step(const struct ike_world *world, const struct ike_sa *sa, const struct ike_event *ev,
		 struct ike_sa *ret, struct ike_sa ret_rekeyed[static 2], struct ike_out *out)
{
	struct ike_sa work = *sa, rekeyed[2] = { 0 };
	struct ike_ctx c = { .world = world, .ev = ev, .out = out, .before = sa, .sa = &work, .rekeyed = rekeyed };

	ike_out_reset(out);
	must(sa->state != IKE_STATE_HALF_OPEN && sa->auth_verified);
	enum ike_state next = take_event(&c);
	if (!c.drop && next == IKE_STATE_ESTABLISHED && sa->state == next && !work.closing && ike_duty_wear(&c))
		next = ike_end_begin(&c);
	if (!c.drop && (c.keep || c.changed || next != (enum ike_state)sa->state)) {
		c.changed |= next != (enum ike_state)sa->state;
		if (next == IKE_STATE_CLOSED)
			strip_closed(&work, ev->now_us);
		if (c.has_rekeyed) {
			must(rekeyed[0].auth_verified && rekeyed[0].state == IKE_STATE_ESTABLISHED);
			must(next != IKE_STATE_ESTABLISHED && work.child_cnt == 0);
			ret_rekeyed[0] = rekeyed[0];
			out->has_rekeyed = true;
		}
		if (c.has_redundant) {
			must(rekeyed[1].auth_verified && rekeyed[1].child_cnt == 0);
			ret_rekeyed[1] = rekeyed[1];
			out->has_redundant = true;
		}
		work.state = (uint8_t)next;
		*ret = work;
		out->has_sa = true;
		out->changed = c.changed;
	}
	ike_sa_wipe(&rekeyed[0]);
	ike_sa_wipe(&rekeyed[1]);
	ike_sa_wipe(&work);
}
