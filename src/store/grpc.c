#include "store/grpc.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/ck.h"
#include "base/text.h"
#include "store/grpc_frame.h"

enum {
	CONNECT_MS = 1000,
	MEANWHILE_MS = 50,
	STATUS_NONE = -1,
	URL_MAX = 128,
};

/* A growing buffer. */
struct pile {
	uint8_t *b;
	size_t len, cap;
};

/* One HTTP request, whichever way it is driven. */
struct exchange {
	CURL *curl;
	struct curl_slist *headers;
	struct pile out;    /* framed, to be sent */
	size_t out_at;
	struct pile in;     /* framed, as it came */
	bool may_pause;     /* a stream: more may be sent later */
	bool paused;
	bool touched;       /* some of the request was handed over to be sent */
	bool too_long;
	bool enough;        /* the receiver wants no more */
	long http;
	int status;
	char reason[160];
	char curl_error[CURL_ERROR_SIZE];
	char url[URL_MAX];
	char endpoint[ADDR_ENDPOINT_TEXT_MAX];
	store_grpc_message_fn *message;
	void *arg;
};

static bool pile_reserve(struct pile *p, size_t more)
{
	size_t need, cap = p->cap == 0 ? 4096 : p->cap;

	if (!ck_add(p->len, more, &need) || need > STORE_GRPC_MSG_MAX + STORE_GRPC_FRAME_HEAD)
		return false;
	while (cap < need)
		cap *= 2;
	if (cap == p->cap)
		return true;
	uint8_t *b = realloc(p->b, cap);
	if (b == NULL)
		return false;
	p->b = b;
	p->cap = cap;
	return true;
}

static bool pile_add(struct pile *p, struct bytes more)
{
	if (!pile_reserve(p, more.len))
		return false;
	if (more.len != 0)
		memcpy(p->b + p->len, more.p, more.len);
	p->len += more.len;
	return true;
}

/* Takes n bytes off the beginning. */
static void pile_drop(struct pile *p, size_t n)
{
	if (n != 0 && n < p->len)
		memmove(p->b, p->b + n, p->len - n);
	p->len -= n;
}

static bool add_message(struct pile *p, struct bytes msg)
{
	uint8_t head[STORE_GRPC_FRAME_HEAD];
	struct wr w = wr_of(SPACE_OF(head));

	store_grpc_frame_build(&w, msg.len);
	return !w.bad && pile_add(p, BYTES_OF(head)) && pile_add(p, msg);
}

/* The next whole message after *at. */
static bool take_message(struct exchange *x, size_t *at, struct bytes *ret)
{
	struct rd r = rd_of(bytes_of(x->in.b, x->in.len));

	rd_skip(&r, *at);
	enum err err = store_grpc_frame_parse(&r, ret);
	if (err == ERR_NONE)
		*at = x->in.len - rd_left(&r);
	else if (err != ERR_SHORT)
		x->too_long = true;
	return err == ERR_NONE;
}

/* Messages are told as soon as they are whole, however the bytes of the connection were cut. */
static size_t on_body(char *data, size_t size, size_t cnt, void *arg)
{
	struct exchange *x = arg;
	size_t n = size * cnt, at = 0;
	struct bytes msg;

	if (!pile_add(&x->in, bytes_of(data, n))) {
		x->too_long = true;
		return 0;
	}
	if (x->message == NULL)
		return n;
	while (!x->enough && take_message(x, &at, &msg))
		x->enough = !x->message(x->arg, msg);
	pile_drop(&x->in, at);
	return x->enough || x->too_long ? 0 : n;
}

static size_t on_send(char *room, size_t size, size_t cnt, void *arg)
{
	struct exchange *x = arg;
	size_t n = size * cnt, left = x->out.len - x->out_at;

	x->touched = true;
	if (left == 0) {
		x->paused = x->may_pause;
		return x->may_pause ? CURL_READFUNC_PAUSE : 0;
	}
	if (n > left)
		n = left;
	memcpy(room, x->out.b + x->out_at, n);
	x->out_at += n;
	return n;
}

static bool is_header(struct bytes line, const char *name, struct bytes *ret_value)
{
	size_t n = strlen(name);

	if (line.len < n + 1 || strncasecmp((const char *)line.p, name, n) != 0 || line.p[n] != ':')
		return false;
	*ret_value = bytes_of(line.p + n + 1, line.len - n - 1);
	while (ret_value->len != 0 && ret_value->p[0] == ' ')
		*ret_value = bytes_of(ret_value->p + 1, ret_value->len - 1);
	while (ret_value->len != 0 && strchr("\r\n ", ret_value->p[ret_value->len - 1]) != NULL)
		ret_value->len--;
	return true;
}

/* Headers and trailers come the same way. */
static size_t on_header(char *data, size_t size, size_t cnt, void *arg)
{
	struct exchange *x = arg;
	struct bytes line = bytes_of(data, size * cnt), value;
	uint64_t number;

	if (is_header(line, "grpc-status", &value)) {
		if (text_u64_parse(value, 1000, &number) == ERR_NONE)
			x->status = (int)number;
	} else if (is_header(line, "grpc-message", &value)) {
		size_t n = value.len < sizeof(x->reason) ? value.len : sizeof(x->reason) - 1;
		memcpy(x->reason, value.p, n);
		x->reason[n] = 0;
	}
	return line.len;
}

static bool set_blob(CURL *curl, CURLoption option, const char *pem)
{
	union {
		const char *c;
		void *p;
	} u = { .c = pem };
	struct curl_blob blob = { .data = u.p, .len = strlen(pem), .flags = CURL_BLOB_NOCOPY };

	return curl_easy_setopt(curl, option, &blob) == CURLE_OK;
}

static bool set_tls(CURL *curl, const struct store_grpc_config *c)
{
	return curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK && set_blob(curl, CURLOPT_CAINFO_BLOB, c->ca_pem) &&
	       set_blob(curl, CURLOPT_SSLCERT_BLOB, c->cert_pem) && set_blob(curl, CURLOPT_SSLKEY_BLOB, c->key_pem);
}

static bool set_transfer(CURL *curl, struct exchange *x)
{
	return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 262144L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->curl_error) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_WRITEDATA, x) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_HEADERDATA, x) == CURLE_OK &&
	       /* No function to seek back: so libcurl never sends a request a second time by itself. */
	       curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_READDATA, x) == CURLE_OK;
}

/* hasleader: a member that has lost its leader ends the call, where it would wait. */
static bool make_headers(struct exchange *x)
{
	static const char *const lines[] = { "Content-Type: application/grpc", "TE: trailers", "hasleader: true",
					     "Expect:", "Accept:" };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct curl_slist *more = curl_slist_append(x->headers, lines[i]);
		if (more == NULL)
			return false;
		x->headers = more;
	}
	return true;
}

static bool make_curl(struct exchange *x, const struct store_grpc_config *c)
{
	x->curl = curl_easy_init();
	return x->curl != NULL && (x->headers != NULL || make_headers(x)) && set_tls(x->curl, c) &&
	       set_transfer(x->curl, x);
}

static void end_curl(struct exchange *x)
{
	curl_easy_cleanup(x->curl);
	x->curl = NULL;
}

static void free_exchange(struct exchange *x)
{
	end_curl(x);
	curl_slist_free_all(x->headers);
	free(x->in.b);
	free(x->out.b);
}

static bool begin_exchange(struct exchange *x, const struct addr_endpoint *endpoint, const char *path)
{
	x->in.len = x->out.len = x->out_at = 0;
	x->paused = x->touched = x->too_long = x->enough = false;
	x->http = 0;
	x->status = STATUS_NONE;
	x->reason[0] = x->curl_error[0] = 0;
	addr_endpoint_format(endpoint, x->endpoint);
	snprintf(x->url, sizeof(x->url), "https://%s%s", x->endpoint, path);
	return curl_easy_setopt(x->curl, CURLOPT_URL, x->url) == CURLE_OK;
}

/* What a finished exchange came to. */
static enum store_grpc_outcome judge(struct exchange *x, CURLcode rc, char why[static STORE_GRPC_WHY_MAX])
{
	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &x->http);
	if (rc == CURLE_OK && x->http == 200 && x->status != STATUS_NONE) {
		snprintf(why, STORE_GRPC_WHY_MAX, "%s: %s (status %d)", x->endpoint, x->reason, x->status);
		return GRPC_ANSWERED;
	}
	if (x->too_long)
		snprintf(why, STORE_GRPC_WHY_MAX, "%s: an answer too long or not gRPC", x->endpoint);
	else if (rc != CURLE_OK)
		snprintf(why, STORE_GRPC_WHY_MAX, "%s: %.180s", x->endpoint,
			 x->curl_error[0] != 0 ? x->curl_error : curl_easy_strerror(rc));
	else
		snprintf(why, STORE_GRPC_WHY_MAX, "%s: HTTP status %ld and no outcome: not etcd?", x->endpoint, x->http);
	return x->touched ? GRPC_UNKNOWN : GRPC_UNSENT;
}

/* ---- single calls ---- */

struct store_grpc {
	const struct store_grpc_config *c;
	size_t endpoint;
	CURLM *multi;
	struct exchange x;
	int meanwhile_fd;
	bool (*meanwhile)(void *arg); /* NULL: nothing */
	void *arg;
};

MUST_USE enum err store_grpc_new(const struct store_grpc_config *c, struct store_grpc **ret)
{
	struct store_grpc *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return ERR_MEMORY;
	g->c = c;
	*ret = g;
	return ERR_NONE;
}

void store_grpc_meanwhile(struct store_grpc *g, int fd, bool (*fn)(void *arg), void *arg)
{
	g->meanwhile_fd = fd;
	g->meanwhile = fn;
	g->arg = arg;
}

/* A connection that failed is not used again: it goes with what made it. */
static void end_calls(struct store_grpc *g)
{
	end_curl(&g->x);
	curl_multi_cleanup(g->multi);
	g->multi = NULL;
}

void store_grpc_free(struct store_grpc *g)
{
	if (g == NULL)
		return;
	end_calls(g);
	free_exchange(&g->x);
	free(g);
}

static void rotate(struct store_grpc *g)
{
	end_calls(g);
	g->endpoint = (g->endpoint + 1) % g->c->endpoint_cnt;
}

static bool may_go_on_here(int status)
{
	switch (status) {
	case GRPC_OK:
	case GRPC_INVALID_ARGUMENT:
	case GRPC_NOT_FOUND:
	case GRPC_PERMISSION_DENIED:
	case GRPC_FAILED_PRECONDITION:
	case GRPC_OUT_OF_RANGE:
		return true;
	default:
		return false;
	}
}

static bool make_calls(struct store_grpc *g)
{
	if (g->multi == NULL)
		g->multi = curl_multi_init();
	return g->multi != NULL && (g->x.curl != NULL || make_curl(&g->x, g->c));
}

static CURLcode perform(struct store_grpc *g)
{
	struct curl_waitfd also = { .fd = g->meanwhile_fd, .events = CURL_WAIT_POLLIN };
	CURLcode result = CURLE_FAILED_INIT;
	bool other = g->meanwhile != NULL;
	int running = 0, left;
	CURLMsg *m;

	if (curl_multi_add_handle(g->multi, g->x.curl) != CURLM_OK)
		return result;
	while (curl_multi_perform(g->multi, &running) == CURLM_OK && running != 0) {
		if (curl_multi_poll(g->multi, &also, other ? 1 : 0, other ? MEANWHILE_MS : 1000, NULL) != CURLM_OK)
			break;
		other = other && g->meanwhile(g->arg);
	}
	while ((m = curl_multi_info_read(g->multi, &left)) != NULL)
		if (m->msg == CURLMSG_DONE)
			result = m->data.result;
	curl_multi_remove_handle(g->multi, g->x.curl);
	return result;
}

void store_grpc_call(struct store_grpc *g, const char *path, struct bytes request, unsigned timeout_ms,
		     struct store_grpc_answer *ret)
{
	struct exchange *x = &g->x;
	size_t at = 0;

	*ret = (struct store_grpc_answer){ .outcome = GRPC_UNSENT };
	if (!make_calls(g) ||
	    !begin_exchange(x, &g->c->endpoints[g->endpoint], path) || !add_message(&x->out, request) ||
	    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->out.len) != CURLE_OK ||
	    curl_easy_setopt(x->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) != CURLE_OK) {
		snprintf(ret->why, sizeof(ret->why), "no memory for a request");
		end_calls(g);
		return;
	}
	ret->outcome = judge(x, perform(g), ret->why);
	ret->status = x->status;
	if (ret->outcome == GRPC_ANSWERED && x->status == GRPC_OK && !take_message(x, &at, &ret->msg)) {
		snprintf(ret->why, sizeof(ret->why), "%s: an answer without a message", x->endpoint);
		ret->outcome = GRPC_UNKNOWN;
	}
	if (ret->outcome != GRPC_ANSWERED || !may_go_on_here(ret->status))
		rotate(g);
}

/* ---- streams ---- */

struct store_grpc_stream {
	const struct store_grpc_config *c;
	CURLM *multi;
	bool under_way;
	struct exchange x;
};

MUST_USE enum err store_grpc_stream_new(const struct store_grpc_config *c, store_grpc_message_fn *message, void *arg,
					struct store_grpc_stream **ret)
{
	struct store_grpc_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_MEMORY;
	s->c = c;
	s->multi = curl_multi_init();
	s->x.message = message;
	s->x.arg = arg;
	s->x.may_pause = true;
	if (s->multi == NULL) {
		free(s);
		return ERR_MEMORY;
	}
	*ret = s;
	return ERR_NONE;
}

static void close_stream(struct store_grpc_stream *s)
{
	if (s->under_way)
		curl_multi_remove_handle(s->multi, s->x.curl);
	s->under_way = false;
	end_curl(&s->x);
}

void store_grpc_stream_free(struct store_grpc_stream *s)
{
	if (s == NULL)
		return;
	close_stream(s);
	free_exchange(&s->x);
	curl_multi_cleanup(s->multi);
	free(s);
}

MUST_USE enum err store_grpc_stream_open(struct store_grpc_stream *s, const char *path, size_t endpoint)
{
	close_stream(s);
	if (!make_curl(&s->x, s->c) || !begin_exchange(&s->x, &s->c->endpoints[endpoint], path) ||
	    /* The connection of a stream that was given up may be frozen: it is not for the next one. */
	    curl_easy_setopt(s->x.curl, CURLOPT_FRESH_CONNECT, 1L) != CURLE_OK ||
	    curl_easy_setopt(s->x.curl, CURLOPT_FORBID_REUSE, 1L) != CURLE_OK)
		return ERR_MEMORY;
	if (curl_multi_add_handle(s->multi, s->x.curl) != CURLM_OK)
		return ERR_SYSTEM;
	s->under_way = true;
	return ERR_NONE;
}

MUST_USE enum err store_grpc_stream_send(struct store_grpc_stream *s, struct bytes msg)
{
	struct exchange *x = &s->x;

	pile_drop(&x->out, x->out_at);
	x->out_at = 0;
	if (!add_message(&x->out, msg))
		return ERR_MEMORY;
	if (x->paused) {
		x->paused = false;
		curl_easy_pause(x->curl, CURLPAUSE_CONT);
	}
	return ERR_NONE;
}

MUST_USE enum err store_grpc_stream_run(struct store_grpc_stream *s, unsigned timeout_ms,
					char why[static STORE_GRPC_WHY_MAX])
{
	int running = 0, left;
	CURLMsg *m;

	CURLMcode rc = curl_multi_perform(s->multi, &running);
	if (rc == CURLM_OK && running != 0) {
		rc = curl_multi_poll(s->multi, NULL, 0, (int)timeout_ms, NULL);
		if (rc == CURLM_OK)
			rc = curl_multi_perform(s->multi, &running);
	}
	if (rc == CURLM_OK && running != 0)
		return ERR_NONE;
	snprintf(why, STORE_GRPC_WHY_MAX, "%s: %s", s->x.endpoint, curl_multi_strerror(rc));
	while ((m = curl_multi_info_read(s->multi, &left)) != NULL)
		if (m->msg == CURLMSG_DONE)
			(void)judge(&s->x, m->data.result, why);
	close_stream(s);
	return ERR_CLOSED;
}

void store_grpc_stream_wake(struct store_grpc_stream *s)
{
	curl_multi_wakeup(s->multi);
}
