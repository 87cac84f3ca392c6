#include "ike/exchanges.h"

/* RFC 7296 2.2: message ids do not wrap; such an SA has to be rekeyed long before. Ids may jump forward: the record is not
 * written for a request that changes nothing, so after a crash it may be behind, and so may another node's (only the peer can
 * make a message that passes). */
bool ike_window_is_new(const struct ike_sa *sa, uint32_t msg_id)
{
	bool next = sa->state == IKE_STATE_HALF_OPEN ? msg_id == sa->rx_next : msg_id >= sa->rx_next;
	return next && msg_id != UINT32_MAX;
}

enum ike_window ike_window_judge(const struct ike_sa *sa, uint32_t msg_id, struct bytes request)
{
	uint8_t hash[32];

	if (ike_window_is_new(sa, msg_id))
		return IKE_WINDOW_NEW;
	if (sa->reply.len == 0 || msg_id != sa->reply.msg_id)
		return IKE_WINDOW_OUTSIDE;
	/* RFC 7296 2.1: a retransmission is bitwise the same as the request; anything else under its message
	 * id did not come from the peer, or is not meant to be answered twice. */
	if (crypt_sha256(&request, 1, hash) != ERR_NONE || !bytes_eq(BYTES_OF(hash), BYTES_OF(sa->reply.request_hash)))
		return IKE_WINDOW_OUTSIDE;
	return IKE_WINDOW_REPEATED;
}

void ike_window_keep(struct ike_sa *sa, uint32_t msg_id, struct bytes request, struct bytes reply)
{
	struct wr w = wr_of(SPACE_OF(sa->reply.b));

	must(reply.len != 0 && reply.len <= sizeof(sa->reply.b));
	wr_put(&w, reply);
	sa->reply.len = (uint16_t)reply.len;
	sa->reply.msg_id = msg_id;
	/* Without a hash no repetition is recognised, which costs the peer its answer but nothing else. */
	if (crypt_sha256(&request, 1, sa->reply.request_hash) != ERR_NONE)
		sa->reply.len = 0;
	sa->rx_next = msg_id + 1;
}

/* ---- our own requests (RFC 7296 2.1: repeated by the side that asks; 2.3: one at a time) ---- */

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

	return sa->candidate.remote.addr.family != ADDR_NONE &&
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
	ike_protect_begin(c->sa, c->ev, false, exchange, c->sa->tx_next, ike_out_clear_room(c->out, false), b);
}

bool ike_request_commit(struct ike_ctx *c, struct wire_ike_builder *b, const struct ike_request *facts)
{
	struct ike_sa *sa = c->sa;
	struct bytes msg;

	if (ike_protect_seal(c, b, &msg) != ERR_NONE || msg.len > sizeof(sa->request.b))
		return false;
	sa->request = *facts;
	struct wr w = wr_of(SPACE_OF(sa->request.b));
	wr_put(&w, msg);
	sa->request.msg_id = sa->tx_next++;
	sa->request.len = (uint16_t)msg.len;
	ike_request_send(c);
	return true;
}

void ike_request_start(struct ike_ctx *c, enum ike_request_kind kind, uint32_t child_spi)
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
		ike_move_put(c, kind, &facts, &b);
	(void)ike_request_commit(c, &b, &facts); /* if not, the next timer tries again */
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

bool ike_request_waits(const struct ike_sa *sa, uint32_t msg_id)
{
	return sa->request.kind != IKE_REQUEST_NONE && sa->request.msg_id == msg_id;
}

void ike_request_done(struct ike_sa *sa)
{
	secret_wipe(&sa->request, sizeof(sa->request));
}

void ike_request_next(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	if (sa->request.kind != IKE_REQUEST_NONE)
		return;
	if (sa->closing) {
		ike_request_start(c, IKE_REQUEST_DELETE_IKE, 0);
		return;
	}
	if (ike_move_due(sa)) {
		ike_move_start(c);
		return;
	}
	for (unsigned i = 0; i < sa->child_cnt; i++) {
		if (sa->children[i].closing) {
			ike_request_start(c, IKE_REQUEST_DELETE_CHILD, sa->children[i].spi_in);
			return;
		}
	}
}
