#include "base/secret.h"
#include "ike/parts.h"

#define SEED_MAX (2 * IKE_NONCE_MAX + 16 + CRYPT_DH_SECRET_MAX)

/* RFC 7296 2.14: {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr) */
static enum err expand_ike_keys(const struct model_suite *s, struct bytes skeyseed, struct bytes ni,
				struct bytes nr, uint64_t spi_i, uint64_t spi_r, struct ike_keys *ret)
{
	uint8_t seed_room[SEED_MAX], block[sizeof(struct ike_keys)];
	struct wr w = wr_of(SPACE_OF(seed_room));
	size_t prf_len = crypt_prf_len(s->prf);
	size_t integ_len = crypt_encr_is_aead(s->encr) ? 0 : crypt_integ_key_len(s->integ);
	size_t encr_len = crypt_encr_key_len(s->encr, s->key_bits);
	size_t len = 3 * prf_len + 2 * integ_len + 2 * encr_len;

	wr_put(&w, ni);
	wr_put(&w, nr);
	wr_u64(&w, spi_i);
	wr_u64(&w, spi_r);
	if (w.bad || prf_len == 0 || encr_len == 0)
		return ERR_RANGE;
	enum err e = crypt_prf_plus(s->prf, skeyseed, wr_bytes(&w), block, len);
	if (e == ERR_NONE) {
		struct ike_keys k = { 0 };
		struct rd r = rd_of(bytes_of(block, len));
		rd_copy(&r, k.d, prf_len);
		rd_copy(&r, k.ai, integ_len);
		rd_copy(&r, k.ar, integ_len);
		rd_copy(&r, k.ei, encr_len);
		rd_copy(&r, k.er, encr_len);
		rd_copy(&r, k.pi, prf_len);
		rd_copy(&r, k.pr, prf_len);
		must(rd_done(&r));
		*ret = k;
		secret_wipe(&k, sizeof(k));
	}
	secret_wipe(block, sizeof(block));
	return e;
}

/* RFC 7296 2.14: SKEYSEED = prf(Ni | Nr, g^ir) */
MUST_USE enum err ike_keys_of_init(const struct model_suite *suite, struct bytes ni, struct bytes nr,
				   struct bytes dh_secret, uint64_t spi_i, uint64_t spi_r, struct ike_keys *ret)
{
	uint8_t nonces[2 * IKE_NONCE_MAX], skeyseed[CRYPT_PRF_LEN_MAX];
	struct wr w = wr_of(SPACE_OF(nonces));

	wr_put(&w, ni);
	wr_put(&w, nr);
	if (w.bad)
		return ERR_RANGE;
	enum err e = crypt_prf(suite->prf, wr_bytes(&w), &dh_secret, 1, skeyseed);
	if (e == ERR_NONE)
		e = expand_ike_keys(suite, bytes_of(skeyseed, crypt_prf_len(suite->prf)), ni, nr, spi_i, spi_r,
				    ret);
	secret_wipe(skeyseed, sizeof(skeyseed));
	return e;
}

/* RFC 7296 2.18: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), by the PRF of the old SA; what follows
 * is by the PRF of the new one. */
MUST_USE enum err ike_keys_of_rekey(const struct ike_sa *old, const struct model_suite *suite, struct bytes ni,
				    struct bytes nr, struct bytes dh_secret, uint64_t spi_i, uint64_t spi_r,
				    struct ike_keys *ret)
{
	uint8_t skeyseed[CRYPT_PRF_LEN_MAX];
	const struct bytes parts[] = { dh_secret, ni, nr };
	size_t old_len = crypt_prf_len(old->suite.prf);

	enum err e = crypt_prf(old->suite.prf, bytes_of(old->keys.d, old_len), parts, ARRAY_LEN(parts), skeyseed);
	if (e == ERR_NONE)
		e = expand_ike_keys(suite, bytes_of(skeyseed, old_len), ni, nr, spi_i, spi_r, ret);
	secret_wipe(skeyseed, sizeof(skeyseed));
	return e;
}

/* RFC 7296 2.17: KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr). Keys of the direction initiator to responder
 * come first, and in each direction encryption before integrity. */
MUST_USE enum err ike_keys_of_child(const struct ike_sa *sa, const struct model_suite *suite, struct bytes ni,
				    struct bytes nr, struct bytes dh_secret, struct model_child_keys *ret_i,
				    struct model_child_keys *ret_r)
{
	uint8_t seed_room[SEED_MAX], block[2 * sizeof(struct model_child_keys)];
	struct wr w = wr_of(SPACE_OF(seed_room));
	size_t encr_len = crypt_encr_key_len(suite->encr, suite->key_bits);
	size_t integ_len = crypt_encr_is_aead(suite->encr) ? 0 : crypt_integ_key_len(suite->integ);
	size_t len = 2 * (encr_len + integ_len);

	wr_put(&w, dh_secret);
	wr_put(&w, ni);
	wr_put(&w, nr);
	if (w.bad || len == 0 || len > sizeof(block))
		return ERR_RANGE;
	enum err e = crypt_prf_plus(sa->suite.prf, bytes_of(sa->keys.d, crypt_prf_len(sa->suite.prf)),
				    wr_bytes(&w), block, len);
	if (e == ERR_NONE) {
		struct model_child_keys from_i = { 0 }, from_r = { 0 };
		struct rd r = rd_of(bytes_of(block, len));
		rd_copy(&r, from_i.encr, encr_len);
		rd_copy(&r, from_i.integ, integ_len);
		rd_copy(&r, from_r.encr, encr_len);
		rd_copy(&r, from_r.integ, integ_len);
		must(rd_done(&r));
		*ret_i = from_i;
		*ret_r = from_r;
		secret_wipe(&from_i, sizeof(from_i));
		secret_wipe(&from_r, sizeof(from_r));
	}
	secret_wipe(block, sizeof(block));
	secret_wipe(seed_room, sizeof(seed_room));
	return e;
}

/* RFC 7296 2.15 */
MUST_USE enum err ike_keys_auth(uint16_t prf, struct bytes psk, struct bytes message, struct bytes nonce,
				struct bytes sk_p, struct bytes id_rest, uint8_t ret[static CRYPT_PRF_LEN_MAX])
{
	uint8_t padded[CRYPT_PRF_LEN_MAX], maced_id[CRYPT_PRF_LEN_MAX];
	struct bytes pad = bytes_str("Key Pad for IKEv2");
	size_t len = crypt_prf_len(prf);

	enum err e = crypt_prf(prf, sk_p, &id_rest, 1, maced_id);
	if (e == ERR_NONE)
		e = crypt_prf(prf, psk, &pad, 1, padded);
	if (e == ERR_NONE) {
		const struct bytes parts[] = { message, nonce, bytes_of(maced_id, len) };
		e = crypt_prf(prf, bytes_of(padded, len), parts, ARRAY_LEN(parts), ret);
	}
	secret_wipe(padded, sizeof(padded));
	return e;
}
