#include <errno.h>
#include <unistd.h>

#include "io/vnet.h"
#include "worker/state.h"

static ssize_t write_vectors(int fd, const struct iovec *v, int cnt)
{
	ssize_t n;

	do
		n = writev(fd, v, cnt);
	while (n < 0 && errno == EINTR);
	return n;
}

bool worker_write(struct worker *w, const struct fwd_queue *q, struct bytes packet)
{
	static uint8_t plain[IO_VNET_LEN]; /* nothing is left to the kernel */
	union {
		const void *from;
		void *base;
	} body = { .from = packet.p }; /* iovec has no const */
	const struct iovec v[2] = { { plain, sizeof(plain) }, { body.base, packet.len } };

	ssize_t n = q->vnet ? write_vectors(q->fd, v, 2) : write_vectors(q->fd, v + 1, 1);
	if (n < 0 || (size_t)n != packet.len + (q->vnet ? sizeof(plain) : 0))
		return false;
	fwd_count(w->counters, MODEL_COUNTER_tun_out_packets, 1);
	return true;
}

static void write_or_drop(struct worker *w, const struct fwd_queue *q, struct bytes packet)
{
	if (!worker_write(w, q, packet))
		worker_drop(w, MODEL_DROP_tun_write);
}

/* ---- trains: packets of a flow that become one write ---- */

/* Each packet with its own headers, which still stand in front of its payload. */
static void write_singly(struct worker *w, const struct worker_train *t)
{
	size_t header = t->merge.first.header_len;

	write_or_drop(w, &t->queue, bytes_of(t->iovs[1].iov_base, t->iovs[1].iov_len));
	for (unsigned i = 2; i < t->merge.cnt + 1; i++)
		write_or_drop(w, &t->queue,
			      bytes_of((uint8_t *)t->iovs[i].iov_base - header, t->iovs[i].iov_len + header));
}

static bool write_train(struct worker *w, struct worker_train *t)
{
	const struct wire_merge *m = &t->merge;
	struct space headers = { t->iovs[1].iov_base, t->iovs[1].iov_len };
	uint8_t own[WORKER_HEADERS_MAX], vnet[IO_VNET_LEN];

	must(m->first.header_len <= sizeof(own));
	memcpy(own, headers.p, m->first.header_len);
	const struct io_vnet v = {
		.kind = m->first.protocol == IP_PROTO_TCP ? IO_VNET_TCP : IO_VNET_UDP,
		.needs_checksum = true,
		.sum_start = (uint16_t)m->first.ip_len,
		.sum_offset = (uint16_t)wire_merge_finish(m, headers),
		.header_len = (uint16_t)m->first.header_len,
		.segment = (uint16_t)m->first.payload_len,
		.version = m->first.version,
	};
	io_vnet_build(&v, vnet);
	t->iovs[0] = (struct iovec){ vnet, sizeof(vnet) };
	if (write_vectors(t->queue.fd, t->iovs, (int)m->cnt + 1) >= 0) {
		fwd_count(w->counters, MODEL_COUNTER_tun_out_packets, m->cnt);
		return true;
	}
	memcpy(headers.p, own, m->first.header_len);
	return false;
}

static void end_train(struct worker *w, struct worker_train *t)
{
	if (t->merge.cnt > 1 && !write_train(w, t)) {
		/* Kernels before 6.2 know no superpackets of UDP. */
		if (errno == EINVAL && t->merge.first.protocol == IP_PROTO_UDP)
			w->udp_singly = true;
		write_singly(w, t);
	} else if (t->merge.cnt == 1) {
		write_singly(w, t);
	}
	*t = w->trains[--w->train_cnt];
}

void worker_offramp_flush(struct worker *w)
{
	while (w->train_cnt != 0)
		end_train(w, &w->trains[w->train_cnt - 1]);
}

static struct worker_train *find_train(struct worker *w, const struct fwd_queue *q, uint32_t flow)
{
	for (unsigned i = 0; i < w->train_cnt; i++)
		if (w->trains[i].flow == flow && w->trains[i].queue.fd == q->fd)
			return &w->trains[i];
	return NULL;
}

static void begin_train(struct worker *w, const struct fwd_queue *q, uint32_t flow, const struct worker_packet *p,
			const struct wire_piece *piece)
{
	if (w->train_cnt == WORKER_TRAINS)
		end_train(w, &w->trains[0]);
	struct worker_train *t = &w->trains[w->train_cnt++];
	t->queue = *q;
	t->flow = flow;
	t->iovs[1] = (struct iovec){ p->buf.p + p->off, p->len };
	wire_merge_begin(&t->merge, piece);
}

static bool join_train(struct worker *w, struct worker_train *t, const struct worker_packet *p,
		       const struct wire_piece *piece)
{
	if (!wire_merge_add(&t->merge, piece))
		return false;
	t->iovs[t->merge.cnt] = (struct iovec){ p->buf.p + p->off + piece->header_len, piece->payload_len };
	if (t->merge.closed)
		end_train(w, t);
	return true;
}

void worker_offramp_put(struct worker *w, const struct fwd_queue *q, const struct worker_packet *p)
{
	struct wire_piece piece;

	if (!q->vnet) {
		write_or_drop(w, q, worker_packet_bytes(p));
		return;
	}
	/* A flow stays in order, so whatever cannot join waits for what it follows. Fragments tell no flow. */
	if (p->ip.more_fragments || p->ip.fragment_offset != 0)
		worker_offramp_flush(w);
	uint32_t flow = wire_flow_hash(&p->ip);
	struct worker_train *t = find_train(w, q, flow);
	bool mergeable = wire_piece_parse(worker_packet_bytes(p), &p->ip, &piece) &&
			 !(w->udp_singly && piece.protocol == IP_PROTO_UDP);
	if (t != NULL && mergeable && join_train(w, t, p, &piece))
		return;
	if (t != NULL)
		end_train(w, t);
	if (mergeable && !wire_piece_is_last(&piece))
		begin_train(w, q, flow, p, &piece);
	else
		write_or_drop(w, q, worker_packet_bytes(p));
}
