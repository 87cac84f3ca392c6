// CREATE_CHILD_SA that rekeys the IKE SA (RFC 7296 1.3.2, 2.8, 2.18). The children move to the new SA:
//
//   HDR, SK {SA, Ni, KEi}  -->
//                                <--  HDR, SK {SA, Nr, KEr}
#include "base/secret.h"
#include "ike/exchanges.h"

static enum ike_state refuse(struct ike_ctx *c, uint16_t notify)
{
	ike_reply_notify(c, notify, (struct bytes){ 0 });
	return c->sa->state;
}

static enum ike_state refuse_offer(struct ike_ctx *c, const struct wire_ike_sa *offer, const struct ike_ask *ask,
				   enum model_failure_code code)
{
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa, code, MODEL_STAGE_LIVE);

	ike_select_explain(offer, ask, code, f);
	return refuse(c, IKE_N_NO_PROPOSAL_CHOSEN);
}

static enum err make_new(struct ike_ctx *c, const struct ike_choice *choice, struct bytes ni, struct bytes nr,
			 struct ike_sa *ret)
{
	uint64_t spi_r = ike_spi_make(&c->world->spi_key, c->world->node_slot, &c->ev->random[IKE_RANDOM_SPI]);

	ike_rekey_new(c, IKE_RESPONDER, &choice->suite, choice->peer_spi, spi_r, ret);
	return ike_keys_of_rekey(c->sa, &ret->suite, ni, nr, bytes_of(c->ev->dh->secret, c->ev->dh->secret_len),
				 ret->spi_i, ret->spi_r, &ret->keys);
}

/* RFC 7296 2.25.2: ours is on its way, too; the answer is as usual, and who stands is known when ours is answered. */
static enum ike_state keep_rival(struct ike_ctx *c, struct bytes ni, struct bytes nr)
{
	struct ike_rival *v = &c->sa->rival;

	ike_rival_note(c->sa, ni, nr);
	v->spi_i = c->rekeyed->spi_i;
	v->spi_r = c->rekeyed->spi_r;
	v->suite = c->rekeyed->suite;
	v->keys = c->rekeyed->keys;
	c->changed = true;
	return c->sa->state;
}

static enum ike_state make_rekey(struct ike_ctx *c, const struct ike_choice *choice, struct bytes ni)
{
	struct bytes nr = bytes_of(&c->ev->random[IKE_RANDOM_NONCE], IKE_NONCE_LEN);
	struct wire_ike_proposal answer = choice->answer;
	uint8_t spi[8];
	struct wr w = wr_of(SPACE_OF(spi));

	if (make_new(c, choice, ni, nr, c->rekeyed) != ERR_NONE)
		return refuse(c, IKE_N_TEMPORARY_FAILURE);
	wr_u64(&w, c->rekeyed->spi_r);
	answer.spi = BYTES_OF(spi);
	wire_ike_put_proposal(&c->reply, &answer);
	wire_ike_put_nonce(&c->reply, nr);
	wire_ike_put_ke(&c->reply, choice->suite.group, bytes_of(c->ev->dh->public, c->ev->dh->public_len));
	if (c->sa->request.kind == IKE_REQUEST_REKEY_IKE)
		return keep_rival(c, ni, nr);
	c->has_rekeyed = true;
	ike_rekey_retire(c);
	ike_out_count(c->out, MODEL_COUNTER_ike_rekeyed);
	return IKE_STATE_REKEYED;
}

enum ike_state ike_rekey_request(struct ike_ctx *c, const struct wire_ike_sa *offer, const struct wire_ike_ke *ke,
				 struct bytes ni)
{
	const struct ike_ask ask = {
		.phase = MODEL_PHASE_IKE,
		.ke_rule = IKE_KE_NEEDED,
		.ke_group = ke->group,
		.spi_len = 8,
		.profiles = MODEL_PROFILE_BIT(c->sa->profile),
		.rows = ike_rows(c->world, c->sa, MODEL_PHASE_IKE),
	};
	enum model_failure_code code = MODEL_FAILURE_NO_PROPOSAL_IKE;
	struct ike_choice choice;

	/* RFC 7296 2.25.2: not while a Child SA is being made, rekeyed or closed. One rival is enough. */
	if (c->sa->request.kind == IKE_REQUEST_NEW_CHILD || c->sa->request.kind == IKE_REQUEST_REKEY_CHILD ||
	    c->sa->rival.present)
		return refuse(c, IKE_N_TEMPORARY_FAILURE);
	for (unsigned i = 0; i < c->sa->child_cnt; i++)
		if (c->sa->children[i].closing)
			return refuse(c, IKE_N_TEMPORARY_FAILURE);
	if (!ike_select(offer, &ask, &choice, &code))
		return refuse_offer(c, offer, &ask, code);
	if (choice.wrong_ke) {
		ike_reply_wrong_group(c, MODEL_STAGE_LIVE, ke->group, choice.suite.group);
		return c->sa->state;
	}
	if (ke->data.len != crypt_dh_public_len(ke->group)) {
		ike_reply_syntax(c, "a key exchange of a wrong length");
		return c->sa->state;
	}
	if (c->ev->dh == NULL) {
		ike_dh_respond(c, ke->group, ke->data);
		return c->sa->state;
	}
	if (c->ev->dh->secret_len == 0) { /* RFC 6989 2.5 */
		ike_reply_syntax(c, "a key exchange value that its group does not have");
		return c->sa->state;
	}
	return make_rekey(c, &choice, ni);
}
