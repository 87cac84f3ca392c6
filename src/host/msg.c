#include "host/msg.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MSG_VERSION = 1 };
enum { T_KIND = 1, T_ACCOUNT, T_NETNS, T_MTU, T_ERROR, T_MORE, T_PREFIX, T_TUNNEL };

MUST_USE enum err host_msg_encode(const struct host_msg *m, struct wr *w)
{
	tlv_begin(w, MSG_VERSION);
	tlv_u8(w, T_KIND, m->kind);
	tlv_u32(w, T_ACCOUNT, m->account_number);
	tlv_text(w, T_NETNS, m->netns);
	tlv_u16(w, T_MTU, m->mtu);
	tlv_u8(w, T_ERROR, m->error);
	tlv_u8(w, T_MORE, m->more);
	tlv_u32(w, T_TUNNEL, m->tunnel);
	must(m->prefix_cnt <= HOST_PREFIXES_MAX);
	for (unsigned i = 0; i < m->prefix_cnt; i++)
		tlv_prefix(w, T_PREFIX, &m->prefixes[i]);
	return w->bad ? ERR_FULL : ERR_NONE;
}

MUST_USE enum err host_msg_decode(struct bytes b, struct host_msg *ret)
{
	struct rd r = rd_of(b);
	struct host_msg m = { 0 };
	struct tlv t;
	uint16_t version;
	bool ok = true;

	enum err e = tlv_start(&r, MSG_VERSION, &version);
	if (e != ERR_NONE)
		return e;
	while (tlv_next(&r, &t)) {
		switch (t.type) {
		case T_KIND: m.kind = tlv_get_u8(&t, &ok); break;
		case T_ACCOUNT: m.account_number = tlv_get_u32(&t, &ok); break;
		case T_NETNS: tlv_get_text(&t, m.netns, sizeof(m.netns), &ok); break;
		case T_MTU: m.mtu = tlv_get_u16(&t, &ok); break;
		case T_ERROR: m.error = tlv_get_u8(&t, &ok); break;
		case T_TUNNEL: m.tunnel = tlv_get_u32(&t, &ok); break;
		case T_MORE: m.more = tlv_get_u8(&t, &ok) != 0; break;
		case T_PREFIX:
			if (m.prefix_cnt == HOST_PREFIXES_MAX)
				return ERR_RANGE;
			m.prefixes[m.prefix_cnt++] = tlv_get_prefix(&t, &ok);
			break;
		default: break;
		}
	}
	if (!rd_done(&r) || !ok || m.kind == 0 || m.error >= ERR_COUNT)
		return ERR_SYNTAX;
	*ret = m;
	return ERR_NONE;
}

union fd_control {
	char room[CMSG_SPACE(sizeof(int) * HOST_FDS_MAX)];
	struct cmsghdr align;
};

MUST_USE enum err host_msg_send(int fd, const struct host_msg *m, const int *fds, unsigned fd_cnt)
{
	uint8_t room[HOST_MSG_MAX];
	union fd_control control = { 0 };
	struct wr w = wr_of(SPACE_OF(room));

	must(fd_cnt <= HOST_FDS_MAX);
	enum err e = host_msg_encode(m, &w);
	if (e != ERR_NONE)
		return e;
	struct iovec iov = { room, wr_len(&w) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (fd_cnt != 0) {
		h.msg_control = control.room;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * fd_cnt);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fd_cnt);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_cnt);
	}
	if (sendmsg(fd, &h, MSG_NOSIGNAL) >= 0)
		return ERR_NONE;
	return errno == EAGAIN ? ERR_AGAIN : errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_SYSTEM;
}

/* Takes every descriptor that came, even from a message that is refused afterwards: none may leak. */
static unsigned take_fds(struct msghdr *h, int fds[static HOST_FDS_MAX])
{
	unsigned cnt = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && cnt < HOST_FDS_MAX; i++)
			memcpy(&fds[cnt++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return cnt;
}

MUST_USE enum err host_msg_recv(int fd, struct host_msg *ret, int ret_fds[static HOST_FDS_MAX],
				unsigned *ret_fd_cnt)
{
	uint8_t room[HOST_MSG_MAX];
	union fd_control control = { 0 };
	int fds[HOST_FDS_MAX];
	struct iovec iov = { room, sizeof(room) };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };

	ssize_t n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : errno == ECONNRESET ? ERR_CLOSED : ERR_SYSTEM;
	unsigned cnt = take_fds(&h, fds);
	enum err e = n == 0			       ? ERR_CLOSED
		     : (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? ERR_LONG
							: host_msg_decode(bytes_of(room, (size_t)n), ret);
	if (e != ERR_NONE) {
		for (unsigned i = 0; i < cnt; i++)
			close(fds[i]);
		return e;
	}
	memcpy(ret_fds, fds, sizeof(int) * cnt);
	*ret_fd_cnt = cnt;
	return ERR_NONE;
}
