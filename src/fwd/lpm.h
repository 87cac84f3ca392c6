// Longest prefix match: prefixes flattened into sorted ranges; an index of equal steps says between which of them to halve. Built
// once, then constant.
// Building: the control thread. Finding: any thread.
#pragma once

#include "base/addr.h"

/* An address as a number; a v4 address in the low 32 bits. */
__extension__ typedef unsigned __int128 fwd_key;

#define FWD_LPM_NONE UINT32_MAX

struct fwd_lpm_entry {
	struct addr_prefix prefix; /* masked, all of one family, none twice */
	uint32_t value;
};

struct fwd_lpm {
	uint32_t cnt;
	fwd_key *starts;  /* ascending, the first is 0 */
	uint32_t *values; /* from its start to before the next one */
	/* Where there are many: of each step from the second start on, the last range that begins before or at it. */
	uint32_t *steps;
	uint32_t step_cnt;
	uint8_t shift;    /* a step is 1 << shift addresses */
};

/* Sorts the entries. cnt may be 0. ERR_MEMORY. */
MUST_USE enum err fwd_lpm_build(struct fwd_lpm_entry *entries, size_t cnt, struct fwd_lpm *ret);
void fwd_lpm_fini(struct fwd_lpm *l); /* l may be zeroed */

/* The value of the longest prefix that contains the address, FWD_LPM_NONE if there is none. */
uint32_t fwd_lpm_find(const struct fwd_lpm *l, const struct addr *a);
