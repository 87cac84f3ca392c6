#include "base/clock.h"
#include "wire/split.h"
#include "worker/state.h"

/* The outer packet may be fragmented on its way where the inner one may, and where IPv6 inside needs its 1280 bytes
 * (RFC 4301 8.1, RFC 2473 7.1). In IPv6 outside it is the kernel that fragments. */
static bool wants_df(const struct worker_packet *p, const struct fwd_child *c, size_t len)
{
	return p->ip.dont_fragment && len <= fwd_child_outer(c)->mtu;
}

static void queue_seal(struct worker *w, const struct worker_packet *p, struct fwd_child *c, struct space buf, size_t off,
		       size_t len)
{
	must(w->seal_cnt < WORKER_BURST);
	w->sequenced |= fwd_child_is_sequenced(c);
	w->sealing[w->seal_cnt] = (struct worker_sealing){ c, len, p->ip.tos, wants_df(p, c, len) };
	w->seals[w->seal_cnt++] = (struct esp_job){
		.sa = fwd_child_out(c),
		.buf = buf,
		.off = off,
		.len = len,
		.next_header = p->ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6,
	};
}

struct space worker_take_room(struct worker *w, size_t len)
{
	must(len <= w->out.cap);
	if (len > w->out.cap - w->out_used || w->seal_cnt == WORKER_BURST)
		worker_send_flush(w);
	struct space room = { w->out.p + w->out_used, len };
	w->out_used += len;
	return room;
}

/* Each packet of the superpacket is written to where it is sealed: beside each other they leave as one. */
static void send_split(struct worker *w, const struct worker_packet *p, struct fwd_child *c)
{
	const struct esp_sa *sa = fwd_child_out(c);
	size_t front = esp_front_len(sa);
	struct wire_split s;

	if (wire_split_begin(worker_packet_bytes(p), &p->ip, p->segment, &s) != ERR_NONE) {
		worker_drop_packet(w, p, MODEL_DROP_inner_malformed);
		return;
	}
	while (wire_split_left(&s) != 0) {
		size_t len = wire_split_len(&s);
		struct space room = worker_take_room(w, esp_sealed_len(sa, len));
		wire_split_next(&s, (struct space){ room.p + front, len });
		queue_seal(w, p, c, room, front, len);
	}
}

void worker_send(struct worker *w, const struct worker_packet *p, struct fwd_child *c)
{
	const struct esp_sa *sa = fwd_child_out(c);
	size_t front = esp_front_len(sa), whole = esp_sealed_len(sa, p->len);

	if (p->segment != 0) {
		send_split(w, p, c);
		return;
	}
	if (w->seal_cnt == WORKER_BURST)
		worker_send_flush(w);
	if (p->off >= front && p->buf.cap - p->off >= whole - front) {
		queue_seal(w, p, c, p->buf, p->off, p->len);
		return;
	}
	/* It stands between others that came with it. */
	struct space room = worker_take_room(w, whole);
	struct wr out = wr_of((struct space){ room.p + front, p->len });
	wr_put(&out, worker_packet_bytes(p));
	queue_seal(w, p, c, room, front, p->len);
}

/* Packets of SAs that are numbered by another node, or that wait for numbers, go to control. The clock is read here: a process
 * that was stopped on its way must not go on with what it believed before. */
static void send_elsewhere(struct worker *w)
{
	const uint64_t now_ms = clock_mono_ms();
	unsigned kept = 0;

	for (unsigned i = 0; i < w->seal_cnt; i++) {
		struct fwd_child *c = w->sealing[i].child;
		if (fwd_child_is_sequenced(c) && !fwd_child_is_numbered(w->reader, c, now_ms, w->sealed_here)) {
			worker_inner(w, c, bytes_of(w->seals[i].buf.p + w->seals[i].off, w->seals[i].len));
			continue;
		}
		w->sealing[kept] = w->sealing[i];
		w->seals[kept++] = w->seals[i];
	}
	w->seal_cnt = kept;
	w->sequenced = false;
}

/* A process that was stopped while it sealed: the numbers are its own, but others may have gone on above them. */
static void drop_late(struct worker *w)
{
	const uint64_t now_ms = clock_mono_ms();

	for (unsigned i = 0; i < w->seal_cnt; i++) {
		if (!w->seals[i].ok || !fwd_child_is_sequenced(w->sealing[i].child) || fwd_numbers_stand(w->reader, now_ms))
			continue;
		w->seals[i].ok = false;
		w->seals[i].drop = MODEL_DROP_seq_expired;
	}
}

static void notice_numbers(struct worker *w)
{
	for (unsigned i = 0; i < w->seal_cnt; i++) {
		struct fwd_child *c = w->sealing[i].child;
		if ((i == 0 || c != w->sealing[i - 1].child) && fwd_child_is_sequenced(c) && fwd_child_wants_numbers(c))
			worker_notice(w, c, FWD_NOTICE_NUMBERS, NULL);
	}
}

void worker_send_flush(struct worker *w)
{
	const bool sequenced = w->sequenced;

	if (sequenced)
		send_elsewhere(w);
	if (w->seal_cnt != 0)
		esp_seal(w->seals, w->seal_cnt, w->config.index);
	if (sequenced)
		drop_late(w);
	for (unsigned i = 0; i < w->seal_cnt; i++) {
		if (!w->seals[i].ok)
			worker_drop(w, w->seals[i].drop);
		if ((i == 0 || w->seals[i].sa != w->seals[i - 1].sa) && esp_sa_is_low(w->seals[i].sa))
			worker_notice(w, w->sealing[i].child, FWD_NOTICE_IV_LOW, NULL);
	}
	if (sequenced)
		notice_numbers(w);
	if (w->seal_cnt != 0)
		worker_send_sealed(w);
	w->seal_cnt = 0;
	w->out_used = 0;
	w->error_cnt = 0;
}
