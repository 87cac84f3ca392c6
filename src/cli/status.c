#include <string.h>

#include "cli/commands.h"

/* Each tunnel in one line: what it is, with whom, how much. */
static void add_tunnel(struct cli_table *t, const json_t *s)
{
	char age[CLI_SIZE_MAX], in[CLI_SIZE_MAX], out[CLI_SIZE_MAX];
	bool up = json_is_true(json_object_get(s, "up")), live = json_object_get(s, "in_bytes") != NULL;
	const char *nat = json_is_true(json_object_get(s, "nat_seen"))	    ? "seen"
			  : json_is_true(json_object_get(s, "nat_claimed")) ? "claimed"
									    : "none";

	cli_table_cell(t, cli_text(s, "name"));
	cli_table_cell(t, up ? "up" : "down");
	cli_table_cell(t, cli_age(cli_text(s, "since"), age));
	cli_table_cell(t, cli_text(s, "remote"));
	cli_table_cell(t, live && up ? nat : NULL);
	cli_table_cell(t, cli_text(s, "ike_suite"));
	cli_table_cell(t, cli_text(s, "child_suite"));
	cli_table_cell(t, live ? cli_size(cli_number(s, "in_bytes"), in) : NULL);
	cli_table_cell(t, live ? cli_size(cli_number(s, "out_bytes"), out) : NULL);
}

void cli_print_tunnels(const json_t *list, bool site)
{
	struct cli_table t;
	json_t *s;
	size_t i;

	cli_table_init(&t, "TUNNEL|STATE|SINCE|PEER|NAT|IKE SA|CHILD SA|IN|OUT");
	json_array_foreach (list, i, s)
		add_tunnel(&t, s);
	cli_table_end(&t, "There is no tunnel yet: \"onramp tunnel create\" makes one.");
	json_array_foreach (list, i, s) {
		const json_t *v = json_object_get(s, "verdict");
		if (json_is_object(v)) {
			cli_print_verdict(cli_text(s, "name"), v, false);
		} else if (!json_is_true(json_object_get(s, "up"))) {
			printf("\n");
			cli_print_text(stdout, cli_text(s, "name"));
			printf(": %s\n", cli_untried(s, site));
		} else {
			continue;
		}
		printf("  more      onramp %s why ", site ? "site" : "tunnel");
		cli_print_text(stdout, cli_text(s, "name"));
		printf("\n");
	}
}

/* With --down the tunnels that need nobody leave the list. */
static void keep_wanted(const struct cli *cli, json_t *list)
{
	if (cli_args_value(&cli->args, "down") == NULL)
		return;
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *s = json_array_get(list, i);
		if (json_is_true(json_object_get(s, "up")) && !json_is_object(json_object_get(s, "verdict")))
			json_array_remove(list, i);
	}
}

static void print_wanted(const struct cli *cli, json_t *list)
{
	cli_sort_by_name(list);
	if (cli_args_value(&cli->args, "down") != NULL && json_array_size(list) == 0)
		printf("No tunnel is down, and nothing is wrong with any.\n");
	else
		cli_print_tunnels(list, false);
}

/* ---- one tunnel ---- */

static void print_one(const json_t *s)
{
	char in[CLI_SIZE_MAX], out[CLI_SIZE_MAX];

	cli_line("tunnel", cli_text(s, "name"));
	cli_line("id", cli_text(s, "id"));
	cli_line("state", json_is_true(json_object_get(s, "up")) ? "up" : "down");
	cli_line("since", cli_text(s, "since"));
	if (json_object_get(s, "in_bytes") != NULL) {
		cli_line("peer", cli_text(s, "remote"));
		cli_line("gateway address", cli_text(s, "local"));
		cli_line("identity", cli_text(s, "identity"));
		cli_linef("started on UDP", "%" JSON_INTEGER_FORMAT, cli_number(s, "start_port"));
		cli_linef("NAT", "%s%s",
			  json_is_true(json_object_get(s, "nat_claimed")) ? "claimed" : "not claimed",
			  json_is_true(json_object_get(s, "nat_seen")) ? ", seen" : "");
		cli_line("ESP", json_is_true(json_object_get(s, "udp_encap")) ? "in UDP"
									      : "native (IP protocol 50)");
		cli_line("IKE SA", cli_text(s, "ike_suite"));
		cli_line("Child SA", cli_text(s, "child_suite"));
		cli_linef("rekeys", "IKE %" JSON_INTEGER_FORMAT ", Child %" JSON_INTEGER_FORMAT,
			  cli_number(s, "ike_rekeys"), cli_number(s, "child_rekeys"));
		cli_linef("inner MTU", "%" JSON_INTEGER_FORMAT, cli_number(s, "effective_mtu"));
		cli_linef("from the peer", "%" JSON_INTEGER_FORMAT " packets, %s",
			  cli_number(s, "in_packets"), cli_size(cli_number(s, "in_bytes"), in));
		cli_linef("to the peer", "%" JSON_INTEGER_FORMAT " packets, %s", cli_number(s, "out_packets"),
			  cli_size(cli_number(s, "out_bytes"), out));
	}
	if (json_is_object(json_object_get(s, "verdict")))
		cli_print_verdict("Why", json_object_get(s, "verdict"), true);
	else if (json_is_object(json_object_get(s, "last_failure")))
		cli_print_verdict("The last failure, before it came up", json_object_get(s, "last_failure"), true);
	else if (!json_is_true(json_object_get(s, "up")))
		printf("\n%s\n", cli_untried(s, false));
}

static int show_tunnel(struct cli *cli)
{
	json_t *result = NULL;
	char id[40], path[128];
	int r = cli_tunnel_find(cli, cli->args.words[0], id);

	snprintf(path, sizeof(path), "/onramp/tunnels/%s/status", id);
	if (r == CLI_OK)
		r = cli_account_call(cli, "GET", path, NULL, &result);
	return cli_answer(cli, r, result, NULL, print_one);
}

/* ---- everything ---- */

static void print_counters(const json_t *counters)
{
	struct cli_table t;
	json_t *c;
	size_t i;

	cli_table_init(&t, "COUNTER|VALUE|MEANS");
	json_array_foreach (counters, i, c) {
		if (cli_number(c, "value") == 0)
			continue;
		cli_table_cell(&t, cli_text(c, "name"));
		cli_table_cellf(&t, "%" JSON_INTEGER_FORMAT, cli_number(c, "value"));
		cli_table_cell(&t, cli_text(c, "help"));
	}
	printf("\n");
	cli_table_end(&t, "Nothing was counted yet.");
}

static void print_node(const struct cli *cli, const json_t *node)
{
	json_t *a, *v;
	size_t i;

	printf("onrampd %s, gateway process: %s\n", cli_text(node, "version"), cli_text(node, "gateway"));
	if (json_array_size(json_object_get(node, "accounts")) == 0)
		printf("There is no account yet: \"onramp account create NAME\" makes one.\n");
	json_array_foreach (json_object_get(node, "accounts"), i, a) {
		printf("\nAccount %" JSON_INTEGER_FORMAT ", ", cli_number(a, "number"));
		cli_print_text(stdout, cli_text(a, "name"));
		printf(": %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		       " tunnels up, %" JSON_INTEGER_FORMAT " routes\n",
		       cli_number(a, "tunnels_up"), cli_number(a, "tunnels"), cli_number(a, "routes"));
		print_wanted(cli, json_object_get(a, "status"));
	}
	json_array_foreach (json_object_get(node, "unknown_peers"), i, v)
		cli_print_verdict("A peer that no tunnel knows", v, false);
	if (cli_args_value(&cli->args, "down") == NULL)
		print_counters(json_object_get(node, "counters"));
}

int cli_load_node(struct cli *cli, json_t **ret)
{
	json_t *node = NULL, *a;
	size_t i;
	int r = cli_call(cli, "GET", "/admin/status", NULL, &node);

	json_array_foreach (json_object_get(node, "accounts"), i, a) {
		json_t *status = NULL;
		char path[128];
		snprintf(path, sizeof(path), "/accounts/%.32s/onramp/status", cli_text(a, "id"));
		if (r == CLI_OK)
			r = cli_call(cli, "GET", path, NULL, &status);
		if (r == CLI_OK)
			json_object_set(a, "status", json_object_get(status, "tunnels"));
		json_decref(status);
	}
	if (r == CLI_OK)
		*ret = json_incref(node);
	json_decref(node);
	return r;
}

static int show_node(struct cli *cli)
{
	json_t *node = NULL, *a;
	size_t i;
	int r = cli_load_node(cli, &node);

	json_array_foreach (json_object_get(node, "accounts"), i, a)
		keep_wanted(cli, json_object_get(a, "status"));
	if (r == CLI_OK && cli->args.json)
		cli_print_json(node);
	else if (r == CLI_OK)
		print_node(cli, node);
	json_decref(node);
	return r;
}

int cli_status(struct cli *cli)
{
	json_t *result = NULL;

	if (cli->args.word_cnt == 1)
		return show_tunnel(cli);
	if (cli->by_socket && cli->args.account == NULL)
		return show_node(cli);
	int r = cli_account_call(cli, "GET", "/onramp/status", NULL, &result);
	keep_wanted(cli, json_object_get(result, "tunnels"));
	if (r == CLI_OK && cli->args.json)
		cli_print_json(result);
	else if (r == CLI_OK)
		print_wanted(cli, json_object_get(result, "tunnels"));
	json_decref(result);
	return r;
}

/* ---- algorithms ---- */

/* A setting of the tunnel without which it is not taken. */
static void note_need(struct cli_table *t, const char *setting)
{
	if (setting == NULL)
		cli_table_cell(t, NULL);
	else
		cli_table_cellf(t, "only with %s%s", setting, strcmp(setting, "allow_null_cipher") == 0 ? ": UNENCRYPTED" : "");
}

static void add_phase(struct cli_table *t, const char *phase, const json_t *lists)
{
	static const char *const kinds[] = { "encryption", "integrity", "prf", "group", "esn" };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		json_t *one;
		size_t i;
		json_array_foreach (json_object_get(lists, kinds[k]), i, one) {
			cli_table_cell(t, phase);
			cli_table_cell(t, kinds[k]);
			cli_table_cell(t, cli_text(one, "name"));
			cli_table_cell(t, cli_text(one, "swanctl"));
			cli_table_cell(t, cli_text(one, "rfc"));
			note_need(t, cli_text(one, "needs"));
		}
	}
}

int cli_suites(struct cli *cli)
{
	json_t *result = NULL;
	struct cli_table t;
	int r = cli_call(cli, "GET", "/onramp/suites", NULL, &result);

	if (r != CLI_OK)
		return r;
	if (cli->args.json) {
		cli_print_json(result);
	} else {
		cli_table_init(&t, "PHASE|KIND|NAME|STRONGSWAN|RFC|NOTE");
		add_phase(&t, "1 (IKE SA)", json_object_get(result, "ike"));
		add_phase(&t, "2 (Child SA)", json_object_get(result, "child"));
		cli_table_end(&t, "");
	}
	json_decref(result);
	return r;
}
