#include "cli/cli.h"

#include <curl/curl.h>
#include <stdio.h>

#include "cli/commands.h"

static const struct cli_option account_options[] = {
	{ "endpoint", "ADDRESSES", "gateway addresses of the account, by commas (all of the node)" },
	{ "netns", "NAME", "network namespace of its off-ramp (the main one)" },
	{ "no-offramp", NULL, "drop packets for which there is no route" },
	{ NULL, NULL, NULL },
};

static const struct cli_option account_update_options[] = {
	{ "name", "NAME", "another name" },
	{ "endpoint", "ADDRESSES", "its gateway addresses, by commas; all: all of the node" },
	{ "netns", "NAME", "network namespace of its off-ramp; main: the main one" },
	{ "offramp", "yes|no", "whether packets for which there is no route go to the off-ramp" },
	{ NULL, NULL, NULL },
};

static const struct cli_option token_options[] = {
	{ "read", NULL, "the token may read (the default)" },
	{ "write", NULL, "the token may read and write" },
	{ "name", "TEXT", "what it is for" },
	{ "email", "ADDRESS", "also good as X-Auth-Email with X-Auth-Key" },
	{ NULL, NULL, NULL },
};

#define TUNNEL_OPTIONS                                                                                       \
	{ "customer", "ADDRESS", "outer address of the router (any)" },                                      \
		{ "interface6", "CIDR", "inner IPv6 address of the gateway, /127" },                         \
		{ "description", "TEXT", "free text" },                                                      \
		{ "allow-null", "yes|no", "take NULL encryption if the router offers it: UNENCRYPTED" },     \
		{ "psk-file", "FILE", "the pre-shared key is the first line of this file" },                 \
		{ "psk-stdin", NULL, "the pre-shared key is the first line of standard input" },             \
		{ "ike-lifetime", "SECONDS", "hard lifetime of the IKE SA (86400)" },                        \
		{ "child-lifetime", "SECONDS", "hard lifetime of a Child SA (28800)" },                      \
		{ "dpd-delay", "SECONDS", "liveness check after so much silence, 0: off (30)" },             \
		{ "replay-window", "PACKETS", "check what the router sends for replays, 0: off (0)" },       \
		{ "mss-clamp", "auto|off|BYTES", "upper limit of TCP's MSS (auto)" },                        \
		{ "replay-protection", "yes|no", "the router checks our packets for replays (no)" },         \
		{ "profile", "magic|modern", "the algorithms that the router may choose from (magic)" },     \
		{ "esn", "yes|no", "extended sequence numbers, with --replay-protection yes (no)" },         \
		{ "child-rekey-bytes", "BYTES", "rekey a Child SA after so many, 0: by algorithm (0)" },     \
		{ "child-rekey-packets", "PACKETS", "rekey a Child SA after so many, 0: by algorithm (0)" }, \
	{                                                                                                    \
		"outer-mtu", "BYTES", "path MTU between gateway and router (1500)"                           \
	}

static const struct cli_option tunnel_create_options[] = {
	{ "endpoint", "ADDRESS", "gateway address; needed when the account has several" },
	{ "interface", "CIDR", "inner address of the gateway, /31 or /30; required" },
	{ "generate", NULL, "make a pre-shared key and show it" },
	TUNNEL_OPTIONS,
	{ NULL, NULL, NULL },
};

static const struct cli_option tunnel_update_options[] = {
	{ "name", "NAME", "another name" },
	{ "endpoint", "ADDRESS", "another gateway address" },
	{ "interface", "CIDR", "another inner address of the gateway" },
	TUNNEL_OPTIONS,
	{ NULL, NULL, NULL },
};

static const struct cli_option psk_options[] = {
	{ "generate", NULL, "make a key of 256 random bits and show it, this once" },
	{ "stdin", NULL, "the key is the first line of standard input" },
	{ "file", "FILE", "the key is the first line of this file" },
	{ NULL, NULL, NULL },
};

static const struct cli_option rekey_options[] = {
	{ "ike", NULL, "of the IKE SA; without this of its Child SAs" },
	{ NULL, NULL, NULL },
};

#define ROUTE_OPTIONS                                                                                        \
	{ "weight", "NUMBER", "share among equal routes, 1 to 256; 0: an equal share (0)" },                 \
	{                                                                                                    \
		"description", "TEXT", "free text"                                                           \
	}

static const struct cli_option route_options[] = {
	{ "priority", "NUMBER", "the lowest wins (100)" },
	ROUTE_OPTIONS,
	{ NULL, NULL, NULL },
};

static const struct cli_option route_update_options[] = {
	{ "prefix", "PREFIX", "another network" },
	{ "nexthop", "ADDRESS", "the customer side of another tunnel" },
	{ "priority", "NUMBER", "the lowest wins" },
	ROUTE_OPTIONS,
	{ NULL, NULL, NULL },
};

static const struct cli_option status_options[] = {
	{ "down", NULL, "only tunnels that are down or have something wrong" },
	{ NULL, NULL, NULL },
};

const struct cli_command cli_commands[] = {
	{ "account", "create", "NAME", 1, 1, "Make an account (administrator)", NULL, account_options,
	  cli_account_create, true },
	{ "account", "list", "", 0, 0, "List accounts", NULL, NULL, cli_account_list, false },
	{ "account", "update", "ACCOUNT", 1, 1, "Change an account; what is not given stays (administrator)",
	  "ACCOUNT is an id, a number or a name.", account_update_options, cli_account_update, true },
	{ "account", "delete", "ACCOUNT", 1, 1, "Delete an account that has no tunnel and no route (administrator)",
	  "ACCOUNT is an id, a number or a name. Its tokens are revoked.", NULL, cli_account_delete, true },
	{ "token", "create", "", 0, 0,
	  "Make an API token for --account and show it, this once (administrator)", NULL, token_options,
	  cli_token_create, true },
	{ "token", "list", "", 0, 0, "List tokens (administrator)", NULL, NULL, cli_token_list, true },
	{ "token", "revoke", "ID", 1, 1, "Revoke a token (administrator)", NULL, NULL, cli_token_revoke,
	  true },
	{ "tunnel", "create", "NAME", 1, 1, "Make a tunnel", NULL, tunnel_create_options, cli_tunnel_create,
	  false },
	{ "tunnel", "update", "TUNNEL", 1, 1, "Change a tunnel; what is not given stays",
	  "TUNNEL is an id or a name.", tunnel_update_options, cli_tunnel_update, false },
	{ "tunnel", "list", "", 0, 0, "List tunnels", NULL, NULL, cli_tunnel_list, false },
	{ "tunnel", "show", "TUNNEL", 1, 1, "Show a tunnel and the identities for its router",
	  "TUNNEL is an id or a name.", NULL, cli_tunnel_show, false },
	{ "tunnel", "why", "TUNNEL", 1, 1, "Why a tunnel is down, and all that failed before",
	  "TUNNEL is an id or a name. Exit status 4: it is down, or something is wrong.", NULL, cli_tunnel_why, false },
	{ "tunnel", "delete", "TUNNEL", 1, 1, "Delete a tunnel that no route points to",
	  "TUNNEL is an id or a name.", NULL, cli_tunnel_delete, false },
	{ "tunnel", "psk", "TUNNEL", 1, 1, "Set the pre-shared key",
	  "TUNNEL is an id or a name. The key counts from the router's next IKE_AUTH.", psk_options,
	  cli_tunnel_psk, false },
	{ "tunnel", "rekey", "TUNNEL", 1, 1, "Make new keys now: of the Child SAs, or of the IKE SA",
	  "TUNNEL is an id or a name. Traffic goes on; \"onramp status\" counts what has been done.", rekey_options,
	  cli_tunnel_rekey, false },
	{ "route", "create", "PREFIX NEXTHOP", 2, 2, "Make a static route",
	  "NEXTHOP is the customer side of a tunnel's interface address.", route_options, cli_route_create,
	  false },
	{ "route", "update", "ID", 1, 1, "Change a static route; what is not given stays", NULL, route_update_options,
	  cli_route_update, false },
	{ "route", "list", "", 0, 0, "List routes", NULL, NULL, cli_route_list, false },
	{ "route", "show", "ID", 1, 1, "Show a route", NULL, NULL, cli_route_show, false },
	{ "route", "delete", "ID", 1, 1, "Delete a route", NULL, NULL, cli_route_delete, false },
	{ "status", NULL, "[TUNNEL]", 0, 1, "How the tunnels are, and why one is down",
	  "By the administrator's socket without --account: all accounts, counters and unknown peers.",
	  status_options, cli_status, false },
	{ "metrics", NULL, "", 0, 0, "Tunnels, counters and drops in Prometheus' text format",
	  "By the administrator's socket without --account: of all accounts, and of the node.", NULL, cli_metrics, false },
	{ "site", "status", "", 0, 0, "How the tunnels of an onrampd --site on this host are",
	  "Asks its socket, --socket PATH (/run/onramp-site/site.sock).", NULL, cli_site_status, true },
	{ "site", "rekey", "TUNNEL", 1, 1, "Make new keys for a tunnel of an onrampd --site on this host",
	  "TUNNEL is its name in the file. Asks the same socket.", rekey_options, cli_site_rekey, true },
	{ "site", "why", "NAME", 1, 1, "Why a tunnel of an onrampd --site on this host is down, and all that failed before",
	  "Asks its socket, --socket PATH (/run/onramp-site/site.sock). Exit status 4: it is down, or something is wrong.", NULL,
	  cli_site_why, true },
	{ "node", "list", "", 0, 0, "The nodes of the cluster as this one knows them (administrator)", NULL, NULL, cli_node_list,
	  true },
	{ "node", "ready", "", 0, 0, "Whether routers should send to this node (administrator)",
	  "For the health check of a BGP speaker. Exit status 4: they should not; 3: it does not answer. A gateway that is alone is "
	  "ready while it serves.", NULL, cli_node_ready, true },
	{ "node", "drain", "", 0, 0, "Hand this node's duties to the others, so that it can be stopped (administrator)",
	  "It carries on what comes to it. \"onramp node ready\" says no from now on, until the daemon was stopped and started or "
	  "\"onramp node undrain\".", NULL, cli_node_drain, true },
	{ "node", "undrain", "", 0, 0, "Let this node take part again (administrator)", NULL, NULL, cli_node_undrain, true },
	{ "unknown", NULL, "", 0, 0, "Peers that no tunnel knows, and which one they probably meant (administrator)",
	  NULL, NULL, cli_unknown, true },
	{ "suites", NULL, "", 0, 0, "The algorithms that a router may propose", NULL, NULL, cli_suites,
	  false },
	{ 0 },
};

int cli_main(int argc, char **argv)
{
	struct cli cli = { 0 };
	int r = cli_args_parse(cli_commands, argc, argv, &cli.args);

	if (r != CLI_OK)
		return r;
	if (cli.args.version) {
		printf("onramp " ONRAMP_VERSION "\n");
		return CLI_OK;
	}
	if (cli.args.help) {
		const struct cli_command *c = cli.args.command;
		cli_help(cli_commands, c != NULL ? c->noun : cli.args.words[0], c != NULL ? c->verb : NULL);
		return CLI_OK;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	r = cli_client_init(&cli);
	if (r == CLI_OK)
		r = cli.args.command->run(&cli);
	cli_client_fini(&cli);
	curl_global_cleanup();
	/* a full disk must not look like success */
	if (fflush(stdout) != 0 && r == CLI_OK) {
		fprintf(stderr, "onramp: cannot write the output\n");
		r = CLI_UNREACHABLE;
	}
	return r;
}
