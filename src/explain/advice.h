// What to change for each kind of failure: sentences with the lines of strongSwan's swanctl.conf, or of onramp-site.conf.
// Any thread; pure. Private to explain/.
#pragma once

#include "explain/text.h"
#include "explain/verdict.h"

/* What the advice is made of. */
struct explain_case {
	const struct model_failure *f;
	const struct explain_context *context;
	struct addr gateway; /* the address to which the peer should come; family none: not known */
};

/* One row a code: how the offered and allowed values are introduced, and who does what. */
struct explain_advice {
	enum explain_side side;
	const char *offered_lead; /* "it offered" */
	const char *allowed_lead; /* "allowed is" */
	/* says what is allowed when the record does not; may be NULL */
	void (*allowed)(struct explain_text *t, const struct explain_case *c);
	void (*change)(struct explain_text *t, const struct explain_case *c);
};

/* The row of a code; for codes that are none, one that only tells where to look. */
const struct explain_advice *explain_advice_find(uint8_t code);

/* The same for a tunnel that we start, whose peer is a gateway (advice_site.c). */
const struct explain_advice *explain_advice_site(uint8_t code);
