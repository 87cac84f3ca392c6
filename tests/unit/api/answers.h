// The gateway as the API's tests have it: its answers are queued before they are asked for.
// The thread of the test.
#pragma once

#include "harness.h"

#include "model/live.h"

/* The gateway's answers, queued in the order in which they are asked for; a socket for the server. */
struct answers {
	int fds[2];
	uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	struct model_live_reply r;
};

static inline struct answers *answers_new(void)
{
	struct answers *a = calloc(1, sizeof(*a));
	assert_non_null(a);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a->fds), 0);
	return a;
}

static inline void begin(struct answers *a, enum err e)
{
	model_live_reply_begin(&a->r, SPACE_OF(a->room), e);
}

static inline void end(struct answers *a)
{
	struct bytes b = model_live_reply_end(&a->r, false);
	assert_int_equal(send(a->fds[1], b.p, b.len, 0), b.len);
}

/* The other end is the server's own from now on. */
static inline void serve(struct host *h, struct answers *a)
{
	api_server_set_live(h->server, a->fds[0]);
}

static inline void answers_free(struct answers *a)
{
	close(a->fds[1]);
	free(a);
}
