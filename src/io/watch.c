#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/netlink.h"
#include "io/tun.h"

enum { MESSAGE_MAX = 32768, MESSAGES_A_TURN = 64 };

MUST_USE enum err io_route_watch(int *ret_fd)
{
	const struct sockaddr_nl to = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV6_ROUTE | 1u << (RTNLGRP_IPV6_RULE - 1),
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return ERR_SYSTEM;
	if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		int why = errno;
		close(fd);
		errno = why;
		return ERR_SYSTEM;
	}
	*ret_fd = fd;
	return ERR_NONE;
}

static bool matters(const struct nlmsghdr *h)
{
	if (h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE)
		return true;
	if (mnl_nlmsg_get_payload_len(h) < sizeof(struct rtmsg))
		return false;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	/* Another site on this host, which had the same gateway, takes away what we need at its end. */
	return m->rtm_protocol != IO_ROUTE_PROTOCOL || h->nlmsg_type == RTM_DELROUTE;
}

bool io_route_changed(int fd)
{
	static char room[MESSAGE_MAX] __attribute__((aligned(8)));
	bool changed = false;

	for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
		ssize_t n = recv(fd, room, sizeof(room), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS) { /* some were lost */
			changed = true;
			continue;
		}
		if (n <= 0)
			break;
		int left = (int)n;
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)room; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left))
			changed = changed || matters(h);
	}
	return changed;
}
