#include "api/field.h"

#include <stdarg.h>
#include <stdio.h>

#define POINTER_MAX 192
#define QUOTE_MAX 80 /* characters of a wrong value that an error repeats */

/* The kind alone: a key that was sent as a number is still a key. */
static const char *kind_name(const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

const char *api_kind_text(const json_t *j, char text[static API_KIND_MAX])
{
	if (json_is_integer(j))
		snprintf(text, API_KIND_MAX, "the number %" JSON_INTEGER_FORMAT, json_integer_value(j));
	else if (json_is_real(j))
		snprintf(text, API_KIND_MAX, "the number %g", json_real_value(j));
	else
		return kind_name(j);
	return text;
}

void api_field_fail(const struct api_object *o, const char *key, int code, const char *fmt, ...)
{
	char pointer[POINTER_MAX], text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(pointer, sizeof(pointer), "%s/%s", o->pointer, key);
	api_fail(o->call, 400, code, pointer, "%s", text);
}

static void fail_type(const struct api_object *o, const char *key, const json_t *j, const char *want)
{
	char kind[API_KIND_MAX];

	if (json_is_null(j))
		api_field_fail(o, key, MODEL_CODE_BAD_BODY,
			       "Invalid Request: \"%s\": type \"%s\" is not permitted to be null; leave the "
			       "field out to keep its value.",
			       key, want);
	else
		api_field_fail(o, key, MODEL_CODE_BAD_BODY,
			       "Invalid Request: json: \"%s\" must be of type %s, it is %s.", key, want,
			       strcmp(key, "psk") == 0 ? kind_name(j) : api_kind_text(j, kind));
}

/* Terraform sends null for what was taken out of its file: there it is "" that clears. */
static void fail_text_type(const struct api_object *o, const char *key, const json_t *j, bool may_clear)
{
	if (json_is_null(j) && may_clear)
		api_field_fail(o, key, MODEL_CODE_BAD_BODY,
			       "Invalid Request: \"%s\": type \"string\" is not permitted to be null; leave the "
			       "field out to keep its value, or send \"\" to clear it.",
			       key);
	else
		fail_type(o, key, j, "string");
}

/* The field's value if the reading is to go on with it. */
static const json_t *find_field(const struct api_object *o, const char *key, enum api_null null)
{
	const json_t *j = api_failed(o->call) ? NULL : json_object_get(o->json, key);
	return j != NULL && json_is_null(j) && null == API_NULL_ABSENT ? NULL : j;
}

bool api_object_body(struct api_call *c, struct api_object *ret)
{
	struct api_object o = { .call = c, .json = c->json };
	char kind[API_KIND_MAX];

	if (api_failed(c))
		return false;
	if (c->json == NULL)
		api_fail(c, 400, MODEL_CODE_BAD_BODY, NULL,
			 "Invalid Request: the body is empty; send one JSON object.");
	else if (!json_is_object(c->json))
		api_fail(c, 400, MODEL_CODE_BAD_BODY, NULL,
			 "Invalid Request: json: the body must be an object, it is %s.",
			 api_kind_text(c->json, kind));
	else
		*ret = o;
	return !api_failed(c);
}

bool api_object_item(struct api_call *c, const json_t *array, const char *pointer, size_t i,
		     struct api_object *ret)
{
	struct api_object o = { .call = c, .json = json_array_get(array, i) };

	if (api_failed(c))
		return false;
	snprintf(o.pointer, sizeof(o.pointer), "%s/%zu", pointer, i);
	if (!json_is_object(o.json)) {
		api_fail(c, 400, MODEL_CODE_BAD_BODY, o.pointer,
			 "Invalid Request: json: each element must be an object, number %zu is %s.", i + 1,
			 kind_name(o.json));
		return false;
	}
	*ret = o;
	return true;
}

bool api_field_object(const struct api_object *o, const char *key, enum api_null null, struct api_object *ret)
{
	const json_t *j = find_field(o, key, null);
	struct api_object sub = { .call = o->call, .json = j };

	if (j == NULL)
		return false;
	if (!json_is_object(j)) {
		fail_type(o, key, j, "object");
		return false;
	}
	snprintf(sub.pointer, sizeof(sub.pointer), "%.90s/%.32s", o->pointer, key);
	*ret = sub;
	return true;
}

bool api_field_array(const struct api_object *o, const char *key, const json_t **ret)
{
	const json_t *j = find_field(o, key, API_NULL_REFUSED);

	if (j == NULL)
		return false;
	if (!json_is_array(j)) {
		fail_type(o, key, j, "array");
		return false;
	}
	*ret = j;
	return true;
}

bool api_field_text(const struct api_object *o, const char *key, int code, char *dst, size_t cap)
{
	const json_t *j = find_field(o, key, API_NULL_REFUSED);

	if (j == NULL)
		return false;
	if (!json_is_string(j)) {
		fail_text_type(o, key, j, code == MODEL_CODE_TEXT);
		return false;
	}
	size_t len = json_string_length(j);
	if (len >= cap) {
		api_field_fail(o, key, code, "\"%s\" has %zu bytes; at most %zu are allowed.", key, len,
			       cap - 1);
		return false;
	}
	memcpy(dst, json_string_value(j), len);
	dst[len] = 0;
	return true;
}

bool api_field_bool(const struct api_object *o, const char *key, enum api_null null, bool *ret)
{
	const json_t *j = find_field(o, key, null);

	if (j == NULL)
		return false;
	if (!json_is_boolean(j)) {
		fail_type(o, key, j, "boolean");
		return false;
	}
	*ret = json_is_true(j);
	return true;
}

bool api_field_number(const struct api_object *o, const char *key, int code, uint64_t max, const char *range, uint64_t *ret)
{
	const json_t *j = find_field(o, key, API_NULL_REFUSED);

	if (j == NULL)
		return false;
	if (!json_is_integer(j)) {
		fail_type(o, key, j, "integer");
		return false;
	}
	json_int_t v = json_integer_value(j);
	if (v < 0 || (uint64_t)v > max) {
		api_field_fail(o, key, code,
			       "\"%s\" is %" JSON_INTEGER_FORMAT "; it must be %s.", key, v, range);
		return false;
	}
	*ret = (uint64_t)v;
	return true;
}

/* The text of a field that is to become something else; empty text only where it means "clear". */
static const char *find_text(const struct api_object *o, const char *key, int code, bool may_clear)
{
	const json_t *j = find_field(o, key, API_NULL_REFUSED);

	if (j == NULL)
		return NULL;
	if (!json_is_string(j)) {
		fail_text_type(o, key, j, may_clear);
		return NULL;
	}
	if (json_string_length(j) == 0 && !may_clear) {
		api_field_fail(o, key, code, "\"%s\" is empty; send an address.", key);
		return NULL;
	}
	return json_string_value(j);
}

bool api_field_addr(const struct api_object *o, const char *key, int code, bool may_clear, struct addr *ret)
{
	const char *text = find_text(o, key, code, may_clear);
	struct addr a = { 0 };

	if (text == NULL)
		return false;
	if (text[0] != 0 && addr_parse(bytes_str(text), &a) != ERR_NONE) {
		api_field_fail(o, key, code,
			       "\"%s\" is \"%.*s\", which is no IP address; send one such as 192.0.2.1.", key,
			       QUOTE_MAX, text);
		return false;
	}
	*ret = a;
	return true;
}

bool api_field_prefix(const struct api_object *o, const char *key, int code, bool may_clear,
		      struct addr_prefix *ret)
{
	const char *text = find_text(o, key, code, may_clear);
	struct addr_prefix p = { 0 };

	if (text == NULL)
		return false;
	if (text[0] != 0 && addr_prefix_parse(bytes_str(text), &p) != ERR_NONE) {
		api_field_fail(o, key, code,
			       "\"%s\" is \"%.*s\", which is no address with a prefix length; send one such "
			       "as 10.0.0.0/31.",
			       key, QUOTE_MAX, text);
		return false;
	}
	*ret = p;
	return true;
}

bool api_field_id(const struct api_object *o, const char *key, struct model_id *ret)
{
	const json_t *j = find_field(o, key, API_NULL_REFUSED);

	if (j == NULL)
		return false;
	if (!json_is_string(j)) {
		fail_type(o, key, j, "string");
		return false;
	}
	const char *text = json_string_value(j);
	size_t len = json_string_length(j);
	if (model_id_parse(bytes_of(text, len), ret) != ERR_NONE) {
		/* what does not look like one may be a key that stands in the wrong place */
		if (strspn(text, "0123456789abcdefABCDEF-") == len)
			api_field_fail(o, key, MODEL_CODE_BAD_BODY,
				       "Invalid Request: \"%s\" is \"%.*s\"; an id has 32 hexadecimal characters.", key, QUOTE_MAX, text);
		else
			api_field_fail(o, key, MODEL_CODE_BAD_BODY,
				       "Invalid Request: \"%s\" is no id: an id has 32 hexadecimal characters.", key);
		return false;
	}
	return true;
}

bool api_field_given(const struct api_object *o, const char *key)
{
	return find_field(o, key, API_NULL_ABSENT) != NULL;
}

void api_field_require(const struct api_object *o, const char *key, const char *what)
{
	/* null is left to the getter, which knows the type */
	if (!api_failed(o->call) && json_object_get(o->json, key) == NULL)
		api_field_fail(o, key, MODEL_CODE_BAD_BODY, "Invalid Request: \"%s\" is missing: send %s.",
			       key, what);
}
