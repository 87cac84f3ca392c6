// What the crypt tests share: cmocka, and byte patterns.
// Tests only.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

static inline void fill(uint8_t *p, size_t n, unsigned start)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(start + i * 7);
}

/* Every suite of the gateway's table, and AES-CBC-128. NULL is for ESP alone. */
static const struct rig_suite {
	uint16_t encr, bits, integ;
} rig_suites[] = {
	{ 20, 128, 0 }, { 20, 256, 0 }, { 12, 128, 12 }, { 12, 256, 12 },
	{ 12, 128, 2 }, { 12, 256, 2 }, { 11, 0, 12 },   { 11, 0, 2 },
};
