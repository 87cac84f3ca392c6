#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/print.h"
#include "model/id.h"

#define URL_DEFAULT "http://127.0.0.1:8080"
#define SOCKET_DEFAULT "/run/onramp/admin.sock"
#define PREFIX "/client/v4"
#define ANSWER_MAX (256u << 20)
#define TOKEN_MAX 256
#define URL_MAX 2048
#define ACCOUNTS_PAGE 250

/* An option, else the environment, else NULL. Empty counts as not given. */
static const char *setting(const char *option, const char *variable)
{
	const char *v = option != NULL ? option : getenv(variable);
	return v != NULL && v[0] != 0 ? v : NULL;
}

/* ---- token ---- */

static int read_token_file(const char *path, char **ret)
{
	char text[TOKEN_MAX + 2] = { 0 };
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		fprintf(stderr, "onramp: cannot read the token file %s: %s\n", path, strerror(errno));
		return CLI_USAGE;
	}
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[strcspn(text, "\r\n")] = 0;
	if (text[0] != 0 && n <= TOKEN_MAX)
		*ret = strdup(text);
	else
		fprintf(stderr, "onramp: %s holds no token: it must have one line of at most %d characters\n",
			path, TOKEN_MAX);
	secret_wipe(text, sizeof(text));
	return *ret != NULL ? CLI_OK : CLI_USAGE;
}

static int find_token(struct cli *cli)
{
	const char *variable = setting(NULL, "ONRAMP_TOKEN");

	if (cli->args.socket != NULL || cli->args.command->admin)
		return CLI_OK;
	if (cli->args.token_file != NULL)
		return read_token_file(cli->args.token_file, &cli->token);
	if (variable != NULL && (strlen(variable) > TOKEN_MAX || strpbrk(variable, "\r\n") != NULL)) {
		fprintf(stderr, "onramp: ONRAMP_TOKEN holds no token\n");
		return CLI_USAGE;
	}
	if (variable != NULL)
		cli->token = strdup(variable);
	return CLI_OK;
}

int cli_client_init(struct cli *cli)
{
	int r = find_token(cli);

	if (r != CLI_OK)
		return r;
	cli->by_socket = cli->token == NULL;
	cli->curl = curl_easy_init();
	must(cli->curl != NULL);
	return CLI_OK;
}

void cli_client_fini(struct cli *cli)
{
	if (cli->token != NULL)
		secret_wipe(cli->token, strlen(cli->token));
	free(cli->token);
	curl_easy_cleanup(cli->curl);
}

/* ---- one exchange ---- */

struct room {
	char *p;
	size_t len, cap;
};

/* Grows without leaving keys in freed memory. */
static size_t take_answer(char *p, size_t size, size_t cnt, void *arg)
{
	struct room *r = arg;
	size_t n = size * cnt;

	if (n > ANSWER_MAX - r->len)
		return 0;
	if (r->len + n > r->cap) {
		size_t cap = 2 * (r->len + n);
		char *bigger = malloc(cap);
		must(bigger != NULL);
		if (r->len != 0)
			memcpy(bigger, r->p, r->len);
		if (r->p != NULL)
			secret_wipe(r->p, r->cap);
		free(r->p);
		r->p = bigger;
		r->cap = cap;
	}
	memcpy(r->p + r->len, p, n);
	r->len += n;
	return n;
}

static void free_room(struct room *r)
{
	if (r->p != NULL)
		secret_wipe(r->p, r->cap);
	free(r->p);
	*r = (struct room){ 0 };
}

static const char *socket_path(const struct cli *cli)
{
	const char *s = setting(cli->args.socket, "ONRAMP_SOCKET");
	return s != NULL ? s : SOCKET_DEFAULT;
}

static const char *base_url(const struct cli *cli)
{
	const char *u = setting(cli->args.url, "ONRAMP_URL");
	return cli->by_socket ? "http://onramp" : u != NULL ? u : URL_DEFAULT;
}

/* What stands before the path: a base that has the prefix already is fine. */
static void make_url(const struct cli *cli, const char *path, char url[static URL_MAX])
{
	const char *base = base_url(cli);
	size_t len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		len--;
	bool has_prefix =
		len >= strlen(PREFIX) && strncmp(base + len - strlen(PREFIX), PREFIX, strlen(PREFIX)) == 0;
	snprintf(url, URL_MAX, "%.*s%s%s", (int)len, base, has_prefix ? "" : PREFIX, path);
}

static int fail_unreachable(const struct cli *cli, CURLcode code, const char *url)
{
	long error = 0;

	curl_easy_getinfo(cli->curl, CURLINFO_OS_ERRNO, &error);
	if (!cli->by_socket)
		fprintf(stderr,
			"onramp: cannot reach the API at %s: %s.\n        Does onrampd run (systemctl status "
			"onrampd)? Is --url or ONRAMP_URL right?\n",
			url, curl_easy_strerror(code));
	else if (error == EACCES || error == EPERM)
		fprintf(stderr,
			"onramp: the administrator's socket %s is for root only: use sudo, or a token "
			"(ONRAMP_TOKEN).\n",
			socket_path(cli));
	else
		fprintf(stderr,
			"onramp: cannot reach the administrator's socket %s: %s.\n        Does onrampd run "
			"(systemctl status onrampd)? On another host use --url and a token (ONRAMP_TOKEN).\n",
			socket_path(cli), error != 0 ? strerror((int)error) : curl_easy_strerror(code));
	return CLI_UNREACHABLE;
}

/* The authorization header, in memory that is wiped by its maker. */
static struct curl_slist *make_headers(const struct cli *cli)
{
	char line[TOKEN_MAX + 32];
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");

	list = curl_slist_append(list, "Expect:");
	if (cli->token != NULL) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", cli->token);
		list = curl_slist_append(list, line);
		secret_wipe(line, sizeof(line));
	}
	must(list != NULL);
	return list;
}

static void set_options(struct cli *cli, const char *method, const char *url, const char *body,
			struct room *answer)
{
	const char *ca = setting(cli->args.ca_file, "ONRAMP_CA_FILE");

	curl_easy_reset(cli->curl);
	curl_easy_setopt(cli->curl, CURLOPT_URL, url);
	curl_easy_setopt(cli->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(cli->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(cli->curl, CURLOPT_CONNECTTIMEOUT, 5L);
	curl_easy_setopt(cli->curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(cli->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(cli->curl, CURLOPT_USERAGENT, "onramp/" ONRAMP_VERSION);
	curl_easy_setopt(cli->curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(cli->curl, CURLOPT_WRITEDATA, answer);
	if (cli->by_socket) {
		curl_easy_setopt(cli->curl, CURLOPT_UNIX_SOCKET_PATH, socket_path(cli));
		curl_easy_setopt(cli->curl, CURLOPT_PROXY, "");
	}
	if (ca != NULL)
		curl_easy_setopt(cli->curl, CURLOPT_CAINFO, ca);
	if (body != NULL) {
		curl_easy_setopt(cli->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		curl_easy_setopt(cli->curl, CURLOPT_POSTFIELDS, body);
	} else if (strcmp(method, "POST") == 0) {
		curl_easy_setopt(cli->curl, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(cli->curl, CURLOPT_POSTFIELDS, "");
	}
}

/* ---- the answer ---- */

static void tell_messages(const json_t *envelope)
{
	size_t i;
	json_t *m;

	json_array_foreach (json_object_get(envelope, "messages"), i, m) {
		fprintf(stderr, "onramp: warning: ");
		cli_print_text(stderr, json_string_value(json_object_get(m, "message")));
		fprintf(stderr, "\n");
	}
}

static void tell_errors(const json_t *envelope)
{
	size_t i;
	json_t *e;

	json_array_foreach (json_object_get(envelope, "errors"), i, e) {
		const char *field =
			json_string_value(json_object_get(json_object_get(e, "source"), "pointer"));
		fprintf(stderr, "onramp: ");
		cli_print_text(stderr, json_string_value(json_object_get(e, "message")));
		fprintf(stderr, " (code %" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(e, "code")));
		if (field != NULL) {
			fprintf(stderr, ", field ");
			cli_print_text(stderr, field);
		}
		fprintf(stderr, ")\n");
	}
}

static int judge_answer(const struct cli *cli, const char *url, const struct room *answer,
			json_t **ret_result)
{
	long status = 0;
	json_t *envelope = json_loadb(answer->p != NULL ? answer->p : "", answer->len, 0, NULL);

	curl_easy_getinfo(cli->curl, CURLINFO_RESPONSE_CODE, &status);
	if (!json_is_object(envelope) || !json_is_boolean(json_object_get(envelope, "success"))) {
		fprintf(stderr,
			"onramp: what answers at %s is not Onramp's API (status %ld). Is --url or ONRAMP_URL "
			"right?\n",
			url, status);
		json_decref(envelope);
		return CLI_UNREACHABLE;
	}
	if (!cli->quiet)
		tell_messages(envelope);
	bool good = status >= 200 && status < 300 && json_is_true(json_object_get(envelope, "success"));
	if (good)
		*ret_result = json_incref(json_object_get(envelope, "result"));
	else
		tell_errors(envelope);
	json_decref(envelope);
	return good ? CLI_OK : CLI_REFUSED;
}

int cli_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret_result)
{
	char url[URL_MAX];
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	struct room answer = { 0 };
	struct curl_slist *headers = make_headers(cli);

	json_decref(body);
	make_url(cli, path, url);
	set_options(cli, method, url, text, &answer);
	curl_easy_setopt(cli->curl, CURLOPT_HTTPHEADER, headers);
	CURLcode code = curl_easy_perform(cli->curl);
	int r = code != CURLE_OK ? fail_unreachable(cli, code, url)
				 : judge_answer(cli, url, &answer, ret_result);
	for (struct curl_slist *h = headers; h != NULL; h = h->next)
		secret_wipe(h->data, strlen(h->data));
	curl_slist_free_all(headers);
	if (text != NULL)
		secret_wipe(text, strlen(text));
	free(text);
	free_room(&answer);
	return r;
}

int cli_answer(const struct cli *cli, int r, json_t *result, const char *member, void (*print)(const json_t *shown))
{
	const json_t *shown = member == NULL ? result : json_object_get(result, member);

	if (r == CLI_OK && cli->args.json)
		cli_print_json(shown);
	else if (r == CLI_OK)
		print(shown);
	json_decref(result);
	return r;
}

json_t *cli_number_or_text(const char *text)
{
	uint64_t v;
	return text_u64_parse(bytes_str(text), INT64_MAX, &v) == ERR_NONE ? json_integer((json_int_t)v)
									  : json_string(text);
}

bool cli_is_id(const char *text)
{
	return strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32;
}

/* ---- the account ---- */

static bool is_account_id(const char *s)
{
	struct model_id id;
	uint64_t number;

	return model_id_parse(bytes_str(s), &id) == ERR_NONE ||
	       text_u64_parse(bytes_str(s), UINT32_MAX, &number) == ERR_NONE;
}

static int fail_account(const json_t *list, const char *wanted)
{
	size_t i;
	json_t *a;

	if (wanted != NULL) {
		fprintf(stderr, "onramp: there is no account named \"");
		cli_print_text(stderr, wanted);
		fprintf(stderr, "\"");
	} else if (json_array_size(list) == 0) {
		fprintf(stderr,
			"onramp: there is no account yet: \"onramp account create NAME\" makes one\n");
		return CLI_USAGE;
	} else {
		fprintf(stderr,
			"onramp: there are several accounts: choose one with --account or ONRAMP_ACCOUNT");
	}
	for (i = 0; i < json_array_size(list) && i < 10; i++) {
		a = json_array_get(list, i);
		fprintf(stderr, "%s %" JSON_INTEGER_FORMAT " (", i == 0 ? ":" : ",",
			json_integer_value(json_object_get(json_object_get(a, "onramp"), "number")));
		cli_print_text(stderr, json_string_value(json_object_get(a, "name")));
		fprintf(stderr, ")");
	}
	fprintf(stderr, "\n");
	return CLI_USAGE;
}

int cli_load_accounts(struct cli *cli, json_t **ret)
{
	json_t *all = json_array();
	size_t cnt = ACCOUNTS_PAGE;
	int r = CLI_OK;

	for (unsigned n = 1; r == CLI_OK && cnt == ACCOUNTS_PAGE; n++) {
		json_t *page = NULL;
		char path[64];
		snprintf(path, sizeof(path), "/accounts?per_page=%d&page=%u", ACCOUNTS_PAGE, n);
		r = cli_call(cli, "GET", path, NULL, &page);
		cnt = json_array_size(page);
		if (r == CLI_OK)
			must(json_array_extend(all, page) == 0);
		json_decref(page);
	}
	if (r == CLI_OK)
		*ret = json_incref(all);
	json_decref(all);
	return r;
}

int cli_find_account(struct cli *cli)
{
	const char *wanted = setting(cli->args.account, "ONRAMP_ACCOUNT");
	const json_t *found = NULL;
	json_t *list = NULL, *a;
	size_t i;

	if (cli->account[0] != 0)
		return CLI_OK;
	if (wanted != NULL && is_account_id(wanted)) {
		snprintf(cli->account, sizeof(cli->account), "%s", wanted);
		return CLI_OK;
	}
	int r = cli_load_accounts(cli, &list);
	if (r != CLI_OK)
		return r;
	json_array_foreach (list, i, a) {
		const char *name = json_string_value(json_object_get(a, "name"));
		if (wanted == NULL ? json_array_size(list) == 1
				   : name != NULL && strcasecmp(name, wanted) == 0)
			found = a;
	}
	if (found != NULL)
		snprintf(cli->account, sizeof(cli->account), "%s",
			 json_string_value(json_object_get(found, "id")));
	else
		r = fail_account(list, wanted);
	json_decref(list);
	return r;
}

int cli_account_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret_result)
{
	char full[URL_MAX];
	int r = cli_find_account(cli);

	if (r != CLI_OK) {
		json_decref(body);
		return r;
	}
	snprintf(full, sizeof(full), "/accounts/%s%s", cli->account, path);
	return cli_call(cli, method, full, body, ret_result);
}
