// The watch: a thread with a stream of its own, so that no long answer to somebody else holds it up (etcd issue 15402),
// and a log in which the owner of the store reads what came.
//
// It goes on where it ended, at the next member, whenever a stream ends or stalls. Stalled is: no sign of life for
// STALL_MS although asked each ASK_MS (the TCP connection to a frozen process stays open for ever); or a commit of ours
// does not come by. A member that lost its leader ends the stream itself, as every request asks it to (grpc.c).
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/etcd.h"
#include "store/etcd_log.h"

enum {
	STALL_MS = 1500,
	ASK_MS = 500,
	STEP_MS = 250,
	RETRY_MIN_MS = 20,
	RETRY_MAX_MS = 200, /* an election ends in the middle of a pause: news are late by no more than this */
};

struct store_etcd_watch {
	pthread_t id;
	const struct store_grpc_config *c;
	const char *prefix;
	int wake_fd;
	struct store_grpc_stream *stream;

	pthread_mutex_t lock;
	pthread_cond_t moved; /* the log, or its floor */

	/* Under the lock. */
	struct store_etcd_log log;
	bool stopping;
	bool rewind;
	uint64_t rewind_to;
	uint64_t expected; /* the newest commit of ours */

	/* The watch's own. */
	size_t endpoint;
	uint64_t pending_rev;  /* of changes that are added, and not all of which may have come */
	uint64_t heard_ms;     /* the last message */
	uint64_t moved_ms;     /* the last change, or the last time that none was expected */
	uint64_t asked_ms;
	uint64_t retry_ms;     /* the next pause */
	bool failed;           /* the member's answer ended the stream */
	struct log_limit limit;
	char why[STORE_GRPC_WHY_MAX];
};

static void lock(struct store_etcd_watch *w)
{
	must(pthread_mutex_lock(&w->lock) == 0);
}

static void unlock(struct store_etcd_watch *w)
{
	must(pthread_mutex_unlock(&w->lock) == 0);
}

__attribute__((format(printf, 2, 3))) static void set_why(struct store_etcd_watch *w, const char *fmt, ...)
{
	char text[ADDR_ENDPOINT_TEXT_MAX], what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(w->why, sizeof(w->why), "%s: %s", addr_endpoint_format(&w->c->endpoints[w->endpoint], text), what);
}

/* ---- what the stream brings ---- */

/* False: out of memory. Keys outside "kv/" move the revision alone. */
static bool add_event(struct store_etcd_watch *w, const Etcd__Event *event)
{
	const Etcd__KeyValue *kv = event->kv;
	bool deleted = event->type == ETCD__EVENT__TYPE__DELETE;

	if (kv == NULL || kv->mod_revision <= 0)
		return true;
	uint64_t rev = (uint64_t)kv->mod_revision;
	struct bytes key = store_etcd_bytes(kv->key);
	size_t skip = strlen(w->prefix) + 3;
	if (rev > w->pending_rev)
		w->pending_rev = rev;
	if (rev <= w->log.rev || key.len <= skip || key.len - skip > STORE_KEY_MAX ||
	    memcmp(key.p + skip - 3, "kv/", 3) != 0)
		return true;
	const struct store_row row = { .key = bytes_of(key.p + skip, key.len - skip),
				       .value = deleted ? bytes_of(NULL, 0) : store_etcd_bytes(kv->value),
				       .create_rev = deleted ? 0 : (uint64_t)kv->create_revision,
				       .mod_rev = rev,
				       .deleted = deleted };
	return store_etcd_log_add(&w->log, &row) == ERR_NONE;
}

static void tell(const struct store_etcd_watch *w)
{
	const uint64_t one = 1;
	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* etcd never cuts a revision in two answers, except where it says so. */
static bool take_events(struct store_etcd_watch *w, const Etcd__WatchResponse *r)
{
	bool ok = true;

	lock(w);
	for (size_t i = 0; ok && i < r->n_events; i++)
		ok = add_event(w, r->events[i]);
	bool moved = ok && !r->fragment && w->pending_rev > w->log.rev;
	if (moved) {
		store_etcd_log_advance(&w->log, w->pending_rev);
		must(pthread_cond_broadcast(&w->moved) == 0);
	}
	unlock(w);
	if (moved) {
		w->moved_ms = w->heard_ms;
		tell(w);
	}
	return ok;
}

/* History was compacted behind where we stood: what lies between is lost to all readers, who list again. */
static void skip_compacted(struct store_etcd_watch *w, uint64_t rev)
{
	lock(w);
	if (rev > w->log.rev)
		store_etcd_log_reset(&w->log, rev);
	must(pthread_cond_broadcast(&w->moved) == 0);
	unlock(w);
	log_warn("store: etcd: history up to revision %llu was compacted before it was read", (unsigned long long)rev);
	tell(w);
}

static bool on_message(void *arg, struct bytes msg)
{
	struct store_etcd_watch *w = arg;
	Etcd__WatchResponse *r = etcd__watch_response__unpack(NULL, msg.len, msg.p);
	bool go_on = r != NULL;

	w->heard_ms = clock_mono_ms();
	if (r == NULL) {
		set_why(w, "an answer that cannot be read");
	} else if (r->canceled) {
		go_on = false;
		set_why(w, "%s", r->compact_revision > 0 ? "history was compacted" : r->cancel_reason);
		if (r->compact_revision > 0)
			skip_compacted(w, (uint64_t)r->compact_revision);
	} else if (!take_events(w, r)) {
		go_on = false;
		set_why(w, "no memory for its changes");
	}
	if (r != NULL)
		etcd__watch_response__free_unpacked(r, NULL);
	w->failed = !go_on;
	return go_on;
}

/* ---- the stream ---- */

static enum err send_request(struct store_etcd_watch *w, const Etcd__WatchRequest *q)
{
	uint8_t b[2 * STORE_ETCD_KEY_MAX + 64];

	must(etcd__watch_request__get_packed_size(q) <= sizeof(b));
	return store_grpc_stream_send(w->stream, bytes_of(b, etcd__watch_request__pack(q, b)));
}

/* All keys of ours from the revision behind the log's last. */
static enum err open_stream(struct store_etcd_watch *w)
{
	struct store_etcd_key from = { 0 };
	Etcd__WatchCreate create = ETCD__WATCH_CREATE__INIT;
	Etcd__WatchRequest q = ETCD__WATCH_REQUEST__INIT;
	struct wr wr = wr_of(SPACE_OF(from.b));

	enum err err = store_grpc_stream_open(w->stream, "/etcdserverpb.Watch/Watch", w->endpoint);
	if (err != ERR_NONE)
		return err;
	wr_put(&wr, bytes_str(w->prefix));
	from.len = wr_len(&wr);
	const struct store_etcd_key end = store_etcd_key_end(&from);
	create.key = store_etcd_blob(store_etcd_key_bytes(&from));
	create.range_end = store_etcd_blob(store_etcd_key_bytes(&end));
	create.start_revision = (int64_t)(w->log.rev + 1); /* only this thread moves it */
	create.fragment = true;
	q.request_case = ETCD__WATCH_REQUEST__REQUEST_CREATE;
	q.create = &create;
	w->pending_rev = w->log.rev;
	w->heard_ms = w->moved_ms = w->asked_ms = clock_mono_ms();
	w->failed = false;
	return send_request(w, &q);
}

static enum err ask_for_life(struct store_etcd_watch *w, uint64_t now)
{
	Etcd__WatchProgress progress = ETCD__WATCH_PROGRESS__INIT;
	Etcd__WatchRequest q = ETCD__WATCH_REQUEST__INIT;

	if (now - w->asked_ms < ASK_MS)
		return ERR_NONE;
	w->asked_ms = now;
	q.request_case = ETCD__WATCH_REQUEST__REQUEST_PROGRESS;
	q.progress = &progress;
	return send_request(w, &q);
}

/* Whether the owner wants something else: to stop, or to begin elsewhere. */
static bool is_recalled(struct store_etcd_watch *w)
{
	lock(w);
	bool recalled = w->stopping || w->rewind;
	unlock(w);
	return recalled;
}

static bool is_stalled(struct store_etcd_watch *w, uint64_t now)
{
	lock(w);
	bool behind = w->expected > w->log.rev;
	unlock(w);
	if (!behind)
		w->moved_ms = now;
	if (now - w->heard_ms > STALL_MS)
		set_why(w, "no sign of life for %d ms", STALL_MS);
	else if (now - w->moved_ms > STALL_MS)
		set_why(w, "a commit of ours did not come by for %d ms", STALL_MS);
	else
		return false;
	return true;
}

/* Follows one stream to its end. false: recalled, not failed. */
static bool follow(struct store_etcd_watch *w)
{
	char why[STORE_GRPC_WHY_MAX];

	if (open_stream(w) != ERR_NONE) {
		set_why(w, "no memory for a stream");
		return true;
	}
	while (!is_recalled(w)) {
		if (store_grpc_stream_run(w->stream, STEP_MS, why) != ERR_NONE) {
			if (!w->failed)
				snprintf(w->why, sizeof(w->why), "%s", why);
			return true;
		}
		uint64_t now = clock_mono_ms();
		if (is_stalled(w, now))
			return true;
		if (ask_for_life(w, now) != ERR_NONE) {
			set_why(w, "no memory for a request");
			return true;
		}
		if (w->heard_ms + ASK_MS > w->asked_ms)
			w->retry_ms = RETRY_MIN_MS;
	}
	return false;
}

static void note_failure(struct store_etcd_watch *w)
{
	uint32_t held;

	if (log_limit_take(&w->limit, clock_mono_ms(), &held))
		log_warn("store: etcd: the watch ended and goes on at the next member: %s (%u held back)", w->why, held);
}

/* A pause that grows, ended early by the owner. */
static void pause_a_moment(struct store_etcd_watch *w)
{
	struct timespec end;
	uint64_t end_ms = clock_mono_ms() + w->retry_ms;

	end.tv_sec = (time_t)(end_ms / 1000);
	end.tv_nsec = (long)(end_ms % 1000) * 1000000;
	lock(w);
	while (!w->stopping && !w->rewind && pthread_cond_timedwait(&w->moved, &w->lock, &end) == 0)
		continue;
	unlock(w);
	w->retry_ms = w->retry_ms * 2 < RETRY_MAX_MS ? w->retry_ms * 2 : RETRY_MAX_MS;
}

static bool begin_round(struct store_etcd_watch *w)
{
	lock(w);
	bool stopping = w->stopping;
	if (w->rewind)
		store_etcd_log_reset(&w->log, w->rewind_to);
	w->rewind = false;
	must(pthread_cond_broadcast(&w->moved) == 0);
	unlock(w);
	return !stopping;
}

static void *run(void *arg)
{
	struct store_etcd_watch *w = arg;

	while (begin_round(w)) {
		if (!follow(w))
			continue;
		note_failure(w);
		w->endpoint = (w->endpoint + 1) % w->c->endpoint_cnt;
		pause_a_moment(w);
	}
	return NULL;
}

/* ---- the owner's side ---- */

uint64_t store_etcd_watch_rev(struct store_etcd_watch *w)
{
	lock(w);
	uint64_t rev = w->log.rev;
	unlock(w);
	return rev;
}

void store_etcd_watch_expect(struct store_etcd_watch *w, uint64_t rev)
{
	lock(w);
	if (rev > w->expected)
		w->expected = rev;
	unlock(w);
}

void store_etcd_watch_rewind(struct store_etcd_watch *w, uint64_t after_rev)
{
	lock(w);
	w->rewind = true;
	w->rewind_to = after_rev;
	must(pthread_cond_broadcast(&w->moved) == 0);
	unlock(w);
	store_grpc_stream_wake(w->stream);
}

MUST_USE enum err store_etcd_watch_await(struct store_etcd_watch *w, uint64_t after_rev, uint64_t rev, uint64_t end_ms)
{
	const struct timespec end = { .tv_sec = (time_t)(end_ms / 1000), .tv_nsec = (long)(end_ms % 1000) * 1000000 };
	enum err err = ERR_NONE;
	int rc = 0;

	lock(w);
	while (rc == 0 && (w->rewind || (w->log.floor <= after_rev && w->log.rev < rev)))
		rc = pthread_cond_timedwait(&w->moved, &w->lock, &end);
	if (rc != 0)
		err = ERR_AWAY;
	else if (w->log.floor > after_rev)
		err = ERR_NOTFOUND;
	unlock(w);
	return err;
}

MUST_USE enum err store_etcd_watch_visit(struct store_etcd_watch *w, struct bytes prefix, const struct store_pos *from,
					 uint64_t upto, store_visit_fn *visit, void *arg, uint64_t *ret_rev)
{
	enum err err = ERR_COMPACTED;

	lock(w);
	if (upto == 0 || upto > w->log.rev)
		upto = w->log.rev;
	if (from->rev > w->log.floor) {
		store_etcd_log_visit(&w->log, prefix, from, upto, visit, arg);
		*ret_rev = upto;
		err = ERR_NONE;
	}
	unlock(w);
	return err;
}

static bool start_masked(struct store_etcd_watch *w)
{
	sigset_t all, before;

	sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	int rc = pthread_create(&w->id, NULL, run, w);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (rc == 0)
		(void)pthread_setname_np(w->id, "etcd watch");
	return rc == 0;
}

static void free_watch(struct store_etcd_watch *w)
{
	store_grpc_stream_free(w->stream);
	store_etcd_log_fini(&w->log);
	pthread_cond_destroy(&w->moved);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* Waits count in the monotonic clock: the wall clock may jump. */
static void make_lock(struct store_etcd_watch *w)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	must(pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->moved, &attr) == 0);
	pthread_condattr_destroy(&attr);
}

MUST_USE enum err store_etcd_watch_start(const struct store_grpc_config *c, const char *prefix, uint64_t from_rev,
					 int wake_fd, struct store_etcd_watch **ret)
{
	struct store_etcd_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return ERR_MEMORY;
	make_lock(w);
	w->c = c;
	w->prefix = prefix;
	w->wake_fd = wake_fd;
	w->retry_ms = RETRY_MIN_MS;
	w->limit = (struct log_limit){ .burst = 5, .window_ms = 10000 };
	enum err err = store_etcd_log_init(&w->log, from_rev);
	if (err == ERR_NONE)
		err = store_grpc_stream_new(c, on_message, w, &w->stream);
	if (err == ERR_NONE && !start_masked(w))
		err = ERR_SYSTEM;
	if (err != ERR_NONE) {
		free_watch(w);
		return err;
	}
	*ret = w;
	return ERR_NONE;
}

void store_etcd_watch_stop(struct store_etcd_watch *w)
{
	if (w == NULL)
		return;
	lock(w);
	w->stopping = true;
	must(pthread_cond_broadcast(&w->moved) == 0);
	unlock(w);
	store_grpc_stream_wake(w->stream);
	must(pthread_join(w->id, NULL) == 0);
	free_watch(w);
}
