// The ipc engine: a client of the store thread in another process.
//
// A request that was given up may still be answered. Ids only rise, so an answer with a lower id than
// that of the request under way is a late one and is dropped.
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/ipc_msg.h"

struct ipc {
	struct store base;
	int fd;
	unsigned timeout_ms;
	uint64_t id;
	bool broken; /* closed, or speaks something else */
	uint8_t out[STORE_IPC_MSG_MAX];
	uint8_t in[STORE_IPC_MSG_MAX + 1];
	uint8_t txn[STORE_IPC_TXN_MAX];
};

static struct ipc *ipc_of(struct store *s)
{
	return CONTAINER_OF(s, struct ipc, base);
}

/* How long a call may still wait; all its pages share it. */
struct patience {
	uint64_t left_ns;
};

static struct patience patience_of(const struct ipc *c)
{
	return (struct patience){ (uint64_t)c->timeout_ms * 1000000 };
}

/* Waits until the socket can be read or, if asked for, written, or the time is up. false: it was up before. */
static bool wait_for(struct ipc *c, short events, struct patience *p)
{
	if (p->left_ns == 0)
		return false;
	struct pollfd pfd = { .fd = c->fd, .events = events };
	uint64_t start = clock_mono_ns();
	int ms = (int)((p->left_ns + 999999) / 1000000);

	/* Interrupted or not: the caller looks at the socket. */
	(void)poll(&pfd, 1, ms);
	uint64_t spent = clock_mono_ns() - start;
	p->left_ns = spent < p->left_ns ? p->left_ns - spent : 0;
	return true;
}

/* Takes the answer to the request under way, if it is there, and drops late ones. ERR_AGAIN, ERR_AWAY. */
static enum err take_answer(struct ipc *c, struct store_ipc_answer *ret)
{
	struct store_ipc_answer a;

	for (;;) {
		ssize_t n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return ERR_AGAIN;
		if (n <= 0 || store_ipc_answer_parse(bytes_of(c->in, (size_t)n), &a) != ERR_NONE ||
		    a.id > c->id) {
			c->broken = true;
			return ERR_AWAY;
		}
		if (a.id == c->id)
			break;
	}
	*ret = a;
	return ERR_NONE;
}

/* ERR_NONE: sent; ERR_EXISTS: not sent, as the answer came already (the server refused an earlier part);
 * ERR_AWAY. Late answers are read meanwhile: the server takes no request before it is rid of them. */
static enum err send_one(struct ipc *c, struct bytes msg, struct patience *p, struct store_ipc_answer *ret)
{
	for (;;) {
		enum err err = take_answer(c, ret);
		if (err != ERR_AGAIN)
			return err == ERR_NONE ? ERR_EXISTS : err;
		ssize_t n = send(c->fd, msg.p, msg.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			return ERR_NONE;
		if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
			c->broken = true;
			return ERR_AWAY;
		}
		if (!wait_for(c, POLLIN | POLLOUT, p))
			return ERR_AWAY;
	}
}

static enum err await_answer(struct ipc *c, struct patience *p, struct store_ipc_answer *ret)
{
	for (;;) {
		enum err err = take_answer(c, ret);
		if (err != ERR_AGAIN)
			return err;
		if (!wait_for(c, POLLIN, p))
			return ERR_AWAY;
	}
}

static struct bytes build_request(struct ipc *c, const struct store_ipc_request *q)
{
	struct wr w = wr_of(SPACE_OF(c->out));

	store_ipc_request_build(&w, q);
	must(!w.bad);
	return wr_bytes(&w);
}

/* One request that fits a message, and its answer. */
static enum err ask(struct ipc *c, struct store_ipc_request *q, struct patience *p, struct store_ipc_answer *ret)
{
	if (c->broken)
		return ERR_AWAY;
	q->id = ++c->id;
	enum err err = send_one(c, build_request(c, q), p, ret);
	if (err == ERR_NONE)
		err = await_answer(c, p, ret);
	else if (err == ERR_EXISTS)
		err = ERR_NONE;
	return err;
}

/* Answers that this side's checks should have made impossible. */
static enum err error_of(const struct store_ipc_answer *a)
{
	return a->err == ERR_SYNTAX ? ERR_SYSTEM : a->err;
}

/* Shows the rows of an answer; *ret_last is the last of them, borrowed. false: the visitor has enough. */
static bool visit_rows(const struct store_ipc_answer *a, store_visit_fn *visit, void *arg,
		       struct store_row *ret_last)
{
	struct rd r = rd_of(a->rows);
	bool go_on = true;

	for (unsigned i = 0; i < a->row_cnt && go_on; i++) {
		must(store_ipc_row_parse(&r, ret_last) == ERR_NONE);
		go_on = visit(arg, ret_last);
	}
	return go_on;
}

static enum err get_key(struct store *s, struct bytes key, store_visit_fn *visit, void *arg)
{
	struct ipc *c = ipc_of(s);
	struct patience p = patience_of(c);
	struct store_ipc_request q = { .kind = STORE_IPC_GET, .key = key };
	struct store_ipc_answer a;
	struct store_row last;

	enum err err = ask(c, &q, &p, &a);
	if (err != ERR_NONE)
		return err;
	if (a.err != ERR_NONE)
		return error_of(&a);
	if (a.row_cnt != 1)
		return ERR_SYSTEM;
	(void)visit_rows(&a, visit, arg, &last);
	return ERR_NONE;
}

static enum err range_keys(struct store *s, struct bytes prefix, struct bytes after, size_t limit,
			   store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct ipc *c = ipc_of(s);
	struct patience p = patience_of(c);
	struct store_ipc_request q = { .kind = STORE_IPC_RANGE, .key = prefix, .from = after };
	struct store_ipc_answer a;
	struct store_row last = { 0 };
	uint64_t rev = 0;
	bool go_on;

	do {
		q.limit = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
		enum err err = ask(c, &q, &p, &a);
		if (err != ERR_NONE)
			return err;
		if (a.err != ERR_NONE)
			return error_of(&a);
		if (limit != 0 && a.row_cnt > limit)
			return ERR_SYSTEM;
		/* Later pages may be of later revisions: the rows are at least of the first one's. */
		if (rev == 0)
			rev = a.rev;
		go_on = visit_rows(&a, visit, arg, &last) && a.more;
		if (limit != 0) {
			limit -= a.row_cnt;
			go_on = go_on && limit != 0;
		}
		q.from = last.key;
	} while (go_on);
	*ret_rev = rev;
	return ERR_NONE;
}

static enum err list_changes(struct store *s, struct bytes prefix, const struct store_pos *from, uint64_t upto,
			     store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	struct ipc *c = ipc_of(s);
	struct patience p = patience_of(c);
	struct store_ipc_request q = { .kind = STORE_IPC_CHANGES, .key = prefix, .from = from->key,
				       .rev = from->rev, .upto = upto };
	struct store_ipc_answer a;
	struct store_row last = { 0 };
	struct store_key_next next;
	bool go_on;

	do {
		enum err err = ask(c, &q, &p, &a);
		if (err != ERR_NONE)
			return err;
		if (a.err != ERR_NONE)
			return error_of(&a);
		/* All pages end where the first one would have: a key that changes meanwhile is left to
		 * the next call, and is not seen twice in this one. */
		if (q.upto == 0)
			q.upto = a.rev;
		go_on = visit_rows(&a, visit, arg, &last) && a.more;
		if (go_on) {
			next = store_key_next(last.key);
			q.rev = last.mod_rev;
			q.from = bytes_of(next.b, next.len);
		}
	} while (go_on);
	*ret_rev = q.upto;
	return ERR_NONE;
}

/* Sends a transaction, in as many parts as it takes. Before the last one is sent nothing can have happened. */
static struct store_result commit_one(struct ipc *c, const struct store_txn *txn, struct patience *p)
{
	struct wr w = wr_of(SPACE_OF(c->txn));
	struct store_ipc_request q = { .kind = STORE_IPC_COMMIT, .id = c->id + 1 };
	struct store_ipc_answer a;
	enum err err = ERR_NONE;

	if (c->broken)
		return (struct store_result){ .err = ERR_AWAY };
	store_ipc_txn_build(&w, txn);
	must(!w.bad);
	struct rd r = rd_of(wr_bytes(&w));
	c->id = q.id;
	q.total = (uint32_t)wr_len(&w);
	while (err == ERR_NONE && rd_left(&r) != 0) {
		size_t left = rd_left(&r);
		q.offset = q.total - (uint32_t)left;
		q.part = rd_bytes(&r, left < STORE_IPC_PART_MAX ? left : STORE_IPC_PART_MAX);
		err = send_one(c, build_request(c, &q), p, &a);
	}
	if (err == ERR_AWAY)
		return (struct store_result){ .err = ERR_AWAY };
	if (err == ERR_NONE && await_answer(c, p, &a) != ERR_NONE)
		return (struct store_result){ .err = ERR_UNKNOWN_OUTCOME };
	return (struct store_result){ .err = error_of(&a), .rev = a.rev };
}

static void commit_all(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	struct ipc *c = ipc_of(s);
	struct patience p = patience_of(c);

	for (size_t i = 0; i < cnt; i++)
		if (results[i].err == ERR_NONE)
			results[i] = commit_one(c, &txns[i], &p);
}

static void free_ipc(struct store *s)
{
	struct ipc *c = ipc_of(s);

	close(c->fd);
	store_fini(s);
	free(c);
}

static const struct store_engine ipc_engine = {
	.get = get_key,
	.range = range_keys,
	.commit_many = commit_all,
	.changes = list_changes,
	.free = free_ipc,
};

MUST_USE enum err store_ipc_new(int fd, unsigned timeout_ms, struct store **ret)
{
	struct ipc *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return ERR_MEMORY;
	}
	enum err err = store_init(&c->base, &ipc_engine, false);
	if (err != ERR_NONE) {
		close(fd);
		free(c);
		return err;
	}
	c->fd = fd;
	c->timeout_ms = timeout_ms < INT32_MAX ? timeout_ms : INT32_MAX;
	*ret = &c->base;
	return ERR_NONE;
}
