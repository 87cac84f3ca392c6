#include "conf/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include <ini.h>

#include "base/text.h"
#include "conf/table.h"

/* One reading of a file; the first error is kept and ends the reading. */
struct reading {
	FILE *f;
	const char *path;
	char *error;
	enum err result;
	int line;
	bool indented; /* the present line continues the value above */
	uint64_t seen; /* bit set over conf_rows */
	char *text;    /* the present line, getline's */
	size_t text_cap;
	struct conf conf;
};

void conf_init(struct conf *c)
{
	char why[CONF_WHY_MAX];
	*c = (struct conf){ 0 };
	for (size_t i = 0; i < conf_row_cnt; i++)
		must(conf_value_apply(&conf_rows[i], bytes_str(conf_rows[i].value), c, why) == ERR_NONE);
}

__attribute__((format(printf, 3, 4))) static void fail(struct reading *r, enum err e, const char *fmt, ...)
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

/* ---- names ---- */

static const struct conf_row *find_row(const char *section, const char *key)
{
	for (size_t i = 0; i < conf_row_cnt; i++) {
		const struct conf_row *row = &conf_rows[i];
		if (strcmp(row->key, key) == 0 && (section == NULL || strcmp(row->section, section) == 0))
			return row;
	}
	return NULL;
}

static bool section_known(const char *section)
{
	for (size_t i = 0; i < conf_row_cnt; i++)
		if (strcmp(conf_rows[i].section, section) == 0)
			return true;
	return false;
}

/* The row whose key (or section) is written most like `name`. */
static const struct conf_row *nearest_row(const char *name, bool by_section)
{
	const struct conf_row *best = &conf_rows[0];
	size_t best_distance = SIZE_MAX;
	for (size_t i = 0; i < conf_row_cnt; i++) {
		size_t d = text_distance(name, by_section ? conf_rows[i].section : conf_rows[i].key);
		if (d < best_distance) {
			best = &conf_rows[i];
			best_distance = d;
		}
	}
	return best;
}

static void fail_unknown_key(struct reading *r, const char *section, const char *key)
{
	const struct conf_row *elsewhere = find_row(NULL, key), *near = nearest_row(key, false);
	if (elsewhere != NULL && section[0] == 0)
		fail(r, ERR_SYNTAX, "\"%.64s\" stands before any section; it belongs under [%s]", key,
		     elsewhere->section);
	else if (elsewhere != NULL)
		fail(r, ERR_SYNTAX, "\"%.64s\" does not belong under [%.64s], but under [%s]", key, section,
		     elsewhere->section);
	else
		fail(r, ERR_SYNTAX, "unknown key \"%.64s\"; the nearest known one is \"%s\" under [%s]", key,
		     near->key, near->section);
}

/* ---- what inih calls ---- */

static int take_value(void *arg, const char *section, const char *key, const char *value)
{
	struct reading *r = arg;
	char why[CONF_WHY_MAX] = "";
	const struct conf_row *row = find_row(section, key);

	if (row == NULL) {
		fail_unknown_key(r, section, key);
		return 0;
	}
	uint64_t bit = (uint64_t)1 << (row - conf_rows);
	if ((r->seen & bit) != 0 && row->kind != CONF_ADDRESSES) {
		if (r->indented)
			fail(r, ERR_SYNTAX, "an indented line continues the value above, and \"%s\" is no "
					    "list; begin the line at the margin", key);
		else
			fail(r, ERR_SYNTAX, "\"%s\" is given twice; leave one of the lines out", key);
		return 0;
	}
	r->seen |= bit;
	enum err e = conf_value_apply(row, bytes_str(value), &r->conf, why);
	if (e != ERR_NONE)
		fail(r, e, "%s %s", key, why);
	return e == ERR_NONE;
}

/* A line "[section]", of which inih itself says nothing until a key follows. */
static void check_section(struct reading *r, struct bytes line)
{
	char name[64] = "";
	const uint8_t *close = memchr(line.p, ']', line.len);
	size_t len = close == NULL ? 0 : (size_t)(close - line.p) - 1;

	if (close == NULL) {
		fail(r, ERR_SYNTAX, "the section's name has no closing ]");
		return;
	}
	if (len < sizeof(name)) {
		memcpy(name, line.p + 1, len);
		name[len] = 0;
	}
	if (!section_known(name))
		fail(r, ERR_SYNTAX, "unknown section [%s]; the nearest known one is [%s]", name,
		     nearest_row(name, true)->section);
	for (const uint8_t *p = close + 1; p < line.p + line.len && *p != ';' && *p != '#'; p++)
		if (*p != ' ' && *p != '\t' && *p != '\r' && *p != '\n')
			fail(r, ERR_SYNTAX, "after [%s] the line must end", name);
}

/* Hands inih the next line whole, or nothing: its own reader would cut a long line in two. */
static char *give_line(char *dst, int cap, void *arg)
{
	struct reading *r = arg;
	if (r->result != ERR_NONE)
		return NULL;
	ssize_t got = getline(&r->text, &r->text_cap, r->f);
	if (got < 0)
		return NULL;
	struct bytes line = bytes_of(r->text, (size_t)got);
	r->line++;
	r->indented = line.p[0] == ' ' || line.p[0] == '\t';
	if (memchr(line.p, 0, line.len) != NULL)
		fail(r, ERR_SYNTAX, "the line has a NUL character; is this a text file?");
	else if (line.len >= (size_t)cap)
		fail(r, ERR_SYNTAX, "the line is longer than %d characters; a list may go on in indented "
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

static bool is_loopback(const struct addr *a)
{
	static const struct addr loopback6 = { .b = { [15] = 1 }, .family = ADDR_V6 };
	return a->family == ADDR_V4 ? a->b[0] == 127 : addr_eq(a, &loopback6);
}

/* Values that do not go together. */
static void check_together(struct reading *r)
{
	const struct conf *c = &r->conf;
	char text[ADDR_ENDPOINT_TEXT_MAX];
	bool cert = c->api_tls_cert[0] != 0, key = c->api_tls_key[0] != 0;

	r->line = 0;
	if (c->gateway_address_cnt == 0)
		fail(r, ERR_RANGE, "gateway_addresses is missing; put a line such as \"gateway_addresses = "
				   "192.0.2.1\" under [node]");
	else if (cert != key)
		fail(r, ERR_RANGE, "api_tls_cert and api_tls_key belong together; %s is missing",
		     cert ? "api_tls_key" : "api_tls_cert");
	else if (!cert && !is_loopback(&c->api_listen.addr))
		fail(r, ERR_RANGE, "api_listen is %s, which is not a loopback address; set api_tls_cert and "
				   "api_tls_key, or listen on "
				   "127.0.0.1:8080", addr_endpoint_format(&c->api_listen, text));
	else if (c->half_open_per_address > c->half_open_max)
		fail(r, ERR_RANGE, "half_open_per_address is %u and half_open_max %u; the first must not be "
				   "the greater",
		     c->half_open_per_address, c->half_open_max);
}

static void read_file(struct reading *r)
{
	int bad_line = ini_parse_stream(give_line, r, take_value, r);

	if (ferror(r->f)) {
		r->line = 0;
		r->result = ERR_NONE;
		fail(r, ERR_SYSTEM, "could not be read");
	} else if (r->result != ERR_NONE && bad_line > 0 && bad_line < r->line) {
		/* inih met a line of no form before the one that was complained of */
		r->result = ERR_NONE;
	}
	if (r->result == ERR_NONE && bad_line != 0) {
		r->line = bad_line > 0 ? bad_line : 0;
		fail(r, ERR_SYNTAX, "neither \"key = value\" nor \"[section]\" nor a comment");
	}
	if (r->result == ERR_NONE)
		check_together(r);
}

enum err conf_read(const char *path, struct conf *ret, char error[static CONF_ERROR_MAX])
{
	struct reading r = { .path = path, .error = error };

	r.f = fopen(path, "re");
	if (r.f == NULL) {
		int why = errno;
		enum err e = why == ENOENT ? ERR_NOTFOUND : why == EACCES ? ERR_DENIED : ERR_SYSTEM;
		fail(&r, e, "%s", strerror(why));
		return r.result;
	}
	conf_init(&r.conf);
	read_file(&r);
	free(r.text);
	fclose(r.f);
	if (r.result == ERR_NONE)
		*ret = r.conf;
	return r.result;
}
