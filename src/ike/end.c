// The end of an SA: at once, or with a Delete that the peer answers (RFC 7296 1.4.1).
#include "ike/exchanges.h"

enum ike_state ike_end_now(struct ike_ctx *c)
{
	ike_child_delete_all(c);
	return IKE_STATE_CLOSED;
}

enum ike_state ike_end_begin(struct ike_ctx *c)
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
		ike_inform_next(c);
	return sa->state;
}
