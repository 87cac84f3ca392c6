#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "io/udp.h"
#include "worker/state.h"

void worker_send(struct worker *w, struct worker_packet *p, struct fwd_child *c)
{
	must(w->seal_cnt < WORKER_BURST);
	w->sealing[w->seal_cnt] = (struct worker_sealing){ c, p->len, p->ip.tos };
	w->seals[w->seal_cnt++] = (struct esp_job){
		.sa = fwd_child_out(c),
		.buf = p->buf,
		.off = p->off,
		.len = p->len,
		.next_header = p->ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6,
	};
}

/* The socket that a path leaves by; -1: this worker has none for its address. */
static int find_socket(const struct worker *w, const struct model_path *path)
{
	for (unsigned i = 0; i < w->config.socket_cnt; i++) {
		const struct worker_socket *s = &w->config.sockets[i];
		bool fits = path->udp_encap
				    ? s->kind != WORKER_SOCKET_ESP && s->local.port == path->local.port
				    : s->kind == WORKER_SOCKET_ESP;
		if (fits && addr_eq(&s->local.addr, &path->local.addr))
			return s->fd;
	}
	return -1;
}

/* DSCP and ECN of the inner packet stand on the outer one (RFC 2983 3, RFC 6040 4.1, normal mode). */
static void put_tos(struct worker *w, unsigned at, uint8_t family, uint8_t tos)
{
	struct msghdr *m = &w->msgs[at].msg_hdr;
	int value = tos;

	if (tos == 0)
		return;
	m->msg_control = w->controls[at].room;
	m->msg_controllen = sizeof(w->controls[at].room);
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	c->cmsg_level = family == ADDR_V6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = family == ADDR_V6 ? IPV6_TCLASS : IP_TOS;
	c->cmsg_len = CMSG_LEN(sizeof(value));
	memcpy(CMSG_DATA(c), &value, sizeof(value));
}

static void put_message(struct worker *w, unsigned at, unsigned seal, const struct model_path *path)
{
	const struct esp_job *j = &w->seals[seal];
	struct addr_endpoint to = path->remote;
	struct msghdr *m = &w->msgs[at].msg_hdr;

	if (!path->udp_encap)
		to.port = 0;
	w->sending[at] = seal;
	w->iovs[at] = (struct iovec){ j->buf.p + j->off, j->len };
	*m = (struct msghdr){ .msg_name = &w->names[at], .msg_iov = &w->iovs[at], .msg_iovlen = 1 };
	io_sockaddr_from(&to, &w->names[at], &m->msg_namelen);
	put_tos(w, at, to.addr.family, w->sealing[seal].tos);
}

static void count_sent(struct worker *w, unsigned from, unsigned cnt)
{
	size_t bytes = 0;

	for (unsigned i = from; i < from + cnt; i++) {
		const struct worker_sealing *s = &w->sealing[w->sending[i]];
		fwd_child_count_out(s->child, s->inner_len, w->config.index);
		bytes += s->inner_len;
	}
	fwd_count(w->counters, MODEL_COUNTER_esp_out_packets, cnt);
	fwd_count(w->counters, MODEL_COUNTER_esp_out_bytes, bytes);
}

/* A message that is not taken is dropped and the next one tried: nobody waits for a full buffer. */
static void send_messages(struct worker *w, int fd, unsigned cnt)
{
	unsigned at = 0;

	while (at < cnt) {
		int n = sendmmsg(fd, w->msgs + at, cnt - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			count_sent(w, at, (unsigned)n);
			at += (unsigned)n;
		} else {
			worker_drop(w, MODEL_DROP_send_failed);
			at++;
		}
	}
}

static void send_sealed(struct worker *w)
{
	unsigned cnt = 0;
	int fd = -1;

	for (unsigned i = 0; i < w->seal_cnt; i++) {
		if (!w->seals[i].ok)
			continue;
		const struct model_path *path = &fwd_child_outer(w->sealing[i].child)->path;
		int to = find_socket(w, path);
		if (to < 0) {
			worker_drop(w, MODEL_DROP_send_failed);
			continue;
		}
		if (to != fd) {
			send_messages(w, fd, cnt);
			cnt = 0;
			fd = to;
		}
		put_message(w, cnt++, i, path);
	}
	send_messages(w, fd, cnt);
}

void worker_send_flush(struct worker *w)
{
	if (w->seal_cnt == 0)
		return;
	esp_seal(w->seals, w->seal_cnt, w->config.index);
	for (unsigned i = 0; i < w->seal_cnt; i++) {
		if (!w->seals[i].ok)
			worker_drop(w, w->seals[i].drop);
		if (esp_sa_is_low(w->seals[i].sa))
			worker_notice(w, w->sealing[i].child, FWD_NOTICE_IV_LOW, NULL);
	}
	send_sealed(w);
	w->seal_cnt = 0;
}

bool worker_write(struct worker *w, int fd, struct bytes packet)
{
	ssize_t n;

	do
		n = write(fd, packet.p, packet.len);
	while (n < 0 && errno == EINTR);
	if (n < 0 || (size_t)n != packet.len)
		return false;
	fwd_count(w->counters, MODEL_COUNTER_tun_out_packets, 1);
	return true;
}
