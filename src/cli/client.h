// The CLI's end of the API: one request at a time, over TCP with a token or over the administrator's socket.
// Inside cli only.
#pragma once

#include <jansson.h>

#include "cli/args.h"

typedef void CURL;

struct cli {
	struct cli_args args;
	CURL *curl;
	char *token; /* NULL: the administrator's socket */
	bool by_socket;
	bool quiet;	  /* warnings are not told: the command only looks something up */
	char account[64]; /* id or number for paths, "" until cli_find_account */
};

/* Finds token and socket. Tells on standard error what is wrong. */
int cli_client_init(struct cli *cli);
void cli_client_fini(struct cli *cli);

/* One call. body is taken over (NULL: none). On CLI_OK *ret_result is the envelope's "result", to be freed
 * by json_decref; warnings were told on standard error. Else the reason was told there. */
int cli_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret_result);

/* The end of a command that made one call with that outcome: shows the result's member (NULL: all of it), by print or as JSON. Takes
 * result (NULL: there is none). Returns r. */
int cli_answer(const struct cli *cli, int r, json_t *result, const char *member, void (*print)(const json_t *shown));

/* The value of an option as a whole number; else as text, so that the API's refusal names the field. */
json_t *cli_number_or_text(const char *text);

/* Whether it may stand in a path as the id of something: 32 hexadecimal digits. */
bool cli_is_id(const char *text);

/* All accounts that the caller may see, as cli_call gives them. */
int cli_load_accounts(struct cli *cli, json_t **ret);

/* Fills cli->account: the one that was named, or the only one that there is. Tells what is wrong. */
int cli_find_account(struct cli *cli);

/* cli_call for a path below the account: "/magic/routes". */
int cli_account_call(struct cli *cli, const char *method, const char *path, json_t *body,
		     json_t **ret_result);
