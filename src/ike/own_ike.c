// The rekey of the IKE SA that we started, and two that met (RFC 7296 2.8.2, 2.18, 2.25.2).
#include "base/secret.h"
#include "ike/exchanges.h"

/* The new record: what belongs to the tunnel and the peer stays, what belongs to the keys starts again. Without keys;
 * the children are old's. */
void ike_rekey_new(const struct ike_ctx *c, enum ike_role role, const struct model_suite *suite, uint64_t spi_i,
		   uint64_t spi_r, struct ike_sa *ret)
{
	const struct ike_sa *old = c->sa;
	uint64_t now = c->ev->now_us;

	*ret = *old;
	ret->role = (uint8_t)role;
	ret->spi_i = spi_i;
	ret->spi_r = spi_r;
	ret->suite = *suite;
	ret->state = IKE_STATE_ESTABLISHED;
	ret->rx_next = ret->tx_next = 0; /* RFC 7296 2.18: the counters start anew */
	ret->next_group = IKE_GROUP_NONE;
	ret->rekey_tries = 0;
	/* RFC 4555 3.8: its hashes go with the SPIs. What the old SA was asking of addresses the new one asks anew. */
	memset(ret->seen_as, 0, sizeof(ret->seen_as));
	ret->update_due |= old->request.kind == IKE_REQUEST_UPDATE;
	ret->created_us = now;
	ret->last_in_us = now;
	ret->expires_us = now + old->ike_lifetime_s * (uint64_t)1000000;
	ret->rekey_us = ike_duty_soft(c, old->ike_lifetime_s, IKE_RANDOM_JITTER);
	ret->ike_rekeys++;
	secret_wipe(&ret->reply, sizeof(ret->reply));
	secret_wipe(&ret->request, sizeof(ret->request));
	secret_wipe(&ret->rival, sizeof(ret->rival));
	secret_wipe(&ret->keys, sizeof(ret->keys));
}

static void forget_children(struct ike_sa *sa)
{
	for (unsigned i = 0; i < IKE_CHILDREN_MAX; i++)
		sa->children[i] = (struct ike_child_ref){ 0 };
	sa->child_cnt = 0;
	sa->new_child_us = 0;
}

/* RFC 7296 2.8: the children were inherited; the old SA waits for a Delete, the peer's or ours. */
void ike_rekey_retire(struct ike_ctx *c)
{
	forget_children(c->sa);
	c->sa->update_due = false;
	if (!c->sa->candidate.told) /* else its Delete goes there */
		ike_address_forget(c->sa);
	else if (c->sa->request.kind == IKE_REQUEST_ADDRESS)
		c->sa->request.kind = IKE_REQUEST_LIVENESS;
	c->sa->expires_us = c->ev->now_us + IKE_REKEYED_KEEP_US;
	c->changed = true;
}

/* Two keep their children for nobody: a redundant SA has none, and waits for its Delete. */
static void make_redundant(struct ike_ctx *c, struct ike_sa *sa, bool ours)
{
	forget_children(sa);
	sa->expires_us = c->ev->now_us + IKE_REKEYED_KEEP_US;
	if (ours)
		sa->closing = true; /* its timer sends the Delete, under its own IVs */
	else
		sa->state = IKE_STATE_REKEYED;
}

/* The SA that the peer made while ours was on its way. */
static void rival_record(const struct ike_ctx *c, struct ike_sa *ret)
{
	const struct ike_rival *v = &c->sa->rival;

	ike_rekey_new(c, IKE_RESPONDER, &v->suite, v->spi_i, v->spi_r, ret);
	ret->keys = v->keys;
}

/* Ours came to nothing: the peer's stands alone, and the peer deletes the old SA. */
bool ike_rival_promote(struct ike_ctx *c)
{
	if (!c->sa->rival.present || c->sa->rival.spi_i == 0)
		return false;
	rival_record(c, &c->rekeyed[0]);
	c->rekeyed[0].closing = c->sa->closing;
	c->has_rekeyed = true;
	ike_rekey_retire(c);
	ike_rival_forget(c->sa);
	ike_out_count(c->out, MODEL_COUNTER_ike_rekeyed);
	return true;
}

/* ---- the answer ---- */

struct ike_answer {
	struct model_suite suite;
	uint64_t spi_r;
	struct bytes nr;
	struct wire_ike_ke ke;
};

static bool read_answer(struct ike_ctx *c, const struct ike_request *q, struct ike_answer *ret)
{
	static const uint8_t any_spi[8];
	const struct ike_offer offer = {
		.phase = MODEL_PHASE_IKE,
		.profile = c->sa->profile,
		.rows = ike_rows(c->world, c->sa, MODEL_PHASE_IKE),
		.ke_group = q->group,
		.spi = BYTES_OF(any_spi),
	};
	const struct wire_ike_payload *sa = wire_ike_find(&c->in, IKE_PL_SA, 0);
	const struct wire_ike_payload *nonce = wire_ike_find(&c->in, IKE_PL_NONCE, 0);
	const struct wire_ike_payload *ke = wire_ike_find(&c->in, IKE_PL_KE, 0);

	return sa != NULL && nonce != NULL && ke != NULL &&
	       ike_offer_take(&offer, sa->body, &ret->suite, &ret->spi_r) &&
	       wire_ike_nonce_parse(nonce->body, &ret->nr) == ERR_NONE &&
	       wire_ike_ke_parse(ke->body, &ret->ke) == ERR_NONE && ret->suite.group == q->group &&
	       ret->ke.group == q->group && ret->ke.data.len == crypt_dh_public_len(q->group);
}

static enum ike_state refused(struct ike_ctx *c, const struct ike_request *q, const struct wire_ike_notify *n)
{
	struct ike_sa *sa = c->sa;
	bool closing = sa->closing;

	ike_request_done(sa);
	c->changed = true;
	if (ike_rival_promote(c)) {
		ike_inform_next(c);
		return IKE_STATE_REKEYED;
	}
	if (n->type == IKE_N_TEMPORARY_FAILURE) {
		sa->rekey_us = ike_duty_again(c, sa->rekey_tries++);
	} else if (ike_refusal_other_group(c, q, n)) {
		sa->rekey_us = c->ev->now_us;
	} else {
		sa->next_group = IKE_GROUP_NONE;
		if (!closing)
			ike_refusal_note(c, q, n->type, n->type == 0 ? "an answer that fits no proposal of ours" : NULL);
		sa->rekey_us = ike_duty_again(c, 3u + sa->rekey_tries++);
	}
	ike_inform_next(c);
	return sa->state;
}

/* Which of the records get the children, and who deletes which. */
static enum ike_state settle(struct ike_ctx *c, const struct ike_request *q, const struct ike_sa *made, struct bytes nr)
{
	struct ike_sa *sa = c->sa;
	bool met = sa->rival.present && sa->rival.spi_i != 0;
	bool lost = met && ike_rival_wins(&sa->rival, BYTES_OF(q->nonce), nr);

	c->has_rekeyed = true;
	c->has_redundant = met;
	c->rekeyed[0] = *made;
	if (met)
		rival_record(c, &c->rekeyed[1]);
	if (lost) {
		c->rekeyed[0] = c->rekeyed[1];
		c->rekeyed[1] = *made;
	}
	if (met)
		make_redundant(c, &c->rekeyed[1], lost);
	ike_rival_forget(sa);
	ike_rekey_retire(c);
	ike_request_done(sa);
	ike_out_count(c->out, MODEL_COUNTER_ike_rekeyed);
	/* The old one is deleted by whoever began the rekey that stands. */
	if (!lost || sa->closing)
		(void)ike_end_begin(c);
	return IKE_STATE_REKEYED;
}

enum ike_state ike_own_ike_response(struct ike_ctx *c, const struct ike_request *q)
{
	struct wire_ike_notify n = { 0 };
	struct ike_answer a;
	struct ike_sa made;

	if (ike_refusal_of(&c->in, &n) != 0 || !read_answer(c, q, &a))
		return refused(c, q, &n);
	if (c->ev->dh == NULL) {
		ike_dh_ask(c, &(struct ike_dh_job){ .op = IKE_DH_DERIVE, .group = q->group, .peer_public = a.ke.data,
						    .private = ike_dh_private(c) });
		return c->sa->state;
	}
	if (c->ev->dh->secret_len == 0) /* RFC 6989 2.5 */
		return refused(c, q, &n);
	ike_rekey_new(c, IKE_INITIATOR, &a.suite, q->new_spi, a.spi_r, &made);
	enum err e = ike_keys_of_rekey(c->sa, &made.suite, BYTES_OF(q->nonce), a.nr,
				       bytes_of(c->ev->dh->secret, c->ev->dh->secret_len), made.spi_i, made.spi_r,
				       &made.keys);
	enum ike_state next = e == ERR_NONE ? settle(c, q, &made, a.nr) : refused(c, q, &n);
	secret_wipe(&made, sizeof(made));
	return next;
}
