// The life of an established SA: liveness, lifetimes, the end (RFC 7296 2.4, 2.8, 1.4.1).
#include "ike/exchanges.h"

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
	return ike_end_now(c);
}

static enum ike_state repeat_request(struct ike_ctx *c)
{
	struct ike_request *q = &c->sa->request;
	unsigned there_max = c->sa->candidate.told ? IKE_TOLD_TRIES_MAX : IKE_ADDRESS_TRIES_MAX;

	if (q->kind == IKE_REQUEST_ADDRESS && q->address_tries >= there_max) {
		ike_address_forget(c->sa);
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
		uint64_t duty = sa->closing || ike_address_due(sa) ? 0 : ike_own_time(sa);
		own = duty < own ? duty : own;
	}
	return own < at ? own : at;
}

enum ike_state ike_live_timer(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	uint64_t now = c->ev->now_us;

	if (now >= sa->expires_us && sa->closing)
		return ike_end_now(c);
	if (now >= sa->expires_us) {
		if (sa->state == IKE_STATE_ESTABLISHED)
			(void)ike_out_fail(c->out, c->ev, sa, MODEL_FAILURE_EXPIRED, MODEL_STAGE_LIVE);
		return ike_end_begin(c);
	}
	if (sa->request.kind != IKE_REQUEST_NONE)
		return now >= sa->request.resend_us ? repeat_request(c) : (enum ike_state)sa->state;
	ike_inform_next(c);
	if (sa->request.kind != IKE_REQUEST_NONE || ike_own_due(c))
		return sa->state;
	if (now >= liveness_due(sa, c->ev->last_esp_us))
		ike_inform_start(c, IKE_REQUEST_LIVENESS, 0);
	return sa->state;
}

/* ---- events from inside ---- */

enum ike_state ike_live_close(struct ike_ctx *c)
{
	if (c->sa->closing)
		return c->sa->state;
	if (c->sa->state == IKE_STATE_ESTABLISHED && c->ev->close_code != MODEL_FAILURE_CNT)
		(void)ike_out_fail(c->out, c->ev, c->sa, (enum model_failure_code)c->ev->close_code,
				   MODEL_STAGE_LIVE);
	return ike_end_begin(c);
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
	ike_inform_next(c);
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
