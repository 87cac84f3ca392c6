// store/ipc_msg.h and ipc_server.h: any bytes as a message, as a transaction, or as what an api process sends.
// The first byte says which: 'm' message, 't' transaction, 's' a session of records { length u16 | message }.
#include "fuzz.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/ipc_msg.h"
#include "store/ipc_server.h"

static uint8_t room[STORE_IPC_TXN_MAX];

/* There is one form of each message: what was parsed is built again as it came. */
static void check_request(struct bytes input)
{
	struct store_ipc_request q;
	struct wr w = wr_of(SPACE_OF(room));

	if (store_ipc_request_parse(input, &q) != ERR_NONE)
		return;
	must_lie_within(q.key, input);
	must_lie_within(q.from, input);
	must_lie_within(q.part, input);
	must(q.id == store_ipc_id(input));
	must(q.key.len <= STORE_KEY_MAX && q.from.len <= STORE_KEY_MAX + 1);
	must(q.part.len <= q.total && q.offset <= q.total - q.part.len && q.total <= STORE_IPC_TXN_MAX);
	store_ipc_request_build(&w, &q);
	must(bytes_eq(wr_bytes(&w), input));
}

static void check_answer(struct bytes input)
{
	struct store_ipc_answer a;
	struct store_row row;
	struct wr w = wr_of(SPACE_OF(room));

	if (store_ipc_answer_parse(input, &a) != ERR_NONE)
		return;
	must(a.err < ERR_COUNT);
	struct rd r = rd_of(a.rows);
	store_ipc_answer_begin(&w, a.id);
	for (unsigned i = 0; i < a.row_cnt; i++) {
		must(store_ipc_row_parse(&r, &row) == ERR_NONE);
		must_lie_within(row.key, input);
		must_lie_within(row.value, input);
		must(row.key.len <= STORE_KEY_MAX && row.value.len <= STORE_VALUE_MAX);
		store_ipc_row_build(&w, &row);
	}
	must(rd_done(&r));
	store_ipc_answer_end(&w, a.err, a.more, a.row_cnt, a.rev);
	must(bytes_eq(wr_bytes(&w), input));
}

static void check_txn(struct bytes input)
{
	struct store_ipc_txn t;
	struct wr w = wr_of(SPACE_OF(room));

	if (store_ipc_txn_parse(input, &t) != ERR_NONE)
		return;
	must(store_txn_check(&t.txn) == ERR_NONE);
	must(store_ipc_txn_len(&t.txn) == input.len);
	store_ipc_txn_build(&w, &t.txn);
	must(bytes_eq(wr_bytes(&w), input));
}

/* ---- a session ---- */

static const char *const may_read[] = { "r/", NULL };
static const char *const may_write[] = { "w/", NULL };
static const struct store_role role = { .read = may_read, .write = may_write };

static void put(struct store *s, const char *key)
{
	struct store_op op = { STORE_PUT, bytes_str(key), bytes_str("untouched") };
	must(store_commit(s, &(struct store_txn){ .ops = &op, .op_cnt = 1 }).err == ERR_NONE);
}

static void check_untouched(void *arg, const struct store_row *row)
{
	must(bytes_eq(row->value, bytes_str("untouched")));
	++*(unsigned *)arg;
}

/* Only keys of the role are shown. */
static void check_answers(int fd)
{
	static uint8_t in[STORE_IPC_MSG_MAX + 1];
	struct store_ipc_answer a;
	struct store_row row;

	for (ssize_t n; (n = recv(fd, in, sizeof(in), MSG_DONTWAIT)) > 0;) {
		must(store_ipc_answer_parse(bytes_of(in, (size_t)n), &a) == ERR_NONE);
		must(a.err == ERR_NONE || a.row_cnt == 0);
		struct rd r = rd_of(a.rows);
		for (unsigned i = 0; i < a.row_cnt; i++) {
			must(store_ipc_row_parse(&r, &row) == ERR_NONE);
			must(bytes_starts(row.key, bytes_str("r/")) || bytes_starts(row.key, bytes_str("w/")));
		}
	}
}

static void run_session(struct rd r)
{
	struct store *s;
	struct store_ipc_server *v;
	unsigned untouched = 0;
	int fds[2];

	must(store_memory_new(&s) == ERR_NONE);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	must(store_ipc_server_new(s, fds[0], &role, &v) == ERR_NONE);
	put(s, "r/1");
	put(s, "r/2");
	put(s, "secret");
	while (rd_left(&r) > 2) {
		size_t want = rd_u16(&r);
		struct bytes msg = rd_bytes(&r, want < rd_left(&r) ? want : rd_left(&r));
		if (msg.len == 0)
			continue;
		must(send(fds[1], msg.p, msg.len, MSG_NOSIGNAL) == (ssize_t)msg.len);
		enum err err = store_ipc_server_step(v);
		must(err == ERR_NONE || err == ERR_SYNTAX);
		check_answers(fds[1]);
	}
	must(store_range(s, bytes_str("r/"), bytes_str(""), 0, check_untouched, &untouched, NULL) == ERR_NONE);
	must(store_get(s, bytes_str("secret"), check_untouched, &untouched) == ERR_NONE);
	must(untouched == 3);
	store_ipc_server_free(v);
	close(fds[1]);
	store_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(bytes_of(data, len));
	uint8_t kind = rd_u8(&r);
	struct bytes input = rd_rest(&r);

	if (kind == 'm') {
		check_request(input);
		check_answer(input);
	} else if (kind == 't') {
		check_txn(input);
	} else if (kind == 's') {
		run_session(rd_of(input));
	}
	return 0;
}
