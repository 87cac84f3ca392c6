// How messages stand in a gRPC stream: one byte of flags, four of length, the message ("gRPC over HTTP2",
// Length-Prefixed-Message). Private to store/. Any thread; pure.
#pragma once

#include "base/bytes.h"

#define STORE_GRPC_FRAME_HEAD 5
/* Longest message that is taken. Pages and fragments are asked for, so that none comes near. */
#define STORE_GRPC_MSG_MAX (32u << 20)

/* The next message, borrowed. ERR_SHORT: not all of it is there, the reader stays where it was; ERR_UNSUPPORTED: it is
 * compressed, which was not asked for; ERR_LONG. */
MUST_USE static inline enum err store_grpc_frame_parse(struct rd *r, struct bytes *ret)
{
	struct rd next = *r;
	uint8_t flags = rd_u8(&next);
	uint32_t len = rd_u32(&next);

	if (next.bad)
		return ERR_SHORT;
	if (flags != 0)
		return ERR_UNSUPPORTED;
	if (len > STORE_GRPC_MSG_MAX)
		return ERR_LONG;
	struct bytes msg = rd_bytes(&next, len);
	if (next.bad)
		return ERR_SHORT;
	*r = next;
	*ret = msg;
	return ERR_NONE;
}

/* What stands in front of a message of this length. */
static inline void store_grpc_frame_build(struct wr *w, size_t len)
{
	if (len > STORE_GRPC_MSG_MAX)
		w->bad = true;
	wr_u8(w, 0);
	wr_u32(w, (uint32_t)len);
}
