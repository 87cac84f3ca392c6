// Who is connected, and since when with the same request: the library closes those that are silent, but one byte in 29 seconds is
// enough for it, and 512 such clients would be all that there are.
// Inside api only; its one thread.
#pragma once

#include <microhttpd.h>
#include <stdint.h>

#define API_REQUEST_MS 120000u /* from the end of a request to the end of the next one's answer */

struct api_peer;

struct api_peers {
	struct api_peer *first;
	uint64_t limit_ms, looked_ms;
};

/* What the library calls when a connection begins and ends; cls: the struct api_peers. */
void api_peers_notice(void *cls, struct MHD_Connection *con, void **context, enum MHD_ConnectionNotificationCode what);
/* A request of the connection has its answer: its time begins anew. */
void api_peers_done(struct MHD_Connection *con);
/* Closes those that take too long; looks once a second. */
void api_peers_look(struct api_peers *p);
