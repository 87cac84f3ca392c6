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

static int family_of(const struct route_errand *r)
{
	return r->prefix->addr.family == ADDR_V6 ? AF_INET6 : AF_INET;
}

static struct nlmsghdr *begin_route(char *room, const struct route_errand *r, uint16_t type, uint16_t flags)
{
	struct addr_prefix p = addr_prefix_mask(r->prefix);
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	*m = (struct rtmsg){
		.rtm_family = (unsigned char)family_of(r),
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

struct seen_route {
	struct addr_prefix prefix;
	uint32_t index, table;
};

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct seen_route *seen = arg;

	if (mnl_attr_get_type(attr) == RTA_OIF && mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
		seen->index = mnl_attr_get_u32(attr);
	if (mnl_attr_get_type(attr) == RTA_TABLE && mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
		seen->table = mnl_attr_get_u32(attr);
	if (mnl_attr_get_type(attr) == RTA_DST)
		seen->prefix.addr =
			addr_from_bytes(bytes_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)));
	return MNL_CB_OK;
}

/* Looks at one route of a dump: is it ours, to this device? */
static int match_route(const struct nlmsghdr *h, void *arg)
{
	struct route_errand *r = arg;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct addr_prefix want = addr_prefix_mask(r->prefix);
	struct seen_route seen = { .prefix = { .addr.family = want.addr.family, .len = m->rtm_dst_len }, .table = m->rtm_table };

	if (m->rtm_family != family_of(r) || m->rtm_protocol != IO_ROUTE_PROTOCOL)
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof(*m), read_attribute, &seen);
	r->found = r->found ||
		   (seen.index == r->index && seen.table == r->table && addr_prefix_eq(&seen.prefix, &want));
	return MNL_CB_OK;
}

/* The prefix is there already: no error if it is our own route, one if it leads elsewhere. */
static int check_existing(struct route_errand *r)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);

	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = (unsigned char)family_of(r);
	int result = io_netlink_ask(h, match_route, r);
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
