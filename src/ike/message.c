// A protected message of ours from its header to what is sent: whole, or in fragments (RFC 7296 3.14, RFC 7383 2.5).
#include "ike/ctx.h"

void ike_message_begin(const struct ike_sa *sa, const struct ike_event *ev, bool response, uint8_t exchange,
		       uint32_t msg_id, struct space room, struct wire_ike_builder *b)
{
	uint8_t iv[CRYPT_IV_MAX] = { 0 };
	uint8_t flags = response ? IKE_FLAG_RESPONSE : 0;

	if (sa->role == IKE_INITIATOR)
		flags |= IKE_FLAG_INITIATOR;
	wire_ike_begin(b, room, &(struct wire_ike_header){
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.major = 2,
		.exchange = exchange,
		.flags = flags,
		.msg_id = msg_id,
	});
	/* One IV each for the answer and for our own request. A message that is thrown away and begun again under its
	 * IV, or sent in fragments whose first takes it, was never sealed with it. */
	wire_ike_sk_open(b, ike_protect_iv(sa, ev, response, 0, iv));
}

MUST_USE enum err ike_message_seal(struct ike_ctx *c, struct wire_ike_builder *b, struct bytes *ret)
{
	c->out->sealed = true;
	return ike_frag_wanted(c, b) ? ike_frag_seal(c, b, ret) : ike_protect_close(c->sa, b, ret);
}
