#include "io/udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/must.h"

enum { BUFFER_LEN = 8 * 1024 * 1024 };

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* linux/in6.h, which clashes with netinet/in.h */
#endif

void io_sockaddr_from(const struct addr_endpoint *e, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(e->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };

	memset(ret, 0, sizeof(*ret));
	if (e->addr.family == ADDR_V6) {
		memcpy(&v6.sin6_addr, e->addr.b, sizeof(v6.sin6_addr));
		memcpy(ret, &v6, sizeof(v6));
		*ret_len = sizeof(v6);
	} else {
		memcpy(&v4.sin_addr, e->addr.b, sizeof(v4.sin_addr));
		memcpy(ret, &v4, sizeof(v4));
		*ret_len = sizeof(v4);
	}
}

struct addr_endpoint io_sockaddr_to(const struct sockaddr_storage *s)
{
	struct addr_endpoint e = { 0 };
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (s->ss_family == AF_INET) {
		memcpy(&v4, s, sizeof(v4));
		e.addr = addr_from_bytes(bytes_of(&v4.sin_addr, sizeof(v4.sin_addr)));
		e.port = ntohs(v4.sin_port);
	} else if (s->ss_family == AF_INET6) {
		memcpy(&v6, s, sizeof(v6));
		e.addr = addr_from_bytes(bytes_of(&v6.sin6_addr, sizeof(v6.sin6_addr)));
		e.port = ntohs(v6.sin6_port);
	}
	return e;
}

static bool set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Above the system's limit where we may, up to it elsewhere: a shorter buffer is no reason to fail. */
static void set_buffers(int fd)
{
	if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_LEN))
		(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_LEN);
	if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_LEN))
		(void)set_int(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_LEN);
}

/* A raw IPv6 socket is of one family anyway, and the kernel refuses the option there. */
static bool set_family_options(int fd, uint8_t family, int type)
{
	if (family == ADDR_V6)
		return (type == SOCK_RAW || set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
		       set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1) &&
		       set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT) &&
		       set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	return set_int(fd, IPPROTO_IP, IP_FREEBIND, 1) &&
	       set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT) &&
	       set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
}

static enum err open_bound(int type, int protocol, const struct addr_endpoint *local, bool shared, int *ret_fd)
{
	struct sockaddr_storage ss;
	socklen_t len;

	int fd = socket(local->addr.family == ADDR_V6 ? AF_INET6 : AF_INET,
			type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return ERR_SYSTEM;
	io_sockaddr_from(local, &ss, &len);
	set_buffers(fd);
	if (!set_family_options(fd, local->addr.family, type) || !set_int(fd, SOL_SOCKET, SO_REUSEPORT, shared) ||
	    bind(fd, (struct sockaddr *)&ss, len) != 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return ERR_SYSTEM;
	}
	*ret_fd = fd;
	return ERR_NONE;
}

MUST_USE enum err io_udp_open(const struct addr_endpoint *local, int *ret_fd)
{
	return open_bound(SOCK_DGRAM, IPPROTO_UDP, local, true, ret_fd);
}

MUST_USE enum err io_udp_alone(const struct addr_endpoint *local)
{
	int fd;

	enum err e = open_bound(SOCK_DGRAM, IPPROTO_UDP, local, false, &fd);
	if (e == ERR_NONE)
		close(fd);
	return e;
}

MUST_USE enum err io_esp_open(const struct addr *local, int *ret_fd)
{
	struct addr_endpoint e = { .addr = *local };
	return open_bound(SOCK_RAW, IPPROTO_ESP, &e, true, ret_fd);
}

void io_set_dont_fragment(int fd, uint8_t family, bool on)
{
	/* PROBE and OMIT leave the kernel's path MTU aside. */
	if (family == ADDR_V6)
		(void)set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
	else
		(void)set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_OMIT);
}

static bool take_nothing(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog filter = { 1, &nothing };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0;
}

MUST_USE enum err io_esp_open_df(const struct addr *local, int *ret_fd)
{
	struct addr_endpoint nobody = { .addr = addr_from_v4_u32(INADDR_LOOPBACK) };
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	if (local->family == ADDR_V6)
		nobody.addr = addr_from_bytes(BYTES_OF(in6addr_loopback.s6_addr));
	io_sockaddr_from(&nobody, &ss, &len);
	enum err e = io_esp_open(local, &fd);
	if (e != ERR_NONE)
		return e;
	io_set_dont_fragment(fd, local->family, true);
	/* It would get a copy of every ESP packet; of a connected socket's peer alone it does. Where the address is not on
	 * the host yet nothing can be connected from it: then the copies are made, and dropped. */
	if (connect(fd, (const struct sockaddr *)&ss, len) != 0 && !take_nothing(fd)) {
		int saved = errno;
		close(fd);
		errno = saved;
		return ERR_SYSTEM;
	}
	*ret_fd = fd;
	return ERR_NONE;
}

static bool take_too_big_alone(int fd, uint8_t family)
{
	struct icmp_filter v4 = { .data = ~(UINT32_C(1) << ICMP_DEST_UNREACH) };
	struct icmp6_filter v6;

	if (family == ADDR_V4)
		return setsockopt(fd, SOL_RAW, ICMP_FILTER, &v4, sizeof(v4)) == 0;
	ICMP6_FILTER_SETBLOCKALL(&v6);
	ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &v6);
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6, sizeof(v6)) == 0;
}

MUST_USE enum err io_icmp_open(const struct addr *local, int *ret_fd)
{
	const struct addr_endpoint e = { .addr = *local };
	int fd;

	enum err result = open_bound(SOCK_RAW, local->family == ADDR_V6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, &e,
					      true, &fd);
	if (result != ERR_NONE)
		return result;
	if (!take_too_big_alone(fd, local->family)) {
		int saved = errno;
		close(fd);
		errno = saved;
		return ERR_SYSTEM;
	}
	*ret_fd = fd;
	return ERR_NONE;
}

bool io_udp_take_bursts(int fd)
{
	return set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
}

MUST_USE enum err io_udp_send(int fd, const struct addr_endpoint *to, bool marker, struct bytes msg)
{
	static uint8_t zeros[4]; /* RFC 3948 2.2 */
	struct sockaddr_storage ss;
	socklen_t len;
	union {
		const void *from;
		void *base;
	} body = { .from = msg.p }; /* iovec has no const */
	struct iovec iov[2] = { { zeros, marker ? sizeof(zeros) : 0 }, { body.base, msg.len } };
	ssize_t n;

	io_sockaddr_from(to, &ss, &len);
	struct msghdr m = {
		.msg_name = &ss, .msg_namelen = len, .msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)
	};
	do
		n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return ERR_NONE;
	return errno == EAGAIN || errno == ENOBUFS ? ERR_AGAIN : ERR_SYSTEM;
}

MUST_USE enum err io_set_mark(int fd, uint32_t mark)
{
	return mark == 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0 ? ERR_NONE : ERR_SYSTEM;
}

MUST_USE enum err io_udp_source(const struct addr *remote, uint32_t mark, struct addr *ret)
{
	const struct addr_endpoint to = { *remote, 500 };
	struct sockaddr_storage ss, own = { 0 };
	socklen_t len, own_len = sizeof(own);

	io_sockaddr_from(&to, &ss, &len);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_SYSTEM;
	/* A connected socket sends nothing, but has its route. */
	bool ok = io_set_mark(fd, mark) == ERR_NONE && connect(fd, (const struct sockaddr *)&ss, len) == 0 &&
		  getsockname(fd, (struct sockaddr *)&own, &own_len) == 0;
	int why = errno;
	close(fd);
	errno = why;
	if (!ok)
		return ERR_SYSTEM;
	*ret = io_sockaddr_to(&own).addr;
	return ERR_NONE;
}
