// IP fragments that came to this node: which of them go on to another, and when. What the kernel gives is the test's.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/internal.h"

#define WAIT_US 10000u

static const uint8_t gateway6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

struct bench {
	struct control c;
	struct conf_cluster cluster;
	struct control_socket sockets[2];
	bool v6;
	int kernel; /* the other end of the copies */
};

static int setup(void **state, bool v6)
{
	struct bench *n = calloc(1, sizeof(*n));
	const struct cluster_node other = { .incarnation = 2, .state = CLUSTER_UP };
	int fds[2];

	must(n != NULL && socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0 && fwd_new(1, 1, &n->c.fwd) == ERR_NONE);
	n->c.counters = fwd_control_counters(n->c.fwd);
	n->c.cfg.cluster = &n->cluster;
	n->c.cfg.fragments = (struct io_fragments){ dup(fds[0]), dup(fds[0]), fds[0] };
	n->v6 = v6;
	n->c.cfg.mesh_fd = -1;
	n->kernel = fds[1];
	n->sockets[0].local = (struct addr_endpoint){ addr_from_v4_u32(0xc6336401), 4500 };
	n->sockets[1].local = (struct addr_endpoint){ addr_from_bytes(bytes_of(gateway6, 16)), 4500 };
	n->c.cfg.sockets = n->sockets;
	n->c.cfg.socket_cnt = 2;
	n->c.now_us = 1000000;
	cluster_members_init(&n->c.members, "default", n->c.now_us);
	cluster_members_self(&n->c.members, 1, true, false);
	must(cluster_members_put(&n->c.members, 2, &other, 1, n->c.now_us) == ERR_NONE);
	must(control_gather_start(&n->c) == ERR_NONE);
	*state = n;
	return 0;
}

static int setup4(void **state)
{
	return setup(state, false);
}

static int setup6(void **state)
{
	return setup(state, true);
}

static int teardown(void **state)
{
	struct bench *n = *state;

	control_gather_free(&n->c);
	close(n->kernel);
	fwd_free(n->c.fwd);
	free(n);
	return 0;
}

static void put6(struct wr *w, uint16_t id, uint16_t at, bool more, uint8_t host)
{
	wr_u32(w, 0x60000000);
	wr_u16(w, 8 + 64);
	wr_u16(w, 44 << 8 | 64);
	wr_zero(w, 15);
	wr_u8(w, 9);
	wr_put(w, bytes_of(gateway6, 15));
	wr_u8(w, host);
	wr_u16(w, 17 << 8);
	wr_u16(w, (uint16_t)(at | more));
	wr_u32(w, id);
}

static void put4(struct wr *w, uint16_t id, uint16_t at, bool more, uint8_t host)
{
	wr_u16(w, 0x4500);
	wr_u16(w, 20 + 64);
	wr_u16(w, id);
	wr_u16(w, (uint16_t)((more ? 0x2000 : 0) | at / 8));
	wr_u32(w, 0x40110000);
	wr_u32(w, 0xcb007102);
	wr_u32(w, 0xc6336400u + host);
}

/* A fragment of 64 bytes at that place, to the gateway or one address further. */
static void come_to(struct bench *n, uint16_t id, uint16_t at, bool more, uint8_t host)
{
	uint8_t b[48 + 64] = { 0 };
	struct wr w = wr_of(SPACE_OF(b));

	(n->v6 ? put6 : put4)(&w, id, at, more, host);
	size_t len = wr_len(&w) + 64;
	must(!w.bad && send(n->kernel, b, len, MSG_DONTWAIT) == (ssize_t)len);
	control_gather_receive(&n->c, n->v6);
}

static void come(struct bench *n, uint16_t id, uint16_t at, bool more)
{
	come_to(n, id, at, more, 1);
}

static void wait(struct bench *n, uint64_t us)
{
	n->c.now_us += us;
	control_gather_timers(&n->c);
}

static uint64_t sent(const struct bench *n)
{
	return atomic_load(&n->c.counters->counter[MODEL_COUNTER_ip_fragments_sent_on]);
}

static uint64_t dropped(const struct bench *n)
{
	return atomic_load(&n->c.counters->drop[MODEL_DROP_ip_fragment]);
}

/* Of many datagrams about half are the other node's; a first fragment shows of which. */
static uint16_t find_id(struct bench *n, bool other)
{
	for (uint16_t id = 1; id < 200; id++) {
		uint64_t before = sent(n);
		come(n, id, 0, true);
		wait(n, WAIT_US);
		if ((sent(n) != before) == other) {
			wait(n, 3000000); /* it is forgotten */
			return id;
		}
	}
	fail_msg("none");
	return 0;
}

static void a_fragment_alone_goes_to_the_node_that_is_chosen(void **state)
{
	struct bench *n = *state;
	uint16_t id = find_id(n, true);
	uint64_t before = sent(n);

	come(n, id, 0, true);
	assert_int_equal(control_gather_next_us(&n->c), n->c.now_us + WAIT_US);
	wait(n, WAIT_US - 1);
	assert_int_equal(sent(n), before);
	wait(n, 1);
	assert_int_equal(sent(n), before + 1);
	assert_int_equal(control_gather_next_us(&n->c), UINT64_MAX);
	come(n, id, 128, false); /* one that comes later goes at once */
	assert_int_equal(sent(n), before + 2);
}

/* The kernel here has them all. */
static void a_datagram_that_is_whole_here_stays(void **state)
{
	struct bench *n = *state;
	uint16_t id = find_id(n, true);
	uint64_t before = sent(n);

	come(n, id, 64, false);
	come(n, id, 0, true);
	wait(n, WAIT_US);
	come(n, id, 0, true); /* it comes again */
	wait(n, WAIT_US);
	assert_int_equal(sent(n), before);
}

/* Three, of which the one in the middle came to the node that is chosen. */
static void one_that_comes_twice_is_no_other_one(void **state)
{
	struct bench *n = *state;
	uint16_t id = find_id(n, true);
	uint64_t before = sent(n);

	come(n, id, 0, true);
	come(n, id, 0, true);
	come(n, id, 128, false);
	wait(n, WAIT_US);
	assert_int_equal(sent(n), before + 3);
}

/* The kernel here has had the others all the time, and gives the datagram to us: a second one must not come of it. */
static void the_last_of_a_datagram_that_came_here_alone_stays_however_late_it_is(void **state)
{
	struct bench *n = *state;
	uint16_t id = find_id(n, true);
	uint64_t before = sent(n);

	come(n, id, 0, true);
	wait(n, WAIT_US);
	come(n, id, 128, false);
	assert_int_equal(sent(n), before + 2);
	come(n, id, 64, true);
	wait(n, WAIT_US);
	assert_int_equal(sent(n), before + 2);
}

static void datagrams_that_are_done_leave_room_for_others(void **state)
{
	struct bench *n = *state;

	for (unsigned id = 1000; id < 2200; id++) {
		come(n, (uint16_t)id, 0, true);
		if (id % 2 != 0)
			come(n, (uint16_t)id, 64, false);
		if (id % 100 == 0)
			wait(n, WAIT_US);
	}
	wait(n, WAIT_US);
	assert_int_equal(dropped(n), 0);
	assert_in_range(sent(n), 200, 400); /* a half of a half */
}

static void what_is_chosen_to_be_put_together_here_stays(void **state)
{
	struct bench *n = *state;
	uint16_t id = find_id(n, false);
	uint64_t before = sent(n);

	come(n, id, 0, true);
	wait(n, WAIT_US);
	assert_int_equal(sent(n), before);
	assert_int_equal(dropped(n), 0);
}

static void fragments_to_others_are_nothing_to_us(void **state)
{
	struct bench *n = *state;

	for (uint16_t id = 0; id < 50; id++)
		come_to(n, id, 0, true, 2);
	wait(n, WAIT_US);
	assert_int_equal(sent(n) + dropped(n), 0);
	control_gather_take(&n->c, bytes_str("no packet")); /* from another node */
	assert_int_equal(dropped(n), 1);
}

static void strangers_fill_no_memory_and_no_mesh(void **state)
{
	struct bench *n = *state;

	for (unsigned id = 0; id < 5000; id++)
		come(n, (uint16_t)id, 0, true);
	wait(n, WAIT_US);
	assert_int_equal(sent(n), 256);
	assert_in_range(dropped(n), 1000, 5000);
	wait(n, 3000000);
	uint64_t before = sent(n);
	uint16_t id = find_id(n, true);
	for (unsigned i = 0; i < 5000; i++) { /* one that never ends */
		come(n, id, 0, true);
		if (i == 0)
			wait(n, WAIT_US);
	}
	assert_in_range(sent(n) - before, 1, 2100);
}

/* RFC 6946: with a fragment header, and whole. */
static void what_is_all_of_its_datagram_stays(void **state)
{
	struct bench *n = *state;

	for (uint16_t id = 0; id < 50; id++)
		come(n, id, 0, false);
	wait(n, WAIT_US);
	assert_int_equal(sent(n) + dropped(n), 0);
	assert_int_equal(control_gather_next_us(&n->c), UINT64_MAX);
}

#define BOTH(test) cmocka_unit_test_setup_teardown(test, setup4, teardown), cmocka_unit_test_setup_teardown(test, setup6, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_fragment_alone_goes_to_the_node_that_is_chosen),
		BOTH(a_datagram_that_is_whole_here_stays),
		BOTH(one_that_comes_twice_is_no_other_one),
		BOTH(the_last_of_a_datagram_that_came_here_alone_stays_however_late_it_is),
		BOTH(datagrams_that_are_done_leave_room_for_others),
		BOTH(what_is_chosen_to_be_put_together_here_stays),
		BOTH(fragments_to_others_are_nothing_to_us),
		BOTH(strangers_fill_no_memory_and_no_mesh),
		BOTH(what_is_all_of_its_datagram_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
