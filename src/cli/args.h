// The commands' words and options: parsed from the same tables that the help texts are made of.
// Inside cli only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* WRONG: a tunnel that was asked about is down, or something is wrong with it. */
enum { CLI_OK = 0, CLI_REFUSED = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3, CLI_WRONG = 4 };

#define CLI_WORDS_MAX 8
#define CLI_OPTIONS_MAX 24

struct cli;

struct cli_option {
	const char *name;  /* without the dashes */
	const char *value; /* what stands for its value in help texts; NULL: a flag */
	const char *help;
};

struct cli_command {
	const char *noun, *verb; /* verb NULL: the noun stands alone */
	const char *words;	 /* "NAME" */
	unsigned word_min, word_max;
	const char *help;		  /* one line */
	const char *more;		  /* further lines, or NULL */
	const struct cli_option *options; /* ended by a name of NULL; NULL: none */
	int (*run)(struct cli *cli);
	bool admin; /* only by the administrator's socket */
};

/* All commands, ended by a noun of NULL; cli.c. */
extern const struct cli_command cli_commands[];

struct cli_args {
	const struct cli_command *command;
	const char *words[CLI_WORDS_MAX];
	unsigned word_cnt;
	const char *values[CLI_OPTIONS_MAX]; /* beside command->options; a flag that is given: "" */
	/* of every command */
	bool json, help, version;
	const char *url, *socket, *account, *token_file, *ca_file;
};

/* Fills ret from the command line. CLI_USAGE after telling on standard error what is wrong. */
int cli_args_parse(const struct cli_command *all, int argc, char **argv, struct cli_args *ret);

/* The value of an option of the command, NULL: not given. */
const char *cli_args_value(const struct cli_args *a, const char *name);

/* Help on standard output: of one command, of a noun's commands, or of everything. */
void cli_help(const struct cli_command *all, const char *noun, const char *verb);
