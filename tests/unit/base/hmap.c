// The intrusive hash table and the heap of times, against plain arrays.
#include "base/hmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ITEMS 5000

struct item {
	struct hmap_node node;
	uint64_t key;
	bool in;
};

static struct item items[ITEMS];

static struct item *find(const struct hmap *m, uint64_t key, uint64_t hash)
{
	for (struct hmap_node *n = hmap_first(m, hash); n != NULL; n = hmap_next(n)) {
		struct item *i = CONTAINER_OF(n, struct item, node);
		if (i->key == key)
			return i;
	}
	return NULL;
}

/* A hash so poor that chains and equal hashes are common. */
static uint64_t poor_hash(uint64_t key)
{
	return key % 997;
}

static void what_was_added_is_found_until_removed(void **state)
{
	(void)state;
	struct hmap m;
	size_t in = 0;

	srand(7);
	assert_int_equal(hmap_init(&m), ERR_NONE);
	for (unsigned i = 0; i < ITEMS; i++)
		items[i] = (struct item){ .key = i };
	for (unsigned step = 0; step < 40000; step++) {
		struct item *i = &items[(unsigned)rand() % ITEMS];
		if (i->in)
			hmap_remove(&m, &i->node);
		else
			hmap_add(&m, &i->node, poor_hash(i->key));
		in += i->in ? (size_t)-1 : 1;
		i->in = !i->in;
		assert_int_equal(m.cnt, in);
	}
	for (unsigned i = 0; i < ITEMS; i++)
		assert_ptr_equal(find(&m, i, poor_hash(i)), items[i].in ? &items[i] : NULL);
	hmap_fini(&m);
}

static void a_walk_meets_each_node_once_and_may_remove_it(void **state)
{
	(void)state;
	struct hmap m;
	struct hmap_walk w;
	size_t met = 0;

	assert_int_equal(hmap_init(&m), ERR_NONE);
	for (unsigned i = 0; i < ITEMS; i++) {
		items[i] = (struct item){ .key = i, .in = true };
		hmap_add(&m, &items[i].node, poor_hash(i));
	}
	for (struct hmap_node *n = hmap_walk_first(&m, &w); n != NULL; n = hmap_walk_next(&m, &w)) {
		struct item *i = CONTAINER_OF(n, struct item, node);
		assert_true(i->in);
		i->in = false;
		hmap_remove(&m, n);
		met++;
	}
	assert_int_equal(met, ITEMS);
	assert_int_equal(m.cnt, 0);
	hmap_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_found_until_removed),
		cmocka_unit_test(a_walk_meets_each_node_once_and_may_remove_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
