// How tunnels are: what the gateway says now, else what the store has, as JSON.
// Inside api only; its one thread.
#pragma once

#include "api/edit.h"
#include "model/live.h"
#include "model/state.h"

/* All that is known of the tunnels of c->account. */
struct api_states {
	bool gateway_away;		/* live is empty */
	struct model_live_tunnel *live; /* by tunnel id */
	size_t live_cnt, live_cap;
	struct model_tunnel_state *stored; /* by tunnel id */
	size_t stored_cnt, stored_cap;
};

/* only: one tunnel, NULL: all of the account. Fails the call. Call api_states_fini in any case. */
void api_states_load(struct api_call *c, const struct model_id *only, struct api_states *ret);
void api_states_fini(struct api_states *s);

bool api_states_up(const struct api_states *s, const struct model_id *tunnel);

/* The tunnel's line of status, with a warning in messages[] if its traffic is not encrypted. */
json_t *api_status_json(struct api_call *c, const struct api_states *s, const struct model_tunnel *t);

/* A failure as a verdict; t NULL: it belongs to no tunnel. */
json_t *api_verdict_json(const struct api_call *c, const struct model_failure *f,
			 const struct model_tunnel *t);
