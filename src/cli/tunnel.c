#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "base/secret.h"
#include "cli/commands.h"

#define TUNNELS "/magic/ipsec_tunnels"
#define PSK_MAX 256

static const char *value(const struct cli *cli, const char *name)
{
	return cli_args_value(&cli->args, name);
}

int cli_tunnel_find(struct cli *cli, const char *word, char id[static 40])
{
	json_t *result = NULL, *t;
	size_t i;

	if (cli_is_id(word)) {
		snprintf(id, 40, "%s", word);
		return CLI_OK;
	}
	cli->quiet = true;
	int r = cli_account_call(cli, "GET", TUNNELS, NULL, &result);
	cli->quiet = false;
	if (r != CLI_OK)
		return r;
	id[0] = 0;
	json_array_foreach (json_object_get(result, "ipsec_tunnels"), i, t) {
		const char *name = cli_text(t, "name");
		if (name != NULL && strcmp(name, word) == 0)
			snprintf(id, 40, "%s", cli_text(t, "id"));
	}
	json_decref(result);
	if (id[0] != 0)
		return CLI_OK;
	fprintf(stderr, "onramp: there is no tunnel named \"");
	cli_print_text(stderr, word);
	fprintf(stderr, "\"; \"onramp tunnel list\" shows them\n");
	return CLI_REFUSED;
}

/* ---- showing ---- */

static void print_onramp(const json_t *o)
{
	static const char *const keys[] = { "ike_lifetime",  "child_lifetime", "dpd_delay",
					    "replay_window", "mss_clamp",      "outer_mtu",
					    "child_rekey_bytes", "child_rekey_packets", "profile" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json_t *v = json_object_get(o, keys[i]);
		if (json_is_string(v))
			cli_line(keys[i], json_string_value(v));
		else
			cli_linef(keys[i], "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	}
	cli_line("esn", json_is_true(json_object_get(o, "esn")) ? "yes" : "no");
}

static void print_tunnel(const json_t *t)
{
	const json_t *names = json_object_get(t, "remote_identities");
	const char *psk = cli_text(json_object_get(t, "psk_metadata"), "last_generated_on");
	const char *fqdn = cli_text(names, "fqdn_id");
	const char *dot = fqdn == NULL ? NULL : strchr(fqdn, '.');

	cli_line("name", cli_text(t, "name"));
	cli_line("id", cli_text(t, "id"));
	if (cli_text(t, "description") != NULL)
		cli_line("description", cli_text(t, "description"));
	cli_line("gateway address", cli_text(t, "cloudflare_endpoint"));
	cli_line("router address",
		 cli_text(t, "customer_endpoint") != NULL ? cli_text(t, "customer_endpoint") : "any");
	cli_line("interface address", cli_text(t, "interface_address"));
	if (cli_text(t, "interface_address6") != NULL)
		cli_line("interface address, v6", cli_text(t, "interface_address6"));
	if (psk != NULL)
		cli_linef("pre-shared key", "set on %s", psk);
	else
		cli_line("pre-shared key", "none yet: \"onramp tunnel psk\" sets one");
	cli_line("replay protection", json_is_true(json_object_get(t, "replay_protection")) ? "yes" : "no");
	if (json_is_true(json_object_get(t, "allow_null_cipher")))
		cli_line("encryption", "NULL is allowed: traffic may be UNENCRYPTED");
	printf("\nThe router presents itself by one of:\n");
	cli_line("  FQDN", fqdn);
	cli_line("  user FQDN (e-mail)", cli_text(names, "user_id"));
	if (dot != NULL)
		cli_linef("  key id", "%.*s_%.*s", (int)strcspn(dot + 1, "."), dot + 1, (int)(dot - fqdn),
			  fqdn);
	cli_line("  key id, in hex", cli_text(names, "hex_id"));
	printf("\n");
	print_onramp(json_object_get(t, "onramp"));
}

int cli_tunnel_list(struct cli *cli)
{
	json_t *result = NULL, *t;
	struct cli_table table;
	size_t i;
	int r = cli_account_call(cli, "GET", TUNNELS, NULL, &result);

	if (r != CLI_OK)
		return r;
	if (cli->args.json) {
		cli_print_json(json_object_get(result, "ipsec_tunnels"));
		json_decref(result);
		return r;
	}
	cli_sort_by_name(json_object_get(result, "ipsec_tunnels"));
	cli_table_init(&table, "NAME|ID|GATEWAY|ROUTER|INTERFACE|KEY|NOTE");
	json_array_foreach (json_object_get(result, "ipsec_tunnels"), i, t) {
		bool psk = cli_text(json_object_get(t, "psk_metadata"), "last_generated_on") != NULL;
		cli_table_cell(&table, cli_text(t, "name"));
		cli_table_cell(&table, cli_text(t, "id"));
		cli_table_cell(&table, cli_text(t, "cloudflare_endpoint"));
		cli_table_cell(&table, cli_text(t, "customer_endpoint") != NULL
					       ? cli_text(t, "customer_endpoint")
					       : "any");
		cli_table_cell(&table, cli_text(t, "interface_address"));
		cli_table_cell(&table, psk ? "set" : "none");
		cli_table_cell(&table, json_is_true(json_object_get(t, "allow_null_cipher"))
					       ? "UNENCRYPTED allowed"
					       : "");
	}
	cli_table_end(&table, "There is no tunnel yet: \"onramp tunnel create\" makes one.");
	json_decref(result);
	return r;
}

/* path names one tunnel; its "member" of the result is shown. */
static int show_member(struct cli *cli, const char *method, const char *path, json_t *body,
		       const char *member)
{
	json_t *result = NULL;
	int r = cli_account_call(cli, method, path, body, &result);

	return cli_answer(cli, r, result, member, print_tunnel);
}

static int find_path(struct cli *cli, char path[static 128], const char *more)
{
	char id[40];
	int r = cli_tunnel_find(cli, cli->args.words[0], id);

	snprintf(path, 128, "%s/%s%s", TUNNELS, id, more);
	return r;
}

int cli_tunnel_show(struct cli *cli)
{
	char path[128];
	int r = find_path(cli, path, "");

	return r != CLI_OK ? r : show_member(cli, "GET", path, NULL, "ipsec_tunnel");
}

static void print_deleted(const json_t *tunnel)
{
	printf("deleted %s\n", cli_text(tunnel, "name"));
}

int cli_tunnel_delete(struct cli *cli)
{
	json_t *result = NULL;
	char path[128];
	int r = find_path(cli, path, "");

	if (r == CLI_OK)
		r = cli_account_call(cli, "DELETE", path, NULL, &result);
	return cli_answer(cli, r, result, "deleted_ipsec_tunnel", print_deleted);
}

/* ---- keys ---- */

/* A terminal shows nothing of what is typed. */
static char *read_line(FILE *f, char *line, int cap)
{
	const int fd = fileno(f);
	struct termios shown, hidden;

	if (tcgetattr(fd, &shown) != 0) /* no terminal */
		return fgets(line, cap, f);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fd, TCSAFLUSH, &hidden);
	fprintf(stderr, "Pre-shared key: ");
	char *got = fgets(line, cap, f);
	tcsetattr(fd, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	return got;
}

/* The first line of a file or of standard input, never longer than the API takes. */
static int read_psk(const char *path, char psk[static PSK_MAX + 3])
{
	FILE *f = path == NULL ? stdin : fopen(path, "r");

	if (f == NULL) {
		fprintf(stderr, "onramp: cannot read %s: %s\n", path, strerror(errno));
		return CLI_USAGE;
	}
	setvbuf(f, NULL, _IONBF, 0);
	char *got = read_line(f, psk, PSK_MAX + 3);
	if (path != NULL)
		fclose(f);
	size_t len = got == NULL ? 0 : strcspn(psk, "\r\n");
	if (len > 0 && len <= PSK_MAX) {
		psk[len] = 0;
		return CLI_OK;
	}
	fprintf(stderr, "onramp: %s has no key: its first line must have 1 to %d characters\n",
		path == NULL ? "standard input" : path, PSK_MAX);
	secret_wipe(psk, PSK_MAX + 3);
	return CLI_USAGE;
}

/* Puts the key out of a file or standard input into a body. */
static int set_psk(json_t *body, const char *path, bool from_stdin)
{
	char psk[PSK_MAX + 3];

	if (path == NULL && !from_stdin)
		return CLI_OK;
	if (path != NULL && from_stdin) {
		fprintf(stderr, "onramp: the key comes from a file or from standard input, not from both\n");
		return CLI_USAGE;
	}
	int r = read_psk(path, psk);
	if (r == CLI_OK && json_object_set_new(body, "psk", json_string(psk)) != 0) {
		fprintf(stderr, "onramp: the key is not valid UTF-8\n");
		r = CLI_USAGE;
	}
	secret_wipe(psk, sizeof(psk));
	return r;
}

static int generate_psk(struct cli *cli, const char *path)
{
	json_t *result = NULL;
	int r = cli_account_call(cli, "POST", path, NULL, &result);

	if (r == CLI_OK && cli->args.json) {
		cli_print_json(result);
	} else if (r == CLI_OK) {
		cli_line("pre-shared key", cli_text(result, "psk"));
		cli_line("key id", cli_text(result, "ipsec_id"));
		fprintf(stderr, "The key is shown this once. It counts from the router's next IKE_AUTH.\n");
	}
	json_decref(result);
	return r;
}

int cli_tunnel_psk(struct cli *cli)
{
	const bool generate = value(cli, "generate") != NULL, in = value(cli, "stdin") != NULL;
	const char *file = value(cli, "file");
	char path[128];

	if (generate + in + (file != NULL) != 1) {
		fprintf(stderr, "onramp: say where the key comes from: --generate, --stdin or --file FILE\n");
		return CLI_USAGE;
	}
	int r = find_path(cli, path, generate ? "/psk_generate" : "");
	if (r != CLI_OK || generate)
		return r != CLI_OK ? r : generate_psk(cli, path);
	json_t *body = json_object(), *result = NULL;
	r = set_psk(body, file, in);
	if (r != CLI_OK) {
		json_decref(body);
		return r;
	}
	r = cli_account_call(cli, "PUT", path, body, &result);
	if (r == CLI_OK && cli->args.json)
		cli_print_json(json_object_get(result, "modified_ipsec_tunnel"));
	else if (r == CLI_OK)
		printf("The key is set. It counts from the router's next IKE_AUTH.\n");
	json_decref(result);
	return r;
}

int cli_tunnel_rekey(struct cli *cli)
{
	const bool ike = value(cli, "ike") != NULL;
	char id[40], path[128];
	json_t *result = NULL;
	int r = cli_tunnel_find(cli, cli->args.words[0], id);

	if (r != CLI_OK)
		return r;
	snprintf(path, sizeof(path), "/onramp/tunnels/%s/rekey", id);
	r = cli_account_call(cli, "POST", path, json_pack("{s:b}", "ike", ike), &result);
	if (r == CLI_OK && cli->args.json)
		cli_print_json(result);
	else if (r == CLI_OK)
		printf("The gateway rekeys %s.\n", ike ? "the IKE SA" : "the Child SAs");
	json_decref(result);
	return r;
}

/* ---- making and changing ---- */

static int set_texts(const struct cli *cli, json_t *body)
{
	static const struct {
		const char *option, *field;
	} texts[] = { { "endpoint", "cloudflare_endpoint" },
		      { "interface", "interface_address" },
		      { "customer", "customer_endpoint" },
		      { "interface6", "interface_address6" },
		      { "description", "description" } };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *v = value(cli, texts[i].option);
		if (v != NULL && json_object_set_new(body, texts[i].field, json_string(v)) != 0) {
			fprintf(stderr, "onramp: --%s is not valid UTF-8\n", texts[i].option);
			return CLI_USAGE;
		}
	}
	return CLI_OK;
}

static void set_numbers(const struct cli *cli, json_t *body)
{
	static const struct {
		const char *option, *field;
	} numbers[] = { { "ike-lifetime", "ike_lifetime" }, { "child-lifetime", "child_lifetime" },
			{ "dpd-delay", "dpd_delay" },	    { "replay-window", "replay_window" },
			{ "mss-clamp", "mss_clamp" },	    { "outer-mtu", "outer_mtu" },
			{ "child-rekey-bytes", "child_rekey_bytes" },
			{ "child-rekey-packets", "child_rekey_packets" } };
	json_t *onramp = json_object();

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (value(cli, numbers[i].option) != NULL)
			json_object_set_new(onramp, numbers[i].field,
					    cli_number_or_text(value(cli, numbers[i].option)));
	if (value(cli, "profile") != NULL)
		json_object_set_new(onramp, "profile", json_string(value(cli, "profile")));
	if (value(cli, "esn") != NULL)
		json_object_set_new(onramp, "esn", json_boolean(strcmp(value(cli, "esn"), "yes") == 0));
	if (json_object_size(onramp) != 0)
		json_object_set(body, "onramp", onramp);
	json_decref(onramp);
}

/* What create and update have in common. */
static int read_options(const struct cli *cli, json_t *body)
{
	static const char *const words[] = { "allow-null", "replay-protection", "esn" };
	const char *null = value(cli, words[0]), *replay = value(cli, words[1]);

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const char *v = value(cli, words[i]);
		if (v != NULL && strcmp(v, "yes") != 0 && strcmp(v, "no") != 0) {
			fprintf(stderr, "onramp: --%s is yes or no\n", words[i]);
			return CLI_USAGE;
		}
	}
	if (null != NULL)
		json_object_set_new(body, "allow_null_cipher", json_boolean(strcmp(null, "yes") == 0));
	if (replay != NULL)
		json_object_set_new(body, "replay_protection", json_boolean(strcmp(replay, "yes") == 0));
	set_numbers(cli, body);
	int r = set_texts(cli, body);
	return r != CLI_OK ? r : set_psk(body, value(cli, "psk-file"), value(cli, "psk-stdin") != NULL);
}

/* The account's gateway address, when it has only one. */
static int default_endpoint(struct cli *cli, json_t *body)
{
	json_t *result = NULL;

	if (json_object_get(body, "cloudflare_endpoint") != NULL)
		return CLI_OK;
	int r = cli_account_call(cli, "GET", "", NULL, &result);
	const json_t *list = json_object_get(json_object_get(result, "onramp"), "endpoints");
	if (r == CLI_OK && json_array_size(list) == 1) {
		json_object_set(body, "cloudflare_endpoint", json_array_get(list, 0));
	} else if (r == CLI_OK) {
		fprintf(stderr,
			"onramp: the account has several gateway addresses: choose one with --endpoint:");
		for (size_t i = 0; i < json_array_size(list); i++)
			fprintf(stderr, " %s", json_string_value(json_array_get(list, i)));
		fprintf(stderr, "\n");
		r = CLI_USAGE;
	}
	json_decref(result);
	return r;
}

int cli_tunnel_create(struct cli *cli)
{
	json_t *result = NULL, *body = json_pack("{s:s}", "name", cli->args.words[0]);
	char path[128];

	if (body == NULL || value(cli, "interface") == NULL) {
		fprintf(stderr, body == NULL ? "onramp: the name is not valid UTF-8\n"
					     : "onramp: --interface is missing: the gateway's inner address, "
					       "such as 10.252.2.26/31\n");
		json_decref(body);
		return CLI_USAGE;
	}
	int r = read_options(cli, body);
	if (r == CLI_OK && value(cli, "generate") != NULL && json_object_get(body, "psk") != NULL) {
		fprintf(stderr, "onramp: --generate makes a key: leave --psk-file and --psk-stdin out\n");
		r = CLI_USAGE;
	}
	if (r == CLI_OK)
		r = default_endpoint(cli, body);
	if (r != CLI_OK) {
		json_decref(body);
		return r;
	}
	r = cli_account_call(cli, "POST", TUNNELS, body, &result);
	if (r == CLI_OK && value(cli, "generate") != NULL) {
		json_t *psk = NULL;
		snprintf(path, sizeof(path), "%s/%s/psk_generate", TUNNELS, cli_text(result, "id"));
		r = cli_account_call(cli, "POST", path, NULL, &psk);
		json_object_update_missing(result, psk);
		json_object_set(result, "psk_metadata", json_object_get(psk, "psk_metadata"));
		json_decref(psk);
	}
	json_object_del(result, "ipsec_tunnels");
	if (json_is_object(result) && cli->args.json) {
		cli_print_json(result);
	} else if (json_is_object(result)) {
		print_tunnel(result);
		if (cli_text(result, "psk") != NULL)
			cli_line("\npre-shared key", cli_text(result, "psk"));
	}
	json_decref(result);
	return r;
}

int cli_tunnel_update(struct cli *cli)
{
	json_t *body = json_object();
	char path[128];
	int r = read_options(cli, body);

	if (value(cli, "name") != NULL)
		json_object_set_new(body, "name", json_string(value(cli, "name")));
	if (r == CLI_OK && json_object_size(body) == 0) {
		fprintf(stderr,
			"onramp: nothing to change; \"onramp tunnel update --help\" lists the options\n");
		r = CLI_USAGE;
	}
	if (r == CLI_OK)
		r = find_path(cli, path, "");
	if (r != CLI_OK) {
		json_decref(body);
		return r;
	}
	return show_member(cli, "PUT", path, body, "modified_ipsec_tunnel");
}
