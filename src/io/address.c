#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "io/netlink.h"
#include "io/netns.h"
#include "io/tun.h"

enum { REQUEST_MAX = 256 };

struct address_errand {
	const char *device;
	const struct addr_prefix *address;
};

static int add_address(void *arg)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	const struct address_errand *e = arg;
	const struct addr *a = &e->address->addr;
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	unsigned index = if_nametoindex(e->device);

	if (index == 0)
		return errno;
	h->nlmsg_type = RTM_NEWADDR;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	*m = (struct ifaddrmsg){
		.ifa_family = io_netlink_family(a->family),
		.ifa_prefixlen = e->address->len,
		.ifa_flags = a->family == ADDR_V6 ? IFA_F_NODAD : 0,
		.ifa_index = index,
	};
	mnl_attr_put(h, IFA_LOCAL, addr_len(a->family), a->b);
	mnl_attr_put(h, IFA_ADDRESS, addr_len(a->family), a->b);
	int result = io_netlink_ask(h, NULL, NULL);
	return result == EEXIST ? 0 : result;
}

MUST_USE enum err io_address_add(const char *netns, const char *device, const struct addr_prefix *address)
{
	struct address_errand e = { device, address };
	return io_netns_run(netns, add_address, &e);
}
