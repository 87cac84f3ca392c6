// What the store keeps of a tunnel's life: up or down since when, and the last failure.
// Any thread; plain values. Written by the gateway on changes only, read by the API.
#pragma once

#include "model/failure.h"

enum model_tunnel_up { MODEL_TUNNEL_DOWN = 0, MODEL_TUNNEL_UP = 1 };

struct model_tunnel_state {
	struct model_id account_id, tunnel_id;
	uint8_t up;          /* enum model_tunnel_up */
	uint64_t since_us;
	bool has_failure;
	struct model_failure failure; /* the last one; stays after the tunnel came up, with its time */
};

#define MODEL_STATE_RECORD_MAX 2816

MUST_USE enum err model_tunnel_state_encode(const struct model_tunnel_state *s, struct wr *w);
MUST_USE enum err model_tunnel_state_decode(struct bytes record, struct model_tunnel_state *ret);
