#include "crypt/dh.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/secret.h"

/* Twice the strength of MODP-2048 with room (RFC 3526 8, RFC 7919 5.2). A full-length exponent costs
 * six times as much and adds nothing in a safe-prime group. */
#define PRIVATE_BITS 256

struct group {
	uint16_t id;
	uint16_t len;
	char name[12];
	BIGNUM *(*get_prime)(BIGNUM *);
	BIGNUM *prime_minus_1;
};

static struct group groups[] = {
	{ .id = IKE_GROUP_MODP2048, .len = 256, .name = "modp_2048", .get_prime = BN_get_rfc3526_prime_2048 },
	{ .id = IKE_GROUP_MODP1536, .len = 192, .name = "modp_1536", .get_prime = BN_get_rfc3526_prime_1536 },
};
static pthread_once_t groups_once = PTHREAD_ONCE_INIT;

struct crypt_dh_key {
	const struct group *group;
	EVP_PKEY *pkey;
	uint8_t public[CRYPT_DH_PUBLIC_MAX];
};

static void make_primes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		groups[i].prime_minus_1 = groups[i].get_prime(NULL);
		must(groups[i].prime_minus_1 != NULL && BN_sub_word(groups[i].prime_minus_1, 1) == 1);
	}
}

static struct group *find_group(uint16_t id)
{
	must(pthread_once(&groups_once, make_primes) == 0);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (groups[i].id == id)
			return &groups[i];
	return NULL;
}

size_t crypt_dh_public_len(uint16_t group)
{
	const struct group *g = find_group(group);
	return g == NULL ? 0 : g->len;
}

/* The number in b as one half of a key of the group. */
static enum err import_half(const struct group *g, const char *param, int selection, BIGNUM *number,
			    EVP_PKEY **ret)
{
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM *params = NULL;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);

	if (bld != NULL &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, g->name, 0) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, param, number) == 1)
		params = OSSL_PARAM_BLD_to_param(bld);
	bool ok = params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
		  EVP_PKEY_fromdata(ctx, &pkey, selection, params) == 1;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	if (!ok)
		return ERR_CRYPTO;
	*ret = pkey;
	return ERR_NONE;
}

/* RFC 6989 2.1: 1 < y < p-1. In a group of a safe prime this leaves no small subgroup, so libcrypto's
 * own test, a full exponentiation, is not asked for. */
static enum err import_public(const struct group *g, struct bytes value, EVP_PKEY **ret)
{
	if (value.len != g->len)
		return ERR_RANGE;
	BIGNUM *y = BN_bin2bn(value.p, (int)value.len, NULL);
	if (y == NULL)
		return ERR_MEMORY;
	enum err e = BN_is_zero(y) || BN_is_one(y) || BN_cmp(y, g->prime_minus_1) >= 0
			     ? ERR_RANGE
			     : import_half(g, OSSL_PKEY_PARAM_PUB_KEY, EVP_PKEY_PUBLIC_KEY, y, ret);
	BN_free(y);
	return e;
}

static enum err derive_with(const struct group *g, EVP_PKEY *own, EVP_PKEY *peer, struct space secret)
{
	size_t len = secret.cap;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);

	/* Padded: leading zeroes belong to the secret (RFC 7296 2.14). */
	bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_CTX_set_dh_pad(ctx, 1) == 1 &&
		  EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
		  EVP_PKEY_derive(ctx, secret.p, &len) == 1 && len == g->len;
	EVP_PKEY_CTX_free(ctx);
	return ok ? ERR_NONE : ERR_CRYPTO;
}

static enum err generate(struct group *g, EVP_PKEY **ret)
{
	EVP_PKEY *pkey = NULL;
	int bits = PRIVATE_BITS;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, g->name, strlen(g->name)),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_DH_PRIV_LEN, &bits),
		OSSL_PARAM_END,
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	bool ok = ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 &&
		  EVP_PKEY_CTX_set_params(ctx, params) == 1 && EVP_PKEY_generate(ctx, &pkey) == 1;

	EVP_PKEY_CTX_free(ctx);
	if (!ok)
		return ERR_CRYPTO;
	*ret = pkey;
	return ERR_NONE;
}

/* Takes over pkey, whatever the outcome. */
static enum err wrap(const struct group *g, EVP_PKEY *pkey, const uint8_t *public, struct crypt_dh_key **ret)
{
	struct crypt_dh_key *key = calloc(1, sizeof(*key));

	if (key == NULL) {
		EVP_PKEY_free(pkey);
		return ERR_MEMORY;
	}
	key->group = g;
	key->pkey = pkey;
	memcpy(key->public, public, g->len);
	*ret = key;
	return ERR_NONE;
}

MUST_USE enum err crypt_dh_new(uint16_t group, struct crypt_dh_key **ret)
{
	struct group *g = find_group(group);
	EVP_PKEY *pkey;
	uint8_t public[CRYPT_DH_PUBLIC_MAX];
	size_t len = 0;

	if (g == NULL)
		return ERR_UNSUPPORTED;
	enum err e = generate(g, &pkey);
	if (e != ERR_NONE)
		return e;
	if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, public, sizeof(public),
					    &len) != 1 ||
	    len != g->len) {
		EVP_PKEY_free(pkey);
		return ERR_CRYPTO;
	}
	return wrap(g, pkey, public, ret);
}

MUST_USE enum err crypt_dh_from_private(uint16_t group, struct bytes private, struct crypt_dh_key **ret)
{
	const struct group *g = find_group(group);
	EVP_PKEY *pkey = NULL, *base = NULL;
	uint8_t two[CRYPT_DH_PUBLIC_MAX] = { 0 }, public[CRYPT_DH_PUBLIC_MAX];

	if (g == NULL)
		return ERR_UNSUPPORTED;
	if (private.len == 0 || private.len > g->len)
		return ERR_RANGE;
	BIGNUM *x = BN_secure_new();
	enum err e = x == NULL || BN_bin2bn(private.p, (int)private.len, x) == NULL ? ERR_MEMORY : ERR_NONE;
	if (e == ERR_NONE)
		e = import_half(g, OSSL_PKEY_PARAM_PRIV_KEY, EVP_PKEY_KEYPAIR, x, &pkey);
	BN_clear_free(x);
	/* 2 generates both groups: the own public value is what the key shares with a peer of value 2. */
	two[g->len - 1] = 2;
	if (e == ERR_NONE)
		e = import_public(g, bytes_of(two, g->len), &base);
	if (e == ERR_NONE)
		e = derive_with(g, pkey, base, (struct space){ public, g->len });
	EVP_PKEY_free(base);
	if (e != ERR_NONE) {
		EVP_PKEY_free(pkey);
		return e;
	}
	return wrap(g, pkey, public, ret);
}

void crypt_dh_free(struct crypt_dh_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->pkey); /* clears the private value */
	secret_wipe(key, sizeof(*key));
	free(key);
}

struct bytes crypt_dh_public(const struct crypt_dh_key *key)
{
	return bytes_of(key->public, key->group->len);
}

MUST_USE enum err crypt_dh_derive(const struct crypt_dh_key *key, struct bytes peer_public,
				  uint8_t secret[static CRYPT_DH_SECRET_MAX], size_t *ret_len)
{
	EVP_PKEY *peer;
	uint8_t shared[CRYPT_DH_SECRET_MAX];
	enum err e = import_public(key->group, peer_public, &peer);

	if (e != ERR_NONE)
		return e;
	e = derive_with(key->group, key->pkey, peer, (struct space){ shared, key->group->len });
	EVP_PKEY_free(peer);
	if (e == ERR_NONE) {
		memcpy(secret, shared, key->group->len);
		*ret_len = key->group->len;
	}
	secret_wipe(shared, sizeof(shared));
	return e;
}

MUST_USE enum err crypt_dh_respond(uint16_t group, struct bytes peer_public, struct crypt_dh_result *ret)
{
	struct crypt_dh_key *key;
	struct crypt_dh_result result = { 0 };
	size_t secret_len;
	enum err e = crypt_dh_new(group, &key);

	if (e != ERR_NONE)
		return e;
	e = crypt_dh_derive(key, peer_public, result.secret, &secret_len);
	if (e == ERR_NONE) {
		struct bytes public = crypt_dh_public(key);
		memcpy(result.public, public.p, public.len);
		result.public_len = (uint16_t)public.len;
		result.secret_len = (uint16_t)secret_len;
		*ret = result;
	}
	crypt_dh_free(key);
	secret_wipe(&result, sizeof(result));
	return e;
}
