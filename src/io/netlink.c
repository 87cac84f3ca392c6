#include "io/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

enum { ANSWER_MAX = 32768 };

static int read_answers(struct mnl_socket *s, const struct nlmsghdr *request, mnl_cb_t on_message, void *arg)
{
	char *room = malloc(ANSWER_MAX);
	int r = MNL_CB_ERROR;

	if (room == NULL)
		return ENOMEM;
	do {
		ssize_t n = mnl_socket_recvfrom(s, room, ANSWER_MAX);
		if (n < 0)
			break;
		r = mnl_cb_run(room, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(s), on_message,
			       arg);
	} while (r > MNL_CB_STOP);
	int result = r < 0 ? errno : 0;
	free(room);
	return result;
}

int io_netlink_ask(struct nlmsghdr *request, mnl_cb_t on_message, void *arg)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int result;

	if (s == NULL)
		return errno;
	request->nlmsg_seq = 1;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		result = errno;
	else
		result = read_answers(s, request, on_message, arg);
	mnl_socket_close(s);
	return result;
}
