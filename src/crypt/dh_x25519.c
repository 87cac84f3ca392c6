// Group 31 (RFC 8031) over libcrypto's X25519, a Montgomery ladder without secret branches or addresses.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/secret.h"
#include "crypt/dh_group.h"
#include "crypt/random.h"

#define LEN 32u

/* RFC 7748 5: the three low bits and the two high ones are set by the function itself. */
static enum err draw(const struct crypt_dh_group *g, uint8_t *private)
{
	crypt_random(private, g->private_len);
	return ERR_NONE;
}

static enum err publish(const struct crypt_dh_group *g, struct bytes private, uint8_t *public)
{
	size_t len = LEN;

	if (private.len != g->private_len)
		return ERR_RANGE;
	EVP_PKEY *own = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, private.p, private.len);
	bool ok = own != NULL && EVP_PKEY_get_raw_public_key(own, public, &len) == 1 && len == LEN;
	EVP_PKEY_free(own);
	return ok ? ERR_NONE : ERR_CRYPTO;
}

/* With both halves given, libcrypto does not compute the public one again. */
static EVP_PKEY *import_pair(struct bytes private, struct bytes public)
{
	uint8_t x[LEN], y[LEN];
	EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);

	memcpy(x, private.p, LEN);
	memcpy(y, public.p, LEN);
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, x, LEN),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, y, LEN),
		OSSL_PARAM_END,
	};
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	secret_wipe(x, sizeof(x));
	return pkey;
}

/* RFC 7748 5, 6.1: any 32 bytes are a value; those of low order, with which the secret is zero whatever the private
 * value, are refused. libcrypto's derivation fails for exactly them. */
static enum err derive(const struct crypt_dh_group *g, struct bytes private, struct bytes public, struct bytes peer,
		       uint8_t *secret)
{
	EVP_PKEY *own = import_pair(private, public);
	EVP_PKEY *other = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, peer.p, peer.len);
	EVP_PKEY_CTX *ctx = own == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	enum err e = ERR_CRYPTO;
	size_t len = LEN;

	(void)g;
	if (ctx != NULL && other != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer_ex(ctx, other, 0) == 1)
		e = EVP_PKEY_derive(ctx, secret, &len) != 1 ? ERR_RANGE : len == LEN ? ERR_NONE : ERR_CRYPTO;
	if (e == ERR_RANGE)
		ERR_clear_error(); /* a stranger's fault is not to fill the thread's list */
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(other);
	EVP_PKEY_free(own);
	return e;
}

const struct crypt_dh_kind crypt_dh_x25519 = {
	.public_rule = "a point of Curve25519 that is not of low order",
	.draw = draw,
	.publish = publish,
	.derive = derive,
};
