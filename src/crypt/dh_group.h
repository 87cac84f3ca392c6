// The table of Diffie-Hellman groups: lengths, and the functions of their kind (MODP, curve over a prime, X25519).
// Private to crypt/; any thread.
#pragma once

#include "crypt/dh.h"

struct crypt_dh_group;

/* Lengths of private, public and secret are the group's. Peers' values come with their length checked and are
 * otherwise as the peer sent them. */
struct crypt_dh_kind {
	const char *public_rule;
	/* A fresh private value. */
	MUST_USE enum err (*draw)(const struct crypt_dh_group *g, uint8_t *private);
	/* ERR_RANGE: no private value of the group; only for one that was not drawn. */
	MUST_USE enum err (*publish)(const struct crypt_dh_group *g, struct bytes private, uint8_t *public);
	/* ERR_RANGE: the peer's value breaks the rule. */
	MUST_USE enum err (*derive)(const struct crypt_dh_group *g, struct bytes private, struct bytes public,
				    struct bytes peer, uint8_t *secret);
};

struct crypt_dh_group {
	uint16_t id;
	uint16_t public_len, secret_len;
	uint16_t private_len;     /* of a fresh one */
	uint16_t private_len_max; /* of a given one */
	uint8_t index;            /* in the kind's own table */
	const struct crypt_dh_kind *kind;
};

extern const struct crypt_dh_kind crypt_dh_modp;   /* dh_modp.c */
extern const struct crypt_dh_kind crypt_dh_ec;     /* dh_ec.c */
extern const struct crypt_dh_kind crypt_dh_x25519; /* dh_x25519.c */

enum { CRYPT_DH_MODP_1536, CRYPT_DH_MODP_2048, CRYPT_DH_MODP_3072, CRYPT_DH_MODP_4096, CRYPT_DH_MODP_CNT };
enum { CRYPT_DH_EC_256, CRYPT_DH_EC_384, CRYPT_DH_EC_521, CRYPT_DH_EC_CNT };
