// Reading an INI file by a table of keys: what the schemas of conf/ share.
// One thread, at start. Private to conf/.
#pragma once

#include "conf/table.h"

#define CONF_ROWS_MAX 64    /* keys of a schema */
#define CONF_SECTION_MAX 64 /* what stands between the brackets, with a NUL */

struct conf_reading;

struct conf_schema {
	const struct conf_row *rows;
	size_t row_cnt;      /* at most CONF_ROWS_MAX */
	const char *named;   /* the section that comes once for each name: "[tunnel NAME]"; NULL: none */
	/* What the rows of a section write into; NULL after conf_fail. name is "" where the section takes none. */
	void *(*begin)(struct conf_reading *r, const char *section, const char *name);
	/* After the last line: values that do not go together. */
	void (*check)(struct conf_reading *r);
};

/* One reading of a file; the first error is kept and ends the reading. */
struct conf_reading {
	const struct conf_schema *schema;
	void *value;         /* the schema's, filled */
	FILE *f;
	const char *path;
	char *error;
	enum err result;
	int line;            /* of the text; 0: the file as a whole */
	bool indented;       /* the present line continues the value above */
	void *base;          /* of the present section */
	char section[CONF_SECTION_MAX];
	uint64_t seen;       /* bit set over the rows */
	int lines[CONF_ROWS_MAX]; /* where each row stood last; 0: nowhere */
	char *text;          /* the present line, getline's */
	size_t text_cap;
};

__attribute__((format(printf, 3, 4))) void conf_fail(struct conf_reading *r, enum err e, const char *fmt, ...);

/* What fails from here on is said of the line where this key stands; where it does not stand, of the file as a whole. */
void conf_at(struct conf_reading *r, const char *key);

/* Every default into base, of the rows of this section (NULL: all). */
void conf_defaults(const struct conf_schema *schema, const char *section, void *base);

/* Reads the file over what *value has. On failure *value is in part filled. Errors as of conf_read. */
MUST_USE enum err conf_read_by(const struct conf_schema *schema, const char *path, void *value,
			       char error[static CONF_ERROR_MAX]);

/* The example and the man page's list of a schema. intro: the first lines of the example. */
void conf_print_example_of(const struct conf_schema *schema, const char *intro, FILE *f);
void conf_print_man_of(const struct conf_schema *schema, FILE *f);
