// INFORMATIONAL (RFC 7296 1.4, 1.4.1):
//
//   HDR, SK {}  -->                     <--  HDR, SK {}                  liveness, either way
//   HDR, SK {D(ESP, SPIs)}  -->         <--  HDR, SK {D(ESP, our SPIs)}
//   HDR, SK {D(IKE)}  -->               <--  HDR, SK {}
//
// and what RFC 4555 adds to it (ike/move.c).
#include "ike/exchanges.h"

/* All that one request deletes; read wholly before anything is done. */
struct deletes {
	bool ike;
	unsigned cnt;
	uint32_t spis[IKE_CHILDREN_MAX]; /* of children that are there: the peer's SPI */
};

static void take_spi(struct ike_ctx *c, struct deletes *d, uint32_t spi)
{
	struct ike_child_ref *ref = spi != 0 ? ike_child_find(c->sa, 0, spi) : NULL;

	if (ref == NULL) { /* RFC 7296 2.25.1: unknown ones are passed over */
		/* The answer that brings this child may have been overtaken. */
		if (c->sa->request.new_spi != 0)
			c->sa->request.gone_spi = spi;
		return;
	}
	for (unsigned i = 0; i < d->cnt; i++)
		if (d->spis[i] == spi)
			return;
	must(d->cnt < IKE_CHILDREN_MAX);
	d->spis[d->cnt++] = spi;
}

static bool read_deletes(struct ike_ctx *c, struct deletes *d)
{
	const struct wire_ike_payload *p;
	struct wire_ike_delete one;

	for (unsigned n = 0; (p = wire_ike_find(&c->in, IKE_PL_DELETE, n)) != NULL; n++) {
		if (wire_ike_delete_parse(p->body, &one) != ERR_NONE)
			return false;
		d->ike |= one.protocol == IKE_PROTO_IKE;
		for (unsigned i = 0; one.protocol == IKE_PROTO_ESP && i < one.cnt; i++)
			take_spi(c, d, one.spis[i]);
	}
	return true;
}

/* RFC 7296 1.4.1: the answer names our half of each pair. One that we are closing ourselves is left out
 * (2.25.1): its Delete is on its way. */
static void delete_children(struct ike_ctx *c, const struct deletes *d)
{
	uint32_t own[IKE_CHILDREN_MAX];
	uint8_t cnt = 0;

	for (unsigned i = 0; i < d->cnt; i++) {
		struct ike_child_ref *ref = ike_child_find(c->sa, 0, d->spis[i]);
		must(ref != NULL);
		if (!ref->closing)
			own[cnt++] = ref->spi_in;
		if (!ref->closing || ref->lingers)
			ike_out_add(c->out, IKE_ACT_CHILD_DELETE)->spi = ref->spi_in;
		ike_child_forget(c->sa, ref);
		c->changed = true;
	}
	if (d->cnt > 0)
		ike_child_want(c);
	if (cnt > 0)
		wire_ike_put_delete(&c->reply, IKE_PROTO_ESP, own, cnt);
}

static enum ike_state end_by_peer(struct ike_ctx *c, const char *how)
{
	/* Two rekeys met, and for the peer its own is done (RFC 7296 2.8.2): ours is forgotten (2.25.2). */
	if (ike_rival_promote(c))
		return IKE_STATE_CLOSED;
	if (c->sa->state == IKE_STATE_ESTABLISHED && !c->sa->closing) {
		struct model_failure *f =
			ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_PEER_DELETED, MODEL_STAGE_LIVE);
		ike_text_add(f->offered, sizeof(f->offered), "%s", how);
	}
	return ike_end_now(c); /* the answer is empty (1.4.1) */
}

enum ike_state ike_info_request(struct ike_ctx *c)
{
	struct deletes d = { 0 };
	struct wire_ike_notify n;

	if (!read_deletes(c, &d)) {
		ike_reply_syntax(c, "a Delete that cannot be read");
		return c->sa->state;
	}
	if (d.ike)
		return end_by_peer(c, "Delete");
	/* RFC 7296 2.21.2: the initiator did not take our AUTH, and both sides drop the SA. */
	if (wire_ike_notify_find(&c->in, IKE_N_AUTHENTICATION_FAILED, &n))
		return end_by_peer(c, "AUTHENTICATION_FAILED");
	delete_children(c, &d);
	ike_move_request(c);
	return c->sa->state;
}

enum ike_state ike_info_response(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	const struct ike_request q = sa->request;
	enum ike_request_kind kind = (enum ike_request_kind)q.kind;

	if (kind == IKE_REQUEST_DELETE_CHILD) {
		struct ike_child_ref *ref = ike_child_find(sa, sa->request.child_spi, 0);
		if (ref != NULL && ref->lingers)
			ike_out_add(c->out, IKE_ACT_CHILD_DELETE)->spi = ref->spi_in;
		if (ref != NULL)
			ike_child_forget(sa, ref);
	}
	ike_request_done(sa);
	c->changed = true;
	if (kind == IKE_REQUEST_DELETE_IKE)
		return ike_end_now(c);
	enum ike_state next = ike_move_response(c, &q);
	if (next == IKE_STATE_ESTABLISHED || next == IKE_STATE_REKEYED)
		ike_inform_next(c);
	return next;
}
