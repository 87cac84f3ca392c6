// The heap of times, against the smallest of a plain array.
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NODES 300

static uint64_t smallest(const struct heap_node *n)
{
	uint64_t at = UINT64_MAX;
	for (unsigned i = 0; i < NODES; i++)
		if (n[i].index != 0 && n[i].at < at)
			at = n[i].at;
	return at;
}

static void the_first_is_always_the_earliest(void **state)
{
	(void)state;
	static struct heap_node nodes[NODES];
	struct heap h = { 0 };

	srand(11);
	for (unsigned step = 0; step < 50000; step++) {
		struct heap_node *n = &nodes[(unsigned)rand() % NODES];
		if (rand() % 3 == 0)
			heap_remove(&h, n);
		else
			assert_int_equal(heap_set(&h, n, (uint64_t)(rand() % 1000)), ERR_NONE);
		const struct heap_node *first = heap_first(&h);
		assert_true(first == NULL ? h.cnt == 0 : first->at == smallest(nodes));
	}
	heap_fini(&h);
}

static void times_come_out_in_order(void **state)
{
	(void)state;
	static struct heap_node nodes[NODES];
	struct heap h = { 0 };
	uint64_t last = 0;
	unsigned cnt = 0;

	for (unsigned i = 0; i < NODES; i++)
		assert_int_equal(heap_set(&h, &nodes[i], (uint64_t)(i * 7919u % 1000u)), ERR_NONE);
	for (struct heap_node *n; (n = heap_first(&h)) != NULL; cnt++) {
		assert_true(n->at >= last);
		last = n->at;
		heap_remove(&h, n);
		heap_remove(&h, n); /* a node in no heap is left alone */
	}
	assert_int_equal(cnt, NODES);
	heap_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_always_the_earliest),
		cmocka_unit_test(times_come_out_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
