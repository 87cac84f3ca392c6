// An account's tunnels and routes as read at one moment, and a change of them that is committed only if
// nothing of the account changed since.
// Inside api only; its one thread. Reference: cfg/ver/<account> in model/key.h.
#pragma once

#include "api/call.h"
#include "model/key.h"
#include "model/route.h"
#include "model/tunnel.h"

enum api_need { API_NEED_TUNNELS = 1, API_NEED_ROUTES = 2, API_NEED_BOTH = 3 };

struct api_view {
	uint64_t version_rev; /* of cfg/ver/<account>; read before the rest */
	struct model_tunnel *tunnels;
	size_t tunnel_cnt, tunnel_cap;
	struct model_route *routes;
	size_t route_cnt, route_cap;
};

/* Reads what is needed of c->account. Fails the call. Call api_view_fini in any case. */
void api_view_load(struct api_call *c, unsigned need, struct api_view *ret);
void api_view_fini(struct api_view *v);

struct model_tunnel *api_view_tunnel(const struct api_view *v, const struct model_id *id); /* NULL: none */
struct model_route *api_view_route(const struct api_view *v, const struct model_id *id);
/* Appends a copy; pointers into the view are stale afterwards. */
struct model_tunnel *api_view_add_tunnel(struct api_view *v, const struct model_tunnel *t);
struct model_route *api_view_add_route(struct api_view *v, const struct model_route *r);

struct api_change;

struct api_edit {
	struct api_call *call;
	struct api_view view;
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
