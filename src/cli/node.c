// onramp node: this host's gateway as a node of a cluster.
#include "cli/commands.h"

static bool is(const json_t *node, const char *what)
{
	return json_is_true(json_object_get(node, what));
}

static const char *state_of(const json_t *n)
{
	if (!is(n, "alive"))
		return is(n, "self") ? "no lease" : "not heard";
	if (is(n, "draining"))
		return "draining";
	return is(n, "fresh") ? "up" : "no news from the store";
}

static void print_nodes(const json_t *nodes)
{
	struct cli_table t;
	const json_t *n;
	size_t i;

	cli_table_init(&t, "NODE|SITE|STATE|MESH|SLOT");
	json_array_foreach (nodes, i, n) {
		cli_table_cellf(&t, "%s%s", cli_text(n, "name"), is(n, "self") ? " (this one)" : "");
		cli_table_cell(&t, cli_text(n, "site"));
		cli_table_cell(&t, state_of(n));
		cli_table_cell(&t, cli_text(n, "mesh"));
		cli_table_cellf(&t, "%" JSON_INTEGER_FORMAT, cli_number(n, "slot"));
	}
	cli_table_end(&t, "no nodes");
}

static int call(struct cli *cli, const char *method, const char *path, json_t **ret)
{
	int r = cli_call(cli, method, path, NULL, ret);

	if (r == CLI_OK && cli->args.json)
		cli_print_json(*ret);
	return r;
}

int cli_node_list(struct cli *cli)
{
	json_t *result = NULL;
	int r = call(cli, "GET", "/admin/nodes", &result);

	if (r == CLI_OK && !cli->args.json)
		print_nodes(json_object_get(result, "nodes"));
	json_decref(result);
	return r;
}

int cli_node_ready(struct cli *cli)
{
	json_t *result = NULL;
	int r = call(cli, "GET", "/admin/node/ready", &result);

	if (r == CLI_OK && !is(result, "ready")) {
		if (!cli->args.json)
			printf("Not ready: %s.\n", cli_text(result, "state"));
		r = CLI_WRONG;
	} else if (r == CLI_OK && !cli->args.json) {
		printf("Ready.\n");
	}
	json_decref(result);
	return r;
}

static int change(struct cli *cli, const char *path, const char *said)
{
	json_t *result = NULL;
	int r = call(cli, "POST", path, &result);

	if (r == CLI_OK && !cli->args.json)
		printf("%s\n", said);
	json_decref(result);
	return r;
}

int cli_node_drain(struct cli *cli)
{
	return change(cli, "/admin/node/drain", "Draining: let the routers send elsewhere, then stop the daemon.");
}

int cli_node_undrain(struct cli *cli)
{
	return change(cli, "/admin/node/undrain", "This node takes part again.");
}
