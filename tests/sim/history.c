#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

#define LINES 60
#define KEPT 8
#define LINE_MAX 240

static char lines[LINES][LINE_MAX];
static char kept[KEPT][LINE_MAX];
static unsigned cnt, kept_cnt;
static uint64_t hash;
static bool print_all;

void history_begin(bool print)
{
	cnt = kept_cnt = 0;
	hash = 0;
	print_all = print;
}

void history_mix(uint64_t a, uint64_t b)
{
	const uint64_t all[] = { hash, world_now_us(), a, b };
	hash = world_hash(bytes_of((const uint8_t *)all, sizeof(all)));
}

void history_add(const char *fmt, ...)
{
	char *line = lines[cnt++ % LINES];
	va_list args;

	int at = snprintf(line, LINE_MAX, "%10.3f ", (double)world_now_us() / 1e6);
	va_start(args, fmt);
	(void)vsnprintf(line + at, LINE_MAX - (size_t)at, fmt, args);
	va_end(args);
	history_mix(world_hash(bytes_str(line)), 0);
	if (print_all)
		puts(line);
}

void history_keep_last(void)
{
	if (kept_cnt < KEPT)
		memcpy(kept[kept_cnt++], lines[(cnt - 1) % LINES], LINE_MAX);
}

void history_print_last(void)
{
	for (unsigned i = cnt < LINES ? 0 : cnt - LINES; !print_all && i < cnt; i++)
		puts(lines[i % LINES]);
	for (unsigned i = 0; i < kept_cnt; i++)
		puts(kept[i]);
}

uint64_t history_hash(void)
{
	return hash;
}
