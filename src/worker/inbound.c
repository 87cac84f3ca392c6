#include "worker/state.h"

#include "wire/esp.h"

/* ---- from the outer packet to the SA ---- */

static void queue_open(struct worker *w, struct worker_packet *p)
{
	struct wire_esp h;

	enum err e = wire_esp_parse(worker_packet_bytes(p), &h);
	if (e != ERR_NONE) {
		/* ERR_RANGE: reserved SPIs, which nobody chose (RFC 4303 2.1). */
		worker_drop(w, e == ERR_RANGE ? MODEL_DROP_esp_bad_spi : MODEL_DROP_esp_short);
		return;
	}
	w->open_spis[w->open_cnt] = h.spi;
	w->opening[w->open_cnt++] = p;
}

/* The SAs of what was queued, all at once; what has none is dropped. */
static void find_sas(struct worker *w)
{
	struct fwd_child *children[WORKER_BURST];
	unsigned found = 0;

	fwd_child_find_burst(w->reader, w->open_spis, w->open_cnt, children);
	for (unsigned i = 0; i < w->open_cnt; i++) {
		struct worker_packet *p = w->opening[i];
		p->child = children[i];
		if (p->child == NULL) {
			worker_stray(w, p, w->open_spis[i]);
			continue;
		}
		w->opens[found] = (struct esp_job){
			.sa = fwd_child_in(p->child),
			.buf = p->buf,
			.off = p->off,
			.len = p->len,
		};
		w->opening[found++] = p;
	}
	w->open_cnt = found;
}

static void classify_natt(struct worker *w, const struct worker_socket *s, struct worker_packet *p)
{
	struct bytes body;

	switch (wire_natt_classify(worker_packet_bytes(p), &body)) {
	case WIRE_NATT_KEEPALIVE:
		worker_drop(w, MODEL_DROP_natt_keepalive);
		break;
	case WIRE_NATT_IKE:
		worker_punt(w, s, p, body, true, false);
		break;
	case WIRE_NATT_NOMARKER:
		worker_punt(w, s, p, body, true, true);
		break;
	case WIRE_NATT_ESP:
		queue_open(w, p);
		break;
	case WIRE_NATT_JUNK:
		worker_drop(w, MODEL_DROP_outer_malformed);
		break;
	}
}

/* A raw IPv4 socket gives the IP header too, an IPv6 one does not (RFC 3542 3). */
static void strip_raw(struct worker *w, const struct worker_socket *s, struct worker_packet *p)
{
	struct wire_ip ip;

	p->native = true;
	p->remote.port = 0;
	if (s->local.addr.family == ADDR_V4) {
		if (wire_ip_parse(worker_packet_bytes(p), &ip) != ERR_NONE || ip.version != 4 ||
		    ip.protocol != IP_PROTO_ESP) {
			worker_drop(w, MODEL_DROP_outer_malformed);
			return;
		}
		p->outer_tos = ip.tos;
		p->off += ip.header_len;
		p->len = ip.payload.len;
	}
	queue_open(w, p);
}

/* ---- from the SA to the inner packet ---- */

/* The packet proves that the peer has the SA, and where it is. A peer that only encapsulates otherwise than
 * we do has not moved; its port says nothing then. */
static void tell_control(struct worker *w, struct worker_packet *p)
{
	const struct model_path *path = &fwd_child_outer(p->child)->path;
	bool ports_differ = !p->native && path->udp_encap && path->remote.port != p->remote.port;

	worker_notice(w, p->child, FWD_NOTICE_FIRST, NULL);
	if (ports_differ || !addr_eq(&path->remote.addr, &p->remote.addr))
		worker_notice(w, p->child, FWD_NOTICE_ADDRESS, &p->remote);
}

static void route_inner(struct worker *w, struct worker_packet *p)
{
	struct fwd_tunnel *own = fwd_child_tunnel(p->child);

	if (fwd_account_is_host(p->account)) {
		worker_clamp(w, p, p->child);
		worker_forward_offramp(w, p);
		return;
	}
	struct fwd_hop hop = fwd_route_find(p->account, &p->ip);
	if (hop.kind == FWD_HOP_LOCAL) {
		worker_answer_local(w, p);
		return;
	}
	if (p->ip.ttl <= 1) {
		worker_refuse(w, p, MODEL_DROP_ttl_expired, WIRE_ICMP_TTL_EXPIRED, 0, own);
		return;
	}
	worker_clamp(w, p, p->child);
	switch (hop.kind) {
	case FWD_HOP_NONE:
	case FWD_HOP_LOCAL:
		worker_refuse(w, p, MODEL_DROP_no_route, WIRE_ICMP_NO_ROUTE, 0, own);
		break;
	case FWD_HOP_TUNNEL:
		if (hop.tunnel == own)
			worker_drop(w, MODEL_DROP_hairpin);
		else
			worker_forward_tunnel(w, p, hop.tunnel);
		break;
	case FWD_HOP_OFFRAMP:
		worker_forward_offramp(w, p);
		break;
	}
}

static void take_inner(struct worker *w, struct worker_packet *p, const struct esp_job *j)
{
	enum model_drop why;

	p->off = j->off;
	p->len = j->len;
	p->account = fwd_tunnel_account(fwd_child_tunnel(p->child));
	if (!worker_check_inner(p) || (p->ip.version == 4) != (j->next_header == IP_PROTO_IPIP)) {
		worker_drop(w, MODEL_DROP_inner_malformed);
		return;
	}
	if (!fwd_child_accepts(p->child, &p->ip, &why)) {
		worker_drop(w, why);
		return;
	}
	if (worker_check_martian(&p->ip)) {
		worker_drop(w, MODEL_DROP_inner_martian);
		return;
	}
	if (!worker_take_congestion(p)) {
		worker_drop(w, MODEL_DROP_inner_congested);
		return;
	}
	route_inner(w, p);
}

/* Once for each run of packets that one peer sent together. */
static void count_opened(struct worker *w)
{
	const struct worker_packet *of = NULL;
	size_t packets = 0, bytes = 0, all_packets = 0, all_bytes = 0;

	for (unsigned i = 0; i <= w->open_cnt; i++) {
		struct worker_packet *p = i < w->open_cnt ? w->opening[i] : NULL;
		if (p != NULL && !w->opens[i].ok)
			continue;
		if (of != NULL && (p == NULL || p->child != of->child)) {
			fwd_child_count_in(of->child, packets, bytes, w->now_us);
			packets = bytes = 0;
		}
		if (p == NULL)
			break;
		if (of == NULL || p->child != of->child || p->arrival != of->arrival)
			tell_control(w, p);
		of = p;
		packets++;
		bytes += w->opens[i].len;
		all_packets++;
		all_bytes += w->opens[i].len;
	}
	fwd_count(w->counters, MODEL_COUNTER_esp_in_packets, all_packets);
	fwd_count(w->counters, MODEL_COUNTER_esp_in_bytes, all_bytes);
}

/* What was queued. */
static void open_all(struct worker *w)
{
	find_sas(w);
	esp_open(w->opens, w->open_cnt, w->config.index);
	count_opened(w);
	for (unsigned i = 0; i < w->open_cnt; i++) {
		if (w->opens[i].ok)
			take_inner(w, w->opening[i], &w->opens[i]);
		else
			worker_drop(w, w->opens[i].drop);
	}
}

bool worker_returned(struct worker *w)
{
	struct ring *returns = &w->config.rings->returns;
	const struct fwd_stray *s;
	unsigned cnt = 0;

	w->open_cnt = 0;
	w->returned = true;
	while (cnt < WORKER_BURST && returns->slots != NULL && (s = ring_peek(returns)) != NULL) {
		struct worker_packet *p = &w->packets[cnt];
		struct wr out = wr_of((struct space){ w->bufs[cnt].p + WORKER_HEADROOM, WORKER_PACKET_MAX });
		*p = (struct worker_packet){ .buf = w->bufs[cnt], .off = WORKER_HEADROOM, .len = s->len, .remote = s->remote,
					     .outer_tos = s->tos, .native = s->native, .arrival = cnt };
		wr_put(&out, bytes_of(s->b, s->len));
		ring_done(returns);
		queue_open(w, p);
		cnt++;
	}
	open_all(w);
	w->returned = false;
	return cnt == WORKER_BURST;
}

void worker_inbound(struct worker *w, const struct worker_socket *s, unsigned cnt)
{
	w->open_cnt = 0;
	for (unsigned i = 0; i < cnt; i++) {
		struct worker_packet *p = &w->packets[i];
		switch ((enum worker_socket_kind)s->kind) {
		case WORKER_SOCKET_IKE:
			worker_punt(w, s, p, worker_packet_bytes(p), false, false);
			break;
		case WORKER_SOCKET_NATT:
			classify_natt(w, s, p);
			break;
		case WORKER_SOCKET_ESP:
			strip_raw(w, s, p);
			break;
		case WORKER_SOCKET_ICMP:
			worker_too_big(w, s, p);
			break;
		case WORKER_SOCKET_ESP_DF: /* only for sending */
			break;
		}
	}
	open_all(w);
}
