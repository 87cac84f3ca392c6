#include "api/accounts.h"

#include <stdlib.h>
#include <strings.h>

#include "api/auth.h"
#include "api/edit.h"
#include "api/field.h"
#include "api/handlers.h"
#include "api/record.h"
#include "base/clock.h"
#include "crypt/random.h"

#define ATTEMPTS_MAX 5

/* ---- reading ---- */

struct loader {
	struct api_accounts *accounts;
	enum err err;
};

static void load_account(void *arg, const struct store_row *row)
{
	struct loader *l = arg;
	struct api_accounts *a = l->accounts;

	if (a->cnt == a->cap) {
		a->cap = a->cap == 0 ? 16 : 2 * a->cap;
		a->list = reallocarray(a->list, a->cap, sizeof(*a->list));
		must(a->list != NULL);
	}
	enum err e = model_account_decode(row->value, &a->list[a->cnt]);
	if (e == ERR_NONE)
		a->cnt++;
	else if (l->err == ERR_NONE)
		l->err = e;
}

static int compare_numbers(const void *a, const void *b)
{
	const struct model_account *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

void api_accounts_load(struct api_call *c, struct api_accounts *ret)
{
	struct loader l = { .accounts = ret };

	*ret = (struct api_accounts){ 0 };
	enum err e = c->server->store == NULL ? ERR_AWAY
					      : store_range(c->server->store, bytes_str(MODEL_KEY_ACCOUNTS),
							    (struct bytes){ 0 }, 0, load_account, &l, NULL);
	if (e == ERR_NONE)
		e = l.err;
	if (e != ERR_NONE)
		api_fail_store(c, e, "the accounts could not be read");
	if (ret->cnt > 1)
		qsort(ret->list, ret->cnt, sizeof(*ret->list), compare_numbers);
}

void api_accounts_fini(struct api_accounts *a)
{
	free(a->list);
	*a = (struct api_accounts){ 0 };
}

/* ---- showing ---- */

static json_t *endpoints_json(const struct api_call *c, const struct model_account *a)
{
	bool own = a->endpoint_cnt != 0;
	const struct addr *list = own ? a->endpoints : c->server->conf->gateway_addresses;
	size_t cnt = own ? a->endpoint_cnt : c->server->conf->gateway_address_cnt;
	json_t *j = json_array();
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < cnt; i++)
		json_array_append_new(j, json_string(addr_format(&list[i], text)));
	return j;
}

static json_t *account_json(const struct api_call *c, const struct model_account *a)
{
	char id[MODEL_ID_TEXT_MAX], created[CLOCK_TEXT_MAX];
	json_t *onramp =
		json_pack("{s:I, s:s, s:o, s:s, s:b}", "number", (json_int_t)a->number, "identity_domain",
			  c->server->conf->identity_domain, "endpoints", endpoints_json(c, a),
			  "offramp_netns", a->offramp_netns, "offramp_default", a->offramp_default);

	return json_pack("{s:s, s:s, s:s, s:{s:b}, s:s, s:o}", "id", model_id_text(&a->id, id), "name",
			 a->name, "type", "standard", "settings", "enforce_twofactor", 0, "created_on",
			 clock_text(a->created_us, created), "onramp", onramp);
}

void api_account_get(struct api_call *c)
{
	api_answer(c, account_json(c, &c->account));
}

/* The caller's accounts: all for the administrator, the token's own for others. */
static void load_visible(struct api_call *c, struct api_accounts *ret)
{
	if (c->admin) {
		api_accounts_load(c, ret);
		return;
	}
	struct model_key key = model_key_account(&c->token.account_id);
	*ret = (struct api_accounts){ .list = calloc(1, sizeof(struct model_account)), .cap = 1 };
	must(ret->list != NULL);
	enum err e = api_record_account(c->server->store, &key, ret->list);
	if (e == ERR_NONE)
		ret->cnt = 1;
	else if (e != ERR_NOTFOUND)
		api_fail_store(c, e, "the account could not be read");
}

void api_accounts_list(struct api_call *c)
{
	struct api_accounts accounts;
	json_t *page = json_array();
	size_t total = 0, first = ((size_t)c->page - 1) * c->per_page;

	load_visible(c, &accounts);
	for (size_t i = 0; i < accounts.cnt; i++) {
		const struct model_account *a = &accounts.list[i];
		if (c->name_filter[0] != 0 && strcasecmp(c->name_filter, a->name) != 0)
			continue;
		if (total >= first && total - first < c->per_page)
			json_array_append_new(page, account_json(c, a));
		total++;
	}
	size_t pages = (total + c->per_page - 1) / c->per_page;
	c->result_info = json_pack("{s:I, s:I, s:I, s:I, s:I}", "page", (json_int_t)c->page, "per_page",
				   (json_int_t)c->per_page, "count", (json_int_t)json_array_size(page),
				   "total_count", (json_int_t)total, "total_pages", (json_int_t)pages);
	api_answer(c, page);
	api_accounts_fini(&accounts);
}

/* ---- making ---- */

static bool is_gateway_address(const struct conf *conf, const struct addr *a)
{
	for (size_t i = 0; i < conf->gateway_address_cnt; i++)
		if (addr_eq(&conf->gateway_addresses[i], a))
			return true;
	return false;
}

static void read_endpoints(const struct api_object *o, struct model_account *a)
{
	const json_t *list;

	if (!api_field_array(o, "endpoints", &list))
		return;
	if (json_array_size(list) > MODEL_ACCOUNT_ENDPOINTS_MAX) {
		api_field_fail(o, "endpoints", MODEL_CODE_ENDPOINT,
			       "\"endpoints\" has %zu addresses; at most %d are allowed.",
			       json_array_size(list), MODEL_ACCOUNT_ENDPOINTS_MAX);
		return;
	}
	a->endpoint_cnt = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *j = json_array_get(list, i);
		struct addr *to = &a->endpoints[a->endpoint_cnt];
		if (!json_is_string(j) || addr_parse(bytes_str(json_string_value(j)), to) != ERR_NONE ||
		    !is_gateway_address(o->call->server->conf, to)) {
			api_field_fail(o, "endpoints", MODEL_CODE_ENDPOINT,
				       "\"endpoints\": element %zu is \"%.64s\", which is none of "
				       "gateway_addresses in the configuration file.",
				       i + 1, json_is_string(j) ? json_string_value(j) : "");
			return;
		}
		a->endpoint_cnt++;
	}
}

static void read_account(const struct api_object *o, struct model_account *a)
{
	struct model_problem problem = { 0 };

	api_field_text(o, "name", MODEL_CODE_ACCOUNT, a->name, sizeof(a->name));
	api_field_text(o, "offramp_netns", MODEL_CODE_ACCOUNT, a->offramp_netns, sizeof(a->offramp_netns));
	api_field_bool(o, "offramp_default", API_NULL_REFUSED, &a->offramp_default);
	read_endpoints(o, a);
	if (!api_failed(o->call) && model_account_check(a, &problem) != ERR_NONE)
		api_fail_problem(o->call, o->pointer, &problem);
}

static void check_name_free(struct api_call *c, const struct model_account *a)
{
	struct api_accounts accounts;

	api_accounts_load(c, &accounts);
	for (size_t i = 0; i < accounts.cnt && !api_failed(c); i++)
		if (strcasecmp(accounts.list[i].name, a->name) == 0 && !model_id_eq(&accounts.list[i].id, &a->id))
			api_fail(c, 400, MODEL_CODE_NAME_TAKEN, "/name",
				 "name \"%.64s\" belongs to account number %u; choose another one.", a->name,
				 accounts.list[i].number);
	api_accounts_fini(&accounts);
}

static enum err commit_account(struct api_call *c, const struct model_account *a, uint64_t next_rev)
{
	struct model_key by_id = model_key_account(&a->id), by_number = model_key_account_number(a->number),
			 version = model_key_version(&a->id);
	uint8_t record[MODEL_ACCOUNT_RECORD_MAX], number[4], stamp[8];
	struct wr w = wr_of(SPACE_OF(record)), n = wr_of(SPACE_OF(number)), s = wr_of(SPACE_OF(stamp));

	must(model_account_encode(a, &w) == ERR_NONE);
	wr_u32(&n, a->number);
	wr_u64(&s, a->created_us);
	const struct store_cmp cmps[] = {
		{ bytes_str(MODEL_KEY_NEXT_ACCOUNT), next_rev },
		{ model_key_bytes(&by_number), 0 },
		{ model_key_bytes(&by_id), 0 },
	};
	const struct store_op ops[] = {
		{ STORE_PUT, bytes_str(MODEL_KEY_NEXT_ACCOUNT), wr_bytes(&n) },
		{ STORE_PUT, model_key_bytes(&by_id), wr_bytes(&w) },
		{ STORE_PUT, model_key_bytes(&by_number), BYTES_OF(a->id.b) },
		{ STORE_PUT, model_key_bytes(&version), wr_bytes(&s) },
	};
	const struct store_txn txn = { .cmps = cmps, .cmp_cnt = ARRAY_LEN(cmps), .ops = ops, .op_cnt = ARRAY_LEN(ops) };
	return store_commit(c->server->store, &txn).err;
}

/* Takes the next number, which is never given out twice. */
static enum err try_create(struct api_call *c, struct model_account *a)
{
	struct model_key next = { MODEL_KEY_NEXT_ACCOUNT };
	uint32_t last = 0;
	uint64_t rev = 0;
	enum err e = api_record_u32(c->server->store, &next, &last, &rev);

	if (e != ERR_NONE && e != ERR_NOTFOUND)
		return e;
	if (last == UINT32_MAX)
		return ERR_FULL;
	check_name_free(c, a);
	if (api_failed(c))
		return ERR_NONE;
	a->number = last + 1;
	return c->validate_only ? ERR_NONE : commit_account(c, a, rev);
}

void api_admin_account_create(struct api_call *c)
{
	struct model_account a;
	struct api_object body;
	enum err e = ERR_CONFLICT;

	if (!api_object_body(c, &body))
		return;
	model_account_init(&a);
	crypt_random(a.id.b, sizeof(a.id.b));
	a.number = 1;
	a.created_us = a.modified_us = clock_unix_us();
	api_field_require(&body, "name", "the account's name");
	read_account(&body, &a);
	for (unsigned i = 0; i < ATTEMPTS_MAX && e == ERR_CONFLICT && !api_failed(c); i++)
		e = try_create(c, &a);
	if (api_failed(c))
		return;
	if (e != ERR_NONE)
		api_fail_store(c, e, "the account was not stored");
	else
		api_answer(c, account_json(c, &a));
}

/* ---- changing and deleting ---- */

static bool has_endpoint(const struct conf *conf, const struct model_account *a, const struct addr *endpoint)
{
	for (size_t i = 0; i < a->endpoint_cnt; i++)
		if (addr_eq(&a->endpoints[i], endpoint))
			return true;
	return a->endpoint_cnt == 0 && is_gateway_address(conf, endpoint);
}

/* Its tunnels keep their addresses. */
static void check_endpoints_used(struct api_edit *e, const struct model_account *a, const char *pointer)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < e->view.tunnel_cnt && !api_failed(e->call); i++) {
		const struct model_tunnel *t = &e->view.tunnels[i];
		if (has_endpoint(e->call->server->conf, a, &t->cloudflare_endpoint))
			continue;
		struct model_problem problem = { .code = MODEL_CODE_IN_USE, .field = "/endpoints" };
		snprintf(problem.text, sizeof(problem.text),
			 "\"endpoints\" lacks %s, which is the cloudflare_endpoint of tunnel \"%.64s\"; change that tunnel first.",
			 addr_format(&t->cloudflare_endpoint, text), t->name);
		api_fail_problem(e->call, pointer, &problem);
	}
}

static void plan_update(struct api_edit *e, void *arg)
{
	const struct api_object *o = arg;
	struct api_call *c = e->call;
	struct model_account a = c->account;
	struct model_key key = model_key_account(&a.id);
	uint8_t record[MODEL_ACCOUNT_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(record));

	a.modified_us = e->now_us;
	read_account(o, &a);
	if (!api_failed(c))
		check_name_free(c, &a);
	if (json_object_get(o->json, "endpoints") != NULL)
		check_endpoints_used(e, &a, o->pointer);
	if (api_failed(c))
		return;
	must(model_account_encode(&a, &w) == ERR_NONE);
	api_edit_put(e, &key, wr_bytes(&w));
	api_answer(c, account_json(c, &a));
}

void api_admin_account_update(struct api_call *c)
{
	struct api_object body;

	api_auth_account(c, c->id);
	if (api_object_body(c, &body))
		api_edit_run(c, API_NEED_BOTH, plan_update, &body);
}

static void plan_delete(struct api_edit *e, void *arg)
{
	struct api_call *c = e->call;
	struct model_key by_id = model_key_account(&c->account.id), by_number = model_key_account_number(c->account.number);

	(void)arg;
	if (e->view.tunnel_cnt + e->view.route_cnt != 0) {
		api_fail(c, 400, MODEL_CODE_IN_USE, NULL,
			 "Account \"%.255s\" has %zu tunnel(s) and %zu route(s). Delete them first.", c->account.name,
			 e->view.tunnel_cnt, e->view.route_cnt);
		return;
	}
	api_edit_delete(e, &by_id);
	api_edit_delete(e, &by_number);
	api_answer(c, account_json(c, &c->account));
}

/* The number is not given out again; the account's tokens end with it. */
void api_admin_account_delete(struct api_call *c)
{
	api_auth_account(c, c->id);
	if (!api_failed(c))
		api_edit_run(c, API_NEED_BOTH, plan_delete, NULL);
	if (!api_failed(c) && !c->validate_only)
		api_tokens_revoke(c, &c->account.id);
}
