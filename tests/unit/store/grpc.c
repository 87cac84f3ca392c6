// A call while nobody answers it. What is said over the wire is tested with etcd itself (tests/cluster/store.py).
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/eventfd.h>

#include "store/grpc.h"

enum { WAIT_MS = 400, QUEUED = 4 };

/* A port at which nobody is heard: its queue is full, so a further connection is neither taken nor refused. */
struct mute {
	int fd, queued[QUEUED];
	struct addr_endpoint at;
};

static void make_mute(struct mute *m)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(m->fd >= 0 && bind(m->fd, (struct sockaddr *)&at, len) == 0 && listen(m->fd, 0) == 0 &&
		    getsockname(m->fd, (struct sockaddr *)&at, &len) == 0);
	m->at = (struct addr_endpoint){ addr_from_v4_u32(INADDR_LOOPBACK), ntohs(at.sin_port) };
	for (size_t i = 0; i < QUEUED; i++) {
		m->queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(m->queued[i] >= 0 && connect(m->queued[i], (struct sockaddr *)&at, len) < 0 && errno == EINPROGRESS);
	}
}

static void free_mute(struct mute *m)
{
	for (size_t i = 0; i < QUEUED; i++)
		close(m->queued[i]);
	close(m->fd);
}

struct listener {
	unsigned asked, until; /* it listens so many times */
};

static bool listen_on(void *arg)
{
	struct listener *l = arg;
	return ++l->asked < l->until;
}

/* Through a descriptor that stays readable. */
static void call_with(struct listener *l)
{
	struct mute mute;
	int bell = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	const struct store_grpc_config config = { .endpoints = &mute.at, .endpoint_cnt = 1, .ca_pem = "", .cert_pem = "", .key_pem = "" };
	struct store_grpc_answer answer;
	struct store_grpc *g;

	make_mute(&mute);
	assert_true(bell >= 0);
	assert_int_equal(store_grpc_new(&config, &g), ERR_NONE);
	store_grpc_meanwhile(g, bell, listen_on, l);
	store_grpc_call(g, "/a.B/C", bytes_str("question"), WAIT_MS, &answer);
	assert_int_not_equal(answer.outcome, GRPC_ANSWERED);
	store_grpc_free(g);
	close(bell);
	free_mute(&mute);
}

static void who_listens_is_told_all_the_time(void **state)
{
	struct listener l = { .until = UINT32_MAX };

	(void)state;
	call_with(&l);
	assert_true(l.asked > 10);
}

/* Else the call would ask again and again, as fast as it can. */
static void who_listens_no_more_is_not_asked_again(void **state)
{
	struct listener l = { .until = 3 };

	(void)state;
	call_with(&l);
	assert_int_equal(l.asked, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_listens_is_told_all_the_time),
		cmocka_unit_test(who_listens_no_more_is_not_asked_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
