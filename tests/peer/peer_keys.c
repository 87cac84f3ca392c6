#include "crypt/prf.h"
#include "peer.h"

static size_t run_prf(uint16_t prf, struct bytes key, const struct bytes *parts, size_t cnt, uint8_t out[static 64])
{
	must(crypt_prf(prf, key, parts, cnt, out) == ERR_NONE);
	return crypt_prf_len(prf);
}

/* T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n) */
void peer_prf_plus(uint16_t prf, struct bytes key, struct bytes seed, uint8_t *out, size_t len)
{
	uint8_t block[64], number = 0;
	size_t block_len = 0, done = 0;

	while (done < len) {
		number++;
		const struct bytes parts[] = { bytes_of(block, block_len), seed, bytes_of(&number, 1) };
		uint8_t next[64];
		block_len = run_prf(prf, key, parts, 3, next);
		memcpy(block, next, sizeof(block));
		size_t n = len - done < block_len ? len - done : block_len;
		memcpy(out + done, block, n);
		done += n;
	}
}

void peer_derive_ike(const struct peer_ike *old, struct peer_ike *sa, struct bytes secret, struct bytes ni,
		     struct bytes nr)
{
	uint8_t skeyseed[64], seed[600], mat[512];
	size_t seed_len = 0, skeyseed_len;
	size_t pl = crypt_prf_len(sa->suite.prf), el = crypt_encr_key_len(sa->suite.encr, sa->suite.key_bits);
	size_t al = sa->suite.integ == IKE_INTEG_NONE ? 0 : crypt_integ_key_len(sa->suite.integ);

	memcpy(seed, ni.p, ni.len);
	memcpy(seed + ni.len, nr.p, nr.len);
	seed_len = ni.len + nr.len;
	if (old == NULL) {
		skeyseed_len = run_prf(sa->suite.prf, bytes_of(seed, seed_len), &secret, 1, skeyseed);
	} else {
		const struct bytes parts[] = { secret, bytes_of(seed, seed_len) };
		skeyseed_len = run_prf(old->suite.prf, bytes_of(old->keys.d, crypt_prf_len(old->suite.prf)), parts, 2,
				       skeyseed);
	}
	for (unsigned i = 0; i < 8; i++)
		seed[seed_len++] = (uint8_t)(sa->spi_i >> (56 - 8 * i));
	for (unsigned i = 0; i < 8; i++)
		seed[seed_len++] = (uint8_t)(sa->spi_r >> (56 - 8 * i));
	peer_prf_plus(sa->suite.prf, bytes_of(skeyseed, skeyseed_len), bytes_of(seed, seed_len), mat,
		      3 * pl + 2 * al + 2 * el);
	const uint8_t *p = mat;
	memcpy(sa->keys.d, p, pl), p += pl;
	memcpy(sa->keys.ai, p, al), p += al;
	memcpy(sa->keys.ar, p, al), p += al;
	memcpy(sa->keys.ei, p, el), p += el;
	memcpy(sa->keys.er, p, el), p += el;
	memcpy(sa->keys.pi, p, pl), p += pl;
	memcpy(sa->keys.pr, p, pl);
}

void peer_derive_child(const struct peer_ike *sa, struct peer_child *c, struct bytes secret, struct bytes ni,
		       struct bytes nr)
{
	uint8_t seed[900], mat[256];
	size_t el = crypt_encr_key_len(c->suite.encr, c->suite.key_bits);
	size_t al = c->suite.integ == IKE_INTEG_NONE ? 0 : crypt_integ_key_len(c->suite.integ);

	if (secret.len != 0)
		memcpy(seed, secret.p, secret.len);
	memcpy(seed + secret.len, ni.p, ni.len);
	memcpy(seed + secret.len + ni.len, nr.p, nr.len);
	peer_prf_plus(sa->suite.prf, bytes_of(sa->keys.d, crypt_prf_len(sa->suite.prf)),
		      bytes_of(seed, secret.len + ni.len + nr.len), mat, 2 * (el + al));
	/* we are the initiator of the exchange: the first half is what we send with */
	memcpy(c->encr_out, mat, el);
	memcpy(c->integ_out, mat + el, al);
	memcpy(c->encr_in, mat + el + al, el);
	memcpy(c->integ_in, mat + el + al + el, al);
}

size_t peer_auth(uint16_t prf, struct bytes psk, struct bytes message, struct bytes nonce, struct bytes sk_p,
		 struct bytes id_rest, uint8_t out[static 64])
{
	uint8_t key[64], mac[64];
	struct bytes pad = bytes_of("Key Pad for IKEv2", 17);
	size_t len = run_prf(prf, psk, &pad, 1, key);

	(void)run_prf(prf, sk_p, &id_rest, 1, mac);
	const struct bytes parts[] = { message, nonce, bytes_of(mac, len) };
	return run_prf(prf, bytes_of(key, len), parts, 3, out);
}
