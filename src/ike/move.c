// Addresses that change: a peer that was seen elsewhere (RFC 7296 2.23), and MOBIKE in both roles (RFC 4555).
//
//   HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*), [N(NO_NATS_ALLOWED)], [N(COOKIE2)]}  -->
//                                <--  HDR, SK {N(NAT_DETECTION_*), [N(COOKIE2)]}
//                           or   <--  HDR, SK {N(UNACCEPTABLE_ADDRESSES) or N(UNEXPECTED_NAT_DETECTED), [N(COOKIE2)]}
//   the reachability check (3.7), to the new address alone:
//                                <--  HDR, SK {N(COOKIE2), N(NAT_DETECTION_*)}
//   HDR, SK {N(NAT_DETECTION_*), N(COOKIE2)}  -->
//
// Only who started the tunnel moves by message. A peer of whichever kind is followed only when it has answered from its new
// address. Our own addresses beside the one of the path are not told, those of the peer
// (ADDITIONAL_IP4_ADDRESS and the like) not used.
#include "ike/exchanges.h"

/* ---- a peer that is elsewhere ---- */

/* What waits for its answer is asked there at once, and proves nothing, for it was asked elsewhere too. Else the check. */
static void probe(struct ike_ctx *c)
{
	if (c->sa->request.kind == IKE_REQUEST_NONE)
		ike_inform_next(c);
	else
		ike_request_send(c);
}

static bool is_on_path(const struct ike_sa *sa, const struct addr_endpoint *remote, uint16_t local_port)
{
	return addr_endpoint_eq(remote, &sa->path.remote) && local_port == sa->path.local.port;
}

/* One packet from another address proves nothing, for it may be an old one that somebody sends again. The address is
 * asked with a request that only the peer can answer, and at most one check runs at a time. */
static void see(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	struct addr_endpoint remote = c->ev->remote;
	uint16_t local_port = c->ev->local.port;

	if (remote.port == 0 || local_port == 0) { /* native ESP has no ports: then IKE's own stay */
		remote.port = sa->path.remote.port;
		local_port = sa->path.local.port;
	}
	if (sa->closing || ike_address_has_candidate(sa) || c->ev->now_us < sa->next_check_us ||
	    !addr_eq(&c->ev->local.addr, &sa->path.local.addr) || is_on_path(sa, &remote, local_port) ||
	    (sa->fixed_peer && !addr_eq(&remote.addr, &sa->path.remote.addr)))
		return;
	sa->candidate = (struct ike_candidate){ .remote = remote, .local_port = local_port };
	c->changed = true;
	probe(c);
}

enum ike_state ike_move_address(struct ike_ctx *c)
{
	see(c);
	return c->sa->state;
}

/* A peer that asks all the time has no reason to look whether its NAT still has the same mapping. Until it does, and says so, what we
 * ask goes to where it was; it is there no more, or an answer would have come. */
static bool is_unanswered(const struct ike_request *q)
{
	return q->kind != IKE_REQUEST_NONE && q->tries > 1;
}

void ike_move_check(struct ike_ctx *c)
{
	/* RFC 4555 3.8: with MOBIKE no address changes by an IKE message that does not say so. */
	if (!c->sa->mobike)
		see(c);
	else if (c->moved && !c->sa->closing)
		probe(c);
	else if (is_unanswered(&c->sa->request) && !is_on_path(c->sa, &c->ev->remote, c->ev->local.port))
		ike_request_copy(c);
}

/* ---- what the peer's request says (RFC 4555 3.5, 3.7 to 3.9) ---- */

bool ike_move_nat_forbidden(struct ike_ctx *c)
{
	const struct addr_endpoint *from = &c->ev->remote, *to = &c->ev->local;
	char text[ADDR_ENDPOINT_TEXT_MAX];
	uint8_t same[2 * (16 + 2)];
	struct wr w = wr_of(SPACE_OF(same));
	struct wire_ike_notify n;

	if (!wire_ike_notify_find(&c->in, IKE_N_NO_NATS_ALLOWED, &n))
		return false;
	wr_put(&w, addr_bytes(&from->addr));
	wr_put(&w, addr_bytes(&to->addr));
	wr_u16(&w, from->port);
	wr_u16(&w, to->port);
	if (bytes_eq(n.data, wr_bytes(&w)))
		return false;
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_NAT_FORBIDDEN,
					       c->half != NULL ? MODEL_STAGE_AUTH : MODEL_STAGE_LIVE);
	ike_text_add(f->offered, sizeof(f->offered), "its messages come from %s", addr_endpoint_format(from, text));
	return true;
}

static void refuse_move(struct ike_ctx *c)
{
	char text[ADDR_TEXT_MAX];
	struct model_failure *f =
		ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_MOVE_REFUSED, MODEL_STAGE_LIVE);

	ike_text_add(f->offered, sizeof(f->offered), "the peer moved to %s", addr_format(&c->ev->remote.addr, text));
	ike_text_add(f->allowed, sizeof(f->allowed), "customer_endpoint %s", addr_format(&c->sa->path.remote.addr, text));
}

/* The path as it is, with what NAT detection says of it. */
static void take_nat(struct ike_ctx *c, const struct ike_natd *natd)
{
	struct ike_sa *sa = c->sa;
	bool before = sa->path.udp_encap;

	sa->nat_peer = natd->nat_peer;
	sa->nat_local = natd->nat_local;
	sa->path.udp_encap = (natd->nat_peer || natd->nat_local) && sa->path.local.port == IKE_NATT_PORT;
	c->changed = true;
	if (before == sa->path.udp_encap)
		return;
	struct ike_action *a = ike_out_add(c->out, IKE_ACT_PATH);
	a->path = sa->path;
}

/* The IP header says where the peer is; it is followed when it has answered from there. */
static void take_update(struct ike_ctx *c)
{
	const struct ike_event *ev = c->ev;
	struct ike_sa *sa = c->sa;
	struct ike_natd natd = { 0 };
	bool known = ike_natd_judge(&c->in, &c->h, ev, &natd) == ERR_NONE && natd.present;

	if (is_on_path(sa, &ev->remote, ev->local.port)) {
		ike_address_forget(sa);
		if (known)
			take_nat(c, &natd);
		return;
	}
	/* A check that is on its way asks somewhere else, or asks already here. */
	if (!addr_endpoint_eq(&ev->remote, &sa->candidate.remote) || ev->local.port != sa->candidate.local_port)
		ike_address_forget(sa);
	c->moved = sa->request.kind != IKE_REQUEST_ADDRESS;
	sa->candidate = (struct ike_candidate){
		.remote = ev->remote,
		.local_port = ev->local.port,
		.told = true,
		.nat_peer = known ? natd.nat_peer : sa->nat_peer,
		.nat_local = known ? natd.nat_local : sa->nat_local,
		.udp_encap = ev->local.port == IKE_NATT_PORT &&
			     (known ? natd.nat_peer || natd.nat_local : sa->path.udp_encap),
	};
	c->changed = true;
}

/* 0: there is none, or the length of one that is well formed; else -1 (RFC 4555 4.2.5). */
static int find_cookie(const struct wire_ike_payloads *in, struct bytes *ret)
{
	struct wire_ike_notify n;
	unsigned cnt = 0;

	*ret = (struct bytes){ 0 };
	for (unsigned i = 0; i < in->cnt; i++) {
		if (in->p[i].type != IKE_PL_NOTIFY || wire_ike_notify_parse(in->p[i].body, &n) != ERR_NONE ||
		    n.type != IKE_N_COOKIE2)
			continue;
		*ret = n.data;
		cnt++;
	}
	return cnt == 0 || (cnt == 1 && ret->len >= 8 && ret->len <= 64) ? (int)ret->len : -1;
}

void ike_move_request(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	struct wire_ike_notify n;
	struct bytes cookie;

	if (!sa->mobike)
		return;
	if (find_cookie(&c->in, &cookie) < 0) {
		ike_reply_syntax(c, "COOKIE2");
		return;
	}
	bool update = wire_ike_notify_find(&c->in, IKE_N_UPDATE_SA_ADDRESSES, &n) && !sa->started && !sa->closing &&
		      sa->state == IKE_STATE_ESTABLISHED;
	bool other = sa->fixed_peer && !addr_eq(&c->ev->remote.addr, &sa->path.remote.addr);
	if (ike_move_nat_forbidden(c)) {
		wire_ike_put_plain_notify(&c->reply, IKE_N_UNEXPECTED_NAT_DETECTED, (struct bytes){ 0 });
	} else if (update && other) {
		wire_ike_put_plain_notify(&c->reply, IKE_N_UNACCEPTABLE_ADDRESSES, (struct bytes){ 0 });
		refuse_move(c);
	} else {
		if (update)
			take_update(c);
		if (wire_ike_notify_find(&c->in, IKE_N_NAT_DETECTION_SOURCE_IP, &n))
			(void)!ike_natd_put(&c->reply, sa->spi_i, sa->spi_r, &c->ev->local, &c->ev->remote);
	}
	if (cookie.len != 0)
		wire_ike_put_plain_notify(&c->reply, IKE_N_COOKIE2, cookie);
}

/* ---- what its answers say ---- */

/* It has answered from the address that alone was asked. */
static enum ike_state take_reachable(struct ike_ctx *c, const struct ike_request *q)
{
	struct ike_sa *sa = c->sa;
	const struct ike_candidate there = sa->candidate;
	struct bytes cookie;

	(void)find_cookie(&c->in, &cookie);
	sa->candidate = (struct ike_candidate){ 0 };
	if (sa->mobike && !bytes_eq(cookie, BYTES_OF(q->nonce))) { /* RFC 4555 3.7 */
		struct model_failure *f =
			ike_out_fail(c->out, c->ev, sa, MODEL_FAILURE_BAD_MESSAGE, MODEL_STAGE_LIVE);
		ike_text_add(f->offered, sizeof(f->offered), "COOKIE2 is not the one that was sent");
		return ike_end_begin(c);
	}
	if (!addr_endpoint_eq(&c->ev->remote, &there.remote) || c->ev->local.port != there.local_port)
		return sa->state;
	sa->path.remote = there.remote;
	sa->path.local.port = there.local_port;
	if (there.told) {
		sa->nat_peer = there.nat_peer;
		sa->nat_local = there.nat_local;
		sa->path.udp_encap = there.udp_encap;
	}
	struct ike_action *a = ike_out_add(c->out, IKE_ACT_PATH);
	a->path = sa->path;
	sa->moves += !there.told;
	ike_out_count(c->out, MODEL_COUNTER_address_changes);
	return sa->state;
}

static enum ike_state take_update_answer(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	struct wire_ike_notify n;
	struct ike_natd natd;
	char text[ADDR_TEXT_MAX];

	if (sa->update_due) /* we moved again meanwhile: this answer says nothing any more */
		return sa->state;
	if (wire_ike_notify_find(&c->in, IKE_N_UNACCEPTABLE_ADDRESSES, &n)) {
		struct model_failure *f =
			ike_out_fail(c->out, c->ev, sa, MODEL_FAILURE_MOVE_REFUSED, MODEL_STAGE_LIVE);
		ike_text_add(f->offered, sizeof(f->offered), "UNACCEPTABLE_ADDRESSES to our move to %s",
			     addr_format(&sa->path.local.addr, text));
		return ike_end_begin(c);
	}
	(void)ike_natd_seen_as(&c->in, sa->seen_as);
	if (ike_natd_judge(&c->in, &c->h, c->ev, &natd) != ERR_NONE || !natd.present)
		return sa->state;
	if (sa->encap == IKE_ENCAP_AUTO) {
		take_nat(c, &natd);
	} else { /* as it was set */
		sa->nat_peer = natd.nat_peer;
		sa->nat_local = natd.nat_local;
	}
	return sa->state;
}

enum ike_state ike_move_response(struct ike_ctx *c, const struct ike_request *q)
{
	if (q->kind == IKE_REQUEST_ADDRESS)
		return take_reachable(c, q);
	if (q->kind == IKE_REQUEST_UPDATE)
		return take_update_answer(c);
	/* RFC 4555 3.8: a NAT before us has given another address or port. */
	if (q->kind == IKE_REQUEST_LIVENESS && c->sa->mobike && c->sa->started && ike_natd_seen_as(&c->in, c->sa->seen_as))
		c->sa->update_due = true;
	return c->sa->state;
}

/* ---- we move ---- */

/* RFC 4555 3.5: IPsec and IKE use the new address at once, for the peer's is the one that is proven; then it is told. What
 * waits for its answer goes on from the new address. */
enum ike_state ike_move_self(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	if (addr_eq(&c->ev->local.addr, &sa->path.local.addr))
		return sa->state;
	if (sa->state == IKE_STATE_ESTABLISHED && !sa->closing && !sa->mobike) {
		(void)ike_out_fail(c->out, c->ev, sa, MODEL_FAILURE_MOVED, MODEL_STAGE_LIVE);
		return ike_end_now(c);
	}
	sa->path.local.addr = c->ev->local.addr;
	ike_address_forget(sa);
	c->changed = true;
	if (sa->state == IKE_STATE_ESTABLISHED && !sa->closing) {
		struct ike_action *a = ike_out_add(c->out, IKE_ACT_PATH);
		a->path = sa->path;
		sa->update_due = true;
	}
	probe(c);
	return sa->state;
}
