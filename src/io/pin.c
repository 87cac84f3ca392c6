#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "io/netlink.h"
#include "io/netns.h"
#include "io/tun.h"

enum { REQUEST_MAX = 256, PROTOCOL = 171 };

/* The kernel's way to an address. */
struct way {
	struct addr via, source; /* via: family none: directly connected */
	uint32_t index;
};

struct pin_errand {
	const struct addr *to;
	const char *not_device;
	bool pinned;
	struct way way;
};

/* Of the main table's routes to an address the longest prefix, then the lowest metric. */
struct search {
	const struct addr *to;
	uint32_t not_index;
	bool found;
	uint8_t len;
	uint32_t metric;
	struct way best;
};

struct seen {
	struct addr_prefix prefix;
	struct way way;
	uint32_t metric;
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

static struct addr read_addr(const struct nlattr *attr)
{
	return addr_from_bytes(bytes_of(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)));
}

static int read_attribute(const struct nlattr *attr, void *arg)
{
	struct seen *seen = arg;
	uint32_t type = mnl_attr_get_type(attr);
	bool number = mnl_attr_validate(attr, MNL_TYPE_U32) == 0;

	if (type == RTA_DST)
		seen->prefix.addr = read_addr(attr);
	else if (type == RTA_OIF && number)
		seen->way.index = mnl_attr_get_u32(attr);
	else if (type == RTA_GATEWAY)
		seen->way.via = read_addr(attr);
	else if (type == RTA_PREFSRC)
		seen->way.source = read_addr(attr);
	else if (type == RTA_PRIORITY && number)
		seen->metric = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int look_at_route(const struct nlmsghdr *h, void *arg)
{
	struct search *s = arg;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct seen seen = { .prefix = { .addr.family = s->to->family, .len = m->rtm_dst_len } };

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST ||
	    m->rtm_protocol == PROTOCOL || (m->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0)
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof(*m), read_attribute, &seen);
	if (seen.way.index == 0 || seen.way.index == s->not_index || !addr_prefix_contains(&seen.prefix, s->to))
		return MNL_CB_OK;
	if (s->found && (seen.prefix.len < s->len || (seen.prefix.len == s->len && seen.metric >= s->metric)))
		return MNL_CB_OK;
	s->found = true;
	s->len = seen.prefix.len;
	s->metric = seen.metric;
	s->best = seen.way;
	return MNL_CB_OK;
}

static int read_source(const struct nlmsghdr *h, void *arg)
{
	struct seen seen = { 0 };
	struct way *w = arg;

	if (h->nlmsg_type == RTM_NEWROUTE)
		(void)mnl_attr_parse(h, sizeof(struct rtmsg), read_attribute, &seen);
	if (seen.way.source.family != ADDR_NONE)
		w->source = seen.way.source;
	return MNL_CB_OK;
}

/* The way, and from which address the kernel would go it. */
static int find_way(struct pin_errand *e)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 }, get[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct search s = { .to = e->to, .not_index = if_nametoindex(e->not_device) };
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	struct rtmsg *m;

	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->rtm_family = e->to->family == ADDR_V6 ? AF_INET6 : AF_INET;
	int result = io_netlink_ask(h, look_at_route, &s);
	if (result != 0 || !s.found)
		return result != 0 ? result : ENETUNREACH;
	e->way = s.best;
	h = begin_route(get, e->to, RTM_GETROUTE, NLM_F_ACK, &m);
	mnl_attr_put_u32(h, RTA_OIF, s.best.index);
	return io_netlink_ask(h, read_source, &e->way);
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
	struct pin_errand *e = arg;

	int result = find_way(e);
	e->pinned = e->way.via.family != ADDR_NONE;
	if (result != 0)
		return result;
	/* One of the next hop before, or that a killed process left behind, is none any more. */
	return e->pinned ? change_route(e->to, &e->way, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE) : unpin(arg);
}

static int find_source(void *arg)
{
	struct pin_errand *e = arg;
	int result = find_way(e);
	return result != 0 ? result : e->way.source.family == ADDR_NONE ? EADDRNOTAVAIL : 0;
}

MUST_USE enum err io_route_unpin(const char *netns, const struct addr *to)
{
	struct pin_errand e = { .to = to };
	return io_netns_run(netns, unpin, &e);
}

MUST_USE enum err io_route_pin(const char *netns, const struct addr *to, const char *not_device, bool *ret_pinned)
{
	struct pin_errand errand = { .to = to, .not_device = not_device };
	enum err e = io_netns_run(netns, pin, &errand);
	if (e == ERR_NONE)
		*ret_pinned = errand.pinned;
	return e;
}

MUST_USE enum err io_route_source(const char *netns, const struct addr *to, const char *not_device, struct addr *ret)
{
	struct pin_errand errand = { .to = to, .not_device = not_device };
	enum err e = io_netns_run(netns, find_source, &errand);
	if (e == ERR_NONE)
		*ret = errand.way.source;
	return e;
}
