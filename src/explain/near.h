// Of all tunnels the one that an unknown identity probably meant: a typing error, another account, form or domain.
// Any thread; pure. RFC 7296 3.5; the forms are those of model/identity.h.
//
//   explain_near_start   what the peer sent
//   explain_near_try     for each tunnel
//   explain_near_end     the verdict's code
#pragma once

#include "model/failure.h"

#define EXPLAIN_NEAR_PART_MAX 48
#define EXPLAIN_NEAR_PLAIN_MAX 64
#define EXPLAIN_NEAR_DISTANCE_MAX 6 /* of the 32 digits of a tunnel's id; two random ids differ in about 28 */

struct explain_near {
	uint8_t type;
	const char *domain;
	char tunnel[EXPLAIN_NEAR_PART_MAX], account[EXPLAIN_NEAR_PART_MAX];
	bool key_form, user_form; /* <account>_<tunnel>; <someone>@... ; else dotted */
	bool user_good;           /* it is "ipsec@" */
	bool swapped;             /* the account stood first */
	bool in_hex;              /* it was the hex form of a key id, as text */
	bool domain_good;
	/* the best so far */
	unsigned distance;
	struct model_id tunnel_id, account_id;
	uint32_t account_number;
	bool account_good;
};

/* identity: as model_identity_print has it ("fqdn:..."); domain: of this gateway. */
void explain_near_start(struct explain_near *n, const char *identity, const char *domain);
void explain_near_try(struct explain_near *n, const struct model_id *tunnel, const struct model_id *account,
		      uint32_t account_number);
/* The code for the failure, and the tunnel that is near in its record. */
void explain_near_end(const struct explain_near *n, struct model_failure *f);

/* Changes of one character each that make b of a; more than max counts as max + 1. */
unsigned explain_edit_distance(const char *a, const char *b, unsigned max);
