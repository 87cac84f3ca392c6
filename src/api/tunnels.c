#include <stdio.h>

#include "api/handlers.h"
#include "api/psk.h"
#include "api/route_json.h"
#include "api/tunnel_json.h"
#include "crypt/random.h"

/* The elements of a request: the one object of the body, or those of its array "ipsec_tunnels". */
struct items {
	const json_t *array; /* NULL: the body itself */
	size_t cnt;
};

static bool get_item(struct api_call *c, const struct items *items, size_t i, struct api_object *ret)
{
	return items->array == NULL ? api_object_body(c, ret)
				    : api_object_item(c, items->array, "/ipsec_tunnels", i, ret);
}

static void fail_not_found(struct api_call *c)
{
	api_fail(c, 404, MODEL_CODE_TUNNEL_NOT_FOUND, NULL, "IPsec tunnel not found");
}

/* The tunnel that the path names. */
static struct model_tunnel *find_tunnel(struct api_call *c, const struct api_view *v)
{
	struct model_id id;
	struct model_tunnel *t = model_id_parse(c->id, &id) == ERR_NONE ? api_view_tunnel(v, &id) : NULL;

	if (t == NULL)
		fail_not_found(c);
	return t;
}

void api_tunnels_list(struct api_call *c)
{
	struct api_view view;

	api_view_load(c, API_NEED_TUNNELS, &view);
	if (!api_failed(c)) {
		json_t *list = json_array();
		for (size_t i = 0; i < view.tunnel_cnt; i++)
			json_array_append_new(list, api_tunnel_json(c, &view.tunnels[i]));
		api_answer(c, json_pack("{s:o}", "ipsec_tunnels", list));
	}
	api_view_fini(c, &view);
}

void api_tunnel_get(struct api_call *c)
{
	struct api_view view;

	api_view_load(c, API_NEED_TUNNELS, &view);
	const struct model_tunnel *t = api_failed(c) ? NULL : find_tunnel(c, &view);
	if (t != NULL)
		api_answer(c, json_pack("{s:o}", "ipsec_tunnel", api_tunnel_json(c, t)));
	api_view_fini(c, &view);
}

/* ---- create ---- */

static json_t *create_one(struct api_edit *e, const struct api_object *o)
{
	struct api_given_psk psk = { 0 };
	struct model_tunnel t;
	json_t *shown = NULL;

	model_tunnel_init(&t);
	crypt_random(t.id.b, sizeof(t.id.b));
	t.account_id = e->call->account.id;
	t.created_us = t.modified_us = e->now_us;
	api_field_require(o, "name", "a name that no other tunnel of the account has");
	api_field_require(o, "cloudflare_endpoint", "one of the account's gateway addresses");
	api_field_require(o, "interface_address",
			  "the gateway's inner address with /31 or /30, such as 10.0.0.0/31");
	api_tunnel_read(o, &t, &psk);
	api_tunnel_check(e->call, &e->view, &t, o->pointer);
	if (psk.given)
		api_psk_put(e, &t, &psk.psk);
	api_edit_put_tunnel(e, &t);
	if (!api_failed(e->call)) {
		api_view_add_tunnel(&e->view, &t);
		shown = api_tunnel_json(e->call, &t);
	}
	secret_fini(&psk.psk);
	return shown;
}

static void plan_create(struct api_edit *e, void *arg)
{
	const struct items *items = arg;
	json_t *list = json_array(), *result = NULL;
	struct api_object o;

	for (size_t i = 0; i < items->cnt && !api_failed(e->call); i++)
		if (get_item(e->call, items, i, &o)) {
			json_t *one = create_one(e, &o);
			if (one != NULL)
				json_array_append_new(list, one);
		}
	if (!api_failed(e->call)) {
		/* old clients that sent one object read the array, new ones the object: it serves both */
		result = items->array == NULL ? json_copy(json_array_get(list, 0)) : json_object();
		json_object_set(result, "ipsec_tunnels", list);
		api_answer(e->call, result);
	}
	json_decref(list);
}

void api_tunnels_create(struct api_call *c)
{
	struct items items = { .cnt = 1 };
	struct api_object body;

	if (!api_object_body(c, &body))
		return;
	if (json_object_get(body.json, "ipsec_tunnels") != NULL) {
		if (!api_field_array(&body, "ipsec_tunnels", &items.array))
			return;
		items.cnt = json_array_size(items.array);
		if (items.cnt == 0)
			api_field_fail(
				&body, "ipsec_tunnels", MODEL_CODE_BAD_BODY,
				"Invalid Request: \"ipsec_tunnels\" is empty; send at least one tunnel.");
	}
	if (!api_failed(c))
		api_edit_run(c, API_NEED_TUNNELS, plan_create, &items);
}

/* ---- update ---- */

static bool is_customer_side(const struct model_tunnel *t, const struct addr *a)
{
	struct addr side = model_tunnel_customer_side(&t->interface_address);
	struct addr side6 = model_tunnel_customer_side(&t->interface_address6);

	return addr_eq(a, &side) || (side6.family != ADDR_NONE && addr_eq(a, &side6));
}

/* The routes that go to this tunnel: how many, and the first few in words. */
static size_t count_routes_to(const struct api_view *v, const struct model_tunnel *t, char *text, size_t cap)
{
	size_t cnt = 0, at = 0;
	char prefix[ADDR_PREFIX_TEXT_MAX], id[MODEL_ID_TEXT_MAX];

	text[0] = 0;
	for (size_t i = 0; i < v->route_cnt; i++) {
		const struct model_route *r = &v->routes[i];
		if (!is_customer_side(t, &r->nexthop))
			continue;
		if (cnt++ < 4 && at < cap) {
			int n = snprintf(text + at, cap - at, "%s%s (route %s)", at == 0 ? "" : ", ",
					 addr_prefix_format(&r->prefix, prefix), model_id_text(&r->id, id));
			at += n < 0 ? 0 : (size_t)n;
		}
	}
	return cnt;
}

static bool was_moved(const struct model_tunnel *old, const struct model_tunnel *new)
{
	return !addr_prefix_eq(&old->interface_address, &new->interface_address) ||
	       !addr_prefix_eq(&old->interface_address6, &new->interface_address6);
}

/* Merges an object into a tunnel of the view; queues its PSK, if one is given. True if its inner
 * addresses changed. */
static bool merge_one(struct api_edit *e, const struct api_object *o, struct model_tunnel *t)
{
	struct api_given_psk psk = { 0 };
	struct model_tunnel new = *t;

	api_tunnel_read(o, &new, &psk);
	new.modified_us = e->now_us;
	if (psk.given)
		api_psk_put(e, &new, &psk.psk);
	secret_fini(&psk.psk);
	bool moved = was_moved(t, &new);
	*t = new;
	return moved;
}

/* Checks a merged tunnel and queues it. NULL: the call has failed. */
static json_t *store_one(struct api_edit *e, const struct api_object *o, const struct model_tunnel *t)
{
	api_tunnel_check(e->call, &e->view, t, o->pointer);
	api_edit_put_tunnel(e, t);
	return api_failed(e->call) ? NULL : api_tunnel_json(e->call, t);
}

static void plan_update(struct api_edit *e, void *arg)
{
	const struct api_object *o = arg;
	struct model_tunnel *t = find_tunnel(e->call, &e->view);

	if (t == NULL)
		return;
	bool moved = merge_one(e, o, t);
	json_t *shown = store_one(e, o, t);
	if (moved && !api_failed(e->call))
		api_routes_warn(e->call, &e->view);
	if (shown != NULL)
		api_answer(e->call, json_pack("{s:b, s:o}", "modified", 1, "modified_ipsec_tunnel", shown));
}

void api_tunnel_update(struct api_call *c)
{
	struct api_object body;

	if (api_object_body(c, &body))
		api_edit_run(c, API_NEED_BOTH, plan_update, &body);
}

/* The tunnel that an element names by its id. */
static struct model_tunnel *find_item(struct api_edit *e, const struct api_object *o)
{
	struct model_id id;

	api_field_require(o, "id", "the tunnel's id");
	if (!api_field_id(o, "id", &id))
		return NULL;
	struct model_tunnel *t = api_view_tunnel(&e->view, &id);
	if (t == NULL)
		fail_not_found(e->call);
	return t;
}

/* Two tunnels may swap names or addresses in one request: all are merged, then each is checked against
 * the outcome. */
static void plan_bulk_update(struct api_edit *e, void *arg)
{
	const struct items *items = arg;
	json_t *list = json_array();
	struct api_object o;
	bool moved = false;

	for (size_t i = 0; i < items->cnt && get_item(e->call, items, i, &o); i++) {
		struct model_tunnel *t = find_item(e, &o);
		if (t == NULL)
			break;
		if (t->modified_us == e->now_us)
			api_field_fail(&o, "id", MODEL_CODE_BAD_BODY,
				       "Invalid Request: this \"id\" stands twice in the list; send each "
				       "tunnel once.");
		moved = merge_one(e, &o, t) || moved;
	}
	for (size_t i = 0; i < items->cnt && get_item(e->call, items, i, &o); i++) {
		const struct model_tunnel *t = find_item(e, &o);
		json_t *shown = t == NULL ? NULL : store_one(e, &o, t);
		if (shown != NULL)
			json_array_append_new(list, shown);
	}
	if (moved && !api_failed(e->call))
		api_routes_warn(e->call, &e->view);
	api_answer(e->call, json_pack("{s:b, s:o}", "modified", 1, "modified_ipsec_tunnels", list));
}

void api_tunnels_bulk_update(struct api_call *c)
{
	struct items items = { 0 };
	struct api_object body;

	if (json_is_array(c->json)) {
		items.array = c->json;
	} else if (api_object_body(c, &body)) {
		api_field_require(&body, "ipsec_tunnels", "an array of tunnels, each with its id");
		api_field_array(&body, "ipsec_tunnels", &items.array);
	}
	if (api_failed(c))
		return;
	items.cnt = json_array_size(items.array);
	if (items.cnt == 0)
		api_fail(
			c, 400, MODEL_CODE_BAD_BODY, "/ipsec_tunnels",
			"Invalid Request: \"ipsec_tunnels\" is empty; send at least one tunnel with its id.");
	else
		api_edit_run(c, API_NEED_BOTH, plan_bulk_update, &items);
}

/* ---- delete ---- */

static void plan_delete(struct api_edit *e, void *arg)
{
	const struct model_tunnel *t = find_tunnel(e->call, &e->view);
	char text[400];

	(void)arg;
	if (t == NULL)
		return;
	size_t cnt = count_routes_to(&e->view, t, text, sizeof(text));
	if (cnt != 0) {
		api_fail(e->call, 400, MODEL_CODE_IN_USE, NULL,
			 "Tunnel \"%.255s\" is the next hop of %zu route(s): %s%s. Delete or change them "
			 "first.",
			 t->name, cnt, text, cnt > 4 ? ", ..." : "");
		return;
	}
	struct model_key tunnel = model_key_tunnel(&t->account_id, &t->id),
			 psk = model_key_psk(&t->account_id, &t->id);
	api_edit_delete(e, &tunnel);
	api_edit_delete(e, &psk);
	api_answer(e->call, json_pack("{s:b, s:o}", "deleted", 1, "deleted_ipsec_tunnel",
				      api_tunnel_json(e->call, t)));
}

void api_tunnel_delete(struct api_call *c)
{
	api_edit_run(c, API_NEED_BOTH, plan_delete, NULL);
}
