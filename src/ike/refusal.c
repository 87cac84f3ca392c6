// What a refusal of our CREATE_CHILD_SA means: another group, or a failure that is told (RFC 7296 1.3, 2.21).
#include "ike/child.h"

uint16_t ike_refusal_of(const struct wire_ike_payloads *in, struct wire_ike_notify *ret)
{
	for (unsigned n = 0; n < in->cnt; n++) {
		if (in->p[n].type == IKE_PL_NOTIFY && wire_ike_notify_parse(in->p[n].body, ret) == ERR_NONE &&
		    ret->type != 0 && ret->type < IKE_N_STATUS_FIRST)
			return ret->type;
	}
	return 0;
}

void ike_refusal_note(struct ike_ctx *c, const struct ike_request *q, uint16_t type, const char *what)
{
	static const char *const asked[] = {
		[IKE_REQUEST_NEW_CHILD] = "a new Child SA",
		[IKE_REQUEST_REKEY_CHILD] = "the rekey of a Child SA",
		[IKE_REQUEST_REKEY_IKE] = "the rekey of the IKE SA",
	};
	const uint8_t kind = q->kind;
	bool first = kind == IKE_REQUEST_NEW_CHILD;
	struct ike_ts_lists ts;
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa,
					       first ? MODEL_FAILURE_CHILD_REFUSED : MODEL_FAILURE_REKEY_REFUSED,
					       first ? MODEL_STAGE_CHILD : MODEL_STAGE_LIVE);

	must(kind < ARRAY_LEN(asked) && asked[kind] != NULL);
	if (what != NULL)
		ike_text_add(f->offered, sizeof(f->offered), "%s", what);
	else
		ike_text_notify(f->offered, sizeof(f->offered), type);
	ike_text_add(f->offered, sizeof(f->offered), " to %s", asked[kind]);
	enum model_phase phase = kind == IKE_REQUEST_REKEY_IKE ? MODEL_PHASE_IKE : MODEL_PHASE_CHILD;
	if (what == NULL && type == IKE_N_NO_PROPOSAL_CHOSEN)
		ike_select_explain_own(phase, c->sa, ike_rows(c->world, c->sa, phase), c->sa->pfs != IKE_PFS_NEVER || kind == IKE_REQUEST_REKEY_IKE, f);
	else if (what == NULL && type == IKE_N_TS_UNACCEPTABLE && ike_child_selectors(c, q->child_spi, &ts))
		ike_ts_lists_text(&ts, f->allowed, sizeof(f->allowed));
}

bool ike_refusal_other_group(struct ike_ctx *c, const struct ike_request *q, const struct wire_ike_notify *n)
{
	enum model_phase phase = q->kind == IKE_REQUEST_REKEY_IKE ? MODEL_PHASE_IKE : MODEL_PHASE_CHILD;
	const struct ike_offer offer = { .phase = phase, .profile = c->sa->profile, .rows = ike_rows(c->world, c->sa, phase) };
	struct rd r = rd_of(n->data);
	uint16_t group = rd_u16(&r);

	/* RFC 7296 1.3: once more with the peer's group, if it is another one of those that we offer. */
	if (n->type != IKE_N_INVALID_KE_PAYLOAD || !rd_done(&r) || group == q->group ||
	    c->sa->next_group != IKE_GROUP_NONE || !ike_offer_has_group(&offer, group))
		return false;
	c->sa->next_group = group;
	return true;
}
