#include "crypt/ike_cipher.h"
#include "crypt/prf.h"
#include "ike/ctx.h"

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

MUST_USE enum err ike_protect_open(const struct ike_sa *sa, enum ike_payload type, struct bytes msg,
				   struct space scratch, uint8_t *ret_first, struct bytes *ret_inner)
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
	/* Nothing in the clear beside it. */
	if (outer.cnt != 1 || outer.p[0].type != type)
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

struct bytes ike_protect_iv(const struct ike_sa *sa, const struct ike_event *ev, bool response, unsigned n,
			    uint8_t room[static CRYPT_IV_MAX])
{
	struct wr w = wr_of((struct space){ room, CRYPT_IV_MAX });
	uint8_t which[2] = { response, (uint8_t)n }, hash[32];
	struct bytes seed[2] = { bytes_of(&ev->random[IKE_RANDOM_IV_MORE], 16), BYTES_OF(which) };

	must(n < IKE_FRAGS_OUT_MAX);
	if (crypt_encr_is_aead(sa->suite.encr))
		wr_u64(&w, ev->iv + (response ? 0 : IKE_FRAGS_OUT_MAX) + n);
	else if (n == 0)
		wr_put(&w, bytes_of(&ev->random[response ? IKE_RANDOM_IV_REPLY : IKE_RANDOM_IV_REQUEST], 16));
	else if (crypt_sha256(seed, 2, hash) == ERR_NONE)
		wr_put(&w, bytes_of(hash, 16));
	return bytes_of(room, w.bad ? 0 : wr_len(&w));
}

MUST_USE enum err ike_protect_close(const struct ike_sa *sa, struct wire_ike_builder *b, struct bytes *ret)
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
