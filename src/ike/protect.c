#include "crypt/ike_cipher.h"
#include "ike/parts.h"

/* Keys of one direction: SK_ei and SK_ai protect what the initiator sends (RFC 7296 2.14). */
static struct crypt_ike_keys keys_from(const struct ike_sa *sa, enum ike_role sender)
{
	const struct ike_keys *k = &sa->keys;
	bool i = sender == IKE_INITIATOR;
	bool aead = crypt_encr_is_aead(sa->suite.encr);

	return (struct crypt_ike_keys){
		.encr_id = sa->suite.encr,
		.key_bits = sa->suite.key_bits,
		.integ_id = sa->suite.integ,
		.encr = { i ? k->ei : k->er, crypt_encr_key_len(sa->suite.encr, sa->suite.key_bits) },
		.integ = { i ? k->ai : k->ar, aead ? 0 : crypt_integ_key_len(sa->suite.integ) },
	};
}

MUST_USE enum err ike_protect_open(const struct ike_sa *sa, struct bytes msg, struct space scratch,
				   uint8_t *ret_first, struct bytes *ret_inner)
{
	enum ike_role sender = sa->role == IKE_RESPONDER ? IKE_INITIATOR : IKE_RESPONDER;
	struct crypt_ike_keys keys = keys_from(sa, sender);
	struct wire_ike_payloads outer;
	struct wire_ike_header h;
	struct wire_ike_sk sk;
	struct wr w = wr_of(scratch);

	wr_put(&w, msg);
	if (w.bad)
		return ERR_LONG;
	struct rd r = rd_of(wr_bytes(&w));
	enum err e = wire_ike_header_parse(wr_bytes(&w), &h);
	if (e != ERR_NONE)
		return e;
	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	e = wire_ike_payloads_parse(h.next, rd_rest(&r), &outer);
	if (e != ERR_NONE)
		return e;
	/* Nothing in the clear beside SK; SKF was not announced (RFC 7383 2.3). */
	if (outer.cnt != 1 || outer.p[0].type != IKE_PL_SK)
		return ERR_SYNTAX;
	e = wire_ike_sk_parse((struct space){ scratch.p, msg.len }, &outer.p[0],
			      crypt_encr_iv_len(sa->suite.encr), crypt_icv_len(sa->suite.encr, sa->suite.integ),
			      &sk);
	if (e == ERR_NONE)
		e = crypt_ike_open(&keys, sk.aad, sk.iv, sk.text, bytes_of(sk.icv.p, sk.icv.cap));
	if (e != ERR_NONE)
		return e;
	struct bytes inner;
	e = wire_ike_sk_strip(bytes_of(sk.text.p, sk.text.cap), &inner);
	if (e != ERR_NONE)
		return e;
	*ret_first = outer.p[0].next;
	*ret_inner = inner;
	return ERR_NONE;
}

void ike_protect_begin(const struct ike_sa *sa, const struct ike_event *ev, bool response, uint8_t exchange,
		       uint32_t msg_id, struct space room, struct wire_ike_builder *b)
{
	uint8_t iv[CRYPT_IV_MAX] = { 0 };
	struct wr w = wr_of(SPACE_OF(iv));
	uint8_t flags = response ? IKE_FLAG_RESPONSE : 0;

	if (sa->role == IKE_INITIATOR)
		flags |= IKE_FLAG_INITIATOR;
	/* Design section 6.1: a counter IV for GCM, a random one for CBC; one each for the answer and for our
	 * own request. A message that is thrown away and begun again under its IV was never sealed. */
	if (crypt_encr_is_aead(sa->suite.encr))
		wr_u64(&w, response ? ev->iv : ev->iv + 1);
	else
		wr_put(&w, bytes_of(&ev->random[response ? IKE_RANDOM_IV_REPLY : IKE_RANDOM_IV_REQUEST], 16));
	wire_ike_begin(b, room, &(struct wire_ike_header){
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.major = 2,
		.exchange = exchange,
		.flags = flags,
		.msg_id = msg_id,
	});
	wire_ike_sk_open(b, bytes_of(iv, crypt_encr_iv_len(sa->suite.encr)));
}

MUST_USE enum err ike_protect_seal(const struct ike_sa *sa, struct wire_ike_builder *b, struct bytes *ret)
{
	struct crypt_ike_keys keys = keys_from(sa, sa->role);
	struct wire_ike_sk sk;

	enum err e = wire_ike_sk_close(b, crypt_encr_block_len(sa->suite.encr),
				       crypt_icv_len(sa->suite.encr, sa->suite.integ), &sk);
	if (e == ERR_NONE)
		e = crypt_ike_seal(&keys, sk.aad, sk.iv, sk.text, sk.icv);
	if (e == ERR_NONE)
		e = wire_ike_finish(b, ret);
	return e;
}
