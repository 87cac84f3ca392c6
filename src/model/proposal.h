// The algorithms that this gateway allows: the one table that IKE, the API and the documents read.
// Any thread; const data. RFC 7296 3.3; RFC 4304, 5282, 4106, 3602, 4868, 2404, 2410, 3526, 5903, 8031.
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "base/iana.h"

enum model_phase { MODEL_PHASE_IKE = 1, MODEL_PHASE_CHILD = 2 };

/* What a tunnel may be negotiated with: its setting onramp.profile. */
enum model_profile {
	MODEL_PROFILE_MAGIC,  /* the lists of Magic WAN; the default */
	MODEL_PROFILE_MODERN, /* without SHA-1 and group 5, with more groups */
	MODEL_PROFILE_CNT,
};
#define MODEL_PROFILE_BIT(profile) ((uint8_t)(1u << (profile)))
#define MODEL_PROFILE_ALL ((uint8_t)(MODEL_PROFILE_BIT(MODEL_PROFILE_CNT) - 1))

/* What a tunnel must allow before a row that names it may be chosen; bits. */
enum model_opt_in {
	MODEL_OPT_IN_NULL = 1, /* allow_null_cipher */
	MODEL_OPT_IN_ESN = 2,  /* replay_protection and onramp.esn */
};

/* One row: a transform that may be chosen in a phase. */
struct model_transform {
	uint8_t phase;      /* bit set of enum model_phase */
	uint8_t profiles;   /* bit set: MODEL_PROFILE_BIT */
	uint8_t type;       /* enum ike_transform_type */
	uint16_t id;
	uint16_t key_bits;  /* ENCR of variable length, else 0 */
	uint8_t opt_in;     /* enum model_opt_in, 0: none is needed */
	const char *name;   /* "AES-GCM-16-256", "MODP-2048" */
	const char *swanctl; /* strongSwan's word for it: "aes256gcm16", "modp2048" */
	const char *rfc;
};

/* All rows in our order of preference (strongest and fastest first), ended by count. */
extern const struct model_transform model_transforms[];
extern const size_t model_transform_cnt;

/* The row of an allowed transform, NULL when it is not in the table for that phase and profile.
 * opt_ins: what the tunnel allows. */
const struct model_transform *model_transform_find(enum model_phase phase, uint8_t type, uint16_t id,
						   uint16_t key_bits, uint8_t opt_ins, enum model_profile profile);

/* A name for any transform, known or not: "AES-CBC-256", "ENCR 18 (128 bit)". Returns text. */
#define MODEL_TRANSFORM_TEXT_MAX 48
const char *model_transform_text(uint8_t type, uint16_t id, uint16_t key_bits,
				 char text[static MODEL_TRANSFORM_TEXT_MAX]);

/* What two sides agreed on. For IKE: encr, key_bits, prf, integ (NONE with AEAD), group.
 * For a Child SA: encr, key_bits, integ, group (NONE without PFS), prf 0. */
struct model_suite {
	uint16_t encr;
	uint16_t key_bits;
	uint16_t prf;
	uint16_t integ;
	uint16_t group;
	uint16_t esn;
};

/* A set of rows: bit i is model_transforms[i]. Only within a process: rows move from one version to the next. */
#define MODEL_ROWS_ALL UINT32_MAX
static inline bool model_rows_have(uint32_t rows, const struct model_transform *t)
{
	return (rows >> (t - model_transforms) & 1) != 0;
}

/* Adds the rows that the phase and the profile have by that word of strongSwan's (swanctl): those of a type that no word
 * names stay, of the others only what is named. Begin with MODEL_ROWS_ALL and named 0. ERR_NOTFOUND: no such word there. */
MUST_USE enum err model_rows_name(enum model_phase phase, enum model_profile profile, struct bytes word, uint32_t *rows,
				  uint32_t *named);

bool model_encr_is_aead(uint16_t encr);

/* True when the profile has every transform of a suite of the IKE SA. */
bool model_ike_suite_in_profile(const struct model_suite *s, enum model_profile profile);

/* "magic", "modern"; parse ignores letter case. */
const char *model_profile_name(uint8_t v);
MUST_USE enum err model_profile_parse(struct bytes text, uint8_t *ret);

/* "AES-GCM-16-256 / PRF-HMAC-SHA2-512 / MODP-2048"; a NULL suite reads "UNENCRYPTED (NULL) / ...". */
#define MODEL_SUITE_TEXT_MAX 128
const char *model_suite_text(const struct model_suite *s, char text[static MODEL_SUITE_TEXT_MAX]);
