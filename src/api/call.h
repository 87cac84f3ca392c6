// One call of the API: what was asked, who asks, and the answer as it is being made.
// Inside api only; its one thread.
//
// The answer is sticky: the first failure stands, later ones are ignored, so a handler may read all its
// fields and ask once with api_failed. doc/api.md has the codes.
#pragma once

#include <jansson.h>

#include "api/path.h"
#include "api/state.h"
#include "model/account.h"
#include "model/token.h"

enum api_method { API_GET = 1, API_POST = 2, API_PUT = 4, API_PATCH = 8, API_DELETE = 16, API_OTHER = 32 };

/* Numbers of the product that are no rules of the model, and ours for messages[]. */
enum api_code {
	API_CODE_TOKEN_VALID = 10000, /* the product uses one number for the good and the bad */
	API_CODE_AUTH = 10000,
	API_CODE_METHOD_NOT_FOR_TOKEN = 10001,
	API_CODE_HEADERS = 6003,
	API_CODE_KEY_FORM = 6103,
	API_CODE_BEARER_FORM = 6111,
	API_CODE_BAD_METHOD = 7001,
	API_CODE_NO_ROUTE = 7003,
	API_CODE_UNKNOWN_KEY = 9103,
	API_CODE_NO_AUTH = 9106,
	API_CODE_FORBIDDEN = 9109,
	API_CODE_NO_TOKEN = 1001,
	API_CODE_TUNNEL_DOWN = 1154, /* ours */
	API_CODE_NO_CLUSTER = 1155,  /* ours */
	API_MESSAGE_UNENCRYPTED = 1150,
	API_MESSAGE_SHORT_PSK = 1151,
	API_MESSAGE_DANGLING = 1152,
	API_MESSAGE_GATEWAY_AWAY = 1153, /* also an error, where nothing can be done without it */
};

struct api_call {
	struct api_server *server;
	/* asked */
	enum api_method method;
	struct api_path path;
	struct bytes body; /* raw; empty: none */
	json_t *json;	   /* the parsed body, NULL: none */
	bool validate_only;
	bool object_target; /* x-magic-new-hc-target: health_check.target is an object in the answer */
	unsigned page, per_page;
	char name_filter[MODEL_ACCOUNT_NAME_MAX]; /* "": none */
	/* who */
	bool admin; /* came by the Unix socket from root or our own user */
	bool has_token;
	struct model_token token;
	/* what the path names */
	struct model_account account;
	struct bytes id; /* the last :id segment, not checked */
	/* the answer; status 0: none yet */
	unsigned status;
	json_t *result;
	json_t *result_info;
	json_t *errors;
	json_t *messages;
	unsigned allowed; /* of a 405: what the path has, of enum api_method */
	bool retry_later; /* Retry-After */
	bool dont_retry;  /* x-should-retry: false */
};

static inline bool api_failed(const struct api_call *c)
{
	return c->errors != NULL;
}

/* Ends the call with an error. pointer: JSON pointer to the field, "" or NULL: none. */
void api_fail(struct api_call *c, unsigned status, int code, const char *pointer, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The same for what the model found, 400; the pointer is prefix and the problem's field. */
void api_fail_problem(struct api_call *c, const char *prefix, const struct model_problem *problem);

/* The same for the store's failures; what: "the tunnel was not stored". */
void api_fail_store(struct api_call *c, enum err e, const char *what);

/* Adds an entry of error_chain to the last error. */
void api_fail_chain(struct api_call *c, int code, const char *text);

/* A warning or a remark beside the result. */
void api_message(struct api_call *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The result, taken over. Replaces an earlier one. */
void api_answer(struct api_call *c, json_t *result);

/* Forgets result, messages and errors: the call begins again (after a lost race for the store). */
void api_restart(struct api_call *c);

/* The envelope as text, to be freed with api_text_free, which wipes it. NULL: no memory. */
char *api_envelope(struct api_call *c, size_t *ret_len);
void api_text_free(char *text, size_t len);

void api_call_fini(struct api_call *c);

/* Makes jansson wipe what it frees: bodies and answers hold pre-shared keys. Once, before any JSON. */
void api_json_init(void);
