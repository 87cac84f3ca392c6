// ESP packets that wait for their SA: park.c; the answers of the store are the test's, those of the store itself are not taken.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "control/internal.h"

struct bench {
	struct control c;
	struct fwd_punt_rings ring;
};

static int setup(void **state)
{
	static const struct store_role nobody = { .read = NULL };
	struct bench *n = calloc(1, sizeof(*n));
	struct store *s;

	must(n != NULL && hmap_init(&n->c.lots) == ERR_NONE && hmap_init(&n->c.children) == ERR_NONE);
	must(hmap_init(&n->c.reads) == ERR_NONE && store_memory_new(&s) == ERR_NONE);
	must(store_thread_start(s, -1, &nobody, &n->c.store) == ERR_NONE);
	must(fwd_new(1, 1, &n->c.fwd) == ERR_NONE);
	must(ring_init(&n->ring.returns, 64, sizeof(struct fwd_stray)) == ERR_NONE);
	n->c.counters = fwd_control_counters(n->c.fwd);
	n->c.cfg.rings = &n->ring;
	n->c.now_us = 1000000;
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct bench *n = *state;

	store_thread_stop(n->c.store);
	control_park_free(&n->c);
	control_reads_free(&n->c);
	hmap_fini(&n->c.children);
	ring_fini(&n->ring.returns);
	fwd_free(n->c.fwd);
	free(n);
	return 0;
}

static void park(struct bench *n, uint32_t spi, uint8_t number)
{
	static struct fwd_stray s;

	s = (struct fwd_stray){ .spi = spi, .len = 50, .b = { number }, .tos = number };
	control_park_packet(&n->c, &s);
}

/* How often the store was. */
static uint64_t asked(const struct bench *n)
{
	return n->c.next_tag;
}

static uint64_t drops(const struct bench *n, enum model_drop d)
{
	return atomic_load(&n->c.counters->drop[d]);
}

static void packets_go_back_in_order_when_the_sa_is_there(void **state)
{
	static struct fwd_stray s;
	struct bench *n = *state;

	for (uint8_t i = 0; i < 5; i++)
		park(n, 0x1234, i);
	park(n, 0x5678, 77);
	assert_int_equal(asked(n), 2); /* once an SPI */
	control_park_ready(&n->c, 0x1234, true);
	for (uint8_t i = 0; i < 5; i++) {
		assert_true(ring_pop(&n->ring.returns, &s));
		assert_true(s.spi == 0x1234 && s.len == 50 && s.b[0] == i && s.tos == i);
	}
	assert_false(ring_pop(&n->ring.returns, &s));
	assert_int_equal(n->c.stray_cnt, 1);
	control_park_ready(&n->c, 0x1234, true); /* nothing waits: nothing happens */
}

/* The commit of our own rekey is news to us last of all, when this node is busy: the others may have moved the peer to it. */
static void packets_go_back_when_this_node_installs_the_sa_itself(void **state)
{
	static struct fwd_stray s;
	struct bench *n = *state;
	const struct fwd_tunnel_config config = { .tunnel_id = { { 7 } }, .account_number = 7, .outer_mtu = 1500 };
	struct model_child_sa child = { .spi_in = 0x1234, .spi_out = 5, .tunnel_id = { { 7 } },
					.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
					.expires_us = clock_unix_us() + UINT64_C(3600000000), .ts_local_cnt = 1, .ts_remote_cnt = 1,
					.path = { .local = { addr_from_v4_u32(0xc0000201), 4500 },
						  .remote = { addr_from_v4_u32(0xc0000202), 4500 }, .udp_encap = true } };
	const struct store_done read = { .tag = 1 };

	child.ts_local[0] = child.ts_remote[0] =
		(struct model_ts){ .port_last = UINT16_MAX, .first = addr_from_v4_u32(0), .last = addr_from_v4_u32(UINT32_MAX) };
	must(hmap_init(&n->c.tunnels) == ERR_NONE && hmap_init(&n->c.buried) == ERR_NONE);
	must(fwd_account_put(n->c.fwd, 7, true) == ERR_NONE && fwd_tunnel_put(n->c.fwd, &config) == ERR_NONE);
	n->c.larval_spi = 0x1234; /* so far the store keeps the SPI alone */
	park(n, 0x1234, 1);
	assert_true(control_read_done(&n->c, &read));
	assert_false(ring_pop(&n->ring.returns, &s));
	control_child_install(&n->c, &child, 0, 9);
	assert_true(ring_pop(&n->ring.returns, &s));
	assert_int_equal(s.b[0], 1);
	assert_int_equal(n->c.stray_cnt, 0);
	control_child_remove(&n->c, 0x1234, 0);
	control_graves_free(&n->c);
	hmap_fini(&n->c.tunnels);
	heap_fini(&n->c.child_timers);
}

static void what_the_store_does_not_have_is_not_asked_for_again_for_a_while(void **state)
{
	struct bench *n = *state;

	park(n, 0x1234, 1);
	control_park_ready(&n->c, 0x1234, false);
	assert_int_equal(drops(n, MODEL_DROP_esp_unknown_spi), 1);
	for (unsigned i = 0; i < 10; i++)
		park(n, 0x1234, 2);
	assert_int_equal(drops(n, MODEL_DROP_esp_unknown_spi), 11);
	assert_int_equal(asked(n), 1);
	n->c.now_us += 2000001;
	control_reads_free(&n->c); /* it was answered */
	must(hmap_init(&n->c.reads) == ERR_NONE);
	control_park_timers(&n->c);
	park(n, 0x1234, 3);
	assert_int_equal(asked(n), 2);
	assert_int_equal(n->c.stray_cnt, 1);
}

static void a_store_that_is_away_has_not_said_that_there_is_none(void **state)
{
	static struct fwd_stray s;
	struct bench *n = *state;
	const struct store_done away = { .tag = 1, .result = { .err = ERR_AWAY } };

	park(n, 0x1234, 1);
	assert_true(control_read_done(&n->c, &away));
	assert_int_equal(drops(n, MODEL_DROP_esp_unknown_spi), 0);
	assert_int_equal(n->c.stray_cnt, 1);
	park(n, 0x1234, 2);
	control_park_ready(&n->c, 0x1234, true); /* the watch has told */
	for (uint8_t i = 1; i <= 2; i++)
		assert_true(ring_pop(&n->ring.returns, &s) && s.b[0] == i);
}

static void they_wait_no_longer_than_they_may(void **state)
{
	struct bench *n = *state;

	assert_true(control_park_next_us(&n->c) == UINT64_MAX);
	park(n, 0x1234, 1);
	assert_int_equal(control_park_next_us(&n->c), n->c.now_us + 300000);
	n->c.now_us += 299999;
	control_park_timers(&n->c);
	assert_int_equal(drops(n, MODEL_DROP_esp_park_expired), 0);
	n->c.now_us += 1;
	control_park_timers(&n->c);
	assert_int_equal(drops(n, MODEL_DROP_esp_park_expired), 1);
	assert_int_equal(n->c.stray_cnt, 0);
}

static void everything_is_bounded(void **state)
{
	struct bench *n = *state;
	uint64_t offered = 0;

	for (unsigned i = 0; i < 40; i++)
		park(n, 0x100, 1);
	assert_int_equal(drops(n, MODEL_DROP_esp_park_full), 8);
	for (uint32_t spi = 0x1000; spi < 0x1000 + 3000; spi++)
		for (unsigned i = 0; i < 10; i++, offered++)
			park(n, spi, 1);
	assert_true(n->c.stray_cnt <= 4096 && n->c.lots.cnt <= 1024);
	assert_int_equal(drops(n, MODEL_DROP_esp_park_full) + n->c.stray_cnt, offered + 40);
	n->c.now_us += 300000;
	control_park_timers(&n->c);
	assert_int_equal(n->c.stray_cnt + n->c.lots.cnt, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(packets_go_back_in_order_when_the_sa_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(packets_go_back_when_this_node_installs_the_sa_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_store_does_not_have_is_not_asked_for_again_for_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(a_store_that_is_away_has_not_said_that_there_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(they_wait_no_longer_than_they_may, setup, teardown),
		cmocka_unit_test_setup_teardown(everything_is_bounded, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
