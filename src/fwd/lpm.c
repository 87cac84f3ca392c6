#include "fwd/lpm.h"

#include <stdlib.h>

#include "base/ck.h"

enum { INDEX_FROM = 32, STEP_BITS_MAX = 20 };
enum { DEPTH_MAX = 130 }; /* prefixes inside each other: one for each length of IPv6, and none */

static fwd_key key_of(const struct addr *a)
{
	struct rd r = rd_of(addr_bytes(a));
	fwd_key k = 0;

	if (a->family == ADDR_V4)
		return rd_u32(&r);
	k = rd_u64(&r);
	return k << 64 | rd_u64(&r);
}

static int compare_entries(const void *va, const void *vb)
{
	const struct fwd_lpm_entry *a = va, *b = vb;
	int c = addr_cmp(&a->prefix.addr, &b->prefix.addr);
	return c != 0 ? c : (a->prefix.len > b->prefix.len) - (a->prefix.len < b->prefix.len);
}

/* From key on the value counts. A later word about the same key stands. */
static void emit(struct fwd_lpm *l, fwd_key key, uint32_t value)
{
	if (l->cnt != 0 && l->starts[l->cnt - 1] == key) {
		l->values[l->cnt - 1] = value;
	} else if (l->cnt == 0 || l->values[l->cnt - 1] != value) {
		l->starts[l->cnt] = key;
		l->values[l->cnt++] = value;
	}
}

struct open_prefix {
	fwd_key last;
	uint32_t value;
};

/* Ends the innermost prefix; behind it the one around it counts again. */
static void close_prefix(struct fwd_lpm *l, const struct open_prefix *stack, size_t *depth, fwd_key highest)
{
	fwd_key last = stack[--*depth].last;
	if (last != highest)
		emit(l, last + 1, *depth == 0 ? FWD_LPM_NONE : stack[*depth - 1].value);
}

static void sweep(struct fwd_lpm *l, const struct fwd_lpm_entry *entries, size_t cnt)
{
	struct open_prefix stack[DEPTH_MAX];
	size_t depth = 0;
	fwd_key highest = cnt != 0 && entries[0].prefix.addr.family == ADDR_V4 ? UINT32_MAX : ~(fwd_key)0;

	emit(l, 0, FWD_LPM_NONE);
	for (size_t i = 0; i < cnt; i++) {
		struct addr low, high;
		addr_prefix_range(&entries[i].prefix, &low, &high);
		fwd_key start = key_of(&low);
		while (depth != 0 && stack[depth - 1].last < start)
			close_prefix(l, stack, &depth, highest);
		must(depth < DEPTH_MAX);
		stack[depth++] = (struct open_prefix){ key_of(&high), entries[i].value };
		emit(l, start, entries[i].value);
	}
	while (depth != 0)
		close_prefix(l, stack, &depth, highest);
}

/* ---- the index ---- */

static unsigned count_bits(fwd_key k)
{
	unsigned n = 0;

	for (; k != 0; k >>= 1)
		n++;
	return n;
}

/* About a step for each range, so that in a table whose prefixes lie alike few ranges fall into one. */
static void choose_steps(struct fwd_lpm *l)
{
	fwd_key span = l->starts[l->cnt - 1] - l->starts[1];
	unsigned bits = count_bits(span), want = count_bits(l->cnt - 1);

	want = want < STEP_BITS_MAX ? want : STEP_BITS_MAX;
	l->shift = (uint8_t)(bits > want ? bits - want : 0);
	l->step_cnt = (uint32_t)(span >> l->shift) + 1;
}

static bool build_index(struct fwd_lpm *l)
{
	uint32_t range = 1;

	if (l->cnt < INDEX_FROM)
		return true;
	choose_steps(l);
	/* One more, so that each step has an end. */
	l->steps = calloc((size_t)l->step_cnt + 1, sizeof(*l->steps));
	if (l->steps == NULL)
		return false;
	for (uint32_t i = 0; i < l->step_cnt; i++) {
		fwd_key first = l->starts[1] + ((fwd_key)i << l->shift);
		while (range + 1 < l->cnt && l->starts[range + 1] <= first)
			range++;
		l->steps[i] = range;
	}
	l->steps[l->step_cnt] = l->cnt - 1;
	return true;
}

MUST_USE enum err fwd_lpm_build(struct fwd_lpm_entry *entries, size_t cnt, struct fwd_lpm *ret)
{
	struct fwd_lpm l = { 0 };
	size_t room;

	/* Each prefix begins one range and may end in another. */
	if (cnt >= UINT32_MAX / 2 || !ck_mul(cnt, 2, &room) || !ck_add(room, 1, &room))
		return ERR_MEMORY;
	l.starts = calloc(room, sizeof(*l.starts));
	l.values = calloc(room, sizeof(*l.values));
	if (l.starts == NULL || l.values == NULL) {
		fwd_lpm_fini(&l);
		return ERR_MEMORY;
	}
	if (cnt != 0)
		qsort(entries, cnt, sizeof(*entries), compare_entries);
	sweep(&l, entries, cnt);
	if (!build_index(&l)) {
		fwd_lpm_fini(&l);
		return ERR_MEMORY;
	}
	*ret = l;
	return ERR_NONE;
}

void fwd_lpm_fini(struct fwd_lpm *l)
{
	free(l->starts);
	free(l->values);
	free(l->steps);
	*l = (struct fwd_lpm){ 0 };
}

uint32_t fwd_lpm_find(const struct fwd_lpm *l, const struct addr *a)
{
	fwd_key key = key_of(a);
	uint32_t low = 0, n = l->cnt;

	if (n == 0)
		return FWD_LPM_NONE;
	if (l->step_cnt != 0 && key >= l->starts[1]) {
		fwd_key step = (key - l->starts[1]) >> l->shift;
		uint32_t i = step < l->step_cnt ? (uint32_t)step : l->step_cnt - 1;
		low = l->steps[i];
		n = l->steps[i + 1] - low + 1;
	} else if (l->step_cnt != 0) {
		n = 1;
	}
	/* starts[low] <= key holds throughout: the first start is 0. */
	while (n > 1) {
		uint32_t half = n / 2;
		if (l->starts[low + half] <= key)
			low += half;
		n -= half;
	}
	return l->values[low];
}
