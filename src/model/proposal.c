#include "model/proposal.h"

#include <stdio.h>
#include <strings.h>

enum { IKE = MODEL_PHASE_IKE, CHILD = MODEL_PHASE_CHILD, BOTH = MODEL_PHASE_IKE | MODEL_PHASE_CHILD };
enum {
	MAGIC = 1 << MODEL_PROFILE_MAGIC,
	MODERN = 1 << MODEL_PROFILE_MODERN,
	ANY = MAGIC | MODERN,
};

const struct model_transform model_transforms[] = {
	{ BOTH, ANY, IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, 256, 0, "AES-GCM-16-256", "aes256gcm16", "RFC 5282, 4106" },
	{ BOTH, ANY, IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, 128, 0, "AES-GCM-16-128", "aes128gcm16", "RFC 5282, 4106" },
	{ BOTH, ANY, IKE_TT_ENCR, IKE_ENCR_AES_CBC, 256, 0, "AES-CBC-256", "aes256", "RFC 3602" },
	{ CHILD, ANY, IKE_TT_ENCR, IKE_ENCR_AES_CBC, 128, 0, "AES-CBC-128", "aes128", "RFC 3602" },
	{ CHILD, ANY, IKE_TT_ENCR, IKE_ENCR_NULL, 0, MODEL_OPT_IN_NULL, "NULL", "null", "RFC 2410" },
	{ BOTH, ANY, IKE_TT_INTEG, IKE_INTEG_HMAC_SHA2_256_128, 0, 0, "HMAC-SHA2-256-128", "sha256", "RFC 4868" },
	{ CHILD, MAGIC, IKE_TT_INTEG, IKE_INTEG_HMAC_SHA1_96, 0, 0, "HMAC-SHA1-96", "sha1", "RFC 2404" },
	{ IKE, ANY, IKE_TT_PRF, IKE_PRF_HMAC_SHA2_512, 0, 0, "PRF-HMAC-SHA2-512", "prfsha512", "RFC 4868" },
	{ IKE, ANY, IKE_TT_PRF, IKE_PRF_HMAC_SHA2_384, 0, 0, "PRF-HMAC-SHA2-384", "prfsha384", "RFC 4868" },
	{ IKE, ANY, IKE_TT_PRF, IKE_PRF_HMAC_SHA2_256, 0, 0, "PRF-HMAC-SHA2-256", "prfsha256", "RFC 4868" },
	{ BOTH, ANY, IKE_TT_KE, IKE_GROUP_ECP384, 0, 0, "ECP-384", "ecp384", "RFC 5903" },
	{ BOTH, MODERN, IKE_TT_KE, IKE_GROUP_ECP256, 0, 0, "ECP-256", "ecp256", "RFC 5903" },
	{ BOTH, MODERN, IKE_TT_KE, IKE_GROUP_CURVE25519, 0, 0, "CURVE25519", "curve25519", "RFC 8031" },
	{ BOTH, MODERN, IKE_TT_KE, IKE_GROUP_ECP521, 0, 0, "ECP-521", "ecp521", "RFC 5903" },
	{ BOTH, MODERN, IKE_TT_KE, IKE_GROUP_MODP4096, 0, 0, "MODP-4096", "modp4096", "RFC 3526" },
	{ BOTH, MODERN, IKE_TT_KE, IKE_GROUP_MODP3072, 0, 0, "MODP-3072", "modp3072", "RFC 3526" },
	{ BOTH, ANY, IKE_TT_KE, IKE_GROUP_MODP2048, 0, 0, "MODP-2048", "modp2048", "RFC 3526" },
	{ BOTH, MAGIC, IKE_TT_KE, IKE_GROUP_MODP1536, 0, 0, "MODP-1536", "modp1536", "RFC 3526" },
	{ CHILD, ANY, IKE_TT_KE, IKE_GROUP_NONE, 0, 0, "NONE", "", "RFC 7296 3.3.2" },
	{ CHILD, ANY, IKE_TT_ESN, IKE_ESN_YES, 0, MODEL_OPT_IN_ESN, "ESN", "esn", "RFC 4304" },
	{ CHILD, ANY, IKE_TT_ESN, IKE_ESN_NONE, 0, 0, "NO-ESN", "noesn", "RFC 7296 3.3.2" },
};
const size_t model_transform_cnt = ARRAY_LEN(model_transforms);

/* Names of what peers offer and this gateway does not take, so that a refusal can be read. */
static const struct {
	uint8_t type;
	uint16_t id;
	const char *name;
} other_names[] = {
	{ IKE_TT_ENCR, 2, "DES" },
	{ IKE_TT_ENCR, 3, "3DES" },
	{ IKE_TT_ENCR, 7, "BLOWFISH-CBC" },
	{ IKE_TT_ENCR, IKE_ENCR_NULL, "NULL" },
	{ IKE_TT_ENCR, IKE_ENCR_AES_CBC, "AES-CBC" },
	{ IKE_TT_ENCR, 13, "AES-CTR" },
	{ IKE_TT_ENCR, 14, "AES-CCM-8" },
	{ IKE_TT_ENCR, 15, "AES-CCM-12" },
	{ IKE_TT_ENCR, 16, "AES-CCM-16" },
	{ IKE_TT_ENCR, 18, "AES-GCM-8" },
	{ IKE_TT_ENCR, 19, "AES-GCM-12" },
	{ IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, "AES-GCM-16" },
	{ IKE_TT_ENCR, 21, "NULL-AES-GMAC" },
	{ IKE_TT_ENCR, 23, "CAMELLIA-CBC" },
	{ IKE_TT_ENCR, 28, "CHACHA20-POLY1305" },
	{ IKE_TT_PRF, 1, "PRF-HMAC-MD5" },
	{ IKE_TT_PRF, 2, "PRF-HMAC-SHA1" },
	{ IKE_TT_PRF, 4, "PRF-AES128-XCBC" },
	{ IKE_TT_PRF, 8, "PRF-AES128-CMAC" },
	{ IKE_TT_INTEG, IKE_INTEG_NONE, "NONE" },
	{ IKE_TT_INTEG, 1, "HMAC-MD5-96" },
	{ IKE_TT_INTEG, 5, "AES-XCBC-96" },
	{ IKE_TT_INTEG, 8, "AES-CMAC-96" },
	{ IKE_TT_INTEG, 13, "HMAC-SHA2-384-192" },
	{ IKE_TT_INTEG, 14, "HMAC-SHA2-512-256" },
	{ IKE_TT_KE, 1, "MODP-768" },
	{ IKE_TT_KE, 2, "MODP-1024" },
	{ IKE_TT_KE, 17, "MODP-6144" },
	{ IKE_TT_KE, 18, "MODP-8192" },
	{ IKE_TT_KE, 22, "MODP-1024-160" },
	{ IKE_TT_KE, 23, "MODP-2048-224" },
	{ IKE_TT_KE, 24, "MODP-2048-256" },
	{ IKE_TT_KE, 28, "BRAINPOOL-256" },
	{ IKE_TT_KE, 29, "BRAINPOOL-384" },
	{ IKE_TT_KE, 30, "BRAINPOOL-512" },
	{ IKE_TT_KE, 32, "CURVE448" },
	{ IKE_TT_KE, 35, "ML-KEM-512" },
	{ IKE_TT_KE, 36, "ML-KEM-768" },
	{ IKE_TT_KE, 37, "ML-KEM-1024" },
};

const struct model_transform *model_transform_find(enum model_phase phase, uint8_t type, uint16_t id,
						   uint16_t key_bits, uint8_t opt_ins, enum model_profile profile)
{
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if ((t->phase & phase) != 0 && (t->profiles & MODEL_PROFILE_BIT(profile)) != 0 && t->type == type &&
		    t->id == id && t->key_bits == key_bits)
			return (t->opt_in & ~opt_ins) != 0 ? NULL : t;
	}
	return NULL;
}

MUST_USE enum err model_rows_name(enum model_phase phase, enum model_profile profile, struct bytes word, uint32_t *rows,
				  uint32_t *named)
{
	_Static_assert(ARRAY_LEN(model_transforms) <= 32, "a set of rows has a bit for each");
	enum err e = ERR_NOTFOUND;

	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if ((t->phase & phase) == 0 || (t->profiles & MODEL_PROFILE_BIT(profile)) == 0 || t->swanctl[0] == 0 ||
		    !bytes_eq(word, bytes_str(t->swanctl)))
			continue;
		for (size_t n = 0; n < model_transform_cnt && (*named >> t->type & 1) == 0; n++)
			if (model_transforms[n].type == t->type)
				*rows &= ~(UINT32_C(1) << n);
		*named |= UINT32_C(1) << t->type;
		*rows |= UINT32_C(1) << i;
		e = ERR_NONE;
	}
	return e;
}

static const char *name_of(uint8_t type, uint16_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
		if (other_names[i].type == type && other_names[i].id == id)
			return other_names[i].name;
	return NULL;
}

const char *model_transform_text(uint8_t type, uint16_t id, uint16_t key_bits,
				 char text[static MODEL_TRANSFORM_TEXT_MAX])
{
	static const char *const type_names[] = { "TRANSFORM", "ENCR", "PRF", "INTEG", "GROUP", "ESN" };
	const char *name = name_of(type, id);

	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if (t->type == type && t->id == id && t->key_bits == key_bits) {
			snprintf(text, MODEL_TRANSFORM_TEXT_MAX, "%s", t->name);
			return text;
		}
	}
	if (name != NULL && key_bits == 0)
		snprintf(text, MODEL_TRANSFORM_TEXT_MAX, "%s", name);
	else if (name != NULL)
		snprintf(text, MODEL_TRANSFORM_TEXT_MAX, "%s-%u", name, key_bits);
	else if (type >= ARRAY_LEN(type_names))
		snprintf(text, MODEL_TRANSFORM_TEXT_MAX, "TRANSFORM type %u %u", type, id);
	else if (key_bits == 0)
		snprintf(text, MODEL_TRANSFORM_TEXT_MAX, "%s %u", type_names[type], id);
	else
		snprintf(text, MODEL_TRANSFORM_TEXT_MAX, "%s %u (%u bit)", type_names[type], id, key_bits);
	return text;
}

bool model_encr_is_aead(uint16_t encr)
{
	/* IANA "Transform Type 1": CCM 14 to 16, GCM 18 to 20, GMAC 21, ChaCha20-Poly1305 28 */
	return (encr >= 14 && encr <= 16) || (encr >= 18 && encr <= 21) || encr == 28;
}

bool model_ike_suite_in_profile(const struct model_suite *s, enum model_profile profile)
{
	const enum model_phase p = MODEL_PHASE_IKE;

	return model_transform_find(p, IKE_TT_ENCR, s->encr, s->key_bits, 0, profile) != NULL &&
	       model_transform_find(p, IKE_TT_PRF, s->prf, 0, 0, profile) != NULL &&
	       model_transform_find(p, IKE_TT_KE, s->group, 0, 0, profile) != NULL &&
	       (model_encr_is_aead(s->encr) ||
		model_transform_find(p, IKE_TT_INTEG, s->integ, 0, 0, profile) != NULL);
}

/* ---- names ---- */

static const char *const profile_names[] = { [MODEL_PROFILE_MAGIC] = "magic", [MODEL_PROFILE_MODERN] = "modern" };
_Static_assert(ARRAY_LEN(profile_names) == MODEL_PROFILE_CNT, "a profile without a name");

const char *model_profile_name(uint8_t v)
{
	return v < ARRAY_LEN(profile_names) ? profile_names[v] : "unknown";
}

enum err model_profile_parse(struct bytes text, uint8_t *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(profile_names); i++) {
		if (text.len == strlen(profile_names[i]) &&
		    strncasecmp((const char *)text.p, profile_names[i], text.len) == 0) {
			*ret = (uint8_t)i;
			return ERR_NONE;
		}
	}
	return ERR_SYNTAX;
}

static void append(char *text, const char *word)
{
	size_t len = strlen(text);
	snprintf(text + len, MODEL_SUITE_TEXT_MAX - len, "%s%s", len == 0 ? "" : " / ", word);
}

const char *model_suite_text(const struct model_suite *s, char text[static MODEL_SUITE_TEXT_MAX])
{
	char word[MODEL_TRANSFORM_TEXT_MAX];

	text[0] = 0;
	if (s->encr == 0) {
		append(text, "-");
		return text;
	}
	append(text, s->encr == IKE_ENCR_NULL ? "UNENCRYPTED (NULL)"
					      : model_transform_text(IKE_TT_ENCR, s->encr, s->key_bits, word));
	if (s->integ != IKE_INTEG_NONE)
		append(text, model_transform_text(IKE_TT_INTEG, s->integ, 0, word));
	if (s->prf != 0)
		append(text, model_transform_text(IKE_TT_PRF, s->prf, 0, word));
	if (s->group != IKE_GROUP_NONE)
		append(text, model_transform_text(IKE_TT_KE, s->group, 0, word));
	if (s->esn != IKE_ESN_NONE)
		append(text, "ESN");
	return text;
}
