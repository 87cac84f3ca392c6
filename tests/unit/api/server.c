#include "answers.h"

#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/iana.h"
#include "crypt/prf.h"
#include "model/live.h"
#include "model/psk.h"
#include "model/state.h"
#include "model/token.h"

/* ---- what the store holds ---- */

struct copy {
	uint8_t b[STORE_VALUE_MAX];
	size_t len;
};

static void copy_value(void *arg, const struct store_row *row)
{
	struct copy *c = arg;
	struct wr w = wr_of(SPACE_OF(c->b));
	wr_put(&w, row->value);
	c->len = wr_len(&w);
}

static struct model_key psk_key(const struct host *h, const char *tunnel)
{
	struct model_id account, id;
	assert_int_equal(model_id_parse(bytes_str(h->account), &account), ERR_NONE);
	assert_int_equal(model_id_parse(bytes_str(tunnel), &id), ERR_NONE);
	return model_key_psk(&account, &id);
}

static struct model_psk read_psk(const struct host *h, const char *tunnel)
{
	static struct copy c;
	struct model_key key = psk_key(h, tunnel);
	struct model_psk psk = { 0 };
	assert_int_equal(store_get(h->store, model_key_bytes(&key), copy_value, &c), ERR_NONE);
	assert_int_equal(model_psk_decode(bytes_of(c.b, c.len), &psk), ERR_NONE);
	return psk;
}

static void check_opens(const struct host *h, const char *tunnel, const uint8_t *sealed, size_t len,
			const char *want)
{
	struct model_key key = psk_key(h, tunnel);
	uint8_t out[MODEL_PSK_LEN_MAX];
	size_t n = 0;
	assert_int_equal(
		crypt_box_open(&h->seal, model_key_bytes(&key), bytes_of(sealed, len), SPACE_OF(out), &n),
		ERR_NONE);
	assert_true(bytes_eq(bytes_of(out, n), bytes_str(want)));
}

static void psk_is_sealed_under_its_key_and_the_former_is_kept(void **state)
{
	struct host *h = *state;
	char id[40], path[128];
	uint8_t out[MODEL_PSK_LEN_MAX];
	size_t n;

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	snprintf(path, sizeof(path), "/magic/ipsec_tunnels/%s", id);
	struct answer a = call(h, "PUT", path, "{\"psk\":\"first-canary-of-the-test\"}");
	check_good(&a);
	assert_null(strstr(a.text, "canary"));
	answer_free(&a);
	struct model_psk psk = read_psk(h, id);
	check_opens(h, id, psk.current, psk.current_len, "first-canary-of-the-test");
	assert_int_equal(psk.previous_len, 0);
	assert_int_equal(crypt_box_open(&h->seal, bytes_str("cfg/psk/other"),
					bytes_of(psk.current, psk.current_len), SPACE_OF(out), &n),
			 ERR_AUTH);

	strcat(path, "/psk_generate");
	a = call(h, "POST", path, NULL);
	check_good(&a);
	const char *made = text_of(result_of(&a), "psk");
	assert_int_equal(strlen(made), 43);
	psk = read_psk(h, id);
	check_opens(h, id, psk.current, psk.current_len, made);
	check_opens(h, id, psk.previous, psk.previous_len, "first-canary-of-the-test");
	answer_free(&a);
}

static void deleted_tunnel_leaves_no_key_behind(void **state)
{
	struct host *h = *state;
	static struct copy c;
	char id[40], path[128];

	make_tunnel(h,
		    "{\"name\":\"a\",\"cloudflare_endpoint\":\"198.51.100.10\",\"interface_address\":\"10.0."
		    "0.0/31\","
		    "\"psk\":\"0123456789abcdef\"}",
		    id);
	snprintf(path, sizeof(path), "/magic/ipsec_tunnels/%s", id);
	struct answer a = call(h, "DELETE", path, NULL);
	check_good(&a);
	answer_free(&a);
	struct model_key key = psk_key(h, id);
	assert_int_equal(store_get(h->store, model_key_bytes(&key), copy_value, &c), ERR_NOTFOUND);
}

static void token_is_kept_only_as_its_hash(void **state)
{
	struct host *h = *state;
	static struct copy c;
	struct bytes text = bytes_str(h->token);
	struct model_token t;
	uint8_t hash[32];

	assert_int_equal(crypt_sha256(&text, 1, hash), ERR_NONE);
	struct model_key key = model_key_token(hash);
	assert_int_equal(store_get(h->store, model_key_bytes(&key), copy_value, &c), ERR_NONE);
	assert_int_equal(model_token_decode(bytes_of(c.b, c.len), &t), ERR_NONE);
	assert_memory_equal(t.hash, hash, sizeof(hash));
	assert_null(memmem(c.b, c.len, h->token + 4, strlen(h->token + 4)));
	assert_int_equal(strncmp(h->token, "onr_", 4), 0);
	assert_int_equal(strlen(h->token), 47);
}

static void account_numbers_count_up(void **state)
{
	struct host *h = *state;
	for (int want = 2; want < 5; want++) {
		char body[64];
		snprintf(body, sizeof(body), "{\"name\":\"n%d\"}", want);
		struct answer a = admin_call(h, "POST", "/admin/accounts", body);
		check_good(&a);
		const json_t *number = json_object_get(json_object_get(result_of(&a), "onramp"), "number");
		assert_int_equal(json_integer_value(number), want);
		answer_free(&a);
	}
	struct answer a = admin_call(h, "POST", "/admin/accounts", "{\"name\":\"N3\"}");
	check_error(&a, 400, 1101);
	answer_free(&a);
}

/* ---- the gateway's answers ---- */

/* A socket whose other end has these tunnels queued as the answer to one question. */
static int gateway_with(const struct model_live_tunnel *t)
{
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	struct model_live_reply r;
	int fds[2];

	model_live_reply_begin(&r, SPACE_OF(room), ERR_NONE);
	assert_int_equal(model_live_reply_add_tunnel(&r, t), ERR_NONE);
	struct bytes b = model_live_reply_end(&r, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(send(fds[1], b.p, b.len, 0), b.len);
	/* stays open to the end of the process: a closed end would be a gateway that is away */
	return fds[0];
}

static struct model_live_tunnel live_tunnel(const struct host *h, const char *id)
{
	struct model_live_tunnel t = {
		.up = true,
		.since_us = 2000000,
		.identity_type = IKE_ID_FQDN,
		.start_port = 4500,
		.nat_seen = true,
		.ike_suite = { IKE_ENCR_AES_GCM_16, 256, IKE_PRF_HMAC_SHA2_256, IKE_INTEG_NONE,
			       IKE_GROUP_MODP2048, 0 },
		.child_suite = { .encr = IKE_ENCR_NULL, .integ = IKE_INTEG_HMAC_SHA2_256_128 },
		.in_packets = 7,
		.in_bytes = 700,
		.child_cnt = 1,
		.effective_mtu = 1438,
		.has_failure = true,
		.failure = { .code = MODEL_FAILURE_WRONG_PSK,
			     .stage = MODEL_STAGE_AUTH,
			     .first_us = 1,
			     .last_us = 1,
			     .cnt = 3 },
	};
	assert_int_equal(model_id_parse(bytes_str(h->account), &t.account_id), ERR_NONE);
	assert_int_equal(model_id_parse(bytes_str(id), &t.tunnel_id), ERR_NONE);
	snprintf(t.identity, sizeof(t.identity), "fqdn:x");
	t.failure.account_id = t.account_id;
	t.failure.tunnel_id = t.tunnel_id;
	return t;
}

static void live_detail_is_shown(void **state)
{
	struct host *h = *state;
	char id[40], path[128];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	struct model_live_tunnel t = live_tunnel(h, id);
	api_server_set_live(h->server, gateway_with(&t));
	snprintf(path, sizeof(path), "/onramp/tunnels/%s/status", id);
	struct answer a = call(h, "GET", path, NULL);
	check_good(&a);
	const json_t *s = result_of(&a);
	assert_true(json_is_true(json_object_get(s, "up")));
	assert_string_equal(text_of(s, "source"), "gateway");
	assert_string_equal(text_of(s, "identity_type"), "fqdn");
	assert_int_equal(json_integer_value(json_object_get(s, "in_bytes")), 700);
	assert_true(json_is_false(json_object_get(s, "encrypted")));
	assert_non_null(strstr(text_of(s, "child_suite"), "UNENCRYPTED"));
	assert_non_null(strstr(a.body, "UNENCRYPTED: tunnel"));
	/* it came up after the failure, so there is nothing to explain, but the last failure is not lost */
	assert_true(json_is_null(json_object_get(s, "verdict")));
	assert_string_equal(text_of(json_object_get(s, "last_failure"), "code"), "auth.wrong_psk");
	answer_free(&a);
}

static void failure_of_a_tunnel_that_is_down_is_its_verdict(void **state)
{
	struct host *h = *state;
	char id[40];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	struct model_live_tunnel t = live_tunnel(h, id);
	t.up = false;
	api_server_set_live(h->server, gateway_with(&t));
	struct answer a = call(h, "GET", "/onramp/status", NULL);
	check_good(&a);
	const json_t *one = json_array_get(json_object_get(result_of(&a), "tunnels"), 0);
	const json_t *v = json_object_get(one, "verdict");
	assert_string_equal(text_of(v, "code"), "auth.wrong_psk");
	assert_true(strlen(text_of(v, "sentence")) > 20);
	assert_true(strlen(text_of(v, "change")) > 20);
	assert_non_null(text_of(v, "side"));
	answer_free(&a);
}

static void without_gateway_the_stored_state_is_told(void **state)
{
	struct host *h = *state;
	struct model_tunnel_state s = { .up = MODEL_TUNNEL_DOWN, .since_us = 5000000, .has_failure = true };
	uint8_t record[MODEL_STATE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(record));
	char id[40];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	struct model_live_tunnel t = live_tunnel(h, id);
	s.account_id = t.account_id;
	s.tunnel_id = t.tunnel_id;
	s.failure = t.failure;
	assert_int_equal(model_tunnel_state_encode(&s, &w), ERR_NONE);
	struct model_key key = model_key_tunnel_state(&s.account_id, &s.tunnel_id);
	struct store_op op = { STORE_PUT, model_key_bytes(&key), wr_bytes(&w) };
	assert_int_equal(store_commit(h->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }).err,
			 ERR_NONE);
	struct answer a = call(h, "GET", "/onramp/status", NULL);
	check_good(&a);
	assert_string_equal(text_of(result_of(&a), "gateway"), "away");
	const json_t *one = json_array_get(json_object_get(result_of(&a), "tunnels"), 0);
	assert_string_equal(text_of(one, "source"), "store");
	assert_string_equal(text_of(one, "since"), "1970-01-01T00:00:05.000000Z");
	assert_string_equal(text_of(json_object_get(one, "verdict"), "code"), "auth.wrong_psk");
	answer_free(&a);
}

/* The gateway's end of a socket that has this answer queued. */
static int gateway_says(struct host *h, enum err result)
{
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	struct model_live_reply r;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	model_live_reply_begin(&r, SPACE_OF(room), result);
	struct bytes b = model_live_reply_end(&r, false);
	assert_int_equal(send(fds[1], b.p, b.len, 0), b.len);
	api_server_set_live(h->server, fds[0]);
	return fds[1];
}

static void check_asked(int gateway, enum model_live_op op, const char *id)
{
	struct model_live_request q;
	char text[MODEL_ID_TEXT_MAX];
	uint8_t b[256];

	ssize_t n = recv(gateway, b, sizeof(b), MSG_DONTWAIT);
	assert_true(n > 0);
	assert_int_equal(model_live_request_decode(bytes_of(b, (size_t)n), &q), ERR_NONE);
	assert_int_equal(q.op, op);
	assert_string_equal(model_id_text(&q.tunnel_id, text), id);
	close(gateway);
}

static void rekey_is_asked_of_the_gateway(void **state)
{
	struct host *h = *state;
	char id[40], path[128];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	snprintf(path, sizeof(path), "/onramp/tunnels/%s/rekey", id);
	int gateway = gateway_says(h, ERR_NONE);
	struct answer a = call(h, "POST", path, NULL);
	check_good(&a);
	assert_string_equal(text_of(result_of(&a), "rekey"), "child");
	answer_free(&a);
	check_asked(gateway, MODEL_LIVE_REKEY_CHILD, id);

	gateway = gateway_says(h, ERR_NONE);
	a = call(h, "POST", path, "{\"ike\": true}");
	check_good(&a);
	assert_string_equal(text_of(result_of(&a), "rekey"), "ike");
	answer_free(&a);
	check_asked(gateway, MODEL_LIVE_REKEY_IKE, id);
}

/* Up or not is all that a rekey depends on: the gateway is asked for that. */
static void a_rekey_that_is_only_checked_is_not_done(void **state)
{
	struct host *h = *state;
	struct model_live_tunnel t = { .up = true };
	char id[40], path[128];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	assert_int_equal(model_id_parse(bytes_str(id), &t.tunnel_id), ERR_NONE);
	snprintf(path, sizeof(path), "/onramp/tunnels/%s/rekey?validate_only=true", id);
	for (int up = 1; up >= 0; up--) {
		struct answers *gateway = answers_new();
		t.up = up;
		begin(gateway, ERR_NONE);
		assert_int_equal(model_live_reply_add_tunnel(&gateway->r, &t), ERR_NONE);
		end(gateway);
		serve(h, gateway);
		struct answer a = call(h, "POST", path, "{\"ike\": true}");
		if (up)
			check_good(&a);
		else
			check_error(&a, 400, 1154);
		answer_free(&a);
		check_asked(gateway->fds[1], MODEL_LIVE_TUNNEL, id);
		free(gateway);
	}
	struct answer a = call(h, "POST", path, NULL); /* the gateway is away */
	check_error(&a, 503, 1153);
	answer_free(&a);
}

static void rekey_that_cannot_be_is_refused(void **state)
{
	struct host *h = *state;
	char id[40], path[128];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	snprintf(path, sizeof(path), "/onramp/tunnels/%s/rekey", id);
	int gateway = gateway_says(h, ERR_CONFLICT);
	struct answer a = call(h, "POST", path, NULL);
	check_error(&a, 400, 1154);
	answer_free(&a);
	close(gateway);
	a = call(h, "POST", path, NULL); /* the gateway is away */
	check_error(&a, 503, 1153);
	answer_free(&a);
	a = call(h, "POST", path, "{\"ike\": 1}");
	assert_int_equal(a.status, 400);
	answer_free(&a);
	a = call(h, "GET", path, NULL);
	assert_int_equal(a.status, 405);
	answer_free(&a);
	a = call(h, "POST", "/onramp/tunnels/00000000000000000000000000000001/rekey", NULL);
	assert_int_equal(a.status, 404);
	answer_free(&a);
}

static void overview_has_counters_and_unknown_peers(void **state)
{
	struct host *h = *state;
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	struct model_live_reply r;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	model_live_reply_begin(&r, SPACE_OF(room), ERR_NONE);
	assert_int_equal(model_live_reply_add_counter(&r, "ike_in", 42), ERR_NONE);
	struct bytes b = model_live_reply_end(&r, false);
	assert_int_equal(send(fds[1], b.p, b.len, 0), b.len);
	const struct model_failure f = { .code = MODEL_FAILURE_UNKNOWN_IDENTITY,
					 .stage = MODEL_STAGE_AUTH,
					 .identity = "fqdn:stranger.example",
					 .cnt = 1 };
	model_live_reply_begin(&r, SPACE_OF(room), ERR_NONE);
	assert_int_equal(model_live_reply_add_failure(&r, &f), ERR_NONE);
	b = model_live_reply_end(&r, false);
	assert_int_equal(send(fds[1], b.p, b.len, 0), b.len);
	model_live_reply_begin(&r, SPACE_OF(room), ERR_NONE);
	b = model_live_reply_end(&r, false);
	assert_int_equal(send(fds[1], b.p, b.len, 0), b.len);
	api_server_set_live(h->server, fds[0]);

	struct answer a = admin_call(h, "GET", "/admin/status", NULL);
	check_good(&a);
	const json_t *counter = json_array_get(json_object_get(result_of(&a), "counters"), 0);
	assert_string_equal(text_of(counter, "name"), "ike_in");
	assert_string_equal(text_of(counter, "help"), "IKE messages received");
	assert_int_equal(json_integer_value(json_object_get(counter, "value")), 42);
	const json_t *v = json_array_get(json_object_get(result_of(&a), "unknown_peers"), 0);
	assert_string_equal(text_of(v, "code"), "auth.unknown_identity");
	assert_non_null(strstr(text_of(v, "sentence"), "stranger.example"));
	assert_int_equal(json_array_size(json_object_get(result_of(&a), "accounts")), 1);
	answer_free(&a);
}

/* ---- who may use the administrator's socket ---- */

static void socket_is_refused_to_other_users(void **state)
{
	struct host *h = *state;
	static const char request[] = "GET /admin/tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct sockaddr_un address;
	int pipes[2];

	if (geteuid() != 0)
		skip();
	/* the peer's identity is taken when it connects, so another user must do that */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pipes), 0);
	unix_address(h->socket, &address);
	assert_int_equal(chmod(h->socket, 0777), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char c = 0, text[4096];
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		bool good = setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0 &&
			    connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
			    write(fd, request, strlen(request)) == (ssize_t)strlen(request) &&
			    write(pipes[1], &c, 1) == 1;
		ssize_t n = good ? read(fd, text, sizeof(text) - 1) : -1;
		text[n < 0 ? 0 : n] = 0;
		_exit(strstr(text, " 403 ") != NULL && strstr(text, "\"tokens\"") == NULL ? 0 : 1);
	}
	char c;
	int status = -1;
	assert_int_equal(read(pipes[0], &c, 1), 1);
	for (int i = 0; i < 500 && waitpid(child, &status, WNOHANG) == 0; i++) {
		struct pollfd p = { .fd = api_server_fd(h->server), .events = POLLIN };
		poll(&p, 1, 10);
		api_server_run(h->server);
	}
	close(pipes[0]);
	close(pipes[1]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void admin_paths_are_not_on_tcp(void **state)
{
	struct host *h = *state;
	char headers[128];
	snprintf(headers, sizeof(headers), "Authorization: Bearer %s\r\n", h->token);
	struct answer a = call_with(h, false, "GET", "/admin/tokens", headers, NULL);
	check_error(&a, 404, 7003);
	answer_free(&a);
}

/* ---- limits ---- */

static void one_address_cannot_take_all_connections(void **state)
{
	struct host *h = *state;
	int fds[80];
	unsigned closed = 0;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_tcp(h);
		api_server_run(h->server);
	}
	for (int i = 0; i < 20; i++)
		api_server_run(h->server);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		char c;
		closed += recv(fds[i], &c, 1, MSG_DONTWAIT) == 0;
		close(fds[i]);
	}
	assert_int_equal(closed, ARRAY_LEN(fds) - 64);
	for (int i = 0; i < 20; i++)
		api_server_run(h->server);
	struct answer a = call(h, "GET", "/magic/routes", NULL);
	check_good(&a);
	answer_free(&a);
}

static void long_body_is_read_and_refused(void **state)
{
	struct host *h = *state;
	static char body[1048578];
	memset(body, ' ', sizeof(body) - 1);
	struct answer a = call(h, "POST", "/magic/routes", body);
	check_error(&a, 413, 1022);
	answer_free(&a);
	body[1048576] = 0;
	memcpy(body, "{}", 2);
	a = call(h, "POST", "/magic/routes", body);
	check_error(&a, 400, 1022); /* a field is missing: the body itself was taken */
	answer_free(&a);
}

static void long_headers_and_paths_are_refused_in_json(void **state)
{
	struct host *h = *state;
	static char headers[17000], path[3000];
	memset(headers, 'a', sizeof(headers) - 1);
	memcpy(headers, "X-Long: ", 8);
	memcpy(headers + sizeof(headers) - 3, "\r\n", 2);
	struct answer a = call_with(h, false, "GET", "/accounts", headers, NULL);
	check_error(&a, 431, 1000);
	answer_free(&a);
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	a = call_with(h, false, "GET", path, "", NULL);
	check_error(&a, 414, 1000);
	answer_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(psk_is_sealed_under_its_key_and_the_former_is_kept),
		TEST(deleted_tunnel_leaves_no_key_behind),
		TEST(token_is_kept_only_as_its_hash),
		TEST(account_numbers_count_up),
		TEST(live_detail_is_shown),
		TEST(failure_of_a_tunnel_that_is_down_is_its_verdict),
		TEST(without_gateway_the_stored_state_is_told),
		TEST(rekey_is_asked_of_the_gateway),
		TEST(a_rekey_that_is_only_checked_is_not_done),
		TEST(rekey_that_cannot_be_is_refused),
		TEST(overview_has_counters_and_unknown_peers),
		TEST(socket_is_refused_to_other_users),
		TEST(admin_paths_are_not_on_tcp),
		TEST(one_address_cannot_take_all_connections),
		TEST(long_body_is_read_and_refused),
		TEST(long_headers_and_paths_are_refused_in_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
