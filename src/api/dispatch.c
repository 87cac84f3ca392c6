#include "api/dispatch.h"

#include <stdio.h>
#include <strings.h>

#include "api/body.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/log.h"

enum access {
	ACCESS_READ = 0,
	ACCESS_WRITE = 1, /* asks for the right to write */
	ACCESS_ADMIN = 2, /* the administrator's socket only */
};

struct row {
	unsigned methods; /* of enum api_method */
	const char *pattern;
	unsigned access;
	api_handler *handler;
};

#define MAGIC "accounts/:a/magic/"
#define ONRAMP "accounts/:a/onramp/"

/* The first row whose pattern and method fit; so a literal stands before an :id. */
static const struct row rows[] = {
	{ API_GET, MAGIC "ipsec_tunnels", ACCESS_READ, api_tunnels_list },
	{ API_POST, MAGIC "ipsec_tunnels", ACCESS_WRITE, api_tunnels_create },
	{ API_PUT, MAGIC "ipsec_tunnels", ACCESS_WRITE, api_tunnels_bulk_update },
	{ API_POST, MAGIC "ipsec_tunnels/psk", ACCESS_WRITE, api_psk_set },
	{ API_GET, MAGIC "ipsec_tunnels/:id", ACCESS_READ, api_tunnel_get },
	{ API_PUT | API_PATCH, MAGIC "ipsec_tunnels/:id", ACCESS_WRITE, api_tunnel_update },
	{ API_DELETE, MAGIC "ipsec_tunnels/:id", ACCESS_WRITE, api_tunnel_delete },
	{ API_POST, MAGIC "ipsec_tunnels/:id/psk_generate", ACCESS_WRITE, api_psk_generate },
	{ API_GET, MAGIC "routes", ACCESS_READ, api_routes_list },
	{ API_POST, MAGIC "routes", ACCESS_WRITE, api_routes_create },
	{ API_PUT, MAGIC "routes", ACCESS_WRITE, api_routes_bulk_update },
	{ API_DELETE, MAGIC "routes", ACCESS_WRITE, api_routes_bulk_delete },
	{ API_GET, MAGIC "routes/:id", ACCESS_READ, api_route_get },
	{ API_PUT | API_PATCH, MAGIC "routes/:id", ACCESS_WRITE, api_route_update },
	{ API_DELETE, MAGIC "routes/:id", ACCESS_WRITE, api_route_delete },
	{ API_GET, "accounts", ACCESS_READ, api_accounts_list },
	{ API_GET, "accounts/:a", ACCESS_READ, api_account_get },
	{ API_GET, "user/tokens/verify", ACCESS_READ, api_token_verify },
	{ API_GET, "accounts/:a/tokens/verify", ACCESS_READ, api_token_verify },
	{ API_GET, ONRAMP "status", ACCESS_READ, api_status_list },
	{ API_GET, ONRAMP "tunnels/:id/status", ACCESS_READ, api_status_tunnel },
	{ API_GET, ONRAMP "tunnels/:id/why", ACCESS_READ, api_tunnel_why },
	{ API_POST, ONRAMP "tunnels/:id/rekey", ACCESS_WRITE, api_tunnel_rekey },
	{ API_GET, "onramp/suites", ACCESS_READ, api_suites_list },
	{ API_GET, "admin/status", ACCESS_ADMIN, api_admin_status },
	{ API_GET, "admin/unknown", ACCESS_ADMIN, api_admin_unknown },
	{ API_GET, "admin/nodes", ACCESS_ADMIN, api_admin_nodes },
	{ API_GET, "admin/node/ready", ACCESS_ADMIN, api_admin_node_ready },
	{ API_POST, "admin/node/drain", ACCESS_ADMIN, api_admin_node_drain },
	{ API_POST, "admin/node/undrain", ACCESS_ADMIN, api_admin_node_undrain },
	{ API_GET, "admin/accounts", ACCESS_ADMIN, api_accounts_list },
	{ API_POST, "admin/accounts", ACCESS_ADMIN, api_admin_account_create },
	{ API_PUT | API_PATCH, "admin/accounts/:id", ACCESS_ADMIN, api_admin_account_update },
	{ API_DELETE, "admin/accounts/:id", ACCESS_ADMIN, api_admin_account_delete },
	{ API_GET, "admin/tokens", ACCESS_ADMIN, api_admin_tokens_list },
	{ API_POST, "admin/tokens", ACCESS_ADMIN, api_admin_token_create },
	{ API_DELETE, "admin/tokens/:id", ACCESS_ADMIN, api_admin_token_revoke },
};

static enum api_method parse_method(const char *method)
{
	static const struct {
		const char *name;
		enum api_method method;
	} methods[] = { { "GET", API_GET },
			{ "HEAD", API_GET }, /* RFC 9110 9.3.2: the library leaves the content out */
			{ "POST", API_POST },
			{ "PUT", API_PUT },
			{ "PATCH", API_PATCH },
			{ "DELETE", API_DELETE } };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(method, methods[i].name) == 0)
			return methods[i].method;
	return API_OTHER;
}

static void fail_no_route(struct api_call *c, const char *url)
{
	api_fail(c, 404, API_CODE_NO_ROUTE, NULL,
		 "Could not route to %.200s, perhaps your object identifier is invalid? doc/api.md lists the "
		 "paths.",
		 url);
}

/* The row for the call; fails it when there is none. */
static const struct row *find_row(struct api_call *c, const struct api_request *r, struct bytes *ret_account)
{
	bool path_known = false;
	struct bytes id;

	if (api_path_parse(r->url, &c->path) != ERR_NONE) {
		fail_no_route(c, r->url);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		if ((row->access & ACCESS_ADMIN) != 0 && !r->from_admin_socket)
			continue;
		if (!api_path_match(&c->path, row->pattern, ret_account, &id))
			continue;
		path_known = true;
		if ((row->methods & c->method) == 0) {
			c->allowed |= row->methods;
			continue;
		}
		c->id = id;
		/* an empty id is no id: DELETE .../routes/ must not come near DELETE .../routes */
		if (strstr(row->pattern, ":id") != NULL && id.len == 0)
			break;
		return row;
	}
	if (path_known && c->id.p == NULL)
		api_fail(c, 405, API_CODE_BAD_METHOD, NULL, "Method %.16s not available for that URI.",
			 r->method);
	else
		fail_no_route(c, r->url);
	return NULL;
}

static bool is_word(const char *value, const char *a, const char *b)
{
	return strcasecmp(value, a) == 0 || strcmp(value, b) == 0;
}

static unsigned read_count(struct api_call *c, const char *name, const char *text, unsigned value,
			   unsigned max)
{
	uint64_t v;

	if (text == NULL)
		return value;
	if (text_u64_parse(bytes_str(text), max, &v) == ERR_NONE && v > 0)
		return (unsigned)v;
	api_fail(c, 400, MODEL_CODE_OTHER, NULL,
		 "The query's \"%s\" is \"%.32s\"; send a number from 1 to %u.", name, text, max);
	return value;
}

/* validate_only in a spelling that nobody foresaw must not turn a question into a change. */
static void read_query(struct api_call *c, const struct api_request *r)
{
	const char *v = r->validate_only;

	if (v != NULL && is_word(v, "true", "1"))
		c->validate_only = true;
	else if (v != NULL && !is_word(v, "false", "0"))
		api_fail(c, 400, MODEL_CODE_OTHER, NULL,
			 "The query's \"validate_only\" is \"%.32s\"; send true or false. Nothing was "
			 "changed.",
			 v);
	c->object_target = r->object_target != NULL && is_word(r->object_target, "true", "1");
	c->page = read_count(c, "page", r->page, 1, 1000000);
	c->per_page = read_count(c, "per_page", r->per_page, 20, 1000);
	if (r->name != NULL && api_query_decode(r->name, c->name_filter, sizeof(c->name_filter)) != ERR_NONE)
		api_fail(c, 400, MODEL_CODE_OTHER, NULL,
			 "The query's \"name\" is too long or has a broken %% escape.");
}

/* Strangers write few lines, however often they try. */
static void log_stranger(const struct api_call *c)
{
	static struct log_limit limit = { .burst = 3, .window_ms = 60000 };
	uint32_t held;

	if (log_limit_take(&limit, clock_mono_ms(), &held))
		log_warn("audit: a request without good credentials: %u (%u lines held back)", c->status,
			 held);
}

/* A path has many spellings, and the log one, in which an id is found. */
static const char *path_text(const struct api_path *p, char text[static API_PATH_TEXT_MAX])
{
	size_t at = 0;

	text[0] = 0;
	for (size_t i = 0; i < p->cnt && at < API_PATH_TEXT_MAX; i++) {
		int n = snprintf(text + at, API_PATH_TEXT_MAX - at, "/%.*s", (int)p->segments[i].len, (const char *)p->segments[i].p);
		at += n < 0 ? 0 : (size_t)n;
	}
	return text;
}

/* One line for each change, with who asked and what came of it; never a body. */
static void log_change(const struct api_call *c, const struct api_request *r, const struct row *row)
{
	char id[MODEL_ID_TEXT_MAX] = "-", path[API_PATH_TEXT_MAX];

	if (row != NULL && !c->admin && !c->has_token)
		log_stranger(c);
	if (c->method == API_GET || row == NULL || (!c->admin && !c->has_token))
		return;
	if (c->has_token)
		model_id_text(&c->token.id, id);
	log_info("audit: %s %s, %s %s: %u%s", c->admin ? "administrator" : "token", id, r->method, path_text(&c->path, path),
		 c->status, c->validate_only ? " (validate only)" : "");
}

void api_dispatch(struct api_call *c, const struct api_request *r)
{
	struct bytes account = { 0 };

	c->method = parse_method(r->method);
	c->body = r->body;
	if (r->from_admin_socket && !r->admin_allowed) {
		api_fail(c, 403, API_CODE_FORBIDDEN, NULL,
			 "Only root and the daemon's own user may use this socket. Use the API's address "
			 "with a token.");
		return;
	}
	c->admin = r->from_admin_socket;
	const struct row *row = find_row(c, r, &account);
	if (row != NULL) {
		api_auth_check(c, &r->credentials);
		if ((row->access & ACCESS_WRITE) != 0)
			api_auth_check_write(c);
		read_query(c, r);
		if (account.p != NULL)
			api_auth_account(c, account);
	}
	if (!api_failed(c) && (c->method != API_DELETE || row->handler == &api_routes_bulk_delete))
		api_body_parse(c);
	if (!api_failed(c))
		row->handler(c);
	must(c->status != 0);
	log_change(c, r, row);
}
