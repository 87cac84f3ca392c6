// Fragments of long messages, in and out (RFC 7383).
#include "ike/frag.h"

#include "base/secret.h"
#include "ike/ctx.h"

#define MTU_DEFAULT 1280      /* RFC 7383 2.5.1: what IPv6 carries anywhere */
#define SKF_HEADER_LEN 8      /* the generic header, number and total */

void ike_frag_forget(struct ike_frags *f)
{
	secret_wipe(f->room, f->room_len);
	secret_wipe(f, offsetof(struct ike_frags, room));
}

/* ---- what comes in ---- */

bool ike_frag_is(struct bytes msg)
{
	struct wire_ike_header h;

	return wire_ike_header_parse(msg, &h) == ERR_NONE && h.major == 2 && h.next == IKE_PL_SKF;
}

static enum ike_frag_result drop(struct ike_out *out, enum model_drop reason)
{
	ike_out_drop(out, reason);
	return IKE_FRAG_DROPPED;
}

/* Number and total, which the integrity check will cover. */
static bool read_outside(struct bytes msg, struct wire_ike_header *h, struct wire_ike_skf *ret)
{
	struct wire_ike_payloads outer;
	struct rd r = rd_of(msg);

	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	return wire_ike_header_parse(msg, h) == ERR_NONE && h->exchange != IKE_EX_SA_INIT &&
	       wire_ike_payloads_parse(h->next, rd_rest(&r), &outer) == ERR_NONE && outer.cnt == 1 &&
	       outer.p[0].type == IKE_PL_SKF && wire_ike_skf_parse(outer.p[0].body, ret) == ERR_NONE;
}

static bool belongs(const struct ike_sa *sa, const struct ike_event *ev, const struct wire_ike_header *h)
{
	return h->spi_i == sa->spi_i && h->spi_r == sa->spi_r && addr_eq(&ev->local.addr, &sa->path.local.addr) &&
	       ((h->flags & IKE_FLAG_INITIATOR) != 0) == (sa->role == IKE_RESPONDER);
}

/* RFC 7383 2.6.1: to a request that was answered only fragment 1 brings the answer again. One that is not bit for bit
 * the former, because the peer now makes smaller ones, must be authentic. */
static enum ike_frag_result take_repeated(const struct ike_sa *sa, const struct ike_event *ev,
					  const struct wire_ike_skf *skf, struct ike_out *out)
{
	struct wr w = wr_of(SPACE_OF(out->sent[0]));
	struct bytes inner;
	uint8_t first;

	if (skf->number != 1)
		return drop(out, MODEL_DROP_ike_fragment);
	if (ike_window_judge(sa, sa->reply.msg_id, ev->msg) != IKE_WINDOW_REPEATED &&
	    (sa->state == IKE_STATE_CLOSED || /* its keys are gone */
	     ike_protect_open(sa, IKE_PL_SKF, ev->msg, ike_out_scratch(out, ev->msg), &first, &inner) != ERR_NONE))
		return drop(out, MODEL_DROP_ike_auth);
	wr_put(&w, bytes_of(sa->reply.b, sa->reply.len));
	ike_out_send(out, wr_bytes(&w), &ev->local, &ev->remote);
	ike_out_count(out, MODEL_COUNTER_ike_retransmit_answered);
	return IKE_FRAG_DROPPED;
}

/* Whether the SA waits for a message of that id. */
static bool expected(const struct ike_sa *sa, const struct wire_ike_header *h)
{
	if ((h->flags & IKE_FLAG_RESPONSE) != 0)
		return ike_window_awaits(sa, h->msg_id);
	return ike_window_is_new(sa, h->msg_id);
}

static bool same_message(const struct ike_frags *f, const struct wire_ike_header *h)
{
	return f->used && f->msg_id == h->msg_id && f->exchange == h->exchange &&
	       f->response == ((h->flags & IKE_FLAG_RESPONSE) != 0);
}

/* Window 1: a peer that asks anew waits for no answer to what it asked before. */
static bool is_older(const struct ike_frags *f, const struct wire_ike_header *h)
{
	return f->used && !f->response && (h->flags & IKE_FLAG_RESPONSE) == 0 && h->msg_id < f->msg_id;
}

/* One message at a time, and not for ever. RFC 7383 2.6: a greater total is the same message in smaller pieces, and what
 * came of the bigger ones is of no use; a smaller total is late. False: not wanted. */
static bool make_room(struct ike_frags *f, const struct wire_ike_header *h, const struct wire_ike_skf *skf,
		      uint64_t now_us)
{
	bool old = f->used && now_us - f->since_us >= IKE_FRAGS_LIFE_US;

	if (!old && (is_older(f, h) || (same_message(f, h) && skf->total < f->total)))
		return false;
	if (old || !same_message(f, h) || skf->total > f->total)
		ike_frag_forget(f);
	return !f->piece[skf->number - 1].here;
}

static bool keep(struct ike_frags *f, const struct ike_event *ev, const struct wire_ike_header *h,
		 const struct wire_ike_skf *skf, uint8_t first, struct bytes text)
{
	struct wr room = wr_of(SPACE_OF(f->room)), head = wr_of(SPACE_OF(f->head));

	(void)wr_reserve(&room, f->room_len);
	wr_put(&room, text);
	if (skf->number == 1)
		wr_put(&head, ev->msg);
	if (room.bad || head.bad)
		return false;
	if (!f->used) {
		f->used = true;
		f->response = (h->flags & IKE_FLAG_RESPONSE) != 0;
		f->exchange = h->exchange;
		f->msg_id = h->msg_id;
		f->total = skf->total;
		f->since_us = ev->now_us;
	}
	if (skf->number == 1) {
		f->first = first;
		f->head_len = (uint16_t)wr_len(&head);
	}
	f->piece[skf->number - 1].here = true;
	f->piece[skf->number - 1].at = f->room_len;
	f->piece[skf->number - 1].len = (uint16_t)text.len;
	f->room_len = (uint16_t)wr_len(&room);
	f->cnt++;
	return true;
}

enum ike_frag_result ike_frag_take(struct ike_frags *f, const struct ike_sa *sa, const struct ike_event *ev,
				   struct ike_out *out)
{
	struct wire_ike_header h;
	struct wire_ike_skf skf;
	struct bytes text;
	uint8_t first;

	ike_out_reset(out);
	must(ev->kind == IKE_EV_MESSAGE && !ev->whole);
	if (ev->msg.len > IKE_MESSAGE_MAX || !read_outside(ev->msg, &h, &skf))
		return drop(out, MODEL_DROP_ike_malformed);
	/* RFC 7383 2.3: only after both said so. */
	if (!sa->fragments || !belongs(sa, ev, &h))
		return drop(out, MODEL_DROP_ike_unexpected);
	if ((h.flags & IKE_FLAG_RESPONSE) == 0 && sa->reply.len != 0 && h.msg_id == sa->reply.msg_id)
		return take_repeated(sa, ev, &skf, out);
	if (!expected(sa, &h) || sa->state == IKE_STATE_CLOSED)
		return drop(out, MODEL_DROP_ike_msgid);
	/* Verified before anything is kept, or thrown away for it. */
	if (skf.total > IKE_FRAGS_MAX)
		return drop(out, MODEL_DROP_ike_fragment);
	enum err e = ike_protect_open(sa, IKE_PL_SKF, ev->msg, ike_out_scratch(out, ev->msg), &first, &text);
	if (e != ERR_NONE)
		return drop(out, e == ERR_AUTH ? MODEL_DROP_ike_auth : MODEL_DROP_ike_malformed);
	if (!make_room(f, &h, &skf, ev->now_us))
		return drop(out, MODEL_DROP_ike_fragment);
	if (!keep(f, ev, &h, &skf, first, text)) {
		ike_frag_forget(f);
		return drop(out, MODEL_DROP_ike_fragment);
	}
	if (f->cnt < f->total)
		return IKE_FRAG_KEPT;
	ike_out_count(out, MODEL_COUNTER_ike_fragmented_in);
	return IKE_FRAG_WHOLE;
}

void ike_frag_join(struct ike_frags *f, struct space room, struct ike_event *ev)
{
	struct wr w = wr_of(room);

	must(f->used && f->cnt == f->total);
	wr_put(&w, bytes_of(f->head, f->head_len));
	for (unsigned i = 0; i < f->total; i++)
		wr_put(&w, bytes_of(&f->room[f->piece[i].at], f->piece[i].len));
	must(!w.bad);
	struct rd r = rd_of(wr_bytes(&w));
	ev->msg = rd_bytes(&r, f->head_len);
	ev->inner = rd_rest(&r);
	ev->inner_first = f->first;
	ev->whole = true;
	ike_frag_forget(f);
}

/* ---- what goes out ---- */

/* The longest IKE message in one datagram: IP, UDP and the non-ESP marker go before it. */
static size_t longest(const struct ike_ctx *c)
{
	size_t mtu = c->world->fragment_mtu != 0 ? c->world->fragment_mtu : MTU_DEFAULT;
	size_t before = (c->sa->path.local.addr.family == ADDR_V6 ? 40 : 20) + 8 + 4;

	return mtu > before ? mtu - before : 0;
}

/* What follows the text at most: padding and ICV. */
static size_t behind(const struct ike_sa *sa)
{
	return crypt_encr_block_len(sa->suite.encr) + crypt_icv_len(sa->suite.encr, sa->suite.integ);
}

bool ike_frag_wanted(const struct ike_ctx *c, const struct wire_ike_builder *b)
{
	return c->sa->fragments && wr_len(&b->w) + behind(c->sa) > longest(c);
}

MUST_USE enum err ike_frag_seal(struct ike_ctx *c, struct wire_ike_builder *b, struct bytes *ret)
{
	const struct wire_ike_header h = b->h;
	bool response = (h.flags & IKE_FLAG_RESPONSE) != 0;
	uint8_t *room = c->out->sent[response ? 0 : 1];
	struct wr list = wr_of((struct space){ room, sizeof(c->out->sent[0]) });
	uint8_t first, iv[CRYPT_IV_MAX];
	struct bytes chain, one;

	enum err e = wire_ike_sk_abandon(b, &first, &chain);
	if (e != ERR_NONE)
		return e;
	size_t around = WIRE_IKE_HEADER_LEN + SKF_HEADER_LEN + crypt_encr_iv_len(c->sa->suite.encr) + behind(c->sa);
	size_t cap = longest(c) > around ? longest(c) - around : 1;
	size_t total = (chain.len + cap - 1) / cap;
	if (total > IKE_FRAGS_OUT_MAX)
		total = IKE_FRAGS_OUT_MAX;
	if (total == 0)
		total = 1;
	/* All of one length but the last. */
	size_t part = (chain.len + total - 1) / total;
	struct rd r = rd_of(chain);
	for (unsigned n = 0; n < total; n++) {
		struct wire_ike_builder f;
		size_t left = rd_left(&r);
		struct space left_room = { list.p, (size_t)(list.end - list.p) };
		wire_ike_begin(&f, left_room, &h);
		wire_ike_skf_open(&f, (uint16_t)(n + 1), (uint16_t)total, first,
				  ike_protect_iv(c->sa, c->ev, response, n, iv));
		wr_put(&f.w, rd_bytes(&r, left < part ? left : part));
		e = ike_protect_close(c->sa, &f, &one);
		if (e != ERR_NONE)
			return e;
		(void)wr_reserve(&list, one.len);
	}
	ike_out_count(c->out, MODEL_COUNTER_ike_fragmented_out);
	*ret = wr_bytes(&list);
	return ERR_NONE;
}
