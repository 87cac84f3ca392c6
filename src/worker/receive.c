#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include "io/udp.h"
#include "worker/state.h"

/* As many superpackets as stay in the cache until they are done with. */
enum { SUPERPACKETS = 8 };

static uint8_t read_tos(const struct cmsghdr *c)
{
	int value = 0;

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS && c->cmsg_len >= CMSG_LEN(1))
		return *CMSG_DATA(c);
	if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS && c->cmsg_len >= CMSG_LEN(sizeof(value)))
		memcpy(&value, CMSG_DATA(c), sizeof(value));
	return (uint8_t)value;
}

static size_t read_segment(const struct cmsghdr *c)
{
	int value = 0;

	if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO && c->cmsg_len >= CMSG_LEN(sizeof(value)))
		memcpy(&value, CMSG_DATA(c), sizeof(value));
	return value > 0 ? (size_t)value : 0;
}

static void prepare(struct worker *w, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		w->incoming.iovs[i] = (struct iovec){ w->bufs[i].p + WORKER_HEADROOM, WORKER_PACKET_MAX };
		w->incoming.msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &w->incoming.names[i],
			.msg_namelen = sizeof(w->incoming.names[i]),
			.msg_iov = &w->incoming.iovs[i],
			.msg_iovlen = 1,
			.msg_control = w->incoming.controls[i].room,
			.msg_controllen = sizeof(w->incoming.controls[i].room),
		};
	}
}

void worker_receive(struct worker *w, const struct worker_socket *s)
{
	unsigned want = w->superpackets ? SUPERPACKETS : WORKER_BURST;

	prepare(w, want);
	int n = recvmmsg(s->fd, w->incoming.msgs, want, MSG_DONTWAIT, NULL);
	w->superpackets = false;
	w->arrival = (struct worker_arrival){ .cnt = n < 0 ? 0 : (unsigned)n };
}

/* The next datagram that was received. */
static void open_datagram(struct worker *w, struct worker_arrival *a)
{
	struct msghdr *h = &w->incoming.msgs[a->at].msg_hdr;
	size_t segment = 0;

	a->tos = 0;
	a->remote = io_sockaddr_to(&w->incoming.names[a->at]);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		a->tos |= read_tos(c);
		segment += read_segment(c);
	}
	a->len = w->incoming.msgs[a->at].msg_len;
	a->segment = segment == 0 || segment > a->len ? a->len : segment;
	w->superpackets |= a->segment < a->len;
	a->offset = 0;
	a->open = true;
}

/* A packet that came with others has no room around it but its own. */
static void take_packet(struct worker *w, struct worker_arrival *a, struct worker_packet *p)
{
	size_t left = a->len - a->offset, len = left < a->segment ? left : a->segment;
	struct space whole = w->bufs[a->at];
	bool alone = a->segment == a->len;

	p->buf = alone ? whole : (struct space){ whole.p + WORKER_HEADROOM + a->offset, len };
	p->off = alone ? WORKER_HEADROOM : 0;
	p->len = len;
	p->segment = 0;
	p->remote = a->remote;
	p->arrival = a->at;
	p->outer_tos = a->tos;
	p->native = false;
	p->child = NULL;
	a->offset += len;
	a->open = a->offset < a->len;
	a->at += !a->open;
}

unsigned worker_take(struct worker *w)
{
	struct worker_arrival *a = &w->arrival;
	unsigned cnt = 0;

	while (a->at < a->cnt && cnt < WORKER_BURST) {
		if (!a->open)
			open_datagram(w, a);
		take_packet(w, a, &w->packets[cnt++]);
	}
	return cnt;
}

unsigned worker_read(struct worker *w, const struct worker_queue *q, bool *ret_gone)
{
	const size_t front = q->vnet ? IO_VNET_LEN : 0;
	unsigned cnt = 0;
	size_t bytes = 0;
	bool gone = false;

	/* Superpackets are done with while they are in the cache. */
	while (cnt < WORKER_BURST && bytes < WORKER_PACKET_MAX) {
		struct worker_packet *p = &w->packets[cnt];
		p->buf = w->bufs[cnt];
		ssize_t n = read(q->fd, p->buf.p + WORKER_HEADROOM - front, WORKER_PACKET_MAX + front);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (size_t)n < front) {
			gone = n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
			break;
		}
		p->off = WORKER_HEADROOM;
		p->len = (size_t)n - front;
		p->outer_tos = 0;
		p->segment = 0;
		p->vnet = (struct io_vnet){ .kind = IO_VNET_SINGLE };
		if (q->vnet)
			p->vnet = io_vnet_parse(p->buf.p + WORKER_HEADROOM - front);
		bytes += p->len;
		cnt++;
	}
	*ret_gone = gone;
	return cnt;
}
