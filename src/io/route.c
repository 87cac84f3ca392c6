#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "io/netlink.h"
#include "io/netns.h"
#include "io/tun.h"

enum { REQUEST_MAX = 256 };

struct route_errand {
	const char *device;
	const struct addr_prefix *prefix;
	uint32_t table;
	uint32_t index;
	bool found;
};

static struct nlmsghdr *begin_route(char *room, const struct route_errand *r, uint16_t type, uint16_t flags)
{
	struct addr_prefix p = addr_prefix_mask(r->prefix);
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	*m = (struct rtmsg){
		.rtm_family = io_netlink_family(p.addr.family),
		.rtm_dst_len = p.len,
		.rtm_table = RT_TABLE_UNSPEC,
		.rtm_protocol = IO_ROUTE_PROTOCOL,
		.rtm_scope = p.addr.family == ADDR_V6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	if (p.len != 0)
		mnl_attr_put(h, RTA_DST, addr_len(p.addr.family), p.addr.b);
	mnl_attr_put_u32(h, RTA_OIF, r->index);
	mnl_attr_put_u32(h, RTA_TABLE, r->table);
	return h;
}

/* Looks at one route of a dump: is it ours, to this device? */
static int match_route(const struct nlmsghdr *h, void *arg)
{
	struct route_errand *r = arg;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct addr_prefix want = addr_prefix_mask(r->prefix);
	struct io_netlink_route seen;

	if (m->rtm_family != io_netlink_family(want.addr.family) || m->rtm_protocol != IO_ROUTE_PROTOCOL)
		return MNL_CB_OK;
	io_netlink_route_parse(h, &seen);
	r->found = r->found ||
		   (seen.index == r->index && seen.table == r->table && addr_prefix_eq(&seen.prefix, &want));
	return MNL_CB_OK;
}

/* The prefix is there already: no error if it is our own route, one if it leads elsewhere. */
static int check_existing(struct route_errand *r)
{
	int result = io_netlink_list_routes(r->prefix->addr.family, match_route, r);

	if (result != 0)
		return result;
	return r->found ? 0 : EEXIST;
}

static int add_route(void *arg)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct route_errand *r = arg;

	r->index = if_nametoindex(r->device);
	if (r->index == 0)
		return errno;
	/* Without NLM_F_EXCL an IPv6 route would join a stranger's as one more next hop. */
	int result =
		io_netlink_ask(begin_route(room, r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL), NULL, NULL);
	return result == EEXIST ? check_existing(r) : result;
}

static int delete_route(void *arg)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct route_errand *r = arg;

	r->index = if_nametoindex(r->device);
	if (r->index == 0)
		return errno == ENODEV ? 0 : errno;
	int result = io_netlink_ask(begin_route(room, r, RTM_DELROUTE, 0), NULL, NULL);
	return result == ESRCH ? 0 : result;
}

MUST_USE enum err io_route_add(const char *netns, const char *device, uint32_t table, const struct addr_prefix *prefix)
{
	struct route_errand r = { .device = device, .prefix = prefix, .table = table };
	return io_netns_run(netns, add_route, &r);
}

MUST_USE enum err io_route_delete(const char *netns, const char *device, uint32_t table, const struct addr_prefix *prefix)
{
	struct route_errand r = { .device = device, .prefix = prefix, .table = table };
	return io_netns_run(netns, delete_route, &r);
}
