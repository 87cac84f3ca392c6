// CREATE_CHILD_SA for Child SAs (RFC 7296 1.3.1, 1.3.3), and what IKE_AUTH shares with it:
//
//   HDR, SK {[N(REKEY_SA)], SA, Ni, [KEi], TSi, TSr}  -->
//                                <--  HDR, SK {SA, Nr, [KEr], TSi, TSr}
//                           or   <--  HDR, SK {one error notify}
#include "base/secret.h"
#include "ike/exchanges.h"

/* ---- children of the record ---- */

struct ike_child_ref *ike_child_find(struct ike_sa *sa, uint32_t spi_in, uint32_t spi_out)
{
	for (unsigned i = 0; i < sa->child_cnt; i++) {
		struct ike_child_ref *ref = &sa->children[i];
		if ((spi_in == 0 || ref->spi_in == spi_in) && (spi_out == 0 || ref->spi_out == spi_out))
			return ref;
	}
	return NULL;
}

void ike_child_forget(struct ike_sa *sa, struct ike_child_ref *ref)
{
	struct ike_child_ref *last = &sa->children[sa->child_cnt - 1];

	must(sa->child_cnt > 0 && ref >= sa->children && ref <= last);
	for (; ref < last; ref++)
		ref[0] = ref[1];
	*last = (struct ike_child_ref){ 0 };
	sa->child_cnt--;
}

void ike_child_delete_all(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	while (sa->child_cnt > 0) {
		struct ike_child_ref *ref = &sa->children[sa->child_cnt - 1];
		if (!ref->closing || ref->lingers)
			ike_out_add(c->out, IKE_ACT_CHILD_DELETE)->spi = ref->spi_in;
		ike_child_forget(sa, ref);
	}
	c->changed = true;
}

void ike_child_want(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	for (unsigned i = 0; i < sa->child_cnt; i++)
		if (!sa->children[i].closing && !sa->children[i].replaced)
			return;
	if (sa->started && !sa->closing && sa->new_child_us == 0)
		sa->new_child_us = ike_duty_again(c, sa->child_tries);
}

/* ---- deciding ---- */

static struct model_failure *fail_child(struct ike_ctx *c, enum model_failure_code code)
{
	return ike_out_fail(c->out, c->ev, c->sa, code, MODEL_STAGE_CHILD);
}

static uint16_t refuse_malformed(struct ike_ctx *c, const char *what)
{
	struct model_failure *f = fail_child(c, MODEL_FAILURE_BAD_MESSAGE);

	ike_text_add(f->offered, sizeof(f->offered), "%s with %s", ike_exchange_name(c->h.exchange), what);
	return IKE_N_INVALID_SYNTAX;
}

static uint16_t decide_selectors(struct ike_ctx *c, struct ike_ts_lists *ret)
{
	struct wire_ike_tss tsi = { 0 }, tsr = { 0 };
	const struct wire_ike_payload *pi = wire_ike_find(&c->in, IKE_PL_TSI, 0);
	const struct wire_ike_payload *pr = wire_ike_find(&c->in, IKE_PL_TSR, 0);

	if (pi == NULL || pr == NULL)
		return refuse_malformed(c, "no traffic selectors");
	enum err ei = wire_ike_tss_parse(pi->body, &tsi), er = wire_ike_tss_parse(pr->body, &tsr);
	bool too_many = ei == ERR_RANGE || er == ERR_RANGE;
	if (!too_many && (ei != ERR_NONE || er != ERR_NONE))
		return refuse_malformed(c, "traffic selectors that cannot be read");
	if (!too_many && ike_ts_narrow(&tsi, &tsr, ret))
		return 0;
	struct model_failure *f = fail_child(c, MODEL_FAILURE_TS_UNACCEPTABLE);
	if (too_many) {
		ike_text_add(f->offered, sizeof(f->offered), "more than %d selectors on a side", WIRE_IKE_TS_MAX);
	} else {
		ike_ts_text(&tsi, "TSi", f->offered, sizeof(f->offered));
		ike_ts_text(&tsr, "TSr", f->offered, sizeof(f->offered));
	}
	ike_text_add(f->allowed, sizeof(f->allowed), "one to %d address ranges on each side, with one family on both",
		     MODEL_TS_MAX);
	return IKE_N_TS_UNACCEPTABLE;
}

/* RFC 7296 3.3: picks the proposal. */
static uint16_t decide_proposal(struct ike_ctx *c, const struct ike_ask *ask, struct ike_choice *ret)
{
	UNSET struct wire_ike_sa offer;
	enum model_failure_code code = MODEL_FAILURE_NO_PROPOSAL_CHILD;

	offer.cnt = 0;
	enum err e = wire_ike_sa_parse(wire_ike_find(&c->in, IKE_PL_SA, 0)->body, &offer);
	if (e != ERR_NONE && e != ERR_RANGE)
		return refuse_malformed(c, "proposals that cannot be read");
	if (e == ERR_NONE && ike_select(&offer, ask, ret, &code))
		return 0;
	struct model_failure *f = fail_child(c, code);
	if (e == ERR_RANGE)
		ike_text_add(f->offered, sizeof(f->offered), "more proposals or transforms than are read");
	ike_select_explain(&offer, ask, code, f);
	return IKE_N_NO_PROPOSAL_CHOSEN;
}

uint16_t ike_child_decide(struct ike_ctx *c, enum ike_ke_rule rule, uint16_t ke_group, struct ike_child_plan *ret)
{
	const struct ike_ask ask = {
		.phase = MODEL_PHASE_CHILD,
		.ke_rule = rule,
		.ke_group = ke_group,
		.spi_len = 4,
		.profiles = MODEL_PROFILE_BIT(c->sa->profile),
		.rows = ike_rows(c->world, c->sa, MODEL_PHASE_CHILD),
		.opt_ins = ike_opt_ins(c->sa),
	};
	struct ike_child_plan plan = { 0 };

	uint16_t refusal = decide_proposal(c, &ask, &plan.choice);
	if (refusal == 0)
		refusal = decide_selectors(c, &plan.ts);
	if (refusal == 0 && ike_child_find(c->sa, 0, (uint32_t)plan.choice.peer_spi) != NULL)
		refusal = refuse_malformed(c, "an SPI that another Child SA of the peer has");
	if (refusal == 0)
		*ret = plan;
	return refusal;
}

/* ---- making ---- */

/* Four tries against our own children; against all others the commit decides (design section 6.3). */
uint32_t ike_child_spi(const struct ike_ctx *c, unsigned random_at)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t spi = ike_esp_spi_make(&c->world->spi_key, &c->ev->random[random_at + 8 * i]);
		if (ike_child_find(c->sa, spi, 0) == NULL)
			return spi;
	}
	return 0;
}

static struct model_path child_path(const struct ike_sa *sa)
{
	struct model_path path = sa->path;

	if (!path.udp_encap) /* native ESP has no ports */
		path.local.port = path.remote.port = 0;
	return path;
}

MUST_USE enum err ike_child_add(struct ike_ctx *c, const struct ike_child_plan *plan, struct bytes ni,
				struct bytes nr, struct bytes dh_secret, uint32_t *ret_spi)
{
	struct ike_sa *sa = c->sa;
	struct model_child_sa child = {
		.spi_in = plan->ours ? plan->spi_in : ike_child_spi(c, IKE_RANDOM_ESP_SPI),
		.spi_out = (uint32_t)plan->choice.peer_spi,
		.ike_spi = ike_sa_our_spi(sa),
		.account_id = sa->account_id,
		.tunnel_id = sa->tunnel_id,
		.suite = plan->choice.suite,
		.path = child_path(sa),
		.ts_local_cnt = plan->ts.local_cnt,
		.ts_remote_cnt = plan->ts.remote_cnt,
		.created_us = c->ev->now_us,
		.expires_us = c->ev->now_us + sa->child_lifetime_s * (uint64_t)1000000,
	};

	must(sa->auth_verified && sa->child_cnt < IKE_CHILDREN_MAX);
	if (child.spi_in == 0 || ike_child_find(sa, child.spi_in, 0) != NULL)
		return ERR_CONFLICT;
	for (unsigned i = 0; i < MODEL_TS_MAX; i++) {
		child.ts_local[i] = plan->ts.local[i];
		child.ts_remote[i] = plan->ts.remote[i];
	}
	enum err e = ike_keys_of_child(sa, &child.suite, ni, nr, dh_secret,
				       plan->ours ? &child.keys_out : &child.keys_in,
				       plan->ours ? &child.keys_in : &child.keys_out);
	if (e == ERR_NONE) {
		sa->children[sa->child_cnt++] = (struct ike_child_ref){
			.spi_in = child.spi_in,
			.spi_out = child.spi_out,
			.unproven = !plan->ours, /* an answer of the peer shows that it has it */
			.due_us = ike_duty_soft(c, sa->child_lifetime_s, IKE_RANDOM_JITTER + 8),
		};
		sa->new_child_us = 0;
		sa->child_tries = 0;
		sa->child_rekeys += plan->replaces != 0;
		c->changed = true;
		struct ike_action *a = ike_out_add(c->out, IKE_ACT_CHILD_PUT);
		c->out->child = child;
		a->put.child = &c->out->child;
		a->put.replaces = plan->replaces;
		ike_out_count(c->out, plan->replaces != 0 ? MODEL_COUNTER_child_rekeyed
							  : MODEL_COUNTER_child_established);
		*ret_spi = child.spi_in;
	}
	secret_wipe(&child, sizeof(child));
	return e;
}

void ike_child_put_sa(struct ike_ctx *c, const struct ike_child_plan *plan, uint32_t spi)
{
	struct wire_ike_proposal answer = plan->choice.answer;
	uint8_t spi_bytes[4];
	struct wr w = wr_of(SPACE_OF(spi_bytes));

	wr_u32(&w, spi);
	answer.spi = BYTES_OF(spi_bytes);
	wire_ike_put_proposal(&c->reply, &answer);
}

void ike_child_put_ts(struct ike_ctx *c, const struct ike_child_plan *plan)
{
	/* RFC 7296 3.10.1: TFC padding behind the inner packet is cut off by its length; none is sent. */
	wire_ike_put_notify(&c->reply, IKE_PROTO_NONE, (struct bytes){ 0 }, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED,
			    (struct bytes){ 0 });
	ike_ts_put(&c->reply, IKE_PL_TSI, plan->ts.remote, plan->ts.remote_cnt);
	ike_ts_put(&c->reply, IKE_PL_TSR, plan->ts.local, plan->ts.local_cnt);
}

/* ---- CREATE_CHILD_SA ---- */

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

/* RFC 7296 1.3: the peer is told the group with which to try again. */
static enum ike_state refuse_ke(struct ike_ctx *c, uint16_t sent, uint16_t wanted)
{
	char name[MODEL_TRANSFORM_TEXT_MAX];
	uint8_t group[2];
	struct wr w = wr_of(SPACE_OF(group));

	wr_u16(&w, wanted);
	ike_reply_notify(c, IKE_N_INVALID_KE_PAYLOAD, BYTES_OF(group));
	struct model_failure *f = fail_child(c, MODEL_FAILURE_WRONG_GROUP);
	ike_text_add(f->offered, sizeof(f->offered), "%s", model_transform_text(IKE_TT_KE, sent, 0, name));
	ike_text_add(f->allowed, sizeof(f->allowed), "%s", model_transform_text(IKE_TT_KE, wanted, 0, name));
	return c->sa->state;
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
		(void)fail_child(c, MODEL_FAILURE_TRANSPORT_MODE); /* tunnel mode is what it got (1.3.1) */
	return c->sa->state;
}

static enum ike_state request_child(struct ike_ctx *c, const struct wire_ike_ke *ke, struct bytes ni)
{
	struct ike_child_plan plan = { 0 };
	uint32_t replaces;

	if (c->sa->request.kind == IKE_REQUEST_REKEY_IKE) /* RFC 7296 2.25.2 */
		return refuse(c, IKE_N_TEMPORARY_FAILURE);
	if (!find_replaced(c, &replaces))
		return c->sa->state;
	if (c->sa->child_cnt == IKE_CHILDREN_MAX) {
		struct model_failure *f = fail_child(c, MODEL_FAILURE_TOO_MANY_CHILDREN);
		ike_text_add(f->allowed, sizeof(f->allowed), "%d", IKE_CHILDREN_MAX);
		return refuse(c, IKE_N_NO_ADDITIONAL_SAS);
	}
	uint16_t refusal = ike_child_decide(c, IKE_KE_OPTIONAL, ke->group, &plan);
	if (refusal != 0)
		return refuse(c, refusal);
	plan.replaces = replaces;
	uint16_t group = plan.choice.suite.group;
	if (plan.choice.wrong_ke)
		return refuse_ke(c, ke->group, group);
	if (group != IKE_GROUP_NONE && ke->data.len != crypt_dh_public_len(group)) {
		ike_reply_syntax(c, "a key exchange of a wrong length");
		return c->sa->state;
	}
	if (group != IKE_GROUP_NONE && c->ev->dh == NULL) {
		ike_want_dh(c, group, ke->data);
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
