// The answer to our CREATE_CHILD_SA for a Child SA (RFC 7296 1.3.1, 1.3.3, 2.8).
#include "ike/exchanges.h"

/* Make before break: what is on its way under the old one still comes through, then we delete it (RFC 7296 2.8). */
static void replace_by_ours(struct ike_ctx *c, struct ike_child_ref *old)
{
	if (old == NULL || old->closing)
		return;
	old->replaced = true;
	old->due_us = c->ev->now_us + IKE_DRAIN_US;
}

/* RFC 7296 2.8.1: of two rekeys the one with the lowest of the four nonces is redundant, and whoever began it closes
 * what it made; the old child is deleted by the other. */
static void settle(struct ike_ctx *c, const struct ike_request *q, uint32_t spi, struct bytes nr)
{
	struct ike_sa *sa = c->sa;
	struct ike_child_ref *ours = ike_child_find(sa, spi, 0);
	struct ike_child_ref *old = q->child_spi == 0 ? NULL : ike_child_find(sa, q->child_spi, 0);
	struct ike_child_ref *theirs =
		sa->rival.child_spi == 0 ? NULL : ike_child_find(sa, sa->rival.child_spi, 0);

	if (theirs != NULL && ike_rival_wins(&sa->rival, BYTES_OF(q->nonce), nr)) {
		ours->replaced = ours->closing = ours->lingers = true;
	} else {
		ike_out_add(c->out, IKE_ACT_CHILD_PROVEN)->spi = spi;
		replace_by_ours(c, old);
		if (theirs != NULL) {
			theirs->replaced = true;
			theirs->unproven = false;
			theirs->due_us = c->ev->now_us + IKE_REPLACED_KEEP_US;
		}
	}
	ike_rival_forget(sa);
}

/* When it is tried again. What the peer made meanwhile stands in any case. */
static void try_again(struct ike_ctx *c, const struct ike_request *q, unsigned slower)
{
	struct ike_child_ref *old = q->child_spi == 0 ? NULL : ike_child_find(c->sa, q->child_spi, 0);

	ike_rival_forget(c->sa);
	if (q->kind == IKE_REQUEST_NEW_CHILD)
		c->sa->new_child_us = ike_duty_again(c, slower + c->sa->child_tries++);
	else if (old != NULL && !old->replaced && !old->closing)
		old->due_us = ike_duty_again(c, slower + old->tries++);
}

/* RFC 7296 2.25.1: the peer has no such child any more, so it is deleted here without a word. */
static void child_is_gone(struct ike_ctx *c, const struct ike_request *q)
{
	struct ike_child_ref *old = ike_child_find(c->sa, q->child_spi, 0);

	ike_rival_forget(c->sa);
	if (q->child_spi == 0 || old == NULL || old->replaced || old->closing)
		return;
	ike_out_add(c->out, IKE_ACT_CHILD_DELETE)->spi = old->spi_in;
	ike_child_forget(c->sa, old);
	ike_child_want(c);
}

static void refused(struct ike_ctx *c, const struct ike_request *q, const struct wire_ike_notify *n)
{
	struct ike_child_ref *old = q->child_spi == 0 ? NULL : ike_child_find(c->sa, q->child_spi, 0);
	bool met = c->sa->rival.present;

	if (n->type == IKE_N_CHILD_SA_NOT_FOUND && q->kind == IKE_REQUEST_REKEY_CHILD) {
		child_is_gone(c, q);
	} else if (n->type == IKE_N_TEMPORARY_FAILURE || met) {
		try_again(c, q, 0);
	} else if (ike_refusal_other_group(c, q, n)) {
		if (old != NULL && !old->replaced)
			old->due_us = c->ev->now_us;
		else if (q->kind == IKE_REQUEST_NEW_CHILD)
			c->sa->new_child_us = c->ev->now_us;
	} else {
		ike_refusal_note(c, q, n->type, NULL);
		c->sa->next_group = IKE_GROUP_NONE; /* asked with it: the next request is another one */
		try_again(c, q, 3);
		/* RFC 7296 1.3: it will not take any; the child lives until its end. */
		if (n->type == IKE_N_NO_ADDITIONAL_SAS && old != NULL && !old->replaced)
			old->due_us = 0;
	}
}

/* The peer's KE payload, where the answer has chosen a group: that of ours, for another one had to be asked for (RFC 7296
 * 1.3). False: not what it must be. */
static bool read_ke(struct ike_ctx *c, const struct ike_request *q, uint16_t group, struct bytes *ret)
{
	const struct wire_ike_payload *p = wire_ike_find(&c->in, IKE_PL_KE, 0);
	struct wire_ike_ke ke;

	*ret = (struct bytes){ 0 };
	if (group == IKE_GROUP_NONE)
		return true;
	if (group != q->group || p == NULL || wire_ike_ke_parse(p->body, &ke) != ERR_NONE || ke.group != group ||
	    ke.data.len != crypt_dh_public_len(group))
		return false;
	*ret = ke.data;
	return true;
}

static void bad_answer(struct ike_ctx *c, const struct ike_request *q, const char *what)
{
	ike_refusal_note(c, q, 0, what);
	try_again(c, q, 3);
	ike_child_disown(c, (uint32_t)q->new_spi, 0);
}

static void take_answer(struct ike_ctx *c, const struct ike_request *q)
{
	const struct wire_ike_payload *nonce = wire_ike_find(&c->in, IKE_PL_NONCE, 0);
	struct bytes nr, ke, secret = { 0 };
	struct ike_child_plan plan;
	struct ike_ts_lists asked;
	const char *what = "no nonce";
	uint32_t spi;

	if (!ike_child_selectors(c, q->child_spi, &asked))
		what = "selectors of a child that is gone";
	else if (nonce != NULL && wire_ike_nonce_parse(nonce->body, &nr) == ERR_NONE &&
		 ike_child_take(c, q, &asked, &plan, &what))
		what = read_ke(c, q, plan.choice.suite.group, &ke) ? NULL : "key exchange";
	if (what != NULL) {
		bad_answer(c, q, what);
		return;
	}
	if (q->gone_spi != 0 && plan.choice.peer_spi == q->gone_spi) {
		try_again(c, q, 0);
		return;
	}
	if (ke.len != 0 && c->ev->dh == NULL) {
		ike_dh_ask(c, &(struct ike_dh_job){ .op = IKE_DH_DERIVE, .group = q->group, .peer_public = ke,
						    .private = ike_dh_private(c) });
		return;
	}
	if (ke.len != 0)
		secret = bytes_of(c->ev->dh->secret, c->ev->dh->secret_len);
	plan.replaces = q->child_spi != 0 && ike_child_find(c->sa, q->child_spi, 0) != NULL ? q->child_spi : 0;
	if ((ke.len != 0 && secret.len == 0) || /* RFC 6989 2.5 */
	    ike_child_add(c, &plan, BYTES_OF(q->nonce), nr, secret, &spi) != ERR_NONE) {
		bad_answer(c, q, "keys could not be made");
		return;
	}
	c->sa->next_group = IKE_GROUP_NONE;
	settle(c, q, spi, nr);
}

/* The last child is gone and no other one is given. What a CREATE_CHILD_SA is refused for, most often the PFS group, is not
 * asked for in IKE_AUTH (RFC 7296 1.2): a new IKE SA brings what this one does not get. One that came without a child
 * has been there. */
static bool is_hopeless(const struct ike_ctx *c, const struct ike_request *q, uint8_t tries_before)
{
	for (unsigned i = 0; i < c->sa->child_cnt; i++)
		if (!c->sa->children[i].closing)
			return false;
	return q->kind == IKE_REQUEST_NEW_CHILD && c->sa->started && tries_before == 0 && ike_out_has_failure(c->out);
}

enum ike_state ike_own_child_response(struct ike_ctx *c, const struct ike_request *q)
{
	const uint8_t tries_before = c->sa->child_tries;
	struct wire_ike_notify n;

	if (!c->sa->closing) {
		if (ike_refusal_of(&c->in, &n) != 0)
			refused(c, q, &n);
		else
			take_answer(c, q);
	}
	if (c->drop)
		return c->sa->state;
	ike_request_done(c->sa);
	c->changed = true;
	if (!c->sa->closing && is_hopeless(c, q, tries_before))
		return ike_end_begin(c);
	ike_inform_next(c);
	return c->sa->state;
}
