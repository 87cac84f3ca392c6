#include "api/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/dispatch.h"
#include "api/peers.h"
#include "base/secret.h"

/* A request whose body is coming in. */
struct incoming {
	uint8_t *body;
	size_t len, cap;
	size_t discarded; /* of a body that is too long */
	bool too_long;
};

size_t api_http_keep_escapes(void *cls, struct MHD_Connection *con, char *text)
{
	(void)cls;
	(void)con;
	return strlen(text);
}

static void forget_body(struct incoming *in)
{
	if (in->body != NULL)
		secret_wipe(in->body, in->cap);
	free(in->body);
	in->body = NULL;
	in->len = in->cap = 0;
}

void api_http_completed(void *cls, struct MHD_Connection *con, void **con_cls,
			enum MHD_RequestTerminationCode code)
{
	struct incoming *in = *con_cls;

	(void)cls;
	(void)code;
	api_peers_done(con);
	if (in != NULL)
		forget_body(in);
	free(in);
	*con_cls = NULL;
}

static const char *find_header(struct MHD_Connection *con, const char *name)
{
	return MHD_lookup_connection_value(con, MHD_HEADER_KIND, name);
}

/* "?name" without a value is there as well, and empty. */
static const char *find_query(struct MHD_Connection *con, const char *name)
{
	const char *value = NULL;
	size_t len;

	if (MHD_lookup_connection_value_n(con, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &len) != MHD_YES)
		return NULL;
	return value != NULL ? value : "";
}

static enum MHD_Result add_length(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	size_t *sum = cls;

	(void)kind;
	*sum += strlen(key) + (value == NULL ? 0 : strlen(value)) + 4;
	return MHD_YES;
}

/* What a body says of its length before it comes; 0: nothing, or it comes in chunks. */
static uint64_t announced_length(struct MHD_Connection *con)
{
	const char *text = find_header(con, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t v = 0;

	if (text != NULL && text_u64_parse(bytes_str(text), UINT64_MAX, &v) == ERR_RANGE)
		v = UINT64_MAX;
	return v;
}

/* Grows without leaving a copy of the old room behind. */
static bool keep_part(struct incoming *in, struct bytes part)
{
	if (in->len + part.len > API_BODY_MAX)
		return false;
	if (in->len + part.len > in->cap) {
		size_t cap = in->cap == 0 ? 4096 : in->cap;
		while (cap < in->len + part.len)
			cap *= 2;
		uint8_t *body = malloc(cap);
		must(body != NULL);
		struct wr w = wr_of((struct space){ body, cap });
		wr_put(&w, bytes_of(in->body, in->len));
		size_t len = in->len;
		forget_body(in);
		*in = (struct incoming){ .body = body, .len = len, .cap = cap };
	}
	struct wr w = wr_of((struct space){ in->body + in->len, in->cap - in->len });
	wr_put(&w, part);
	in->len += part.len;
	return true;
}

/* Who is at the other end of the Unix socket. */
static bool is_admin_peer(struct MHD_Connection *con)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(con, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

/* ---- the answer ---- */

struct text {
	char *p;
	size_t len;
};

static void free_text(void *cls)
{
	struct text *t = cls;
	api_text_free(t->p, t->len);
	free(t);
}

/* RFC 9110 15.5.6: a 405 says what there is. */
static void add_allow(struct MHD_Response *response, unsigned methods)
{
	static const struct {
		enum api_method method;
		const char *names;
	} all[] = { { API_GET, ", GET, HEAD" }, { API_POST, ", POST" }, { API_PUT, ", PUT" },
		    { API_PATCH, ", PATCH" }, { API_DELETE, ", DELETE" } };
	char text[64] = "";

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if ((methods & all[i].method) != 0)
			strncat(text, all[i].names, sizeof(text) - strlen(text) - 1);
	MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, text + strlen(", "));
}

static void add_headers(struct MHD_Response *response, const struct api_call *c)
{
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (c->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		add_allow(response, c->allowed);
	if (c->status == MHD_HTTP_UNAUTHORIZED) /* RFC 9110 11.6.1, RFC 6750 3 */
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	if (c->retry_later)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "2");
	if (c->dont_retry)
		MHD_add_response_header(response, "x-should-retry", "false");
}

static enum MHD_Result send_answer(struct MHD_Connection *con, struct api_call *c)
{
	struct text *t = calloc(1, sizeof(*t));
	struct MHD_Response *response = NULL;

	if (t != NULL)
		t->p = api_envelope(c, &t->len);
	if (t != NULL && t->p != NULL)
		response = MHD_create_response_from_buffer_with_free_callback_cls(t->len, t->p, free_text, t);
	if (response == NULL) {
		if (t != NULL)
			free_text(t);
		return MHD_NO;
	}
	add_headers(response, c);
	enum MHD_Result r = MHD_queue_response(con, c->status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result send_too_long(struct api_http_door *door, struct MHD_Connection *con)
{
	struct api_call c = { .server = door->server };

	api_fail(&c, 413, MODEL_CODE_BAD_BODY, NULL,
		 "Invalid Request: the body is longer than %u bytes; send it in parts.", API_BODY_MAX);
	enum MHD_Result r = send_answer(con, &c);
	api_call_fini(&c);
	return r;
}

/* Of the headers that say where a request ends and whom it is for. */
struct framing {
	unsigned hosts, lengths;
	bool lengths_differ;
	const char *length, *coding; /* NULL: none */
};

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct framing *f = cls;
	const char *text = value == NULL ? "" : value;

	(void)kind;
	if (strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0) {
		f->hosts++;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		f->lengths_differ = f->lengths_differ || (f->lengths++ != 0 && strcmp(f->length, text) != 0);
		f->length = text;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		f->coding = f->coding == NULL ? text : "several";
	}
	return MHD_YES;
}

/* What a proxy in front could read in another way than the library does is refused, and the connection is closed. */
static void check_framing(struct api_call *c, struct MHD_Connection *con, const char *version)
{
	struct framing f = { 0 };

	MHD_get_connection_values(con, MHD_HEADER_KIND, take_header, &f);
	if (f.lengths_differ || (f.lengths != 0 && f.coding != NULL)) /* RFC 9112 6.1, 6.3 */
		api_fail(c, 400, MODEL_CODE_OTHER, NULL,
			 "The request's headers give its length in two ways; send Content-Length once, or Transfer-Encoding: chunked.");
	else if (f.coding != NULL && strcasecmp(f.coding, "chunked") != 0) /* RFC 9112 6.1 */
		api_fail(c, 501, MODEL_CODE_OTHER, NULL,
			 "The request's Transfer-Encoding is not known; send chunked, or a Content-Length instead.");
	else if (f.hosts > 1 || (f.hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)) /* RFC 9112 3.2 */
		api_fail(c, 400, MODEL_CODE_OTHER, NULL, "The request must have one Host header; it has %u.", f.hosts);
}

/* Limits that can be judged before the body. Fails the call. */
static void check_head(struct api_call *c, struct MHD_Connection *con, const char *url)
{
	size_t headers = 0;

	MHD_get_connection_values(con, MHD_HEADER_KIND, add_length, &headers);
	if (headers > API_HEADERS_MAX)
		api_fail(c, 431, MODEL_CODE_OTHER, NULL,
			 "The request's headers have %zu bytes; at most %u are allowed.", headers,
			 API_HEADERS_MAX);
	if (strlen(url) > API_URL_MAX)
		api_fail(c, 414, MODEL_CODE_OTHER, NULL,
			 "The request's path has %zu bytes; at most %u are allowed.", strlen(url),
			 API_URL_MAX);
}

/* The first time that the library shows a request, before its body. */
static enum MHD_Result begin_request(struct api_http_door *door, struct MHD_Connection *con, const char *url,
				     const char *version, void **con_cls)
{
	struct api_call c = { .server = door->server };
	enum MHD_Result r = MHD_YES;

	check_framing(&c, con, version);
	check_head(&c, con, url);
	if (api_failed(&c)) {
		r = send_answer(con, &c);
	} else if (announced_length(con) > API_DISCARD_MAX ||
		   (announced_length(con) > API_BODY_MAX &&
		    find_header(con, MHD_HTTP_HEADER_EXPECT) != NULL)) {
		r = send_too_long(door, con);
	} else {
		*con_cls = calloc(1, sizeof(struct incoming));
		r = *con_cls == NULL ? MHD_NO : MHD_YES;
	}
	api_call_fini(&c);
	return r;
}

/* A part of the body. A body that is too long is read on for a while: the client gets its answer only
 * when it has sent all of it. */
static enum MHD_Result take_part(struct incoming *in, const char *upload, size_t *upload_len)
{
	if (!in->too_long && !keep_part(in, bytes_of(upload, *upload_len))) {
		forget_body(in);
		in->too_long = true;
	}
	if (in->too_long)
		in->discarded += *upload_len;
	*upload_len = 0;
	return in->discarded > API_DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result answer_request(struct api_http_door *door, struct MHD_Connection *con, const char *url,
				      const char *method, struct incoming *in)
{
	struct api_call c = { .server = door->server };
	const struct api_request request = {
		.method = method,
		.url = url,
		.credentials = { .authorization = find_header(con, MHD_HTTP_HEADER_AUTHORIZATION),
				 .email = find_header(con, "X-Auth-Email"),
				 .key = find_header(con, "X-Auth-Key") },
		.object_target = find_header(con, "x-magic-new-hc-target"),
		.validate_only = find_query(con, "validate_only"),
		.page = find_query(con, "page"),
		.per_page = find_query(con, "per_page"),
		.name = find_query(con, "name"),
		.body = bytes_of(in->body, in->len),
		.from_admin_socket = door->admin,
		.admin_allowed = door->admin && is_admin_peer(con),
	};

	api_dispatch(&c, &request);
	enum MHD_Result r = send_answer(con, &c);
	api_call_fini(&c);
	forget_body(in);
	return r;
}

enum MHD_Result api_http_handle(void *cls, struct MHD_Connection *con, const char *url, const char *method,
				const char *version, const char *upload, size_t *upload_len, void **con_cls)
{
	struct api_http_door *door = cls;
	struct incoming *in = *con_cls;

	if (in == NULL)
		return begin_request(door, con, url, version, con_cls);
	if (*upload_len != 0)
		return take_part(in, upload, upload_len);
	if (in->too_long)
		return send_too_long(door, con);
	return answer_request(door, con, url, method, in);
}
