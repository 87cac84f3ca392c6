// The answer to a request: opened, and what a refusal makes of it (RFC 7296 2.21).
#include "ike/ctx.h"

void ike_reply_begin(struct ike_ctx *c)
{
	ike_message_begin(c->sa, c->ev, true, c->h.exchange, c->h.msg_id, ike_out_clear_room(c->out, true), &c->reply);
}

void ike_reply_notify(struct ike_ctx *c, uint16_t type, struct bytes data)
{
	ike_reply_begin(c);
	if (type != 0)
		wire_ike_put_plain_notify(&c->reply, type, data);
}

/* RFC 7296 2.21.3 lets both sides forget an SA over this without a word. Here it stays, so that one odd message
 * costs a tunnel nothing; a peer that did forget it no longer answers liveness checks. */
void ike_reply_syntax(struct ike_ctx *c, const char *what)
{
	enum model_stage stage = c->half != NULL ? MODEL_STAGE_AUTH : MODEL_STAGE_LIVE;

	ike_reply_notify(c, IKE_N_INVALID_SYNTAX, (struct bytes){ 0 });
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_BAD_MESSAGE, stage);
	ike_text_add(f->offered, sizeof(f->offered), "%s with %s", ike_exchange_name(c->h.exchange), what);
}

void ike_reply_wrong_group(struct ike_ctx *c, enum model_stage stage, uint16_t sent, uint16_t wanted)
{
	char name[MODEL_TRANSFORM_TEXT_MAX];
	uint8_t group[2];
	struct wr w = wr_of(SPACE_OF(group));

	wr_u16(&w, wanted);
	ike_reply_notify(c, IKE_N_INVALID_KE_PAYLOAD, BYTES_OF(group));
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_WRONG_GROUP, stage);
	ike_text_add(f->offered, sizeof(f->offered), "%s", model_transform_text(IKE_TT_KE, sent, 0, name));
	ike_text_add(f->allowed, sizeof(f->allowed), "%s", model_transform_text(IKE_TT_KE, wanted, 0, name));
}
