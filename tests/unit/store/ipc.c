// The ipc engine and its server against a peer that is slow, wrong, or not what it should be.
#include "harness.h"

#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "store/ipc_msg.h"

/* ---- the client, with the test as its server ---- */

static uint8_t message[STORE_IPC_MSG_MAX + 8];

static struct store *make_client(unsigned timeout_ms, int *ret_peer)
{
	struct store *s;
	int fds[2];
	socket_pair(fds);
	assert_int_equal(store_ipc_new(fds[0], timeout_ms, &s), ERR_NONE);
	*ret_peer = fds[1];
	return s;
}

static void send_to(int fd, struct bytes b)
{
	assert_int_equal(send(fd, b.p, b.len, MSG_NOSIGNAL), b.len);
}

static void send_answer(int fd, uint64_t id, enum err err, uint64_t rev, const char *key, const char *value)
{
	static uint8_t out[STORE_IPC_MSG_MAX];
	struct wr w = wr_of(SPACE_OF(out));
	struct store_row row = { .create_rev = 1, .mod_rev = 1 };

	store_ipc_answer_begin(&w, id);
	if (key != NULL) {
		row.key = bytes_str(key);
		row.value = bytes_str(value);
		store_ipc_row_build(&w, &row);
	}
	store_ipc_answer_end(&w, err, false, key != NULL, rev);
	send_to(fd, wr_bytes(&w));
}

static struct store_ipc_request take_request(int fd)
{
	struct store_ipc_request q;
	ssize_t n = recv(fd, message, sizeof(message), 0);
	assert_true(n > 0);
	assert_int_equal(store_ipc_request_parse(bytes_of(message, (size_t)n), &q), ERR_NONE);
	return q;
}

static void silent_server_costs_no_more_than_the_timeout(void **state)
{
	int peer;
	struct store *s = make_client(60, &peer);
	struct seen seen = { 0 };
	struct seen_row row;

	(void)state;
	uint64_t start = clock_mono_ms();
	assert_int_equal(get_row(s, "k", &row), ERR_AWAY);
	assert_int_equal(store_range(s, bytes_str(""), bytes_str(""), 0, see_row, &seen, NULL), ERR_AWAY);
	assert_int_equal(store_changes(s, bytes_str(""), 0, see_row, &seen, NULL), ERR_AWAY);
	assert_int_equal(do_op(s, put_op("k", "v")).err, ERR_UNKNOWN_OUTCOME);
	struct store_op op = put_op("k", "v");
	struct store_txn txns[] = { { .ops = &op, .op_cnt = 1 }, { .ops = &op, .op_cnt = 1 } };
	struct store_result r[2];
	store_commit_many(s, txns, 2, r);
	assert_int_equal(r[0].err, ERR_UNKNOWN_OUTCOME);
	assert_true(r[1].err == ERR_UNKNOWN_OUTCOME || r[1].err == ERR_AWAY);
	uint64_t spent = clock_mono_ms() - start;
	assert_true(spent >= 5 * 60 && spent < 5 * 60 + 2000);
	store_free(s);
	close(peer);
}

static void late_answer_is_not_taken_for_a_later_one(void **state)
{
	int peer;
	struct store *s = make_client(50, &peer);
	struct seen_row row;

	(void)state;
	assert_int_equal(get_row(s, "a", &row), ERR_AWAY);
	struct store_ipc_request a = take_request(peer);
	assert_int_equal(do_op(s, put_op("w", "1")).err, ERR_UNKNOWN_OUTCOME);
	struct store_ipc_request w = take_request(peer);
	assert_true(w.id > a.id);
	/* Both late answers wait in the socket, and the right one behind them. */
	send_answer(peer, a.id, ERR_NONE, 0, "a", "late");
	send_answer(peer, w.id, ERR_NONE, 77, NULL, NULL);
	send_answer(peer, w.id + 1, ERR_NONE, 0, "b", "right");
	assert_int_equal(get_row(s, "b", &row), ERR_NONE);
	assert_string_equal(row.key, "b");
	assert_string_equal(row.value, "right");
	/* Alone, a late one is no answer. */
	send_answer(peer, a.id, ERR_NOTFOUND, 0, NULL, NULL);
	assert_int_equal(get_row(s, "c", &row), ERR_AWAY);
	store_free(s);
	close(peer);
}

static void half_sent_transaction_has_a_known_outcome(void **state)
{
	static uint8_t value[STORE_VALUE_MAX];
	struct store_op ops[STORE_TXN_OPS_MAX];
	int peer;
	struct store *s = make_client(50, &peer);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		ops[i] = (struct store_op){ STORE_PUT, bytes_str("k"), BYTES_OF(value) };
	/* A megabyte is more than a socket holds, and nobody reads it. */
	struct store_txn txn = { .ops = ops, .op_cnt = ARRAY_LEN(ops) };
	assert_int_equal(store_commit(s, &txn).err, ERR_AWAY);
	store_free(s);
	close(peer);
}

static void closed_server_is_away_for_good(void **state)
{
	int peer;
	struct store *s = make_client(10000, &peer);
	struct seen_row row;

	(void)state;
	close(peer);
	uint64_t start = clock_mono_ms();
	assert_int_equal(get_row(s, "k", &row), ERR_AWAY);
	assert_int_equal(do_op(s, put_op("k", "v")).err, ERR_AWAY);
	assert_true(clock_mono_ms() - start < 5000);
	store_free(s);
}

struct closer {
	int fd;
};

static void *close_after_a_request(void *arg)
{
	struct closer *c = arg;
	static uint8_t in[STORE_IPC_MSG_MAX];
	if (recv(c->fd, in, sizeof(in), 0) > 0)
		close(c->fd);
	return NULL;
}

static void server_that_dies_during_a_commit_leaves_it_unknown(void **state)
{
	struct closer c;
	struct store *s = make_client(10000, &c.fd);
	pthread_t id;

	(void)state;
	assert_int_equal(pthread_create(&id, NULL, close_after_a_request, &c), 0);
	assert_int_equal(do_op(s, put_op("k", "v")).err, ERR_UNKNOWN_OUTCOME);
	assert_int_equal(do_op(s, put_op("k", "v")).err, ERR_AWAY);
	assert_int_equal(pthread_join(id, NULL), 0);
	store_free(s);
}

static void answer_that_is_none_ends_the_connection(void **state)
{
	struct seen_row row;

	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		int peer;
		struct store *s = make_client(1000, &peer);
		if (kind == 0)
			send_to(peer, bytes_str("what is this?"));
		else if (kind == 1)
			send_answer(peer, 99, ERR_NONE, 0, "k", "from the future");
		else
			send_to(peer, bytes_of(message, sizeof(message)));
		assert_int_equal(get_row(s, "k", &row), ERR_AWAY);
		assert_int_equal(get_row(s, "k", &row), ERR_AWAY);
		store_free(s);
		close(peer);
	}
}

static void found_without_a_row_is_an_error(void **state)
{
	int peer;
	struct store *s = make_client(1000, &peer);
	struct seen_row row;

	(void)state;
	send_answer(peer, 1, ERR_NONE, 0, NULL, NULL);
	assert_int_equal(get_row(s, "k", &row), ERR_SYSTEM);
	store_free(s);
	close(peer);
}

/* ---- the server, with the test as its client ---- */

struct service {
	struct store *s;
	struct store_ipc_server *v;
	int fd; /* the client's end */
};

static struct service serve_role(const struct store_role *role)
{
	struct service x;
	int fds[2];
	socket_pair(fds);
	x.fd = fds[1];
	assert_int_equal(store_memory_new(&x.s), ERR_NONE);
	assert_int_equal(store_ipc_server_new(x.s, fds[0], role, &x.v), ERR_NONE);
	return x;
}

static void end_service(struct service *x)
{
	store_ipc_server_free(x->v);
	store_free(x->s);
	close(x->fd);
}

static struct store_ipc_answer take_answer(int fd)
{
	struct store_ipc_answer a;
	ssize_t n = recv(fd, message, sizeof(message), MSG_DONTWAIT);
	assert_true(n > 0);
	assert_int_equal(store_ipc_answer_parse(bytes_of(message, (size_t)n), &a), ERR_NONE);
	return a;
}

static void assert_no_answer(int fd)
{
	assert_int_equal(recv(fd, message, sizeof(message), MSG_DONTWAIT), -1);
}

static void send_request(int fd, const struct store_ipc_request *q)
{
	static uint8_t out[STORE_IPC_MSG_MAX];
	struct wr w = wr_of(SPACE_OF(out));
	store_ipc_request_build(&w, q);
	send_to(fd, wr_bytes(&w));
}

static void idle_and_gone_peers_are_told_apart(void **state)
{
	struct service x = serve_role(&role_all);

	(void)state;
	assert_int_equal(store_ipc_server_step(x.v), ERR_AGAIN);
	assert_int_equal(store_ipc_server_events(x.v), POLLIN);
	shutdown(x.fd, SHUT_RDWR);
	assert_int_equal(store_ipc_server_step(x.v), ERR_CLOSED);
	end_service(&x);
}

static void malformed_request_is_answered_and_the_next_one_served(void **state)
{
	struct service x = serve_role(&role_all);
	const struct store_ipc_request get = { .id = 7, .kind = STORE_IPC_GET, .key = bytes_str("k") };

	(void)state;
	put(x.s, "k", "v");
	memset(message, 0, sizeof(message));
	const struct bytes bad[] = { bytes_str("x"), bytes_of(message, 12), bytes_of(message, sizeof(message)) };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		send_to(x.fd, bad[i]);
		assert_int_equal(store_ipc_server_step(x.v), ERR_SYNTAX);
		assert_int_equal(take_answer(x.fd).err, ERR_SYNTAX);
		memset(message, 0, sizeof(message));
	}
	send_request(x.fd, &get);
	assert_int_equal(store_ipc_server_step(x.v), ERR_NONE);
	struct store_ipc_answer a = take_answer(x.fd);
	assert_int_equal(a.err, ERR_NONE);
	assert_int_equal(a.id, 7);
	assert_int_equal(a.row_cnt, 1);
	end_service(&x);
}

static void descriptors_sent_along_are_not_kept(void **state)
{
	struct service x = serve_role(&role_all);
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &pipes[1], sizeof(int));
	assert_int_equal(sendmsg(x.fd, &msg, 0), 1);
	close(pipes[1]);
	assert_int_equal(store_ipc_server_step(x.v), ERR_SYNTAX);
	/* The last writing end is gone, so the pipe is at its end. */
	assert_int_equal(read(pipes[0], &byte, 1), 0);
	close(pipes[0]);
	end_service(&x);
}

static struct bytes build_txn(struct space room, const struct store_op *ops, size_t cnt)
{
	struct wr w = wr_of(room);
	store_ipc_txn_build(&w, &(struct store_txn){ .ops = ops, .op_cnt = cnt });
	assert_false(w.bad);
	return wr_bytes(&w);
}

static void send_part(int fd, uint64_t id, struct bytes txn, size_t from, size_t to)
{
	const struct store_ipc_request q = { .id = id, .kind = STORE_IPC_COMMIT, .total = (uint32_t)txn.len,
					     .offset = (uint32_t)from, .part = bytes_of(txn.p + from, to - from) };
	send_request(fd, &q);
}

static void parts_make_one_transaction(void **state)
{
	struct service x = serve_role(&role_all);
	static uint8_t room[256];
	const struct store_op ops[] = { put_op("a", "1"), put_op("b", "2") };
	struct bytes txn = build_txn(SPACE_OF(room), ops, 2);
	struct seen seen = { 0 };

	(void)state;
	for (size_t at = 0; at < txn.len; at++) {
		send_part(x.fd, 5, txn, at, at + 1);
		list(x.s, "", "", 0, &seen);
		assert_int_equal(seen.cnt, 0);
		assert_int_equal(store_ipc_server_step(x.v), ERR_NONE);
	}
	assert_int_equal(take_answer(x.fd).err, ERR_NONE);
	list(x.s, "", "", 0, &seen);
	assert_keys(&seen, "a b");
	seen_clear(&seen);
	end_service(&x);
}

static void parts_that_do_not_fit_together_do_nothing(void **state)
{
	struct service x = serve_role(&role_all);
	static uint8_t room[256];
	const struct store_op op = put_op("a", "1");
	struct bytes txn = build_txn(SPACE_OF(room), &op, 1);
	const struct store_ipc_request get = { .id = 9, .kind = STORE_IPC_GET, .key = bytes_str("a") };
	struct seen_row row;

	(void)state;
	/* Not the beginning; another id; a hole; the same again. */
	const struct { uint64_t id; size_t from, to; } second[] = { { 6, 4, 8 }, { 5, 5, 8 }, { 5, 3, 8 } };
	send_part(x.fd, 4, txn, 4, 8);
	assert_int_equal(store_ipc_server_step(x.v), ERR_SYNTAX);
	assert_int_equal(take_answer(x.fd).err, ERR_SYNTAX);
	for (size_t i = 0; i < ARRAY_LEN(second); i++) {
		send_part(x.fd, 5, txn, 0, 4);
		send_part(x.fd, second[i].id, txn, second[i].from, second[i].to);
		assert_int_equal(store_ipc_server_step(x.v), ERR_NONE);
		assert_no_answer(x.fd);
		assert_int_equal(store_ipc_server_step(x.v), ERR_SYNTAX);
		assert_int_equal(take_answer(x.fd).err, ERR_SYNTAX);
	}
	/* Given up for something else: the rest comes too late. */
	send_part(x.fd, 8, txn, 0, 4);
	send_request(x.fd, &get);
	send_part(x.fd, 8, txn, 4, txn.len);
	assert_int_equal(store_ipc_server_step(x.v), ERR_NONE);
	assert_int_equal(store_ipc_server_step(x.v), ERR_NONE);
	assert_int_equal(take_answer(x.fd).err, ERR_NOTFOUND);
	assert_int_equal(store_ipc_server_step(x.v), ERR_SYNTAX);
	assert_int_equal(take_answer(x.fd).err, ERR_SYNTAX);
	assert_int_equal(get_row(x.s, "a", &row), ERR_NOTFOUND);
	end_service(&x);
}

static void peer_that_does_not_read_waits_for_itself(void **state)
{
	struct service x = serve_role(&role_all);
	static uint8_t value[STORE_VALUE_MAX];
	struct store_op op = { STORE_PUT, bytes_str("k"), BYTES_OF(value) };
	struct store_ipc_request get = { .kind = STORE_IPC_GET, .key = bytes_str("k") };
	uint64_t served = 0, read_cnt = 0;

	(void)state;
	assert_int_equal(do_op(x.s, op).err, ERR_NONE);
	for (unsigned tries = 0; tries < 1000 && store_ipc_server_events(x.v) == POLLIN; tries++) {
		get.id = ++served;
		send_request(x.fd, &get);
		assert_int_equal(store_ipc_server_step(x.v), ERR_NONE);
	}
	assert_int_equal(store_ipc_server_events(x.v), POLLOUT);
	get.id = ++served;
	send_request(x.fd, &get);
	assert_int_equal(store_ipc_server_step(x.v), ERR_AGAIN);
	assert_int_equal(store_ipc_server_step(x.v), ERR_AGAIN);
	/* Every answer comes, in order, when it reads again. */
	while (read_cnt < served) {
		struct pollfd pfd = { .fd = x.fd, .events = POLLIN };
		if (poll(&pfd, 1, 0) == 1)
			assert_int_equal(take_answer(x.fd).id, ++read_cnt);
		enum err err = store_ipc_server_step(x.v);
		assert_true(err == ERR_NONE || err == ERR_AGAIN);
	}
	assert_int_equal(store_ipc_server_events(x.v), POLLIN);
	end_service(&x);
}

/* Small and repeatable. */
static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void flood_of_broken_requests_does_no_harm(void **state)
{
	struct service x = serve_role(&role_all);
	static uint8_t room[256], out[512];
	const struct store_op ops[] = { put_op("a", "1"), delete_op("b") };
	struct bytes txn = build_txn(SPACE_OF(room), ops, 2);
	uint32_t seed = 20261123, malformed = 0;
	struct seen_row row;

	(void)state;
	put(x.s, "k", "v");
	for (unsigned i = 0; i < 20000; i++) {
		const struct store_ipc_request q[] = {
			{ .id = i, .kind = STORE_IPC_GET, .key = bytes_str("k") },
			{ .id = i, .kind = STORE_IPC_RANGE, .key = bytes_str("k"), .from = bytes_str("j") },
			{ .id = i, .kind = STORE_IPC_CHANGES, .rev = 1 },
			{ .id = i, .kind = STORE_IPC_COMMIT, .total = (uint32_t)txn.len, .part = txn },
		};
		struct wr w = wr_of(SPACE_OF(out));
		store_ipc_request_build(&w, &q[next_random(&seed) % ARRAY_LEN(q)]);
		size_t len = wr_len(&w);
		for (unsigned n = next_random(&seed) % 4; n != 0; n--)
			out[next_random(&seed) % len] = (uint8_t)next_random(&seed);
		if (next_random(&seed) % 4 == 0)
			len = 1 + next_random(&seed) % len;
		send_to(x.fd, bytes_of(out, len));
		enum err err = store_ipc_server_step(x.v);
		assert_true(err == ERR_NONE || err == ERR_SYNTAX);
		malformed += err == ERR_SYNTAX;
		while (recv(x.fd, message, sizeof(message), MSG_DONTWAIT) > 0)
			continue;
	}
	assert_true(malformed > 1000 && malformed < 19000);
	assert_int_equal(get_row(x.s, "k", &row), ERR_NONE);
	end_service(&x);
}

/* ---- the role ---- */

static const char *const may_read[] = { "r/", "shared/read/", NULL };
static const char *const may_write[] = { "w/", NULL };
static const struct store_role limited = { .read = may_read, .write = may_write };

struct limited {
	struct store_thread *thread;
	struct store *client;
};

static int set_up_limited(void **state)
{
	struct limited *l = calloc(1, sizeof(*l));
	struct store *s;
	int fds[2];

	assert_non_null(l);
	assert_int_equal(store_memory_new(&s), ERR_NONE);
	put(s, "r/1", "v");
	put(s, "w/1", "v");
	put(s, "secret/1", "v");
	socket_pair(fds);
	assert_int_equal(store_thread_start(s, fds[0], &limited, &l->thread), ERR_NONE);
	assert_int_equal(store_ipc_new(fds[1], 10000, &l->client), ERR_NONE);
	*state = l;
	return 0;
}

static int tear_down_limited(void **state)
{
	struct limited *l = *state;
	store_free(l->client);
	store_thread_stop(l->thread);
	free(l);
	return 0;
}

static void role_limits_what_is_read(void **state)
{
	struct store *s = ((struct limited *)*state)->client;
	static const char *const denied[] = { "", "r", "secret/", "shared/", "x" };
	struct seen seen = { 0 };
	struct seen_row row;

	assert_int_equal(get_row(s, "r/1", &row), ERR_NONE);
	assert_int_equal(get_row(s, "w/1", &row), ERR_NONE);
	assert_int_equal(get_row(s, "r/2", &row), ERR_NOTFOUND);
	assert_int_equal(get_row(s, "secret/1", &row), ERR_DENIED);
	assert_int_equal(get_row(s, "secret/2", &row), ERR_DENIED);
	assert_int_equal(get_row(s, "r", &row), ERR_DENIED);
	list(s, "r/", "", 0, &seen);
	assert_keys(&seen, "r/1");
	list(s, "w/1", "", 0, &seen);
	assert_keys(&seen, "w/1");
	/* A position before or behind the prefix reaches no further than the prefix. */
	list(s, "r/", "a", 0, &seen);
	assert_keys(&seen, "r/1");
	list(s, "r/", "s", 0, &seen);
	assert_keys(&seen, "");
	changes(s, "w/", 0, &seen);
	assert_keys(&seen, "w/1");
	seen_clear(&seen);
	for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
		assert_int_equal(store_range(s, bytes_str(denied[i]), bytes_str(""), 0, see_row, &seen, NULL),
				 ERR_DENIED);
		assert_int_equal(store_changes(s, bytes_str(denied[i]), 0, see_row, &seen, NULL), ERR_DENIED);
	}
	assert_int_equal(seen.cnt, 0);
}

static void role_limits_what_is_written(void **state)
{
	struct store *s = ((struct limited *)*state)->client;
	struct store_op ops[] = { put_op("w/2", "v"), put_op("r/2", "v") };
	struct store_cmp cmp = { bytes_str("secret/1"), 0 }, fine = { bytes_str("r/2"), 0 };
	struct seen_row row;

	assert_int_equal(do_op(s, put_op("w/1", "new")).err, ERR_NONE);
	assert_int_equal(do_op(s, put_op("r/1", "new")).err, ERR_DENIED);
	assert_int_equal(do_op(s, delete_op("secret/1")).err, ERR_DENIED);
	assert_int_equal(do_op(s, delete_op("w")).err, ERR_DENIED);
	/* One that may and one that may not: nothing. */
	assert_int_equal(store_commit(s, &(struct store_txn){ .ops = ops, .op_cnt = 2 }).err, ERR_DENIED);
	assert_int_equal(get_row(s, "w/2", &row), ERR_NOTFOUND);
	/* A comparison is a way to read. */
	assert_int_equal(store_commit(s, &(struct store_txn){ .cmps = &cmp, .cmp_cnt = 1, .ops = ops, .op_cnt = 1 })
				 .err, ERR_DENIED);
	assert_int_equal(store_commit(s, &(struct store_txn){ .cmps = &fine, .cmp_cnt = 1, .ops = ops, .op_cnt = 1 })
				 .err, ERR_NONE);
}

static void role_of_nothing_denies_everything(void **state)
{
	static const struct store_role none = { 0 };
	struct service x = serve_role(&none);
	const struct store_ipc_request q[] = {
		{ .id = 1, .kind = STORE_IPC_GET, .key = bytes_str("k") },
		{ .id = 2, .kind = STORE_IPC_RANGE },
		{ .id = 3, .kind = STORE_IPC_CHANGES },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		send_request(x.fd, &q[i]);
		assert_int_equal(store_ipc_server_step(x.v), ERR_NONE);
		struct store_ipc_answer a = take_answer(x.fd);
		assert_int_equal(a.err, ERR_DENIED);
		assert_int_equal(a.rev, 0);
	}
	end_service(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silent_server_costs_no_more_than_the_timeout),
		cmocka_unit_test(late_answer_is_not_taken_for_a_later_one),
		cmocka_unit_test(half_sent_transaction_has_a_known_outcome),
		cmocka_unit_test(closed_server_is_away_for_good),
		cmocka_unit_test(server_that_dies_during_a_commit_leaves_it_unknown),
		cmocka_unit_test(answer_that_is_none_ends_the_connection),
		cmocka_unit_test(found_without_a_row_is_an_error),
		cmocka_unit_test(idle_and_gone_peers_are_told_apart),
		cmocka_unit_test(malformed_request_is_answered_and_the_next_one_served),
		cmocka_unit_test(descriptors_sent_along_are_not_kept),
		cmocka_unit_test(parts_make_one_transaction),
		cmocka_unit_test(parts_that_do_not_fit_together_do_nothing),
		cmocka_unit_test(peer_that_does_not_read_waits_for_itself),
		cmocka_unit_test(flood_of_broken_requests_does_no_harm),
		cmocka_unit_test_setup_teardown(role_limits_what_is_read, set_up_limited, tear_down_limited),
		cmocka_unit_test_setup_teardown(role_limits_what_is_written, set_up_limited, tear_down_limited),
		cmocka_unit_test(role_of_nothing_denies_everything),
	};
	return cmocka_run_group_tests_name("store ipc", tests, NULL, NULL);
}
