#include "conf/read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include <ini.h>

#include "base/secret.h"
#include "base/text.h"

void conf_defaults(const struct conf_schema *schema, const char *section, void *base)
{
	char why[CONF_WHY_MAX];

	for (size_t i = 0; i < schema->row_cnt; i++) {
		const struct conf_row *row = &schema->rows[i];
		if (section == NULL || strcmp(row->section, section) == 0)
			must(conf_value_apply(row, bytes_str(row->value), base, why) == ERR_NONE);
	}
}

void conf_fail(struct conf_reading *r, enum err e, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	if (r->result != ERR_NONE)
		return;
	r->result = e;
	if (r->line > 0)
		snprintf(r->error, CONF_ERROR_MAX, "%.200s:%d: ", r->path, r->line);
	else
		snprintf(r->error, CONF_ERROR_MAX, "%.200s: ", r->path);
	len = strlen(r->error);
	va_start(ap, fmt);
	vsnprintf(r->error + len, CONF_ERROR_MAX - len, fmt, ap);
	va_end(ap);
}

void conf_at(struct conf_reading *r, const char *key)
{
	r->line = 0;
	for (size_t i = 0; i < r->schema->row_cnt; i++)
		if (strcmp(r->schema->rows[i].key, key) == 0 && r->lines[i] != 0)
			r->line = r->lines[i];
}

/* ---- names ---- */

static const struct conf_row *find_row(const struct conf_schema *s, const char *section, const char *key)
{
	for (size_t i = 0; i < s->row_cnt; i++) {
		const struct conf_row *row = &s->rows[i];
		if (strcmp(row->key, key) == 0 && (section == NULL || strcmp(row->section, section) == 0))
			return row;
	}
	return NULL;
}

static bool section_known(const struct conf_schema *s, const char *section)
{
	for (size_t i = 0; i < s->row_cnt; i++)
		if (strcmp(s->rows[i].section, section) == 0)
			return true;
	return false;
}

/* The row whose key (or section) is written most like `name`. */
static const struct conf_row *nearest_row(const struct conf_schema *s, const char *name, bool by_section)
{
	const struct conf_row *best = &s->rows[0];
	size_t best_distance = SIZE_MAX;
	for (size_t i = 0; i < s->row_cnt; i++) {
		size_t d = text_distance(name, by_section ? s->rows[i].section : s->rows[i].key);
		if (d < best_distance) {
			best = &s->rows[i];
			best_distance = d;
		}
	}
	return best;
}

/* " NAME" behind a section that takes one. */
static const char *name_hint(const struct conf_schema *s, const char *section)
{
	return s->named != NULL && strcmp(section, s->named) == 0 ? " NAME" : "";
}

static void fail_unknown_key(struct conf_reading *r, const char *key)
{
	const struct conf_schema *s = r->schema;
	const struct conf_row *elsewhere = find_row(s, NULL, key), *near = nearest_row(s, key, false);
	if (elsewhere != NULL && r->section[0] == 0)
		conf_fail(r, ERR_SYNTAX, "\"%.64s\" stands before any section; it belongs under [%s%s]", key,
			  elsewhere->section, name_hint(s, elsewhere->section));
	else if (elsewhere != NULL)
		conf_fail(r, ERR_SYNTAX, "\"%.64s\" does not belong under [%.64s], but under [%s%s]", key,
			  r->section, elsewhere->section, name_hint(s, elsewhere->section));
	else
		conf_fail(r, ERR_SYNTAX, "unknown key \"%.64s\"; the nearest known one is \"%s\" under [%s%s]",
			  key, near->key, near->section, name_hint(s, near->section));
}

/* ---- what inih calls ---- */

/* inih has cut off what follows a blank and ';': the same for '#'. */
static struct bytes without_comment(struct bytes value)
{
	for (size_t i = 1; i < value.len; i++)
		if (value.p[i] == '#' && (value.p[i - 1] == ' ' || value.p[i - 1] == '\t'))
			return bytes_of(value.p, i);
	return value;
}

/* Of a secret every character counts, also behind a blank: what the line has, not what inih left of it. */
static struct bytes whole_value(const struct conf_reading *r)
{
	size_t start = strcspn(r->text, "=:"), len = strcspn(r->text, "\r\n");

	return start < len ? bytes_of(r->text + start + 1, len - start - 1) : bytes_of(r->text, 0);
}

static int take_value(void *arg, const char *section, const char *key, const char *value)
{
	struct conf_reading *r = arg;
	char why[CONF_WHY_MAX] = "";
	const struct conf_row *row = find_row(r->schema, r->section, key);

	(void)section; /* inih cuts long ones */
	if (row == NULL) {
		fail_unknown_key(r, key);
		return 0;
	}
	uint64_t bit = (uint64_t)1 << (row - r->schema->rows);
	bool list = row->kind == CONF_ADDRESSES || row->kind == CONF_PREFIXES ||
		    row->kind == CONF_ETCD_ENDPOINTS;
	if ((r->seen & bit) != 0 && !list) {
		if (r->indented)
			conf_fail(r, ERR_SYNTAX,
				  "an indented line continues the value above, and \"%s\" is no list; begin "
				  "the line at the margin", key);
		else
			conf_fail(r, ERR_SYNTAX, "\"%s\" is given twice; leave one of the lines out", key);
		return 0;
	}
	r->seen |= bit;
	r->lines[row - r->schema->rows] = r->line;
	struct bytes v = row->kind == CONF_SECRET ? whole_value(r) : without_comment(bytes_str(value));
	enum err e = conf_value_apply(row, v, r->base, why);
	/* what is wrong with a member of a list quotes it itself; a key is never repeated */
	if (e != ERR_NONE && strncmp(why, "must ", 5) == 0 && value[0] != 0 && row->kind != CONF_SECRET)
		conf_fail(r, e, "%s %s, not \"%.64s\"", key, why, value);
	else if (e != ERR_NONE)
		conf_fail(r, e, "%s %s", key, why);
	return e == ERR_NONE;
}

static void begin_section(struct conf_reading *r, char *text)
{
	const struct conf_schema *s = r->schema;
	char *name = strchr(text, ' ');

	if (name != NULL)
		*name++ = 0;
	else
		name = text + strlen(text);
	name += strspn(name, " ");
	bool named = s->named != NULL && strcmp(text, s->named) == 0;
	if (!section_known(s, text)) {
		const char *near = nearest_row(s, text, true)->section;
		conf_fail(r, ERR_SYNTAX, "unknown section [%s]; the nearest known one is [%s%s]", text, near,
			  name_hint(s, near));
		return;
	}
	if (named != (name[0] != 0)) {
		if (named)
			conf_fail(r, ERR_SYNTAX, "[%s] needs a name, as in [%s NAME]", text, text);
		else
			conf_fail(r, ERR_SYNTAX, "the section is [%s], without \"%s\"", text, name);
		return;
	}
	snprintf(r->section, sizeof(r->section), "%s", text);
	for (size_t i = 0; named && i < s->row_cnt; i++)
		if (strcmp(s->rows[i].section, s->named) == 0)
			r->seen &= ~((uint64_t)1 << i);
	r->base = s->begin(r, text, name);
}

/* A line "[section]", of which inih itself says nothing until a key follows. */
static void check_section(struct conf_reading *r, struct bytes line)
{
	char text[CONF_SECTION_MAX] = "";
	const uint8_t *close = memchr(line.p, ']', line.len);
	size_t len = close == NULL ? 0 : (size_t)(close - line.p) - 1;

	if (close == NULL) {
		conf_fail(r, ERR_SYNTAX, "the section's name has no closing ]");
		return;
	}
	if (len < sizeof(text)) {
		memcpy(text, line.p + 1, len);
		text[len] = 0;
	}
	for (const uint8_t *p = close + 1; p < line.p + line.len && *p != ';' && *p != '#'; p++)
		if (*p != ' ' && *p != '\t' && *p != '\r' && *p != '\n')
			conf_fail(r, ERR_SYNTAX, "after [%s] the line must end", text);
	if (r->result == ERR_NONE)
		begin_section(r, text);
}

/* Hands inih the next line whole, or nothing: its own reader would cut a long line in two. */
static char *give_line(char *dst, int cap, void *arg)
{
	struct conf_reading *r = arg;
	if (r->result != ERR_NONE)
		return NULL;
	ssize_t got = getline(&r->text, &r->text_cap, r->f);
	if (got < 0)
		return NULL;
	struct bytes line = bytes_of(r->text, (size_t)got);
	r->line++;
	r->indented = line.p[0] == ' ' || line.p[0] == '\t';
	if (memchr(line.p, 0, line.len) != NULL)
		conf_fail(r, ERR_SYNTAX, "the line has a NUL character; is this a text file?");
	else if (line.len >= (size_t)cap)
		conf_fail(r, ERR_SYNTAX, "the line is longer than %d characters; a list may go on in indented "
					 "lines", cap - 2);
	else if (line.p[0] == '[')
		check_section(r, line);
	if (r->result != ERR_NONE)
		return NULL;
	memcpy(dst, line.p, line.len);
	dst[line.len] = 0;
	return dst;
}

/* ---- the whole ---- */

static void read_file(struct conf_reading *r)
{
	int bad_line = ini_parse_stream(give_line, r, take_value, r);

	if (ferror(r->f)) {
		r->line = 0;
		r->result = ERR_NONE;
		conf_fail(r, ERR_SYSTEM, "could not be read");
	} else if (r->result != ERR_NONE && bad_line > 0 && bad_line < r->line) {
		/* inih met a line of no form before the one that was complained of */
		r->result = ERR_NONE;
	}
	if (r->result == ERR_NONE && bad_line != 0) {
		r->line = bad_line > 0 ? bad_line : 0;
		conf_fail(r, ERR_SYNTAX, "neither \"key = value\" nor \"[section]\" nor a comment");
	}
	r->line = 0;
	if (r->result == ERR_NONE)
		r->schema->check(r);
}

enum err conf_read_by(const struct conf_schema *schema, const char *path, void *value,
		      char error[static CONF_ERROR_MAX])
{
	struct conf_reading r = { .schema = schema, .path = path, .value = value, .error = error };

	must(schema->row_cnt <= CONF_ROWS_MAX);
	r.f = fopen(path, "re");
	if (r.f == NULL) {
		int why = errno;
		enum err e = why == ENOENT ? ERR_NOTFOUND : why == EACCES ? ERR_DENIED : ERR_SYSTEM;
		conf_fail(&r, e, "%s", strerror(why));
		return r.result;
	}
	read_file(&r);
	if (r.text != NULL)
		secret_wipe(r.text, r.text_cap);
	free(r.text);
	fclose(r.f);
	return r.result;
}
