#include "api/edit.h"

#include <stdlib.h>

#include "api/record.h"
#include "base/clock.h"
#include "base/log.h"

#define ATTEMPTS_MAX 5

struct api_change {
	enum store_op_kind kind;
	struct model_key key;
	uint8_t *value;
	size_t len;
};

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

void api_view_fini(struct api_view *v)
{
	free(v->tunnels);
	free(v->routes);
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

void api_view_load(struct api_call *c, unsigned need, struct api_view *ret)
{
	struct model_key version = model_key_version(&c->account.id);

	*ret = (struct api_view){ 0 };
	enum err e = api_record_rev(c->server->store, &version, &ret->version_rev);
	if (e == ERR_NONE && (need & API_NEED_TUNNELS) != 0)
		e = load_kind(c, "cfg/tun", load_tunnel, ret);
	if (e == ERR_NONE && (need & API_NEED_ROUTES) != 0)
		e = load_kind(c, "cfg/route", load_route, ret);
	if (e != ERR_NONE)
		api_fail_store(c, e, "the account's configuration could not be read");
}

/* ---- changes ---- */

static void add_change(struct api_edit *e, enum store_op_kind kind, const struct model_key *key,
		       struct bytes value)
{
	if (api_failed(e->call))
		return;
	if (e->change_cnt == API_EDIT_CHANGES_MAX) {
		api_fail(e->call, 400, MODEL_CODE_OTHER, NULL,
			 "This request makes more than %d changes, which cannot be done as one; nothing was "
			 "changed. Send it in parts of at most 30 objects.",
			 API_EDIT_CHANGES_MAX);
		return;
	}
	struct api_change *change = &e->changes[e->change_cnt];
	*change = (struct api_change){ .kind = kind, .key = *key, .len = value.len };
	if (value.len != 0) {
		struct space room = { malloc(value.len), value.len };
		must(room.p != NULL);
		struct wr w = wr_of(room);
		wr_put(&w, value);
		change->value = room.p;
	}
	e->change_cnt++;
}

void api_edit_put(struct api_edit *e, const struct model_key *key, struct bytes value)
{
	add_change(e, STORE_PUT, key, value);
}

void api_edit_delete(struct api_edit *e, const struct model_key *key)
{
	add_change(e, STORE_DELETE, key, (struct bytes){ 0 });
}

void api_edit_put_tunnel(struct api_edit *e, const struct model_tunnel *t)
{
	uint8_t room[MODEL_TUNNEL_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_key key = model_key_tunnel(&t->account_id, &t->id);

	if (api_failed(e->call))
		return;
	must(model_tunnel_encode(t, &w) == ERR_NONE);
	api_edit_put(e, &key, wr_bytes(&w));
}

void api_edit_put_route(struct api_edit *e, const struct model_route *r)
{
	uint8_t room[MODEL_ROUTE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_key key = model_key_route(&r->account_id, &r->id);

	if (api_failed(e->call))
		return;
	must(model_route_encode(r, &w) == ERR_NONE);
	api_edit_put(e, &key, wr_bytes(&w));
}

static void forget_changes(struct api_edit *e)
{
	for (size_t i = 0; i < e->change_cnt; i++)
		free(e->changes[i].value);
	e->change_cnt = 0;
}

static enum err commit_changes(struct api_edit *e)
{
	struct model_key version = model_key_version(&e->call->account.id);
	struct store_cmp cmp = { model_key_bytes(&version), e->view.version_rev };
	struct store_op ops[STORE_TXN_OPS_MAX];
	uint8_t stamp[8];
	struct wr w = wr_of(SPACE_OF(stamp));

	wr_u64(&w, e->now_us);
	for (size_t i = 0; i < e->change_cnt; i++)
		ops[i] = (struct store_op){ e->changes[i].kind, model_key_bytes(&e->changes[i].key),
					    bytes_of(e->changes[i].value, e->changes[i].len) };
	ops[e->change_cnt] = (struct store_op){ STORE_PUT, model_key_bytes(&version), wr_bytes(&w) };
	struct store_txn txn = { .cmps = &cmp, .cmp_cnt = 1, .ops = ops, .op_cnt = e->change_cnt + 1 };
	return store_commit(e->call->server->store, &txn).err;
}

/* One attempt. ERR_CONFLICT: somebody else was first; other failures are in the call. */
static enum err try_edit(struct api_call *c, unsigned need, api_plan_fn *plan, void *arg,
			 struct api_change *changes)
{
	struct api_edit e = { .call = c, .now_us = clock_unix_us(), .changes = changes };
	enum err err = ERR_NONE;

	api_view_load(c, need, &e.view);
	if (!api_failed(c))
		plan(&e, arg);
	if (!api_failed(c) && !c->validate_only && e.change_cnt != 0)
		err = commit_changes(&e);
	forget_changes(&e);
	api_view_fini(&e.view);
	return err;
}

void api_edit_run(struct api_call *c, unsigned need, api_plan_fn *plan, void *arg)
{
	struct api_change *changes = calloc(API_EDIT_CHANGES_MAX, sizeof(*changes));
	enum err e = ERR_CONFLICT;

	must(changes != NULL);
	for (unsigned i = 0; i < ATTEMPTS_MAX && e == ERR_CONFLICT; i++) {
		api_restart(c);
		e = try_edit(c, need, plan, arg, changes);
	}
	free(changes);
	if (e != ERR_NONE) {
		api_restart(c);
		api_fail_store(c, e, "the change was not stored");
	}
}
