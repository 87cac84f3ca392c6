#include "api/view.h"

#include <stdlib.h>

#include "api/record.h"

static void *grow(void *array, size_t cnt, size_t *cap, size_t size)
{
	if (cnt < *cap)
		return array;
	size_t n = *cap == 0 ? 16 : 2 * *cap;
	void *p = reallocarray(array, n, size);
	must(p != NULL);
	*cap = n;
	return p;
}

struct model_tunnel *api_view_add_tunnel(struct api_view *v, const struct model_tunnel *t)
{
	v->tunnels = grow(v->tunnels, v->tunnel_cnt, &v->tunnel_cap, sizeof(*t));
	v->tunnels[v->tunnel_cnt] = *t;
	return &v->tunnels[v->tunnel_cnt++];
}

struct model_route *api_view_add_route(struct api_view *v, const struct model_route *r)
{
	v->routes = grow(v->routes, v->route_cnt, &v->route_cap, sizeof(*r));
	v->routes[v->route_cnt] = *r;
	return &v->routes[v->route_cnt++];
}

struct model_tunnel *api_view_tunnel(const struct api_view *v, const struct model_id *id)
{
	for (size_t i = 0; i < v->tunnel_cnt; i++)
		if (model_id_eq(&v->tunnels[i].id, id))
			return &v->tunnels[i];
	return NULL;
}

struct model_route *api_view_route(const struct api_view *v, const struct model_id *id)
{
	for (size_t i = 0; i < v->route_cnt; i++)
		if (model_id_eq(&v->routes[i].id, id))
			return &v->routes[i];
	return NULL;
}

static void free_view(struct api_view *v)
{
	free(v->tunnels);
	free(v->routes);
	*v = (struct api_view){ 0 };
}

/* ---- kept between calls ---- */

/* The account's view, if it is kept, is the caller's from now on. */
static struct api_view take_kept(struct api_server *s, const struct model_id *account)
{
	struct api_view v = { 0 };

	for (size_t i = 0; i < API_VIEWS_MAX; i++) {
		if (s->views[i].have == 0 || !model_id_eq(&s->views[i].account_id, account))
			continue;
		v = s->views[i];
		s->views[i] = (struct api_view){ 0 };
		break;
	}
	return v;
}

/* Takes the place of the one that was not asked for longest. */
static void keep(struct api_server *s, const struct api_view *v)
{
	size_t at = 0;

	for (size_t i = 0; i < API_VIEWS_MAX; i++) {
		if (s->views[i].have != 0 && model_id_eq(&s->views[i].account_id, &v->account_id)) {
			at = i;
			break;
		}
		if (s->views[i].used < s->views[at].used)
			at = i;
	}
	free_view(&s->views[at]);
	s->views[at] = *v;
	s->views[at].used = ++s->view_uses;
}

void api_views_free(struct api_server *s)
{
	for (size_t i = 0; i < API_VIEWS_MAX; i++)
		free_view(&s->views[i]);
}

void api_view_fini(struct api_call *c, struct api_view *v)
{
	if (v->whole && !v->planned)
		keep(c->server, v);
	else
		free_view(v);
	*v = (struct api_view){ 0 };
}

/* ---- loading ---- */

struct loader {
	struct api_view *view;
	enum err err; /* of the first record that cannot be read */
};

static void load_tunnel(void *arg, const struct store_row *row)
{
	struct loader *l = arg;
	struct model_tunnel t;
	enum err e = model_tunnel_decode(row->value, &t);

	if (e == ERR_NONE)
		api_view_add_tunnel(l->view, &t);
	else if (l->err == ERR_NONE)
		l->err = e;
}

static void load_route(void *arg, const struct store_row *row)
{
	struct loader *l = arg;
	struct model_route r;
	enum err e = model_route_decode(row->value, &r);

	if (e == ERR_NONE)
		api_view_add_route(l->view, &r);
	else if (l->err == ERR_NONE)
		l->err = e;
}

/* A record that cannot be read fails everything: a check that does not see it would let a clash pass. */
static enum err load_kind(struct api_call *c, const char *kind, store_row_fn *row, struct api_view *view)
{
	struct loader l = { .view = view };
	struct model_key prefix = model_key_prefix(kind, &c->account.id);
	enum err e = store_range(c->server->store, model_key_bytes(&prefix), (struct bytes){ 0 }, 0, row, &l,
				 NULL);

	return e != ERR_NONE ? e : l.err;
}

static enum err load_missing(struct api_call *c, unsigned need, struct api_view *v)
{
	struct model_key version = model_key_version(&c->account.id);
	unsigned missing = need & ~v->have;
	uint64_t rev = v->version_rev;
	enum err e = ERR_NONE;

	if (missing == 0)
		return e;
	v->whole = false;
	if ((missing & API_NEED_TUNNELS) != 0)
		e = load_kind(c, "cfg/tun", load_tunnel, v);
	if (e == ERR_NONE && (missing & API_NEED_ROUTES) != 0)
		e = load_kind(c, "cfg/route", load_route, v);
	if (e == ERR_NONE)
		e = api_record_rev(c->server->store, &version, &rev);
	v->have |= missing;
	v->whole = e == ERR_NONE && rev == v->version_rev;
	return e;
}

void api_view_load(struct api_call *c, unsigned need, struct api_view *ret)
{
	struct model_key version = model_key_version(&c->account.id);
	struct api_view v = take_kept(c->server, &c->account.id);
	uint64_t rev = 0;

	enum err e = api_record_rev(c->server->store, &version, &rev);
	if (e != ERR_NONE || rev != v.version_rev)
		free_view(&v);
	v.account_id = c->account.id;
	v.version_rev = rev;
	if (e == ERR_NONE)
		e = load_missing(c, need, &v);
	if (e != ERR_NONE)
		api_fail_store(c, e, "the account's configuration could not be read");
	*ret = v;
}

/* ---- changing ---- */

/* Where the tunnel is, or belongs: they are in the order of their keys. */
static size_t find_tunnel_place(const struct api_view *v, const struct model_id *id, bool *ret_found)
{
	size_t low = 0, high = v->tunnel_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (memcmp(v->tunnels[mid].id.b, id->b, sizeof(id->b)) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_found = low < v->tunnel_cnt && model_id_eq(&v->tunnels[low].id, id);
	return low;
}

static size_t find_route_place(const struct api_view *v, const struct model_id *id, bool *ret_found)
{
	size_t low = 0, high = v->route_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (memcmp(v->routes[mid].id.b, id->b, sizeof(id->b)) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_found = low < v->route_cnt && model_id_eq(&v->routes[low].id, id);
	return low;
}

static void put_tunnel(struct api_view *v, const struct model_tunnel *t)
{
	bool found;
	size_t at = find_tunnel_place(v, &t->id, &found);

	if (!found) {
		api_view_add_tunnel(v, t);
		memmove(&v->tunnels[at + 1], &v->tunnels[at], (v->tunnel_cnt - 1 - at) * sizeof(*t));
	}
	v->tunnels[at] = *t;
}

static void put_route(struct api_view *v, const struct model_route *r)
{
	bool found;
	size_t at = find_route_place(v, &r->id, &found);

	if (!found) {
		api_view_add_route(v, r);
		memmove(&v->routes[at + 1], &v->routes[at], (v->route_cnt - 1 - at) * sizeof(*r));
	}
	v->routes[at] = *r;
}

static void drop_tunnel(struct api_view *v, const struct model_id *id)
{
	bool found;
	size_t at = find_tunnel_place(v, id, &found);

	if (found)
		memmove(&v->tunnels[at], &v->tunnels[at + 1], (--v->tunnel_cnt - at) * sizeof(*v->tunnels));
}

static void drop_route(struct api_view *v, const struct model_id *id)
{
	bool found;
	size_t at = find_route_place(v, id, &found);

	if (found)
		memmove(&v->routes[at], &v->routes[at + 1], (--v->route_cnt - at) * sizeof(*v->routes));
}

/* The id at the end of a key "cfg/<kind>/<account>/<id>". */
static bool read_id(struct bytes key, struct model_id *ret)
{
	struct rd r = rd_of(key);

	if (key.len < MODEL_ID_TEXT_LEN)
		return false;
	rd_skip(&r, key.len - MODEL_ID_TEXT_LEN);
	return model_id_parse(rd_rest(&r), ret) == ERR_NONE;
}

bool api_view_change(struct api_view *v, struct bytes key, bool deleted, struct bytes value)
{
	bool tunnel = bytes_starts(key, bytes_str("cfg/tun/")), route = bytes_starts(key, bytes_str("cfg/route/"));
	struct model_tunnel t;
	struct model_route r;
	struct model_id id;

	if (!tunnel && !route)
		return true;
	if ((v->have & (tunnel ? API_NEED_TUNNELS : API_NEED_ROUTES)) == 0)
		return true;
	if (deleted) {
		if (!read_id(key, &id))
			return false;
		if (tunnel)
			drop_tunnel(v, &id);
		else
			drop_route(v, &id);
		return true;
	}
	if ((tunnel ? model_tunnel_decode(value, &t) : model_route_decode(value, &r)) != ERR_NONE)
		return false;
	if (tunnel)
		put_tunnel(v, &t);
	else
		put_route(v, &r);
	return true;
}
