#include <errno.h>
#include <linux/rtnetlink.h>

#include "io/netlink.h"
#include "io/netns.h"
#include "io/tun.h"

enum { REQUEST_MAX = 256, PROTOCOL = 171 };

struct pin_errand {
	const struct addr *to;
	bool pinned;
};

/* The kernel's way to an address. */
struct way {
	struct addr via; /* family none: directly connected */
	uint32_t index;
};

static struct nlmsghdr *begin_route(char *room, const struct addr *to, uint16_t type, uint16_t flags,
				    struct rtmsg **ret)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	*ret = mnl_nlmsg_put_extra_header(h, sizeof(**ret));
	(*ret)->rtm_family = to->family == ADDR_V6 ? AF_INET6 : AF_INET;
	(*ret)->rtm_dst_len = (unsigned char)(8 * addr_len(to->family));
	mnl_attr_put(h, RTA_DST, addr_len(to->family), to->b);
	return h;
}

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct way *w = arg;

	if (mnl_attr_get_type(attr) == RTA_OIF && mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
		w->index = mnl_attr_get_u32(attr);
	if (mnl_attr_get_type(attr) == RTA_GATEWAY)
		w->via = addr_from_bytes(bytes_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)));
	return MNL_CB_OK;
}

static int read_way(const struct nlmsghdr *h, void *arg)
{
	if (h->nlmsg_type == RTM_NEWROUTE)
		(void)mnl_attr_parse(h, sizeof(struct rtmsg), read_attribute, arg);
	return MNL_CB_OK;
}

static int change_route(const struct addr *to, const struct way *w, uint16_t type, uint16_t flags)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct rtmsg *m;
	struct nlmsghdr *h = begin_route(room, to, type, (uint16_t)(NLM_F_ACK | flags), &m);

	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = PROTOCOL;
	m->rtm_scope = type == RTM_NEWROUTE ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE;
	m->rtm_type = type == RTM_NEWROUTE ? RTN_UNICAST : RTN_UNSPEC;
	if (w != NULL) {
		mnl_attr_put(h, RTA_GATEWAY, addr_len(w->via.family), w->via.b);
		mnl_attr_put_u32(h, RTA_OIF, w->index);
	}
	return io_netlink_ask(h, NULL, NULL);
}

static int unpin(void *arg)
{
	const struct pin_errand *e = arg;
	int result = change_route(e->to, NULL, RTM_DELROUTE, 0);
	return result == ESRCH ? 0 : result;
}

static int pin(void *arg)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct pin_errand *e = arg;
	struct way w = { 0 };
	struct rtmsg *m;

	/* One that a killed process left behind would answer for itself. */
	int result = unpin(arg);
	/* The answer is the route, then the acknowledgement. */
	if (result == 0)
		result = io_netlink_ask(begin_route(room, e->to, RTM_GETROUTE, NLM_F_ACK, &m), read_way, &w);
	e->pinned = w.via.family != ADDR_NONE;
	if (result == 0 && e->pinned)
		result = change_route(e->to, &w, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	return result;
}

MUST_USE enum err io_route_unpin(const char *netns, const struct addr *to)
{
	struct pin_errand e = { .to = to };
	return io_netns_run(netns, unpin, &e);
}

MUST_USE enum err io_route_pin(const char *netns, const struct addr *to, bool *ret_pinned)
{
	struct pin_errand errand = { .to = to };
	enum err e = io_netns_run(netns, pin, &errand);
	if (e == ERR_NONE)
		*ret_pinned = errand.pinned;
	return e;
}
