// Verdicts for people: the sentence first, then the evidence, who must act and what to change, when and how often.
#include <string.h>

#include "cli/commands.h"

/* Each proposal against what is allowed: "-3DES" is what does not fit, "+AES-CBC-256" what does. */
static void print_kind(const char *kind, const json_t *offered, const json_t *allowed)
{
	json_t *t;
	size_t n;

	if (json_array_size(offered) + json_array_size(allowed) == 0)
		return;
	printf("      %-10s offered:", kind);
	json_array_foreach (offered, n, t) {
		printf(" %s", json_is_true(json_object_get(t, "allowed")) ? "+" : "-");
		cli_print_text(stdout, cli_text(t, "name"));
	}
	printf("%s; allowed:", json_array_size(offered) == 0 ? " none" : "");
	json_array_foreach (allowed, n, t) {
		printf(" ");
		cli_print_text(stdout, json_string_value(t));
	}
	printf("%s\n", json_array_size(allowed) == 0 ? " none" : "");
}

static void print_evidence(const json_t *e)
{
	static const char *const kinds[] = { "encryption", "integrity", "prf", "group", "esn" };
	const json_t *allowed = json_object_get(e, "allowed"), *nearest = json_object_get(e, "nearest");
	json_t *p;
	size_t i;

	json_array_foreach (json_object_get(e, "proposals"), i, p) {
		printf("    phase %" JSON_INTEGER_FORMAT ", proposal %" JSON_INTEGER_FORMAT ":\n", cli_number(e, "phase"),
		       cli_number(p, "number"));
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			print_kind(kinds[k], json_object_get(json_object_get(p, "offered"), kinds[k]),
				   json_object_get(allowed, kinds[k]));
	}
	if (cli_text(nearest, "swanctl") == NULL || cli_text(nearest, "swanctl")[0] == 0)
		return;
	printf("    nearest that is allowed: ");
	cli_print_text(stdout, cli_text(nearest, "swanctl"));
	printf("\n");
}

/* "  label   value"; several lines stay lines. */
static void print_member(const char *label, const char *text)
{
	if (text == NULL || text[0] == 0)
		return;
	printf("  %-9s ", label);
	for (const char *at = text; *at != 0;) {
		char line[1024];
		size_t n = strcspn(at, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)n, at);
		cli_print_text(stdout, line);
		at += n + (at[n] != 0);
		printf("\n%s", *at != 0 ? "            " : "");
	}
}

static const char *who(const char *side)
{
	static const struct {
		const char *side, *who;
	} words[] = { { "peer", "the router's side" },
		      { "gateway", "the gateway's side" },
		      { "either", "one of the two sides" },
		      { "none", "nobody: it only says what happened" } };

	for (size_t i = 0; side != NULL && i < ARRAY_LEN(words); i++)
		if (strcmp(side, words[i].side) == 0)
			return words[i].who;
	return side;
}

static void print_times(const json_t *v)
{
	char first[CLI_SIZE_MAX], last[CLI_SIZE_MAX], over[CLI_SIZE_MAX];
	json_int_t cnt = cli_number(v, "count");

	if (cnt <= 1)
		printf("  %-9s once, %s ago (%s)", "seen", cli_age(cli_text(v, "last_seen"), last), cli_text(v, "last_seen"));
	else
		printf("  %-9s %" JSON_INTEGER_FORMAT " times, first %s ago (%s), last %s ago", "seen", cnt,
		       cli_age(cli_text(v, "first_seen"), first), cli_text(v, "first_seen"),
		       cli_age(cli_text(v, "last_seen"), last));
	if (cli_text(v, "over_since") != NULL)
		printf("; over for %s", cli_age(cli_text(v, "over_since"), over));
	printf("\n");
}

void cli_print_verdict(const char *label, const json_t *v, bool whole)
{
	printf("\n");
	cli_print_text(stdout, label);
	printf(": ");
	cli_print_text(stdout, cli_text(v, "sentence"));
	printf("\n");
	if (whole && json_is_object(json_object_get(v, "evidence")))
		print_evidence(json_object_get(v, "evidence"));
	print_member("to act", who(cli_text(v, "side")));
	print_member("to change", cli_text(v, "change"));
	print_member("code", cli_text(v, "code"));
	print_times(v);
}

/* ---- one tunnel ---- */

static bool is_same(const json_t *a, const json_t *b)
{
	const char *x = cli_text(a, "identity"), *y = cli_text(b, "identity");
	return strcmp(cli_text(a, "code"), cli_text(b, "code")) == 0 && strcmp(x != NULL ? x : "", y != NULL ? y : "") == 0;
}

static bool is_wrong(const json_t *w)
{
	return !json_is_true(json_object_get(w, "up")) || json_is_object(json_object_get(w, "verdict"));
}

/* What fails before a peer has given a name belongs to no tunnel, unless its address is known. */
const char *cli_untried(const json_t *t, bool site)
{
	if (site)
		return "It is being started; no attempt has ended yet.";
	if (json_is_false(json_object_get(t, "psk_set")))
		return "It has no pre-shared key yet: \"onramp tunnel psk\" sets one.";
	return "No peer has named it yet: see that its router starts and that its packets reach the gateway; \"onramp unknown\" "
	       "(administrator) shows peers that failed without naming a tunnel.";
}

static void print_head(const json_t *w, bool site)
{
	bool up = json_is_true(json_object_get(w, "up"));
	char age[CLI_SIZE_MAX];

	printf("Tunnel ");
	cli_print_text(stdout, cli_text(w, "name"));
	if (cli_text(w, "since") != NULL)
		printf(" is %s, for %s (since %s).\n", up ? "up" : "down", cli_age(cli_text(w, "since"), age), cli_text(w, "since"));
	else
		printf(up ? " is up.\n" : " was never up.\n");
	if (json_is_object(json_object_get(w, "verdict")))
		return;
	if (up)
		printf("Nothing is wrong with it that %s knows of.\n", site ? "this site" : "the gateway");
	else if (json_array_size(json_object_get(w, "unknown_near")) == 0)
		printf("%s\n", cli_untried(w, site));
	else
		printf("No peer has named it, but one may mean it.\n");
}

static void print_why(const json_t *w, bool site)
{
	const json_t *verdict = json_object_get(w, "verdict");
	json_t *v;
	size_t i;

	print_head(w, site);
	if (json_is_object(verdict))
		cli_print_verdict("Why", verdict, true);
	json_array_foreach (json_object_get(w, "unknown_near"), i, v)
		cli_print_verdict("A peer that may mean this tunnel", v, true);
	json_array_foreach (json_object_get(w, "history"), i, v)
		if (!json_is_object(verdict) || !is_same(v, verdict))
			cli_print_verdict("Before", v, true);
}

int cli_show_why(const struct cli *cli, const json_t *w, bool site)
{
	if (cli->args.json)
		cli_print_json(w);
	else
		print_why(w, site);
	return is_wrong(w) ? CLI_WRONG : CLI_OK;
}

int cli_tunnel_why(struct cli *cli)
{
	json_t *result = NULL;
	char id[40], path[128];
	int r = cli_tunnel_find(cli, cli->args.words[0], id);

	snprintf(path, sizeof(path), "/onramp/tunnels/%s/why", id);
	if (r == CLI_OK)
		r = cli_account_call(cli, "GET", path, NULL, &result);
	if (r == CLI_OK)
		r = cli_show_why(cli, result, false);
	json_decref(result);
	return r;
}

/* ---- peers that no tunnel knows ---- */

int cli_unknown(struct cli *cli)
{
	json_t *result = NULL, *v;
	size_t i;
	int r = cli_call(cli, "GET", "/admin/unknown", NULL, &result);

	if (r == CLI_OK && cli->args.json) {
		cli_print_json(result);
	} else if (r == CLI_OK) {
		json_array_foreach (json_object_get(result, "unknown_peers"), i, v)
			cli_print_verdict("A peer that no tunnel knows", v, true);
		if (i == 0)
			printf("No peer came that no tunnel knows.\n");
	}
	json_decref(result);
	return r;
}
