// GET admin/nodes, POST admin/node/drain, admin/node/undrain: the cluster as this node knows it, and whether it takes part;
// GET admin/node/ready: whether routers should send here.
// The administrator of the host alone.
#include "api/call.h"
#include "api/handlers.h"
#include "api/live.h"
#include "api/state.h"

static void add_node(void *arg, const struct model_live_node *n)
{
	json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:b}", "slot", (int)n->slot, "name", n->name, "site",
			      n->site, "mesh", n->mesh, "incarnation", (json_int_t)n->incarnation, "self", (int)n->self, "alive",
			      (int)n->alive, "draining", (int)n->draining, "fresh", (int)n->fresh);

	if (n->self)
		json_object_set_new(o, "ready", json_boolean(n->ready));
	json_array_append_new(arg, o);
}

static void ask(struct api_call *c, enum model_live_op op)
{
	json_t *nodes = json_array();
	const struct model_live_request request = { .op = (uint8_t)op };
	const struct model_live_sink sink = { .node = add_node, .arg = nodes };

	enum err e = api_live_ask(&c->server->live, &request, &sink);
	if (e == ERR_NONE) {
		api_answer(c, json_pack("{s:O}", "nodes", nodes));
	} else if (e == ERR_UNSUPPORTED) {
		api_fail(c, 400, API_CODE_NO_CLUSTER, NULL,
			 "There is no cluster: mesh_address under [cluster] of onramp.conf makes this gateway a node of one.");
	} else {
		api_fail(c, 503, API_MESSAGE_GATEWAY_AWAY, NULL,
			 "The gateway process does not answer. Send the request again in a few seconds.");
		c->retry_later = true;
	}
	json_decref(nodes);
}

void api_admin_nodes(struct api_call *c)
{
	ask(c, MODEL_LIVE_NODES);
}

/* ---- for the health check of a BGP speaker ---- */

struct ready {
	bool asked_self; /* the node itself was told of, as the first one */
	bool ready;
	const char *state;
};

static void read_self(void *arg, const struct model_live_node *n)
{
	struct ready *r = arg;

	if (r->asked_self || !n->self)
		return;
	r->asked_self = true;
	r->ready = n->ready;
	r->state = n->ready      ? "it serves"
		   : !n->alive   ? "it has no lease"
		   : n->draining ? "it is drained"
		   : n->fresh    ? "it hears no other node"
				 : "it alone has no news from the store";
}

/* A gateway that is alone is ready when it serves: without it there is nobody else to send to. */
void api_admin_node_ready(struct api_call *c)
{
	struct ready r = { .state = "the gateway process does not answer" };
	const struct model_live_request request = { .op = MODEL_LIVE_NODES };
	const struct model_live_sink sink = { .node = read_self, .arg = &r };

	enum err e = api_live_ask(&c->server->live, &request, &sink);
	if (e == ERR_UNSUPPORTED)
		r = (struct ready){ .ready = true, .state = "it serves" };
	api_answer(c, json_pack("{s:b, s:b, s:s}", "ready", (int)r.ready, "cluster", (int)r.asked_self, "state", r.state));
}

void api_admin_node_drain(struct api_call *c)
{
	ask(c, c->validate_only ? MODEL_LIVE_NODES : MODEL_LIVE_NODE_DRAIN);
}

void api_admin_node_undrain(struct api_call *c)
{
	ask(c, c->validate_only ? MODEL_LIVE_NODES : MODEL_LIVE_NODE_UNDRAIN);
}
