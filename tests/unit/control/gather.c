// IP fragments that came to this node: which of them go on to another, and when. What the kernel gives is the test's.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/internal.h"

#define WAIT_US 10000u

struct bench {
	struct control c;
	struct conf_cluster cluster;
	struct control_socket socket;
	int kernel; /* the other end of the copies */
};

static int setup(void **state)
{
	struct bench *n = calloc(1, sizeof(*n));
	const struct cluster_node other = { .incarnation = 2, .state = CLUSTER_UP };
	int fds[2];

	must(n != NULL && socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0 && fwd_new(1, 1, &n->c.fwd) == ERR_NONE);
	n->c.counters = fwd_control_counters(n->c.fwd);
	n->c.cfg.cluster = &n->cluster;
	n->c.cfg.fragment_fd = fds[0];
	n->c.cfg.fragment_way_fd = dup(fds[0]);
	n->c.cfg.mesh_fd = -1;
	n->kernel = fds[1];
	n->socket.local = (struct addr_endpoint){ addr_from_v4_u32(0xc6336401), 4500 };
	n->c.cfg.sockets = &n->socket;
	n->c.cfg.socket_cnt = 1;
	n->c.now_us = 1000000;
	cluster_members_init(&n->c.members, "default", n->c.now_us);
	cluster_members_self(&n->c.members, 1, true, false);
	must(cluster_members_put(&n->c.members, 2, &other, 1, n->c.now_us) == ERR_NONE);
	must(control_gather_start(&n->c) == ERR_NONE);
	*state = n;
	return 0;
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

/* A fragment of 64 bytes at that place, to the gateway or one address further. */
static void come_to(struct bench *n, uint16_t id, uint16_t at, bool more, uint8_t host)
{
	uint8_t b[20 + 64] = { 0 };
	struct wr w = wr_of(SPACE_OF(b));

	wr_u16(&w, 0x4500);
	wr_u16(&w, sizeof(b));
	wr_u16(&w, id);
	wr_u16(&w, (uint16_t)((more ? 0x2000 : 0) | at / 8));
	wr_u32(&w, 0x40110000);
	wr_u32(&w, 0xcb007102);
	wr_u32(&w, 0xc6336400u + host);
	must(!w.bad && send(n->kernel, b, sizeof(b), MSG_DONTWAIT) == (ssize_t)sizeof(b));
	control_gather_receive(&n->c);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_fragment_alone_goes_to_the_node_that_is_chosen, setup, teardown),
		cmocka_unit_test_setup_teardown(a_datagram_that_is_whole_here_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_chosen_to_be_put_together_here_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(fragments_to_others_are_nothing_to_us, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_fill_no_memory_and_no_mesh, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
