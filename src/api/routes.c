#include "api/handlers.h"
#include "api/route_json.h"
#include "crypt/random.h"

struct items {
	const json_t *array; /* NULL: the body itself */
	size_t cnt;
};

static bool get_item(struct api_call *c, const struct items *items, size_t i, struct api_object *ret)
{
	return items->array == NULL ? api_object_body(c, ret)
				    : api_object_item(c, items->array, "/routes", i, ret);
}

static void fail_not_found(struct api_call *c)
{
	api_fail(c, 404, MODEL_CODE_ROUTE_NOT_FOUND, NULL, "Route not found");
}

static struct model_route *find_route(struct api_call *c, const struct api_view *v)
{
	struct model_id id;
	struct model_route *r = model_id_parse(c->id, &id) == ERR_NONE ? api_view_route(v, &id) : NULL;

	if (r == NULL)
		fail_not_found(c);
	return r;
}

/* The route that an element names by its id. */
static struct model_route *find_item(struct api_edit *e, const struct api_object *o)
{
	struct model_id id;

	api_field_require(o, "id", "the route's id");
	if (!api_field_id(o, "id", &id))
		return NULL;
	struct model_route *r = api_view_route(&e->view, &id);
	if (r == NULL)
		fail_not_found(e->call);
	return r;
}

void api_routes_list(struct api_call *c)
{
	struct api_view view;

	api_view_load(c, API_NEED_BOTH, &view);
	if (!api_failed(c)) {
		json_t *list = json_array();
		for (size_t i = 0; i < view.route_cnt; i++)
			json_array_append_new(list, api_route_json(&view.routes[i]));
		api_answer(c, json_pack("{s:o}", "routes", list));
		api_routes_warn(c, &view);
	}
	api_view_fini(c, &view);
}

void api_route_get(struct api_call *c)
{
	struct api_view view;

	api_view_load(c, API_NEED_ROUTES, &view);
	const struct model_route *r = api_failed(c) ? NULL : find_route(c, &view);
	if (r != NULL)
		api_answer(c, json_pack("{s:o}", "route", api_route_json(r)));
	api_view_fini(c, &view);
}

/* ---- create ---- */

static json_t *create_one(struct api_edit *e, const struct api_object *o, bool array_form)
{
	struct model_route r;

	model_route_init(&r);
	crypt_random(r.id.b, sizeof(r.id.b));
	r.account_id = e->call->account.id;
	r.created_us = r.modified_us = e->now_us;
	api_field_require(o, "prefix", "the network, such as 10.1.0.0/16");
	api_field_require(o, "nexthop", "the customer side of a tunnel's interface_address");
	/* the clients that send arrays leave a priority of 0 out */
	if (!array_form)
		api_field_require(o, "priority", "a number; the lowest wins");
	api_route_read(o, &r);
	api_route_check(e->call, &e->view, &r, o->pointer);
	api_edit_put_route(e, &r);
	if (api_failed(e->call))
		return NULL;
	api_view_add_route(&e->view, &r);
	return api_route_json(&r);
}

static void plan_create(struct api_edit *e, void *arg)
{
	const struct items *items = arg;
	json_t *list = json_array();
	struct api_object o;

	for (size_t i = 0; i < items->cnt && get_item(e->call, items, i, &o); i++) {
		json_t *shown = create_one(e, &o, items->array != NULL);
		if (shown != NULL)
			json_array_append_new(list, shown);
	}
	if (!api_failed(e->call)) {
		/* old clients that sent one object read the array, new ones the object: it serves both */
		json_t *result = items->array == NULL ? json_copy(json_array_get(list, 0)) : json_object();
		json_object_set(result, "routes", list);
		api_answer(e->call, result);
	}
	json_decref(list);
}

/* The array "routes" of the body, which must not be empty; a bare array is taken where the caller says so. */
static bool read_items(struct api_call *c, bool bare, struct items *ret)
{
	struct items items = { 0 };
	struct api_object body;

	if (bare && json_is_array(c->json)) {
		items.array = c->json;
	} else if (api_object_body(c, &body)) {
		api_field_require(&body, "routes", "an array of routes");
		api_field_array(&body, "routes", &items.array);
	}
	if (api_failed(c))
		return false;
	items.cnt = json_array_size(items.array);
	if (items.cnt == 0)
		api_fail(c, 400, MODEL_CODE_BAD_BODY, "/routes",
			 "Invalid Request: \"routes\" is empty; send at least one route.");
	*ret = items;
	return !api_failed(c);
}

void api_routes_create(struct api_call *c)
{
	struct items items = { .cnt = 1 };
	struct api_object body;

	if (!api_object_body(c, &body))
		return;
	if (json_object_get(body.json, "routes") != NULL && !read_items(c, false, &items))
		return;
	api_edit_run(c, API_NEED_BOTH, plan_create, &items);
}

/* ---- update ---- */

static void merge_one(struct api_edit *e, const struct api_object *o, struct model_route *r)
{
	struct model_route new = *r;

	api_route_read(o, &new);
	new.modified_us = e->now_us;
	*r = new;
}

static json_t *store_one(struct api_edit *e, const struct api_object *o, const struct model_route *r)
{
	api_route_check(e->call, &e->view, r, o->pointer);
	api_edit_put_route(e, r);
	return api_failed(e->call) ? NULL : api_route_json(r);
}

static void plan_update(struct api_edit *e, void *arg)
{
	const struct api_object *o = arg;
	struct model_route *r = find_route(e->call, &e->view);

	if (r == NULL)
		return;
	merge_one(e, o, r);
	json_t *shown = store_one(e, o, r);
	if (shown != NULL)
		api_answer(e->call, json_pack("{s:b, s:o}", "modified", 1, "modified_route", shown));
}

void api_route_update(struct api_call *c)
{
	struct api_object body;

	if (api_object_body(c, &body))
		api_edit_run(c, API_NEED_BOTH, plan_update, &body);
}

/* The route of the i-th item; NULL: there is no further one, or none of that id. One that was changed by this very call stands twice. */
static struct model_route *take_listed(struct api_edit *e, const struct items *items, size_t i, struct api_object *ret)
{
	if (i == items->cnt || !get_item(e->call, items, i, ret))
		return NULL;
	struct model_route *r = find_item(e, ret);
	if (r != NULL && r->modified_us == e->now_us)
		api_field_fail(ret, "id", MODEL_CODE_BAD_BODY,
			       "Invalid Request: this \"id\" stands twice in the list; send each "
			       "route once.");
	return r;
}

/* All are merged, then each is checked against the outcome. */
static void plan_bulk_update(struct api_edit *e, void *arg)
{
	const struct items *items = arg;
	json_t *list = json_array();
	struct model_route *r;
	struct api_object o;

	for (size_t i = 0; (r = take_listed(e, items, i, &o)) != NULL; i++)
		merge_one(e, &o, r);
	for (size_t i = 0; i < items->cnt && get_item(e->call, items, i, &o); i++) {
		r = find_item(e, &o);
		json_t *shown = r == NULL ? NULL : store_one(e, &o, r);
		if (shown != NULL)
			json_array_append_new(list, shown);
	}
	api_answer(e->call, json_pack("{s:b, s:o}", "modified", 1, "modified_routes", list));
}

void api_routes_bulk_update(struct api_call *c)
{
	struct items items;

	if (read_items(c, true, &items))
		api_edit_run(c, API_NEED_BOTH, plan_bulk_update, &items);
}

/* ---- delete ---- */

static json_t *delete_one(struct api_edit *e, const struct model_route *r)
{
	struct model_key key = model_key_route(&r->account_id, &r->id);

	api_edit_delete(e, &key);
	return api_route_json(r);
}

static void plan_delete(struct api_edit *e, void *arg)
{
	const struct model_route *r = find_route(e->call, &e->view);

	(void)arg;
	if (r != NULL)
		api_answer(e->call, json_pack("{s:b, s:o}", "deleted", 1, "deleted_route", delete_one(e, r)));
}

void api_route_delete(struct api_call *c)
{
	api_edit_run(c, API_NEED_ROUTES, plan_delete, NULL);
}

static void plan_bulk_delete(struct api_edit *e, void *arg)
{
	const struct items *items = arg;
	json_t *list = json_array();
	struct model_route *r;
	struct api_object o;

	for (size_t i = 0; (r = take_listed(e, items, i, &o)) != NULL; i++) {
		json_array_append_new(list, delete_one(e, r));
		r->modified_us = e->now_us;
	}
	api_answer(e->call, json_pack("{s:b, s:o}", "deleted", 1, "deleted_routes", list));
}

/* Without a list it would empty the table: that must be said, route by route. */
void api_routes_bulk_delete(struct api_call *c)
{
	struct items items;

	if (c->json == NULL)
		api_fail(c, 400, MODEL_CODE_BAD_BODY, "/routes",
			 "Invalid Request: a DELETE of all routes is not done; name them in the body: "
			 "{\"routes\":[{\"id\":\"...\"}]}.");
	else if (read_items(c, true, &items))
		api_edit_run(c, API_NEED_ROUTES, plan_bulk_delete, &items);
}
