#include "api/psk.h"

#include "api/handlers.h"
#include "api/record.h"
#include "base/log.h"
#include "crypt/random.h"
#include "model/identity.h"

#define PSK_SHORT 16 /* bytes below which a warning is due */
#define PSK_RANDOM_LEN 32

_Static_assert(MODEL_PSK_SEALED_MAX >= MODEL_PSK_LEN_MAX + CRYPT_SEAL_OVERHEAD,
	       "a sealed key fits its record");
_Static_assert(SECRET_MAX >= MODEL_PSK_LEN_MAX, "a key fits a secret");

/* The key in force so far becomes the previous one. */
static enum err load_previous(struct api_edit *e, const struct model_key *key, struct model_psk *ret)
{
	struct model_psk old;
	enum err err = api_record_psk(e->call->server->store, key, &old);

	if (err != ERR_NONE)
		return err == ERR_NOTFOUND ? ERR_NONE : err;
	ret->previous_len = old.current_len;
	memcpy(ret->previous, old.current, sizeof(ret->previous));
	return ERR_NONE;
}

void api_psk_put(struct api_edit *e, struct model_tunnel *t, const struct secret *psk)
{
	struct model_key key = model_key_psk(&t->account_id, &t->id);
	struct model_psk record = { .tunnel_id = t->id, .set_us = e->now_us };
	uint8_t room[MODEL_PSK_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	size_t len = 0;

	if (api_failed(e->call))
		return;
	enum err err = load_previous(e, &key, &record);
	if (err == ERR_NONE)
		err = crypt_box_seal(&e->call->server->seal, model_key_bytes(&key), secret_bytes(psk),
				     SPACE_OF(record.current), &len);
	if (err == ERR_NONE) {
		record.current_len = (uint16_t)len;
		err = model_psk_encode(&record, &w);
	}
	if (err != ERR_NONE) {
		api_fail_store(e->call, err, "the pre-shared key could not be stored");
		return;
	}
	api_edit_put(e, &key, wr_bytes(&w));
	t->psk_set_us = e->now_us;
	if (psk->len < PSK_SHORT)
		api_message(e->call, API_MESSAGE_SHORT_PSK,
			    "The pre-shared key of tunnel \"%.255s\" has only %u bytes: whoever records a "
			    "handshake can guess it. Use psk_generate, or at least %d random characters.",
			    t->name, psk->len, PSK_SHORT);
}

/* What the two calls that show a key answer. */
static json_t *psk_json(const struct api_call *c, const struct model_tunnel *t, const char *psk)
{
	char ipsec_id[MODEL_IDENTITY_TEXT_MAX], id[MODEL_ID_TEXT_MAX];

	model_identity_key(c->account.number, &t->id, ipsec_id);
	return json_pack("{s:s, s:s, s:s, s:o}", "ipsec_id", ipsec_id, "ipsec_tunnel_id",
			 model_id_text(&t->id, id), "psk", psk, "psk_metadata", api_psk_metadata_json(t));
}

void api_psk_make(char text[static API_PSK_TEXT_MAX])
{
	uint8_t random[PSK_RANDOM_LEN];

	do {
		crypt_random(random, sizeof(random));
		text_base64url(BYTES_OF(random), text, API_PSK_TEXT_MAX);
	} while ((text[0] < 'A' || text[0] > 'Z') && (text[0] < 'a' || text[0] > 'z'));
	secret_wipe(random, sizeof(random));
}

static void plan_generate(struct api_edit *e, void *arg)
{
	const struct model_id *id = arg;
	struct model_tunnel *t = api_view_tunnel(&e->view, id);
	char text[API_PSK_TEXT_MAX];
	struct secret psk = { 0 };

	if (t == NULL) {
		api_fail(e->call, 404, MODEL_CODE_TUNNEL_NOT_FOUND, NULL, "IPsec tunnel not found");
		return;
	}
	api_psk_make(text);
	must(secret_set(&psk, bytes_str(text)) == ERR_NONE);
	api_psk_put(e, t, &psk);
	api_edit_put_tunnel(e, t);
	/* nothing was stored: a key that looks usable would be a trap */
	if (!api_failed(e->call))
		api_answer(e->call, psk_json(e->call, t, e->call->validate_only ? "" : text));
	secret_wipe(text, sizeof(text));
	secret_fini(&psk);
}

void api_psk_generate(struct api_call *c)
{
	struct model_id id;

	if (model_id_parse(c->id, &id) != ERR_NONE)
		api_fail(c, 404, MODEL_CODE_TUNNEL_NOT_FOUND, NULL, "IPsec tunnel not found");
	else
		api_edit_run(c, API_NEED_TUNNELS, plan_generate, &id);
}

/* One element of "psks": applied, or told under unapplied_psks why not. */
static void set_one(struct api_edit *e, const struct api_object *item, json_t *applied, json_t *unapplied)
{
	char text[MODEL_PSK_LEN_MAX + 1], id_text[MODEL_ID_TEXT_MAX];
	struct secret psk = { 0 };
	struct model_id id;

	api_field_require(item, "id", "the tunnel's id");
	api_field_require(item, "psk", "the key");
	bool good = api_field_id(item, "id", &id) &&
		    api_field_text(item, "psk", MODEL_CODE_PSK, text, sizeof(text));
	if (good && text[0] == 0)
		api_field_fail(item, "psk", MODEL_CODE_PSK, "\"psk\" is empty; send 1 to %d bytes.",
			       MODEL_PSK_LEN_MAX);
	if (api_failed(e->call))
		return;
	struct model_tunnel *t = api_view_tunnel(&e->view, &id);
	model_id_text(&id, id_text);
	if (json_object_get(applied, id_text) != NULL || json_object_get(unapplied, id_text) != NULL) {
		api_field_fail(item, "id", MODEL_CODE_BAD_BODY,
			       "Invalid Request: \"id\" %s stands twice in the list; send each tunnel once.",
			       id_text);
	} else if (t == NULL) {
		json_object_set_new(unapplied, id_text, json_string("IPsec tunnel not found"));
	} else {
		must(secret_set(&psk, bytes_str(text)) == ERR_NONE);
		api_psk_put(e, t, &psk);
		api_edit_put_tunnel(e, t);
		json_object_set_new(applied, id_text, psk_json(e->call, t, text));
	}
	secret_fini(&psk);
	secret_wipe(text, sizeof(text));
}

static void plan_set(struct api_edit *e, void *arg)
{
	const json_t *psks = arg;
	json_t *applied = json_object(), *unapplied = json_object();

	for (size_t i = 0; i < json_array_size(psks) && !api_failed(e->call); i++) {
		struct api_object item;
		if (api_object_item(e->call, psks, "/psks", i, &item))
			set_one(e, &item, applied, unapplied);
	}
	api_answer(e->call, json_pack("{s:o, s:o}", "successfully_applied_psks", applied, "unapplied_psks",
				      unapplied));
}

void api_psk_set(struct api_call *c)
{
	struct api_object body;
	const json_t *psks = NULL;

	if (!api_object_body(c, &body))
		return;
	api_field_require(&body, "psks", "an array of {\"id\", \"psk\"}");
	if (!api_field_array(&body, "psks", &psks))
		return;
	if (json_array_size(psks) == 0)
		api_field_fail(&body, "psks", MODEL_CODE_BAD_BODY,
			       "Invalid Request: \"psks\" is empty; send at least one {\"id\", \"psk\"}.");
	else
		api_edit_run(c, API_NEED_TUNNELS, plan_set, (void *)(uintptr_t)psks);
}
