#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static const char *log_name = "onramp";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;

static _Thread_local struct {
	bool on;
	size_t len;
	char text[8192];
} held;

void log_init(const char *name, enum log_level level)
{
	log_name = name;
	log_max = level;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

/* The message may hold names that people typed: control characters would forge lines. */
static size_t make_printable(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			s[i] = '?';
	return n;
}

/* A full or closed standard error must not stop the program. */
static void write_out(const char *text, size_t len)
{
	if (write(STDERR_FILENO, text, len) < 0)
		return;
}

static void write_held(void)
{
	if (held.len != 0)
		write_out(held.text, held.len);
	held.len = 0;
}

void log_hold(void)
{
	held.on = true;
}

void log_release(void)
{
	write_held();
	held.on = false;
}

static void put_line(enum log_level level, const char *line, size_t len)
{
	if (level < LOG_LEVEL_INFO || len > sizeof(held.text) - held.len)
		write_held();
	if (!held.on || level < LOG_LEVEL_INFO) {
		write_out(line, len);
		return;
	}
	memcpy(held.text + held.len, line, len);
	held.len += len;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const words[] = { [LOG_LEVEL_ERROR] = "error",
					     [LOG_LEVEL_WARN] = "warning",
					     [LOG_LEVEL_INFO] = "info",
					     [LOG_LEVEL_DEBUG] = "debug" };
	char line[1024], when[CLOCK_TEXT_MAX];
	va_list ap;

	if (level > log_max)
		return;
	int head = log_journal ? snprintf(line, sizeof(line), "<%d>%s: ", level, log_name)
			       : snprintf(line, sizeof(line), "%s %s %s: ",
					  clock_text(clock_unix_us(), when), log_name, words[level]);
	size_t at = head < 0 ? 0 : (size_t)head < sizeof(line) / 2 ? (size_t)head : sizeof(line) / 2;
	va_start(ap, fmt);
	int body = vsnprintf(line + at, sizeof(line) - at - 1, fmt, ap);
	va_end(ap);
	size_t room = sizeof(line) - at - 2;
	size_t n = body < 0 ? 0 : (size_t)body > room ? room : (size_t)body;
	at += make_printable(line + at, n);
	line[at++] = '\n';
	put_line(level, line, at);
}

bool log_limit_take(struct log_limit *l, uint64_t now_ms, uint32_t *ret_held)
{
	*ret_held = 0;
	if (now_ms - l->start_ms >= l->window_ms) {
		l->start_ms = now_ms;
		l->used = 0;
		*ret_held = l->held;
		l->held = 0;
	}
	if (l->used >= l->burst) {
		l->held++;
		return false;
	}
	l->used++;
	return true;
}
