#include "cluster/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct cluster_link a, b; /* processes 100 and 200 */
static uint8_t datagram[WIRE_MESH_DATAGRAM_MAX];
static size_t datagram_len;

static int begin(void **state)
{
	(void)state;
	return cluster_link_init(&a, bytes_str("key"), 100) != ERR_NONE ||
	       cluster_link_init(&b, bytes_str("key"), 200) != ERR_NONE;
}

static void seal(struct cluster_link *from, uint32_t to, const char *text)
{
	assert_int_equal(cluster_link_seal(from, to, bytes_str(text), SPACE_OF(datagram), &datagram_len), ERR_NONE);
}

/* Of a copy: what is opened is decrypted in place. */
static enum err open_copy(struct cluster_link *at, const char *want)
{
	uint8_t copy[WIRE_MESH_DATAGRAM_MAX];
	struct wire_mesh_header h;
	struct bytes text;

	memcpy(copy, datagram, datagram_len);
	assert_int_equal(wire_mesh_header_parse(bytes_of(copy, datagram_len), &h), ERR_NONE);
	enum err e = cluster_link_open(at, &h, (struct space){ copy, datagram_len }, &text);
	if (e == ERR_NONE)
		assert_true(bytes_eq(text, bytes_str(want)));
	return e;
}

static void what_is_sealed_is_opened_by_the_receiver_alone(void **state)
{
	(void)state;
	struct cluster_link c;
	assert_int_equal(cluster_link_init(&c, bytes_str("key"), 300), ERR_NONE);
	seal(&a, 200, "text");
	assert_int_equal(open_copy(&c, "text"), ERR_DENIED);
	assert_int_equal(open_copy(&a, "text"), ERR_DENIED); /* our own, sent back */
	assert_int_equal(open_copy(&b, "text"), ERR_NONE);
	seal(&b, 100, "back");
	assert_int_equal(open_copy(&a, "back"), ERR_NONE);
}

static void another_cluster_is_a_stranger(void **state)
{
	(void)state;
	struct cluster_link c;
	assert_int_equal(cluster_link_init(&c, bytes_str("other"), 200), ERR_NONE);
	seal(&a, 200, "text");
	assert_int_equal(open_copy(&c, "text"), ERR_AUTH);
}

static void every_changed_byte_is_seen(void **state)
{
	(void)state;
	struct wire_mesh_header h;
	struct bytes text;
	seal(&a, 200, "text");
	for (size_t i = 0; i < datagram_len; i++) {
		uint8_t copy[WIRE_MESH_DATAGRAM_MAX];
		memcpy(copy, datagram, datagram_len);
		copy[i] ^= 1;
		if (wire_mesh_header_parse(bytes_of(copy, datagram_len), &h) == ERR_NONE)
			assert_int_not_equal(cluster_link_open(&b, &h, (struct space){ copy, datagram_len }, &text), ERR_NONE);
	}
	assert_int_equal(open_copy(&b, "text"), ERR_NONE); /* a forgery took nothing from it */
}

static void each_datagram_is_taken_once(void **state)
{
	(void)state;
	uint8_t kept[CLUSTER_LINK_WINDOW + 2][64];
	seal(&a, 200, "x");
	size_t len = datagram_len;
	memcpy(kept[0], datagram, len);
	for (unsigned i = 1; i < ARRAY_LEN(kept); i++) {
		seal(&a, 200, "x");
		memcpy(kept[i], datagram, len);
	}
	/* The newest first: what is behind it by less than the window is fine, each once. */
	for (unsigned i = ARRAY_LEN(kept); i-- > 2;) {
		memcpy(datagram, kept[i], len);
		assert_int_equal(open_copy(&b, "x"), ERR_NONE);
		assert_int_equal(open_copy(&b, "x"), ERR_EXISTS);
	}
	memcpy(datagram, kept[0], len);
	assert_int_equal(open_copy(&b, "x"), ERR_EXISTS);
	memcpy(datagram, kept[ARRAY_LEN(kept) - 1], len);
	assert_int_equal(open_copy(&b, "x"), ERR_EXISTS);
}

static void window_moves_over_gaps(void **state)
{
	(void)state;
	uint8_t old[64];
	seal(&a, 200, "x");
	size_t len = datagram_len;
	memcpy(old, datagram, len);
	a.next += 3 * CLUSTER_LINK_WINDOW + 5;
	seal(&a, 200, "x");
	assert_int_equal(open_copy(&b, "x"), ERR_NONE);
	seal(&a, 200, "y");
	assert_int_equal(open_copy(&b, "y"), ERR_NONE);
	a.next += 100;
	seal(&a, 200, "z");
	assert_int_equal(open_copy(&b, "z"), ERR_NONE);
	assert_int_equal(open_copy(&b, "z"), ERR_EXISTS);
	memcpy(datagram, old, len);
	assert_int_equal(open_copy(&b, "x"), ERR_EXISTS);
}

/* The nonce is of the whole process: peers that come, go and come back never see one twice under their key. */
static void counter_is_never_used_twice(void **state)
{
	(void)state;
	struct wire_mesh_header h;
	uint64_t last = 0;
	for (uint32_t i = 0; i < 3 * CLUSTER_LINK_PEERS; i++) {
		cluster_link_gone(&a, i + 999);
		seal(&a, i + 1000, "x");
		assert_int_equal(wire_mesh_header_parse(bytes_of(datagram, datagram_len), &h), ERR_NONE);
		assert_true(i == 0 || h.counter == last + 1);
		last = h.counter;
	}
}

/* Else what it once sent could be played again. */
static void forgotten_process_is_not_taken_up_again(void **state)
{
	(void)state;
	size_t len;
	seal(&a, 200, "x");
	assert_int_equal(open_copy(&b, "x"), ERR_NONE);
	cluster_link_gone(&b, 100);
	assert_int_equal(open_copy(&b, "x"), ERR_EXISTS); /* it is known still */
	cluster_link_gone(&b, 100);
	for (uint32_t i = 0; i < CLUSTER_LINK_PEERS; i++) {
		uint8_t out[64];
		assert_int_equal(cluster_link_seal(&b, 1000 + i, bytes_str("x"), SPACE_OF(out), &len), ERR_NONE);
	}
	assert_int_equal(open_copy(&b, "x"), ERR_DENIED);
}

/* Many others may come and go meanwhile. */
static void old_process_that_lives_is_kept(void **state)
{
	(void)state;
	size_t len;
	uint8_t out[64];
	seal(&a, 200, "x");
	assert_int_equal(open_copy(&b, "x"), ERR_NONE);
	for (uint32_t i = 0; i < 4 * CLUSTER_LINK_PEERS; i++) {
		assert_int_equal(cluster_link_seal(&b, 1000 + i, bytes_str("x"), SPACE_OF(out), &len), ERR_NONE);
		cluster_link_gone(&b, 1000 + i);
	}
	seal(&a, 200, "y");
	assert_int_equal(open_copy(&b, "y"), ERR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_sealed_is_opened_by_the_receiver_alone, begin),
		cmocka_unit_test_setup(another_cluster_is_a_stranger, begin),
		cmocka_unit_test_setup(every_changed_byte_is_seen, begin),
		cmocka_unit_test_setup(each_datagram_is_taken_once, begin),
		cmocka_unit_test_setup(window_moves_over_gaps, begin),
		cmocka_unit_test_setup(counter_is_never_used_twice, begin),
		cmocka_unit_test_setup(forgotten_process_is_not_taken_up_again, begin),
		cmocka_unit_test_setup(old_process_that_lives_is_kept, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
