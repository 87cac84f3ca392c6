// What the commands do; one function for each row of cli_commands in cli.c.
// Inside cli only. Each returns the exit status.
#pragma once

#include "base/must.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/print.h"

int cli_account_create(struct cli *cli), cli_account_update(struct cli *cli), cli_account_list(struct cli *cli);
int cli_account_delete(struct cli *cli);
int cli_token_create(struct cli *cli), cli_token_list(struct cli *cli), cli_token_revoke(struct cli *cli);
int cli_tunnel_create(struct cli *cli), cli_tunnel_update(struct cli *cli), cli_tunnel_list(struct cli *cli);
int cli_tunnel_show(struct cli *cli), cli_tunnel_delete(struct cli *cli), cli_tunnel_psk(struct cli *cli);
int cli_route_create(struct cli *cli), cli_route_update(struct cli *cli), cli_route_list(struct cli *cli);
int cli_route_show(struct cli *cli), cli_route_delete(struct cli *cli);
int cli_status(struct cli *cli), cli_tunnel_why(struct cli *cli), cli_unknown(struct cli *cli), cli_suites(struct cli *cli);
int cli_tunnel_rekey(struct cli *cli);
int cli_node_list(struct cli *cli), cli_node_drain(struct cli *cli), cli_node_undrain(struct cli *cli);
int cli_node_ready(struct cli *cli);
int cli_site_status(struct cli *cli), cli_site_why(struct cli *cli), cli_site_rekey(struct cli *cli);

int cli_metrics(struct cli *cli);

/* The administrator's overview, and into each of its accounts "status": its tunnels. */
int cli_load_node(struct cli *cli, json_t **ret);
/* Tunnels as the API's status has them: a table, and why one is down; site: those of an onrampd --site. */
void cli_print_tunnels(const json_t *list, bool site);
/* A sentence for a tunnel that is down and has no verdict. */
const char *cli_untried(const json_t *t, bool site);
/* whole: with the offer against what is allowed, transform by transform. */
void cli_print_verdict(const char *label, const json_t *v, bool whole);
/* Why a tunnel fails, as the API has it, or as JSON. Returns CLI_WRONG if it is down or something is wrong with it. */
int cli_show_why(const struct cli *cli, const json_t *w, bool site);

/* The id of the tunnel that a word of the command line names by its id or name. */
int cli_tunnel_find(struct cli *cli, const char *word, char id[static 40]);
