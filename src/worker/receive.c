#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "io/udp.h"
#include "worker/state.h"

static uint8_t read_tos(struct msghdr *m)
{
	int value = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS && c->cmsg_len >= CMSG_LEN(1))
			return *CMSG_DATA(c);
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS &&
		    c->cmsg_len >= CMSG_LEN(sizeof(value)))
			memcpy(&value, CMSG_DATA(c), sizeof(value));
	}
	return (uint8_t)value;
}

static void prepare(struct worker *w)
{
	for (unsigned i = 0; i < WORKER_BURST; i++) {
		const struct worker_packet *p = &w->packets[i];
		w->iovs[i] = (struct iovec){ p->buf.p + WORKER_HEADROOM, WORKER_PACKET_MAX };
		w->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &w->names[i],
			.msg_namelen = sizeof(w->names[i]),
			.msg_iov = &w->iovs[i],
			.msg_iovlen = 1,
			.msg_control = w->controls[i].room,
			.msg_controllen = sizeof(w->controls[i].room),
		};
	}
}

unsigned worker_receive(struct worker *w, const struct worker_socket *s)
{
	prepare(w);
	int n = recvmmsg(s->fd, w->msgs, WORKER_BURST, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct worker_packet *p = &w->packets[i];
		p->off = WORKER_HEADROOM;
		p->len = w->msgs[i].msg_len;
		p->remote = io_sockaddr_to(&w->names[i]);
		p->outer_tos = read_tos(&w->msgs[i].msg_hdr);
		p->native = false;
		p->child = NULL;
	}
	return n < 0 ? 0 : (unsigned)n;
}

unsigned worker_read(struct worker *w, const struct worker_queue *q, bool *ret_gone)
{
	unsigned cnt = 0;
	bool gone = false;

	while (cnt < WORKER_BURST) {
		struct worker_packet *p = &w->packets[cnt];
		ssize_t n = read(q->fd, p->buf.p + WORKER_HEADROOM, WORKER_PACKET_MAX);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			gone = n == 0 || (errno != EAGAIN && errno != ENOBUFS);
			break;
		}
		p->off = WORKER_HEADROOM;
		p->len = (size_t)n;
		p->outer_tos = 0;
		cnt++;
	}
	*ret_gone = gone;
	return cnt;
}
