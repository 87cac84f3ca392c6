#include <string.h>

#include "cli/commands.h"

#define ROUTES "/magic/routes"

static const char *value(const struct cli *cli, const char *name)
{
	return cli_args_value(&cli->args, name);
}

static void print_weight(const json_t *r, char text[static 24])
{
	const json_t *w = json_object_get(r, "weight");
	snprintf(text, 24, w == NULL ? "-" : "%" JSON_INTEGER_FORMAT, json_integer_value(w));
}

static void print_route(const json_t *r)
{
	char weight[24];

	print_weight(r, weight);
	cli_line("prefix", cli_text(r, "prefix"));
	cli_line("next hop", cli_text(r, "nexthop"));
	cli_linef("priority", "%" JSON_INTEGER_FORMAT, cli_number(r, "priority"));
	cli_line("weight", weight);
	cli_line("description", cli_text(r, "description"));
	cli_line("id", cli_text(r, "id"));
}

/* An id goes into the path, so it must be one. */
static int make_path(const struct cli *cli, char path[static 128])
{
	const char *id = cli->args.words[0];

	if (!cli_is_id(id)) {
		fprintf(stderr, "onramp: a route is named by its id of 32 hexadecimal characters; \"onramp "
				"route list\" shows them\n");
		return CLI_USAGE;
	}
	snprintf(path, 128, "%s/%s", ROUTES, id);
	return CLI_OK;
}

int cli_route_create(struct cli *cli)
{
	const char *priority = value(cli, "priority");
	json_t *result = NULL,
	       *body = json_pack("{s:s, s:s}", "prefix", cli->args.words[0], "nexthop", cli->args.words[1]);

	if (body == NULL) {
		fprintf(stderr, "onramp: prefix or next hop is not valid UTF-8\n");
		return CLI_USAGE;
	}
	json_object_set_new(body, "priority", cli_number_or_text(priority != NULL ? priority : "100"));
	if (value(cli, "weight") != NULL)
		json_object_set_new(body, "weight", cli_number_or_text(value(cli, "weight")));
	if (value(cli, "description") != NULL)
		json_object_set_new(body, "description", json_string(value(cli, "description")));
	int r = cli_account_call(cli, "POST", ROUTES, body, &result);
	json_object_del(result, "routes");
	return cli_answer(cli, r, result, NULL, print_route);
}

int cli_route_update(struct cli *cli)
{
	static const char *const fields[] = { "prefix", "nexthop", "priority", "weight", "description" };
	json_t *result = NULL, *body = json_object();
	char path[128];
	int r = make_path(cli, path);

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *v = value(cli, fields[i]);
		bool number = strcmp(fields[i], "priority") == 0 || strcmp(fields[i], "weight") == 0;
		if (v != NULL && json_object_set_new(body, fields[i], number ? cli_number_or_text(v) : json_string(v)) != 0) {
			fprintf(stderr, "onramp: --%s is not valid UTF-8\n", fields[i]);
			r = CLI_USAGE;
		}
	}
	if (r == CLI_OK && json_object_size(body) == 0) {
		fprintf(stderr, "onramp: nothing to change; \"onramp route update --help\" lists the options\n");
		r = CLI_USAGE;
	}
	if (r != CLI_OK) {
		json_decref(body);
		return r;
	}
	r = cli_account_call(cli, "PUT", path, body, &result);
	return cli_answer(cli, r, result, "modified_route", print_route);
}

int cli_route_list(struct cli *cli)
{
	json_t *result = NULL, *one;
	struct cli_table t;
	char weight[24];
	size_t i;
	int r = cli_account_call(cli, "GET", ROUTES, NULL, &result);

	if (r != CLI_OK)
		return r;
	if (cli->args.json) {
		cli_print_json(json_object_get(result, "routes"));
		json_decref(result);
		return r;
	}
	cli_table_init(&t, "PREFIX|NEXT HOP|PRIORITY|WEIGHT|ID|DESCRIPTION");
	json_array_foreach (json_object_get(result, "routes"), i, one) {
		print_weight(one, weight);
		cli_table_cell(&t, cli_text(one, "prefix"));
		cli_table_cell(&t, cli_text(one, "nexthop"));
		cli_table_cellf(&t, "%" JSON_INTEGER_FORMAT, cli_number(one, "priority"));
		cli_table_cell(&t, weight);
		cli_table_cell(&t, cli_text(one, "id"));
		cli_table_cell(&t, cli_text(one, "description"));
	}
	cli_table_end(&t, "There is no route yet: \"onramp route create\" makes one.");
	json_decref(result);
	return r;
}

int cli_route_show(struct cli *cli)
{
	json_t *result = NULL;
	char path[128];
	int r = make_path(cli, path);

	if (r == CLI_OK)
		r = cli_account_call(cli, "GET", path, NULL, &result);
	return cli_answer(cli, r, result, "route", print_route);
}

static void print_deleted(const json_t *route)
{
	printf("deleted %s via %s\n", cli_text(route, "prefix"), cli_text(route, "nexthop"));
}

int cli_route_delete(struct cli *cli)
{
	json_t *result = NULL;
	char path[128];
	int r = make_path(cli, path);

	if (r == CLI_OK)
		r = cli_account_call(cli, "DELETE", path, NULL, &result);
	return cli_answer(cli, r, result, "deleted_route", print_deleted);
}
