// CREATE_CHILD_SA for Child SAs (RFC 7296 1.3.1, 1.3.3):
//
//   HDR, SK {[N(REKEY_SA)], SA, Ni, [KEi], TSi, TSr}  -->
//                                <--  HDR, SK {SA, Nr, [KEr], TSi, TSr}
//                           or   <--  HDR, SK {one error notify}
#include "ike/exchanges.h"

static enum ike_state refuse(struct ike_ctx *c, uint16_t notify)
{
	ike_reply_notify(c, notify, (struct bytes){ 0 });
	return c->sa->state;
}

/* RFC 7296 1.3.3, 2.25.1: which child the peer rekeys. False: the answer is written. */
static bool find_replaced(struct ike_ctx *c, uint32_t *ret)
{
	struct wire_ike_notify n;

	*ret = 0;
	if (!wire_ike_notify_find(&c->in, IKE_N_REKEY_SA, &n))
		return true;
	struct rd r = rd_of(n.spi);
	uint32_t spi = rd_u32(&r);
	if (!rd_done(&r)) {
		ike_reply_syntax(c, "a REKEY_SA without an SPI");
		return false;
	}
	struct ike_child_ref *ref =
		n.protocol == IKE_PROTO_ESP && spi != 0 ? ike_child_find(c->sa, 0, spi) : NULL;
	/* The answer that brings this child may have been overtaken. */
	if (ref == NULL && ike_request_exchange(&c->sa->request) == IKE_EX_CREATE_CHILD_SA) {
		(void)refuse(c, IKE_N_TEMPORARY_FAILURE);
		return false;
	}
	if (ref == NULL) {
		ike_reply_notify(c, 0, (struct bytes){ 0 });
		wire_ike_put_notify(&c->reply, n.protocol, n.spi, IKE_N_CHILD_SA_NOT_FOUND, (struct bytes){ 0 });
		return false;
	}
	if (ref->closing || ref->replaced) {
		(void)refuse(c, IKE_N_TEMPORARY_FAILURE);
		return false;
	}
	*ret = ref->spi_in;
	return true;
}

/* The peer deletes the old one (RFC 7296 2.8). Where our own rekey of it is on its way the two have met (2.8.1): which
 * one stands is known when that is answered. */
static void replace_by_peer(struct ike_ctx *c, uint32_t old_spi, uint32_t spi, struct bytes ni, struct bytes nr)
{
	struct ike_sa *sa = c->sa;
	struct ike_child_ref *old = ike_child_find(sa, old_spi, 0);

	must(old != NULL);
	old->replaced = true;
	old->due_us = c->ev->now_us + IKE_REPLACED_KEEP_US;
	if (sa->request.kind == IKE_REQUEST_REKEY_CHILD && sa->request.child_spi == old_spi) {
		ike_rival_note(sa, ni, nr);
		sa->rival.child_spi = spi;
	}
}

static enum ike_state make_child(struct ike_ctx *c, const struct ike_child_plan *plan, struct bytes ni)
{
	struct bytes nr = bytes_of(&c->ev->random[IKE_RANDOM_NONCE], IKE_NONCE_LEN);
	struct bytes secret = { 0 };
	uint16_t group = plan->choice.suite.group;
	uint32_t spi;

	if (group != IKE_GROUP_NONE)
		secret = bytes_of(c->ev->dh->secret, c->ev->dh->secret_len);
	if (ike_child_add(c, plan, ni, nr, secret, &spi) != ERR_NONE)
		return refuse(c, IKE_N_TEMPORARY_FAILURE);
	if (plan->replaces != 0)
		replace_by_peer(c, plan->replaces, spi, ni, nr);
	ike_child_put_sa(c, plan, spi);
	wire_ike_put_nonce(&c->reply, nr);
	if (group != IKE_GROUP_NONE)
		wire_ike_put_ke(&c->reply, group, bytes_of(c->ev->dh->public, c->ev->dh->public_len));
	ike_child_put_ts(c, plan);
	struct wire_ike_notify n;
	if (wire_ike_notify_find(&c->in, IKE_N_USE_TRANSPORT_MODE, &n))
		(void)ike_child_fail(c, MODEL_FAILURE_TRANSPORT_MODE); /* tunnel mode is what it got (1.3.1) */
	return c->sa->state;
}

/* A place is kept for the child that we ask for ourselves: the peer could fill them all before it answers. */
static bool is_full(const struct ike_sa *sa)
{
	bool asking = sa->request.kind == IKE_REQUEST_NEW_CHILD || sa->request.kind == IKE_REQUEST_REKEY_CHILD;

	return sa->child_cnt + (asking ? 1u : 0u) >= IKE_CHILDREN_MAX;
}

static enum ike_state request_child(struct ike_ctx *c, const struct wire_ike_ke *ke, struct bytes ni)
{
	struct ike_child_plan plan = { 0 };
	uint32_t replaces;

	if (c->sa->request.kind == IKE_REQUEST_REKEY_IKE) /* RFC 7296 2.25.2 */
		return refuse(c, IKE_N_TEMPORARY_FAILURE);
	if (!find_replaced(c, &replaces))
		return c->sa->state;
	if (is_full(c->sa)) {
		struct model_failure *f = ike_child_fail(c, MODEL_FAILURE_TOO_MANY_CHILDREN);
		ike_text_add(f->allowed, sizeof(f->allowed), "%d", IKE_CHILDREN_MAX);
		return refuse(c, IKE_N_NO_ADDITIONAL_SAS);
	}
	uint16_t refusal = ike_child_decide(c, IKE_KE_OPTIONAL, ke->group, &plan);
	if (refusal != 0)
		return refuse(c, refusal);
	plan.replaces = replaces;
	uint16_t group = plan.choice.suite.group;
	if (plan.choice.wrong_ke) {
		ike_reply_wrong_group(c, MODEL_STAGE_CHILD, ke->group, group);
		return c->sa->state;
	}
	if (group != IKE_GROUP_NONE && ke->data.len != crypt_dh_public_len(group)) {
		ike_reply_syntax(c, "a key exchange of a wrong length");
		return c->sa->state;
	}
	if (group != IKE_GROUP_NONE && c->ev->dh == NULL) {
		ike_dh_respond(c, group, ke->data);
		return c->sa->state;
	}
	if (group != IKE_GROUP_NONE && c->ev->dh->secret_len == 0) { /* RFC 6989 2.5 */
		ike_reply_syntax(c, "a key exchange value that its group does not have");
		return c->sa->state;
	}
	return make_child(c, &plan, ni);
}

enum ike_state ike_create_request(struct ike_ctx *c)
{
	const struct wire_ike_payload *ke_payload = wire_ike_find(&c->in, IKE_PL_KE, 0);
	struct wire_ike_ke ke = { 0 };
	struct wire_ike_sa offer;
	struct bytes ni;

	/* RFC 7296 2.25.1: nothing new on an SA that is being closed. */
	if (c->sa->closing)
		return ike_create_refuse(c);
	if (wire_ike_nonce_parse(wire_ike_find(&c->in, IKE_PL_NONCE, 0)->body, &ni) != ERR_NONE) {
		ike_reply_syntax(c, "a nonce of a wrong length");
		return c->sa->state;
	}
	if (ke_payload != NULL && wire_ike_ke_parse(ke_payload->body, &ke) != ERR_NONE) {
		ike_reply_syntax(c, "a key exchange that is cut off");
		return c->sa->state;
	}
	if (wire_ike_sa_parse(wire_ike_find(&c->in, IKE_PL_SA, 0)->body, &offer) == ERR_NONE &&
	    offer.p[0].protocol == IKE_PROTO_IKE)
		return ike_rekey_request(c, &offer, &ke, ni);
	return request_child(c, &ke, ni);
}

enum ike_state ike_create_refuse(struct ike_ctx *c)
{
	return refuse(c, IKE_N_TEMPORARY_FAILURE);
}
