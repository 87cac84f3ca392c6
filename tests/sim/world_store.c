// Stores: what is stored, each process's way to it, and the store's thread of a process.
//
// A transaction is applied at one time and its result is told at a later one: who dies in between has committed. What was committed is
// told to each process by its watch, after a while of its own. Transactions that wait together go together.
#include "world.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cover.h"
#include "history.h"
#include "store/engine.h"
#include "store/ipc_msg.h"
#include "store/page.h"
#include "store/thread.h"

#define PATIENCE_US 4000000u /* etcd_timeout_ms */
#define GROUP_MAX 128
#define LOOK_US 20000u
#define STOPS_MAX 64

/* It has no leader. */
struct stop {
	uint64_t from_us, until_us;
};

struct world_store {
	struct store *engine;
	struct world_clock clock; /* of its leases, which do not run while there is no leader */
	struct stop stops[STOPS_MAX];
	unsigned stop_cnt;
	uint64_t look_us; /* when leases are looked at again */
	const char *forget;
	uint64_t rev;
	size_t cnt, cap;
	struct world_event *log;
	void (*follow)(void *arg, const struct world_event *e);
	void *follow_arg;
};

enum job_kind { JOB_COMMIT, JOB_READ, JOB_GRANT, JOB_RENEW };

struct store_job {
	struct store_job *next;
	enum job_kind kind;
	struct store_done done;
	bool applied, loose;
	struct store_page_ask ask;
	struct store_page page;
	uint64_t lease_arg;
	struct store_ipc_txn txn;
	uint8_t *block;
};

struct jobs {
	struct store_job *first, **tail;
};

struct store_watch {
	char prefix[32];
	uint64_t rev;
};

struct store_thread {
	struct link *link;
	int fd;
	struct jobs todo, under_way, done;
	uint64_t apply_us, tell_us, patience_us; /* of those under way */
	unsigned waiting;
	uint64_t seen;
	bool lost;
	/* the watch: events up to `known` are told at tell_watch_us */
	size_t told, known;
	uint64_t tell_watch_us;
	unsigned watch_cnt;
	struct store_watch watch[STORE_THREAD_WATCH_MAX];
};

struct link {
	struct store base;
	struct world_link w;
	struct world_store *s;
	struct store_thread *t; /* of the process that lives */
};

/* ---- what is stored ---- */

struct world_store *world_store_new(void)
{
	struct world_store *s = calloc(1, sizeof(*s));

	must(s != NULL && store_memory_new(&s->engine) == ERR_NONE);
	return s;
}

static struct bytes copy(struct bytes b)
{
	uint8_t *p = malloc(b.len + 1);

	must(p != NULL);
	struct wr w = wr_of((struct space){ p, b.len });
	wr_put(&w, b);
	return wr_bytes(&w);
}

static void give(struct bytes b)
{
	union {
		const uint8_t *c;
		void *p;
	} u = { .c = b.p };
	free(u.p);
}

static void empty(struct world_store *s)
{
	for (size_t i = 0; i < s->cnt; i++) {
		give(s->log[i].row.key);
		give(s->log[i].row.value);
	}
	s->cnt = 0;
	store_free(s->engine);
}

void world_store_free(struct world_store *s)
{
	empty(s);
	free(s->log);
	free(s);
}

void world_store_clear(struct world_store *s)
{
	empty(s);
	s->rev = 0;
	must(store_memory_new(&s->engine) == ERR_NONE);
}

void world_store_stop(struct world_store *s, uint64_t until_us)
{
	if (world_store_is_away(s) || s->stop_cnt == STOPS_MAX)
		return;
	s->stops[s->stop_cnt++] = (struct stop){ world_now_us(), until_us };
	s->clock.mono_us -= until_us - world_now_us();
}

bool world_store_was_away(const struct world_store *s, uint64_t from_us, uint64_t until_us)
{
	for (unsigned i = 0; i < s->stop_cnt; i++)
		if (s->stops[i].from_us < until_us && from_us < s->stops[i].until_us)
			return true;
	return false;
}

bool world_store_is_away(const struct world_store *s)
{
	return world_store_was_away(s, world_now_us(), world_now_us() + 1);
}

void world_store_forget(struct world_store *s, const char *prefix)
{
	s->forget = prefix;
}

bool world_store_has(struct world_store *s, struct bytes key, store_row_fn *visit, void *arg)
{
	const struct world_clock *was = world_enter(&s->clock);
	enum err e = store_get(s->engine, key, visit, arg);
	(void)world_enter(was);
	must(e == ERR_NONE || e == ERR_NOTFOUND);
	return e == ERR_NONE;
}

void world_store_each(struct world_store *s, const char *prefix, store_row_fn *visit, void *arg)
{
	const struct world_clock *was = world_enter(&s->clock);
	must(store_range(s->engine, bytes_str(prefix), bytes_str(""), 0, visit, arg, NULL) == ERR_NONE);
	(void)world_enter(was);
}

uint64_t world_store_rev(const struct world_store *s)
{
	return s->rev;
}

void world_store_follow(struct world_store *s, void (*fn)(void *arg, const struct world_event *e), void *arg)
{
	s->follow = fn;
	s->follow_arg = arg;
}

const struct world_event *world_store_find(const struct world_store *s, struct bytes key, uint64_t rev)
{
	for (size_t i = s->cnt; i-- > 0;)
		if (s->log[i].row.mod_rev <= rev && bytes_eq(s->log[i].row.key, key))
			return &s->log[i];
	return NULL;
}

bool world_store_any(const struct world_store *s, uint64_t rev, bool (*fn)(void *arg, const struct world_event *e), void *arg)
{
	for (size_t i = s->cnt; i-- > 0;)
		if (s->log[i].row.mod_rev <= rev && fn(arg, &s->log[i]))
			return true;
	return false;
}

struct noting {
	struct world_store *s;
	unsigned who;
};

static void note_event(void *arg, const struct store_row *row)
{
	const struct noting *n = arg;
	struct world_store *s = n->s;

	if (s->cnt == s->cap) {
		s->cap = s->cap == 0 ? 1024 : s->cap * 2;
		s->log = realloc(s->log, s->cap * sizeof(*s->log));
		must(s->log != NULL);
	}
	struct world_event *e = &s->log[s->cnt++];
	*e = (struct world_event){ world_now_us(), n->who, *row };
	e->row.key = copy(row->key);
	e->row.value = copy(row->value);
}

/* What has changed, also by leases that have lapsed. The engine's clock is the world's. */
static void note_changes(struct world_store *s, unsigned who)
{
	const struct noting n = { s, who };
	size_t before = s->cnt;
	union {
		const struct noting *c;
		void *p;
	} arg = { .c = &n };

	must(store_changes(s->engine, bytes_str(""), s->rev, note_event, arg.p, &s->rev) == ERR_NONE);
	for (size_t i = before; i < s->cnt && s->follow != NULL; i++)
		s->follow(s->follow_arg, &s->log[i]);
}

static struct store_result commit(struct world_store *s, unsigned who, const struct store_txn *txn)
{
	struct store_op ops[STORE_TXN_OPS_MAX];
	struct store_txn less = { .cmps = txn->cmps, .cmp_cnt = txn->cmp_cnt, .ops = ops, .lease = txn->lease };

	must(txn->op_cnt <= ARRAY_LEN(ops));
	note_changes(s, WORLD_PROCESSES_MAX);
	for (size_t i = 0; i < txn->op_cnt; i++)
		if (s->forget == NULL || txn->ops[i].kind == STORE_DELETE || !bytes_starts(txn->ops[i].key, bytes_str(s->forget)))
			ops[less.op_cnt++] = txn->ops[i];
	struct store_result r = store_commit(s->engine, &less);
	note_changes(s, who);
	return r;
}

void world_store_write(struct world_store *s, const struct store_txn *txn)
{
	const struct world_clock *was = world_enter(&s->clock);

	must(commit(s, WORLD_PROCESSES_MAX, txn).err == ERR_NONE);
	(void)world_enter(was);
}

static bool is_away(const struct link *l)
{
	return l->w.cut || world_store_is_away(l->s);
}

/* ---- a process's way to it ---- */

static struct link *link_of(struct store *s)
{
	return CONTAINER_OF(s, struct link, base);
}

struct world_link *world_link_of(struct store *s)
{
	return &link_of(s)->w;
}

/* The clock of the leases is the world's. */
static enum err get(struct store *s, struct bytes key, store_visit_fn *visit, void *arg)
{
	struct link *l = link_of(s);
	const struct world_clock *was = world_enter(&l->s->clock);
	enum err e = is_away(l) ? ERR_AWAY : l->s->engine->engine->get(l->s->engine, key, visit, arg);
	(void)world_enter(was);
	return e;
}

static enum err range(struct store *s, struct bytes prefix, struct bytes after, size_t limit, store_visit_fn *visit, void *arg,
		      uint64_t *ret_rev)
{
	struct link *l = link_of(s);
	const struct world_clock *was = world_enter(&l->s->clock);
	enum err e = is_away(l) ? ERR_AWAY
				: l->s->engine->engine->range(l->s->engine, prefix, after, limit, visit, arg, ret_rev);
	(void)world_enter(was);
	return e;
}

/* As a process commits, with what befalls on the way. */
static struct store_result commit_by(struct link *l, const struct store_txn *txn)
{
	bool unknown = l->w.remote && world_befalls(world_faults.unknown), lost = unknown && world_random(2) == 0;
	struct store_result r = { .err = ERR_UNKNOWN_OUTCOME };

	if (!lost)
		r = commit(l->s, l->w.who, txn);
	if (r.err == ERR_CONFLICT)
		cover_add(COVER_conflict);
	if (unknown)
		cover_add(COVER_unknown);
	if (unknown)
		history_add("store: %u does not hear what became of a transaction: %s", l->w.who, lost ? "nothing" : err_text(r.err));
	return unknown ? (struct store_result){ .err = ERR_UNKNOWN_OUTCOME } : r;
}

static void commit_many(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	const struct world_clock *was = world_enter(&link_of(s)->s->clock);

	for (size_t i = 0; i < cnt; i++)
		if (results[i].err == ERR_NONE)
			results[i] = is_away(link_of(s)) ? (struct store_result){ .err = ERR_AWAY } : commit_by(link_of(s), &txns[i]);
	(void)world_enter(was);
}

/* Nobody asks: the watch is the thread's. */
static enum err changes(struct store *s, struct bytes prefix, const struct store_pos *from, uint64_t upto, store_visit_fn *visit,
			void *arg, uint64_t *ret_rev)
{
	(void)s, (void)prefix, (void)from, (void)upto, (void)visit, (void)arg, (void)ret_rev;
	return ERR_COMPACTED;
}

static enum err grant(struct store *s, uint64_t ttl_ms, struct store_lease *ret)
{
	struct link *l = link_of(s);
	const struct world_clock *was = world_enter(&l->s->clock);
	enum err e = is_away(l) ? ERR_AWAY : l->s->engine->engine->lease_grant(l->s->engine, ttl_ms, ret);
	(void)world_enter(was);
	return e;
}

static enum err renew(struct store *s, uint64_t id)
{
	struct link *l = link_of(s);
	const struct world_clock *was = world_enter(&l->s->clock);
	enum err e = is_away(l) ? ERR_AWAY : l->s->engine->engine->lease_renew(l->s->engine, id);
	(void)world_enter(was);
	return e;
}

static void free_link(struct store *s)
{
	store_fini(s);
	free(link_of(s));
}

struct store *world_link_open(struct world_store *s, unsigned who)
{
	static const struct store_engine engine = { .get = get, .range = range, .commit_many = commit_many, .changes = changes,
						    .lease_grant = grant, .lease_renew = renew, .free = free_link };
	struct link *l = calloc(1, sizeof(*l));

	must(l != NULL && store_init(&l->base, &engine, false) == ERR_NONE);
	l->s = s;
	l->w.who = who;
	return &l->base;
}

void world_link_close(struct store *s)
{
	store_free(s);
}

/* ---- jobs ---- */

static void jobs_init(struct jobs *q)
{
	q->first = NULL;
	q->tail = &q->first;
}

static void jobs_add(struct jobs *q, struct store_job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

static struct store_job *jobs_take(struct jobs *q)
{
	struct store_job *j = q->first;

	if (j != NULL)
		q->first = j->next;
	if (q->first == NULL)
		q->tail = &q->first;
	return j;
}

static void free_job(struct store_job *j)
{
	store_page_free(&j->page);
	free(j->block);
	free(j);
}

static enum err queue(struct store_thread *t, struct store_job *j)
{
	if (world_is_dying() || t->waiting == STORE_THREAD_SUBMIT_MAX) {
		free_job(j);
		return world_is_dying() ? ERR_AWAY : ERR_FULL;
	}
	t->waiting++;
	jobs_add(&t->todo, j);
	return ERR_NONE;
}

static struct store_job *new_job(enum job_kind kind, uint64_t tag, size_t len)
{
	struct store_job *j = calloc(1, sizeof(*j));

	must(j != NULL);
	j->kind = kind;
	j->done.tag = tag;
	j->block = malloc(len + 1);
	must(j->block != NULL);
	return j;
}

MUST_USE enum err store_thread_submit(struct store_thread *t, const struct store_txn *txn, uint64_t tag)
{
	must(store_txn_check(txn) == ERR_NONE);
	size_t len = store_ipc_txn_len(txn);
	struct store_job *j = new_job(JOB_COMMIT, tag, len);
	struct wr w = wr_of((struct space){ j->block, len });
	store_ipc_txn_build(&w, txn);
	must(store_ipc_txn_parse(wr_bytes(&w), &j->txn) == ERR_NONE);
	j->loose = txn->loose;
	return queue(t, j);
}

static enum err queue_read(struct store_thread *t, const struct store_page_ask *q, uint64_t tag)
{
	struct store_job *j = new_job(JOB_READ, tag, q->prefix.len + q->after.len);
	struct wr w = wr_of((struct space){ j->block, q->prefix.len + q->after.len });

	wr_put(&w, q->prefix);
	wr_put(&w, q->after);
	j->ask = *q;
	j->ask.prefix = bytes_of(j->block, q->prefix.len);
	j->ask.after = bytes_of(j->block + q->prefix.len, q->after.len);
	return queue(t, j);
}

MUST_USE enum err store_thread_read(struct store_thread *t, struct bytes key, uint64_t tag)
{
	return queue_read(t, &(struct store_page_ask){ .prefix = key }, tag);
}

MUST_USE enum err store_thread_list(struct store_thread *t, struct bytes prefix, struct bytes after, size_t limit, uint64_t tag)
{
	return queue_read(t, &(struct store_page_ask){ .list = true, .prefix = prefix, .after = after, .limit = limit }, tag);
}

static enum err queue_lease(struct store_thread *t, enum job_kind kind, uint64_t arg, uint64_t tag)
{
	struct store_job *j = new_job(kind, tag, 0);
	j->lease_arg = arg;
	return queue(t, j);
}

MUST_USE enum err store_thread_grant(struct store_thread *t, uint64_t ttl_ms, uint64_t tag)
{
	return queue_lease(t, JOB_GRANT, ttl_ms, tag);
}

MUST_USE enum err store_thread_renew(struct store_thread *t, uint64_t lease, uint64_t tag)
{
	return queue_lease(t, JOB_RENEW, lease, tag);
}

/* ---- on their way ---- */

/* The transactions that wait, or the one other thing that comes first. */
static void set_out(struct store_thread *t)
{
	unsigned cnt = 0;

	while (t->todo.first != NULL && cnt < GROUP_MAX && (cnt == 0 || t->todo.first->kind == JOB_COMMIT)) {
		cnt++;
		jobs_add(&t->under_way, jobs_take(&t->todo));
		if (t->under_way.first->kind != JOB_COMMIT)
			break;
	}
	t->apply_us = world_now_us() + world_random(world_faults.store_us);
	t->tell_us = t->apply_us + world_random(world_faults.store_us);
	t->patience_us = world_now_us() + PATIENCE_US;
}

static void apply_job(struct link *l, struct store_job *j)
{
	struct store *s = &l->base;

	j->applied = true;
	switch (j->kind) {
	case JOB_COMMIT:
		j->done.result = commit_by(l, &j->txn.txn);
		break;
	case JOB_READ:
		cover_add(COVER_read);
		j->done.result.err = store_page_read(s, &j->ask, &j->page, &j->done.result.rev);
		j->done.row_cnt = j->page.row_cnt;
		break;
	case JOB_GRANT:
		j->done.result.err = store_lease_grant(s, j->lease_arg, &j->done.lease);
		break;
	case JOB_RENEW:
		j->done.result.err = store_lease_renew(s, j->lease_arg);
		break;
	}
	if (j->kind != JOB_COMMIT && l->w.remote && world_befalls(world_faults.unknown))
		j->done.result.err = ERR_AWAY;
	note_changes(l->s, WORLD_PROCESSES_MAX);
}

static void apply_group(struct link *l)
{
	const struct world_clock *was = world_enter(&l->s->clock);

	for (struct store_job *j = l->t->under_way.first; j != NULL; j = j->next)
		if (!j->applied)
			apply_job(l, j);
	(void)world_enter(was);
}

static void end_group(struct store_thread *t, bool in_time)
{
	bool sent = world_random(2) == 0;

	for (struct store_job *j; (j = jobs_take(&t->under_way)) != NULL;) {
		if (!in_time)
			j->done.result.err = j->kind == JOB_COMMIT && (sent || j->applied) ? ERR_UNKNOWN_OUTCOME : ERR_AWAY;
		jobs_add(&t->done, j);
	}
}

static void run_jobs(struct link *l)
{
	struct store_thread *t = l->t;
	uint64_t now = world_now_us();

	if (t->under_way.first == NULL && t->todo.first != NULL && !l->w.frozen)
		set_out(t);
	if (t->under_way.first == NULL)
		return;
	if (!t->under_way.first->applied && t->apply_us <= now && now < t->patience_us && !is_away(l))
		apply_group(l);
	if (l->w.frozen)
		return;
	if (t->under_way.first->applied && t->tell_us <= now && !l->w.cut && (now < t->patience_us || world_random(2) == 0))
		end_group(t, true);
	else if (now >= t->patience_us)
		end_group(t, false);
}

/* ---- the watch ---- */

static bool changes_key(const struct store_job *j, struct bytes key)
{
	for (size_t i = 0; j->kind == JOB_COMMIT && !j->loose && i < j->txn.txn.op_cnt; i++)
		if (bytes_eq(j->txn.txn.ops[i].key, key))
			return true;
	return false;
}

/* What a transaction that is under way may have changed comes behind its result. */
static bool may_tell(const struct store_thread *t, const struct world_event *e)
{
	for (const struct store_job *j = t->under_way.first; j != NULL; j = j->next)
		if (changes_key(j, e->row.key))
			return false;
	return true;
}

static void run_watch(struct link *l)
{
	struct store_thread *t = l->t;
	uint64_t now = world_now_us();

	if (l->w.cut || now < l->w.quiet_us)
		return;
	if (l->w.lose && t->under_way.first == NULL) {
		history_add("store: the watch of %u has lost its place", l->w.who);
		cover_add(COVER_lost_place);
		l->w.lose = false;
		t->lost = true;
		t->told = t->known = l->s->cnt;
		t->seen = l->s->rev;
	}
	if (t->told != t->known)
		return;
	while (t->known != l->s->cnt && may_tell(t, &l->s->log[t->known]))
		t->known++;
	if (t->told != t->known) {
		t->tell_watch_us = now + world_random(world_faults.watch_us);
	}
}

static bool watch_is_due(const struct link *l)
{
	const struct store_thread *t = l->t;
	return t->lost || (t->told != t->known && t->tell_watch_us <= world_now_us() && !l->w.cut && world_now_us() >= l->w.quiet_us);
}

bool world_link_run(struct store *s)
{
	struct link *l = link_of(s);

	if (l->t == NULL)
		return false;
	const struct world_clock *was = world_enter(&l->s->clock);
	if (world_now_us() >= l->s->look_us) {
		l->s->look_us = world_now_us() + LOOK_US;
		note_changes(l->s, WORLD_PROCESSES_MAX);
	}
	run_jobs(l);
	if (!l->w.frozen)
		run_watch(l);
	(void)world_enter(was);
	return !l->w.frozen && (l->t->done.first != NULL || watch_is_due(l));
}

static bool is_watched(const struct store_thread *t, const struct store_row *row)
{
	const char *hidden = t->link->w.hidden;

	if (hidden != NULL && bytes_starts(row->key, bytes_str(hidden)))
		return false;
	for (unsigned i = 0; i < t->watch_cnt; i++)
		if (row->mod_rev > t->watch[i].rev && bytes_starts(row->key, bytes_str(t->watch[i].prefix)))
			return true;
	return false;
}

static struct bytes show_rows(const struct store_page *p, store_row_fn *change, void *arg)
{
	struct rd r = rd_of(bytes_of(p->rows, p->len));
	struct store_row row = { 0 };

	while (rd_left(&r) != 0) {
		must(store_ipc_row_parse(&r, &row) == ERR_NONE);
		change(arg, &row);
	}
	return row.key;
}

void store_thread_poll(struct store_thread *t, store_done_fn *done, store_row_fn *change, void *arg)
{
	const struct world_store *s = t->link->s;

	for (struct store_job *j; (j = jobs_take(&t->done)) != NULL; free_job(j)) {
		t->waiting--;
		if (j->done.result.err == ERR_NONE && j->kind == JOB_READ)
			j->done.last_key = show_rows(&j->page, change, arg);
		done(arg, &j->done);
	}
	if (!watch_is_due(t->link) || t->told == t->known)
		return;
	for (; t->told < t->known; t->told++) {
		const struct store_row row = s->log[t->told].row;
		t->seen = row.mod_rev;
		if (is_watched(t, &row))
			change(arg, &row);
	}
}

/* ---- the thread ---- */

MUST_USE enum err store_thread_start(struct store *s, int ipc_fd, const struct store_role *role, struct store_thread **ret)
{
	struct store_thread *t = calloc(1, sizeof(*t));

	(void)role;
	must(t != NULL && ipc_fd < 0);
	t->link = link_of(s);
	t->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); /* always readable: whoever runs is asked for what is due */
	must(t->fd >= 0 && t->link->t == NULL);
	jobs_init(&t->todo);
	jobs_init(&t->under_way);
	jobs_init(&t->done);
	t->link->t = t;
	*ret = t;
	return ERR_NONE;
}

MUST_USE enum err store_thread_set_ipc(struct store_thread *t, int ipc_fd)
{
	(void)t;
	must(ipc_fd < 0);
	return ERR_NONE;
}

MUST_USE enum err store_thread_watch(struct store_thread *t, struct bytes prefix, uint64_t from_rev)
{
	const struct world_store *s = t->link->s;
	struct store_watch *w = &t->watch[t->watch_cnt++];
	struct wr r = wr_of(SPACE_OF(w->prefix));

	must(t->watch_cnt <= ARRAY_LEN(t->watch) && prefix.len < sizeof(w->prefix));
	wr_put(&r, prefix);
	w->rev = from_rev;
	if (t->watch_cnt == 1) {
		while (t->told < s->cnt && s->log[t->told].row.mod_rev <= from_rev)
			t->told++;
		t->known = t->told;
		t->seen = from_rev;
	}
	return ERR_NONE;
}

uint64_t store_thread_seen(struct store_thread *t)
{
	return t->seen;
}

bool store_thread_lost(struct store_thread *t)
{
	bool lost = t->lost;
	t->lost = false;
	return lost;
}

int store_thread_fd(const struct store_thread *t)
{
	return t->fd;
}

static void free_jobs(struct jobs *q)
{
	for (struct store_job *j; (j = jobs_take(q)) != NULL;)
		free_job(j);
}

/* The engine stays: it is the next process's too. Of one that dies some of what was on its way arrives, the rest is lost. */
void store_thread_stop(struct store_thread *t)
{
	if (t == NULL)
		return;
	struct link *l = t->link;
	bool all = !world_is_dying();
	if (all || (t->under_way.first != NULL && !is_away(l) && world_random(2) == 0))
		apply_group(l);
	if (all) {
		for (struct store_job *j; (j = jobs_take(&t->todo)) != NULL;)
			jobs_add(&t->under_way, j);
		apply_group(l);
	}
	free_jobs(&t->todo);
	free_jobs(&t->under_way);
	free_jobs(&t->done);
	l->t = NULL;
	close(t->fd);
	free(t);
}
