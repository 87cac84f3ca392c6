// A route as JSON, both ways, and the rules that it keeps beside its neighbours and tunnels.
// Inside api only; its one thread. doc/api.md, "Routes".
#pragma once

#include "api/edit.h"
#include "api/field.h"

/* Merges the fields of the object into the route; fails the call. */
void api_route_read(const struct api_object *o, struct model_route *r);

/* All rules: its own, a tunnel at its next hop, no duplicate, not too many equal ones. Fails the call. */
void api_route_check(struct api_call *c, const struct api_view *view, const struct model_route *r,
		     const char *pointer);

/* Says in messages[] which routes have a next hop that no tunnel has (any more): that is allowed, because clients change a tunnel
 * first and its routes afterwards, but such routes carry nothing. */
void api_routes_warn(struct api_call *c, const struct api_view *view);

json_t *api_route_json(const struct model_route *r);
