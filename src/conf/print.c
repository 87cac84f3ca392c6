#include "conf/read.h"

#define WIDTH 96

/* Words of text in lines of at most WIDTH, each line with `lead` in front. */
static void print_wrapped(FILE *f, const char *lead, const char *text)
{
	size_t at = 0, len = strlen(text);
	while (at < len) {
		size_t n = len - at;
		if (n > WIDTH) {
			n = WIDTH;
			while (n > 0 && text[at + n] != ' ')
				n--;
			must(n > 0);
		}
		fprintf(f, "%s%.*s\n", lead, (int)n, text + at);
		at += n + 1;
	}
}

static bool begins_section(const struct conf_schema *s, size_t i)
{
	return i == 0 || strcmp(s->rows[i].section, s->rows[i - 1].section) != 0;
}

static const char *name_of(const struct conf_schema *s, size_t i, const char *name)
{
	return s->named != NULL && strcmp(s->rows[i].section, s->named) == 0 ? name : "";
}

void conf_print_example_of(const struct conf_schema *s, const char *intro, FILE *f)
{
	fputs(intro, f);
	for (size_t i = 0; i < s->row_cnt; i++) {
		const struct conf_row *row = &s->rows[i];
		const char *value = row->sample != NULL ? row->sample : row->value;
		if (begins_section(s, i))
			fprintf(f, "\n[%s%s]\n", row->section, name_of(s, i, " branch"));
		fprintf(f, "\n");
		print_wrapped(f, "# ", row->help);
		fprintf(f, "#%s =%s%s\n", row->key, value[0] != 0 ? " " : "", value);
	}
}

/* scdoc reads '_' and '*' as emphasis. */
static void print_escaped(FILE *f, const char *text)
{
	for (; *text != 0; text++)
		fprintf(f, strchr("_*\\", *text) != NULL ? "\\%c" : "%c", *text);
}

void conf_print_man_of(const struct conf_schema *s, FILE *f)
{
	for (size_t i = 0; i < s->row_cnt; i++) {
		const struct conf_row *row = &s->rows[i];
		if (begins_section(s, i))
			fprintf(f, "## [%s%s]\n\n", row->section, name_of(s, i, " NAME"));
		fprintf(f, "*");
		print_escaped(f, row->key);
		fprintf(f, "*\n\t");
		print_escaped(f, row->help);
		if (row->value[0] != 0) {
			fprintf(f, " Default: _");
			print_escaped(f, row->value);
			fprintf(f, "_.");
		}
		fprintf(f, "\n\n");
	}
}
