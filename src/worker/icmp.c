// What a worker answers by itself: echo requests, and errors about packets that it drops (RFC 792, 4443).
#include "wire/split.h"
#include "worker/state.h"

enum { RATE = 1000, RATE_OF_ALL = 10000 };

bool worker_return(struct worker *w, struct worker_packet *p, enum model_drop *ret_why)
{
	if (p->child == NULL) {
		struct fwd_queue q = fwd_offramp_queue(w->reader, p->account);
		*ret_why = q.fd < 0 ? MODEL_DROP_offramp_down : MODEL_DROP_tun_write;
		return q.fd >= 0 && worker_write(w, &q, worker_packet_bytes(p));
	}
	struct fwd_child *c = fwd_tunnel_sender(fwd_child_tunnel(p->child), &p->ip, ret_why);
	if (c == NULL)
		return false;
	worker_send(w, p, c);
	return true;
}

void worker_answer_local(struct worker *w, struct worker_packet *p)
{
	enum model_drop why;

	if (!wire_icmp_is_echo_request(&p->ip)) {
		worker_drop_packet(w, p, MODEL_DROP_tunnel_local);
		return;
	}
	wire_icmp_echo_reply(worker_packet_space(p), &p->ip);
	must(worker_check_inner(p));
	if (worker_return(w, p, &why))
		fwd_count(w->counters, MODEL_COUNTER_echo_answered, 1);
	else
		worker_drop(w, why);
}

/* RFC 1812 4.3.2.8, RFC 4443 2.4 (f): errors are limited. Those about packets from one tunnel, or from one off-ramp, must not use up
 * what others need to learn that their packets are too big. */
static bool may_tell(struct worker *w, const struct worker_packet *p)
{
	const void *origin = p->child != NULL ? (const void *)fwd_child_tunnel(p->child) : p->account;
	size_t i = ((uint64_t)(uintptr_t)origin * UINT64_C(0x9e3779b97f4a7c15) >> 32) % ARRAY_LEN(w->icmp_limits);

	return worker_take_token(&w->icmp_limits[i], RATE, w->now_ms) && worker_take_token(&w->icmp_limit, RATE_OF_ALL, w->now_ms);
}

static bool build_error(struct worker_packet *e, const struct worker_packet *p, enum wire_icmp_error kind,
			uint32_t mtu, const struct addr *from)
{
	struct space room = { e->buf.p + WORKER_HEADROOM, WIRE_ICMP_ERROR_MAX };
	size_t len;

	if (wire_icmp_error_build(kind, mtu, from, &p->ip, worker_packet_bytes(p), room, &len) != ERR_NONE)
		return false;
	e->off = WORKER_HEADROOM;
	e->len = len;
	e->segment = 0;
	e->child = p->child;
	e->account = p->account;
	return worker_check_inner(e);
}

/* An error is about a packet as its receiver would have seen it: the first of a superpacket. */
static void keep_first(struct worker *w, struct worker_packet *p)
{
	struct wire_split s;

	if (p->segment == 0 || wire_split_begin(worker_packet_bytes(p), &p->ip, p->segment, &s) != ERR_NONE)
		return;
	p->buf = worker_take_room(w, wire_split_len(&s));
	wire_split_next(&s, p->buf);
	p->off = 0;
	p->len = p->buf.cap;
	p->segment = 0;
	must(worker_check_inner(p));
}

void worker_refuse(struct worker *w, struct worker_packet *p, enum model_drop why, enum wire_icmp_error kind,
		   uint32_t mtu, const struct fwd_tunnel *about)
{
	struct addr from = fwd_inner_address(p->account, about, p->ip.src.family);
	enum model_drop unsent;

	worker_drop_packet(w, p, why);
	keep_first(w, p);
	/* A source must hear that a packet is too big, or its connection hangs; where the tunnels have no
	 * address of the family the error bears the one that the source itself named. */
	if (from.family == ADDR_NONE && kind == WIRE_ICMP_TOO_BIG)
		from = p->ip.dst;
	if (from.family == ADDR_NONE || !wire_icmp_error_allowed(&p->ip, worker_packet_bytes(p)))
		return;
	if (!may_tell(w, p)) {
		worker_drop(w, MODEL_DROP_icmp_limited);
		return;
	}
	if (w->seal_cnt == WORKER_BURST || w->error_cnt == WORKER_BURST)
		worker_send_flush(w);
	struct worker_packet *e = &w->errors[w->error_cnt];
	if (!build_error(e, p, kind, mtu, &from))
		return;
	w->error_cnt++;
	if (worker_return(w, e, &unsent))
		fwd_count(w->counters, MODEL_COUNTER_icmp_sent, 1);
}
