// The log: lines for people on standard error, with a syslog level when systemd reads them.
// Any thread; each line is one write, but for those that a thread holds back for a moment to write them together.
//
// A stranger's packet must never cause a line each: count it, or pass a struct log_limit.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* At most `burst` lines in `window_ms`; the first line of the next window says how many were held back. */
struct log_limit {
	uint32_t burst;
	uint32_t window_ms;
	uint64_t start_ms;
	uint32_t used;
	uint32_t held;
};

/* name appears at the start of each line ("gateway"); it must outlive the process. Call once, before threads. */
void log_init(const char *name, enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What the calling thread has to say between the two that is no warning or error is written at the end, at once: a turn of a loop
 * in which hundreds of tunnels come up is one call of the kernel. Before a warning, and before must() ends the process, what is
 * held is written. Not nested. */
void log_hold(void);
void log_release(void);

/* True when a line may be written now; *ret_held is what was held back before it. The limit
 * belongs to one thread. */
bool log_limit_take(struct log_limit *l, uint64_t now_ms, uint32_t *ret_held);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
