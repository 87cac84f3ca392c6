// The file of the SQLite engine: made, recognised, or refused. Not for users of the store.
// The thread that will own the store.
#pragma once

#include <sqlite3.h>

#include "store/engine.h"

/* The version of the tables that this program writes. */
#define STORE_SQLITE_SCHEMA 3

/* Of a row's number: below its last revision, the place of its key among those that changed with it. */
#define STORE_SQLITE_PLACE_BITS 16
#define STORE_SQLITE_PLACE_BITS_TEXT "16"

/* Marks our files in their header: "ONR1". */
#define STORE_SQLITE_APPLICATION 0x4f4e5231

/* As store_sqlite_open. On failure nothing stays open. */
MUST_USE enum err store_sqlite_file_open(const char *path, sqlite3 **ret);
