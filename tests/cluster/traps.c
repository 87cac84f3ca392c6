// What an etcd client must live through: against three real members that store.py started (ONRAMP_ETCD,
// ONRAMP_ETCD_PIDS in the same order, ONRAMP_ETCD_TLS). With the argument "kill" the first of them, which leads, is
// killed; with "full" there is one, with a quota of 3 MB; with "roles" one where the client may use "test-allowed/" alone.
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "relay.h"
#include "store/grpc.h"
#include "store/grpc_frame.h"

enum { PATIENCE_MS = 8000, LONG_MS = 40000 };

/* In the members' certificate; nobody else listens there. */
static const struct addr_endpoint relay_at = { .addr = { .b = { 127, 0, 0, 9 }, .family = ADDR_V4 }, .port = 2379 };

static pid_t member_pid(size_t index)
{
	char list[128], *save = NULL, *word;
	const char *pids = getenv("ONRAMP_ETCD_PIDS");

	assert_non_null(pids);
	snprintf(list, sizeof(list), "%s", pids);
	word = strtok_r(list, " ", &save);
	for (size_t i = 0; i < index && word != NULL; i++)
		word = strtok_r(NULL, " ", &save);
	assert_non_null(word);
	return (pid_t)atoi(word);
}

/* Waits until the descriptor tells of changes. */
static bool is_woken(struct store *s, int ms)
{
	struct pollfd pfd = { .fd = store_wake_fd(s), .events = POLLIN };
	uint64_t cnt;

	if (poll(&pfd, 1, ms) != 1)
		return false;
	assert_int_equal(read(pfd.fd, &cnt, sizeof(cnt)), sizeof(cnt));
	return true;
}

enum { ROWS_A_TXN = 60 };

/* r/<first>.., cnt (a multiple of ROWS_A_TXN) with that value. */
static void put_rows(struct store *s, size_t first, size_t cnt, struct bytes value)
{
	static char keys[ROWS_A_TXN][16];
	struct store_op ops[ROWS_A_TXN];

	for (size_t n = first; n < first + cnt; n += ROWS_A_TXN) {
		for (size_t i = 0; i < ROWS_A_TXN; i++) {
			snprintf(keys[i], sizeof(keys[i]), "r/%06zu", n + i);
			ops[i] = (struct store_op){ STORE_PUT, bytes_str(keys[i]), value };
		}
		const struct store_txn txn = { .ops = ops, .op_cnt = ROWS_A_TXN };
		assert_int_equal(store_commit(s, &txn).err, ERR_NONE);
	}
}

/* ---- long ranges ---- */

/* Longer than one answer may be. What the first rows are like does not tell what the others are. */
static void long_rows_may_follow_short_ones(void **state)
{
	enum { SHORT = 1200, LONG = 2100 };
	struct store *s = etcd_open_at(etcd_new_prefix(), 0, PATIENCE_MS);
	static uint8_t value[STORE_VALUE_MAX];
	struct seen all = { 0 };

	(void)state;
	_Static_assert((size_t)LONG * STORE_VALUE_MAX > STORE_GRPC_MSG_MAX, "they do not fit one answer");
	put_rows(s, 0, SHORT, bytes_of(value, 1));
	put_rows(s, SHORT, LONG, BYTES_OF(value));
	list(s, "r/", "", 0, &all);
	assert_int_equal(all.cnt, SHORT + LONG);
	assert_string_equal(all.v[SHORT + LONG - 1].key, "r/003299");
	assert_int_equal(all.v[SHORT].value_len, STORE_VALUE_MAX);
	seen_clear(&all);
	store_free(s);
}

/* ---- the watch has a connection of its own ---- */

struct listing {
	struct store *reader, *writer;
	size_t rows;
	bool woken;
};

static void write_in_the_middle(void *arg, const struct store_row *row)
{
	struct listing *l = arg;

	(void)row;
	if (++l->rows != 1500)
		return;
	while (is_woken(l->reader, 0))
		continue;
	put(l->writer, "z", "now");
	l->woken = is_woken(l->reader, PATIENCE_MS);
}

static void changes_are_told_in_the_middle_of_a_long_answer(void **state)
{
	enum { ROWS = 3000 };
	const char *prefix = etcd_new_prefix();
	struct listing l = { .reader = etcd_open_at(prefix, 0, PATIENCE_MS), .writer = etcd_open_at(prefix, 0, PATIENCE_MS) };
	static uint8_t value[2000];

	(void)state;
	put_rows(l.writer, 0, ROWS, BYTES_OF(value));
	assert_int_equal(store_range(l.reader, bytes_str("r/"), bytes_str(""), 0, write_in_the_middle, &l, NULL), ERR_NONE);
	assert_int_equal(l.rows, ROWS);
	assert_true(l.woken);
	store_free(l.reader);
	store_free(l.writer);
}

/* ---- members that stop ---- */

struct writer {
	pthread_t id;
	struct store *s;
	_Atomic unsigned done;
	unsigned cnt;
	enum err failed;
};

/* Each key is created once: an answer that was lost and asked for again blindly would be a conflict. */
static void *write_numbered(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < w->cnt && w->failed == ERR_NONE; i++) {
		char key[16];
		snprintf(key, sizeof(key), "n/%05u", i);
		w->failed = put_if(w->s, key, "v", 0).err;
		w->done = i + 1;
		usleep(10000);
	}
	return NULL;
}

/* Every number once, in order. */
static void follow_numbered(struct store *s, unsigned cnt, uint64_t from)
{
	uint64_t end = clock_mono_ms() + LONG_MS;
	unsigned next = 0;

	while (next < cnt && clock_mono_ms() < end) {
		struct seen seen = { 0 };
		(void)is_woken(s, 500);
		from = changes(s, "n/", from, &seen);
		for (size_t i = 0; i < seen.cnt; i++) {
			char want[16];
			snprintf(want, sizeof(want), "n/%05u", next++);
			assert_string_equal(seen.v[i].key, want);
			assert_false(seen.v[i].deleted);
		}
		seen_clear(&seen);
	}
	assert_int_equal(next, cnt);
}

/* reader and writer begin at these members; the first member is sent the signal in the middle. */
static void write_and_follow(size_t reader_at, size_t writer_at, int signal_no, unsigned cnt)
{
	const char *prefix = etcd_new_prefix();
	struct store *reader = etcd_open_at(prefix, reader_at, PATIENCE_MS);
	struct writer w = { .s = etcd_open_at(prefix, writer_at, 15000), .cnt = cnt };
	struct seen seen = { 0 };
	uint64_t from = list(reader, "n/", "", 0, &seen);

	assert_int_equal(pthread_create(&w.id, NULL, write_numbered, &w), 0);
	while (w.done < cnt / 4 && w.failed == ERR_NONE)
		usleep(1000);
	assert_int_equal(kill(member_pid(0), signal_no), 0);
	follow_numbered(reader, cnt, from);
	if (signal_no == SIGSTOP)
		assert_int_equal(kill(member_pid(0), SIGCONT), 0);
	assert_int_equal(pthread_join(w.id, NULL), 0);
	assert_int_equal(w.failed, ERR_NONE);
	assert_int_equal(w.done, cnt);
	list(reader, "n/", "", 0, &seen);
	assert_int_equal(seen.cnt, cnt);
	seen_clear(&seen);
	store_free(reader);
	store_free(w.s);
}

static void watch_leaves_a_member_that_is_frozen(void **state)
{
	(void)state;
	write_and_follow(0, 1, SIGSTOP, 250);
}

static void commits_leave_a_member_that_is_frozen(void **state)
{
	(void)state;
	write_and_follow(1, 0, SIGSTOP, 250);
}

static void killed_leader_costs_no_change_and_doubles_none(void **state)
{
	(void)state;
	write_and_follow(0, 0, SIGKILL, 300);
}

/* ---- answers that do not come ---- */

struct relayed {
	struct relay *relay;
	struct store *s;     /* by way of the relay; its others are the members, if any */
	struct store *other; /* the same keys, not by way of it */
};

static struct relayed open_relayed(bool others, unsigned timeout_ms)
{
	struct addr_endpoint all[ETCD_ENDPOINTS_MAX], list[ETCD_ENDPOINTS_MAX + 1] = { relay_at };
	size_t cnt = etcd_endpoints(all);
	const char *prefix = etcd_new_prefix();
	struct relayed r = { .relay = relay_start(&relay_at, &all[0]), .other = etcd_open_at(prefix, 0, PATIENCE_MS) };

	for (size_t i = 1; i < cnt; i++)
		list[i] = all[i];
	assert_int_equal(etcd_try_open(list, others ? cnt : 1, "ca.pem", prefix, timeout_ms, &r.s), ERR_NONE);
	return r;
}

static void close_relayed(struct relayed *r)
{
	relay_set(r->relay, RELAY_PASS);
	store_free(r->s);
	store_free(r->other);
	relay_stop(r->relay);
}

static void lost_answer_of_a_commit_is_found_again(void **state)
{
	struct relayed r = open_relayed(true, PATIENCE_MS);
	struct store_cmp absent[] = { { bytes_str("a"), 0 }, { bytes_str("there"), 0 }, { bytes_str("b"), 0 } };
	struct store_op ops[] = { put_op("a", "1"), put_op("there", "2"), put_op("b", "3") };
	struct store_txn txns[3];
	struct store_result results[3];
	struct seen_row row;

	(void)state;
	put(r.s, "there", "1");
	for (size_t i = 0; i < 3; i++)
		txns[i] = (struct store_txn){ .cmps = &absent[i], .cmp_cnt = 1, .ops = &ops[i], .op_cnt = 1 };
	relay_set(r.relay, RELAY_CUT);
	store_commit_many(r.s, txns, 3, results);
	assert_true(relay_cuts(r.relay) > 0);
	assert_int_equal(results[0].err, ERR_NONE);
	assert_int_equal(results[1].err, ERR_CONFLICT);
	assert_int_equal(results[2].err, ERR_NONE);
	assert_int_equal(get_row(r.other, "b", &row), ERR_NONE);
	assert_int_equal(row.mod_rev, results[2].rev);
	assert_int_equal(row.create_rev, results[2].rev);
	assert_int_equal(get_row(r.other, "there", &row), ERR_NONE);
	assert_string_equal(row.value, "1");
	/* It goes on as before. */
	assert_int_equal(put_if(r.s, "a", "2", results[0].rev).err, ERR_NONE);
	close_relayed(&r);
}

static void lost_request_is_made_again(void **state)
{
	struct relayed r = open_relayed(true, PATIENCE_MS);
	struct seen_row row;

	(void)state;
	put(r.s, "before", "1");
	relay_set(r.relay, RELAY_EAT);
	struct store_result done = put_if(r.s, "k", "1", 0);
	assert_int_equal(done.err, ERR_NONE);
	assert_int_equal(get_row(r.other, "k", &row), ERR_NONE);
	assert_int_equal(row.mod_rev, done.rev);
	close_relayed(&r);
}

/* It lies somewhere on the way while the same is done by another member, and then something else. */
static void late_request_is_not_applied_behind_a_later_one(void **state)
{
	struct relayed r = open_relayed(true, PATIENCE_MS);
	struct seen_row row;

	(void)state;
	put(r.s, "k", "0");
	relay_set(r.relay, RELAY_HOLD);
	put(r.s, "k", "1");
	assert_true(relay_held(r.relay) > 0);
	uint64_t rev = put(r.s, "k", "2");
	relay_set(r.relay, RELAY_PASS);
	usleep(800000);
	assert_int_equal(get_row(r.other, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "2");
	assert_int_equal(row.mod_rev, rev);
	close_relayed(&r);
}

static void unknown_outcome_is_certain_at_the_next_read(void **state)
{
	struct relayed r = open_relayed(false, 2000);
	struct seen_row row;

	(void)state;
	put(r.s, "before", "1");
	relay_set(r.relay, RELAY_CUT);
	assert_int_equal(put_if(r.s, "k", "1", 0).err, ERR_UNKNOWN_OUTCOME);
	relay_set(r.relay, RELAY_REFUSE);
	assert_int_equal(get_row(r.s, "k", &row), ERR_AWAY);
	assert_int_equal(put_if(r.s, "k", "1", 0).err, ERR_AWAY);
	relay_set(r.relay, RELAY_PASS);
	/* The first one had reached etcd. */
	assert_int_equal(get_row(r.s, "k", &row), ERR_NONE);
	assert_string_equal(row.value, "1");
	assert_int_equal(put_if(r.s, "k", "2", 0).err, ERR_CONFLICT);
	assert_int_equal(put_if(r.s, "k", "2", row.mod_rev).err, ERR_NONE);
	close_relayed(&r);
}

/* ---- compaction ---- */

static size_t add_varint(uint8_t *b, uint64_t v)
{
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		b[n++] = (uint8_t)(v | 0x80);
	b[n++] = (uint8_t)v;
	return n;
}

/* CompactionRequest { revision = 1; physical = 2 } */
static void compact(uint64_t rev)
{
	struct addr_endpoint all[ETCD_ENDPOINTS_MAX];
	const char *dir = getenv("ONRAMP_ETCD_TLS");
	char *ca = read_text(dir, "ca.pem"), *cert = read_text(dir, "client.pem"), *key = read_text(dir, "client.key");
	const struct store_grpc_config c = { .endpoints = all, .endpoint_cnt = etcd_endpoints(all), .ca_pem = ca,
					     .cert_pem = cert, .key_pem = key };
	struct store_grpc_answer a;
	struct store_grpc *g;
	uint8_t b[16] = { 0x08 };

	size_t n = 1 + add_varint(b + 1, rev);
	b[n++] = 0x10;
	b[n++] = 1;
	assert_int_equal(store_grpc_new(&c, &g), ERR_NONE);
	store_grpc_call(g, "/etcdserverpb.KV/Compact", bytes_of(b, n), PATIENCE_MS, &a);
	assert_int_equal(a.outcome, GRPC_ANSWERED);
	assert_int_equal(a.status, GRPC_OK);
	store_grpc_free(g);
	free(ca);
	free(cert);
	free(key);
}

static void compacted_history_asks_for_a_new_listing(void **state)
{
	const char *prefix = etcd_new_prefix();
	struct store *s = etcd_open_at(prefix, 0, PATIENCE_MS);
	struct seen seen = { 0 };
	uint64_t next;

	(void)state;
	uint64_t old = put(s, "a", "1");
	uint64_t gone = delete_one(s, "a");
	uint64_t at = put(s, "b", "1");
	changes(s, "", old, &seen);
	assert_keys(&seen, "-a b");
	seen_clear(&seen);
	compact(at);
	/* Of another handle, which has no log of that time. */
	struct store *other = etcd_open_at(prefix, 1, PATIENCE_MS);
	assert_int_equal(store_changes(other, bytes_str(""), 0, see_row, &seen, &next), ERR_COMPACTED);
	assert_int_equal(store_changes(other, bytes_str(""), old, see_row, &seen, &next), ERR_COMPACTED);
	assert_int_equal(seen.cnt, 0);
	put(other, "c", "1");
	changes(other, "", at, &seen);
	assert_keys(&seen, "c");
	/* The one that was there goes on: it has what was compacted. */
	put(s, "d", "1");
	changes(s, "", old, &seen);
	assert_keys(&seen, "-a b c d");
	assert_int_equal(seen.v[0].mod_rev, gone);
	seen_clear(&seen);
	store_free(s);
	store_free(other);
}

static void history_compacted_while_cut_off_is_told(void **state)
{
	struct relayed r = open_relayed(false, 2000);
	struct seen seen = { 0 };
	enum err err = ERR_NONE;

	(void)state;
	put(r.s, "a", "1");
	uint64_t at = list(r.s, "", "", 0, &seen), next;
	relay_set(r.relay, RELAY_REFUSE);
	put(r.other, "b", "1");
	delete_one(r.other, "a");
	compact(delete_one(r.other, "b"));
	relay_set(r.relay, RELAY_PASS);
	for (uint64_t end = clock_mono_ms() + PATIENCE_MS; err != ERR_COMPACTED && clock_mono_ms() < end; usleep(50000)) {
		seen_clear(&seen);
		err = store_changes(r.s, bytes_str(""), at, see_row, &seen, &next);
		assert_int_equal(seen.cnt, 0); /* never a part of what happened */
	}
	assert_int_equal(err, ERR_COMPACTED);
	at = list(r.s, "", "", 0, &seen);
	assert_keys(&seen, "");
	put(r.other, "c", "1");
	put(r.s, "d", "1");
	changes(r.s, "", at, &seen);
	assert_keys(&seen, "c d");
	seen_clear(&seen);
	close_relayed(&r);
}

/* ---- the store thread ---- */

static void note_change(void *arg, const struct store_row *row)
{
	see_row(arg, row);
}

static void note_done(void *arg, const struct store_done *done)
{
	(void)arg;
	(void)done;
}

static void store_thread_tells_what_others_commit(void **state)
{
	const char *prefix = etcd_new_prefix();
	struct store *other = etcd_open_at(prefix, 1, PATIENCE_MS);
	struct store_thread *t;
	struct seen seen = { 0 };

	(void)state;
	uint64_t from = list(other, "", "", 0, &seen);
	assert_int_equal(store_thread_start(etcd_open_at(prefix, 0, PATIENCE_MS), -1, &role_all, &t), ERR_NONE);
	assert_int_equal(store_thread_watch(t, bytes_str("p/"), from), ERR_NONE);
	put(other, "q", "1");
	put(other, "p/a", "1");
	struct store_op op = put_op("p/b", "1");
	assert_int_equal(store_thread_submit(t, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, 0), ERR_NONE);
	for (uint64_t end = clock_mono_ms() + PATIENCE_MS; seen.cnt < 2 && clock_mono_ms() < end;) {
		struct pollfd pfd = { .fd = store_thread_fd(t), .events = POLLIN };
		(void)poll(&pfd, 1, 100);
		store_thread_poll(t, note_done, note_change, &seen);
	}
	assert_keys(&seen, "p/a p/b");
	seen_clear(&seen);
	store_thread_stop(t);
	store_free(other);
}

struct told {
	struct seen seen;
	bool done;
};

static void note_told_change(void *arg, const struct store_row *row)
{
	struct told *told = arg;
	assert_false(told->done);
	see_row(&told->seen, row);
}

static void note_told_done(void *arg, const struct store_done *done)
{
	struct told *told = arg;
	assert_int_equal(done->result.err, ERR_NONE);
	told->done = true;
}

/* A member that has lost its leader holds requests for as long. What others commit is told meanwhile. */
static void store_thread_tells_changes_while_a_request_is_held(void **state)
{
	struct relayed r = open_relayed(true, PATIENCE_MS);
	struct store_op held = put_op("q/held", "1");
	struct store_thread *t;
	struct told told = { 0 };

	(void)state;
	uint64_t from = put(r.other, "p/first", "1");
	assert_int_equal(store_thread_start(r.s, -1, &role_all, &t), ERR_NONE);
	assert_int_equal(store_thread_watch(t, bytes_str("p/"), from), ERR_NONE);
	relay_set(r.relay, RELAY_CUT); /* the watch asks for a sign of life, and leaves for another member */
	while (relay_cuts(r.relay) == 0)
		usleep(10000);
	relay_set(r.relay, RELAY_HOLD);
	assert_int_equal(store_thread_submit(t, &(struct store_txn){ .ops = &held, .op_cnt = 1 }, 1), ERR_NONE);
	while (relay_held(r.relay) == 0)
		usleep(10000);
	put(r.other, "p/a", "1");
	put(r.other, "p/b", "1");
	for (uint64_t end = clock_mono_ms() + PATIENCE_MS; told.seen.cnt < 2 && clock_mono_ms() < end;) {
		struct pollfd pfd = { .fd = store_thread_fd(t), .events = POLLIN };
		(void)poll(&pfd, 1, 100);
		store_thread_poll(t, note_told_done, note_told_change, &told);
	}
	assert_keys(&told.seen, "p/a p/b");
	seen_clear(&told.seen);
	store_thread_stop(t);
	relay_set(r.relay, RELAY_PASS);
	store_free(r.other);
	relay_stop(r.relay);
}

/* ---- opening ---- */

static void next_endpoint_is_taken_where_one_is_down(void **state)
{
	struct addr_endpoint all[ETCD_ENDPOINTS_MAX], list[ETCD_ENDPOINTS_MAX + 1] = { relay_at };
	size_t cnt = etcd_endpoints(all);
	struct store *s;

	(void)state;
	for (size_t i = 0; i < cnt; i++)
		list[i + 1] = all[i];
	assert_int_equal(etcd_try_open(list, cnt + 1, "ca.pem", etcd_new_prefix(), PATIENCE_MS, &s), ERR_NONE);
	put(s, "k", "v");
	store_free(s);
}

static void stranger_is_not_taken_for_etcd(void **state)
{
	struct addr_endpoint all[ETCD_ENDPOINTS_MAX];
	size_t cnt = etcd_endpoints(all);
	struct store *s = NULL;

	(void)state;
	assert_int_equal(etcd_try_open(all, cnt, "other-ca.pem", etcd_new_prefix(), 1000, &s), ERR_AWAY);
	assert_int_equal(etcd_try_open(all, 0, "ca.pem", etcd_new_prefix(), 1000, &s), ERR_RANGE);
	assert_int_equal(etcd_try_open(all, cnt, "ca.pem", "", 1000, &s), ERR_RANGE);
	assert_null(s);
}

/* ---- a full etcd ---- */

static void full_etcd_refuses_writes_and_serves_reads(void **state)
{
	static uint8_t value[STORE_VALUE_MAX];
	struct store *s = etcd_open_new();
	struct seen seen = { 0 };
	struct seen_row row;
	struct store_result r = { 0 };
	char key[16] = "";
	unsigned cnt = 0;

	(void)state;
	for (; r.err == ERR_NONE && cnt < 1000; cnt++) {
		snprintf(key, sizeof(key), "k/%04u", cnt);
		struct store_op op = { STORE_PUT, bytes_str(key), BYTES_OF(value) };
		r = store_commit(s, &(struct store_txn){ .ops = &op, .op_cnt = 1 });
	}
	assert_int_equal(r.err, ERR_FULL);
	/* The one that was refused is not there; all before it are. */
	assert_int_equal(get_row(s, key, &row), ERR_NOTFOUND);
	list(s, "k/", "", 0, &seen);
	assert_int_equal(seen.cnt, cnt - 1);
	changes(s, "k/", seen.v[0].mod_rev, &seen);
	assert_int_equal(seen.cnt, cnt - 2);
	seen_clear(&seen);
	store_free(s);
}

/* ---- a client with a role ---- */

static void role_for_the_prefix_is_all_that_is_needed(void **state)
{
	struct addr_endpoint all[ETCD_ENDPOINTS_MAX];
	size_t cnt = etcd_endpoints(all);
	struct store_lease lease;
	struct seen seen = { 0 };
	struct seen_row row;
	struct store *s = NULL;

	(void)state;
	assert_int_equal(etcd_try_open(all, cnt, "ca.pem", "test-other/", PATIENCE_MS, &s), ERR_DENIED);
	assert_null(s);
	assert_int_equal(etcd_try_open(all, cnt, "ca.pem", "test-allowed/", PATIENCE_MS, &s), ERR_NONE);
	uint64_t rev = put(s, "k", "v");
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	delete_one(s, "k");
	changes(s, "", rev, &seen);
	assert_keys(&seen, "-k");
	assert_int_equal(store_lease_grant(s, 2000, &lease), ERR_NONE);
	assert_int_equal(store_lease_renew(s, lease.id), ERR_NONE);
	assert_int_equal(store_lease_revoke(s, lease.id), ERR_NONE);
	seen_clear(&seen);
	store_free(s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_endpoint_is_taken_where_one_is_down),
		cmocka_unit_test(stranger_is_not_taken_for_etcd),
		cmocka_unit_test(long_rows_may_follow_short_ones),
		cmocka_unit_test(changes_are_told_in_the_middle_of_a_long_answer),
		cmocka_unit_test(lost_answer_of_a_commit_is_found_again),
		cmocka_unit_test(lost_request_is_made_again),
		cmocka_unit_test(late_request_is_not_applied_behind_a_later_one),
		cmocka_unit_test(unknown_outcome_is_certain_at_the_next_read),
		cmocka_unit_test(compacted_history_asks_for_a_new_listing),
		cmocka_unit_test(history_compacted_while_cut_off_is_told),
		cmocka_unit_test(store_thread_tells_what_others_commit),
		cmocka_unit_test(store_thread_tells_changes_while_a_request_is_held),
		cmocka_unit_test(watch_leaves_a_member_that_is_frozen),
		cmocka_unit_test(commits_leave_a_member_that_is_frozen),
	};
	const struct CMUnitTest kill_tests[] = { cmocka_unit_test(killed_leader_costs_no_change_and_doubles_none) };

	const struct CMUnitTest full_tests[] = { cmocka_unit_test(full_etcd_refuses_writes_and_serves_reads) };

	const struct CMUnitTest role_tests[] = { cmocka_unit_test(role_for_the_prefix_is_all_that_is_needed) };

	if (!etcd_is_there()) {
		fprintf(stderr, "tests/cluster/store.py runs this, with an etcd of its own\n");
		return 2;
	}
	if (argc > 1 && strcmp(argv[1], "kill") == 0)
		return cmocka_run_group_tests_name("etcd, a leader killed", kill_tests, NULL, NULL);
	if (argc > 1 && strcmp(argv[1], "full") == 0)
		return cmocka_run_group_tests_name("etcd, full", full_tests, NULL, NULL);
	if (argc > 1 && strcmp(argv[1], "roles") == 0)
		return cmocka_run_group_tests_name("etcd, roles", role_tests, NULL, NULL);
	return cmocka_run_group_tests_name("etcd", tests, NULL, NULL);
}
