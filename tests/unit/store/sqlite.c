// What only the SQLite engine promises: the file, and that an acknowledged commit outlives the process.
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <sqlite3.h>

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	place_make(p);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	place_remove(*state);
	free(*state);
	return 0;
}

static struct store *open_store(void **state)
{
	const struct place *p = *state;
	struct store *s;
	assert_int_equal(store_sqlite_open(p->path, &s), ERR_NONE);
	return s;
}

static void run_sql(void **state, const char *sql)
{
	const struct place *p = *state;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_open_gives(void **state, enum err want)
{
	const struct place *p = *state;
	struct store *s = NULL;
	assert_int_equal(store_sqlite_open(p->path, &s), want);
	assert_null(s);
}

static size_t read_file(void **state, char *buf, size_t cap)
{
	const struct place *p = *state;
	FILE *f = fopen(p->path, "rb");
	assert_non_null(f);
	size_t n = fread(buf, 1, cap, f);
	fclose(f);
	return n;
}

static void write_file(void **state, const char *text)
{
	const struct place *p = *state;
	FILE *f = fopen(p->path, "wb");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void new_file_is_for_its_owner_only(void **state)
{
	const struct place *p = *state;
	struct stat st;
	char wal[128];
	struct store *s = open_store(state);

	put(s, "k", "v");
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(wal, sizeof(wal), "%s-wal", p->path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	store_free(s);
}

static void reopened_file_has_all_and_goes_on_counting(void **state)
{
	struct store *s = open_store(state);
	struct seen seen = { 0 };

	uint64_t made = put(s, "a", "1");
	put(s, "b", "1");
	uint64_t gone = delete_one(s, "b");
	store_free(s);
	s = open_store(state);
	assert_int_equal(changes(s, "", 0, &seen), gone);
	assert_keys(&seen, "a -b");
	assert_int_equal(seen.v[0].create_rev, made);
	assert_int_equal(put(s, "c", "1"), gone + 1);
	store_free(s);
	seen_clear(&seen);
}

static void empty_file_is_taken(void **state)
{
	write_file(state, "");
	struct store *s = open_store(state);
	put(s, "k", "v");
	store_free(s);
}

static void text_file_is_refused_and_left_alone(void **state)
{
	static const char text[] = "This is somebody's shopping list, and not a database at all: milk, eggs, bread, "
				   "and enough more to look like a whole header of a file.\n";
	char after[256] = "";

	write_file(state, text);
	assert_open_gives(state, ERR_SYNTAX);
	read_file(state, after, sizeof(after) - 1);
	assert_string_equal(after, text);
}

static void foreign_database_is_refused_and_left_alone(void **state)
{
	static char before[65536], after[65536];

	run_sql(state, "CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('x');");
	size_t n = read_file(state, before, sizeof(before));
	assert_open_gives(state, ERR_SYNTAX);
	assert_int_equal(read_file(state, after, sizeof(after)), n);
	assert_memory_equal(before, after, n);
}

static void other_programs_mark_is_refused(void **state)
{
	run_sql(state, "PRAGMA application_id = 1234567;");
	assert_open_gives(state, ERR_SYNTAX);
}

static void newer_schema_is_refused(void **state)
{
	store_free(open_store(state));
	run_sql(state, "UPDATE meta SET schema = schema + 1");
	assert_open_gives(state, ERR_VERSION);
	run_sql(state, "UPDATE meta SET schema = schema - 1");
	store_free(open_store(state));
}

#define KV_OF_BEFORE                                                                                                  \
	"ALTER TABLE kv RENAME TO kv_now;"                                                                                 \
	"CREATE TABLE kv (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL,"                                             \
	" create_rev INTEGER NOT NULL, mod_rev INTEGER NOT NULL);"                                                         \
	"INSERT INTO kv SELECT key, value, create_rev, id >> 16 FROM kv_now ORDER BY key DESC;"                            \
	"DROP TABLE kv_now; CREATE INDEX kv_mod ON kv (mod_rev, key);"

/* Rows of two revisions, one of which is of several keys and a deletion. */
static uint64_t put_some(struct store *s)
{
	const struct store_op ops[] = { put_op("b", "2"), { STORE_DELETE, bytes_str("c"), { NULL, 0 } }, put_op("d", "2"),
					put_op("a", "2") };

	put(s, "c", "1");
	put(s, "z", "1");
	put(s, "a", "1");
	struct store_result r = store_commit(s, &(struct store_txn){ .ops = ops, .op_cnt = ARRAY_LEN(ops) });
	assert_int_equal(r.err, ERR_NONE);
	return r.rev;
}

static void assert_some(struct store *s, uint64_t rev)
{
	struct seen seen = { 0 };
	struct seen_row row;

	assert_int_equal(changes(s, "", 0, &seen), rev);
	assert_keys(&seen, "z a b -c d");
	assert_int_equal(get_row(s, "a", &row), ERR_NONE);
	assert_int_equal(row.mod_rev, rev);
	assert_int_equal(row.create_rev, rev - 1);
	assert_string_equal(row.value, "2");
	assert_int_equal(put(s, "c", "3"), rev + 1);
	seen_clear(&seen);
}

static void changes_of_one_revision_come_in_order_of_key(void **state)
{
	struct store *s = open_store(state);

	assert_some(s, put_some(s));
	store_free(s);
}

static void file_of_version_1_is_taken_over(void **state)
{
	struct store *s = open_store(state);
	struct store_lease lease;

	uint64_t rev = put_some(s);
	store_free(s);
	run_sql(state, KV_OF_BEFORE "DROP TABLE lease; DROP TABLE leased; UPDATE meta SET schema = 1");
	s = open_store(state);
	assert_some(s, rev);
	assert_int_equal(store_lease_grant(s, 1000, &lease), ERR_NONE);
	store_free(s);
	store_free(open_store(state));
}

static void file_of_version_2_is_taken_over(void **state)
{
	struct store *s = open_store(state);

	uint64_t rev = put_some(s);
	store_free(s);
	run_sql(state, KV_OF_BEFORE "UPDATE meta SET schema = 2");
	s = open_store(state);
	assert_some(s, rev);
	store_free(s);
}

static void lease_of_before_has_its_whole_time_again(void **state)
{
	struct store_op op = put_op("k", "v");
	struct store *s = open_store(state);
	struct seen_row row;
	struct store_lease lease;

	assert_int_equal(store_lease_grant(s, 1500, &lease), ERR_NONE);
	assert_int_equal(store_commit(s, &(struct store_txn){ .ops = &op, .op_cnt = 1, .lease = lease.id }).err, ERR_NONE);
	store_free(s);
	usleep(1600000);
	s = open_store(state);
	assert_int_equal(store_lease_renew(s, lease.id), ERR_NONE);
	assert_int_equal(get_row(s, "k", &row), ERR_NONE);
	usleep(1600000);
	assert_int_equal(get_row(s, "k", &row), ERR_NOTFOUND);
	store_free(s);
	s = open_store(state);
	assert_int_equal(store_lease_renew(s, lease.id), ERR_NOTFOUND);
	store_free(s);
}

static void missing_folder_is_an_error(void **state)
{
	struct store *s = NULL;
	(void)state;
	assert_int_equal(store_sqlite_open("/nonexistent/folder/db", &s), ERR_SYSTEM);
	assert_null(s);
}

static void wake_fd_tells_commits(void **state)
{
	struct store *s = open_store(state);
	struct pollfd pfd = { .fd = store_wake_fd(s), .events = POLLIN };
	uint64_t cnt;

	assert_int_equal(poll(&pfd, 1, 0), 0);
	uint64_t rev = put(s, "k", "v");
	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(read(pfd.fd, &cnt, sizeof(cnt)), sizeof(cnt));
	assert_int_equal(put_if(s, "k", "w", rev + 1).err, ERR_CONFLICT);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	store_free(s);
}

/* ---- more than one writer ---- */

enum { WRITERS = 3, INCREMENTS = 60 };

struct writer {
	pthread_t id;
	struct store *s;
	bool failed;
};

static void *increment(void *arg)
{
	struct writer *w = arg;
	for (unsigned done = 0; done < INCREMENTS && !w->failed;) {
		struct seen seen = { 0 };
		char text[32];
		if (store_get(w->s, bytes_str("n"), see_row, &seen) != ERR_NONE) {
			w->failed = true;
			break;
		}
		snprintf(text, sizeof(text), "%lu", strtoul(seen.v[0].value, NULL, 10) + 1);
		struct store_result r = put_if(w->s, "n", text, seen.v[0].mod_rev);
		done += r.err == ERR_NONE;
		w->failed = r.err != ERR_NONE && r.err != ERR_CONFLICT;
		seen_clear(&seen);
	}
	return NULL;
}

static void concurrent_writers_lose_no_increment(void **state)
{
	struct writer writers[WRITERS] = { 0 };
	struct store *s = open_store(state);
	struct seen_row row;
	char want[32];

	put(s, "n", "0");
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i].s = open_store(state);
		assert_int_equal(pthread_create(&writers[i].id, NULL, increment, &writers[i]), 0);
	}
	for (size_t i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].id, NULL), 0);
		assert_false(writers[i].failed);
		store_free(writers[i].s);
	}
	snprintf(want, sizeof(want), "%d", WRITERS * INCREMENTS);
	assert_int_equal(get_row(s, "n", &row), ERR_NONE);
	assert_string_equal(row.value, want);
	store_free(s);
}

/* ---- crashes ---- */

/* Commits groups of two transactions over two keys each, for ever; tells each acknowledged number. */
static _Noreturn void commit_until_killed(const char *path, int fd, uint32_t n)
{
	struct store *s;

	if (store_sqlite_open(path, &s) != ERR_NONE)
		_exit(1);
	for (;; n++) {
		char text[16], own[2][24];
		struct store_op ops[2][2];
		struct store_txn txns[2];
		struct store_result r[2];
		snprintf(text, sizeof(text), "%u", n);
		for (size_t i = 0; i < 2; i++) {
			snprintf(own[i], sizeof(own[i]), "own/%zu/%u", i, n);
			ops[i][0] = put_op(i == 0 ? "last/0" : "last/1", text);
			ops[i][1] = put_op(own[i], text);
			txns[i] = (struct store_txn){ .ops = ops[i], .op_cnt = 2 };
		}
		store_commit_many(s, txns, 2, r);
		if (r[0].err != ERR_NONE || r[1].err != ERR_NONE)
			_exit(2);
		if (write(fd, &n, sizeof(n)) != sizeof(n))
			_exit(3);
	}
}

/* The last number that the child acknowledged before it was killed. */
static uint32_t run_and_kill(const char *path, uint32_t first, unsigned min_acks)
{
	int fds[2], status;
	uint32_t n, last = 0;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		commit_until_killed(path, fds[1], first);
	}
	close(fds[1]);
	for (unsigned acks = 0; read(fds[0], &n, sizeof(n)) == sizeof(n); acks++) {
		last = n;
		if (acks == min_acks)
			kill(pid, SIGKILL);
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(last >= first + min_acks);
	return last;
}

/* All acknowledged numbers are there, and of each transaction all or nothing. */
static uint32_t check_after_crash(struct store *s, uint32_t acked)
{
	struct seen seen = { 0 };
	struct seen_row row;
	uint32_t top = 0;

	for (uint32_t i = 0; i < 2; i++) {
		char prefix[16];
		snprintf(prefix, sizeof(prefix), i == 0 ? "last/0" : "last/1");
		assert_int_equal(get_row(s, prefix, &row), ERR_NONE);
		uint32_t last = (uint32_t)strtoul(row.value, NULL, 10);
		assert_true(last >= acked && last <= acked + 1);
		snprintf(prefix, sizeof(prefix), "own/%u/", i);
		list(s, prefix, "", 0, &seen);
		assert_int_equal(seen.cnt, last);
		assert_true(i == 0 || top == last); /* one group, one durable write */
		top = last;
	}
	seen_clear(&seen);
	return top;
}

static void acknowledged_commits_outlive_a_kill(void **state)
{
	const struct place *p = *state;
	uint32_t next = 1;

	for (unsigned round = 0; round < 12; round++) {
		uint32_t acked = run_and_kill(p->path, next, 5 + round * 7);
		struct store *s = open_store(state);
		next = check_after_crash(s, acked) + 1;
		/* Revisions of lost and kept commits alike are counted without a gap. */
		assert_int_equal(put(s, "check", "x"), (uint64_t)(next - 1) * 2 + round + 1);
		store_free(s);
	}
}

/* ---- a disk that is full ---- */

static void limit_files(rlim_t bytes)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_FSIZE, &l) != 0)
		_exit(10);
	l.rlim_cur = bytes;
	if (setrlimit(RLIMIT_FSIZE, &l) != 0)
		_exit(11);
}

static struct store_result put_big(struct store *s, unsigned n)
{
	static uint8_t value[STORE_VALUE_MAX];
	char key[16];
	snprintf(key, sizeof(key), "big/%04u", n);
	struct store_op op = { STORE_PUT, bytes_str(key), BYTES_OF(value) };
	return store_commit(s, &(struct store_txn){ .ops = &op, .op_cnt = 1 });
}

static _Noreturn void fill_the_disk(const char *path, int fd)
{
	struct store *s;
	unsigned n = 0, failed;

	signal(SIGXFSZ, SIG_IGN);
	if (store_sqlite_open(path, &s) != ERR_NONE)
		_exit(1);
	limit_files(300000);
	enum err err = ERR_NONE;
	while ((err = put_big(s, n).err) == ERR_NONE && n < 1000)
		n++;
	if (err != ERR_SYSTEM && err != ERR_UNKNOWN_OUTCOME)
		_exit(2);
	failed = n;
	limit_files(RLIM_INFINITY);
	/* It goes on when there is room again. */
	for (n++; n < failed + 10; n++)
		if (put_big(s, n).err != ERR_NONE)
			_exit(3);
	unsigned report[2] = { failed, n };
	_exit(write(fd, report, sizeof(report)) == sizeof(report) ? 0 : 4);
}

static void full_disk_fails_commits_and_loses_none(void **state)
{
	const struct place *p = *state;
	struct seen seen = { 0 };
	unsigned report[2];
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		fill_the_disk(p->path, fds[1]);
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(read(fds[0], report, sizeof(report)), sizeof(report));
	close(fds[0]);
	assert_true(report[0] > 0);
	struct store *s = open_store(state);
	list(s, "big/", "", 0, &seen);
	for (unsigned n = 0, at = 0; n < report[1]; n++) {
		if (n == report[0])
			continue;
		assert_int_equal(strtoul(seen.v[at++].key + 4, NULL, 10), n);
	}
	store_free(s);
	seen_clear(&seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(new_file_is_for_its_owner_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reopened_file_has_all_and_goes_on_counting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(empty_file_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(text_file_is_refused_and_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(foreign_database_is_refused_and_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_programs_mark_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(newer_schema_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(changes_of_one_revision_come_in_order_of_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(file_of_version_1_is_taken_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(file_of_version_2_is_taken_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lease_of_before_has_its_whole_time_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(missing_folder_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wake_fd_tells_commits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(concurrent_writers_lose_no_increment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(acknowledged_commits_outlive_a_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(full_disk_fails_commits_and_loses_none, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("store sqlite", tests, NULL, NULL);
}
