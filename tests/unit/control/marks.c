#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/iana.h"
#include "control/internal.h"
#include "store/engine.h"

static void marks_come_back_as_they_were(void **state)
{
	const struct control_marks m = { UINT64_C(0x123456789a), UINT64_C(0xa500000005), UINT64_C(1) << 41 };
	struct control_marks back = { 0 };
	uint8_t b[CONTROL_MARKS_LEN];

	(void)state;
	control_marks_encode(&m, b);
	assert_true(control_marks_decode(BYTES_OF(b), &back));
	assert_int_equal(back.out, m.out);
	assert_int_equal(back.in, m.in);
	assert_int_equal(back.bytes, m.bytes);
}

/* Those of before there were extended numbers: the outbound number alone. */
static void a_mark_of_four_bytes_is_read(void **state)
{
	static const uint8_t old[] = { 0x00, 0x40, 0x00, 0x01 };
	struct control_marks m = { 7, 7, 7 };

	(void)state;
	assert_true(control_marks_decode(BYTES_OF(old), &m));
	assert_int_equal(m.out, 0x400001);
	assert_int_equal(m.in + m.bytes, 0);
}

static void other_lengths_are_refused_and_change_nothing(void **state)
{
	static const uint8_t room[40] = { 1 };
	struct control_marks m = { 7, 8, 9 };

	(void)state;
	for (size_t len = 0; len <= sizeof(room); len++)
		if (len != 4 && len != CONTROL_MARKS_LEN)
			assert_false(control_marks_decode(bytes_of(room, len), &m));
	assert_true(m.out == 7 && m.in == 8 && m.bytes == 9);
}

/* ---- a gateway that is alone, and its store ---- */

#define SPI 0x01020304

static const struct store_engine *whole;
static bool away;

static void commit_if_there(struct store *s, const struct store_txn *txns, size_t cnt, struct store_result *results)
{
	for (size_t i = 0; away && i < cnt; i++)
		results[i].err = ERR_SYSTEM;
	whole->commit_many(s, txns, cnt, results);
}

static void make_gateway(struct control *c)
{
	static struct store_engine engine;
	static const struct store_role nobody = { .read = NULL };
	struct hmap *maps[] = { &c->children, &c->tunnels, &c->sas, &c->buried };
	struct model_child_sa child = { .spi_in = SPI, .spi_out = 0x99, .sequenced = true, .tunnel_id = { .b = { 1 } },
					.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256, .esn = IKE_ESN_NONE } };
	const struct fwd_tunnel_config config = { .tunnel_id = child.tunnel_id, .account_number = 7, .outer_mtu = 1500 };
	struct store *s;

	child.path.local.addr = child.path.remote.addr = addr_from_v4_u32(0x7f000001);
	child.ts_local_cnt = child.ts_remote_cnt = 1;
	child.ts_local[0] = child.ts_remote[0] = (struct model_ts){ .port_last = UINT16_MAX, .first = addr_from_v4_u32(0),
								    .last = addr_from_v4_u32(UINT32_MAX) };
	*c = (struct control){ .now_us = 1000000 };
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		assert_int_equal(hmap_init(maps[i]), ERR_NONE);
	assert_int_equal(store_memory_new(&s), ERR_NONE);
	whole = s->engine;
	engine = *whole;
	engine.commit_many = commit_if_there;
	s->engine = &engine;
	assert_int_equal(store_thread_start(s, -1, &nobody, &c->store), ERR_NONE);
	assert_int_equal(fwd_new(1, 1, &c->fwd), ERR_NONE);
	assert_int_equal(fwd_account_put(c->fwd, 7, true), ERR_NONE);
	assert_int_equal(fwd_tunnel_put(c->fwd, &config), ERR_NONE);
	control_child_install(c, &child, 0, 1);
}

static void free_gateway(struct control *c)
{
	store_thread_stop(c->store);
	control_child_remove(c, SPI, 9);
	control_graves_free(c);
	hmap_fini(&c->children);
	hmap_fini(&c->tunnels);
	hmap_fini(&c->sas);
	heap_fini(&c->child_timers);
	fwd_free(c->fwd);
}

static void take_done(void *arg, const struct store_done *done)
{
	assert_true(control_marks_done(arg, done));
}

static void take_row(void *arg, const struct store_row *row)
{
	(void)arg, (void)row;
}

/* A second goes by; true: the store was told something of the use of keys. */
static bool passes_a_second(struct control *c)
{
	c->now_us += 1000000;
	control_children_check(c);
	if (!control_child_find(c, SPI)->raising)
		return false;
	struct pollfd p = { .fd = store_thread_fd(c->store), .events = POLLIN };
	while (control_child_find(c, SPI)->raising) {
		assert_int_equal(poll(&p, 1, 30000), 1);
		store_thread_poll(c->store, take_done, take_row, c);
	}
	return true;
}

/* Else a restart would begin with numbers that were used, and the peer drop what has them. */
static void marks_that_the_store_did_not_take_are_raised_again(void **state)
{
	static struct control c;

	(void)state;
	make_gateway(&c);
	assert_false(passes_a_second(&c));
	control_child_find(&c, SPI)->marks.out = 1; /* most of the block is used */
	away = true;
	for (unsigned i = 0; i < 3; i++)
		assert_true(passes_a_second(&c));
	assert_int_equal(control_child_find(&c, SPI)->marks.out, 1);
	away = false;
	assert_true(passes_a_second(&c));
	assert_false(passes_a_second(&c));
	assert_int_equal(control_child_find(&c, SPI)->marks.out, CONTROL_SEQ_BLOCK);
	free_gateway(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_come_back_as_they_were),
		cmocka_unit_test(a_mark_of_four_bytes_is_read),
		cmocka_unit_test(other_lengths_are_refused_and_change_nothing),
		cmocka_unit_test(marks_that_the_store_did_not_take_are_raised_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
