#include "api/body.h"

#include <stdio.h>

/* Fails the call when arrays and objects are nested too deep; strings are skipped, syntax is not judged.
 * Done first because the library's parser recurses. */
static void check_depth(struct api_call *c)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < c->body.len; i++) {
		uint8_t ch = c->body.p[i];
		if (in_string && ch == '\\')
			i++;
		else if (ch == '"')
			in_string = !in_string;
		else if (!in_string && (ch == '{' || ch == '['))
			depth++;
		else if (!in_string && (ch == '}' || ch == ']') && depth > 0)
			depth--;
		if (depth > API_DEPTH_MAX) {
			api_fail(c, 400, MODEL_CODE_BAD_BODY, NULL,
				 "Invalid Request: json: arrays and objects are nested deeper than %d levels "
				 "at byte %zu; send a flatter body.",
				 API_DEPTH_MAX, i + 1);
			return;
		}
	}
}

/* The string that ends just before position: the key that the parser met a second time. */
static struct bytes find_key_before(struct bytes body, size_t position)
{
	size_t end = position < body.len ? position : body.len;

	while (end > 0 && body.p[end - 1] != '"')
		end--;
	if (end < 2)
		return (struct bytes){ body.p, 0 };
	size_t start = end - 1;
	while (start > 0 && (body.p[start - 1] != '"' || (start > 1 && body.p[start - 2] == '\\')))
		start--;
	return bytes_of(body.p + start, end - 1 - start);
}

static void fail_duplicate(struct api_call *c, size_t position)
{
	struct bytes key = find_key_before(c->body, position);
	int len = key.len > 64 ? 64 : (int)key.len;
	char pointer[80];

	snprintf(pointer, sizeof(pointer), "/%.*s", len, (const char *)key.p);
	api_fail(c, 400, MODEL_CODE_BAD_BODY, pointer,
		 "Invalid Request: json: the key \"%.*s\" stands twice in one object (byte %zu); send it "
		 "once.",
		 len, (const char *)key.p, position);
}

/* The parser's own text quotes the body, where a key may stand: only its kind and place are told. */
static void fail_syntax(struct api_call *c, const json_error_t *error)
{
	const char *what = "it is not well formed";

	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		fail_duplicate(c, (size_t)error->position);
		return;
	case json_error_premature_end_of_input:
		what = "it ends too early";
		break;
	case json_error_end_of_input_expected:
		what = "something follows the first value";
		break;
	case json_error_invalid_utf8:
		what = "it is not valid UTF-8";
		break;
	case json_error_null_character:
	case json_error_null_byte_in_key:
		what = "a string holds the character U+0000";
		break;
	case json_error_numeric_overflow:
		what = "a number is too big";
		break;
	case json_error_stack_overflow:
		what = "it is nested too deep";
		break;
	case json_error_unknown:
	case json_error_out_of_memory:
	case json_error_cannot_open_file:
	case json_error_invalid_argument:
	case json_error_invalid_syntax:
	case json_error_invalid_format:
	case json_error_wrong_type:
	case json_error_null_value:
	case json_error_item_not_found:
	case json_error_index_out_of_range:
		break;
	}
	api_fail(c, 400, MODEL_CODE_BAD_BODY, NULL,
		 "Invalid Request: json: cannot parse the body: %s (line %d, column %d). Send one JSON "
		 "object.",
		 what, error->line, error->column);
}

void api_body_parse(struct api_call *c)
{
	json_error_t error;

	if (c->body.len == 0)
		return;
	check_depth(c);
	if (api_failed(c))
		return;
	c->json = json_loadb((const char *)c->body.p, c->body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
			     &error);
	if (c->json == NULL)
		fail_syntax(c, &error);
}
