// onramp metrics: what status knows, in Prometheus' text format (version 0.0.4).
#include <string.h>
#include <time.h>

#include "cli/commands.h"

/* A number of each tunnel, under its name in the API's status. */
static const struct family {
	const char *name, *type, *help, *member;
} tunnel_families[] = {
	{ "onramp_tunnel_up", "gauge", "Whether the tunnel is up", "up" },
	{ "onramp_tunnel_changed_timestamp_seconds", "gauge", "When the tunnel came up or went down last", "since" },
	{ "onramp_tunnel_in_packets_total", "counter", "Inner packets that came from the router", "in_packets" },
	{ "onramp_tunnel_in_bytes_total", "counter", "Inner bytes that came from the router", "in_bytes" },
	{ "onramp_tunnel_out_packets_total", "counter", "Inner packets that went to the router", "out_packets" },
	{ "onramp_tunnel_out_bytes_total", "counter", "Inner bytes that went to the router", "out_bytes" },
	{ "onramp_tunnel_last_in_timestamp_seconds", "gauge", "When the last packet came from the router", "last_in" },
	{ "onramp_tunnel_ike_rekeys_total", "counter", "Rekeys of the IKE SA", "ike_rekeys" },
	{ "onramp_tunnel_child_rekeys_total", "counter", "Rekeys of Child SAs", "child_rekeys" },
	{ "onramp_tunnel_mtu_bytes", "gauge", "The largest inner packet", "effective_mtu" },
};

/* Counters of the node that may also fall. */
static const struct {
	const char *name, *member;
} node_gauges[] = {
	{ "onramp_half_open_handshakes", "half_open" },
	{ "onramp_ike_sas", "ike_sas" },
	{ "onramp_child_sas", "child_sas" },
};

static void print_family(const char *name, const char *type, const char *help)
{
	printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* "key="value"", quoted as the format wants it. */
static void print_label(const char *key, const char *value, const char *end)
{
	printf("%s=\"", key);
	for (const char *at = value != NULL ? value : ""; *at != 0; at++) {
		if (*at == '\n') {
			printf("\\n");
			continue;
		}
		if (*at == '\\' || *at == '"')
			putchar('\\');
		putchar(*at);
	}
	printf("\"%s", end);
}

static void print_tunnel_labels(const json_t *account, const json_t *tunnel)
{
	print_label("account", cli_text(account, "name"), ",");
	print_label("tunnel", cli_text(tunnel, "name"), ",");
	print_label("tunnel_id", cli_text(tunnel, "id"), "");
}

/* false: there is nothing to tell. */
static bool read_value(const json_t *j, long long *ret)
{
	struct tm tm = { 0 };

	if (json_is_boolean(j))
		*ret = json_is_true(j);
	else if (json_is_integer(j))
		*ret = json_integer_value(j);
	else if (json_is_string(j) && strptime(json_string_value(j), "%Y-%m-%dT%H:%M:%S", &tm) != NULL)
		*ret = (long long)timegm(&tm);
	else
		return false;
	return true;
}

static void print_tunnels(const json_t *accounts, const struct family *f)
{
	size_t i, k;
	json_t *a, *t;
	long long v;

	print_family(f->name, f->type, f->help);
	json_array_foreach (accounts, i, a)
		json_array_foreach (json_object_get(a, "status"), k, t) {
			if (!read_value(json_object_get(t, f->member), &v))
				continue;
			printf("%s{", f->name);
			print_tunnel_labels(a, t);
			printf("} %lld\n", v);
		}
}

static void print_faults(const json_t *accounts)
{
	size_t i, k;
	json_t *a, *t;

	print_family("onramp_tunnel_fault", "gauge", "1 for what is wrong with the tunnel now, and whose side must act (doc/verdicts.md)");
	json_array_foreach (accounts, i, a)
		json_array_foreach (json_object_get(a, "status"), k, t) {
			const json_t *verdict = json_object_get(t, "verdict");
			if (!json_is_object(verdict))
				continue;
			printf("onramp_tunnel_fault{");
			print_tunnel_labels(a, t);
			print_label(",code", cli_text(verdict, "code"), ",");
			print_label("side", cli_text(verdict, "side"), "} 1\n");
		}
}

/* NULL: it only rises. */
static const char *find_gauge(const char *counter)
{
	for (size_t i = 0; i < ARRAY_LEN(node_gauges); i++)
		if (strcmp(counter, node_gauges[i].member) == 0)
			return node_gauges[i].name;
	return NULL;
}

static void print_counter(const json_t *c)
{
	const char *name = cli_text(c, "name"), *gauge = find_gauge(name);
	char full[128];

	if (gauge != NULL)
		snprintf(full, sizeof(full), "%s", gauge);
	else
		snprintf(full, sizeof(full), "onramp_%s_total", name);
	print_family(full, gauge != NULL ? "gauge" : "counter", cli_text(c, "help"));
	printf("%s %" JSON_INTEGER_FORMAT "\n", full, cli_number(c, "value"));
}

/* Reasons for drops are one family, whose label says which. */
static void print_counters(const json_t *counters)
{
	static const char drop[] = "drop_";
	json_t *c;
	size_t i;

	json_array_foreach (counters, i, c)
		if (strncmp(cli_text(c, "name"), drop, strlen(drop)) != 0)
			print_counter(c);
	if (json_array_size(counters) != 0)
		print_family("onramp_dropped_total", "counter", "Packets and messages that were not forwarded, by reason (doc/drops.md)");
	json_array_foreach (counters, i, c) {
		const char *name = cli_text(c, "name");
		if (strncmp(name, drop, strlen(drop)) != 0)
			continue;
		printf("onramp_dropped_total{");
		print_label("reason", name + strlen(drop), "} ");
		printf("%" JSON_INTEGER_FORMAT "\n", cli_number(c, "value"));
	}
}

/* By a token: its account alone, in the form of the node's overview. */
static int load_account(struct cli *cli, json_t **ret)
{
	json_t *account = NULL, *status = NULL;
	int r = cli_account_call(cli, "GET", "", NULL, &account);

	if (r == CLI_OK)
		r = cli_account_call(cli, "GET", "/onramp/status", NULL, &status);
	if (r == CLI_OK)
		*ret = json_pack("{s:O, s:[{s:O, s:O}]}", "gateway", json_object_get(status, "gateway"), "accounts", "name",
				 json_object_get(account, "name"), "status", json_object_get(status, "tunnels"));
	json_decref(account);
	json_decref(status);
	return r;
}

int cli_metrics(struct cli *cli)
{
	json_t *node = NULL;

	cli->quiet = true; /* warnings are for people */
	int r = cli->by_socket && cli->args.account == NULL ? cli_load_node(cli, &node) : load_account(cli, &node);
	if (r != CLI_OK)
		return r;
	print_family("onramp_gateway_up", "gauge", "Whether the gateway process answers");
	printf("onramp_gateway_up %d\n", strcmp(cli_text(node, "gateway"), "up") == 0);
	for (size_t i = 0; i < ARRAY_LEN(tunnel_families); i++)
		print_tunnels(json_object_get(node, "accounts"), &tunnel_families[i]);
	print_faults(json_object_get(node, "accounts"));
	print_counters(json_object_get(node, "counters"));
	json_decref(node);
	return CLI_OK;
}
