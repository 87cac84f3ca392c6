// What has happened in a run: printed as it happens, or the last of it where something is wrong; and a hash over all of it, by which two
// runs of one seed are compared.
#pragma once

#include <stdbool.h>
#include <stdint.h>

void history_begin(bool print);
void history_add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Of what is too common to be told. */
void history_mix(uint64_t a, uint64_t b);
void history_keep_last(void); /* it is printed whatever comes after it, if it is among the first of these */
void history_print_last(void);
uint64_t history_hash(void);
