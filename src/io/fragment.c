#include "io/fragment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"

/* Fragments that come in to this host, but for those that we have given to its kernel ourselves, by the loopback device. */
static bool filter(int fd)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_HATYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_LOOPBACK, 3, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6), /* flags and offset */
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog all = { ARRAY_LEN(program), program };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all)) == 0;
}

static enum err fail(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return ERR_SYSTEM;
}

/* No protocol, so that nothing comes before the filter stands. */
static enum err open_copies(int *ret_fd)
{
	const struct sockaddr_ll any = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || !filter(fd) || bind(fd, (const struct sockaddr *)&any, sizeof(any)) != 0)
		return fail(fd);
	*ret_fd = fd;
	return ERR_NONE;
}

MUST_USE enum err io_fragment_open(int *ret_copies, int *ret_way)
{
	int copies, way = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW); /* takes whole packets, gets none */

	if (way < 0)
		return ERR_SYSTEM;
	if (open_copies(&copies) != ERR_NONE)
		return fail(way);
	*ret_copies = copies;
	*ret_way = way;
	return ERR_NONE;
}

static enum err error_of(void)
{
	return errno == EAGAIN || errno == ENOBUFS ? ERR_AGAIN : ERR_SYSTEM;
}

MUST_USE enum err io_fragment_take(int copies, struct space room, size_t *ret_len)
{
	ssize_t n = recv(copies, room.p, room.cap, MSG_DONTWAIT);

	if (n < 0)
		return error_of();
	*ret_len = (size_t)n;
	return ERR_NONE;
}

MUST_USE enum err io_fragment_give(int way, const struct addr *to, struct bytes packet)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	must(to->family == ADDR_V4);
	memcpy(&v4.sin_addr, to->b, sizeof(v4.sin_addr));
	return sendto(way, packet.p, packet.len, MSG_DONTWAIT, (const struct sockaddr *)&v4, sizeof(v4)) < 0 ? error_of() : ERR_NONE;
}
