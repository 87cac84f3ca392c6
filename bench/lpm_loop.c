/* lpm-loop: what a table of many routes costs: building it, its memory, and a lookup of a random address.
 *
 *   lpm-loop 4|6 ROUTES
 *
 * Prefix lengths are dealt about as in the Internet's tables: more than half are /24 or /48. Half of the addresses looked up lie in
 * one of the prefixes. Prints JSON. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fwd/lpm.h"

enum { LOOKUPS = 1 << 20 };

static uint64_t next_random(void)
{
	static uint64_t s = 0x9e3779b97f4a7c15;
	s ^= s << 13;
	s ^= s >> 7;
	return s ^= s << 17;
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *take(size_t cnt, size_t size)
{
	void *p = calloc(cnt, size);
	if (p == NULL) {
		fprintf(stderr, "lpm-loop: no memory\n");
		exit(1);
	}
	return p;
}

/* Global unicast: 1.0.0.0 to 223.255.255.255, 2000::/3. */
static struct addr random_addr(uint8_t family)
{
	struct addr a = { .family = family };

	for (size_t i = 0; i < addr_len(family); i++)
		a.b[i] = (uint8_t)(next_random() >> 24);
	a.b[0] = family == ADDR_V4 ? (uint8_t)(1 + a.b[0] % 223) : (uint8_t)(0x20 | (a.b[0] & 0x1f));
	return a;
}

static uint8_t random_len(uint8_t family)
{
	unsigned of100 = (unsigned)(next_random() % 100);
	uint8_t most = family == ADDR_V4 ? 24 : 48;

	return of100 < 60 ? most : (uint8_t)(most - 1 - (of100 - 60) / 5);
}

static int compare(const void *va, const void *vb)
{
	const struct fwd_lpm_entry *a = va, *b = vb;
	int c = addr_cmp(&a->prefix.addr, &b->prefix.addr);
	return c != 0 ? c : (a->prefix.len > b->prefix.len) - (a->prefix.len < b->prefix.len);
}

/* Each prefix once. */
static size_t make_routes(struct fwd_lpm_entry *e, size_t cnt, uint8_t family)
{
	size_t kept = 0;

	for (size_t i = 0; i < cnt; i++) {
		struct addr_prefix p = { random_addr(family), random_len(family) };
		e[i] = (struct fwd_lpm_entry){ addr_prefix_mask(&p), (uint32_t)i };
	}
	qsort(e, cnt, sizeof(*e), compare);
	for (size_t i = 0; i < cnt; i++)
		if (kept == 0 || !addr_prefix_eq(&e[kept - 1].prefix, &e[i].prefix))
			e[kept++] = e[i];
	return kept;
}

static struct addr choose_address(const struct fwd_lpm_entry *e, size_t cnt, uint8_t family)
{
	struct addr a = random_addr(family);
	const struct addr_prefix *p = &e[next_random() % cnt].prefix;

	if ((next_random() & 1) != 0)
		memcpy(a.b, p->addr.b, p->len / 8);
	return a;
}

int main(int argc, char **argv)
{
	uint8_t family = argc == 3 && strcmp(argv[1], "6") == 0 ? ADDR_V6 : ADDR_V4;
	size_t cnt = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct fwd_lpm l;
	uint32_t sum = 0;

	if (cnt == 0 || cnt > 10000000) {
		fprintf(stderr, "usage: lpm-loop 4|6 ROUTES\n");
		return 2;
	}
	struct fwd_lpm_entry *routes = take(cnt, sizeof(*routes));
	struct addr *wanted = take(LOOKUPS, sizeof(*wanted));
	cnt = make_routes(routes, cnt, family);
	for (size_t i = 0; i < LOOKUPS; i++)
		wanted[i] = choose_address(routes, cnt, family);
	size_t before = mallinfo2().hblkhd + mallinfo2().uordblks;
	double start = cpu_ns();
	if (fwd_lpm_build(routes, cnt, &l) != ERR_NONE)
		return 1;
	double built = cpu_ns();
	size_t bytes = mallinfo2().hblkhd + mallinfo2().uordblks - before;
	for (size_t i = 0; i < LOOKUPS; i++)
		sum += fwd_lpm_find(&l, &wanted[i]);
	double found = cpu_ns();
	printf("{\"routes\": %zu, \"build_ms\": %.3f, \"bytes\": %zu, \"find_ns\": %.3f, \"sum\": %u}\n", cnt, (built - start) / 1e6,
	       bytes, (found - built) / LOOKUPS, sum);
	fwd_lpm_fini(&l);
	free(routes);
	free(wanted);
	return 0;
}
