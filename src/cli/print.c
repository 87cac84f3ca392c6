#include "cli/print.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/must.h"

/* C0, DEL, and C1 in its UTF-8 form: what a terminal obeys. */
static size_t control_len(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] < 0x20 || u[0] == 0x7f)
		return 1;
	return u[0] == 0xc2 && u[1] >= 0x80 && u[1] <= 0x9f ? 2 : 0;
}

void cli_print_text(FILE *f, const char *text)
{
	if (text == NULL)
		text = "-";
	while (*text != 0) {
		size_t n = control_len(text);
		fputc(n != 0 ? '?' : *text, f);
		text += n != 0 ? n : 1;
	}
}

void cli_print_json(const json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	printf("\n");
}

/* ---- tables ---- */

void cli_table_cell(struct cli_table *t, const char *text)
{
	if (t->row_cnt == t->cap) {
		t->cap = t->cap == 0 ? 64 : 2 * t->cap;
		t->cells = reallocarray(t->cells, t->cap, sizeof(*t->cells));
		must(t->cells != NULL);
	}
	snprintf(t->cells[t->row_cnt++], CLI_CELL_MAX, "%s", text == NULL || text[0] == 0 ? "-" : text);
}

void cli_table_cellf(struct cli_table *t, const char *fmt, ...)
{
	char text[CLI_CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_table_cell(t, text);
}

void cli_table_init(struct cli_table *t, const char *titles)
{
	char all[CLI_COLUMNS_MAX * 32], *rest = all;

	*t = (struct cli_table){ 0 };
	snprintf(all, sizeof(all), "%s", titles);
	for (char *title = strsep(&rest, "|"); title != NULL; title = strsep(&rest, "|")) {
		cli_table_cell(t, title);
		t->column_cnt++;
	}
	must(t->column_cnt <= CLI_COLUMNS_MAX);
}

/* Characters, not bytes: continuation bytes take no place. */
static size_t text_width(const char *s)
{
	size_t n = 0;
	for (; *s != 0; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void cli_table_end(struct cli_table *t, const char *what)
{
	size_t width[CLI_COLUMNS_MAX] = { 0 };

	for (size_t i = 0; i < t->row_cnt; i++)
		if (text_width(t->cells[i]) > width[i % t->column_cnt])
			width[i % t->column_cnt] = text_width(t->cells[i]);
	if (t->row_cnt == t->column_cnt)
		printf("%s\n", what);
	for (size_t i = 0; i < t->row_cnt && t->row_cnt > t->column_cnt; i++) {
		bool last = (i + 1) % t->column_cnt == 0;
		cli_print_text(stdout, t->cells[i]);
		printf("%*s", last ? 0 : (int)(width[i % t->column_cnt] - text_width(t->cells[i]) + 2), "");
		if (last)
			printf("\n");
	}
	free(t->cells);
	*t = (struct cli_table){ 0 };
}

void cli_line(const char *label, const char *value)
{
	printf("%-22s ", label);
	cli_print_text(stdout, value == NULL || value[0] == 0 ? "-" : value);
	printf("\n");
}

void cli_linef(const char *label, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_line(label, text);
}

/* ---- values ---- */

const char *cli_text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int compare_names(const void *a, const void *b)
{
	const char *x = cli_text(*(json_t *const *)a, "name"), *y = cli_text(*(json_t *const *)b, "name");
	return strcmp(x != NULL ? x : "", y != NULL ? y : "");
}

void cli_sort_by_name(json_t *list)
{
	size_t cnt = json_array_size(list);
	json_t **all = calloc(cnt + 1, sizeof(json_t *));

	must(all != NULL);
	for (size_t i = 0; i < cnt; i++)
		all[i] = json_incref(json_array_get(list, i));
	qsort(all, cnt, sizeof(json_t *), compare_names);
	json_array_clear(list);
	for (size_t i = 0; i < cnt; i++)
		json_array_append_new(list, all[i]);
	free(all);
}

json_int_t cli_number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

const char *cli_size(json_int_t bytes, char text[static CLI_SIZE_MAX])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1000 && u + 1 < ARRAY_LEN(units)) {
		v /= 1000;
		u++;
	}
	snprintf(text, CLI_SIZE_MAX, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
	return text;
}

const char *cli_age(const char *when, char text[static CLI_SIZE_MAX])
{
	struct tm tm = { 0 };

	snprintf(text, CLI_SIZE_MAX, "-");
	if (when == NULL || strptime(when, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
		return text;
	int64_t s = (int64_t)time(NULL) - (int64_t)timegm(&tm);
	if (s < 0)
		s = 0;
	if (s < 120)
		snprintf(text, CLI_SIZE_MAX, "%lld s", (long long)s);
	else if (s < 7200)
		snprintf(text, CLI_SIZE_MAX, "%lld min", (long long)(s / 60));
	else if (s < 172800)
		snprintf(text, CLI_SIZE_MAX, "%lld h %lld min", (long long)(s / 3600),
			 (long long)(s / 60 % 60));
	else
		snprintf(text, CLI_SIZE_MAX, "%lld d %lld h", (long long)(s / 86400),
			 (long long)(s / 3600 % 24));
	return text;
}
