// Turns a failure record into a verdict: what failed, in one sentence, whose side must act, and what to change.
// Any thread; pure.
#pragma once

#include "model/failure.h"

enum explain_side {
	EXPLAIN_SIDE_PEER,    /* the customer's router */
	EXPLAIN_SIDE_GATEWAY, /* the gateway or its API */
	EXPLAIN_SIDE_EITHER,  /* one of the two: the change says how to tell */
	EXPLAIN_SIDE_NONE,    /* nothing is wrong, it only says what happened */
};

/* What is known besides the record. All may be left zero: the advice then gives the general form. */
struct explain_context {
	const char *identity_domain;   /* NULL: the documented default */
	struct addr gateway;           /* the tunnel's gateway address; family none: the record's local address */
	struct addr customer_endpoint; /* the tunnel's, family none: any */
	uint32_t account_number;       /* 0: not known */
	bool site;                     /* we start the tunnel and the peer is a gateway: its address is the one to set above */
};

#define EXPLAIN_SENTENCE_MAX 1536
#define EXPLAIN_CHANGE_MAX 1024

struct explain_verdict {
	const char *code;  /* stable, for programs: "ike.no_proposal" */
	const char *stage; /* "sa_init", "auth", "child", "live", "data" */
	enum explain_side side;
	char sentence[EXPLAIN_SENTENCE_MAX]; /* what happened, with what was offered and what is allowed */
	char change[EXPLAIN_CHANGE_MAX];     /* what to change there; the lines are strongSwan's (swanctl.conf) */
};

void explain_failure(const struct model_failure *f, const struct explain_context *context,
		     struct explain_verdict *ret);

/* True if a tunnel that we start can fail so. */
bool explain_site_can_fail(uint8_t code);

/* "peer", "gateway", "either", "none" */
const char *explain_side_name(enum explain_side side);
