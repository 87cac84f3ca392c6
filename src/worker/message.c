#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "io/udp.h"
#include "worker/state.h"

enum {
	SEGMENTS_MAX = 64,          /* of older kernels; newer ones take 128 */
	MESSAGE_MAX = 65535 - 48,   /* behind an IPv6 and a UDP header */
	RETRY_MS = 10000,           /* after a kernel refused superpackets */
};

static bool leads(const struct worker_socket *s, const struct model_path *path)
{
	switch ((enum worker_socket_kind)s->kind) {
	case WORKER_SOCKET_IKE:
	case WORKER_SOCKET_NATT:
		return path->udp_encap && s->local.port == path->local.port && addr_eq(&s->local.addr, &path->local.addr);
	case WORKER_SOCKET_ESP:
	case WORKER_SOCKET_ESP_DF:
		return !path->udp_encap && addr_eq(&s->local.addr, &path->local.addr);
	case WORKER_SOCKET_ICMP:
		break;
	}
	return false;
}

/* The socket that a path leaves by, as an index; socket_cnt: this worker has none for its address. DF is an option of a
 * socket: of native ESP, whose sockets all workers share, each has its own. */
static unsigned find_socket(const struct worker *w, const struct model_path *path, bool dont_fragment)
{
	unsigned found = w->config.socket_cnt;

	for (unsigned i = 0; i < w->config.socket_cnt; i++) {
		const struct worker_socket *s = &w->config.sockets[i];
		bool df_only = s->kind == WORKER_SOCKET_ESP_DF;
		if (!leads(s, path) || (df_only && !dont_fragment))
			continue;
		found = i;
		if (path->udp_encap || df_only == dont_fragment)
			break;
	}
	return found;
}

/* Packets of a length that a first link has refused leave without DF for a while; shorter ones, of whatever tunnel, keep it. */
static bool may_have_df(const struct worker *w, unsigned socket, size_t len)
{
	const struct worker_df *d = &w->no_df[socket];
	return w->now_ms >= d->until_ms || len < d->len;
}

static void note_refused(struct worker *w, unsigned socket, size_t len)
{
	struct worker_df *d = &w->no_df[socket];

	d->len = may_have_df(w, socket, SIZE_MAX) || len < d->len ? len : d->len;
	d->until_ms = w->now_ms + RETRY_MS;
}

/* ---- building ---- */

/* One packet more in the message, which is a superpacket then. All but its last packet are of one length. */
static bool join_message(struct worker *w, struct worker_message *m, const struct model_path *path, unsigned seal)
{
	const struct esp_job *j = &w->seals[seal];
	uint8_t *at = j->buf.p + j->off;
	struct iovec *last = &w->outgoing.iovs[w->iov_cnt - 1];

	if (m->path != path || m->tos != w->sealing[seal].tos || m->dont_fragment != w->sealing[seal].dont_fragment ||
	    m->cnt == SEGMENTS_MAX || m->closed ||
	    j->len > m->segment || m->bytes + j->len > MESSAGE_MAX)
		return false;
	if ((uint8_t *)last->iov_base + last->iov_len == at) {
		last->iov_len += j->len;
	} else {
		w->outgoing.iovs[w->iov_cnt++] = (struct iovec){ at, j->len };
		m->iov_cnt++;
	}
	w->sending[m->first + m->cnt++] = seal;
	m->bytes += j->len;
	m->closed = j->len < m->segment;
	return true;
}

static void begin_message(struct worker *w, const struct model_path *path, unsigned seal)
{
	const struct esp_job *j = &w->seals[seal];
	unsigned sent = w->message_cnt == 0 ? 0 : w->messages[w->message_cnt - 1].first +
						  w->messages[w->message_cnt - 1].cnt;

	w->sending[sent] = seal;
	w->messages[w->message_cnt++] = (struct worker_message){
		.path = path,
		.first = sent,
		.cnt = 1,
		.iov = w->iov_cnt,
		.iov_cnt = 1,
		.segment = j->len,
		.bytes = j->len,
		.tos = w->sealing[seal].tos,
		.dont_fragment = w->sealing[seal].dont_fragment,
	};
	w->outgoing.iovs[w->iov_cnt++] = (struct iovec){ j->buf.p + j->off, j->len };
}

static void add_control(struct msghdr *m, size_t room, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c;

	/* The room was zeroed: the next header is found by the length of what is there. */
	m->msg_controllen += CMSG_SPACE(len);
	must(m->msg_controllen <= room);
	c = CMSG_FIRSTHDR(m);
	while (c->cmsg_len != 0)
		c = CMSG_NXTHDR(m, c);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
}

/* DSCP and ECN of the inner packet stand on the outer one (RFC 2983 3, RFC 6040 4.1, normal mode). */
static void put_controls(struct msghdr *h, struct worker_control *c, const struct worker_message *m, uint16_t segment)
{
	bool v6 = m->path->remote.addr.family == ADDR_V6;
	int tos = m->tos;

	*c = (struct worker_control){ 0 };
	h->msg_control = c->room;
	h->msg_controllen = 0;
	if (tos != 0)
		add_control(h, sizeof(c->room), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &tos,
			    sizeof(tos));
	if (segment != 0)
		add_control(h, sizeof(c->room), IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	if (h->msg_controllen == 0)
		h->msg_control = NULL;
}

static void put_name(struct worker *w, unsigned at)
{
	const struct model_path *path = w->messages[at].path;
	struct addr_endpoint to = path->remote;

	if (!path->udp_encap)
		to.port = 0;
	io_sockaddr_from(&to, &w->outgoing.names[at], &w->outgoing.msgs[at].msg_hdr.msg_namelen);
}

static void finish_message(struct worker *w, unsigned at)
{
	const struct worker_message *m = &w->messages[at];
	struct msghdr *h = &w->outgoing.msgs[at].msg_hdr;

	*h = (struct msghdr){
		.msg_name = &w->outgoing.names[at],
		.msg_iov = &w->outgoing.iovs[m->iov],
		.msg_iovlen = m->iov_cnt,
	};
	put_name(w, at);
	put_controls(h, &w->outgoing.controls[at], m, m->cnt > 1 ? (uint16_t)m->segment : 0);
}

/* ---- sending ---- */

static void count_sent(struct worker *w, unsigned from, unsigned cnt)
{
	size_t bytes = 0, all = 0;
	unsigned packets = 0;

	for (unsigned i = from; i < from + cnt; i++) {
		const struct worker_sealing *s = &w->sealing[w->sending[i]];
		bool last = i + 1 == from + cnt || w->sealing[w->sending[i + 1]].child != s->child;
		bytes += s->inner_len;
		packets++;
		if (!last)
			continue;
		fwd_child_count_out(s->child, packets, bytes, w->config.index);
		all += bytes;
		bytes = packets = 0;
	}
	fwd_count(w->counters, MODEL_COUNTER_esp_out_packets, cnt);
	fwd_count(w->counters, MODEL_COUNTER_esp_out_bytes, all);
}

/* Devices without the means, and packets above the MTU of the first link, which only the kernel can fragment. */
static bool refuses_superpackets(int why)
{
	return why == EINVAL || why == EIO || why == EMSGSIZE || why == EOPNOTSUPP;
}

/* False, and nothing sent: with DF they are too big for the first link. */
static bool send_singly(struct worker *w, unsigned socket, unsigned at, bool df)
{
	const int fd = w->config.sockets[socket].fd;
	const struct worker_message *m = &w->messages[at];
	struct msghdr h = w->outgoing.msgs[at].msg_hdr;
	struct worker_control control;
	struct iovec iov;
	ssize_t n;

	put_controls(&h, &control, m, 0);
	h.msg_iov = &iov;
	h.msg_iovlen = 1;
	for (unsigned i = m->first; i < m->first + m->cnt; i++) {
		const struct esp_job *j = &w->seals[w->sending[i]];
		iov = (struct iovec){ j->buf.p + j->off, j->len };
		do
			n = sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
		if (n < 0 && df && errno == EMSGSIZE && i == m->first)
			return false;
		if (n >= 0)
			count_sent(w, i, 1);
		else
			worker_drop(w, MODEL_DROP_send_failed);
	}
	return true;
}

/* Messages from `at` up to `end`; df: the socket sets DF now. A message that is not taken is dropped and the next one tried:
 * nobody waits for a full buffer. Gives where it stopped: with DF at one that is too big for the first link. */
static unsigned send_run(struct worker *w, unsigned socket, unsigned at, unsigned end, bool df)
{
	const int fd = w->config.sockets[socket].fd;

	while (at < end) {
		int n = sendmmsg(fd, w->outgoing.msgs + at, end - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			const struct worker_message *last = &w->messages[at + (unsigned)n - 1];
			count_sent(w, w->messages[at].first, last->first + last->cnt - w->messages[at].first);
			at += (unsigned)n;
			continue;
		}
		if (df && errno == EMSGSIZE)
			break;
		if (w->messages[at].cnt > 1 && refuses_superpackets(errno)) {
			if (errno != EMSGSIZE)
				w->singly_until_ms[socket] = w->now_ms + RETRY_MS;
			if (!send_singly(w, socket, at, df))
				break;
		} else {
			fwd_count_drops(w->counters, MODEL_DROP_send_failed, w->messages[at].cnt);
		}
		at++;
	}
	return at;
}

/* The control thread sends IKE by the same UDP sockets: DF is there only so long. */
static unsigned send_run_df(struct worker *w, unsigned socket, unsigned at, unsigned end)
{
	const struct worker_socket *s = &w->config.sockets[socket];

	if (s->kind == WORKER_SOCKET_ESP_DF)
		return send_run(w, socket, at, end, true);
	io_set_dont_fragment(s->fd, s->local.addr.family, true);
	at = send_run(w, socket, at, end, true);
	io_set_dont_fragment(s->fd, s->local.addr.family, false);
	return at;
}

/* Messages that are alike. What is too big for the first link goes without DF, so that the kernel can fragment it: the tunnel's
 * own setting of the MTU says that it may be so long. */
static unsigned send_alike(struct worker *w, unsigned socket, unsigned at, unsigned end)
{
	/* The socket for ESP is that of all workers: another one would send with our DF. */
	if (w->messages[at].dont_fragment && w->config.sockets[socket].kind != WORKER_SOCKET_ESP) {
		at = send_run_df(w, socket, at, end);
		if (at == end)
			return at;
		note_refused(w, socket, w->messages[at].segment);
		end = at + 1;
	}
	unsigned plain = find_socket(w, w->messages[at].path, false);
	must(plain < w->config.socket_cnt);
	return send_run(w, plain, at, end, false);
}

static void send_messages(struct worker *w, unsigned socket)
{
	unsigned at = 0;

	for (unsigned i = 0; i < w->message_cnt; i++)
		finish_message(w, i);
	while (at < w->message_cnt) {
		unsigned end = at + 1;
		while (end < w->message_cnt && w->messages[end].dont_fragment == w->messages[at].dont_fragment)
			end++;
		at = send_alike(w, socket, at, end);
	}
	w->message_cnt = w->iov_cnt = 0;
}

void worker_send_sealed(struct worker *w)
{
	const struct model_path *path = NULL;
	unsigned socket = w->config.socket_cnt;
	bool df = false;

	w->message_cnt = w->iov_cnt = 0;
	for (unsigned i = 0; i < w->seal_cnt; i++) {
		if (!w->seals[i].ok)
			continue;
		const struct model_path *next = &fwd_child_outer(w->sealing[i].child)->path;
		bool next_df = w->sealing[i].dont_fragment;
		unsigned to = next == path && next_df == df ? socket : find_socket(w, next, next_df);
		if (next_df && to != w->config.socket_cnt && !may_have_df(w, to, w->seals[i].len)) {
			next_df = w->sealing[i].dont_fragment = false;
			to = find_socket(w, next, false);
		}
		if (to == w->config.socket_cnt) {
			worker_drop(w, MODEL_DROP_send_failed);
			continue;
		}
		if (to != socket)
			send_messages(w, socket);
		bool joinable = w->message_cnt != 0 && next->udp_encap && w->now_ms >= w->singly_until_ms[to];
		if (!joinable || !join_message(w, &w->messages[w->message_cnt - 1], next, i))
			begin_message(w, next, i);
		path = next;
		df = next_df;
		socket = to;
	}
	send_messages(w, socket);
}
