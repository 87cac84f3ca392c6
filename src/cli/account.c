#include <string.h>

#include "cli/commands.h"

static const char *value(const struct cli *cli, const char *name)
{
	return cli_args_value(&cli->args, name);
}

/* "a,b" as an array of texts. */
static json_t *split_commas(const char *text)
{
	json_t *list = json_array();

	for (const char *at = text;; at += strcspn(at, ",") + 1) {
		json_array_append_new(list, json_stringn(at, strcspn(at, ",")));
		if (at[strcspn(at, ",")] == 0)
			return list;
	}
}

static void join_texts(const json_t *list, char *text, size_t cap)
{
	size_t at = 0;

	text[0] = 0;
	for (size_t i = 0; i < json_array_size(list) && at < cap; i++) {
		int n = snprintf(text + at, cap - at, "%s%s", i == 0 ? "" : ", ",
				 json_string_value(json_array_get(list, i)));
		at += n < 0 ? 0 : (size_t)n;
	}
}

static void print_account(const json_t *a)
{
	const json_t *o = json_object_get(a, "onramp");
	char text[512];

	join_texts(json_object_get(o, "endpoints"), text, sizeof(text));
	cli_line("name", cli_text(a, "name"));
	cli_line("id", cli_text(a, "id"));
	cli_linef("number", "%" JSON_INTEGER_FORMAT, cli_number(o, "number"));
	cli_line("gateway addresses", text);
	cli_line("off-ramp", json_is_true(json_object_get(o, "offramp_default"))
				     ? "packets for no route go there"
				     : "packets for no route are dropped");
	if (cli_text(o, "offramp_netns") != NULL && cli_text(o, "offramp_netns")[0] != 0)
		cli_line("off-ramp namespace", cli_text(o, "offramp_netns"));
}

int cli_account_create(struct cli *cli)
{
	json_t *result = NULL, *body = json_pack("{s:s}", "name", cli->args.words[0]);

	if (body == NULL) {
		fprintf(stderr, "onramp: the name is not valid UTF-8\n");
		return CLI_USAGE;
	}
	if (value(cli, "endpoint") != NULL)
		json_object_set_new(body, "endpoints", split_commas(value(cli, "endpoint")));
	if (value(cli, "netns") != NULL)
		json_object_set_new(body, "offramp_netns", json_string(value(cli, "netns")));
	if (value(cli, "no-offramp") != NULL)
		json_object_set_new(body, "offramp_default", json_false());
	int r = cli_call(cli, "POST", "/admin/accounts", body, &result);
	return cli_answer(cli, r, result, NULL, print_account);
}

/* The account that the command names, in the path of the administrator's call. */
static int make_path(struct cli *cli, char path[static 128])
{
	cli->args.account = cli->args.words[0];
	int r = cli_find_account(cli);
	snprintf(path, 128, "/admin/accounts/%s", cli->account);
	return r;
}

static int read_changes(struct cli *cli, json_t *body)
{
	const char *name = value(cli, "name"), *netns = value(cli, "netns"), *offramp = value(cli, "offramp"),
		   *endpoint = value(cli, "endpoint");

	if (offramp != NULL && strcmp(offramp, "yes") != 0 && strcmp(offramp, "no") != 0) {
		fprintf(stderr, "onramp: --offramp is yes or no\n");
		return CLI_USAGE;
	}
	if (endpoint != NULL)
		json_object_set_new(body, "endpoints", strcmp(endpoint, "all") == 0 ? json_array() : split_commas(endpoint));
	if (offramp != NULL)
		json_object_set_new(body, "offramp_default", json_boolean(strcmp(offramp, "yes") == 0));
	if ((name != NULL && json_object_set_new(body, "name", json_string(name)) != 0) ||
	    (netns != NULL &&
	     json_object_set_new(body, "offramp_netns", json_string(strcmp(netns, "main") == 0 ? "" : netns)) != 0)) {
		fprintf(stderr, "onramp: the name is not valid UTF-8\n");
		return CLI_USAGE;
	}
	if (json_object_size(body) != 0)
		return CLI_OK;
	fprintf(stderr, "onramp: nothing to change; \"onramp account update --help\" lists the options\n");
	return CLI_USAGE;
}

int cli_account_update(struct cli *cli)
{
	json_t *result = NULL, *body = json_object();
	char path[128];
	int r = read_changes(cli, body);

	if (r == CLI_OK)
		r = make_path(cli, path);
	if (r == CLI_OK)
		r = cli_call(cli, "PUT", path, json_incref(body), &result);
	json_decref(body);
	return cli_answer(cli, r, result, NULL, print_account);
}

static void print_deleted(const json_t *account)
{
	printf("deleted %s\n", cli_text(account, "name"));
}

int cli_account_delete(struct cli *cli)
{
	json_t *result = NULL;
	char path[128];
	int r = make_path(cli, path);

	if (r == CLI_OK)
		r = cli_call(cli, "DELETE", path, NULL, &result);
	return cli_answer(cli, r, result, NULL, print_deleted);
}

int cli_account_list(struct cli *cli)
{
	json_t *result = NULL, *a;
	struct cli_table t;
	char text[512];
	size_t i;
	int r = cli_load_accounts(cli, &result);

	if (r != CLI_OK)
		return r;
	if (cli->args.json) {
		cli_print_json(result);
		json_decref(result);
		return r;
	}
	cli_table_init(&t, "NUMBER|NAME|ID|GATEWAY ADDRESSES|CREATED");
	json_array_foreach (result, i, a) {
		const json_t *o = json_object_get(a, "onramp");
		join_texts(json_object_get(o, "endpoints"), text, sizeof(text));
		cli_table_cellf(&t, "%" JSON_INTEGER_FORMAT, cli_number(o, "number"));
		cli_table_cell(&t, cli_text(a, "name"));
		cli_table_cell(&t, cli_text(a, "id"));
		cli_table_cell(&t, text);
		cli_table_cell(&t, cli_text(a, "created_on"));
	}
	cli_table_end(&t, "There is no account yet: \"onramp account create NAME\" makes one.");
	json_decref(result);
	return r;
}

/* ---- tokens ---- */

int cli_token_create(struct cli *cli)
{
	json_t *result = NULL, *body;
	int r;

	if (value(cli, "read") != NULL && value(cli, "write") != NULL) {
		fprintf(stderr,
			"onramp: --read or --write, not both: a token that may write may also read\n");
		return CLI_USAGE;
	}
	r = cli_find_account(cli);
	if (r != CLI_OK)
		return r;
	body = json_pack("{s:s, s:s, s:s, s:s}", "account_id", cli->account, "right",
			 value(cli, "write") != NULL ? "write" : "read", "name",
			 value(cli, "name") != NULL ? value(cli, "name") : "", "email",
			 value(cli, "email") != NULL ? value(cli, "email") : "");
	if (body == NULL) {
		fprintf(stderr, "onramp: the name or e-mail address is not valid UTF-8\n");
		return CLI_USAGE;
	}
	r = cli_call(cli, "POST", "/admin/tokens", body, &result);
	if (r == CLI_OK && cli->args.json) {
		cli_print_json(result);
	} else if (r == CLI_OK) {
		cli_line("token", cli_text(result, "token"));
		cli_line("id", cli_text(result, "id"));
		cli_line("account", cli_text(result, "account_id"));
		cli_line("right", cli_text(result, "right"));
		fprintf(stderr, "The token is shown this once; keep it like a password.\n");
	}
	json_decref(result);
	return r;
}

int cli_token_list(struct cli *cli)
{
	json_t *result = NULL, *t;
	struct cli_table table;
	size_t i;
	int r = cli_call(cli, "GET", "/admin/tokens", NULL, &result);

	if (r != CLI_OK)
		return r;
	if (cli->args.json) {
		cli_print_json(result);
		json_decref(result);
		return r;
	}
	cli_table_init(&table, "ID|ACCOUNT|RIGHT|STATUS|NAME|E-MAIL|CREATED");
	json_array_foreach (result, i, t) {
		static const char *const keys[] = { "id",   "account_id", "right",     "status",
						    "name", "email",	  "created_on" };
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			cli_table_cell(&table, cli_text(t, keys[k]));
	}
	cli_table_end(&table, "There is no token yet: \"onramp token create\" makes one.");
	json_decref(result);
	return r;
}

static void print_revoked(const json_t *token)
{
	printf("revoked %s\n", cli_text(token, "id"));
}

int cli_token_revoke(struct cli *cli)
{
	json_t *result = NULL;
	char path[128];

	if (!cli_is_id(cli->args.words[0])) {
		fprintf(stderr,
			"onramp: a token is revoked by its id of 32 hexadecimal characters, not by itself; "
			"\"onramp token list\" shows the ids\n");
		return CLI_USAGE;
	}
	snprintf(path, sizeof(path), "/admin/tokens/%s", cli->args.words[0]);
	int r = cli_call(cli, "DELETE", path, NULL, &result);
	return cli_answer(cli, r, result, NULL, print_revoked);
}
