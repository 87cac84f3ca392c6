// The JSON of a request's body, read strictly: one value, no duplicate keys, bounded depth.
// Inside api only; its one thread. RFC 8259.
#pragma once

#include "api/call.h"

/* Parses c->body into c->json; an empty body gives none. Fails the call with 1022. */
void api_body_parse(struct api_call *c);
