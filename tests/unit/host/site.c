// The sockets of a site's local addresses, which come and go while it runs.
#include "host/site.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 2, SHARED = 3, ALL = 2 * WORKERS + SHARED };

static struct addr address(unsigned n)
{
	return addr_from_v4_u32(0xcb007100u + n);
}

static void open_some(int *fds, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		must(fds[i] >= 0);
	}
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void an_address_is_taken_with_all_its_sockets_or_not_at_all(void **state)
{
	struct host_sockets all = { 0 };
	const struct addr a = address(1);
	int fds[ALL];

	(void)state;
	open_some(fds, ALL);
	assert_int_equal(host_adopt_address(&a, WORKERS, true, fds, ALL - 1, &all), ERR_RANGE);
	assert_int_equal(host_adopt_address(&a, WORKERS, false, fds, ALL, &all), ERR_RANGE);
	assert_false(host_has_address(&all, &a));
	assert_int_equal(host_adopt_address(&a, WORKERS, true, fds, ALL, &all), ERR_NONE);
	assert_true(host_has_address(&all, &a));
	assert_int_equal(all.cnt, ALL);
	/* each worker has both ports, in the order in which they are opened */
	for (unsigned i = 0; i < 2 * WORKERS; i++) {
		assert_int_equal(all.s[i].worker, i / 2);
		assert_int_equal(all.s[i].local.port, i % 2 == 0 ? 500 : 4500);
		assert_int_equal(all.s[i].fd, fds[i]);
	}
	host_close_address(&all, &a);
	assert_int_equal(all.cnt, 0);
	assert_false(is_open(fds[0]) || is_open(fds[ALL - 1]));
	free(all.s);
}

static void sockets_of_addresses_that_no_tunnel_has_are_closed(void **state)
{
	struct conf_tunnel tunnels[2] = { { .local_address = address(1) }, { .local_address = address(2) } };
	struct conf_site site = { .tunnels = tunnels, .tunnel_cnt = 2 };
	struct host_sockets all = { 0 };
	int fds[4][ALL];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const struct addr a = address(1 + i);
		open_some(fds[i], ALL);
		assert_int_equal(host_adopt_address(&a, WORKERS, true, fds[i], ALL, &all), ERR_NONE);
	}
	const struct addr kept = address(3);
	host_site_close_unused(&site, &kept, &all);
	assert_int_equal(all.cnt, 3 * ALL);
	assert_false(is_open(fds[3][0]));
	host_site_close_unused(&site, NULL, &all);
	assert_int_equal(all.cnt, 2 * ALL);
	assert_false(is_open(fds[2][0]));
	assert_true(is_open(fds[0][0]) && is_open(fds[1][ALL - 1]));
	for (unsigned i = 0; i < 2; i++)
		host_close_address(&all, &tunnels[i].local_address);
	free(all.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_taken_with_all_its_sockets_or_not_at_all),
		cmocka_unit_test(sockets_of_addresses_that_no_tunnel_has_are_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
