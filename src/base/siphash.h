// SipHash-2-4: the keyed hash of tables that strangers can fill, and of the check byte in SPIs.
// Any thread; pure. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF".
#pragma once

#include "base/bytes.h"

struct siphash_key {
	uint64_t k0, k1;
};

uint64_t siphash(const struct siphash_key *key, struct bytes data);
uint64_t siphash_u64(const struct siphash_key *key, uint64_t value);
