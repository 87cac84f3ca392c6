#include "api/auth.h"

#include <stdio.h>
#include <strings.h>

#include "api/record.h"
#include "base/secret.h"
#include "crypt/prf.h"
#include "crypt/random.h"
#include "model/key.h"

#define CREDENTIAL_MAX 256

void api_token_make(char text[static API_TOKEN_TEXT_MAX])
{
	uint8_t random[32];

	crypt_random(random, sizeof(random));
	snprintf(text, API_TOKEN_TEXT_MAX, "%s", API_TOKEN_PREFIX);
	text_base64url(BYTES_OF(random), text + strlen(API_TOKEN_PREFIX),
		       API_TOKEN_TEXT_MAX - strlen(API_TOKEN_PREFIX));
	secret_wipe(random, sizeof(random));
}

void api_token_hash(struct bytes text, uint8_t ret[static 32])
{
	must(crypt_sha256(&text, 1, ret) == ERR_NONE);
}

/* Visible ASCII of bearable length (RFC 6750 2.1 is narrower; keys of others pass through too). */
static bool is_credential(const char *s)
{
	size_t len = strnlen(s, CREDENTIAL_MAX + 1);

	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return len > 0 && len <= CREDENTIAL_MAX;
}

/* The token behind a header, NULL when its form is wrong. */
static const char *find_bearer(const char *authorization)
{
	static const char scheme[] = "Bearer ";

	if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	const char *token = authorization + sizeof(scheme) - 1;
	token += strspn(token, " ");
	return is_credential(token) ? token : NULL;
}

/* ERR_NOTFOUND: unknown or revoked. email NULL: a bearer token. */
static enum err find_token(struct api_call *c, const char *text, const char *email, struct model_token *ret)
{
	struct model_token t;
	uint8_t hash[32];

	api_token_hash(bytes_str(text), hash);
	struct model_key key = model_key_token(hash);
	enum err e = api_record_token(c->server->store, &key, &t);
	if (e != ERR_NONE)
		return e;
	if (!bytes_eq_ct(BYTES_OF(hash), BYTES_OF(t.hash)) || t.revoked_us != 0)
		return ERR_NOTFOUND;
	if (email != NULL && (t.email[0] == 0 || strcasecmp(t.email, email) != 0))
		return ERR_NOTFOUND;
	*ret = t;
	return ERR_NONE;
}

static void fail_bad_form(struct api_call *c, int code, const char *text)
{
	api_fail(c, 400, API_CODE_HEADERS, NULL, "Invalid request headers");
	api_fail_chain(c, code, text);
}

static void fail_unknown(struct api_call *c, bool bearer)
{
	if (bearer)
		api_fail(c, 401, API_CODE_AUTH, NULL,
			 "Authentication error: the token is unknown or revoked. Make one with \"onramp "
			 "token create\".");
	else
		api_fail(c, 400, API_CODE_UNKNOWN_KEY, NULL, "Unknown X-Auth-Key or X-Auth-Email");
}

/* Only half of the pair, or nothing at all. */
static void fail_missing(struct api_call *c)
{
	api_fail(c, 400, API_CODE_NO_AUTH, NULL,
		 "Missing X-Auth-Key, X-Auth-Email or Authorization headers; send \"Authorization: Bearer "
		 "TOKEN\".");
}

void api_auth_check(struct api_call *c, const struct api_credentials *cred)
{
	const char *bearer = NULL;
	enum err e = ERR_NOTFOUND;

	if (c->admin)
		return;
	if (cred->authorization == NULL && (cred->email == NULL || cred->key == NULL)) {
		fail_missing(c);
		return;
	}
	if (cred->authorization != NULL) {
		bearer = find_bearer(cred->authorization);
		if (bearer == NULL) {
			fail_bad_form(c, API_CODE_BEARER_FORM, "Invalid format for Authorization header");
			return;
		}
		e = find_token(c, bearer, NULL, &c->token);
	}
	/* A client sends all credentials that it has: one good one is enough. */
	if (e == ERR_NOTFOUND && cred->email != NULL && cred->key != NULL) {
		if (!is_credential(cred->key) && bearer == NULL) {
			fail_bad_form(c, API_CODE_KEY_FORM, "Invalid format for X-Auth-Key header");
			return;
		}
		if (is_credential(cred->key))
			e = find_token(c, cred->key, cred->email, &c->token);
	}
	if (e == ERR_NOTFOUND)
		fail_unknown(c, bearer != NULL);
	else if (e != ERR_NONE)
		api_fail_store(c, e, "the token could not be looked up");
	else
		c->has_token = true;
}

void api_auth_check_write(struct api_call *c)
{
	if (!c->admin && !api_failed(c) && c->token.right != MODEL_TOKEN_WRITE)
		api_fail(c, 403, API_CODE_METHOD_NOT_FOR_TOKEN, NULL,
			 "This token may only read. Use one with the right \"write\" (onramp token create "
			 "--write).");
}

static void fail_no_account(struct api_call *c, struct bytes segment)
{
	api_fail(c, 404, API_CODE_NO_ROUTE, NULL,
		 "Could not route to /accounts/%.*s: there is no such account; its id has 32 hexadecimal "
		 "characters.",
		 segment.len > 64 ? 64 : (int)segment.len, (const char *)segment.p);
}

/* The id that a path's segment means. ERR_SYNTAX: it can be none; ERR_NOTFOUND: an unknown number. */
static enum err resolve_account(struct api_call *c, struct bytes segment, struct model_id *ret)
{
	uint64_t number;

	if (model_id_parse(segment, ret) == ERR_NONE)
		return ERR_NONE;
	if (text_u64_parse(segment, UINT32_MAX, &number) != ERR_NONE)
		return ERR_SYNTAX;
	struct model_key key = model_key_account_number((uint32_t)number);
	return api_record_id(c->server->store, &key, ret);
}

void api_auth_account(struct api_call *c, struct bytes segment)
{
	struct model_id id = { 0 };

	if (api_failed(c))
		return;
	enum err e = resolve_account(c, segment, &id);
	if (e == ERR_SYNTAX) {
		fail_no_account(c, segment);
		return;
	}
	if ((e == ERR_NONE || e == ERR_NOTFOUND) && !c->admin && !model_id_eq(&id, &c->token.account_id)) {
		/* the same answer for accounts that do not exist: a token learns nothing of others */
		api_fail(c, 403, API_CODE_FORBIDDEN, NULL,
			 "Unauthorized to access requested resource: the token belongs to another account.");
		return;
	}
	if (e == ERR_NONE) {
		struct model_key key = model_key_account(&id);
		e = api_record_account(c->server->store, &key, &c->account);
	}
	if (e == ERR_NOTFOUND)
		fail_no_account(c, segment);
	else if (e != ERR_NONE)
		api_fail_store(c, e, "the account could not be read");
}
