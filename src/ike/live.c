// The life of an established SA: liveness, lifetimes, a moved peer, the end (RFC 7296 2.4, 2.8, 2.23, 1.4.1).
#include "ike/parts.h"

enum ike_state ike_live_end(struct ike_ctx *c)
{
	ike_child_delete_all(c);
	return IKE_STATE_CLOSED;
}

enum ike_state ike_live_begin_end(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	ike_child_delete_all(c);
	sa->closing = true;
	sa->new_child_us = 0;
	sa->expires_us = c->ev->now_us + IKE_CLOSED_KEEP_US; /* if not even the Delete can be made */
	/* Window 1: a request on its way must be answered before the Delete may leave; asked again at once. */
	if (sa->request.kind == IKE_REQUEST_ADDRESS)
		sa->request.kind = IKE_REQUEST_LIVENESS;
	if (sa->request.kind != IKE_REQUEST_NONE)
		ike_request_send(c);
	else
		ike_request_next(c);
	return sa->state;
}

/* ---- timer ---- */

static enum ike_state give_up(struct ike_ctx *c)
{
	/* RFC 7296 2.4: after repeated requests without an answer the peer is gone, with all its children. */
	if (c->sa->state == IKE_STATE_ESTABLISHED && !c->sa->closing) {
		struct model_failure *f =
			ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_LIVENESS, MODEL_STAGE_LIVE);
		ike_text_add(f->offered, sizeof(f->offered), "no answer to %u requests", c->sa->request.tries);
	}
	if (ike_rival_promote(c))
		return IKE_STATE_CLOSED;
	return ike_live_end(c);
}

static enum ike_state repeat_request(struct ike_ctx *c)
{
	struct ike_request *q = &c->sa->request;

	if (q->kind == IKE_REQUEST_ADDRESS && q->address_tries >= IKE_ADDRESS_TRIES_MAX) {
		/* The message id is taken, so the same request goes on as liveness check of the proven path. */
		q->kind = IKE_REQUEST_LIVENESS;
		c->sa->next_check_us = c->ev->now_us + IKE_ADDRESS_PAUSE_US;
	} else if (q->kind != IKE_REQUEST_ADDRESS && q->tries >= IKE_TRIES_MAX) {
		return give_up(c);
	}
	ike_request_send(c);
	return c->sa->state;
}

static uint64_t liveness_due(const struct ike_sa *sa, uint64_t last_esp_us)
{
	uint64_t heard = sa->last_in_us > last_esp_us ? sa->last_in_us : last_esp_us;

	if (sa->state != IKE_STATE_ESTABLISHED || sa->closing || sa->dpd_delay_s == 0)
		return UINT64_MAX;
	return heard + sa->dpd_delay_s * (uint64_t)1000000;
}

uint64_t ike_sa_timer(const struct ike_sa *sa, uint64_t last_esp_us)
{
	uint64_t at = sa->expires_us;
	uint64_t own = sa->request.kind != IKE_REQUEST_NONE ? sa->request.resend_us : liveness_due(sa, last_esp_us);

	if (sa->state == IKE_STATE_CLOSED)
		return at;
	if (sa->request.kind == IKE_REQUEST_NONE) {
		uint64_t duty = sa->closing ? 0 : ike_own_time(sa);
		own = duty < own ? duty : own;
	}
	return own < at ? own : at;
}

enum ike_state ike_live_timer(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	uint64_t now = c->ev->now_us;

	if (now >= sa->expires_us && sa->closing)
		return ike_live_end(c);
	if (now >= sa->expires_us) {
		if (sa->state == IKE_STATE_ESTABLISHED)
			(void)ike_out_fail(c->out, c->ev, sa, MODEL_FAILURE_EXPIRED, MODEL_STAGE_LIVE);
		return ike_live_begin_end(c);
	}
	if (sa->request.kind != IKE_REQUEST_NONE)
		return now >= sa->request.resend_us ? repeat_request(c) : (enum ike_state)sa->state;
	ike_request_next(c);
	if (sa->request.kind != IKE_REQUEST_NONE || ike_own_due(c))
		return sa->state;
	if (now >= liveness_due(sa, c->ev->last_esp_us))
		ike_request_start(c, IKE_REQUEST_LIVENESS, 0, NULL, NULL);
	return sa->state;
}

/* ---- events from inside ---- */

enum ike_state ike_live_close(struct ike_ctx *c)
{
	if (c->sa->closing)
		return c->sa->state;
	if (c->sa->state == IKE_STATE_ESTABLISHED)
		(void)ike_out_fail(c->out, c->ev, c->sa, (enum model_failure_code)c->ev->close_code,
				   MODEL_STAGE_LIVE);
	return ike_live_begin_end(c);
}

enum ike_state ike_live_child_expired(struct ike_ctx *c)
{
	struct ike_child_ref *ref = ike_child_find(c->sa, c->ev->child_spi, 0);

	if (c->ev->child_spi == 0 || ref == NULL || (ref->closing && !ref->lingers))
		return c->sa->state;
	ike_out_add(c->out, IKE_ACT_CHILD_DELETE)->spi = ref->spi_in;
	ref->closing = true;
	ref->lingers = false;
	c->changed = true;
	ike_child_want(c);
	ike_request_next(c);
	return c->sa->state;
}

static void make_due(struct ike_ctx *c, uint64_t *due)
{
	if (*due != 0 && *due <= c->ev->now_us)
		return;
	*due = c->ev->now_us;
	c->changed = true;
}

/* Only notes that something is due: the timer starts it when the window is free. */
enum ike_state ike_live_duty(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	if (sa->closing)
		return sa->state;
	if (c->ev->kind == IKE_EV_REKEY_IKE)
		make_due(c, &sa->rekey_us);
	if (c->ev->kind == IKE_EV_NEW_CHILD)
		make_due(c, &sa->new_child_us);
	for (unsigned i = 0; c->ev->kind == IKE_EV_REKEY_CHILD && i < sa->child_cnt; i++) {
		struct ike_child_ref *ref = &sa->children[i];
		bool meant = c->ev->child_spi == 0 || c->ev->child_spi == ref->spi_in;
		if (meant && !ref->replaced && !ref->closing)
			make_due(c, &ref->due_us);
	}
	return sa->state;
}

/* ---- a moved peer ---- */

/* Native ESP has no ports: then IKE's own stay. */
static void seen_at(const struct ike_ctx *c, struct addr_endpoint *local, struct addr_endpoint *remote)
{
	*local = c->ev->local;
	*remote = c->ev->remote;
	if (remote->port == 0 || local->port == 0) {
		local->port = c->sa->path.local.port;
		remote->port = c->sa->path.remote.port;
	}
}

/* One packet from a new address proves nothing, for it may be an old one that somebody sends again. The address
 * is asked with a request that only the peer can answer, and at most one test runs at a time. */
void ike_live_check_address(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	struct ike_request *q = &sa->request;
	struct addr_endpoint local, remote;

	seen_at(c, &local, &remote);
	if (sa->closing || c->ev->now_us < sa->next_check_us || !addr_eq(&local.addr, &sa->path.local.addr) ||
	    (addr_endpoint_eq(&remote, &sa->path.remote) && local.port == sa->path.local.port))
		return;
	if (q->kind == IKE_REQUEST_NONE) {
		ike_request_start(c, IKE_REQUEST_ADDRESS, 0, &local, &remote);
	} else if (q->kind == IKE_REQUEST_LIVENESS && q->to.addr.family == ADDR_NONE) {
		/* The liveness check that stays without answer is the same message: it may go there too. */
		q->kind = IKE_REQUEST_ADDRESS;
		q->to = remote;
		q->to_port = local.port;
		ike_request_send(c);
	}
}

enum ike_state ike_live_address(struct ike_ctx *c)
{
	ike_live_check_address(c);
	return c->sa->state;
}
