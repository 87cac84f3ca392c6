// Reads the fields of a JSON object, each with its type, and fails the call with words that name the field.
// Inside api only; its one thread.
//
// A getter returns true when the field is there and good. When it is absent or the call has failed
// already it returns false and changes nothing, so a reader asks for each field and checks once at the end.
#pragma once

#include "api/call.h"

struct api_object {
	struct api_call *call;
	const json_t *json;
	char pointer[128]; /* of the object itself: "" or "/ipsec_tunnels/3" */
};

/* What a field may be besides a value of its type. */
enum api_null { API_NULL_REFUSED, API_NULL_ABSENT };

/* The body as an object; fails the call when there is none or it is something else. */
bool api_object_body(struct api_call *c, struct api_object *ret);

/* Element i of an array that stands at pointer ("/routes"). */
bool api_object_item(struct api_call *c, const json_t *array, const char *pointer, size_t i,
		     struct api_object *ret);

/* A field that is itself an object. */
bool api_field_object(const struct api_object *o, const char *key, enum api_null null,
		      struct api_object *ret);
/* A field that is an array; borrowed. */
bool api_field_array(const struct api_object *o, const char *key, const json_t **ret);

/* Text of at most cap - 1 bytes, NUL-ended; over-long text fails with code. */
bool api_field_text(const struct api_object *o, const char *key, int code, char *dst, size_t cap);
bool api_field_bool(const struct api_object *o, const char *key, enum api_null null, bool *ret);
/* A whole number from 0 to max, which is what its place can hold; range: what it may be, for the refusal ("1 to 256"). */
bool api_field_number(const struct api_object *o, const char *key, int code, uint64_t max, const char *range, uint64_t *ret);
/* An address; empty text is family none where may_clear says so, else an error. */
bool api_field_addr(const struct api_object *o, const char *key, int code, bool may_clear, struct addr *ret);
bool api_field_prefix(const struct api_object *o, const char *key, int code, bool may_clear,
		      struct addr_prefix *ret);
/* 32 hex characters. */
bool api_field_id(const struct api_object *o, const char *key, struct model_id *ret);

bool api_field_given(const struct api_object *o, const char *key);
/* Fails the call when the field is absent. */
void api_field_require(const struct api_object *o, const char *key, const char *what);
/* Fails the call at a field of this object. */
void api_field_fail(const struct api_object *o, const char *key, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* "a string", "null", "the number 5": for texts. Never the text of a string or the inside of an object. */
#define API_KIND_MAX 48
const char *api_kind_text(const json_t *j, char text[static API_KIND_MAX]);
