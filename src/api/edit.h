// A change of an account's tunnels and routes that is committed only if nothing of the account changed since they were read.
// Inside api only; its one thread. Reference: cfg/ver/<account> in model/key.h.
#pragma once

#include "api/call.h"
#include "api/view.h"
#include "model/key.h"

struct api_change;

struct api_edit {
	struct api_call *call;
	struct api_view view;
	size_t tunnel_cnt, route_cnt; /* of the view as it was loaded */
	uint64_t now_us;
	struct api_change *changes; /* made so far */
	size_t change_cnt;
};

/* The most changes that fit one transaction beside the version's. */
#define API_EDIT_CHANGES_MAX (STORE_TXN_OPS_MAX - 1)

/* Queue changes. Fail the call when there are too many. */
void api_edit_put(struct api_edit *e, const struct model_key *key, struct bytes value);
void api_edit_delete(struct api_edit *e, const struct model_key *key);
void api_edit_put_tunnel(struct api_edit *e, const struct model_tunnel *t);
void api_edit_put_route(struct api_edit *e, const struct model_route *r);

/* Looks at the view, fails the call or queues changes and sets the answer. Runs again after a lost race. */
typedef void api_plan_fn(struct api_edit *e, void *arg);

/* Loads, plans, commits; up to 5 times. With validate_only nothing is committed. */
void api_edit_run(struct api_call *c, unsigned need, api_plan_fn *plan, void *arg);
