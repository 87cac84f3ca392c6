// A Child SA that we ask for: what stands in the request, and what its answer may be (RFC 7296 1.2, 1.3.1, 2.9).
#include "ike/child.h"

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
	wire_ike_put_plain_notify(b, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, (struct bytes){ 0 });
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
