// INFORMATIONAL requests of ours, and which of those that wait for the window is next (RFC 7296 1.4, RFC 4555 3.5, 3.7).
#include "ike/ctx.h"

void ike_inform_start(struct ike_ctx *c, enum ike_request_kind kind, uint32_t child_spi)
{
	struct wire_ike_builder b;
	struct ike_request facts = { .kind = (uint8_t)kind, .child_spi = child_spi };
	struct rd nonce = rd_of(bytes_of(&c->ev->random[IKE_RANDOM_OWN_NONCE], IKE_NONCE_LEN));

	if (kind == IKE_REQUEST_ADDRESS)
		rd_copy(&nonce, facts.nonce, sizeof(facts.nonce));

	/* RFC 7296 1.4: an INFORMATIONAL request without payloads is the liveness check. */
	ike_request_begin(c, IKE_EX_INFORMATIONAL, &b);
	if (kind == IKE_REQUEST_DELETE_CHILD)
		wire_ike_put_delete(&b, IKE_PROTO_ESP, &child_spi, 1);
	else if (kind == IKE_REQUEST_DELETE_IKE)
		wire_ike_put_delete(&b, IKE_PROTO_IKE, NULL, 0);
	else
		ike_address_put(c, kind, &facts, &b);
	(void)ike_request_commit(c, &b, &facts); /* if not, the next timer tries again */
}

static void start_move(struct ike_ctx *c)
{
	if (c->sa->update_due) {
		c->sa->update_due = false;
		ike_inform_start(c, IKE_REQUEST_UPDATE, 0);
		c->sa->update_due = c->sa->request.kind != IKE_REQUEST_UPDATE;
	} else {
		ike_inform_start(c, IKE_REQUEST_ADDRESS, 0);
	}
}

void ike_inform_next(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	if (sa->request.kind != IKE_REQUEST_NONE)
		return;
	if (sa->closing) {
		ike_inform_start(c, IKE_REQUEST_DELETE_IKE, 0);
		return;
	}
	if (ike_address_due(sa)) {
		start_move(c);
		return;
	}
	for (unsigned i = 0; i < sa->child_cnt; i++) {
		if (sa->children[i].closing) {
			ike_inform_start(c, IKE_REQUEST_DELETE_CHILD, sa->children[i].spi_in);
			return;
		}
	}
}
