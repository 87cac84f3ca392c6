#include "io/udp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

static struct addr_endpoint endpoint(const char *text, uint16_t port)
{
	struct addr_endpoint e = { .port = port };
	assert_int_equal(addr_parse(bytes_str(text), &e.addr), ERR_NONE);
	return e;
}

static struct addr_endpoint bound(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	return io_sockaddr_to(&ss);
}

static void endpoints_keep_their_bytes_in_system_calls(void **state)
{
	static const char *const texts[] = { "192.0.2.1", "0.0.0.0", "2001:db8::1:2", "::" };
	(void)state;

	for (size_t i = 0; i < 4; i++) {
		struct addr_endpoint e = endpoint(texts[i], (uint16_t)(4500 + i));
		struct sockaddr_storage ss;
		socklen_t len;
		io_sockaddr_from(&e, &ss, &len);
		assert_int_equal(len, e.addr.family == ADDR_V4 ? sizeof(struct sockaddr_in)
							       : sizeof(struct sockaddr_in6));
		struct addr_endpoint back = io_sockaddr_to(&ss);
		assert_true(addr_endpoint_eq(&e, &back));
	}
}

static void a_datagram_arrives_with_its_marker_or_without(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };
	uint8_t room[64];
	int from, to;
	(void)state;

	for (size_t i = 0; i < 2; i++) {
		struct addr_endpoint any = endpoint(hosts[i], 0);
		assert_int_equal(io_udp_open(&any, &from), ERR_NONE);
		assert_int_equal(io_udp_open(&any, &to), ERR_NONE);
		struct addr_endpoint dst = bound(to);
		for (unsigned marker = 0; marker < 2; marker++) {
			struct pollfd p = { .fd = to, .events = POLLIN };
			struct sockaddr_storage ss = { 0 };
			socklen_t len = sizeof(ss);
			assert_int_equal(io_udp_send(from, &dst, marker == 1, bytes_str("abc")), ERR_NONE);
			assert_int_equal(poll(&p, 1, 2000), 1);
			ssize_t n = recvfrom(to, room, sizeof(room), 0, (struct sockaddr *)&ss, &len);
			struct addr_endpoint src = io_sockaddr_to(&ss), want = bound(from);
			assert_int_equal(n, 3 + 4 * marker);
			assert_memory_equal(room, marker == 1 ? "\0\0\0\0abc" : "abc", 3 + 4 * marker);
			assert_true(addr_endpoint_eq(&src, &want));
		}
		close(from);
		close(to);
	}
}

static void workers_share_an_address_and_it_may_come_later(void **state)
{
	struct addr_endpoint absent = endpoint("192.0.2.77", 45001);
	int one, two, value = -1;
	socklen_t len = sizeof(value);
	(void)state;

	assert_int_equal(io_udp_open(&absent, &one), ERR_NONE);
	assert_int_equal(io_udp_open(&absent, &two), ERR_NONE);
	assert_int_equal(getsockopt(one, IPPROTO_IP, IP_MTU_DISCOVER, &value, &len), 0);
	assert_int_equal(value, IP_PMTUDISC_OMIT); /* the kernel believes in path MTUs that anybody may forge; fwd does not */
	close(one);
	close(two);
}

static void errors_are_told(void **state)
{
	struct addr_endpoint any = endpoint("127.0.0.1", 0), taken;
	static uint8_t big[70000];
	int fd, plain, other = -1;
	(void)state;

	assert_int_equal(io_udp_open(&any, &fd), ERR_NONE);
	struct addr_endpoint self = bound(fd);
	assert_int_equal(io_udp_send(fd, &self, false, BYTES_OF(big)), ERR_SYSTEM);
	assert_int_equal(errno, EMSGSIZE);
	close(fd);
	/* A socket that does not share its port keeps it. */
	plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss;
	socklen_t len;
	io_sockaddr_from(&any, &ss, &len);
	assert_int_equal(bind(plain, (struct sockaddr *)&ss, len), 0);
	taken = bound(plain);
	assert_int_equal(io_udp_open(&taken, &other), ERR_SYSTEM);
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(other, -1);
	close(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_keep_their_bytes_in_system_calls),
		cmocka_unit_test(a_datagram_arrives_with_its_marker_or_without),
		cmocka_unit_test(workers_share_an_address_and_it_may_come_later),
		cmocka_unit_test(errors_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
