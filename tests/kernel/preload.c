// Preloaded into an IKE daemon (pluto, iked) on a kernel without IPsec: it finds the sockets of XFRM and PF_KEY, and
// who answers there is tests/kernel/ipsec.py. Of each call what is not about IPsec goes to the C library as it is.
//
// ONRAMP_KERNEL names the folder with the sockets `xfrm` and `pfkey`, whose messages are those of the kernel's interfaces.
// ONRAMP_FILES is the folder that holds what the daemon looks for in /usr/libexec/ipsec and /etc/iked.
#undef _FILE_OFFSET_BITS // which would give fopen and stat other names than those that the daemons call
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { NO_ANSWER_MS = 10000 };

/* The C library's own function of this name. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int get_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

/* Neither daemon has another socket of this kind. */
static bool is_to_kernel(int fd)
{
	return get_option(fd, SO_DOMAIN) == AF_UNIX && get_option(fd, SO_TYPE) == SOCK_SEQPACKET;
}

static int connect_to_kernel(const char *name, int flags)
{
	const char *folder = getenv("ONRAMP_KERNEL");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (folder == NULL || snprintf(to.sun_path, sizeof(to.sun_path), "%s/%s", folder, name) >= (int)sizeof(to.sun_path)) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	fd = NEXT(socket)(AF_UNIX, SOCK_SEQPACKET | flags, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
		fprintf(stderr, "preload: %s: %s\n", to.sun_path, strerror(errno));
		exit(1);
	}
	return fd;
}

int socket(int domain, int type, int protocol)
{
	const int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (domain == AF_NETLINK && protocol == NETLINK_XFRM)
		return connect_to_kernel("xfrm", flags);
	if (domain == PF_KEY)
		return connect_to_kernel("pfkey", flags);
	return NEXT(socket)(domain, type, protocol);
}

/* The groups that pluto binds to, acquire and expire, are those that ipsec.py tells everybody of. */
int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return addr->sa_family == AF_NETLINK && is_to_kernel(fd) ? 0 : NEXT(bind)(fd, addr, len);
}

/* Who reads a netlink socket wants to see that it was the kernel who wrote: port 0. */
ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addr_len)
{
	const socklen_t room = addr_len == NULL ? 0 : *addr_len;
	const ssize_t got = NEXT(recvfrom)(fd, buf, len, flags, addr, addr_len);

	if (got >= 0 && addr != NULL && room >= sizeof(struct sockaddr_nl) && is_to_kernel(fd)) {
		memset(addr, 0, sizeof(struct sockaddr_nl));
		addr->sa_family = AF_NETLINK;
		*addr_len = sizeof(struct sockaddr_nl);
	}
	return got;
}

/* iked gives the kernel a millisecond; ipsec.py may have to wait longer for a core. */
int poll(struct pollfd *fds, nfds_t cnt, int timeout)
{
	return NEXT(poll)(fds, cnt, cnt == 1 && timeout > 0 && is_to_kernel(fds->fd) ? NO_ANSWER_MS : timeout);
}

/* What UDP_ENCAP does for this socket: IKE behind its marker of four zeros comes (RFC 3948 2.2), ESP and keepalives do not. */
static int keep_esp_out(int fd)
{
	enum { PAST_UDP_HEADER = 8 };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PAST_UDP_HEADER),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return NEXT(setsockopt)(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	if (level == IPPROTO_UDP && option == UDP_ENCAP)
		return keep_esp_out(fd);
	// A socket that no policy applies to: ipsec.py sees only what is routed into its device.
	if ((level == IPPROTO_IP && (option == IP_XFRM_POLICY || option == IP_IPSEC_POLICY)) ||
	    (level == IPPROTO_IPV6 && (option == IPV6_XFRM_POLICY || option == IPV6_IPSEC_POLICY)))
		return 0;
	return NEXT(setsockopt)(fd, level, option, value, len);
}

/* By this file pluto finds out whether there is XFRM. */
int stat(const char *path, struct stat *st)
{
	if (strcmp(path, "/proc/sys/net/core/xfrm_acq_expires") == 0) {
		memset(st, 0, sizeof(*st));
		return 0;
	}
	return NEXT(stat)(path, st);
}

/* ---- files and a user that the daemon's package brings, which is not installed ---- */

static const char *const packaged[] = { "/usr/libexec/ipsec/", "/etc/iked/" };

/* Where a file is; own has room for its path. */
static const char *own_path(const char *path, char own[PATH_MAX])
{
	const char *folder = getenv("ONRAMP_FILES");

	for (size_t i = 0; folder != NULL && i < sizeof(packaged) / sizeof(packaged[0]); i++)
		if (strncmp(path, packaged[i], strlen(packaged[i])) == 0 &&
		    snprintf(own, PATH_MAX, "%s%s", folder, path) < PATH_MAX)
			return own;
	return path;
}

FILE *fopen(const char *path, const char *mode)
{
	char own[PATH_MAX];

	return NEXT(fopen)(own_path(path, own), mode);
}

int access(const char *path, int mode)
{
	char own[PATH_MAX];

	return NEXT(access)(own_path(path, own), mode);
}

int execve(const char *path, char *const argv[], char *const env[])
{
	char own[PATH_MAX];

	return NEXT(execve)(own_path(path, own), argv, env);
}

/* Which of its folders iked's processes get for a root does not matter here. */
int chroot(const char *path)
{
	char own[PATH_MAX];

	return NEXT(chroot)(getenv("ONRAMP_FILES") == NULL ? path : own_path("/etc/iked/", own));
}

struct passwd *getpwnam(const char *name)
{
	return NEXT(getpwnam)(strcmp(name, "_iked") == 0 ? "nobody" : name);
}
