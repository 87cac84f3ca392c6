// What is asked of addresses: which of them is under test, and the payloads of the requests about it (RFC 4555 3.5, 3.7, 3.8).
#include "ike/ctx.h"
#include "ike/parts.h"

bool ike_address_has_candidate(const struct ike_sa *sa)
{
	return sa->candidate.remote.addr.family != ADDR_NONE;
}

void ike_address_forget(struct ike_sa *sa)
{
	sa->candidate = (struct ike_candidate){ 0 };
	/* The message id is taken: the same request goes on. */
	if (sa->request.kind == IKE_REQUEST_ADDRESS)
		sa->request.kind = IKE_REQUEST_LIVENESS;
}

bool ike_address_due(const struct ike_sa *sa)
{
	return sa->state == IKE_STATE_ESTABLISHED && !sa->closing && (sa->update_due || ike_address_has_candidate(sa));
}

void ike_address_put(struct ike_ctx *c, enum ike_request_kind kind, const struct ike_request *facts,
		     struct wire_ike_builder *b)
{
	const struct ike_sa *sa = c->sa;
	struct addr_endpoint own = sa->path.local, remote = sa->path.remote;

	if (!sa->mobike)
		return;
	if (kind == IKE_REQUEST_ADDRESS) {
		wire_ike_put_plain_notify(b, IKE_N_COOKIE2, BYTES_OF(facts->nonce));
		own.port = sa->candidate.local_port;
		remote = sa->candidate.remote;
	}
	if (kind == IKE_REQUEST_UPDATE)
		wire_ike_put_plain_notify(b, IKE_N_UPDATE_SA_ADDRESSES, (struct bytes){ 0 });
	if (sa->encap == IKE_ENCAP_FORCED)
		own.port = 0; /* as in IKE_SA_INIT: the gateway has to see a NAT */
	/* RFC 4555 3.8: NAT detection may stand in any of these requests. Behind a NAT the liveness check shows whether it has
	 * changed the mapping; and libreswan returns COOKIE2 only beside it. Without the hashes the message still does what else
	 * it is for. */
	if (kind == IKE_REQUEST_UPDATE || kind == IKE_REQUEST_ADDRESS ||
	    (kind == IKE_REQUEST_LIVENESS && sa->started && sa->nat_local))
		(void)!ike_natd_put(b, sa->spi_i, sa->spi_r, &own, &remote);
}
