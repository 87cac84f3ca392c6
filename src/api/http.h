// Between libmicrohttpd and the calls: collects a request's body within its limits, sends the answer.
// Inside api only; its one thread. RFC 9110, RFC 9112.
#pragma once

#include <microhttpd.h>
#include <stdbool.h>

struct api_server;

/* Where requests come in. */
struct api_http_door {
	struct api_server *server;
	bool admin; /* the Unix socket */
};

enum MHD_Result api_http_handle(void *cls, struct MHD_Connection *con, const char *url, const char *method,
				const char *version, const char *upload, size_t *upload_len, void **con_cls);
void api_http_completed(void *cls, struct MHD_Connection *con, void **con_cls,
			enum MHD_RequestTerminationCode code);

/* Paths and queries are decoded by us, after they were split. */
size_t api_http_keep_escapes(void *cls, struct MHD_Connection *con, char *text);
