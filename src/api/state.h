// What the server holds between requests.
// Inside api only; its one thread.
#pragma once

#include "api/http.h"
#include "api/live.h"
#include "api/peers.h"
#include "api/server.h"
#include "api/view.h"

#define API_BODY_MAX 1048576u /* bytes of a request's body */
#define API_DISCARD_MAX                                                                                      \
	(16u << 20)	       /* of a longer one this much is read before the answer, so that it arrives */
#define API_HEADERS_MAX 16384u /* bytes of all headers of a request */
#define API_URL_MAX 2048u
#define API_DEPTH_MAX 16 /* nested arrays and objects in a body */
#define API_VIEWS_MAX 4  /* accounts whose tunnels and routes are kept in memory */

struct api_server {
	const struct conf *conf;
	struct crypt_seal_public seal;
	struct store *store; /* NULL: the gateway process is being restarted */
	struct api_live live;
	struct MHD_Daemon *http, *admin;
	struct api_http_door http_door, admin_door;
	struct api_peers peers;
	int wait_fd, timer_fd;
	struct api_view views[API_VIEWS_MAX]; /* api/view.h */
	uint64_t view_uses;
};
