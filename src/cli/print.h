// Tables and lists for people, JSON for programs; control characters never reach the terminal.
// Inside cli only.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Text from outside; control characters show as '?'. NULL shows as "-". */
void cli_print_text(FILE *f, const char *text);

/* The result as the API gave it. */
void cli_print_json(const json_t *j);

#define CLI_COLUMNS_MAX 12
#define CLI_CELL_MAX 128

/* A table whose columns are as wide as they must be. */
struct cli_table {
	unsigned column_cnt;
	size_t row_cnt, cap;
	char (*cells)[CLI_CELL_MAX]; /* row by row */
};

/* titles are separated by '|': "name|state" */
void cli_table_init(struct cli_table *t, const char *titles);
/* The next cell of the current row; NULL shows as "-". */
void cli_table_cell(struct cli_table *t, const char *text);
void cli_table_cellf(struct cli_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees; what: said when there are no rows ("no tunnels yet"). */
void cli_table_end(struct cli_table *t, const char *what);

/* "label   value" */
void cli_line(const char *label, const char *value);
void cli_linef(const char *label, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A member's text, NULL if it is absent or no text. */
const char *cli_text(const json_t *o, const char *key);
/* Puts objects into the order of their "name". */
void cli_sort_by_name(json_t *list);
json_int_t cli_number(const json_t *o, const char *key);
/* "1.5 MB" */
#define CLI_SIZE_MAX 32
const char *cli_size(json_int_t bytes, char text[static CLI_SIZE_MAX]);
/* "3 d 2 h" since an RFC 3339 time, "-" for NULL */
const char *cli_age(const char *time, char text[static CLI_SIZE_MAX]);
