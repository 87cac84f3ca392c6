#include "io/tun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/udp.h"
#include "io/vnet.h"

/* Devices and routes in a namespace of the test's own. Needs root and iproute2; skipped without. */

static char netns[32];
static bool allowed;

__attribute__((format(printf, 1, 2))) static bool shell(const char *fmt, ...)
{
	char line[640];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	return system(line) == 0;
}

static struct addr_prefix prefix(const char *text)
{
	struct addr_prefix p;
	assert_int_equal(addr_prefix_parse(bytes_str(text), &p), ERR_NONE);
	return p;
}

/* The network namespace of this thread. */
static void where_am_i(char room[64])
{
	ssize_t n = readlink("/proc/thread-self/ns/net", room, 63);
	assert_true(n > 0);
	room[n] = '\0';
}

static void open_device(const char *name, unsigned cnt, int *fds)
{
	char before[64], after[64];

	where_am_i(before);
	assert_int_equal(io_tun_open(name, netns, 1400, cnt, fds), ERR_NONE);
	where_am_i(after);
	assert_string_equal(before, after);
}

static void close_device(unsigned cnt, const int *fds)
{
	for (unsigned i = 0; i < cnt; i++)
		close(fds[i]);
}

/* Sends a datagram from inside the namespace, in a child that stays there. */
static void send_inside(const char *to)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char path[64];
		struct addr_endpoint any = { 0 }, dst = { .port = 9 };
		int fd;
		snprintf(path, sizeof(path), "/run/netns/%s", netns);
		int ns = open(path, O_RDONLY | O_CLOEXEC);
		bool ok = addr_parse(bytes_str(to), &dst.addr) == ERR_NONE;
		any.addr.family = dst.addr.family;
		ok = ok && setns(ns, CLONE_NEWNET) == 0 && io_udp_open(&any, &fd) == ERR_NONE &&
		     io_udp_send(fd, &dst, false, bytes_str("hello")) == ERR_NONE;
		_exit(ok ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_device_in_another_namespace_works_from_here(void **state)
{
	static const char *const routes[] = { "10.77.0.0/16", "fd77::/32" };
	static const char *const hosts[] = { "10.77.1.2", "fd77::9" };
	uint8_t room[2000];
	int fds[2];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-t1", 2, fds);
	assert_true(shell("ip -n %s link show onr-t1 | grep -q 'mtu 1400'", netns));
	assert_true(shell("ip -n %s link show onr-t1 | grep -q 'UP'", netns));
	assert_true(shell("ip -n %s addr add 10.66.0.1/32 dev onr-t1 && ip -n %s addr add fd66::1/128 dev onr-t1 nodad",
			  netns, netns));
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd p[2] = { { .fd = fds[0], .events = POLLIN },
				       { .fd = fds[1], .events = POLLIN } };
		struct addr_prefix to = prefix(routes[i]);
		assert_int_equal(io_route_add(netns, "onr-t1", IO_TABLE_MAIN, &to), ERR_NONE);
		send_inside(hosts[i]);
		/* One of the queues has it, alone: nothing of the kernel's own comes before. */
		assert_true(poll(p, 2, 2000) >= 1);
		ssize_t n = read(p[0].revents != 0 ? fds[0] : fds[1], room, sizeof(room));
		assert_int_equal(n, IO_VNET_LEN + (i == 0 ? 33 : 53));
		assert_int_equal(room[IO_VNET_LEN] >> 4, i == 0 ? 4 : 6);
		assert_int_equal(io_vnet_parse(room).kind, IO_VNET_SINGLE);
		assert_memory_equal(room + n - 5, "hello", 5);
	}
	assert_int_equal(read(fds[0], room, sizeof(room)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(io_tun_has_vnet(fds[0]));
	assert_true(io_tun_has_vnet(fds[1]));
	close_device(2, fds);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_false(io_tun_has_vnet(fds[0]));
	close_device(2, fds);
}

static void routes_may_be_added_and_removed_twice(void **state)
{
	static const char *const texts[] = { "10.78.0.0/16", "10.78.0.1/16", "0.0.0.0/0", "fd78::/64", "::/0" };
	int fds[1];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-t2", 1, fds);
	for (size_t i = 0; i < 5; i++) {
		struct addr_prefix p = prefix(texts[i]);
		const char *family = p.addr.family == ADDR_V6 ? "-6" : "-4";
		assert_int_equal(io_route_add(netns, "onr-t2", IO_TABLE_MAIN, &p), ERR_NONE);
		assert_int_equal(io_route_add(netns, "onr-t2", IO_TABLE_MAIN, &p), ERR_NONE);
		assert_true(shell("ip %s -n %s route show proto 171 | grep -q onr-t2", family, netns));
		assert_int_equal(io_route_delete(netns, "onr-t2", IO_TABLE_MAIN, &p), ERR_NONE);
		assert_int_equal(io_route_delete(netns, "onr-t2", IO_TABLE_MAIN, &p), ERR_NONE);
		assert_false(shell("ip %s -n %s route show proto 171 | grep -q onr-t2", family, netns));
	}
	close_device(1, fds);
}

static void a_strangers_route_is_neither_taken_nor_removed(void **state)
{
	static const char *const texts[] = { "10.79.0.0/16", "fd79::/64" };
	int one[1], two[1];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-t3", 1, one);
	open_device("onr-t4", 1, two);
	for (size_t i = 0; i < 2; i++) {
		struct addr_prefix p = prefix(texts[i]);
		const char *family = p.addr.family == ADDR_V6 ? "-6" : "-4";
		assert_true(shell("ip %s -n %s route add %s dev onr-t3", family, netns, texts[i]));
		assert_int_equal(io_route_add(netns, "onr-t4", IO_TABLE_MAIN, &p), ERR_SYSTEM);
		assert_int_equal(errno, EEXIST);
		assert_int_equal(io_route_delete(netns, "onr-t3", IO_TABLE_MAIN, &p), ERR_NONE);
		assert_true(shell("ip %s -n %s route show %s | grep -q onr-t3", family, netns, texts[i]));
	}
	close_device(1, one);
	close_device(1, two);
}

static void addresses_are_put_on_a_device_once(void **state)
{
	static const char *const texts[] = { "10.81.0.3/31", "fd81::3/127" };
	int fds[1];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-t6", 1, fds);
	for (size_t i = 0; i < 2; i++) {
		struct addr_prefix p = prefix(texts[i]);
		assert_int_equal(io_address_add(netns, "onr-t6", &p), ERR_NONE);
		assert_int_equal(io_address_add(netns, "onr-t6", &p), ERR_NONE);
		assert_true(shell("ip -n %s addr show dev onr-t6 | grep -q ' %s '", netns, texts[i]));
	}
	assert_false(shell("ip -n %s addr show dev onr-t6 | grep -q tentative", netns));
	struct addr_prefix p = prefix("10.81.0.9/32");
	assert_int_equal(io_address_add(netns, "onr-none", &p), ERR_SYSTEM);
	close_device(1, fds);
}

/* What the kernel answers about the address. */
static bool leads(const char *to, const char *what)
{
	return shell("ip -n %s route get %s | grep -q '%s'", netns, to, what);
}

static void a_pinned_address_keeps_its_next_hop(void **state)
{
	static const char *const to[] = { "198.51.100.9", "2001:db8:99::9" };
	static const char *const halves[] = { "128.0.0.0/1", "::/1" };
	int way[1], tun[1];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-t7", 1, way);
	open_device("onr-t8", 1, tun);
	assert_true(shell("ip -n %s addr add 10.82.0.2/24 dev onr-t7 && ip -n %s addr add fd82::2/64 dev onr-t7 nodad && "
			  "ip -n %s route add default via 10.82.0.1 && ip -6 -n %s route add default via fd82::1",
			  netns, netns, netns, netns));
	for (size_t i = 0; i < 2; i++) {
		struct addr_prefix half = prefix(halves[i]);
		struct addr a;
		assert_int_equal(addr_parse(bytes_str(to[i]), &a), ERR_NONE);
		for (unsigned again = 0; again < 2; again++)
			assert_int_equal(io_route_pin(netns, &a, "onr-t8", IO_TABLE_MAIN), ERR_NONE);
		assert_int_equal(io_route_add(netns, "onr-t8", IO_TABLE_MAIN, &half), ERR_NONE);
		assert_true(leads(to[i], "dev onr-t7"));
		for (unsigned again = 0; again < 2; again++)
			assert_int_equal(io_route_unpin(netns, &a, IO_TABLE_MAIN), ERR_NONE);
		assert_true(leads(to[i], "dev onr-t8"));
		/* The route into the tunnel is no way to the gateway itself. */
		assert_int_equal(io_route_pin(netns, &a, "onr-t8", IO_TABLE_MAIN), ERR_NONE);
		assert_true(leads(to[i], "dev onr-t7"));
		/* Nor is there another one when the uplink's is gone, until there is. */
		assert_true(shell("ip %s -n %s route del default", i == 0 ? "-4" : "-6", netns));
		assert_int_equal(io_route_pin(netns, &a, "onr-t8", IO_TABLE_MAIN), ERR_NONE);
		assert_false(leads(to[i], "dev"));
		assert_true(shell("ip %s -n %s route add default dev onr-t7 metric 70", i == 0 ? "-4" : "-6", netns));
		assert_int_equal(io_route_pin(netns, &a, "onr-t8", IO_TABLE_MAIN), ERR_NONE);
		assert_true(leads(to[i], "dev onr-t7"));
	}
	/* All at once: the device goes, and the copies with it. */
	assert_true(shell("ip -n %s link set onr-t7 down", netns));
	assert_false(leads(to[0], "dev") || leads(to[1], "dev"));
	close_device(1, way);
	close_device(1, tun);
	for (size_t i = 0; i < 2; i++) {
		struct addr a;
		assert_int_equal(addr_parse(bytes_str(to[i]), &a), ERR_NONE);
		assert_int_equal(io_route_unpin(netns, &a, IO_TABLE_MAIN), ERR_NONE);
	}
	assert_false(shell("ip -n %s route show table all | grep -q 'proto 171'", netns));
}

static void a_pinned_address_has_all_that_its_way_has(void **state)
{
	static const char *const ways[] = {
		"route add default src 10.83.0.3 mtu 1400 nexthop via 10.83.0.1 dev onr-t9 weight 3 nexthop via 10.84.0.1 dev onr-ta",
		"-4 route add default via inet6 fd83::1 dev onr-t9",
		"route add default via 10.99.0.1 dev onr-t9 onlink",
		"-6 route add default nexthop via fd83::1 dev onr-t9 nexthop via fd83::2 dev onr-ta",
	};
	int first[1], second[1];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-t9", 1, first);
	open_device("onr-ta", 1, second);
	assert_true(shell("ip -n %s addr add 10.83.0.2/24 dev onr-t9 && ip -n %s addr add 10.83.0.3/24 dev onr-t9 && "
			  "ip -n %s addr add 10.84.0.2/24 dev onr-ta && ip -n %s addr add fd83::9/64 dev onr-t9 nodad && "
			  "ip -n %s addr add fd83::a/64 dev onr-ta nodad", netns, netns, netns, netns, netns));
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		const char *to = i == 3 ? "2001:db8:99::9" : "198.51.100.9";
		struct addr a;
		assert_int_equal(addr_parse(bytes_str(to), &a), ERR_NONE);
		assert_true(shell("ip -n %s %s", netns, ways[i]));
		assert_int_equal(io_route_pin(netns, &a, "onr-none", IO_TABLE_MAIN), ERR_NONE);
		/* The same but for the prefix, the protocol and the metric. */
		assert_true(shell("s='s/ proto [a-z0-9]*//; s/ metric [0-9]*//; s/ pref medium//; s/ *$//'; "
				  "a=$(ip %s -n %s route show default | sed \"$s; s/^default//\"); "
				  "b=$(ip %s -n %s route show %s metric 60171 | sed \"$s; s/^%s//\"); "
				  "test -n \"$b\" -a \"$a\" = \"$b\" || { echo \"$a and $b\"; false; }",
				  i == 3 ? "-6" : "-4", netns, i == 3 ? "-6" : "-4", netns, to, to));
		assert_true(shell("ip %s -n %s route del default", i == 3 ? "-6" : "-4", netns));
		assert_int_equal(io_route_unpin(netns, &a, IO_TABLE_MAIN), ERR_NONE);
	}
	close_device(1, first);
	close_device(1, second);
}

static void a_host_route_of_somebody_else_counts_and_stays(void **state)
{
	const struct addr_prefix all = prefix("128.0.0.0/1");
	struct addr a;
	int way[1], tun[1];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-tb", 1, way);
	open_device("onr-tc", 1, tun);
	assert_int_equal(addr_parse(bytes_str("198.51.100.9"), &a), ERR_NONE);
	assert_true(shell("ip -n %s addr add 10.85.0.2/24 dev onr-tb && ip -n %s route add default via 10.85.0.1 && "
			  "ip -n %s route add 198.51.100.9 via 10.85.0.7", netns, netns, netns));
	assert_int_equal(io_route_pin(netns, &a, "onr-tc", IO_TABLE_MAIN), ERR_NONE);
	assert_int_equal(io_route_add(netns, "onr-tc", IO_TABLE_MAIN, &all), ERR_NONE);
	assert_true(leads("198.51.100.9", "via 10.85.0.7"));
	assert_true(shell("ip -n %s route del 198.51.100.9 via 10.85.0.7", netns));
	assert_int_equal(io_route_pin(netns, &a, "onr-tc", IO_TABLE_MAIN), ERR_NONE);
	assert_true(leads("198.51.100.9", "via 10.85.0.1"));
	/* It may also come later. */
	assert_true(shell("ip -n %s route add 198.51.100.9 via 10.85.0.8", netns));
	assert_true(leads("198.51.100.9", "via 10.85.0.8"));
	assert_int_equal(io_route_unpin(netns, &a, IO_TABLE_MAIN), ERR_NONE);
	assert_true(leads("198.51.100.9", "via 10.85.0.8"));
	close_device(1, way);
	close_device(1, tun);
}

static void routes_of_another_table_leave_the_main_one_alone(void **state)
{
	const struct addr_prefix all = prefix("128.0.0.0/1");
	const uint32_t table = 70000; /* more than the eight bits of old */
	struct addr a;
	int way[1], tun[1];
	(void)state;

	if (!allowed)
		skip();
	open_device("onr-td", 1, way);
	open_device("onr-te", 1, tun);
	assert_int_equal(addr_parse(bytes_str("198.51.100.9"), &a), ERR_NONE);
	assert_true(shell("ip -n %s addr add 10.86.0.2/24 dev onr-td && ip -n %s route add default via 10.86.0.1 && "
			  "ip -n %s rule add pref 50 lookup 70000", netns, netns, netns));
	for (unsigned again = 0; again < 2; again++) {
		assert_int_equal(io_route_add(netns, "onr-te", table, &all), ERR_NONE);
		assert_int_equal(io_route_pin(netns, &a, "onr-te", table), ERR_NONE);
	}
	assert_true(leads("198.51.100.8", "dev onr-te"));
	assert_true(leads("198.51.100.9", "dev onr-td"));
	assert_false(shell("ip -n %s route show | grep -q 'proto 171'", netns));
	assert_int_equal(io_route_delete(netns, "onr-te", table, &all), ERR_NONE);
	assert_int_equal(io_route_unpin(netns, &a, table), ERR_NONE);
	assert_false(shell("ip -n %s route show table 70000 | grep -q .", netns));
	assert_true(shell("ip -n %s rule del pref 50", netns));
	close_device(1, way);
	close_device(1, tun);
}

static void what_is_missing_is_told(void **state)
{
	struct addr_prefix p = prefix("10.80.0.0/16");
	int fds[2] = { -7, -7 };
	(void)state;

	assert_int_equal(io_tun_open("onr-t5", "no-such-namespace", 1400, 1, fds), ERR_NOTFOUND);
	assert_int_equal(io_tun_open("onr-t5", "../netns", 1400, 1, fds), ERR_NOTFOUND);
	assert_int_equal(io_tun_open("a-name-that-is-too-long", "", 1400, 1, fds), ERR_RANGE);
	assert_int_equal(io_tun_open("onr-t5", "", 1400, 0, fds), ERR_RANGE);
	assert_int_equal(io_route_add("no-such-namespace", "onr-t5", IO_TABLE_MAIN, &p), ERR_NOTFOUND);
	if (!allowed)
		skip();
	assert_int_equal(io_route_add(netns, "onr-none", IO_TABLE_MAIN, &p), ERR_SYSTEM);
	assert_int_equal(io_route_delete(netns, "onr-none", IO_TABLE_MAIN, &p), ERR_NONE);
	assert_int_equal(io_tun_open("lo", netns, 1400, 2, fds), ERR_SYSTEM); /* taken */
	assert_int_equal(fds[0], -7);
}

static int add_namespace(void **state)
{
	(void)state;
	snprintf(netns, sizeof(netns), "onr-io-%d", (int)getpid());
	allowed = geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 &&
		  shell("ip netns add %s 2>/dev/null && ip -n %s link set lo up", netns, netns);
	return 0;
}

static int delete_namespace(void **state)
{
	(void)state;
	return !allowed || shell("ip netns delete %s", netns) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_in_another_namespace_works_from_here),
		cmocka_unit_test(routes_may_be_added_and_removed_twice),
		cmocka_unit_test(a_strangers_route_is_neither_taken_nor_removed),
		cmocka_unit_test(addresses_are_put_on_a_device_once),
		cmocka_unit_test(a_pinned_address_keeps_its_next_hop),
		cmocka_unit_test(a_pinned_address_has_all_that_its_way_has),
		cmocka_unit_test(a_host_route_of_somebody_else_counts_and_stays),
		cmocka_unit_test(routes_of_another_table_leave_the_main_one_alone),
		cmocka_unit_test(what_is_missing_is_told),
	};
	return cmocka_run_group_tests(tests, add_namespace, delete_namespace);
}
