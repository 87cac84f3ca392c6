// Child SAs of the record: found, decided and made, for IKE_AUTH and CREATE_CHILD_SA alike (RFC 7296 2.9, 2.17, 3.3).
#include "base/secret.h"
#include "ike/child.h"

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

struct model_failure *ike_child_fail(struct ike_ctx *c, enum model_failure_code code)
{
	return ike_out_fail(c->out, c->ev, c->sa, code, MODEL_STAGE_CHILD);
}

static uint16_t refuse_malformed(struct ike_ctx *c, const char *what)
{
	struct model_failure *f = ike_child_fail(c, MODEL_FAILURE_BAD_MESSAGE);

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
	struct model_failure *f = ike_child_fail(c, MODEL_FAILURE_TS_UNACCEPTABLE);
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
	struct model_failure *f = ike_child_fail(c, code);
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

/* Four tries against our own children; against all others the commit decides. */
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

	must(sa->auth_verified);
	if (sa->child_cnt == IKE_CHILDREN_MAX || child.spi_in == 0 || ike_child_find(sa, child.spi_in, 0) != NULL)
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
	wire_ike_put_plain_notify(&c->reply, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, (struct bytes){ 0 });
	ike_ts_put(&c->reply, IKE_PL_TSI, plan->ts.remote, plan->ts.remote_cnt);
	ike_ts_put(&c->reply, IKE_PL_TSR, plan->ts.local, plan->ts.local_cnt);
}
