// The api's end of the socket to the gateway process: asks for live detail, never waits longer than a second.
// Inside api only; its one thread. Messages: model/live.h.
#pragma once

#include "model/live.h"

struct api_live {
	int fd;	       /* -1: the gateway is away */
	uint32_t number; /* of the last question: replies to those before it come late, or never */
	uint64_t quiet_until_ms; /* after a silence nobody is made to wait again before this time */
};

void api_live_init(struct api_live *l, int fd);
/* Takes another socket; the old one is closed. -1: none. */
void api_live_set(struct api_live *l, int fd);
void api_live_fini(struct api_live *l);

/* Asks and goes on while the gateway says that there is more. The entries go to the sink.
 * ERR_AWAY: no gateway, or it was silent for a second; ERR_SYNTAX: an answer that makes no sense;
 * else the gateway's own answer (ERR_NOTFOUND). */
MUST_USE enum err api_live_ask(struct api_live *l, const struct model_live_request *request,
			       const struct model_live_sink *sink);
