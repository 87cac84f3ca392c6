#include "cli/args.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "base/text.h"

static const struct cli_option global_options[] = {
	{ "json", NULL, "print the API's result as JSON" },
	{ "url", "URL", "the API (ONRAMP_URL, http://127.0.0.1:8080)" },
	{ "token-file", "FILE", "a file with the token (or ONRAMP_TOKEN in the environment)" },
	{ "account", "ACCOUNT", "id, number or name; needed when there are several (ONRAMP_ACCOUNT)" },
	{ "socket", "PATH",
	  "the administrator's socket, used when there is no token\n"
	  "(ONRAMP_SOCKET, /run/onramp/admin.sock)" },
	{ "ca-file", "FILE", "certificates to trust for https (ONRAMP_CA_FILE)" },
	{ "help", NULL, "this text; after a command: its own" },
	{ "version", NULL, "print the version" },
	{ NULL, NULL, NULL },
};

/* ---- finding ---- */

static size_t count_options(const struct cli_option *o)
{
	size_t n = 0;
	while (o != NULL && o[n].name != NULL)
		n++;
	return n;
}

static const struct cli_option *find_option(const struct cli_option *list, const char *name, size_t len)
{
	for (size_t i = 0; i < count_options(list); i++)
		if (strlen(list[i].name) == len && strncmp(list[i].name, name, len) == 0)
			return &list[i];
	return NULL;
}

static const struct cli_command *find_command(const struct cli_command *all, const char *noun, const char *verb)
{
	for (const struct cli_command *c = all; c->noun != NULL; c++)
		if (strcmp(c->noun, noun) == 0 &&
		    (c->verb == NULL || (verb != NULL && strcmp(c->verb, verb) == 0)))
			return c;
	return NULL;
}

static bool is_noun(const struct cli_command *all, const char *noun)
{
	for (const struct cli_command *c = all; c->noun != NULL; c++)
		if (strcmp(c->noun, noun) == 0)
			return true;
	return false;
}

/* The known name that looks most like what was typed. */
static const char *nearest_name(const char *typed, const struct cli_option *a, const struct cli_option *b)
{
	const char *best = NULL;
	const struct cli_option *lists[] = { a, b };

	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		for (size_t i = 0; i < count_options(lists[l]); i++)
			if (best == NULL ||
			    text_distance(typed, lists[l][i].name) < text_distance(typed, best))
				best = lists[l][i].name;
	return best;
}

const char *cli_args_value(const struct cli_args *a, const char *name)
{
	const struct cli_option *o = find_option(a->command->options, name, strlen(name));

	must(o != NULL);
	return a->values[o - a->command->options];
}

/* ---- help ---- */

static void print_options(const struct cli_option *list)
{
	for (size_t i = 0; i < count_options(list); i++) {
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s", list[i].name, list[i].value != NULL ? " " : "",
			 list[i].value != NULL ? list[i].value : "");
		printf("  %-24s ", left);
		for (const char *h = list[i].help; *h != 0; h++)
			if (*h == '\n')
				printf("\n%27s", "");
			else
				putchar(*h);
		printf("\n");
	}
}

static void print_usage(FILE *f, const struct cli_command *c)
{
	fprintf(f, "onramp %s%s%s%s%s%s", c->noun, c->verb != NULL ? " " : "", c->verb != NULL ? c->verb : "",
		c->words[0] != 0 ? " " : "", c->words, c->options != NULL ? " [options]" : "");
}

static void print_command_help(const struct cli_command *c)
{
	printf("Usage: ");
	print_usage(stdout, c);
	printf("\n\n%s.\n", c->help);
	if (c->more != NULL)
		printf("%s\n", c->more);
	if (c->options != NULL)
		printf("\nOptions:\n");
	print_options(c->options);
	printf("\nOptions of every command:\n");
	print_options(global_options);
}

void cli_help(const struct cli_command *all, const char *noun, const char *verb)
{
	const struct cli_command *one = noun != NULL ? find_command(all, noun, verb) : NULL;

	if (one != NULL) {
		print_command_help(one);
		return;
	}
	printf("Usage: onramp COMMAND [options]\n\nTunnels, routes and accounts of an Onramp "
	       "gateway.\n\nCommands:\n");
	for (const struct cli_command *c = all; c->noun != NULL; c++) {
		char left[80];
		if (noun != NULL && strcmp(noun, c->noun) != 0)
			continue;
		snprintf(left, sizeof(left), "%s%s%s %s", c->noun, c->verb != NULL ? " " : "",
			 c->verb != NULL ? c->verb : "", c->words);
		printf("  %-34s %s\n", left, c->help);
	}
	printf("\nOptions of every command:\n");
	print_options(global_options);
	printf("\nExit status: 0 done, 1 the API refused, 2 wrong usage, 3 the API cannot be reached,\n"
	       "4 (why, node ready) it answers and something is wrong.\n");
}

/* ---- parsing ---- */

/* What was typed behind an equals sign is never repeated: it may be a key. */
static int fail_unknown_option(const struct cli_args *a, const char *typed)
{
	char name[40];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(typed, "="), typed);
	const char *nearest =
		nearest_name(name, a->command != NULL ? a->command->options : NULL, global_options);
	if (strncmp(name, "token", 5) == 0 || strncmp(name, "psk", 3) == 0)
		fprintf(stderr,
			"onramp: --%s is not taken: arguments can be read by every user of the "
			"host.\n        Use ONRAMP_TOKEN or --token-file, and \"tunnel psk TUNNEL --stdin\" "
			"or --file.\n",
			name);
	else if (text_distance(name, nearest) <= 3)
		fprintf(stderr, "onramp: unknown option --%s; did you mean --%s?\n", name, nearest);
	else
		fprintf(stderr, "onramp: unknown option --%s; --help lists the options\n", name);
	return CLI_USAGE;
}

static void set_global(struct cli_args *a, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **text;
		bool *flag;
	} slots[] = {
		{ "json", NULL, &a->json },
		{ "help", NULL, &a->help },
		{ "version", NULL, &a->version },
		{ "url", &a->url, NULL },
		{ "token-file", &a->token_file, NULL },
		{ "account", &a->account, NULL },
		{ "socket", &a->socket, NULL },
		{ "ca-file", &a->ca_file, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
		if (strcmp(slots[i].name, name) != 0)
			continue;
		if (slots[i].flag != NULL)
			*slots[i].flag = true;
		else
			*slots[i].text = value;
	}
}

/* One option; *at moves on when its value is the next argument. */
static int take_option(int argc, char **argv, int *at, struct cli_args *a)
{
	const char *name = argv[*at] + 2, *equals = strchr(name, '=');
	size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct cli_option *own =
		a->command != NULL ? find_option(a->command->options, name, len) : NULL;
	const struct cli_option *o = own != NULL ? own : find_option(global_options, name, len);
	const char *value = equals != NULL ? equals + 1 : "";

	if (o == NULL)
		return fail_unknown_option(a, name);
	if (o->value == NULL && equals != NULL) {
		fprintf(stderr, "onramp: --%s takes no value\n", o->name);
		return CLI_USAGE;
	}
	if (o->value != NULL && equals == NULL) {
		if (*at + 1 >= argc) {
			fprintf(stderr, "onramp: --%s needs a value: --%s %s\n", o->name, o->name, o->value);
			return CLI_USAGE;
		}
		value = argv[++*at];
	}
	if (own != NULL)
		a->values[own - a->command->options] = value;
	else
		set_global(a, o->name, value);
	return CLI_OK;
}

/* Noun and verb stand before everything but global options. */
static int find_words(int argc, char **argv, const char **ret_noun, const char **ret_verb)
{
	const char *found[2] = { NULL, NULL };
	unsigned n = 0;

	for (int i = 1; i < argc && n < 2; i++) {
		const struct cli_option *o;
		if (argv[i][0] != '-') {
			found[n++] = argv[i];
			continue;
		}
		o = strncmp(argv[i], "--", 2) == 0
			    ? find_option(global_options, argv[i] + 2, strlen(argv[i] + 2))
			    : NULL;
		if (o != NULL && o->value != NULL)
			i++;
	}
	*ret_noun = found[0];
	*ret_verb = found[1];
	return CLI_OK;
}

static int fail_command(const struct cli_command *all, const char *noun, const char *verb)
{
	if (noun == NULL)
		fprintf(stderr, "onramp: no command; \"onramp --help\" lists them\n");
	else if (!is_noun(all, noun))
		fprintf(stderr, "onramp: unknown command \"%s\"; \"onramp --help\" lists them\n", noun);
	else if (verb == NULL)
		fprintf(stderr, "onramp: \"onramp %s\" needs a verb; \"onramp %s --help\" lists them\n", noun,
			noun);
	else
		fprintf(stderr, "onramp: unknown command \"%s %s\"; \"onramp %s --help\" lists them\n", noun,
			verb, noun);
	return CLI_USAGE;
}

static int check_words(const struct cli_args *a)
{
	if (a->word_cnt >= a->command->word_min && a->word_cnt <= a->command->word_max)
		return CLI_OK;
	fprintf(stderr, "onramp: usage: ");
	print_usage(stderr, a->command);
	fprintf(stderr, "\n        (\"onramp %s%s%s --help\" says more)\n", a->command->noun,
		a->command->verb != NULL ? " " : "", a->command->verb != NULL ? a->command->verb : "");
	return CLI_USAGE;
}

int cli_args_parse(const struct cli_command *all, int argc, char **argv, struct cli_args *ret)
{
	struct cli_args a = { 0 };
	const char *noun, *verb;
	bool only_words = false;

	find_words(argc, argv, &noun, &verb);
	a.command = noun != NULL ? find_command(all, noun, verb) : NULL;
	unsigned skip = a.command == NULL ? 0 : a.command->verb == NULL ? 1 : 2;
	for (int i = 1; i < argc; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (!only_words && strcmp(argv[i], "-h") == 0) {
			a.help = true;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1] != 0) {
			int bad =
				strncmp(argv[i], "--", 2) == 0 ? take_option(argc, argv, &i, &a) : CLI_USAGE;
			if (bad != CLI_OK && strncmp(argv[i], "--", 2) != 0)
				fprintf(stderr, "onramp: unknown option %s; options begin with two dashes\n",
					argv[i]);
			if (bad != CLI_OK)
				return bad;
		} else if (skip > 0) {
			skip--;
		} else if (a.word_cnt < CLI_WORDS_MAX) {
			a.words[a.word_cnt++] = argv[i];
		}
	}
	*ret = a;
	if (a.help || a.version)
		return CLI_OK;
	return a.command == NULL ? fail_command(all, noun, verb) : check_words(&a);
}
