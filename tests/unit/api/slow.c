// Clients that take their time: libmicrohttpd lets go of silent ones, but not of those that send a byte now and then.
#include "harness.h"

#include <errno.h>

#include "api/state.h"
#include "base/clock.h"

/* Lets the server run for a while. */
static void run_for(struct host *h, uint64_t ms)
{
	uint64_t end_ms = clock_mono_ms() + ms;

	for (uint64_t now = clock_mono_ms(); now < end_ms; now = clock_mono_ms()) {
		struct pollfd p = { .fd = api_server_fd(h->server), .events = POLLIN };
		assert_true(poll(&p, 1, (int)(end_ms - now)) >= 0);
		api_server_run(h->server);
	}
}

/* Sends the head, and then a byte from time to time, until the server has enough of it. */
static void trickle(struct host *h, const char *head)
{
	int fd = connect_tcp(h);
	char c = 'a';

	assert_int_equal(send(fd, head, strlen(head), MSG_NOSIGNAL), strlen(head));
	for (unsigned i = 0;; i++) {
		assert_true(i < 200);
		run_for(h, 50);
		ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		assert_true(n < 0);
		c = 'a';
		(void)send(fd, &c, 1, MSG_NOSIGNAL);
	}
	close(fd);
}

static void a_request_that_trickles_in_is_cut_off(void **state)
{
	struct host *h = *state;

	h->server->peers.limit_ms = 300;
	trickle(h, "GET /client/v4/accounts HTTP/1.1\r\nHost: x\r\nX-Slow: ");
	trickle(h, "POST /client/v4/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
	assert_null(h->server->peers.first);
}

/* One more request of the connection: it is answered. */
static void ask(struct host *h, int fd)
{
	static const char request[] = "GET /client/v4/accounts HTTP/1.1\r\nHost: x\r\n\r\n";
	char text[4096];
	ssize_t n = -1;

	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	for (unsigned i = 0; n < 0; i++) {
		assert_true(i < 500);
		run_for(h, 10);
		n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	}
	assert_true(n > 12);
	assert_memory_equal(text, "HTTP/1.1 400", 12); /* nobody said who asks */
}

static void each_request_of_a_connection_has_its_time(void **state)
{
	struct host *h = *state;
	int fd = connect_tcp(h);

	run_for(h, 1000);
	ask(h, fd);
	h->server->peers.limit_ms = 900; /* less than the age of the connection */
	ask(h, fd);
	close(fd);
	run_for(h, 20);
	assert_null(h->server->peers.first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_that_trickles_in_is_cut_off),
		TEST(each_request_of_a_connection_has_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
