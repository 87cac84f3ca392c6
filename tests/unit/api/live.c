#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/live.h"
#include "base/clock.h"
#include "base/log.h"

/* The gateway's end is the test: it queues its replies before it is asked. */
struct wire {
	struct api_live live;
	int gateway;
};

struct seen {
	size_t tunnels;
	uint8_t last;
};

static void see_tunnel(void *arg, const struct model_live_tunnel *t)
{
	struct seen *s = arg;
	s->tunnels++;
	s->last = t->tunnel_id.b[0];
}

static int setup(void **state)
{
	static struct wire w;
	int fds[2];
	log_init("api", LOG_LEVEL_ERROR);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	api_live_init(&w.live, fds[0]);
	w.gateway = fds[1];
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct wire *w = *state;
	api_live_fini(&w->live);
	if (w->gateway >= 0)
		close(w->gateway);
	return 0;
}

/* number: of the question, which are numbered from 1 on; 0: of a gateway that does not number its replies. */
static void queue_numbered(const struct wire *w, uint32_t number, enum err result, uint8_t first, uint8_t cnt, bool more)
{
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	struct model_live_reply r;

	model_live_reply_begin(&r, SPACE_OF(room), result);
	if (number != 0)
		model_live_reply_number(&r, number);
	for (uint8_t i = 0; i < cnt; i++) {
		struct model_live_tunnel t = { .tunnel_id.b[0] = (uint8_t)(first + i), .up = true };
		assert_int_equal(model_live_reply_add_tunnel(&r, &t), ERR_NONE);
	}
	struct bytes b = model_live_reply_end(&r, more);
	assert_int_equal(send(w->gateway, b.p, b.len, 0), b.len);
}

static void queue_reply(const struct wire *w, enum err result, uint8_t first, uint8_t cnt, bool more)
{
	queue_numbered(w, 0, result, first, cnt, more);
}

static enum err ask(struct wire *w, struct seen *s)
{
	const struct model_live_request q = { .op = MODEL_LIVE_TUNNELS };
	const struct model_live_sink sink = { .tunnel = see_tunnel, .arg = s };
	return api_live_ask(&w->live, &q, &sink);
}

static void pages_are_asked_until_there_is_no_more(void **state)
{
	struct wire *w = *state;
	struct model_live_request q;
	uint8_t b[256];
	struct seen s = { 0 };

	queue_reply(w, ERR_NONE, 1, 3, true);
	queue_reply(w, ERR_NONE, 4, 2, false);
	assert_int_equal(ask(w, &s), ERR_NONE);
	assert_int_equal(s.tunnels, 5);
	assert_int_equal(s.last, 5);
	/* the second question goes on after the last tunnel of the first answer */
	assert_true(recv(w->gateway, b, sizeof(b), 0) > 0);
	ssize_t n = recv(w->gateway, b, sizeof(b), 0);
	assert_true(n > 0);
	assert_int_equal(model_live_request_decode(bytes_of(b, (size_t)n), &q), ERR_NONE);
	assert_int_equal(q.tunnel_id.b[0], 3);
}

static void page_that_does_not_move_ends_the_questions(void **state)
{
	struct seen s = { 0 };
	queue_reply(*state, ERR_NONE, 1, 0, true);
	assert_int_equal(ask(*state, &s), ERR_SYNTAX);
}

static void own_answer_of_the_gateway_is_returned(void **state)
{
	struct seen s = { 0 };
	queue_reply(*state, ERR_NOTFOUND, 1, 0, false);
	assert_int_equal(ask(*state, &s), ERR_NOTFOUND);
}

static void silence_costs_a_second_and_then_nothing_for_a_while(void **state)
{
	struct seen s = { 0 };
	uint64_t begin = clock_mono_ms();
	assert_int_equal(ask(*state, &s), ERR_AWAY);
	uint64_t first = clock_mono_ms() - begin;
	assert_in_range(first, 900, 3000);
	begin = clock_mono_ms();
	assert_int_equal(ask(*state, &s), ERR_AWAY);
	assert_in_range(clock_mono_ms() - begin, 0, 500);
}

static void late_answer_is_not_taken_for_the_next_question(void **state)
{
	struct wire *w = *state;
	struct seen s = { 0 };
	assert_int_equal(ask(w, &s), ERR_AWAY);
	w->live.quiet_until_ms = 0;
	queue_numbered(w, 1, ERR_NONE, 100, 1, false);
	queue_numbered(w, 2, ERR_NONE, 7, 1, false);
	assert_int_equal(ask(w, &s), ERR_NONE);
	assert_int_equal(s.tunnels, 1);
	assert_int_equal(s.last, 7);
}

/* While it reads a large store at its start somebody may ask for its health again and again; then there is no room in the socket for all
 * that it has to say. */
static void answer_that_never_comes_spoils_none_after_it(void **state)
{
	struct wire *w = *state;
	struct seen s = { 0 };
	struct model_live_request q;
	uint8_t b[256];

	assert_int_equal(ask(w, &s), ERR_AWAY);
	w->live.quiet_until_ms = 0;
	assert_int_equal(ask(w, &s), ERR_AWAY);
	w->live.quiet_until_ms = 0;
	queue_numbered(w, 1, ERR_NONE, 100, 1, false);
	queue_numbered(w, 3, ERR_NONE, 7, 1, false);
	assert_int_equal(ask(w, &s), ERR_NONE);
	assert_int_equal(s.last, 7);
	queue_numbered(w, 4, ERR_NONE, 8, 1, false);
	assert_int_equal(ask(w, &s), ERR_NONE);
	assert_int_equal(s.last, 8);
	assert_int_equal(s.tunnels, 2);
	for (uint32_t i = 1; i <= 4; i++) {
		ssize_t n = recv(w->gateway, b, sizeof(b), 0);
		assert_true(n > 0);
		assert_int_equal(model_live_request_decode(bytes_of(b, (size_t)n), &q), ERR_NONE);
		assert_int_equal(q.number, i);
	}
}

static void closed_gateway_is_away_until_it_is_set_again(void **state)
{
	struct wire *w = *state;
	struct seen s = { 0 };
	int fds[2];

	close(w->gateway);
	assert_int_equal(ask(w, &s), ERR_AWAY);
	assert_int_equal(w->live.fd, -1);
	assert_int_equal(ask(w, &s), ERR_AWAY);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	api_live_set(&w->live, fds[0]);
	w->gateway = fds[1];
	queue_reply(w, ERR_NONE, 9, 1, false);
	assert_int_equal(ask(w, &s), ERR_NONE);
	assert_int_equal(s.last, 9);
}

static void broken_answer_is_refused(void **state)
{
	struct wire *w = *state;
	struct seen s = { 0 };
	assert_int_equal(send(w->gateway, "\1\2\3", 3, 0), 3);
	assert_int_not_equal(ask(w, &s), ERR_NONE);
	assert_int_equal(s.tunnels, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_are_asked_until_there_is_no_more),
		TEST(page_that_does_not_move_ends_the_questions),
		TEST(own_answer_of_the_gateway_is_returned),
		TEST(silence_costs_a_second_and_then_nothing_for_a_while),
		TEST(late_answer_is_not_taken_for_the_next_question),
		TEST(answer_that_never_comes_spoils_none_after_it),
		TEST(closed_gateway_is_away_until_it_is_set_again),
		TEST(broken_answer_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
