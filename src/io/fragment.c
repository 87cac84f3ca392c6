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

#define LOOPBACK 1 /* the number of its device, in every network namespace */

/* Fragments that come in to this host, but for those that we have given to its kernel ourselves, by the loopback device. */
#define COMES_IN(to_end) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)), \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, (to_end) + 2), \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_HATYPE)), \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_LOOPBACK, (to_end), 0)

static struct sock_filter fragments4[] = {
	COMES_IN(3),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6), /* flags and offset */
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static struct sock_filter fragments6[] = {
	COMES_IN(3),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6), /* next header */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_FRAGMENT, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

/* No protocol, so that nothing comes before the filter stands. -1 with errno. */
static int open_copies(uint16_t protocol, struct sock_filter *filter, unsigned short len)
{
	const struct sockaddr_ll any = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	const struct sock_fprog program = { len, filter };
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0 ||
			bind(fd, (const struct sockaddr *)&any, sizeof(any)) != 0)) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* Takes whole packets, gets none. Where the kernel tracks connections it would gather what leaves apart from what comes in: this
 * socket's it must not (ip(7), IP_NODEFRAG). */
static int open_way4(void)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);

	if (fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_NODEFRAG, &on, sizeof(on)) != 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

MUST_USE enum err io_fragments_open(struct io_fragments *ret)
{
	struct io_fragments f = IO_FRAGMENTS_NONE;

	if ((f.copies4 = open_copies(ETH_P_IP, fragments4, ARRAY_LEN(fragments4))) < 0 ||
	    (f.copies6 = open_copies(ETH_P_IPV6, fragments6, ARRAY_LEN(fragments6))) < 0 || (f.way4 = open_way4()) < 0) {
		int saved = errno;
		io_fragments_close(&f);
		errno = saved;
		return ERR_SYSTEM;
	}
	*ret = f;
	return ERR_NONE;
}

void io_fragments_close(struct io_fragments *f)
{
	const int fds[] = { f->copies4, f->copies6, f->way4 };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*f = IO_FRAGMENTS_NONE;
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

/* An IPv6 raw socket has no IP_NODEFRAG, so these go the way of packets that come in. There is no check of the source there, as
 * IPv4 has (rp_filter), for which the loopback device is not the way to it. */
static enum err give6(int fd, struct bytes packet)
{
	const struct sockaddr_ll in = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IPV6), .sll_ifindex = LOOPBACK,
					.sll_halen = ETH_ALEN };

	return sendto(fd, packet.p, packet.len, MSG_DONTWAIT, (const struct sockaddr *)&in, sizeof(in)) < 0 ? error_of() : ERR_NONE;
}

MUST_USE enum err io_fragment_give(const struct io_fragments *f, const struct addr *to, struct bytes packet)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (to->family == ADDR_V6)
		return give6(f->copies6, packet);
	memcpy(&v4.sin_addr, to->b, sizeof(v4.sin_addr));
	return sendto(f->way4, packet.p, packet.len, MSG_DONTWAIT, (const struct sockaddr *)&v4, sizeof(v4)) < 0 ? error_of() : ERR_NONE;
}
