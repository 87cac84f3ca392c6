// gRPC over libcurl: single calls and one long stream; HTTP/2 over TLS, messages framed by their length.
// Private to store/. Each call object and each stream belongs to one thread; store_grpc_stream_wake: any.
//
// The framing is in grpc_frame.h; the outcome stands in the trailers grpc-status and grpc-message. TLS is not an option: this library's HTTP/2 without it cannot use a
// connection twice (curl issue 10634).
#pragma once

#include "base/addr.h"
#include "base/bytes.h"

#define STORE_GRPC_WHY_MAX 256

/* The numbers of google.rpc.Code that are looked at. */
enum store_grpc_status {
	GRPC_OK = 0,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_NOT_FOUND = 5,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_UNAUTHENTICATED = 16,
};

/* Lives as long as the objects that were made with it. */
struct store_grpc_config {
	const struct addr_endpoint *endpoints;
	size_t endpoint_cnt;
	const char *ca_pem, *cert_pem, *key_pem;
};

enum store_grpc_outcome {
	GRPC_ANSWERED, /* status says how; the request is no longer under way */
	GRPC_UNSENT,   /* it never left */
	GRPC_UNKNOWN,  /* it left, and no answer came: it may be done, or be done yet */
};

struct store_grpc_answer {
	enum store_grpc_outcome outcome;
	int status;                   /* when answered */
	struct bytes msg;             /* when status is GRPC_OK; borrowed until the next call */
	char why[STORE_GRPC_WHY_MAX]; /* "192.0.2.1:2379: what failed", when it did */
};

struct store_grpc;

/* ERR_MEMORY. */
MUST_USE enum err store_grpc_new(const struct store_grpc_config *c, struct store_grpc **ret);
void store_grpc_free(struct store_grpc *g); /* NULL is fine */

/* While a call waits for its answer, fn is called when fd is readable, and from time to time. It calls nothing of g. Once it has said
 * false, this call waits for its answer alone: nobody makes fd unreadable. */
void store_grpc_meanwhile(struct store_grpc *g, int fd, bool (*fn)(void *arg), void *arg);

/* One request to the endpoint of the moment, one answer. Whatever fails there makes the next endpoint that of the
 * moment. path: "/package.Service/Method". */
void store_grpc_call(struct store_grpc *g, const char *path, struct bytes request, unsigned timeout_ms,
		     struct store_grpc_answer *ret);

/* ---- a stream with messages both ways ---- */

struct store_grpc_stream;

/* false: enough, the stream ends. */
typedef bool store_grpc_message_fn(void *arg, struct bytes msg);

/* ERR_MEMORY. */
MUST_USE enum err store_grpc_stream_new(const struct store_grpc_config *c, store_grpc_message_fn *message, void *arg,
					struct store_grpc_stream **ret);
void store_grpc_stream_free(struct store_grpc_stream *s);

/* Begins anew at an endpoint, over a connection of its own. ERR_MEMORY, ERR_SYSTEM. */
MUST_USE enum err store_grpc_stream_open(struct store_grpc_stream *s, const char *path, size_t endpoint);

/* Queues a message. ERR_MEMORY. */
MUST_USE enum err store_grpc_stream_send(struct store_grpc_stream *s, struct bytes msg);

/* Lets it run for up to timeout_ms, or until something happened; messages are told meanwhile. ERR_CLOSED: it has
 * ended, `why` says of what. */
MUST_USE enum err store_grpc_stream_run(struct store_grpc_stream *s, unsigned timeout_ms,
					char why[static STORE_GRPC_WHY_MAX]);

/* Makes store_grpc_stream_run return. */
void store_grpc_stream_wake(struct store_grpc_stream *s);
