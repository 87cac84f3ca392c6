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

/* What was committed is what the view has from now on. */
static void take_over(struct api_edit *e, uint64_t rev)
{
	struct api_view *v = &e->view;

	v->tunnel_cnt = e->tunnel_cnt;
	v->route_cnt = e->route_cnt;
	v->version_rev = rev;
	v->planned = false;
	for (size_t i = 0; i < e->change_cnt; i++) {
		const struct api_change *c = &e->changes[i];
		if (!api_view_change(v, model_key_bytes(&c->key), c->kind == STORE_DELETE, bytes_of(c->value, c->len)))
			v->planned = true;
	}
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
	struct store_result result = store_commit(e->call->server->store, &txn);
	if (result.err == ERR_NONE)
		take_over(e, result.rev);
	return result.err;
}

/* One attempt. ERR_CONFLICT: somebody else was first; other failures are in the call. */
static enum err try_edit(struct api_call *c, unsigned need, api_plan_fn *plan, void *arg,
			 struct api_change *changes)
{
	struct api_edit e = { .call = c, .now_us = clock_unix_us(), .changes = changes };
	enum err err = ERR_NONE;

	api_view_load(c, need, &e.view);
	e.tunnel_cnt = e.view.tunnel_cnt;
	e.route_cnt = e.view.route_cnt;
	e.view.planned = true;
	/* read behind the version: whoever deletes the account after this changes the version, and is noticed */
	struct model_key account = model_key_account(&c->account.id);
	enum err there = api_failed(c) ? ERR_NONE : api_record_account(c->server->store, &account, &c->account);
	if (there == ERR_NOTFOUND)
		api_fail(c, 404, API_CODE_NO_ROUTE, NULL, "The account was deleted at this moment.");
	else if (there != ERR_NONE)
		api_fail_store(c, there, "the account could not be read");
	if (!api_failed(c))
		plan(&e, arg);
	if (!api_failed(c) && !c->validate_only && e.change_cnt != 0)
		err = commit_changes(&e);
	forget_changes(&e);
	api_view_fini(c, &e.view);
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
