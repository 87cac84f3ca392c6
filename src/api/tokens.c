#include <stdlib.h>

#include "api/accounts.h"
#include "api/auth.h"
#include "api/field.h"
#include "api/handlers.h"
#include "api/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "crypt/random.h"

static const char *right_name(uint8_t right)
{
	return right == MODEL_TOKEN_WRITE ? "write" : "read";
}

/* {"code", "message", "type": null}, as the product has it. */
void api_token_verify(struct api_call *c)
{
	char id[MODEL_ID_TEXT_MAX];

	if (!c->has_token) {
		api_fail(c, 400, API_CODE_NO_TOKEN, NULL,
			 "There is no token to verify: the administrator's socket needs none. Send one over "
			 "TCP.");
		return;
	}
	api_answer(c, json_pack("{s:s, s:s}", "id", model_id_text(&c->token.id, id), "status", "active"));
	api_message(c, API_CODE_TOKEN_VALID, "This API Token is valid and active");
	json_object_set_new(json_array_get(c->messages, 0), "type", json_null());
}

static json_t *token_json(const struct model_token *t)
{
	char id[MODEL_ID_TEXT_MAX], account[MODEL_ID_TEXT_MAX], created[CLOCK_TEXT_MAX],
		revoked[CLOCK_TEXT_MAX];
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", model_id_text(&t->id, id), "account_id",
			      model_id_text(&t->account_id, account), "name", t->name, "right",
			      right_name(t->right), "status", t->revoked_us == 0 ? "active" : "disabled",
			      "created_on", clock_text(t->created_us, created));

	if (t->email[0] != 0)
		json_object_set_new(o, "email", json_string(t->email));
	if (t->revoked_us != 0)
		json_object_set_new(o, "revoked_on", json_string(clock_text(t->revoked_us, revoked)));
	return o;
}

/* ---- reading ---- */

struct scan {
	json_t *list;		       /* NULL: not wanted */
	const struct model_id *wanted; /* NULL: all */
	struct model_token found;
	bool has_found;
	uint64_t mod_rev;
	enum err err;
};

static void scan_token(void *arg, const struct store_row *row)
{
	struct scan *s = arg;
	struct model_token t;
	enum err e = model_token_decode(row->value, &t);

	if (e != ERR_NONE) {
		s->err = e;
		return;
	}
	if (s->list != NULL)
		json_array_append_new(s->list, token_json(&t));
	if (s->wanted != NULL && model_id_eq(s->wanted, &t.id)) {
		s->found = t;
		s->has_found = true;
		s->mod_rev = row->mod_rev;
	}
}

static void scan_tokens(struct api_call *c, struct scan *s)
{
	enum err e = c->server->store == NULL ? ERR_AWAY
					      : store_range(c->server->store, bytes_str(MODEL_KEY_TOKENS),
							    (struct bytes){ 0 }, 0, scan_token, s, NULL);
	if (e == ERR_NONE)
		e = s->err;
	if (e != ERR_NONE)
		api_fail_store(c, e, "the tokens could not be read");
}

void api_admin_tokens_list(struct api_call *c)
{
	struct scan s = { .list = json_array() };

	scan_tokens(c, &s);
	api_answer(c, s.list);
}

/* ---- making and revoking ---- */

static enum err commit_token(struct api_call *c, const struct model_token *t, uint64_t mod_rev)
{
	struct model_key key = model_key_token(t->hash);
	uint8_t record[MODEL_TOKEN_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(record));
	struct store_put put;

	must(model_token_encode(t, &w) == ERR_NONE);
	return store_commit(c->server->store, store_put_txn(&put, model_key_bytes(&key), mod_rev, wr_bytes(&w))).err;
}

struct of_account {
	const struct model_id *account;
	struct model_token list[64];
	uint64_t mod_rev[64];
	size_t cnt;
};

static void keep_good(void *arg, const struct store_row *row)
{
	struct of_account *o = arg;
	struct model_token t;

	if (o->cnt == ARRAY_LEN(o->list) || model_token_decode(row->value, &t) != ERR_NONE ||
	    t.revoked_us != 0 || !model_id_eq(&t.account_id, o->account))
		return;
	o->list[o->cnt] = t;
	o->mod_rev[o->cnt++] = row->mod_rev;
}

void api_tokens_revoke(struct api_call *c, const struct model_id *account)
{
	struct of_account *o = calloc(1, sizeof(*o));
	enum err e = ERR_NONE;

	must(o != NULL);
	do {
		*o = (struct of_account){ .account = account };
		e = store_range(c->server->store, bytes_str(MODEL_KEY_TOKENS), (struct bytes){ 0 }, 0, keep_good, o, NULL);
		for (size_t i = 0; i < o->cnt && e == ERR_NONE; i++) {
			o->list[i].revoked_us = clock_unix_us();
			e = commit_token(c, &o->list[i], o->mod_rev[i]);
		}
	} while (e == ERR_NONE && o->cnt == ARRAY_LEN(o->list));
	if (e != ERR_NONE)
		log_warn("tokens of an account that was deleted are still listed as active: %s", err_text(e));
	free(o);
}

static bool is_printable(const char *s)
{
	for (; *s != 0; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static void read_right(const struct api_object *o, uint8_t *ret)
{
	char word[16];

	api_field_require(o, "right", "\"read\" or \"write\"");
	if (!api_field_text(o, "right", MODEL_CODE_TOKEN, word, sizeof(word)))
		return;
	if (strcmp(word, "read") == 0)
		*ret = MODEL_TOKEN_READ;
	else if (strcmp(word, "write") == 0)
		*ret = MODEL_TOKEN_WRITE;
	else
		api_field_fail(o, "right", MODEL_CODE_TOKEN,
			       "\"right\" is \"%s\"; send \"read\" or \"write\".", word);
}

static void read_token(const struct api_object *o, struct model_token *t)
{
	struct bytes account = { 0 };
	char text[64];

	api_field_require(o, "account_id", "the account's id or number");
	if (api_field_text(o, "account_id", MODEL_CODE_TOKEN, text, sizeof(text)))
		account = bytes_str(text);
	read_right(o, &t->right);
	api_field_text(o, "name", MODEL_CODE_TOKEN, t->name, sizeof(t->name));
	api_field_text(o, "email", MODEL_CODE_TOKEN, t->email, sizeof(t->email));
	if (!is_printable(t->name))
		api_field_fail(o, "name", MODEL_CODE_TOKEN,
			       "\"name\" has control characters; leave them out.");
	if (!is_printable(t->email) || (t->email[0] != 0 && strchr(t->email, '@') == NULL))
		api_field_fail(o, "email", MODEL_CODE_TOKEN,
			       "\"email\" is no e-mail address; send one such as ops@example.net.");
	api_auth_account(o->call, account);
	t->account_id = o->call->account.id;
}

void api_admin_token_create(struct api_call *c)
{
	struct model_token t = { .created_us = clock_unix_us() };
	char text[API_TOKEN_TEXT_MAX];
	struct api_object body;

	if (!api_object_body(c, &body))
		return;
	read_token(&body, &t);
	if (api_failed(c))
		return;
	crypt_random(t.id.b, sizeof(t.id.b));
	api_token_make(text);
	api_token_hash(bytes_str(text), t.hash);
	enum err e = c->validate_only ? ERR_NONE : commit_token(c, &t, 0);
	if (e != ERR_NONE) {
		api_fail_store(c, e, "the token was not stored");
	} else {
		json_t *o = token_json(&t);
		json_object_set_new(o, "token", json_string(c->validate_only ? "" : text));
		api_answer(c, o);
	}
	secret_wipe(text, sizeof(text));
}

void api_admin_token_revoke(struct api_call *c)
{
	struct model_id id;
	struct scan s = { .wanted = &id };

	if (model_id_parse(c->id, &id) == ERR_NONE)
		scan_tokens(c, &s);
	if (api_failed(c))
		return;
	if (!s.has_found) {
		api_fail(c, 404, MODEL_CODE_TOKEN, NULL,
			 "API token not found; \"onramp token list\" shows them.");
		return;
	}
	/* the record stays, so that the log's ids can be explained */
	if (s.found.revoked_us == 0)
		s.found.revoked_us = clock_unix_us();
	enum err e = c->validate_only ? ERR_NONE : commit_token(c, &s.found, s.mod_rev);
	if (e != ERR_NONE)
		api_fail_store(c, e, "the token was not revoked");
	else
		api_answer(c, token_json(&s.found));
}
