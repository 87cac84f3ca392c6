#include <stdio.h>
#include <stdlib.h>

#include "api/accounts.h"
#include "api/handlers.h"
#include "api/status_json.h"
#include "base/iana.h"
#include "model/counter.h"
#include "model/drop.h"
#include "model/proposal.h"

#define API_WHY_MAX 32

void api_status_list(struct api_call *c)
{
	struct api_states states = { 0 };
	struct api_view view;

	api_view_load(c, API_NEED_TUNNELS, &view);
	if (!api_failed(c))
		api_states_load(c, NULL, &states);
	if (!api_failed(c)) {
		json_t *list = json_array();
		for (size_t i = 0; i < view.tunnel_cnt; i++)
			json_array_append_new(list, api_status_json(c, &states, &view.tunnels[i]));
		api_answer(c, json_pack("{s:s, s:o}", "gateway", states.gateway_away ? "away" : "up",
					"tunnels", list));
	}
	api_states_fini(&states);
	api_view_fini(c, &view);
}

/* The call's tunnel and how it is; the call has failed if there is none. */
static const struct model_tunnel *load_tunnel(struct api_call *c, struct api_view *view, struct api_states *states)
{
	struct model_id id;

	api_view_load(c, API_NEED_TUNNELS, view);
	const struct model_tunnel *t = model_id_parse(c->id, &id) == ERR_NONE ? api_view_tunnel(view, &id) : NULL;
	if (t == NULL)
		api_fail(c, 404, MODEL_CODE_TUNNEL_NOT_FOUND, NULL, "IPsec tunnel not found");
	else
		api_states_load(c, &id, states);
	return t;
}

void api_status_tunnel(struct api_call *c)
{
	struct api_states states = { 0 };
	struct api_view view;

	const struct model_tunnel *t = load_tunnel(c, &view, &states);
	if (!api_failed(c))
		api_answer(c, api_status_json(c, &states, t));
	api_states_fini(&states);
	api_view_fini(c, &view);
}

/* ---- the administrator's overview ---- */

static json_t *account_line(struct api_call *c)
{
	struct api_states states = { 0 };
	struct api_view view;
	char id[MODEL_ID_TEXT_MAX];
	json_t *o = NULL;
	size_t up = 0;

	api_view_load(c, API_NEED_BOTH, &view);
	if (!api_failed(c))
		api_states_load(c, NULL, &states);
	for (size_t i = 0; i < view.tunnel_cnt; i++)
		up += api_states_up(&states, &view.tunnels[i].id);
	if (!api_failed(c))
		o = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I}", "id", model_id_text(&c->account.id, id),
			      "number", (json_int_t)c->account.number, "name", c->account.name, "tunnels",
			      (json_int_t)view.tunnel_cnt, "tunnels_up", (json_int_t)up, "routes",
			      (json_int_t)view.route_cnt);
	api_states_fini(&states);
	api_view_fini(c, &view);
	return o;
}

/* The help of a counter or drop reason by the name that the gateway gave. */
static const char *find_help(const char *name)
{
	static const struct {
		const char *name, *help;
	} present[] = { { "half_open", "handshakes that are half open now" },
			{ "ike_sas", "IKE SAs, for a minute also those that ended, which still answer what is repeated" },
			{ "child_sas", "Child SAs that are installed now" } };

	for (unsigned i = 0; i < MODEL_COUNTER_CNT; i++)
		if (strcmp(name, model_counter_name(i)) == 0)
			return model_counter_help(i);
	if (strncmp(name, "drop_", 5) == 0)
		name += 5;
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		if (strcmp(name, model_drop_name(i)) == 0)
			return model_drop_text(i);
	for (size_t i = 0; i < ARRAY_LEN(present); i++)
		if (strcmp(name, present[i].name) == 0)
			return present[i].help;
	return "";
}

static void add_counter(void *arg, const struct model_live_counter *counter)
{
	json_array_append_new(arg, json_pack("{s:s, s:I, s:s}", "name", counter->name, "value",
					     (json_int_t)counter->value, "help", find_help(counter->name)));
}

struct failures {
	const struct api_call *call;
	json_t *list;
};

static void add_failure(void *arg, const struct model_failure *f)
{
	struct failures *s = arg;
	json_array_append_new(s->list, api_verdict_json(s->call, f, NULL));
}

static void add_stored_failure(void *arg, const struct store_row *row)
{
	struct model_failure f;

	if (model_failure_decode(row->value, &f) == ERR_NONE)
		add_failure(arg, &f);
}

/* Failures of peers that no tunnel knows: from the gateway, else from the store. */
static json_t *unknown_json(struct api_call *c)
{
	struct failures s = { c, json_array() };
	const struct model_live_request request = { .op = MODEL_LIVE_UNKNOWN };
	const struct model_live_sink sink = { .failure = add_failure, .arg = &s };

	enum err e = api_live_ask(&c->server->live, &request, &sink);
	if (e == ERR_NONE || c->server->store == NULL)
		return s.list;
	json_array_clear(s.list);
	e = store_range(c->server->store, bytes_str(MODEL_KEY_UNKNOWN), (struct bytes){ 0 }, 0,
			add_stored_failure, &s, NULL);
	if (e != ERR_NONE)
		api_fail_store(c, e, "the failures of unknown peers could not be read");
	return s.list;
}

void api_admin_unknown(struct api_call *c)
{
	json_t *unknown = unknown_json(c);
	api_answer(c, json_pack("{s:o}", "unknown_peers", unknown));
}

/* ---- why a tunnel fails ---- */

struct why {
	const struct api_call *call;
	const struct model_tunnel *tunnel;
	json_t *history, *near;
};

static void add_why(void *arg, const struct model_failure *f)
{
	struct why *w = arg;

	if (model_id_eq(&f->tunnel_id, &w->tunnel->id))
		json_array_append_new(w->history, api_verdict_json(w->call, f, w->tunnel));
	else
		json_array_append_new(w->near, api_verdict_json(w->call, f, NULL));
}

static void add_stored_why(void *arg, const struct store_row *row)
{
	struct model_failure f;

	if (model_failure_decode(row->value, &f) == ERR_NONE)
		add_why(arg, &f);
}

/* RFC 3339 texts of one length and zone sort as times do. */
static int compare_seen(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	const char *s = json_string_value(json_object_get(*x, "last_seen"));
	const char *t = json_string_value(json_object_get(*y, "last_seen"));
	return strcmp(t != NULL ? t : "", s != NULL ? s : "");
}

/* The store has them by slot. */
static void sort_newest_first(json_t *list)
{
	json_t *items[API_WHY_MAX];
	size_t cnt = json_array_size(list) < API_WHY_MAX ? json_array_size(list) : API_WHY_MAX;

	for (size_t i = 0; i < cnt; i++)
		items[i] = json_incref(json_array_get(list, i));
	qsort(items, cnt, sizeof(items[0]), compare_seen);
	json_array_clear(list);
	for (size_t i = 0; i < cnt; i++)
		json_array_append_new(list, items[i]);
}

/* From the gateway, else from the store, which does not know who is near. */
static void read_why(struct api_call *c, struct why *w)
{
	const struct model_live_request request = { .op = MODEL_LIVE_WHY, .account_id = c->account.id,
						    .tunnel_id = w->tunnel->id };
	const struct model_live_sink sink = { .failure = add_why, .arg = w };
	struct model_key key = model_key_why_all(&c->account.id, &w->tunnel->id);

	if (api_live_ask(&c->server->live, &request, &sink) == ERR_NONE || c->server->store == NULL)
		return;
	json_array_clear(w->history);
	json_array_clear(w->near);
	enum err e = store_range(c->server->store, model_key_bytes(&key), (struct bytes){ 0 }, 0, add_stored_why, w, NULL);
	if (e != ERR_NONE)
		api_fail_store(c, e, "the failures of the tunnel could not be read");
	sort_newest_first(w->history);
}

void api_tunnel_why(struct api_call *c)
{
	struct api_states states = { 0 };
	struct api_view view;

	const struct model_tunnel *t = load_tunnel(c, &view, &states);
	if (!api_failed(c)) {
		struct why w = { c, t, json_array(), json_array() };
		json_t *status = api_status_json(c, &states, t);
		read_why(c, &w);
		json_t *o = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:o, s:o}", "id", json_object_get(status, "id"),
				      "name", json_object_get(status, "name"), "up", json_object_get(status, "up"),
				      "since", json_object_get(status, "since"), "source",
				      json_object_get(status, "source"), "psk_set", json_object_get(status, "psk_set"), "verdict", json_object_get(status, "verdict"),
				      "history", w.history, "unknown_near", w.near);
		json_decref(status);
		api_answer(c, o);
	}
	api_states_fini(&states);
	api_view_fini(c, &view);
}

/* ---- the overview ---- */

void api_admin_status(struct api_call *c)
{
	struct api_accounts accounts;
	json_t *lines = json_array(), *counters = json_array();
	const struct model_live_request request = { .op = MODEL_LIVE_COUNTERS };
	const struct model_live_sink sink = { .counter = add_counter, .arg = counters };

	bool away = api_live_ask(&c->server->live, &request, &sink) != ERR_NONE;
	json_t *unknown = unknown_json(c);
	api_accounts_load(c, &accounts);
	for (size_t i = 0; i < accounts.cnt && !api_failed(c); i++) {
		c->account = accounts.list[i];
		json_t *line = account_line(c);
		if (line != NULL)
			json_array_append_new(lines, line);
	}
	api_accounts_fini(&accounts);
	/* once for all accounts is enough */
	while (json_array_size(c->messages) > 1)
		json_array_remove(c->messages, 1);
	api_answer(c, json_pack("{s:s, s:s, s:o, s:o, s:o}", "version", ONRAMP_VERSION, "gateway",
				away ? "away" : "up", "accounts", lines, "counters", counters,
				"unknown_peers", unknown));
}

/* ---- the table of algorithms ---- */

static json_t *transform_json(const struct model_transform *t)
{
	json_t *o = json_pack("{s:s, s:i, s:i, s:s, s:s}", "name", t->name, "id", (int)t->id, "key_bits",
			      (int)t->key_bits, "swanctl", t->swanctl, "rfc", t->rfc);

	json_t *profiles = json_array();

	for (unsigned i = 0; i < MODEL_PROFILE_CNT; i++)
		if ((t->profiles & MODEL_PROFILE_BIT(i)) != 0)
			json_array_append_new(profiles, json_string(model_profile_name((uint8_t)i)));
	json_object_set_new(o, "profiles", profiles);
	if (t->opt_in == MODEL_OPT_IN_NULL)
		json_object_set_new(o, "needs", json_string("allow_null_cipher"));
	else if (t->opt_in == MODEL_OPT_IN_ESN)
		json_object_set_new(o, "needs", json_string("onramp.esn"));
	return o;
}

static json_t *phase_json(enum model_phase phase)
{
	static const struct {
		uint8_t type;
		const char *name;
	} types[] = { { IKE_TT_ENCR, "encryption" },
		      { IKE_TT_INTEG, "integrity" },
		      { IKE_TT_PRF, "prf" },
		      { IKE_TT_KE, "group" },
		      { IKE_TT_ESN, "esn" } };
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		json_t *list = json_array();
		for (size_t k = 0; k < model_transform_cnt; k++)
			if (model_transforms[k].type == types[i].type &&
			    (model_transforms[k].phase & phase) != 0)
				json_array_append_new(list, transform_json(&model_transforms[k]));
		if (json_array_size(list) != 0)
			json_object_set(o, types[i].name, list);
		json_decref(list);
	}
	return o;
}

void api_suites_list(struct api_call *c)
{
	api_answer(c, json_pack("{s:o, s:o}", "ike", phase_json(MODEL_PHASE_IKE), "child",
				phase_json(MODEL_PHASE_CHILD)));
}
