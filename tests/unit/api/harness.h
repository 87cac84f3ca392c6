// What the API's tests share: a server over a store in memory, and a client that lets it run.
// The thread of the test.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/server.h"
#include "base/log.h"
#include "model/key.h"

struct host {
	struct conf conf;
	struct crypt_seal_private seal;
	struct store *store; /* the server's; may be read between requests */
	struct api_server *server;
	uint16_t port;
	char socket[96];
	char token[64]; /* of the account, may write */
	char account[40];
};

static inline int listen_loopback(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 128) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static inline void unix_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_true(strlen(path) < sizeof(ret->sun_path));
	snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);
}

static inline int listen_path(const char *path)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unix_address(path, &a);
	unlink(path);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 16) == 0);
	return fd;
}

/* ---- requests ---- */

struct answer {
	int status;
	char *text; /* headers and body */
	const char *body;
	json_t *json;
};

static inline void answer_free(struct answer *a)
{
	json_decref(a->json);
	free(a->text);
	*a = (struct answer){ 0 };
}

static inline int connect_tcp(const struct host *h)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(h->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static inline int connect_path(const struct host *h)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unix_address(h->socket, &a);
	assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

/* Sends all bytes and reads to the end of the connection, while the server runs. */
static inline struct answer exchange(struct host *h, int fd, const char *request, size_t len)
{
	struct answer a = { 0 };
	size_t sent = 0, got = 0, cap = 0;

	for (;;) {
		struct pollfd p[] = { { .fd = fd, .events = (short)(POLLIN | (sent < len ? POLLOUT : 0)) },
				      { .fd = api_server_fd(h->server), .events = POLLIN } };
		assert_true(poll(p, 2, 10000) > 0);
		api_server_run(h->server);
		if ((p[0].revents & POLLOUT) != 0) {
			ssize_t n = send(fd, request + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
			sent = n < 0 ? len : sent + (size_t)n;
		}
		if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0)
			continue;
		if (got + 65536 > cap) {
			cap = 2 * cap + 131072;
			a.text = realloc(a.text, cap);
			assert_non_null(a.text);
		}
		ssize_t n = recv(fd, a.text + got, cap - got - 1, 0);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	close(fd);
	if (got == 0)
		return a;
	a.text[got] = 0;
	a.body = strstr(a.text, "\r\n\r\n");
	assert_non_null(a.body);
	a.body += 4;
	assert_int_equal(sscanf(a.text, "HTTP/1.1 %d", &a.status), 1);
	a.json = json_loads(a.body, 0, NULL);
	return a;
}

static inline struct answer call_with(struct host *h, bool admin, const char *method, const char *path,
				      const char *headers, const char *body)
{
	char *request = NULL;
	int len = asprintf(
		&request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
		method, path, headers, body == NULL ? (size_t)0 : strlen(body), body == NULL ? "" : body);
	assert_true(len > 0);
	struct answer a = exchange(h, admin ? connect_path(h) : connect_tcp(h), request, (size_t)len);
	free(request);
	return a;
}

/* By the administrator's socket. */
static inline struct answer admin_call(struct host *h, const char *method, const char *path, const char *body)
{
	return call_with(h, true, method, path, "", body);
}

/* By TCP with the token; path below the account. */
static inline struct answer call(struct host *h, const char *method, const char *path, const char *body)
{
	char full[512], headers[128];
	snprintf(full, sizeof(full), "/client/v4/accounts/%s%s", h->account, path);
	snprintf(headers, sizeof(headers), "Authorization: Bearer %s\r\n", h->token);
	return call_with(h, false, method, full, headers, body);
}

/* ---- answers ---- */

static inline const json_t *result_of(const struct answer *a)
{
	return json_object_get(a->json, "result");
}

static inline const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	assert_non_null(s);
	return s;
}

static inline int error_code(const struct answer *a)
{
	const json_t *e = json_array_get(json_object_get(a->json, "errors"), 0);
	return (int)json_integer_value(json_object_get(e, "code"));
}

static inline void check_good(const struct answer *a)
{
	if (a->status != 200)
		fail_msg("status %d: %s", a->status, a->body != NULL ? a->body : "(nothing)");
	assert_true(json_is_true(json_object_get(a->json, "success")));
}

static inline void check_error(const struct answer *a, int status, int code)
{
	if (a->status != status || error_code(a) != code)
		fail_msg("status %d: %s", a->status, a->body != NULL ? a->body : "(nothing)");
	assert_true(json_is_false(json_object_get(a->json, "success")));
	assert_true(json_is_null(json_object_get(a->json, "result")));
}

/* ---- the server ---- */

/* An account and a token of it. */
static inline void make_account(struct host *h)
{
	char body[128];
	struct answer a = admin_call(h, "POST", "/admin/accounts", "{\"name\":\"acme\"}");
	check_good(&a);
	snprintf(h->account, sizeof(h->account), "%s", text_of(result_of(&a), "id"));
	answer_free(&a);
	snprintf(body, sizeof(body), "{\"account_id\":\"%s\",\"right\":\"write\"}", h->account);
	a = admin_call(h, "POST", "/admin/tokens", body);
	check_good(&a);
	snprintf(h->token, sizeof(h->token), "%s", text_of(result_of(&a), "token"));
	answer_free(&a);
}

/* A server over the store, which it owns, with an account and a token. */
static inline struct host *host_start(struct store *store)
{
	struct host *h = calloc(1, sizeof(*h));
	assert_non_null(h);
	signal(SIGPIPE, SIG_IGN);
	log_init("api", LOG_LEVEL_ERROR);
	h->store = store;
	snprintf(h->socket, sizeof(h->socket), "/tmp/onramp-api-%d.sock", (int)getpid());
	snprintf(h->conf.identity_domain, sizeof(h->conf.identity_domain), "ipsec.cloudflare.com");
	h->conf.gateway_address_cnt = 1;
	assert_int_equal(addr_parse(bytes_str("198.51.100.10"), &h->conf.gateway_addresses[0]), ERR_NONE);
	assert_int_equal(crypt_seal_generate(&h->seal), ERR_NONE);
	struct api_config config = { .http_fd = listen_loopback(&h->port),
				     .admin_fd = listen_path(h->socket),
				     .store = h->store,
				     .live_fd = -1,
				     .conf = &h->conf };
	assert_int_equal(crypt_seal_public_of(&h->seal, &config.seal), ERR_NONE);
	assert_int_equal(api_server_start(&config, &h->server), ERR_NONE);
	make_account(h);
	return h;
}

static inline int host_setup(void **state)
{
	struct store *store;
	assert_int_equal(store_memory_new(&store), ERR_NONE);
	*state = host_start(store);
	return 0;
}

static inline void host_stop(struct host *h)
{
	api_server_stop(h->server);
	unlink(h->socket);
	free(h);
}

static inline int host_teardown(void **state)
{
	host_stop(*state);
	return 0;
}

#define TUNNEL_BODY(name, interface)                                                                         \
	"{\"name\":\"" name                                                                                  \
	"\",\"cloudflare_endpoint\":\"198.51.100.10\",\"interface_address\":\"" interface "\"}"

/* Makes a tunnel; its id into id. */
static inline void make_tunnel(struct host *h, const char *body, char id[static 40])
{
	struct answer a = call(h, "POST", "/magic/ipsec_tunnels", body);
	check_good(&a);
	snprintf(id, 40, "%s", text_of(result_of(&a), "id"));
	answer_free(&a);
}
