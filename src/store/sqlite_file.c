#include "store/sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define TEXT_OF(x) #x
#define NUMBER_TEXT(x) TEXT_OF(x)

/* Another process (an administrator's sqlite3) may hold the file for a moment. */
enum { BUSY_MS = 5000 };

/* The log is copied into the file when it has come to this, 16 MB. A start after a crash reads it. */
#define LOG_PAGES 4096

/* What version 2 added. */
#define LEASE_TABLES_SQL                                                                      \
	"CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL);"               \
	"CREATE TABLE leased (key BLOB NOT NULL PRIMARY KEY, lease INTEGER NOT NULL);"        \
	"CREATE INDEX leased_lease ON leased (lease);"

#define KV_SQL                                                                                                        \
	"CREATE TABLE kv (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL,"                          \
	" create_rev INTEGER NOT NULL);"

/* Before version 3 the rows were not in order of revision. */
#define REORDER_SQL                                                                                                   \
	"ALTER TABLE kv RENAME TO kv_before;" KV_SQL                                                                       \
	"INSERT INTO kv (id, key, value, create_rev) SELECT (mod_rev << " STORE_SQLITE_PLACE_BITS_TEXT ") +"              \
	" row_number() OVER (PARTITION BY mod_rev ORDER BY key) - 1, key, value, create_rev FROM kv_before;"               \
	"DROP TABLE kv_before;"

static const char schema_sql[] =
	KV_SQL
	"CREATE TABLE gone (seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, rev INTEGER NOT NULL);"
	"CREATE INDEX gone_rev ON gone (rev, key);"
	LEASE_TABLES_SQL
	"CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL,"
	" rev INTEGER NOT NULL, compacted INTEGER NOT NULL);"
	"INSERT INTO meta (id, schema, rev, compacted) VALUES (1, " NUMBER_TEXT(STORE_SQLITE_SCHEMA) ", 0, 0);"
	"PRAGMA application_id = " NUMBER_TEXT(STORE_SQLITE_APPLICATION) ";";

/* SQLite would make the file readable for others. O_EXCL: closing a descriptor of a file that SQLite has
 * open elsewhere in this process would drop its locks. */
static enum err make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST ? ERR_NONE : ERR_SYSTEM;
	close(fd);
	return ERR_NONE;
}

static enum err error_of(int rc)
{
	return (rc & 0xff) == SQLITE_NOTADB ? ERR_SYNTAX : ERR_SYSTEM;
}

static enum err run_sql(sqlite3 *db, const char *sql)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? ERR_NONE : error_of(rc);
}

/* The number in the first column of the first row. */
static enum err read_number(sqlite3 *db, const char *sql, sqlite3_int64 *ret)
{
	sqlite3_stmt *st = NULL;
	enum err err = ERR_NONE;

	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else
		err = rc == SQLITE_DONE ? ERR_SYNTAX : error_of(rc);
	sqlite3_finalize(st);
	return err;
}

/* A file without any table and mark, as it was made a moment ago or before a crash. */
static enum err find_empty(sqlite3 *db, bool *ret_empty)
{
	sqlite3_int64 mark, version, tables;
	enum err err = read_number(db, "PRAGMA application_id", &mark);

	if (err == ERR_NONE)
		err = read_number(db, "PRAGMA user_version", &version);
	if (err == ERR_NONE)
		err = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err == ERR_NONE)
		*ret_empty = mark == 0 && version == 0 && tables == 0;
	return err;
}

static enum err make_tables(sqlite3 *db)
{
	bool empty;
	enum err err = run_sql(db, "BEGIN IMMEDIATE");

	if (err != ERR_NONE)
		return err;
	/* Another process may have been first. */
	err = find_empty(db, &empty);
	if (err == ERR_NONE && empty)
		err = run_sql(db, schema_sql);
	if (err == ERR_NONE)
		err = run_sql(db, "COMMIT");
	if (err != ERR_NONE && !sqlite3_get_autocommit(db) && run_sql(db, "ROLLBACK") != ERR_NONE)
		log_warn("store: cannot roll back: %s", sqlite3_errmsg(db));
	return err;
}

/* In one transaction: a crash leaves the file of before. */
static enum err upgrade(sqlite3 *db, sqlite3_int64 from)
{
	enum err err = run_sql(db, "BEGIN IMMEDIATE");

	if (err == ERR_NONE && from == 1)
		err = run_sql(db, LEASE_TABLES_SQL);
	if (err == ERR_NONE)
		err = run_sql(db, REORDER_SQL "UPDATE meta SET schema = " NUMBER_TEXT(STORE_SQLITE_SCHEMA) " WHERE id = 1;"
					      "COMMIT");

	if (err != ERR_NONE && !sqlite3_get_autocommit(db) && run_sql(db, "ROLLBACK") != ERR_NONE)
		log_warn("store: cannot roll back: %s", sqlite3_errmsg(db));
	return err;
}

static enum err check_identity(sqlite3 *db)
{
	sqlite3_int64 mark, schema;
	enum err err = read_number(db, "PRAGMA application_id", &mark);

	if (err != ERR_NONE)
		return err;
	if (mark != STORE_SQLITE_APPLICATION)
		return ERR_SYNTAX;
	err = read_number(db, "SELECT schema FROM meta WHERE id = 1", &schema);
	if (err != ERR_NONE)
		return err;
	if (schema > STORE_SQLITE_SCHEMA)
		return ERR_VERSION;
	if (schema == 1 || schema == 2)
		return upgrade(db, schema);
	return schema == STORE_SQLITE_SCHEMA ? ERR_NONE : ERR_SYNTAX;
}

/* An answer means that it will be there after a power cut: the log is synced at each commit. */
static enum err set_durable(sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	sqlite3_int64 level = 0;
	bool wal = false;

	if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		wal = sqlite3_stricmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
	sqlite3_finalize(st);
	if (!wal)
		return ERR_SYSTEM;
	enum err err = run_sql(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = " NUMBER_TEXT(LOG_PAGES));
	if (err == ERR_NONE)
		err = read_number(db, "PRAGMA synchronous", &level);
	return err != ERR_NONE ? err : level == 2 ? ERR_NONE : ERR_SYSTEM;
}

/* SQLite would count its memory under a lock at each allocation, and nobody asks for the sum. */
static void configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* refused if SQLite runs already, which does no harm */
}

/* Nothing is written before the file is known to be ours, or empty. */
static enum err recognise(sqlite3 *db)
{
	bool empty;
	enum err err;

	sqlite3_busy_timeout(db, BUSY_MS);
	sqlite3_extended_result_codes(db, 1);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	/* The gateway may write in its own folder only. */
	if ((err = run_sql(db, "PRAGMA temp_store = MEMORY; PRAGMA synchronous = FULL")) != ERR_NONE)
		return err;
	if ((err = find_empty(db, &empty)) != ERR_NONE)
		return err;
	if (empty && (err = make_tables(db)) != ERR_NONE)
		return err;
	if ((err = check_identity(db)) != ERR_NONE)
		return err;
	return set_durable(db);
}

static const char *say_why(sqlite3 *db, enum err err)
{
	return err == ERR_SYNTAX    ? "it is not a store of this program"
	       : err == ERR_VERSION ? "a newer version of this program made it"
				    : sqlite3_errmsg(db);
}

MUST_USE enum err store_sqlite_file_open(const char *path, sqlite3 **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sqlite3 *db = NULL;
	enum err err = make_file(path);

	must(pthread_once(&once, configure) == 0);
	if (err != ERR_NONE) {
		log_error("store: cannot make %s: %s", path, strerror(errno));
		return err;
	}
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int rc = sqlite3_open_v2(path, &db, flags, NULL);
	err = rc == SQLITE_OK ? recognise(db) : error_of(rc);
	if (err != ERR_NONE) {
		log_error("store: cannot use %s: %s", path, say_why(db, err));
		sqlite3_close(db);
		return err;
	}
	*ret = db;
	return ERR_NONE;
}
