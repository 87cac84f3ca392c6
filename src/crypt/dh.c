#include "crypt/dh.h"

#include <stdlib.h>

#include "base/secret.h"
#include "crypt/dh_group.h"

/* Private values of the MODP groups are short: twice the strength of the group with room (RFC 3526 8, RFC 7919 5.2 has
 * at least 225, 275 and 325 bits). In a safe-prime group a full-length exponent costs six times as much and adds nothing. */
static const struct crypt_dh_group groups[] = {
	{ IKE_GROUP_ECP256, 64, 32, 32, 32, CRYPT_DH_EC_256, &crypt_dh_ec },
	{ IKE_GROUP_ECP384, 96, 48, 48, 48, CRYPT_DH_EC_384, &crypt_dh_ec },
	{ IKE_GROUP_ECP521, 132, 66, 66, 66, CRYPT_DH_EC_521, &crypt_dh_ec },
	{ IKE_GROUP_CURVE25519, 32, 32, 32, 32, 0, &crypt_dh_x25519 },
	{ IKE_GROUP_MODP1536, 192, 192, 32, 192, CRYPT_DH_MODP_1536, &crypt_dh_modp },
	{ IKE_GROUP_MODP2048, 256, 256, 29, 256, CRYPT_DH_MODP_2048, &crypt_dh_modp },
	{ IKE_GROUP_MODP3072, 384, 384, 36, 384, CRYPT_DH_MODP_3072, &crypt_dh_modp },
	{ IKE_GROUP_MODP4096, 512, 512, 42, 512, CRYPT_DH_MODP_4096, &crypt_dh_modp },
};

struct crypt_dh_key {
	const struct crypt_dh_group *group;
	uint16_t private_len;
	uint8_t private[CRYPT_DH_SECRET_MAX];
	uint8_t public[CRYPT_DH_PUBLIC_MAX];
};

static const struct crypt_dh_group *find_group(uint16_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (groups[i].id == id)
			return &groups[i];
	return NULL;
}

size_t crypt_dh_public_len(uint16_t group)
{
	const struct crypt_dh_group *g = find_group(group);
	return g == NULL ? 0 : g->public_len;
}

const char *crypt_dh_public_rule(uint16_t group)
{
	const struct crypt_dh_group *g = find_group(group);
	return g == NULL ? "" : g->kind->public_rule;
}

/* A key without a public value; given is empty: a fresh one. */
static enum err make_key(const struct crypt_dh_group *g, struct bytes given, struct crypt_dh_key *k)
{
	enum err e = ERR_NONE;

	k->group = g;
	k->private_len = given.len != 0 ? (uint16_t)given.len : g->private_len;
	if (given.len != 0)
		memcpy(k->private, given.p, given.len);
	else
		e = g->kind->draw(g, k->private);
	return e == ERR_NONE ? g->kind->publish(g, bytes_of(k->private, k->private_len), k->public) : e;
}

static enum err make_new_key(const struct crypt_dh_group *g, struct bytes given, struct crypt_dh_key **ret)
{
	struct crypt_dh_key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return ERR_MEMORY;
	enum err e = make_key(g, given, k);
	if (e == ERR_NONE)
		*ret = k;
	else
		crypt_dh_free(k);
	return e;
}

MUST_USE enum err crypt_dh_new(uint16_t group, struct crypt_dh_key **ret)
{
	const struct crypt_dh_group *g = find_group(group);

	return g == NULL ? ERR_UNSUPPORTED : make_new_key(g, (struct bytes){ 0 }, ret);
}

MUST_USE enum err crypt_dh_from_private(uint16_t group, struct bytes private, struct crypt_dh_key **ret)
{
	const struct crypt_dh_group *g = find_group(group);

	if (g == NULL)
		return ERR_UNSUPPORTED;
	if (private.len == 0 || private.len > g->private_len_max)
		return ERR_RANGE;
	return make_new_key(g, private, ret);
}

void crypt_dh_free(struct crypt_dh_key *key)
{
	if (key == NULL)
		return;
	secret_wipe(key, sizeof(*key));
	free(key);
}

struct bytes crypt_dh_public(const struct crypt_dh_key *key)
{
	return bytes_of(key->public, key->group->public_len);
}

MUST_USE enum err crypt_dh_derive(const struct crypt_dh_key *key, struct bytes peer_public,
				  uint8_t secret[static CRYPT_DH_SECRET_MAX], size_t *ret_len)
{
	const struct crypt_dh_group *g = key->group;
	uint8_t shared[CRYPT_DH_SECRET_MAX];

	if (peer_public.len != g->public_len)
		return ERR_RANGE;
	enum err e = g->kind->derive(g, bytes_of(key->private, key->private_len), crypt_dh_public(key), peer_public,
				     shared);
	if (e == ERR_NONE) {
		memcpy(secret, shared, g->secret_len);
		*ret_len = g->secret_len;
	}
	secret_wipe(shared, sizeof(shared));
	return e;
}

MUST_USE enum err crypt_dh_respond(uint16_t group, struct bytes peer_public, struct crypt_dh_result *ret)
{
	const struct crypt_dh_group *g = find_group(group);
	struct crypt_dh_result result = { 0 };
	struct crypt_dh_key key = { 0 };
	size_t secret_len = 0;

	if (g == NULL)
		return ERR_UNSUPPORTED;
	enum err e = make_key(g, (struct bytes){ 0 }, &key);
	if (e == ERR_NONE)
		e = crypt_dh_derive(&key, peer_public, result.secret, &secret_len);
	if (e == ERR_NONE) {
		memcpy(result.public, key.public, g->public_len);
		result.public_len = g->public_len;
		result.secret_len = (uint16_t)secret_len;
		*ret = result;
	}
	secret_wipe(&key, sizeof(key));
	secret_wipe(&result, sizeof(result));
	return e;
}

MUST_USE enum err crypt_dh_generate(uint16_t group, struct crypt_dh_result *ret)
{
	const struct crypt_dh_group *g = find_group(group);
	struct crypt_dh_result result = { 0 };
	struct crypt_dh_key key = { 0 };

	if (g == NULL)
		return ERR_UNSUPPORTED;
	enum err e = make_key(g, (struct bytes){ 0 }, &key);
	if (e == ERR_NONE) {
		must(key.private_len <= sizeof(result.private));
		memcpy(result.private, key.private, key.private_len);
		memcpy(result.public, key.public, g->public_len);
		result.private_len = (uint8_t)key.private_len;
		result.public_len = g->public_len;
		*ret = result;
	}
	secret_wipe(&key, sizeof(key));
	secret_wipe(&result, sizeof(result));
	return e;
}

MUST_USE enum err crypt_dh_finish(uint16_t group, struct bytes private, struct bytes peer_public,
				  struct crypt_dh_result *ret)
{
	const struct crypt_dh_group *g = find_group(group);
	struct crypt_dh_result result = { 0 };
	struct crypt_dh_key key = { 0 };
	size_t secret_len = 0;

	if (g == NULL)
		return ERR_UNSUPPORTED;
	if (private.len == 0 || private.len > g->private_len_max)
		return ERR_RANGE;
	enum err e = make_key(g, private, &key);
	if (e == ERR_NONE)
		e = crypt_dh_derive(&key, peer_public, result.secret, &secret_len);
	if (e == ERR_NONE) {
		result.secret_len = (uint16_t)secret_len;
		*ret = result;
	}
	secret_wipe(&key, sizeof(key));
	secret_wipe(&result, sizeof(result));
	return e;
}

