// Our own requests: repeated by the side that asks, one at a time (RFC 7296 2.1, 2.3).
#include "base/secret.h"
#include "ike/ctx.h"

/* 0.5 s, then 1.8 times as long after each try. */
uint64_t ike_resend_delay(unsigned tries)
{
	uint64_t us = IKE_RESEND_FIRST_US;

	for (unsigned i = 1; i < tries; i++)
		us = us * 9 / 5;
	return us;
}

/* RFC 4555 3.5: the peer is asked where it says to be. Where it only seems to be it is asked as well as on the path: one of
 * the two is lost, and nobody knows which. */
static bool goes_to_candidate(const struct ike_sa *sa)
{
	const struct ike_request *q = &sa->request;

	return ike_address_has_candidate(sa) &&
	       (q->kind == IKE_REQUEST_ADDRESS || sa->candidate.told || 2 * q->address_tries < q->tries);
}

void ike_request_send(struct ike_ctx *c)
{
	struct ike_request *q = &c->sa->request;
	struct addr_endpoint local = c->sa->path.local, remote = c->sa->path.remote;
	struct wr w = wr_of(SPACE_OF(c->out->room[1]));

	must(q->kind != IKE_REQUEST_NONE && q->len <= sizeof(q->b));
	wr_put(&w, bytes_of(q->b, q->len));
	q->tries++;
	q->resend_us = c->ev->now_us + ike_resend_delay(q->tries);
	if (goes_to_candidate(c->sa)) {
		q->address_tries++;
		remote = c->sa->candidate.remote;
		local.port = c->sa->candidate.local_port; /* to which it sent: only that passes its NAT */
	}
	ike_out_send(c->out, wr_bytes(&w), &local, &remote);
	c->changed = true;
}

void ike_request_copy(struct ike_ctx *c)
{
	const struct ike_request *q = &c->sa->request;
	struct wr w = wr_of(SPACE_OF(c->out->room[1]));

	wr_put(&w, bytes_of(q->b, q->len));
	ike_out_send(c->out, wr_bytes(&w), &c->ev->local, &c->ev->remote);
}

void ike_request_begin(struct ike_ctx *c, uint8_t exchange, struct wire_ike_builder *b)
{
	must(c->sa->request.kind == IKE_REQUEST_NONE);
	ike_message_begin(c->sa, c->ev, false, exchange, c->sa->tx_next, ike_out_clear_room(c->out, false), b);
}

bool ike_request_commit(struct ike_ctx *c, struct wire_ike_builder *b, const struct ike_request *facts)
{
	struct ike_sa *sa = c->sa;
	struct bytes msg;

	if (ike_message_seal(c, b, &msg) != ERR_NONE || msg.len > sizeof(sa->request.b))
		return false;
	sa->request = *facts;
	struct wr w = wr_of(SPACE_OF(sa->request.b));
	wr_put(&w, msg);
	sa->request.msg_id = sa->tx_next++;
	sa->request.len = (uint16_t)msg.len;
	ike_request_send(c);
	return true;
}

uint8_t ike_request_exchange(const struct ike_request *q)
{
	switch ((enum ike_request_kind)q->kind) {
	case IKE_REQUEST_AUTH:
		return IKE_EX_AUTH;
	case IKE_REQUEST_NEW_CHILD:
	case IKE_REQUEST_REKEY_CHILD:
	case IKE_REQUEST_REKEY_IKE:
		return IKE_EX_CREATE_CHILD_SA;
	case IKE_REQUEST_NONE:
	case IKE_REQUEST_LIVENESS:
	case IKE_REQUEST_ADDRESS:
	case IKE_REQUEST_DELETE_CHILD:
	case IKE_REQUEST_DELETE_IKE:
	case IKE_REQUEST_UPDATE:
		break;
	}
	return IKE_EX_INFORMATIONAL;
}

void ike_request_done(struct ike_sa *sa)
{
	secret_wipe(&sa->request, sizeof(sa->request));
}
