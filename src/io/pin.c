#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "io/netlink.h"
#include "io/netns.h"
#include "io/tun.h"

/* Routes to one address: the copy is looked at before the one that ends the table, and a host route of the operator's
 * before both. The kernel gives IPv6 routes the metric 1024, dhcpcd and the like go up to some thousands. */
enum { REQUEST_MAX = 4096, COPIED_MAX = 3072, COPY_METRIC = 60171, END_METRIC = 61171 };

struct pin_errand {
	const struct addr *to;
	const char *not_device;
	uint32_t table;
};

/* What of a route says where it leads, and from which address. */
struct way {
	uint8_t scope;
	uint32_t flags;
	size_t len;
	_Alignas(8) uint8_t attrs[COPIED_MAX];
};

/* Of a table's routes to an address the longest prefix, then the lowest metric. */
struct search {
	const struct addr *to;
	uint32_t table, not_index;
	bool found;
	uint8_t len;
	uint32_t metric;
	struct way best;
};

static bool copy_bytes(struct way *w, const void *from, size_t len)
{
	size_t aligned = (len + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO;

	if (aligned > sizeof(w->attrs) - w->len)
		return false;
	memset(w->attrs + w->len, 0, aligned);
	memcpy(w->attrs + w->len, from, len);
	w->len += aligned;
	return true;
}

/* The kernel refuses a set of next hops with a dead one among them. */
static bool copy_multipath(struct way *w, const struct nlattr *attr)
{
	size_t begin = w->len, left = mnl_attr_get_payload_len(attr);
	const uint8_t *p = mnl_attr_get_payload(attr);
	struct nlattr head = { .nla_type = RTA_MULTIPATH };

	if (!copy_bytes(w, &head, sizeof(head)))
		return false;
	while (left >= sizeof(struct rtnexthop)) {
		struct rtnexthop hop;
		memcpy(&hop, p, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
			return false;
		size_t at = w->len, step = (hop.rtnh_len + 3u) & ~(size_t)3;
		if ((hop.rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0) {
			if (!copy_bytes(w, p, hop.rtnh_len))
				return false;
			hop.rtnh_flags &= RTNH_F_ONLINK;
			memcpy(w->attrs + at, &hop, sizeof(hop));
		}
		p += step < left ? step : left;
		left -= step < left ? step : left;
	}
	head.nla_len = (uint16_t)(w->len - begin);
	memcpy(w->attrs + begin, &head, sizeof(head));
	return w->len - begin > sizeof(head);
}

static bool says_where(const struct nlattr *attr, const struct io_netlink_route *seen)
{
	switch (mnl_attr_get_type(attr)) {
	case RTA_PREFSRC:
	case RTA_METRICS:
	case RTA_NH_ID:
		return true;
	case RTA_OIF:
	case RTA_GATEWAY:
	case RTA_VIA:
	case RTA_ENCAP:
	case RTA_ENCAP_TYPE:
		return seen->nexthop == NULL; /* which says it already */
	default:
		return false;
	}
}

struct copying {
	struct way *way;
	const struct io_netlink_route *seen;
};

static int copy_attribute(const struct nlattr *attr, void *arg)
{
	const struct copying *c = arg;
	return !says_where(attr, c->seen) || copy_bytes(c->way, attr, attr->nla_len) ? MNL_CB_OK : MNL_CB_ERROR;
}

static bool copy_way(struct way *w, const struct nlmsghdr *h, const struct rtmsg *m, const struct io_netlink_route *seen)
{
	struct copying c = { w, seen };

	*w = (struct way){ .scope = m->rtm_scope, .flags = m->rtm_flags & RTNH_F_ONLINK };
	if (mnl_attr_parse(h, sizeof(*m), copy_attribute, &c) == MNL_CB_ERROR)
		return false;
	return seen->multipath == NULL || seen->nexthop != NULL || copy_multipath(w, seen->multipath);
}

static int look_at_route(const struct nlmsghdr *h, void *arg)
{
	struct search *s = arg;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct io_netlink_route seen;

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_type != RTN_UNICAST || m->rtm_protocol == IO_ROUTE_PROTOCOL ||
	    (m->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN | RTM_F_CLONED)) != 0)
		return MNL_CB_OK;
	io_netlink_route_parse(h, &seen);
	if (seen.table != s->table || (s->not_index != 0 && seen.index == s->not_index) ||
	    !addr_prefix_contains(&seen.prefix, s->to))
		return MNL_CB_OK;
	if (s->found && (seen.prefix.len < s->len || (seen.prefix.len == s->len && seen.metric >= s->metric)))
		return MNL_CB_OK;
	struct way way;
	if (!copy_way(&way, h, m, &seen))
		return MNL_CB_OK;
	s->found = true;
	s->len = seen.prefix.len;
	s->metric = seen.metric;
	s->best = way;
	return MNL_CB_OK;
}

static int find_way(const struct pin_errand *e, struct search *ret)
{
	*ret = (struct search){ .to = e->to, .table = e->table, .not_index = if_nametoindex(e->not_device) };
	return io_netlink_list_routes(e->to->family, look_at_route, ret);
}

static int change_route(const struct pin_errand *e, uint16_t type, uint16_t flags, unsigned char kind, uint32_t metric,
			const struct way *w)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	*m = (struct rtmsg){
		.rtm_family = io_netlink_family(e->to->family),
		.rtm_dst_len = (unsigned char)(8 * addr_len(e->to->family)),
		.rtm_table = RT_TABLE_UNSPEC,
		.rtm_protocol = IO_ROUTE_PROTOCOL,
		.rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : w != NULL ? w->scope : RT_SCOPE_UNIVERSE,
		.rtm_type = kind,
		.rtm_flags = w != NULL ? w->flags : 0,
	};
	mnl_attr_put_u32(h, RTA_TABLE, e->table);
	mnl_attr_put(h, RTA_DST, addr_len(e->to->family), e->to->b);
	mnl_attr_put_u32(h, RTA_PRIORITY, metric);
	if (w != NULL) {
		memcpy(mnl_nlmsg_get_payload_tail(h), w->attrs, w->len);
		h->nlmsg_len += (uint32_t)w->len;
	}
	return io_netlink_ask(h, NULL, NULL);
}

static int put_route(const struct pin_errand *e, unsigned char kind, uint32_t metric, const struct way *w)
{
	return change_route(e, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, kind, metric, w);
}

static int take_route(const struct pin_errand *e, uint32_t metric)
{
	int result = change_route(e, RTM_DELROUTE, 0, RTN_UNSPEC, metric, NULL);
	return result == ESRCH ? 0 : result;
}

static int unpin(void *arg)
{
	int copy = take_route(arg, COPY_METRIC), end = take_route(arg, END_METRIC);
	return copy != 0 ? copy : end;
}

static int pin(void *arg)
{
	const struct pin_errand *e = arg;
	struct search s;

	/* First: from here on no route of ours leads there, whatever follows. */
	int result = put_route(e, RTN_THROW, END_METRIC, NULL);
	if (result == 0)
		result = find_way(e, &s);
	if (result != 0)
		return result;
	if (!s.found || s.len == 8 * addr_len(e->to->family))
		return take_route(e, COPY_METRIC);
	result = put_route(e, RTN_UNICAST, COPY_METRIC, &s.best);
	/* It went away while we looked: the news of that come. */
	return result == ENETDOWN || result == ENETUNREACH || result == EHOSTUNREACH || result == ENODEV
		       ? take_route(e, COPY_METRIC) : result;
}

MUST_USE enum err io_route_unpin(const char *netns, const struct addr *to, uint32_t table)
{
	struct pin_errand e = { .to = to, .table = table };
	return io_netns_run(netns, unpin, &e);
}

MUST_USE enum err io_route_pin(const char *netns, const struct addr *to, const char *not_device, uint32_t table)
{
	struct pin_errand e = { .to = to, .not_device = not_device, .table = table };
	return io_netns_run(netns, pin, &e);
}
