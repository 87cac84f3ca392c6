// A refused offer against what is allowed, transform by transform, and the acceptable proposal that is nearest to it.
// Any thread; pure. RFC 7296 3.3.
#pragma once

#include "model/failure.h"
#include "model/proposal.h"

#define EXPLAIN_PROPOSALS_MAX 16
#define EXPLAIN_SWANCTL_MAX 160

enum explain_kind { EXPLAIN_ENCR, EXPLAIN_INTEG, EXPLAIN_PRF, EXPLAIN_GROUP, EXPLAIN_ESN, EXPLAIN_KINDS };

struct explain_proposal {
	uint8_t number;
	uint8_t bad; /* bit set of the kinds of which nothing fits, or that are missing */
	bool other;  /* has a type of transform that is not known here */
};

struct explain_compare {
	unsigned proposal_cnt; /* 0: the failure is no refused offer */
	struct explain_proposal proposals[EXPLAIN_PROPOSALS_MAX];
	unsigned nearest;      /* index of the proposal in which the least is wrong */
	bool ike;              /* phase 1, else phase 2 */
	struct model_suite suite;               /* the nearest acceptable one */
	char swanctl[EXPLAIN_SWANCTL_MAX];      /* "aes256-sha256-prfsha512-modp2048" */
};

void explain_compare_offer(const struct model_failure *f, struct explain_compare *ret);

/* The code that says which transform it was, where it was one kind alone; else the failure's own code. */
uint8_t explain_compare_code(const struct model_failure *f);

uint8_t explain_kind_type(enum explain_kind kind); /* enum ike_transform_type */
const char *explain_kind_name(enum explain_kind kind); /* "encryption", "integrity", "prf", "group", "esn" */

/* Whether a transform is in a list; proposal 0: in that of what is allowed. */
bool explain_offered_has(const struct model_offered *list, unsigned cnt, uint8_t proposal, uint8_t type, uint16_t id,
			 uint16_t key_bits);
