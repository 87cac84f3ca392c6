// Process messages: what one side sends the other reads, and nothing malformed is taken.
#include "host/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct host_msg full_message(void)
{
	struct host_msg m = { .kind = HOST_MSG_ROUTES, .account_number = 4711, .netns = "blue", .mtu = 1500,
			      .error = ERR_NOTFOUND, .tunnel = 77, .more = true, .prefix_cnt = HOST_PREFIXES_MAX };
	for (unsigned i = 0; i < m.prefix_cnt; i++)
		m.prefixes[i] = (struct addr_prefix){ addr_from_v4_u32(0x0a000000u + (i << 8)), 24 };
	return m;
}

static void the_largest_message_comes_back_whole(void **state)
{
	(void)state;
	uint8_t room[HOST_MSG_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct host_msg in = full_message(), out;

	assert_int_equal(host_msg_encode(&in, &w), ERR_NONE);
	assert_int_equal(host_msg_decode(wr_bytes(&w), &out), ERR_NONE);
	assert_int_equal(out.kind, in.kind);
	assert_int_equal(out.account_number, 4711);
	assert_string_equal(out.netns, "blue");
	assert_int_equal(out.error, ERR_NOTFOUND);
	assert_true(out.more);
	assert_int_equal(out.tunnel, 77);
	assert_int_equal(out.prefix_cnt, HOST_PREFIXES_MAX);
	assert_true(addr_prefix_eq(&out.prefixes[511], &in.prefixes[511]));
}

static void a_message_cut_anywhere_is_refused_or_shorter(void **state)
{
	(void)state;
	uint8_t room[HOST_MSG_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct host_msg in = full_message(), out;
	unsigned refused = 0;

	in.prefix_cnt = 3;
	assert_int_equal(host_msg_encode(&in, &w), ERR_NONE);
	for (size_t n = 0; n < wr_len(&w); n++) {
		if (host_msg_decode(bytes_of(room, n), &out) != ERR_NONE)
			refused++;
		else
			assert_true(out.prefix_cnt < 3);
	}
	assert_true(refused > wr_len(&w) / 2);
}

static void too_many_prefixes_are_refused(void **state)
{
	(void)state;
	uint8_t room[HOST_MSG_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct host_msg in = full_message(), out;

	assert_int_equal(host_msg_encode(&in, &w), ERR_NONE);
	tlv_prefix(&w, 7, &in.prefixes[0]);
	assert_int_equal(host_msg_decode(wr_bytes(&w), &out), ERR_RANGE);
}

static void a_message_without_kind_or_of_another_version_is_refused(void **state)
{
	(void)state;
	static const uint8_t none[] = { 0, 1 }, newer[] = { 0, 2, 0, 1, 0, 1, 1 }, unknown_error[] = { 0, 1, 0, 1, 0, 1, 2, 0, 5, 0, 1, 255 };
	struct host_msg out;

	assert_int_equal(host_msg_decode(BYTES_OF(none), &out), ERR_SYNTAX);
	assert_int_equal(host_msg_decode(BYTES_OF(newer), &out), ERR_VERSION);
	assert_int_equal(host_msg_decode(BYTES_OF(unknown_error), &out), ERR_SYNTAX);
}

static void descriptors_travel_with_a_message(void **state)
{
	(void)state;
	const struct host_msg m = { .kind = HOST_MSG_ATTACH };
	int pair[2], pipes[2], fds[HOST_FDS_MAX];
	struct host_msg out;
	unsigned cnt = 0;
	char c = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(host_msg_send(pair[0], &m, pipes, 2), ERR_NONE);
	assert_int_equal(host_msg_recv(pair[1], &out, fds, &cnt), ERR_NONE);
	assert_int_equal(cnt, 2);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	for (unsigned i = 0; i < 2; i++) {
		close(fds[i]);
		close(pipes[i]);
	}
	close(pair[0]);
	assert_int_equal(host_msg_recv(pair[1], &out, fds, &cnt), ERR_CLOSED);
	close(pair[1]);
}

/* The descriptors of a message that is refused must not stay open. */
static void a_refused_message_leaks_no_descriptor(void **state)
{
	(void)state;
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char junk[] = "junk";
	int pair[2], pipes[2], fds[HOST_FDS_MAX];
	struct host_msg out;
	unsigned cnt;
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(pipe(pipes), 0);
	struct iovec iov = { junk, sizeof(junk) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &pipes[1], sizeof(int));
	assert_true(sendmsg(pair[0], &h, 0) > 0);
	close(pipes[1]);
	assert_int_not_equal(host_msg_recv(pair[1], &out, fds, &cnt), ERR_NONE);
	assert_int_equal(read(pipes[0], &c, 1), 0); /* the last writer is gone */
	close(pipes[0]);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_message_comes_back_whole),
		cmocka_unit_test(a_message_cut_anywhere_is_refused_or_shorter),
		cmocka_unit_test(too_many_prefixes_are_refused),
		cmocka_unit_test(a_message_without_kind_or_of_another_version_is_refused),
		cmocka_unit_test(descriptors_travel_with_a_message),
		cmocka_unit_test(a_refused_message_leaks_no_descriptor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
