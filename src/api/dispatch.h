// From a request to its handler: the table of calls, credentials, account, body.
// Inside api only; its one thread.
#pragma once

#include "api/auth.h"
#include "api/call.h"

/* What HTTP gave; borrowed for the time of the call. */
struct api_request {
	const char *method;
	const char *url; /* raw, without the query */
	struct api_credentials credentials;
	const char *object_target;			    /* x-magic-new-hc-target, NULL: absent */
	const char *validate_only, *page, *per_page, *name; /* of the query, NULL: absent */
	struct bytes body;
	bool from_admin_socket;
	bool admin_allowed; /* its peer is root or our own user */
};

/* Does the call: afterwards c has its answer. c is zero but for its server. */
void api_dispatch(struct api_call *c, const struct api_request *r);
