// GET admin/nodes, POST admin/node/drain, admin/node/undrain: the cluster as this node knows it, and whether it takes part.
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

void api_admin_node_drain(struct api_call *c)
{
	ask(c, MODEL_LIVE_NODE_DRAIN);
}

void api_admin_node_undrain(struct api_call *c)
{
	ask(c, MODEL_LIVE_NODE_UNDRAIN);
}
