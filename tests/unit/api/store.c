// The API over a store that is away, hangs, or that others change at the same moment.
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>

#include "model/account.h"
#include "store/ipc_server.h"

#define ALWAYS 1000000u

static const char *const may_read[] = { "st/", NULL };
static const char *const may_write[] = { "cfg/", NULL };
static const struct store_role role = { may_read, may_write };

/* A gateway process in a thread: it serves the API's requests for the store as the test wants it. */
struct gateway {
	struct host *host;
	struct store *store;
	struct store_ipc_server *ipc;
	pthread_t thread;
	atomic_uint serve;	 /* so many more requests are answered, then there is silence */
	atomic_uint spoil;	 /* so many of them are followed by a change of the account by another */
	atomic_bool delete;	 /* which is its end */
	struct model_id account; /* set before spoil */
	int stop[2];
};

static void change_account(struct gateway *g)
{
	struct model_key key = model_key_version(&g->account);
	struct model_key account = model_key_account(&g->account);
	const struct store_op ops[] = { { STORE_PUT, model_key_bytes(&key), bytes_str("foreign!") },
					{ STORE_DELETE, model_key_bytes(&account), { 0 } } };
	must(store_commit(g->store, &(struct store_txn){ .ops = ops, .op_cnt = g->delete ? 2 : 1 }).err == ERR_NONE);
}

static void *run_gateway(void *arg)
{
	struct gateway *g = arg;

	for (;;) {
		struct pollfd p[] = { { .fd = g->serve == 0 ? -1 : store_ipc_server_fd(g->ipc),
					.events = POLLIN },
				      { .fd = g->stop[0], .events = POLLIN } };
		if (poll(p, 2, 20) < 0 || p[1].revents != 0)
			return NULL;
		/* the test may have changed its mind while this thread slept */
		if (p[0].revents == 0 || g->serve == 0)
			continue;
		/* counted before the answer leaves: from then on the number may be the next request's */
		if (g->serve != ALWAYS)
			g->serve--;
		enum err e = store_ipc_server_step(g->ipc);
		if (e == ERR_CLOSED)
			return NULL;
		if (e == ERR_NONE && g->spoil > 0) {
			g->spoil--;
			change_account(g);
		}
	}
}

static struct store *connect_store(struct gateway *g)
{
	struct store *client;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(store_ipc_server_new(g->store, fds[1], &role, &g->ipc), ERR_NONE);
	assert_int_equal(store_ipc_new(fds[0], 150, &client), ERR_NONE);
	assert_int_equal(pipe(g->stop), 0);
	assert_int_equal(pthread_create(&g->thread, NULL, run_gateway, g), 0);
	return client;
}

/* The gateway process dies: its end of the socket closes. Its store survives. */
static void gateway_kill(struct gateway *g)
{
	close(g->stop[1]);
	assert_int_equal(pthread_join(g->thread, NULL), 0);
	store_ipc_server_free(g->ipc);
	close(g->stop[0]);
}

static int setup(void **state)
{
	struct gateway *g = calloc(1, sizeof(*g));
	assert_non_null(g);
	g->serve = ALWAYS;
	assert_int_equal(store_memory_new(&g->store), ERR_NONE);
	g->host = host_start(connect_store(g));
	assert_int_equal(model_id_parse(bytes_str(g->host->account), &g->account), ERR_NONE);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct gateway *g = *state;
	gateway_kill(g);
	host_stop(g->host);
	store_free(g->store);
	free(g);
	return 0;
}

static struct answer create(struct gateway *g)
{
	return call(g->host, "POST", "/magic/ipsec_tunnels", TUNNEL_BODY("a", "10.0.0.0/31"));
}

static void count_row(void *arg, const struct store_row *row)
{
	size_t *n = arg;
	(void)row;
	*n += 1;
}

/* Its record comes back as it was; what was deleted is known only to this test. */
static void make_account_again(struct gateway *g)
{
	struct model_account a;
	struct model_key key = model_key_account(&g->account);
	uint8_t record[MODEL_ACCOUNT_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(record));

	model_account_init(&a);
	a.id = g->account;
	a.number = 1;
	snprintf(a.name, sizeof(a.name), "acme");
	assert_int_equal(model_account_encode(&a, &w), ERR_NONE);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), wr_bytes(&w) };
	g->delete = false;
	assert_int_equal(store_commit(g->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }).err, ERR_NONE);
}

static size_t count_tunnels(struct gateway *g)
{
	struct answer a = call(g->host, "GET", "/magic/ipsec_tunnels", NULL);
	check_good(&a);
	size_t n = json_array_size(json_object_get(result_of(&a), "ipsec_tunnels"));
	answer_free(&a);
	return n;
}

static void lost_race_is_run_again(void **state)
{
	struct gateway *g = *state;
	/* a change after each of the requests of the first attempt, none in the second */
	g->spoil = 5;
	struct answer a = create(g);
	check_good(&a);
	answer_free(&a);
	assert_int_equal(g->spoil, 0);
	assert_int_equal(count_tunnels(g), 1);
}

static size_t count_keys(struct gateway *g, const char *kind)
{
	struct model_key prefix = model_key_prefix(kind, &g->account);
	size_t n = 0;
	assert_int_equal(store_range(g->store, model_key_bytes(&prefix), (struct bytes){ 0 }, 0, count_row, &n, NULL), ERR_NONE);
	return n;
}

/* Whenever another node deletes the account while a tunnel is being made. */
static void nothing_is_made_in_an_account_that_is_deleted_meanwhile(void **state)
{
	struct gateway *g = *state;
	for (unsigned after = 1; after <= 6; after++) {
		g->delete = true;
		g->spoil = after;
		struct answer a = create(g);
		check_error(&a, 404, 7003);
		answer_free(&a);
		g->spoil = 0;
		assert_int_equal(count_keys(g, "cfg/tun"), 0);
		make_account_again(g);
	}
}

static void endless_race_is_given_up(void **state)
{
	struct gateway *g = *state;
	g->spoil = ALWAYS;
	struct answer a = create(g);
	check_error(&a, 503, 1000);
	assert_non_null(strcasestr(a.text, "Retry-After:"));
	assert_non_null(strstr(a.body, "Nothing was changed"));
	answer_free(&a);
	g->spoil = 0;
	assert_int_equal(count_tunnels(g), 0);
}

/* Whatever the request at which the gateway falls silent: 503, and only a commit leaves doubt. */
static void silent_gateway_is_told_and_doubt_is_not_hidden(void **state)
{
	struct gateway *g = *state;
	unsigned doubtful = 0, away = 0;

	for (unsigned n = 0; n < 12; n++) {
		g->serve = n;
		struct answer a = create(g);
		g->serve = ALWAYS;
		if (a.status == 200) {
			answer_free(&a);
			break;
		}
		check_error(&a, 503, 1000);
		assert_non_null(strcasestr(a.text, "Retry-After:"));
		if (strstr(a.body, "may or may not") != NULL) {
			doubtful++;
			assert_non_null(strcasestr(a.text, "x-should-retry: false"));
		} else {
			away++;
			assert_non_null(strstr(a.body, "Nothing was changed"));
		}
		answer_free(&a);
		/* the request that the silence left in the socket is done now; clear the name for the next turn */
		struct answer list = call(g->host, "GET", "/magic/ipsec_tunnels", NULL);
		check_good(&list);
		const json_t *t = json_array_get(json_object_get(result_of(&list), "ipsec_tunnels"), 0);
		if (t != NULL) {
			char path[128];
			snprintf(path, sizeof(path), "/magic/ipsec_tunnels/%s", text_of(t, "id"));
			struct answer d = call(g->host, "DELETE", path, NULL);
			check_good(&d);
			answer_free(&d);
		}
		answer_free(&list);
	}
	assert_int_equal(doubtful, 1);
	assert_true(away >= 3);
}

static void dead_gateway_is_away_until_its_successor_is_there(void **state)
{
	struct gateway *g = *state;
	struct answer a = create(g);
	check_good(&a);
	answer_free(&a);

	gateway_kill(g);
	a = create(g);
	check_error(&a, 503, 1000);
	assert_non_null(strstr(a.body, "away"));
	answer_free(&a);
	a = call(g->host, "GET", "/onramp/status", NULL);
	check_error(&a, 503, 1000);
	answer_free(&a);

	api_server_set_store(g->host->server, connect_store(g));
	assert_int_equal(count_tunnels(g), 1);
}

static void no_store_at_all_is_away(void **state)
{
	struct gateway *g = *state;
	api_server_set_store(g->host->server, NULL);
	struct answer a = call(g->host, "GET", "/magic/ipsec_tunnels", NULL);
	check_error(&a, 503, 1000);
	answer_free(&a);
	a = admin_call(g->host, "GET", "/admin/status", NULL);
	check_error(&a, 503, 1000);
	answer_free(&a);
	a = admin_call(g->host, "GET", "/admin/tokens", NULL);
	check_error(&a, 503, 1000);
	answer_free(&a);
	a = admin_call(g->host, "POST", "/admin/accounts", "{\"name\":\"x\"}");
	check_error(&a, 503, 1000);
	answer_free(&a);
}

static void bulk_of_many_goes_as_one_transaction(void **state)
{
	struct gateway *g = *state;
	char *body = malloc(65536);
	size_t at = (size_t)sprintf(body, "{\"ipsec_tunnels\":[");

	for (unsigned i = 0; i < 31; i++)
		at += (size_t)sprintf(
			body + at,
			"%s{\"name\":\"t%u\",\"cloudflare_endpoint\":\"198.51.100.10\","
			"\"interface_address\":\"10.0.%u.0/31\",\"psk\":\"0123456789abcdef%u\"}",
			i == 0 ? "" : ",", i, i, i);
	sprintf(body + at, "]}");
	struct answer a = call(g->host, "POST", "/magic/ipsec_tunnels", body);
	check_good(&a);
	answer_free(&a);
	assert_int_equal(count_tunnels(g), 31);
	/* one more, and nothing of it is done */
	at = (size_t)sprintf(body, "{\"ipsec_tunnels\":[");
	for (unsigned i = 0; i < 64; i++)
		at += (size_t)sprintf(body + at,
				      "%s{\"name\":\"u%u\",\"cloudflare_endpoint\":\"198.51.100.10\","
				      "\"interface_address\":\"10.1.%u.0/31\"}",
				      i == 0 ? "" : ",", i, i);
	sprintf(body + at, "]}");
	a = call(g->host, "POST", "/magic/ipsec_tunnels", body);
	check_error(&a, 400, 1000);
	answer_free(&a);
	assert_int_equal(count_tunnels(g), 31);
	free(body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The lists as the API has them in memory are those of the store; a change by another makes it read them again. */
static void assert_lists_are_true(struct gateway *g)
{
	static const char *const paths[] = { "/magic/ipsec_tunnels", "/magic/routes" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct answer kept = call(g->host, "GET", paths[i], NULL);
		g->spoil = 1;
		struct answer spoilt = call(g->host, "GET", paths[i], NULL);
		struct answer fresh = call(g->host, "GET", paths[i], NULL);
		check_good(&kept);
		check_good(&fresh);
		assert_true(json_equal(result_of(&kept), result_of(&fresh)));
		assert_int_equal(g->spoil, 0);
		answer_free(&kept);
		answer_free(&spoilt);
		answer_free(&fresh);
	}
}

static void do_call(struct gateway *g, const char *method, const char *path, const char *body, bool good)
{
	struct answer a = call(g->host, method, path, body);

	if (good)
		check_good(&a);
	else
		assert_true(a.status >= 400);
	answer_free(&a);
	assert_lists_are_true(g);
}

#define TUNNEL(name, interface)                                                                                      \
	"{\"name\":\"" name "\",\"cloudflare_endpoint\":\"198.51.100.10\",\"interface_address\":\"" interface "\"}"
#define ROUTE(prefix, nexthop) "{\"prefix\":\"" prefix "\",\"nexthop\":\"" nexthop "\",\"priority\":100}"

static void what_is_kept_in_memory_follows_every_change(void **state)
{
	struct gateway *g = *state;
	char first[40], second[40], path[128];

	assert_int_equal(model_id_parse(bytes_str(g->host->account), &g->account), ERR_NONE);
	make_tunnel(g->host, TUNNEL("one", "10.0.1.0/31"), first);
	make_tunnel(g->host, TUNNEL("two", "10.0.2.0/31"), second);
	assert_lists_are_true(g);
	for (unsigned i = 3; i < 12; i++) { /* ids are random: some go before others */
		char body[200];
		snprintf(body, sizeof(body), TUNNEL("t%u", "10.0.%u.0/31"), i, i);
		do_call(g, "POST", "/magic/ipsec_tunnels", body, true);
		snprintf(body, sizeof(body), ROUTE("10.9.%u.0/24", "10.0.%u.1"), i, i);
		do_call(g, "POST", "/magic/routes", body, true);
	}
	do_call(g, "POST", "/magic/ipsec_tunnels", TUNNEL("one", "10.0.200.0/31"), false); /* the name is taken */
	do_call(g, "POST", "/magic/ipsec_tunnels", "{\"ipsec_tunnels\":[" TUNNEL("x", "10.0.201.0/31") "," TUNNEL(
			"y", "10.0.1.0/31") "]}", false); /* the second one clashes: neither is there */
	do_call(g, "POST", "/magic/ipsec_tunnels?validate_only=true", TUNNEL("z", "10.0.202.0/31"), true);
	snprintf(path, sizeof(path), "/magic/ipsec_tunnels/%s", first);
	do_call(g, "PUT", path, TUNNEL("uno", "10.0.1.0/31"), true);
	do_call(g, "PUT", path, TUNNEL("two", "10.0.1.0/31"), false);
	do_call(g, "DELETE", path, NULL, true);
	do_call(g, "DELETE", path, NULL, false);
	make_tunnel(g->host, TUNNEL("one", "10.0.1.0/31"), first); /* name and addresses are free again */
	assert_lists_are_true(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lost_race_is_run_again),
		TEST(nothing_is_made_in_an_account_that_is_deleted_meanwhile),
		TEST(endless_race_is_given_up),
		TEST(silent_gateway_is_told_and_doubt_is_not_hidden),
		TEST(dead_gateway_is_away_until_its_successor_is_there),
		TEST(no_store_at_all_is_away),
		TEST(bulk_of_many_goes_as_one_transaction),
		TEST(what_is_kept_in_memory_follows_every_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
