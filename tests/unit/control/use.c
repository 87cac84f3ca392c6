// Two nodes that use one Child SA: a limit is reached by what both have used, also when one of them is another process by then.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/internal.h"

#define SPI 0x01020304

struct node {
	struct control c;
	struct control_child child;
	struct fwd_child_stats own;
	struct fwd *fwd;
};

static struct node node[2];
static unsigned said; /* datagrams */

/* The mesh: it comes to the other node at once. */
static void tell_other(struct control *c, struct bytes list)
{
	struct wire_mesh_used u;

	said++;
	while (wire_mesh_used_next(&list, &u))
		control_use_take(&node[c == &node[0].c ? 1 : 0].c, &u);
}

static void add_child(struct node *n, uint64_t packets)
{
	n->child = (struct control_child){ .spi_in = SPI };
	n->own = (struct fwd_child_stats){ 0 };
	n->child.limits = (struct esp_limits){ .soft_packets = packets, .soft_bytes = UINT64_MAX, .soft_numbers = UINT64_MAX,
					       .hard_bytes = UINT64_MAX, .hard_numbers = UINT64_MAX };
	hmap_add(&n->c.children, &n->child.by_spi, siphash_u64(&n->c.hash_key, SPI));
}

static void make_node(struct node *n, unsigned at, uint64_t packets)
{
	memset(n, 0, sizeof(*n));
	n->c.clustered = true;
	n->c.cfg.incarnation = at + 1;
	n->c.members.cnt = 1;
	assert_int_equal(hmap_init(&n->c.children), ERR_NONE);
	add_child(n, packets);
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		control_use_free(&node[i].child);
		hmap_fini(&node[i].c.children);
	}
	return 0;
}

static void begin(uint64_t packets)
{
	said = 0;
	for (unsigned i = 0; i < 2; i++)
		make_node(&node[i], i, packets);
}

/* A part of control_children_check. */
static void look(unsigned at)
{
	struct control_use_list l;

	control_use_begin(&l, 1, tell_other);
	control_use_look(&node[at].c, &l, &node[at].child, &node[at].own);
	control_use_end(&node[at].c, &l);
}

static enum esp_wear wear(unsigned at)
{
	const struct esp_used used = control_use_sum(&node[at].c, &node[at].child, &node[at].own);
	return esp_limits_judge(&node[at].child.limits, &used);
}

/* Whatever way it is shared out: when either of them says that it is time, all packets together are below the limit, and not by much. */
static void a_limit_is_reached_by_what_both_have_used(void **state)
{
	static const unsigned shares[][2] = { { 1, 1 }, { 9, 1 }, { 0, 1 }, { 1, 0 } };
	const uint64_t limit = 100000;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shares); s++) {
		begin(limit);
		while (wear(0) == ESP_WEAR_FINE && wear(1) == ESP_WEAR_FINE) {
			for (unsigned i = 0; i < 2; i++) {
				node[i].own.out_packets += 10 * shares[s][i];
				look(i);
			}
		}
		uint64_t all = node[0].own.out_packets + node[1].own.out_packets;
		assert_in_range(all, limit - limit / 8, limit);
		assert_true(said <= 40);
		end(NULL);
	}
	begin(limit);
}

/* One sends what the other takes: no direction has more than its own packets. */
static void directions_count_apart(void **state)
{
	(void)state;
	begin(1000);
	node[0].own.in_packets = 600;
	node[1].own.out_packets = 600;
	look(0);
	look(1);
	assert_true(wear(0) == ESP_WEAR_FINE && wear(1) == ESP_WEAR_FINE);
}

static void what_is_little_is_not_told(void **state)
{
	(void)state;
	begin(100000);
	node[0].own.in_packets = 3000;
	look(0);
	assert_int_equal(said, 0);
	node[0].own.in_packets = 4000;
	look(0);
	look(0);
	assert_int_equal(said, 1);
}

static void a_process_that_comes_anew_learns_what_the_one_before_has_used(void **state)
{
	(void)state;
	begin(100000);
	node[0].own.out_packets = 50000;
	look(0);
	node[1].own.out_packets = 30000;
	look(1);
	/* it dies, and another one begins at nothing */
	hmap_remove(&node[0].c.children, &node[0].child.by_spi);
	control_use_free(&node[0].child);
	node[0].c.cfg.incarnation = 3;
	add_child(&node[0], 100000);
	node[1].c.use_epoch++;
	look(1);
	assert_true(wear(0) == ESP_WEAR_FINE);
	node[0].own.out_packets = 20000;
	assert_true(wear(0) == ESP_WEAR_SOFT);
	look(0);
	assert_true(wear(1) == ESP_WEAR_SOFT);
}

/* Words that come late take nothing back, and our own that come back count once. */
static void words_come_late_and_twice(void **state)
{
	const struct wire_mesh_used old = { .spi_in = SPI, .incarnation = 2, .out_packets = 10 },
				    own = { .spi_in = SPI, .incarnation = 1, .out_packets = 90000 },
				    other = { .spi_in = SPI + 1, .incarnation = 2, .out_packets = 90000 };

	(void)state;
	begin(100000);
	node[1].own.out_packets = 90000;
	look(1);
	control_use_take(&node[0].c, &old);
	control_use_take(&node[0].c, &own);
	control_use_take(&node[0].c, &other);
	assert_true(wear(0) == ESP_WEAR_FINE);
	node[0].own.out_packets = 8000;
	assert_true(wear(0) == ESP_WEAR_SOFT);
}

static void a_gateway_alone_tells_nobody(void **state)
{
	(void)state;
	begin(1000);
	node[0].c.clustered = false;
	node[0].c.members.cnt = 0;
	node[0].own.out_packets = 999;
	look(0);
	assert_int_equal(said, 0);
	assert_true(wear(0) == ESP_WEAR_FINE);
	node[0].own.out_packets = 1000;
	assert_true(wear(0) == ESP_WEAR_SOFT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_limit_is_reached_by_what_both_have_used, end),
		cmocka_unit_test_teardown(directions_count_apart, end),
		cmocka_unit_test_teardown(what_is_little_is_not_told, end),
		cmocka_unit_test_teardown(a_process_that_comes_anew_learns_what_the_one_before_has_used, end),
		cmocka_unit_test_teardown(words_come_late_and_twice, end),
		cmocka_unit_test_teardown(a_gateway_alone_tells_nobody, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
