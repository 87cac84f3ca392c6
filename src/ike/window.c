// Message ids: what is new, what was answered, what is awaited (RFC 7296 2.1 to 2.3).
#include "crypt/prf.h"
#include "ike/ctx.h"

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

bool ike_window_awaits(const struct ike_sa *sa, uint32_t msg_id)
{
	return sa->request.kind != IKE_REQUEST_NONE && sa->request.msg_id == msg_id;
}
