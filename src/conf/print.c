#include "conf/table.h"

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

static bool begins_section(size_t i)
{
	return i == 0 || strcmp(conf_rows[i].section, conf_rows[i - 1].section) != 0;
}

void conf_print_example(FILE *f)
{
	fprintf(f, "# Configuration of onrampd, see onramp.conf(5). The values shown are the defaults.\n");
	for (size_t i = 0; i < conf_row_cnt; i++) {
		const struct conf_row *row = &conf_rows[i];
		const char *value = row->sample != NULL ? row->sample : row->value;
		if (begins_section(i))
			fprintf(f, "\n[%s]\n", row->section);
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

void conf_print_man(FILE *f)
{
	for (size_t i = 0; i < conf_row_cnt; i++) {
		const struct conf_row *row = &conf_rows[i];
		if (begins_section(i))
			fprintf(f, "## [%s]\n\n", row->section);
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
