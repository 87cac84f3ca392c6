#include "api/call.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/secret.h"

#define TEXT_MAX 1024

/* Names come from URLs and may be cut in the middle of a character: what is no UTF-8 is shown as '?'. */
static json_t *make_text(const char *text)
{
	json_t *j = json_string(text);
	char plain[TEXT_MAX];
	size_t n = 0;

	if (j != NULL)
		return j;
	for (; text[n] != 0 && n + 1 < sizeof(plain); n++)
		plain[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
	plain[n] = 0;
	return json_string(plain);
}

static json_t *make_entry(int code, const char *text)
{
	return json_pack("{s:i, s:o}", "code", code, "message", make_text(text));
}

void api_fail(struct api_call *c, unsigned status, int code, const char *pointer, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (api_failed(c))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_t *entry = make_entry(code, text);
	if (pointer != NULL && pointer[0] != 0)
		json_object_set_new(entry, "source", json_pack("{s:o}", "pointer", make_text(pointer)));
	c->errors = json_array();
	json_array_append_new(c->errors, entry);
	c->status = status;
	must(c->errors != NULL && json_array_size(c->errors) == 1);
}

void api_fail_problem(struct api_call *c, const char *prefix, const struct model_problem *problem)
{
	char pointer[MODEL_FIELD_MAX + 64];
	snprintf(pointer, sizeof(pointer), "%s%s", prefix, problem->field);
	api_fail(c, 400, problem->code, pointer, "%s", problem->text);
}

void api_fail_store(struct api_call *c, enum err e, const char *what)
{
	if (e == ERR_UNKNOWN_OUTCOME) {
		api_fail(c, 503, MODEL_CODE_OTHER, NULL,
			 "The gateway process or its store did not answer in time: the change may or may not have been "
			 "made. Read the object back before you send the request again.");
		c->dont_retry = true;
		c->retry_later = true;
	} else if (e == ERR_AWAY || e == ERR_CLOSED || e == ERR_TIMEOUT) {
		api_fail(c, 503, MODEL_CODE_OTHER, NULL,
			 "The gateway process or its store is away: %s. Nothing was changed; send the request again in a "
			 "few seconds.",
			 what);
		c->retry_later = true;
	} else if (e == ERR_CONFLICT) {
		api_fail(c, 503, MODEL_CODE_OTHER, NULL,
			 "Others changed the account at the same moment, again and again: %s. Nothing was "
			 "changed; send the request again.",
			 what);
		c->retry_later = true;
	} else {
		log_error("store: %s: %s", what, err_text(e));
		api_fail(c, 500, MODEL_CODE_OTHER, NULL,
			 "The store failed: %s (%s). The log of the daemon says more.", what, err_text(e));
	}
}

void api_fail_chain(struct api_call *c, int code, const char *text)
{
	json_t *last = json_array_get(c->errors, json_array_size(c->errors) - 1);
	json_object_set_new(last, "error_chain", json_pack("[o]", make_entry(code, text)));
}

void api_message(struct api_call *c, int code, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->messages == NULL)
		c->messages = json_array();
	json_array_append_new(c->messages, make_entry(code, text));
}

void api_answer(struct api_call *c, json_t *result)
{
	must(result != NULL);
	json_decref(c->result);
	c->result = result;
	if (c->status == 0)
		c->status = 200;
}

void api_restart(struct api_call *c)
{
	json_decref(c->result);
	json_decref(c->result_info);
	json_decref(c->messages);
	json_decref(c->errors);
	c->result = c->result_info = c->messages = c->errors = NULL;
	c->status = 0;
	c->retry_later = c->dont_retry = false;
}

/* The members in the order of the product's own answers. */
static json_t *make_envelope(struct api_call *c)
{
	bool good = !api_failed(c);
	json_t *o = json_object();

	json_object_set(o, "result", good && c->result != NULL ? c->result : json_null());
	json_object_set_new(o, "success", json_boolean(good));
	json_object_set_new(o, "errors", good ? json_array() : json_incref(c->errors));
	json_object_set_new(o, "messages", c->messages != NULL ? json_incref(c->messages) : json_array());
	if (good && c->result_info != NULL)
		json_object_set(o, "result_info", c->result_info);
	return o;
}

char *api_envelope(struct api_call *c, size_t *ret_len)
{
	json_t *o = make_envelope(c);
	size_t len = json_dumpb(o, NULL, 0, JSON_COMPACT);
	char *text = len == 0 ? NULL : malloc(len);

	if (text != NULL)
		must(json_dumpb(o, text, len, JSON_COMPACT) == len);
	json_decref(o);
	if (text != NULL)
		*ret_len = len;
	return text;
}

void api_text_free(char *text, size_t len)
{
	if (text != NULL)
		secret_wipe(text, len);
	free(text);
}

void api_call_fini(struct api_call *c)
{
	api_restart(c);
	json_decref(c->json);
	c->json = NULL;
}

static void free_wiped(void *p)
{
	if (p != NULL)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}

/* Memory that runs out in the middle of an answer would leave holes in it that nobody checks for. */
static void *alloc_or_end(size_t n)
{
	void *p = malloc(n == 0 ? 1 : n);
	must(p != NULL);
	return p;
}

void api_json_init(void)
{
	json_set_alloc_funcs(alloc_or_end, free_wiped);
}
