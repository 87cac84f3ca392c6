// One loop: what control submitted is committed in groups, then one request of the api, then changes are
// read back from the engine for control.
//
// Between the threads: a list of jobs, a list of results, and one buffer of changes, under one mutex that is
// never held over I/O. The buffer belongs to the store thread while it is empty and to control while it is full,
// so a slow control is not buried in changes: the engine keeps them, each key's last one. For deletions
// it does so for the last STORE_GONE_MAX only; therefore, when control falls behind, first the api and then
// control itself must wait.
#include "store/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/engine.h"
#include "store/ipc_msg.h"
#include "store/job.h"
#include "store/pace.h"

enum {
	GROUP_MAX = 128,            /* transactions in one durable write */
	CHANGES_CAP = 256 * 1024,   /* bytes of changes handed over at once */
	API_BEHIND_MAX = 256,       /* revisions that control's view may lag before the api waits */
	CONTROL_BEHIND_MAX = 1024,  /* and before its own transactions wait */
	READS_A_TURN = 16,          /* before changes and the api have their turn */
	RETRY_MS = 200,
};
_Static_assert((CONTROL_BEHIND_MAX + GROUP_MAX + 1) * STORE_TXN_OPS_MAX < STORE_GONE_MAX,
	      "no deletion is forgotten before control has seen it");

struct watch {
	size_t len;
	uint8_t prefix[STORE_KEY_MAX];
	uint64_t from_rev; /* changes up to here were seen or not wanted */
};

/* A question of control that waits for its answer. */
struct watch_ask {
	struct watch watch;
	bool answered;
	enum err err;
};

struct store_thread {
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	int wake_fd; /* told to the store thread */
	int tell_fd; /* told to control */

	/* Under the lock. */
	struct store_jobs todo, done;
	size_t under_way; /* submitted and not polled */
	struct watch_ask *ask;
	bool ipc_new;
	int ipc_fd; /* the new one */
	bool stopping;
	bool lost;
	bool changes_full; /* the buffer is control's */
	uint64_t seen_rev; /* of the changes that control was handed, and of those before that were none of its business */

	/* Whoever owns it by changes_full. */
	size_t changes_len;
	uint64_t changes_rev; /* what was seen when they were */
	uint8_t changes[CHANGES_CAP];

	/* The store thread's own. */
	struct store *store;
	const struct store_role *role;
	struct store_ipc_server *ipc;
	struct watch watches[STORE_THREAD_WATCH_MAX];
	size_t watch_cnt;
	uint64_t pos_rev;               /* of the next change to read */
	struct store_key_next pos_key;
	bool changes_due;
	bool reading;                   /* changes are being read already */
	uint64_t retry_ms;              /* 0: no failure to get over */
	uint64_t rev;                   /* of the newest commit known */
	const struct store_txn *committing; /* control's group that is under way */
	size_t committing_cnt;
	struct store_pace pace;
	struct log_limit limit;
};

/* A page of changes under construction. */
struct fill {
	struct store_thread *t;
	struct wr w;
	bool stopped; /* the buffer is full, the position tells where to go on */
};

static void lock(struct store_thread *t)
{
	must(pthread_mutex_lock(&t->lock) == 0);
}

static void unlock(struct store_thread *t)
{
	must(pthread_mutex_unlock(&t->lock) == 0);
}

/* A full counter is as readable as can be. */
static void ring_bell(int fd)
{
	(void)eventfd_write(fd, 1);
}

static void hush_bell(int fd)
{
	eventfd_t cnt;
	(void)eventfd_read(fd, &cnt);
}

/* ---- the store thread ---- */

/* How many revisions control has not been handed. */
static uint64_t count_behind(const struct store_thread *t)
{
	return t->watch_cnt == 0 || t->rev < t->pos_rev ? 0 : t->rev - t->pos_rev + 1;
}

static uint64_t now_us(void)
{
	return clock_mono_ns() / 1000;
}

/* An engine that others share commits slowly enough by itself. */
static uint64_t pace_left_us(const struct store_thread *t)
{
	return t->store->engine->seen_rev != NULL ? 0 : store_pace_left_us(&t->pace, now_us());
}

static size_t take_group(struct store_thread *t, struct store_job *group[static GROUP_MAX], bool all)
{
	size_t cnt = 0;

	if (!all && (count_behind(t) > CONTROL_BEHIND_MAX || pace_left_us(t) != 0))
		return 0;
	lock(t);
	while (cnt < GROUP_MAX && t->todo.head != NULL && t->todo.head->kind == STORE_JOB_TXN)
		group[cnt++] = store_jobs_take(&t->todo);
	unlock(t);
	return cnt;
}

/* In how many milliseconds something that waits may be done; -1: nothing may, before somebody rings. */
static int work_in_ms(struct store_thread *t)
{
	lock(t);
	bool waits = t->todo.head != NULL, other = waits && t->todo.head->kind != STORE_JOB_TXN;
	unlock(t);
	if (other)
		return 0;
	return waits && count_behind(t) <= CONTROL_BEHIND_MAX ? (int)((pace_left_us(t) + 999) / 1000) : -1;
}

static bool is_watched(const struct store_thread *t, struct bytes key, uint64_t rev)
{
	for (size_t i = 0; i < t->watch_cnt; i++)
		if (rev > t->watches[i].from_rev && bytes_starts(key, bytes_of(t->watches[i].prefix, t->watches[i].len)))
			return true;
	return false;
}

/* Control's own group needs no reading back where all changes before it were read, each revision since is one of the group's,
 * and no watch wants a key of it: so are the records of IKE SAs. */
static void pass_over(struct store_thread *t, const struct store_txn *txns, const struct store_result *results, size_t cnt)
{
	uint64_t rev = t->rev;
	bool read = t->watch_cnt != 0 && !t->changes_due && t->pos_key.len == 0 && t->pos_rev == rev + 1;

	if (!read || t->store->engine->seen_rev != NULL)
		return;
	for (size_t i = 0; i < cnt; i++) {
		if (results[i].err == ERR_NONE && results[i].rev != ++rev)
			return;
		for (size_t k = 0; results[i].err == ERR_NONE && k < txns[i].op_cnt; k++)
			if (is_watched(t, txns[i].ops[k].key, rev))
				return;
	}
	lock(t);
	if (!t->changes_full && t->store->last_rev == rev) {
		t->rev = t->seen_rev = rev;
		t->pos_rev = rev + 1;
	}
	unlock(t);
}

/* Results for control, which has to be told of the first alone: it takes all that there are. */
static void add_done(struct store_thread *t, struct store_job *const *jobs, size_t cnt)
{
	lock(t);
	bool first = t->done.head == NULL;
	for (size_t i = 0; i < cnt; i++)
		store_jobs_add(&t->done, jobs[i]);
	unlock(t);
	if (first)
		ring_bell(t->tell_fd);
}

/* Commits up to a group of what waits. Each result stands by itself. false: nothing waits, or must. */
static bool commit_group(struct store_thread *t, bool all)
{
	UNSET struct store_job *group[GROUP_MAX];
	UNSET struct store_txn txns[GROUP_MAX];
	UNSET struct store_result results[GROUP_MAX];
	size_t cnt = take_group(t, group, all);

	if (cnt == 0)
		return false;
	for (size_t i = 0; i < cnt; i++)
		txns[i] = group[i]->t.txn;
	t->committing = txns;
	t->committing_cnt = cnt;
	store_commit_many(t->store, txns, cnt, results);
	t->committing_cnt = 0;
	store_pace_use(&t->pace, now_us());
	pass_over(t, txns, results, cnt);
	for (size_t i = 0; i < cnt; i++)
		group[i]->done.result = results[i];
	add_done(t, group, cnt);
	return true;
}

static void do_lease(struct store_thread *t, struct store_job *j)
{
	j->done.result.err = j->kind == STORE_JOB_RENEW ? store_lease_renew(t->store, j->lease_arg)
						  : store_lease_grant(t->store, j->lease_arg, &j->done.lease);
}

/* A read or something of a lease, if that is at the head of the queue. */
static struct store_job *take_other(struct store_thread *t)
{
	lock(t);
	struct store_job *j = t->todo.head != NULL && t->todo.head->kind != STORE_JOB_TXN ? store_jobs_take(&t->todo) : NULL;
	unlock(t);
	return j;
}

static void serve_others(struct store_thread *t)
{
	for (unsigned i = 0; i < READS_A_TURN; i++) {
		struct store_job *j = take_other(t);
		if (j == NULL)
			return;
		if (j->kind == STORE_JOB_READ) {
			j->done.result.err = store_page_read(t->store, &j->ask, &j->page, &j->done.result.rev);
			j->done.row_cnt = j->page.row_cnt;
		} else {
			do_lease(t, j);
		}
		add_done(t, &j, 1);
	}
}

/* At the end nobody waits for what they would say. */
static void drop_others(struct store_thread *t)
{
	for (struct store_job *j; (j = take_other(t)) != NULL;)
		store_job_free(j);
}

/* ---- changes ---- */

/* What control has submitted is told to it by the result first, so that it takes its own work for nobody else's. */
static bool is_committing(const struct store_thread *t, struct bytes key)
{
	for (size_t i = 0; i < t->committing_cnt; i++)
		for (size_t k = 0; !t->committing[i].loose && k < t->committing[i].op_cnt; k++)
			if (bytes_eq(t->committing[i].ops[k].key, key))
				return true;
	return false;
}

static bool add_change(void *arg, const struct store_row *row)
{
	struct fill *f = arg;
	struct store_thread *t = f->t;
	bool watched = is_watched(t, row->key, row->mod_rev);

	if (watched && (is_committing(t, row->key) || store_ipc_row_len(row) > (size_t)(f->w.end - f->w.p))) {
		t->pos_rev = row->mod_rev;
		t->pos_key = (struct store_key_next){ .len = row->key.len };
		struct wr w = wr_of(SPACE_OF(t->pos_key.b));
		wr_put(&w, row->key);
		f->stopped = true;
		return false;
	}
	if (watched)
		store_ipc_row_build(&f->w, row);
	return true;
}

static void put_off(struct store_thread *t, enum err err)
{
	uint32_t held;

	if (log_limit_take(&t->limit, clock_mono_ms(), &held))
		log_error("store: cannot read changes: %s", err_text(err));
	t->retry_ms = clock_mono_ms() + RETRY_MS;
}

static bool visit_none(void *arg, const struct store_row *row)
{
	(void)arg;
	(void)row;
	return false;
}

/* The bounds above keep changes from being forgotten, unless somebody else wrote to the file, or etcd was out of reach for longer
 * than it keeps history. Control goes on from now, and lists what there is. False: not even that can be asked. */
static bool skip_lost(struct store_thread *t)
{
	uint64_t rev = 0;

	if (store_visit_range(t->store, bytes_str("meta/"), bytes_of(NULL, 0), 1, visit_none, NULL, &rev) != ERR_NONE)
		return false;
	t->pos_rev = rev + 1;
	t->pos_key = (struct store_key_next){ 0 };
	if (rev > t->rev)
		t->rev = rev;
	lock(t);
	t->lost = true;
	unlock(t);
	ring_bell(t->tell_fd);
	return true;
}

static bool buffer_is_mine(struct store_thread *t)
{
	lock(t);
	bool mine = !t->changes_full;
	unlock(t);
	return mine;
}

/* To control, with the changes up to where the position stands now. rev: up to which they were read. */
static void give_buffer(struct store_thread *t, const struct fill *f, uint64_t rev)
{
	if (!f->stopped) {
		t->changes_due = false;
		t->pos_rev = rev + 1;
		t->pos_key = (struct store_key_next){ 0 };
	}
	if (rev > t->rev)
		t->rev = rev;
	t->changes_len = wr_len(&f->w);
	t->changes_rev = t->pos_rev - 1;
	lock(t);
	if (t->changes_len != 0)
		t->changes_full = true;
	else if (t->changes_rev > t->seen_rev)
		t->seen_rev = t->changes_rev;
	unlock(t);
	if (t->changes_len != 0)
		ring_bell(t->tell_fd);
}

/* A call waits, as at a member of etcd that has lost its leader. What others commit does not wait for it. */
static void hand_over_meanwhile(void *arg)
{
	struct store_thread *t = arg;
	struct fill f = { .t = t, .w = wr_of(SPACE_OF(t->changes)) };
	const struct store_key_next key = t->pos_key;
	const struct store_pos from = { .rev = t->pos_rev, .key = bytes_of(key.b, key.len) };
	uint64_t rev = 0;

	hush_bell(store_wake_fd(t->store));
	t->changes_due = true;
	if (t->watch_cnt == 0 || t->reading || !buffer_is_mine(t))
		return;
	if (store_visit_seen(t->store, &from, add_change, &f, &rev) == ERR_NONE) {
		give_buffer(t, &f, rev);
	} else {
		t->pos_rev = from.rev;
		t->pos_key = key;
	}
}

/* Reads the changes since last time into the buffer, as far as they fit, and gives it to control. */
static void hand_over_changes(struct store_thread *t)
{
	struct fill f = { .t = t, .w = wr_of(SPACE_OF(t->changes)) };
	const struct store_key_next key = t->pos_key;
	const struct store_pos from = { .rev = t->pos_rev, .key = bytes_of(key.b, key.len) };
	uint64_t rev = 0;

	if (!t->changes_due || t->watch_cnt == 0 || !buffer_is_mine(t))
		return;
	if (t->retry_ms != 0 && clock_mono_ms() < t->retry_ms)
		return;
	t->retry_ms = 0;
	uint64_t upto = t->store->engine->seen_rev == NULL ? 0 : t->store->engine->seen_rev(t->store);
	if (upto != 0 && upto < t->pos_rev) {
		t->changes_due = false; /* none yet: the engine rings when there are */
		return;
	}
	t->reading = true;
	enum err err = store_visit_changes(t->store, bytes_of("", 0), &from, upto, add_change, &f, &rev);
	t->reading = false;
	if (err == ERR_COMPACTED && skip_lost(t))
		return;
	if (err != ERR_NONE) {
		t->pos_rev = from.rev;
		t->pos_key = key;
		put_off(t, err);
		return;
	}
	give_buffer(t, &f, rev);
}

/* Checks that the history reaches back far enough, then lets the next reading begin there. */
static enum err add_watch(struct store_thread *t, const struct watch *w)
{
	const struct store_pos from = { .rev = w->from_rev + 1 };
	uint64_t rev;

	if (t->watch_cnt == STORE_THREAD_WATCH_MAX)
		return ERR_FULL;
	enum err err = store_visit_changes(t->store, bytes_of(w->prefix, w->len), &from, 0, visit_none, NULL, &rev);
	if (err != ERR_NONE)
		return err;
	/* What the others were handed already is not handed to them again. */
	for (size_t i = 0; i < t->watch_cnt && t->pos_rev > 0; i++)
		if (t->watches[i].from_rev < t->pos_rev - 1)
			t->watches[i].from_rev = t->pos_rev - 1;
	if (t->watch_cnt == 0 || from.rev <= t->pos_rev) {
		t->pos_rev = from.rev;
		t->pos_key = (struct store_key_next){ 0 };
	}
	t->watches[t->watch_cnt++] = *w;
	t->changes_due = true;
	if (rev > t->rev)
		t->rev = rev;
	return ERR_NONE;
}

static void answer_watch(struct store_thread *t)
{
	lock(t);
	struct watch_ask *ask = t->ask;
	t->ask = NULL;
	unlock(t);
	if (ask == NULL)
		return;
	enum err err = add_watch(t, &ask->watch);
	lock(t);
	ask->err = err;
	ask->answered = true;
	must(pthread_cond_signal(&t->answered) == 0);
	unlock(t);
}

static void replace_ipc(struct store_thread *t)
{
	lock(t);
	bool replace = t->ipc_new;
	int fd = t->ipc_fd;
	t->ipc_new = false;
	t->ipc_fd = -1;
	unlock(t);
	if (!replace)
		return;
	store_ipc_server_free(t->ipc);
	t->ipc = NULL;
	if (fd >= 0 && store_ipc_server_new(t->store, fd, t->role, &t->ipc) != ERR_NONE)
		log_error("store: no memory to serve the api");
}

static bool may_serve(const struct store_thread *t)
{
	return t->ipc != NULL && count_behind(t) <= API_BEHIND_MAX;
}

static void serve_api(struct store_thread *t)
{
	uint32_t held;

	if (!may_serve(t))
		return;
	enum err err = store_ipc_server_step(t->ipc);
	if (err == ERR_CLOSED) {
		store_ipc_server_free(t->ipc);
		t->ipc = NULL;
	} else if (err == ERR_SYNTAX && log_limit_take(&t->limit, clock_mono_ms(), &held)) {
		log_warn("store: malformed request of the api process (%u held back)", held);
	}
}

/* How long to sleep: not at all while there is something to do that no descriptor tells. */
static int sleep_ms(struct store_thread *t)
{
	int work = work_in_ms(t);

	if (t->retry_ms == 0)
		return work;
	uint64_t now = clock_mono_ms();
	int retry = now >= t->retry_ms ? 0 : (int)(t->retry_ms - now);
	return work >= 0 && work < retry ? work : retry;
}

static void note_commits(struct store_thread *t)
{
	if (t->store->last_rev > t->rev) {
		t->rev = t->store->last_rev;
		t->changes_due = true;
	}
}

static bool is_stopping(struct store_thread *t)
{
	lock(t);
	bool stopping = t->stopping;
	unlock(t);
	return stopping;
}

static void *run(void *arg)
{
	struct store_thread *t = arg;

	while (!is_stopping(t)) {
		struct pollfd pfds[3] = {
			{ .fd = t->wake_fd, .events = POLLIN },
			{ .fd = may_serve(t) ? store_ipc_server_fd(t->ipc) : -1,
			  .events = may_serve(t) ? store_ipc_server_events(t->ipc) : 0 },
			/* Others' commits; -1 where nobody else commits. */
			{ .fd = t->store->engine->seen_rev == NULL ? -1 : store_wake_fd(t->store), .events = POLLIN },
		};
		if (poll(pfds, ARRAY_LEN(pfds), sleep_ms(t)) < 0)
			must(errno == EINTR || errno == ENOMEM);
		if (pfds[0].revents != 0)
			hush_bell(t->wake_fd);
		if (pfds[2].revents != 0) {
			hush_bell(pfds[2].fd);
			t->changes_due = true;
		}
		replace_ipc(t);
		answer_watch(t);
		serve_others(t);
		(void)commit_group(t, false);
		note_commits(t);
		hand_over_changes(t);
		if (pfds[1].revents != 0)
			serve_api(t);
		note_commits(t);
		hand_over_changes(t);
	}
	do
		drop_others(t);
	while (commit_group(t, true));
	return NULL;
}

/* ---- the control thread ---- */

static enum err queue(struct store_thread *t, struct store_job *j)
{
	lock(t);
	bool full = t->under_way == STORE_THREAD_SUBMIT_MAX, first = t->todo.head == NULL;
	if (!full) {
		t->under_way++;
		store_jobs_add(&t->todo, j);
	}
	unlock(t);
	if (full) {
		store_job_free(j);
		return ERR_FULL;
	}
	if (first) /* else it knows that something waits */
		ring_bell(t->wake_fd);
	return ERR_NONE;
}

MUST_USE enum err store_thread_submit(struct store_thread *t, const struct store_txn *txn, uint64_t tag)
{
	struct store_job *j = store_job_txn(txn, tag);

	return j == NULL ? ERR_MEMORY : queue(t, j);
}

static enum err queue_read(struct store_thread *t, const struct store_page_ask *q, uint64_t tag)
{
	struct store_job *j = store_job_read(q, tag);

	return j == NULL ? ERR_MEMORY : queue(t, j);
}

MUST_USE enum err store_thread_read(struct store_thread *t, struct bytes key, uint64_t tag)
{
	if (key.len == 0 || key.len > STORE_KEY_MAX)
		return ERR_RANGE;
	return queue_read(t, &(struct store_page_ask){ .prefix = key }, tag);
}

MUST_USE enum err store_thread_list(struct store_thread *t, struct bytes prefix, struct bytes after, size_t limit,
				    uint64_t tag)
{
	if (prefix.len > STORE_KEY_MAX || after.len > STORE_KEY_MAX || limit == 0 || limit > STORE_THREAD_LIST_MAX)
		return ERR_RANGE;
	const struct store_page_ask q = { .list = true, .prefix = prefix, .after = after, .limit = limit };
	return queue_read(t, &q, tag);
}

static enum err queue_lease(struct store_thread *t, enum store_job_kind kind, uint64_t value, uint64_t tag)
{
	struct store_job *j = store_job_lease(kind, value, tag);

	return j == NULL ? ERR_MEMORY : queue(t, j);
}

MUST_USE enum err store_thread_grant(struct store_thread *t, uint64_t ttl_ms, uint64_t tag)
{
	return queue_lease(t, STORE_JOB_GRANT, ttl_ms, tag);
}

MUST_USE enum err store_thread_renew(struct store_thread *t, uint64_t lease, uint64_t tag)
{
	return queue_lease(t, STORE_JOB_RENEW, lease, tag);
}

uint64_t store_thread_seen(struct store_thread *t)
{
	lock(t);
	uint64_t rev = t->seen_rev;
	unlock(t);
	return rev;
}

bool store_thread_lost(struct store_thread *t)
{
	lock(t);
	bool lost = t->lost;
	t->lost = false;
	unlock(t);
	return lost;
}

int store_thread_fd(const struct store_thread *t)
{
	return t->tell_fd;
}

/* Returns the last one's key. */
static struct bytes show_rows(struct bytes rows, store_row_fn *change, void *arg)
{
	struct rd r = rd_of(rows);
	struct store_row row = { 0 };

	while (rd_left(&r) != 0) {
		must(store_ipc_row_parse(&r, &row) == ERR_NONE);
		change(arg, &row);
	}
	return row.key;
}

void store_thread_poll(struct store_thread *t, store_done_fn *done, store_row_fn *change, void *arg)
{
	struct store_jobs finished;

	hush_bell(t->tell_fd);
	store_jobs_init(&finished);
	lock(t);
	for (struct store_job *j; (j = store_jobs_take(&t->done)) != NULL; t->under_way--)
		store_jobs_add(&finished, j);
	bool changes = t->changes_full;
	unlock(t);
	for (struct store_job *j; (j = store_jobs_take(&finished)) != NULL; store_job_free(j)) {
		if (j->done.result.err == ERR_NONE)
			j->done.last_key = show_rows(bytes_of(j->page.rows, j->page.len), change, arg);
		done(arg, &j->done);
	}
	if (!changes)
		return;
	(void)show_rows(bytes_of(t->changes, t->changes_len), change, arg);
	lock(t);
	if (t->changes_rev > t->seen_rev)
		t->seen_rev = t->changes_rev;
	t->changes_full = false;
	unlock(t);
	ring_bell(t->wake_fd);
}

MUST_USE enum err store_thread_watch(struct store_thread *t, struct bytes prefix, uint64_t from_rev)
{
	struct watch_ask ask = { .watch = { .len = prefix.len, .from_rev = from_rev } };
	struct wr w = wr_of(SPACE_OF(ask.watch.prefix));

	wr_put(&w, prefix);
	if (w.bad)
		return ERR_RANGE;
	if (from_rev >= INT64_MAX)
		return ERR_COMPACTED;
	lock(t);
	t->ask = &ask;
	ring_bell(t->wake_fd);
	while (!ask.answered)
		must(pthread_cond_wait(&t->answered, &t->lock) == 0);
	unlock(t);
	return ask.err;
}

MUST_USE enum err store_thread_set_ipc(struct store_thread *t, int ipc_fd)
{
	lock(t);
	/* The thread may not have taken the one before. */
	if (t->ipc_new && t->ipc_fd >= 0)
		close(t->ipc_fd);
	t->ipc_new = true;
	t->ipc_fd = ipc_fd;
	unlock(t);
	ring_bell(t->wake_fd);
	return ERR_NONE;
}

static void free_thread(struct store_thread *t)
{
	store_jobs_free(&t->todo);
	store_jobs_free(&t->done);
	if (t->ipc_new && t->ipc_fd >= 0)
		close(t->ipc_fd);
	store_ipc_server_free(t->ipc);
	if (t->wake_fd >= 0)
		close(t->wake_fd);
	if (t->tell_fd >= 0)
		close(t->tell_fd);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->answered);
	free(t);
}

/* Signals are for the threads that wait for them. */
static int start_masked(struct store_thread *t)
{
	sigset_t all, before;

	sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	int rc = pthread_create(&t->id, NULL, run, t);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (rc == 0)
		(void)pthread_setname_np(t->id, "store");
	return rc;
}

MUST_USE enum err store_thread_start(struct store *s, int ipc_fd, const struct store_role *role,
				     struct store_thread **ret)
{
	struct store_thread *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		if (ipc_fd >= 0)
			close(ipc_fd);
		return ERR_MEMORY;
	}
	store_jobs_init(&t->todo);
	store_jobs_init(&t->done);
	must(pthread_mutex_init(&t->lock, NULL) == 0 && pthread_cond_init(&t->answered, NULL) == 0);
	t->store = s;
	s->meanwhile = hand_over_meanwhile;
	s->meanwhile_arg = t;
	t->role = role;
	t->rev = s->last_rev;
	t->limit = (struct log_limit){ .burst = 5, .window_ms = 10000 };
	t->ipc_new = ipc_fd >= 0;
	t->ipc_fd = ipc_fd;
	t->wake_fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	t->tell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (t->wake_fd < 0 || t->tell_fd < 0 || start_masked(t) != 0) {
		s->meanwhile = NULL;
		free_thread(t);
		return ERR_SYSTEM;
	}
	*ret = t;
	return ERR_NONE;
}

void store_thread_stop(struct store_thread *t)
{
	if (t == NULL)
		return;
	lock(t);
	t->stopping = true;
	unlock(t);
	ring_bell(t->wake_fd);
	must(pthread_join(t->id, NULL) == 0);
	struct store *s = t->store;
	s->meanwhile = NULL;
	free_thread(t);
	store_free(s);
}
