#include "api/route_json.h"

#include <stdlib.h>
#include "base/clock.h"

static void read_colo_names(const struct api_object *o, struct model_route *r)
{
	const json_t *list;

	if (!api_field_array(o, "colo_names", &list))
		return;
	if (json_array_size(list) > MODEL_ROUTE_COLOS_MAX) {
		api_field_fail(o, "colo_names", MODEL_CODE_SCOPE,
			       "\"scope.colo_names\" has %zu names; at most %d are allowed.",
			       json_array_size(list), MODEL_ROUTE_COLOS_MAX);
		return;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *j = json_array_get(list, i);
		if (!json_is_string(j) || json_string_length(j) >= MODEL_ROUTE_COLO_MAX) {
			api_field_fail(o, "colo_names", MODEL_CODE_SCOPE,
				       "\"scope.colo_names\": element %zu must be a string of at most %d "
				       "characters, such as \"den01\".",
				       i + 1, MODEL_ROUTE_COLO_MAX - 1);
			return;
		}
		struct wr w = wr_of(SPACE_OF(r->colo_names[i]));
		wr_put(&w, bytes_str(json_string_value(j)));
		wr_zero(&w, MODEL_ROUTE_COLO_MAX - wr_len(&w));
		r->colo_name_cnt = (uint8_t)(i + 1);
	}
}

static void read_colo_regions(const struct api_object *o, struct model_route *r)
{
	const json_t *list;

	if (!api_field_array(o, "colo_regions", &list))
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *j = json_array_get(list, i);
		size_t k = 0;
		while (k < MODEL_REGION_CNT &&
		       (!json_is_string(j) || strcmp(json_string_value(j), model_region_names[k]) != 0))
			k++;
		if (k == MODEL_REGION_CNT) {
			api_field_fail(o, "colo_regions", MODEL_CODE_SCOPE,
				       "\"scope.colo_regions\": element %zu is \"%.32s\"; send one of AFR, "
				       "APAC, EEUR, ENAM, ME, OC, SAM, WEUR, WNAM.",
				       i + 1, json_is_string(j) ? json_string_value(j) : "");
			return;
		}
		model_route_add_region(r, (uint8_t)k);
	}
}

/* A scope stands as a whole: lists are replaced, not merged. null takes it away. */
static void read_scope(const struct api_object *o, struct model_route *r)
{
	struct api_object scope;
	const json_t *j = json_object_get(o->json, "scope");

	if (j == NULL || api_failed(o->call))
		return;
	r->has_scope = !json_is_null(j);
	r->colo_name_cnt = 0;
	r->region_cnt = 0;
	memset(r->colo_names, 0, sizeof(r->colo_names));
	if (api_field_object(o, "scope", API_NULL_ABSENT, &scope)) {
		read_colo_names(&scope, r);
		read_colo_regions(&scope, r);
	}
}

void api_route_read(const struct api_object *o, struct model_route *r)
{
	uint64_t v;

	api_field_prefix(o, "prefix", MODEL_CODE_PREFIX, false, &r->prefix);
	api_field_addr(o, "nexthop", MODEL_CODE_NEXTHOP, false, &r->nexthop);
	if (api_field_number(o, "priority", MODEL_CODE_PRIORITY, UINT32_MAX, "0 to 400000, lower wins", &v))
		r->priority = (uint32_t)v;
	/* null and 0 take the weight away: clients have no other way */
	if (json_is_null(json_object_get(o->json, "weight")))
		r->weight = 0;
	else if (api_field_number(o, "weight", MODEL_CODE_WEIGHT, UINT16_MAX, "1 to 256, or 0 for an equal share", &v))
		r->weight = (uint16_t)v;
	if (api_field_text(o, "description", MODEL_CODE_TEXT, r->description, sizeof(r->description)))
		r->has_description = true;
	read_scope(o, r);
}

/* ---- rules beside its neighbours ---- */

/* How many bits two addresses of one family have in common at the front. */
static unsigned common_bits(const struct addr *a, const struct addr *b)
{
	unsigned n = 0;

	if (a->family != b->family)
		return 0;
	while (n < addr_len(a->family) * 8 && ((a->b[n / 8] ^ b->b[n / 8]) >> (7 - n % 8) & 1) == 0)
		n++;
	return n + 1;
}

struct nearest {
	const struct model_tunnel *tunnel;
	struct addr side;
	unsigned bits;
};

/* True if the address is the customer side of this prefix; keeps the nearest one seen. */
static bool try_side(const struct addr *hop, const struct model_tunnel *t, const struct addr_prefix *p,
		     struct nearest *nearest)
{
	struct addr side = model_tunnel_customer_side(p);

	if (side.family == ADDR_NONE)
		return false;
	unsigned bits = common_bits(hop, &side);
	if (bits > nearest->bits)
		*nearest = (struct nearest){ t, side, bits };
	return addr_eq(hop, &side);
}

static void check_nexthop(struct api_call *c, const struct api_view *view, const struct model_route *r,
			  const char *pointer)
{
	struct model_problem p = { .code = MODEL_CODE_NEXTHOP, .field = "/nexthop" };
	struct nearest nearest = { 0 };
	char hop[ADDR_TEXT_MAX], side[ADDR_TEXT_MAX];

	for (size_t i = 0; i < view->tunnel_cnt; i++)
		if (try_side(&r->nexthop, &view->tunnels[i], &view->tunnels[i].interface_address, &nearest) ||
		    try_side(&r->nexthop, &view->tunnels[i], &view->tunnels[i].interface_address6, &nearest))
			return;
	addr_format(&r->nexthop, hop);
	if (nearest.tunnel == NULL)
		snprintf(p.text, sizeof(p.text),
			 "nexthop %s is the customer side of no tunnel: the account has no tunnel with such "
			 "an address yet.",
			 hop);
	else
		snprintf(p.text, sizeof(p.text),
			 "nexthop %s is the customer side of no tunnel's interface_address; the nearest is "
			 "%s of tunnel \"%.64s\".",
			 hop, addr_format(&nearest.side, side), nearest.tunnel->name);
	api_fail_problem(c, pointer, &p);
}

static void check_neighbours(struct api_call *c, const struct api_view *view, const struct model_route *r,
			     const char *pointer)
{
	struct addr_prefix mine = addr_prefix_mask(&r->prefix);
	struct model_problem p = { .field = "/prefix" };
	char prefix[ADDR_PREFIX_TEXT_MAX], id[MODEL_ID_TEXT_MAX];
	size_t equal = 1;

	for (size_t i = 0; i < view->route_cnt; i++) {
		const struct model_route *other = &view->routes[i];
		struct addr_prefix theirs = addr_prefix_mask(&other->prefix);
		if (model_id_eq(&other->id, &r->id))
			continue;
		if (other->priority == r->priority && addr_prefix_eq(&mine, &theirs))
			equal++;
		if (!model_route_same(r, other))
			continue;
		p.code = MODEL_CODE_ROUTE_DUPLICATE;
		snprintf(p.text, sizeof(p.text),
			 "route %s with this nexthop, priority and scope is there already: %s; change that "
			 "one instead.",
			 addr_prefix_format(&mine, prefix), model_id_text(&other->id, id));
		api_fail_problem(c, pointer, &p);
		return;
	}
	if (equal <= MODEL_ROUTE_EQUAL_MAX)
		return;
	p.code = MODEL_CODE_ROUTE_LIMIT;
	snprintf(p.text, sizeof(p.text),
		 "prefix %s has %d routes with priority %u already, the most there may be; use another "
		 "priority.",
		 addr_prefix_format(&mine, prefix), MODEL_ROUTE_EQUAL_MAX, r->priority);
	api_fail_problem(c, pointer, &p);
}

void api_route_check(struct api_call *c, const struct api_view *view, const struct model_route *r,
		     const char *pointer)
{
	struct model_problem problem = { 0 };

	if (api_failed(c))
		return;
	if (model_route_check(r, &problem) != ERR_NONE) {
		api_fail_problem(c, pointer, &problem);
		return;
	}
	check_nexthop(c, view, r, pointer);
	if (!api_failed(c))
		check_neighbours(c, view, r, pointer);
}

/* ---- routes without a tunnel ---- */

static int compare_addrs(const void *a, const void *b)
{
	const struct addr *x = a, *y = b;
	return x->family != y->family ? x->family - y->family : memcmp(x->b, y->b, sizeof(x->b));
}

/* The customer sides of all tunnels, sorted; to be freed. */
static struct addr *sort_sides(const struct api_view *view, size_t *ret_cnt)
{
	struct addr *sides = calloc(2 * view->tunnel_cnt + 1, sizeof(*sides));

	must(sides != NULL);
	for (size_t i = 0; i < view->tunnel_cnt; i++) {
		sides[2 * i] = model_tunnel_customer_side(&view->tunnels[i].interface_address);
		sides[2 * i + 1] = model_tunnel_customer_side(&view->tunnels[i].interface_address6);
	}
	qsort(sides, 2 * view->tunnel_cnt, sizeof(*sides), compare_addrs);
	*ret_cnt = 2 * view->tunnel_cnt;
	return sides;
}

void api_routes_warn(struct api_call *c, const struct api_view *view)
{
	char prefix[ADDR_PREFIX_TEXT_MAX], hop[ADDR_TEXT_MAX];
	const struct model_route *first = NULL;
	size_t cnt = 0, side_cnt;
	struct addr *sides = sort_sides(view, &side_cnt);

	for (size_t i = 0; i < view->route_cnt; i++) {
		if (bsearch(&view->routes[i].nexthop, sides, side_cnt, sizeof(*sides), compare_addrs) != NULL)
			continue;
		if (cnt++ == 0)
			first = &view->routes[i];
	}
	free(sides);
	if (cnt != 0)
		api_message(c, API_MESSAGE_DANGLING,
			    "No tunnel has the next hop of %zu route(s), which carry nothing until they are changed; the first: "
			    "%s via %s.",
			    cnt, addr_prefix_format(&first->prefix, prefix), addr_format(&first->nexthop, hop));
}

/* ---- showing ---- */

static json_t *scope_json(const struct model_route *r)
{
	json_t *o = json_object(), *names = json_array(), *regions = json_array();

	for (size_t i = 0; i < r->colo_name_cnt; i++)
		json_array_append_new(names, json_string(r->colo_names[i]));
	for (size_t i = 0; i < r->region_cnt; i++)
		if (r->regions[i] < MODEL_REGION_CNT)
			json_array_append_new(regions, json_string(model_region_names[r->regions[i]]));
	if (json_array_size(names) != 0)
		json_object_set(o, "colo_names", names);
	if (json_array_size(regions) != 0)
		json_object_set(o, "colo_regions", regions);
	json_decref(names);
	json_decref(regions);
	return o;
}

json_t *api_route_json(const struct model_route *r)
{
	char id[MODEL_ID_TEXT_MAX], prefix[ADDR_PREFIX_TEXT_MAX], hop[ADDR_TEXT_MAX];
	char created[CLOCK_TEXT_MAX], modified[CLOCK_TEXT_MAX];
	json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "id", model_id_text(&r->id, id), "prefix",
			      addr_prefix_format(&r->prefix, prefix), "nexthop",
			      addr_format(&r->nexthop, hop), "priority", (json_int_t)r->priority);

	if (r->weight != 0)
		json_object_set_new(o, "weight", json_integer(r->weight));
	if (r->has_description)
		json_object_set_new(o, "description", json_string(r->description));
	if (r->has_scope)
		json_object_set_new(o, "scope", scope_json(r));
	json_object_set_new(o, "created_on", json_string(clock_text(r->created_us, created)));
	json_object_set_new(o, "modified_on", json_string(clock_text(r->modified_us, modified)));
	return o;
}
