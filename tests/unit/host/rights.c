// What a child process may still do, tried in a child of the test.
#include "host/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { IS_OPENED, IS_REFUSED, OTHERWISE };

static int try_socket(int family, int type)
{
	int fd = socket(family, type, 0);
	if (fd < 0)
		return errno == EPERM ? IS_REFUSED : OTHERWISE;
	close(fd);
	return IS_OPENED;
}

/* In a child that gave up its rights: tells by its exit status whether the socket could be opened. */
static int try_without_rights(bool tcp, int family, int type)
{
	const struct host_rights rights = { .user = "nobody", .tcp = tcp };
	int status;

	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(host_rights_drop(&rights) == ERR_NONE ? try_socket(family, type) : OTHERWISE);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void only_unix_sockets_can_be_opened(void **state)
{
	(void)state;
	assert_int_equal(try_without_rights(false, AF_UNIX, SOCK_SEQPACKET), IS_OPENED);
	assert_int_equal(try_without_rights(false, AF_INET, SOCK_STREAM), IS_REFUSED);
	assert_int_equal(try_without_rights(false, AF_INET6, SOCK_STREAM), IS_REFUSED);
	assert_int_equal(try_without_rights(false, AF_INET, SOCK_DGRAM), IS_REFUSED);
	assert_int_equal(try_without_rights(false, AF_NETLINK, SOCK_RAW), IS_REFUSED);
}

static void client_of_etcd_can_open_tcp_as_well(void **state)
{
	(void)state;
	assert_int_equal(try_without_rights(true, AF_UNIX, SOCK_DGRAM), IS_OPENED);
	assert_int_equal(try_without_rights(true, AF_INET, SOCK_STREAM), IS_OPENED);
	assert_int_equal(try_without_rights(true, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK), IS_OPENED);
	assert_int_equal(try_without_rights(true, AF_INET6, SOCK_STREAM), IS_OPENED);
	assert_int_equal(try_without_rights(true, AF_INET, SOCK_DGRAM), IS_REFUSED);
	assert_int_equal(try_without_rights(true, AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC), IS_REFUSED);
	assert_int_equal(try_without_rights(true, AF_INET, SOCK_RAW), IS_REFUSED);
	assert_int_equal(try_without_rights(true, AF_NETLINK, SOCK_RAW), IS_REFUSED);
	assert_int_equal(try_without_rights(true, AF_PACKET, SOCK_RAW), IS_REFUSED);
	assert_int_equal(try_without_rights(true, AF_VSOCK, SOCK_STREAM), IS_REFUSED);
	assert_int_equal(try_without_rights(true, AF_UNSPEC, SOCK_STREAM), IS_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_unix_sockets_can_be_opened),
		cmocka_unit_test(client_of_etcd_can_open_tcp_as_well),
	};
	return cmocka_run_group_tests_name("host rights", tests, NULL, NULL);
}
