// Child SAs that we ask for: what stands in the request, and what its answer may be (RFC 7296 1.2, 1.3.1, 2.9).
#include "ike/exchanges.h"

static struct ike_offer offer_of(const struct ike_ctx *c, uint16_t group, struct bytes spi)
{
	const struct ike_sa *sa = c->sa;

	return (struct ike_offer){
		.phase = MODEL_PHASE_CHILD,
		.profile = sa->profile,
		.opt_ins = ike_opt_ins(sa),
		.rows = ike_rows(c->world, sa, MODEL_PHASE_CHILD),
		.ke_group = group,
		.spi = spi,
	};
}

bool ike_child_selectors(const struct ike_ctx *c, uint32_t spi_in, struct ike_ts_lists *ret)
{
	const struct model_ts any4 = { .port_last = UINT16_MAX, .first = { .family = ADDR_V4 },
				       .last = { .b = { 0xff, 0xff, 0xff, 0xff }, .family = ADDR_V4 } };
	struct model_ts any6 = { .port_last = UINT16_MAX, .first = { .family = ADDR_V6 }, .last = { .family = ADDR_V6 } };

	if (c->world->find_selectors != NULL)
		return c->world->find_selectors(c->world->arg, c->sa, spi_in, ret);
	for (unsigned i = 0; i < sizeof(any6.last.b); i++)
		any6.last.b[i] = 0xff;
	*ret = (struct ike_ts_lists){ .remote_cnt = 2, .local_cnt = 2, .remote = { any4, any6 }, .local = { any4, any6 } };
	return true;
}

void ike_child_put_offer(struct ike_ctx *c, struct wire_ike_builder *b, uint32_t spi, uint16_t group)
{
	uint8_t spi_bytes[4];
	struct wr w = wr_of(SPACE_OF(spi_bytes));
	struct wire_ike_sa sa;

	wr_u32(&w, spi);
	const struct ike_offer offer = offer_of(c, group, BYTES_OF(spi_bytes));
	ike_offer_build(&offer, &sa);
	wire_ike_put_sa(b, &sa);
}

void ike_child_put_selectors(struct wire_ike_builder *b, const struct ike_ts_lists *ts)
{
	ike_ts_put(b, IKE_PL_TSI, ts->local, ts->local_cnt);
	ike_ts_put(b, IKE_PL_TSR, ts->remote, ts->remote_cnt);
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED,
			    (struct bytes){ 0 });
}

/* ---- the answer ---- */

uint16_t ike_error_of(const struct wire_ike_payloads *in, struct wire_ike_notify *ret)
{
	for (unsigned n = 0; n < in->cnt; n++) {
		if (in->p[n].type == IKE_PL_NOTIFY && wire_ike_notify_parse(in->p[n].body, ret) == ERR_NONE &&
		    ret->type != 0 && ret->type < IKE_N_STATUS_FIRST)
			return ret->type;
	}
	return 0;
}

static bool within(const struct wire_ike_ts *ts, const struct model_ts *asked)
{
	return ts->first.family == asked->first.family && ts->last.family == asked->first.family &&
	       addr_cmp(&ts->first, &ts->last) <= 0 && addr_cmp(&ts->first, &asked->first) >= 0 &&
	       addr_cmp(&ts->last, &asked->last) <= 0 && (asked->protocol == 0 || asked->protocol == ts->protocol) &&
	       ts->port_first <= ts->port_last && ts->port_first >= asked->port_first &&
	       ts->port_last <= asked->port_last;
}

/* RFC 7296 2.9: the answer is a subset of what was asked, in any split. */
static bool take_side(struct ike_ctx *c, uint8_t payload, const struct model_ts *asked, uint8_t asked_cnt,
		      struct model_ts ret[static MODEL_TS_MAX], uint8_t *ret_cnt)
{
	const struct wire_ike_payload *p = wire_ike_find(&c->in, payload, 0);
	struct wire_ike_tss tss = { 0 };

	if (p == NULL || wire_ike_tss_parse(p->body, &tss) != ERR_NONE || tss.cnt == 0 || tss.cnt > MODEL_TS_MAX)
		return false;
	for (unsigned i = 0; i < tss.cnt; i++) {
		const struct wire_ike_ts *ts = &tss.ts[i];
		bool found = false;
		for (unsigned n = 0; n < asked_cnt; n++)
			found |= within(ts, &asked[n]);
		if (!found)
			return false;
		ret[i] = (struct model_ts){ ts->protocol, ts->port_first, ts->port_last, ts->first, ts->last };
	}
	*ret_cnt = tss.cnt;
	return true;
}

bool ike_child_take(struct ike_ctx *c, const struct ike_request *q, const struct ike_ts_lists *asked,
		    struct ike_child_plan *ret, const char **ret_what)
{
	static const uint8_t any_spi[4];
	const struct ike_offer offer = offer_of(c, q->group, BYTES_OF(any_spi));
	const struct wire_ike_payload *sa = wire_ike_find(&c->in, IKE_PL_SA, 0);
	struct ike_child_plan plan = { .ours = true, .spi_in = (uint32_t)q->new_spi };

	*ret_what = "no proposal of ours";
	if (sa == NULL || !ike_offer_take(&offer, sa->body, &plan.choice.suite, &plan.choice.peer_spi))
		return false;
	*ret_what = "an SPI that another Child SA of the peer has";
	if (ike_child_find(c->sa, 0, (uint32_t)plan.choice.peer_spi) != NULL)
		return false;
	*ret_what = "selectors that were not asked for";
	if (!take_side(c, IKE_PL_TSI, asked->local, asked->local_cnt, plan.ts.local, &plan.ts.local_cnt) ||
	    !take_side(c, IKE_PL_TSR, asked->remote, asked->remote_cnt, plan.ts.remote, &plan.ts.remote_cnt))
		return false;
	*ret = plan;
	return true;
}

void ike_child_disown(struct ike_ctx *c, uint32_t spi_in, uint32_t spi_out)
{
	struct ike_sa *sa = c->sa;

	if (sa->child_cnt == IKE_CHILDREN_MAX || ike_child_find(sa, spi_in, 0) != NULL)
		return;
	sa->children[sa->child_cnt++] =
		(struct ike_child_ref){ .spi_in = spi_in, .spi_out = spi_out, .closing = true };
	c->changed = true;
}

/* ---- CREATE_CHILD_SA ---- */

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
	} else if (ike_own_other_group(c, q, n)) {
		if (old != NULL && !old->replaced)
			old->due_us = c->ev->now_us;
		else if (q->kind == IKE_REQUEST_NEW_CHILD)
			c->sa->new_child_us = c->ev->now_us;
	} else {
		ike_own_refused(c, q, n->type, NULL);
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
	ike_own_refused(c, q, 0, what);
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
		ike_ask_dh(c, &(struct ike_dh_job){ .op = IKE_DH_DERIVE, .group = q->group, .peer_public = ke,
						    .private = ike_own_private(c) });
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
		if (ike_error_of(&c->in, &n) != 0)
			refused(c, q, &n);
		else
			take_answer(c, q);
	}
	if (c->drop)
		return c->sa->state;
	ike_request_done(c->sa);
	c->changed = true;
	if (!c->sa->closing && is_hopeless(c, q, tries_before))
		return ike_live_begin_end(c);
	ike_request_next(c);
	return c->sa->state;
}
