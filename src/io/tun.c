#include "io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/netlink.h"
#include "io/netns.h"

enum { QUEUES_MAX = 64, REQUEST_MAX = 256 };

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct tun_errand {
	const char *name;
	unsigned mtu, cnt;
	int *fds;
};

/* What the kernel may leave to us, as much of it as this kernel knows. A refusal only makes packets smaller. */
static void set_offloads(int fd)
{
	static const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)(tcp | TUN_F_USO4 | TUN_F_USO6)) != 0)
		(void)ioctl(fd, TUNSETOFFLOAD, (unsigned long)tcp);
}

static int open_queue(const char *name, int *ret_fd)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR };

	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ENODEV : errno;
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		int result = errno;
		close(fd);
		return result;
	}
	set_offloads(fd);
	*ret_fd = fd;
	return 0;
}

bool io_tun_has_vnet(int fd)
{
	struct ifreq ifr = { 0 };
	return ioctl(fd, TUNGETIFF, &ifr) == 0 && (ifr.ifr_flags & IFF_VNET_HDR) != 0;
}

static struct nlmsghdr *begin_link(char *room, const char *name, struct ifinfomsg **ret_link)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	*ret_link = mnl_nlmsg_put_extra_header(h, sizeof(**ret_link));
	(*ret_link)->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return h;
}

/* Without a link-local address the kernel sends no neighbour discovery of its own into the tunnels. It fails
 * where the kernel has no IPv6, which does no harm. */
static void stop_link_local(const char *name)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct ifinfomsg *link;
	struct nlmsghdr *h = begin_link(room, name, &link);

	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *v6 = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, v6);
	mnl_attr_nest_end(h, spec);
	(void)io_netlink_ask(h, NULL, NULL);
}

static int bring_up(const char *name, unsigned mtu)
{
	char room[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct ifinfomsg *link;
	struct nlmsghdr *h = begin_link(room, name, &link);

	link->ifi_flags = link->ifi_change = IFF_UP;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return io_netlink_ask(h, NULL, NULL);
}

static int open_device(void *arg)
{
	const struct tun_errand *t = arg;
	unsigned opened = 0;
	int result = 0;

	for (; opened < t->cnt && result == 0; opened += result == 0)
		result = open_queue(t->name, &t->fds[opened]);
	if (result == 0) {
		stop_link_local(t->name);
		result = bring_up(t->name, t->mtu);
	}
	while (result != 0 && opened > 0)
		close(t->fds[--opened]);
	return result;
}

MUST_USE enum err io_tun_open(const char *name, const char *netns, unsigned mtu, unsigned cnt, int *ret_fds)
{
	int fds[QUEUES_MAX];

	if (strlen(name) >= IO_TUN_NAME_MAX || cnt == 0 || cnt > QUEUES_MAX)
		return ERR_RANGE;
	struct tun_errand t = { name, mtu, cnt, fds };
	enum err e = io_netns_run(netns, open_device, &t);
	if (e == ERR_NONE)
		memcpy(ret_fds, fds, cnt * sizeof(fds[0]));
	return e;
}
