// A peer can hold no more memory than one message each way and one transaction in parts.
#include "store/ipc_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/ipc_msg.h"

struct store_ipc_server {
	struct store *store;
	const struct store_role *role;
	int fd;
	size_t out_len; /* of an answer that the socket did not take yet; 0: none */

	/* A transaction that comes in parts. */
	uint8_t *txn;
	uint64_t txn_id;
	uint32_t txn_len, txn_have;

	uint8_t in[STORE_IPC_MSG_MAX + 1]; /* one more: a longer message is seen to be one */
	uint8_t out[STORE_IPC_MSG_MAX];
};

/* An answer under construction. */
struct page {
	struct wr w;
	uint16_t row_cnt;
	bool more;
};

static bool has_prefix(const char *const *list, struct bytes key)
{
	for (; list != NULL && *list != NULL; list++)
		if (bytes_starts(key, bytes_str(*list)))
			return true;
	return false;
}

static bool may_write(const struct store_role *role, struct bytes key)
{
	return has_prefix(role->write, key);
}

/* key may be the prefix of a range: all of the range has what it begins with. */
static bool may_read(const struct store_role *role, struct bytes key)
{
	return has_prefix(role->read, key) || may_write(role, key);
}

/* Leases are for the process that owns the store. */
static bool may_commit(const struct store_role *role, const struct store_txn *txn)
{
	if (txn->lease != 0)
		return false;
	for (size_t i = 0; i < txn->cmp_cnt; i++)
		if (!may_read(role, txn->cmps[i].key))
			return false;
	for (size_t i = 0; i < txn->op_cnt; i++)
		if (!may_write(role, txn->ops[i].key))
			return false;
	return true;
}

static void drop_parts(struct store_ipc_server *v)
{
	free(v->txn);
	v->txn = NULL;
	v->txn_len = v->txn_have = 0;
	v->txn_id = 0;
}

static bool add_row(void *arg, const struct store_row *row)
{
	struct page *p = arg;

	if (store_ipc_row_len(row) > (size_t)(p->w.end - p->w.p)) {
		p->more = true;
		return false;
	}
	store_ipc_row_build(&p->w, row);
	p->row_cnt++;
	return true;
}

static void add_only_row(void *arg, const struct store_row *row)
{
	(void)add_row(arg, row);
}

/* Sends what waits. ERR_AGAIN: the peer does not read its answers. */
static enum err flush(struct store_ipc_server *v)
{
	if (v->out_len == 0)
		return ERR_NONE;
	ssize_t n = send(v->fd, v->out, v->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? ERR_AGAIN : ERR_CLOSED;
	v->out_len = 0;
	return ERR_NONE;
}

static enum err answer(struct store_ipc_server *v, struct page *p, enum err err, uint64_t rev)
{
	store_ipc_answer_end(&p->w, err, p->more, p->row_cnt, rev);
	must(!p->w.bad);
	v->out_len = wr_len(&p->w);
	err = flush(v);
	return err == ERR_AGAIN ? ERR_NONE : err;
}

static struct page begin_page(struct store_ipc_server *v, uint64_t id)
{
	struct page p = { .w = wr_of(SPACE_OF(v->out)) };
	store_ipc_answer_begin(&p.w, id);
	return p;
}

/* An answer of nothing but an error: rows that were written before it are left out. */
static enum err answer_error(struct store_ipc_server *v, uint64_t id, enum err err)
{
	struct page p = begin_page(v, id);
	return answer(v, &p, err, 0);
}

static enum err serve_read(struct store_ipc_server *v, const struct store_ipc_request *q)
{
	struct page p = begin_page(v, q->id);
	const struct store_pos from = { .rev = q->rev, .key = q->from };
	uint64_t rev = 0;
	enum err err;

	if (!may_read(v->role, q->key))
		return answer_error(v, q->id, ERR_DENIED);
	if (q->kind == STORE_IPC_GET)
		err = store_get(v->store, q->key, add_only_row, &p);
	else if (q->kind == STORE_IPC_RANGE)
		err = store_visit_range(v->store, q->key, q->from, q->limit, add_row, &p, &rev);
	else
		err = store_visit_changes(v->store, q->key, &from, q->upto, add_row, &p, &rev);
	return err == ERR_NONE ? answer(v, &p, err, rev) : answer_error(v, q->id, err);
}

static enum err commit(struct store_ipc_server *v, uint64_t id, struct bytes b)
{
	struct page p = begin_page(v, id);
	struct store_ipc_txn t;

	if (store_ipc_txn_parse(b, &t) != ERR_NONE) {
		enum err err = answer_error(v, id, ERR_SYNTAX);
		return err == ERR_NONE ? ERR_SYNTAX : err;
	}
	if (!may_commit(v->role, &t.txn))
		return answer_error(v, id, ERR_DENIED);
	struct store_result r = store_commit(v->store, &t.txn);
	return answer(v, &p, r.err, r.rev);
}

/* Puts a part in its place. ERR_SYNTAX: not the next part of what was begun. */
static enum err take_part(struct store_ipc_server *v, const struct store_ipc_request *q)
{
	if (q->offset == 0) {
		drop_parts(v);
		v->txn = malloc(q->total);
		if (v->txn == NULL)
			return ERR_SYSTEM;
		v->txn_len = q->total;
		v->txn_id = q->id;
	}
	if (v->txn == NULL || q->id != v->txn_id || q->total != v->txn_len || q->offset != v->txn_have)
		return ERR_SYNTAX;
	struct wr w = wr_of((struct space){ v->txn + v->txn_have, v->txn_len - v->txn_have });
	wr_put(&w, q->part);
	must(!w.bad);
	v->txn_have += (uint32_t)q->part.len;
	return ERR_NONE;
}

static enum err serve_commit(struct store_ipc_server *v, const struct store_ipc_request *q)
{
	if (q->offset == 0 && q->part.len == q->total) {
		drop_parts(v);
		return commit(v, q->id, q->part);
	}
	enum err err = take_part(v, q);
	if (err != ERR_NONE) {
		drop_parts(v);
		enum err sent = answer_error(v, q->id, err);
		return sent != ERR_NONE ? sent : err == ERR_SYNTAX ? ERR_SYNTAX : ERR_NONE;
	}
	if (v->txn_have < v->txn_len)
		return ERR_NONE;
	err = commit(v, q->id, bytes_of(v->txn, v->txn_len));
	drop_parts(v);
	return err;
}

static enum err serve(struct store_ipc_server *v, struct bytes msg)
{
	struct store_ipc_request q;

	if (store_ipc_request_parse(msg, &q) != ERR_NONE) {
		drop_parts(v);
		enum err err = answer_error(v, store_ipc_id(msg), ERR_SYNTAX);
		return err == ERR_NONE ? ERR_SYNTAX : err;
	}
	if (q.kind == STORE_IPC_COMMIT)
		return serve_commit(v, &q);
	/* The peer gave up the transaction whose parts it was sending. */
	drop_parts(v);
	return serve_read(v, &q);
}

MUST_USE enum err store_ipc_server_step(struct store_ipc_server *v)
{
	enum err err = flush(v);

	if (err != ERR_NONE)
		return err;
	/* Descriptors that a peer may send along are dropped by the kernel: no room is given for them. */
	ssize_t n = recv(v->fd, v->in, sizeof(v->in), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_CLOSED;
	if (n == 0)
		return ERR_CLOSED;
	return serve(v, bytes_of(v->in, (size_t)n));
}

int store_ipc_server_fd(const struct store_ipc_server *v)
{
	return v->fd;
}

short store_ipc_server_events(const struct store_ipc_server *v)
{
	return v->out_len != 0 ? POLLOUT : POLLIN;
}

MUST_USE enum err store_ipc_server_new(struct store *s, int fd, const struct store_role *role,
				       struct store_ipc_server **ret)
{
	struct store_ipc_server *v = calloc(1, sizeof(*v));

	if (v == NULL) {
		close(fd);
		return ERR_MEMORY;
	}
	v->store = s;
	v->fd = fd;
	v->role = role;
	*ret = v;
	return ERR_NONE;
}

void store_ipc_server_free(struct store_ipc_server *v)
{
	if (v == NULL)
		return;
	drop_parts(v);
	close(v->fd);
	free(v);
}
