#include "io/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

enum { ANSWER_MAX = 32768, REQUEST_MAX = 256 };

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

/* ---- routes ---- */

uint8_t io_netlink_family(uint8_t family)
{
	return family == ADDR_V6 ? AF_INET6 : AF_INET;
}

int io_netlink_list_routes(uint8_t family, mnl_cb_t on_message, void *arg)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);

	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = io_netlink_family(family);
	return io_netlink_ask(h, on_message, arg);
}

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct io_netlink_route *route = arg;
	uint32_t type = mnl_attr_get_type(attr);
	bool number = mnl_attr_validate(attr, MNL_TYPE_U32) == 0;

	if (type == RTA_DST)
		route->prefix.addr = addr_from_bytes(bytes_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)));
	else if (type == RTA_MULTIPATH)
		route->multipath = attr;
	else if (type == RTA_NH_ID && number)
		route->nexthop = attr;
	else if (type == RTA_TABLE && number)
		route->table = mnl_attr_get_u32(attr);
	else if (type == RTA_OIF && number)
		route->index = mnl_attr_get_u32(attr);
	else if (type == RTA_PRIORITY && number)
		route->metric = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

void io_netlink_route_parse(const struct nlmsghdr *h, struct io_netlink_route *ret)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	uint8_t family = m->rtm_family == AF_INET6 ? ADDR_V6 : ADDR_V4;

	/* A default route has no RTA_DST. */
	*ret = (struct io_netlink_route){ .prefix = { .addr.family = family, .len = m->rtm_dst_len }, .table = m->rtm_table };
	(void)mnl_attr_parse(h, sizeof(*m), read_attribute, ret);
}
