#include "crypt/seal.h"

#include <openssl/evp.h>

#include "base/secret.h"
#include "crypt/aes.h"
#include "crypt/prf.h"
#include "crypt/random.h"

enum { VERSION_BOX = 1, VERSION_LOCKED = 2 };

static EVP_PKEY *make_private(const struct crypt_seal_private *key)
{
	return EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, key->b, sizeof(key->b));
}

MUST_USE enum err crypt_seal_generate(struct crypt_seal_private *ret)
{
	/* RFC 7748 5: any 32 random bytes are a private key. */
	crypt_random(ret->b, sizeof(ret->b));
	return ERR_NONE;
}

/* libcrypto has computed it with the private one. own may be NULL. */
static enum err read_public(const EVP_PKEY *own, struct crypt_seal_public *ret)
{
	struct crypt_seal_public public;
	size_t len = sizeof(public.b);

	if (own == NULL || EVP_PKEY_get_raw_public_key(own, public.b, &len) != 1 || len != sizeof(public.b))
		return ERR_CRYPTO;
	*ret = public;
	return ERR_NONE;
}

MUST_USE enum err crypt_seal_public_of(const struct crypt_seal_private *key, struct crypt_seal_public *ret)
{
	EVP_PKEY *own = make_private(key);
	enum err e = read_public(own, ret);

	EVP_PKEY_free(own);
	return e;
}

/* ERR_RANGE: a public value of small order, whose secret would be all zero (RFC 7748 6.1). */
static enum err derive_x25519(EVP_PKEY *own, const uint8_t *public, struct space secret)
{
	size_t len = secret.cap;
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, public, CRYPT_SEAL_KEY_LEN);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	enum err e = ERR_CRYPTO;

	if (peer != NULL && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, peer) == 1)
		e = EVP_PKEY_derive(ctx, secret.p, &len) == 1 && len == secret.cap ? ERR_NONE : ERR_RANGE;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	return e;
}

/* The key of a box from one private and the other's public value; ephemeral | recipient is the salt. */
static enum err derive_box_key(EVP_PKEY *own, const uint8_t *other,
			       const uint8_t *ephemeral, const uint8_t *recipient,
			       uint8_t key[static CRYPT_SEAL_KEY_LEN])
{
	uint8_t salt[2 * CRYPT_SEAL_KEY_LEN], secret[CRYPT_SEAL_KEY_LEN];
	struct wr w = wr_of(SPACE_OF(salt));
	enum err e = derive_x25519(own, other, SPACE_OF(secret));

	wr_put(&w, bytes_of(ephemeral, CRYPT_SEAL_KEY_LEN));
	wr_put(&w, bytes_of(recipient, CRYPT_SEAL_KEY_LEN));
	if (e == ERR_NONE)
		e = crypt_hkdf(BYTES_OF(salt), BYTES_OF(secret), bytes_str("onramp box"), key,
			       CRYPT_SEAL_KEY_LEN);
	secret_wipe(secret, sizeof(secret));
	return e;
}

static enum err derive_lock_key(const uint8_t *key, const uint8_t *salt,
				uint8_t ret[static CRYPT_SEAL_KEY_LEN])
{
	return crypt_hkdf(bytes_of(salt, CRYPT_SEAL_KEY_LEN), bytes_of(key, CRYPT_SEAL_KEY_LEN),
			  bytes_str("onramp lock"), ret, CRYPT_SEAL_KEY_LEN);
}

/* version | front | AES-256-GCM(text) | tag, under a key that is used for this value alone. */
static enum err seal_with(const uint8_t *key, uint8_t version, const uint8_t *front, struct bytes aad,
			  struct bytes text, struct space out, size_t *ret_len)
{
	static const uint8_t nonce[CRYPT_GCM_NONCE_LEN];
	EVP_CIPHER_CTX *ctx;
	struct wr w = wr_of(out);

	wr_u8(&w, version);
	wr_put(&w, bytes_of(front, CRYPT_SEAL_KEY_LEN));
	uint8_t *body = wr_reserve(&w, text.len);
	uint8_t *tag = wr_reserve(&w, CRYPT_GCM_TAG_LEN);
	if (tag == NULL)
		return ERR_FULL;
	enum err e = crypt_aes_new(IKE_ENCR_AES_GCM_16, 256, bytes_of(key, CRYPT_SEAL_KEY_LEN), false, &ctx);
	if (e != ERR_NONE)
		return e;
	if (text.len != 0)
		memcpy(body, text.p, text.len);
	e = crypt_gcm_seal(ctx, nonce, aad, (struct space){ body, text.len }, tag);
	EVP_CIPHER_CTX_free(ctx);
	if (e == ERR_NONE)
		*ret_len = wr_len(&w);
	else
		secret_wipe(body, text.len);
	return e;
}

/* The three parts behind the version. */
struct sealed {
	struct bytes front, body, tag;
};

static enum err split(uint8_t version, struct bytes sealed, size_t room, struct sealed *ret)
{
	struct rd r = rd_of(sealed);
	uint8_t v = rd_u8(&r);
	struct sealed s;

	s.front = rd_bytes(&r, CRYPT_SEAL_KEY_LEN);
	s.tag = rd_back(&r, CRYPT_GCM_TAG_LEN);
	s.body = rd_rest(&r);
	if (sealed.len != 0 && v != version)
		return ERR_VERSION;
	if (!rd_done(&r))
		return ERR_SHORT;
	if (s.body.len > room)
		return ERR_FULL;
	*ret = s;
	return ERR_NONE;
}

static enum err open_with(const uint8_t *key, const struct sealed *s, struct bytes aad, struct space out,
			  size_t *ret_len)
{
	static const uint8_t nonce[CRYPT_GCM_NONCE_LEN];
	EVP_CIPHER_CTX *ctx;
	struct rd body = rd_of(s->body);
	enum err e = crypt_aes_new(IKE_ENCR_AES_GCM_16, 256, bytes_of(key, CRYPT_SEAL_KEY_LEN), true, &ctx);

	if (e != ERR_NONE)
		return e;
	rd_copy(&body, out.p, s->body.len);
	e = crypt_gcm_open(ctx, nonce, aad, (struct space){ out.p, s->body.len }, s->tag.p);
	EVP_CIPHER_CTX_free(ctx);
	if (e == ERR_NONE)
		*ret_len = s->body.len;
	else
		secret_wipe(out.p, s->body.len); /* text that nobody has vouched for */
	return e;
}

MUST_USE enum err crypt_box_seal(const struct crypt_seal_public *to, struct bytes aad, struct bytes text,
				 struct space out, size_t *ret_len)
{
	struct crypt_seal_private ephemeral;
	struct crypt_seal_public public;
	uint8_t key[CRYPT_SEAL_KEY_LEN];
	EVP_PKEY *own = NULL;
	enum err e = crypt_seal_generate(&ephemeral);

	if (e == ERR_NONE) {
		own = make_private(&ephemeral);
		e = read_public(own, &public);
	}
	if (e == ERR_NONE)
		e = derive_box_key(own, to->b, public.b, to->b, key);
	if (e == ERR_NONE)
		e = seal_with(key, VERSION_BOX, public.b, aad, text, out, ret_len);
	EVP_PKEY_free(own);
	secret_wipe(&ephemeral, sizeof(ephemeral));
	secret_wipe(key, sizeof(key));
	return e;
}

MUST_USE enum err crypt_box_open(const struct crypt_seal_private *key, struct bytes aad, struct bytes sealed,
				 struct space out, size_t *ret_len)
{
	struct crypt_seal_public public;
	struct sealed s;
	uint8_t box_key[CRYPT_SEAL_KEY_LEN];
	enum err e = split(VERSION_BOX, sealed, out.cap, &s);

	if (e != ERR_NONE)
		return e;
	EVP_PKEY *own = make_private(key);
	e = read_public(own, &public);
	if (e == ERR_NONE)
		e = derive_box_key(own, s.front.p, s.front.p, public.b, box_key);
	if (e == ERR_RANGE)
		e = ERR_AUTH;
	if (e == ERR_NONE)
		e = open_with(box_key, &s, aad, out, ret_len);
	EVP_PKEY_free(own);
	secret_wipe(box_key, sizeof(box_key));
	return e;
}

MUST_USE enum err crypt_box_open_any(const struct crypt_seal_ring *ring, struct bytes aad, struct bytes sealed,
				     struct space out, size_t *ret_len, unsigned *ret_which)
{
	enum err e = ERR_AUTH;

	for (unsigned i = 0; e == ERR_AUTH && i < ring->cnt; i++) {
		e = crypt_box_open(&ring->key[i], aad, sealed, out, ret_len);
		if (e == ERR_NONE)
			*ret_which = i;
	}
	return e;
}

MUST_USE enum err crypt_lock_seal(const uint8_t key[static CRYPT_SEAL_KEY_LEN], struct bytes aad,
				  struct bytes text, struct space out, size_t *ret_len)
{
	uint8_t salt[CRYPT_SEAL_KEY_LEN], value_key[CRYPT_SEAL_KEY_LEN];

	crypt_random(salt, sizeof(salt));
	enum err e = derive_lock_key(key, salt, value_key);
	if (e == ERR_NONE)
		e = seal_with(value_key, VERSION_LOCKED, salt, aad, text, out, ret_len);
	secret_wipe(value_key, sizeof(value_key));
	return e;
}

MUST_USE enum err crypt_lock_open(const uint8_t key[static CRYPT_SEAL_KEY_LEN], struct bytes aad,
				  struct bytes sealed, struct space out, size_t *ret_len)
{
	uint8_t value_key[CRYPT_SEAL_KEY_LEN];
	struct sealed s;
	enum err e = split(VERSION_LOCKED, sealed, out.cap, &s);

	if (e == ERR_NONE)
		e = derive_lock_key(key, s.front.p, value_key);
	if (e != ERR_NONE)
		return e;
	e = open_with(value_key, &s, aad, out, ret_len);
	secret_wipe(value_key, sizeof(value_key));
	return e;
}

MUST_USE enum err crypt_seal_sa_key(const struct crypt_seal_private *key,
				    uint8_t ret[static CRYPT_SEAL_KEY_LEN])
{
	return crypt_hkdf(bytes_of(NULL, 0), BYTES_OF(key->b), bytes_str("onramp sa"), ret,
			  CRYPT_SEAL_KEY_LEN);
}
