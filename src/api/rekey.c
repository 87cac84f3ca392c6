// POST onramp/tunnels/:id/rekey: new keys for a tunnel now. Nothing is stored: the gateway process does it, and traffic goes on.
#include "api/edit.h"
#include "api/field.h"
#include "api/handlers.h"

/* Without a body the Child SAs are meant. */
static bool read_ike(struct api_call *c)
{
	struct api_object o;
	bool ike = false;

	if (c->json != NULL && api_object_body(c, &o))
		(void)api_field_bool(&o, "ike", API_NULL_ABSENT, &ike);
	return ike;
}

static void keep_up(void *arg, const struct model_live_tunnel *t)
{
	bool *up = arg;
	*up = t->up;
}

/* What a rekey would come to, which depends on nothing but that. */
static enum err ask_if_up(struct api_call *c, const struct model_tunnel *t)
{
	const struct model_live_request request = { .op = MODEL_LIVE_TUNNEL, .account_id = c->account.id, .tunnel_id = t->id };
	bool up = false;
	const struct model_live_sink sink = { .tunnel = keep_up, .arg = &up };

	enum err e = api_live_ask(&c->server->live, &request, &sink);
	return e == ERR_NONE && !up ? ERR_CONFLICT : e;
}

static enum err ask_for_rekey(struct api_call *c, const struct model_tunnel *t, bool ike)
{
	const struct model_live_request request = { .op = ike ? MODEL_LIVE_REKEY_IKE : MODEL_LIVE_REKEY_CHILD,
						    .account_id = c->account.id, .tunnel_id = t->id };
	const struct model_live_sink sink = { 0 };

	return api_live_ask(&c->server->live, &request, &sink);
}

static void ask(struct api_call *c, const struct model_tunnel *t, bool ike)
{
	char id[MODEL_ID_TEXT_MAX];

	enum err e = c->validate_only ? ask_if_up(c, t) : ask_for_rekey(c, t, ike);
	if (e == ERR_NONE) {
		api_answer(c, json_pack("{s:s, s:s, s:s}", "id", model_id_text(&t->id, id), "name", t->name, "rekey",
					ike ? "ike" : "child"));
	} else if (e == ERR_CONFLICT || e == ERR_NOTFOUND) { /* the gateway knows a new tunnel a moment later */
		api_fail(c, 400, API_CODE_TUNNEL_DOWN, NULL, "The tunnel is not up: there is nothing to rekey.");
	} else {
		api_fail(c, 503, API_MESSAGE_GATEWAY_AWAY, NULL,
			 "The gateway process does not answer. Send the request again in a few seconds.");
		c->retry_later = true;
	}
}

void api_tunnel_rekey(struct api_call *c)
{
	struct api_view view;
	struct model_id id;

	bool ike = read_ike(c);
	api_view_load(c, API_NEED_TUNNELS, &view);
	const struct model_tunnel *t =
		model_id_parse(c->id, &id) == ERR_NONE ? api_view_tunnel(&view, &id) : NULL;
	if (t == NULL)
		api_fail(c, 404, MODEL_CODE_TUNNEL_NOT_FOUND, NULL, "IPsec tunnel not found");
	if (!api_failed(c))
		ask(c, t, ike);
	api_view_fini(c, &view);
}
