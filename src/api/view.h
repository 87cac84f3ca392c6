// An account's tunnels and routes as they were at one revision of the store.
// Inside api only; its one thread. Reference: cfg/ver/<account> in model/key.h.
//
// Every write of an account changes its version. So a view that was read is still true while the version is the one that it
// was read at, and the views of the last few accounts are kept: a call reads the version, not ten thousand tunnels.
#pragma once

#include "model/route.h"
#include "model/tunnel.h"

struct api_call;
struct api_server;

enum api_need { API_NEED_TUNNELS = 1, API_NEED_ROUTES = 2, API_NEED_BOTH = 3 };

struct api_view {
	struct model_id account_id;
	unsigned have;        /* enum api_need: what was read */
	bool whole;           /* nothing changed while it was read: it is the account at version_rev */
	bool planned;         /* an edit works on it, and it is none that was committed */
	uint64_t used;        /* when, among those that are kept; 0: none */
	uint64_t version_rev; /* of cfg/ver/<account>; read before the rest */
	struct model_tunnel *tunnels;
	size_t tunnel_cnt, tunnel_cap;
	struct model_route *routes;
	size_t route_cnt, route_cap;
};

/* Reads what is needed of c->account. Fails the call. Call api_view_fini in any case: it keeps the view for the next call, if it
 * is whole. */
void api_view_load(struct api_call *c, unsigned need, struct api_view *ret);
void api_view_fini(struct api_call *c, struct api_view *v);
void api_views_free(struct api_server *s); /* those that are kept */

/* A row of the account that was written or deleted. False: it cannot be read. */
bool api_view_change(struct api_view *v, struct bytes key, bool deleted, struct bytes value);

struct model_tunnel *api_view_tunnel(const struct api_view *v, const struct model_id *id); /* NULL: none */
struct model_route *api_view_route(const struct api_view *v, const struct model_id *id);
/* Appends a copy; pointers into the view are stale afterwards. */
struct model_tunnel *api_view_add_tunnel(struct api_view *v, const struct model_tunnel *t);
struct model_route *api_view_add_route(struct api_view *v, const struct model_route *r);
