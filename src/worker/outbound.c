#include "wire/split.h"
#include "worker/state.h"

static void route_packet(struct worker *w, struct worker_packet *p)
{
	struct fwd_hop hop = fwd_route_find(p->account, &p->ip);

	if (hop.kind == FWD_HOP_LOCAL) {
		worker_answer_local(w, p);
		return;
	}
	if (p->ip.ttl <= 1 && !fwd_account_is_host(p->account)) {
		worker_refuse(w, p, MODEL_DROP_ttl_expired, WIRE_ICMP_TTL_EXPIRED, 0, NULL);
		return;
	}
	/* What came from the off-ramp does not go back there. */
	if (hop.kind == FWD_HOP_TUNNEL)
		worker_forward_tunnel(w, p, hop.tunnel);
	else
		worker_refuse(w, p, MODEL_DROP_no_route, WIRE_ICMP_NO_ROUTE, 0, NULL);
}

/* What the kernel left to us: the checksum of one packet, or a superpacket of many. False: that cannot be. */
static bool take_offload(struct worker_packet *p)
{
	const uint8_t protocol = p->vnet.kind == IO_VNET_TCP ? IP_PROTO_TCP : IP_PROTO_UDP;
	struct wire_split split;

	p->packets = 1;
	switch ((enum io_vnet_kind)p->vnet.kind) {
	case IO_VNET_SINGLE:
		return !p->vnet.needs_checksum ||
		       wire_checksum_complete(worker_packet_space(p), p->vnet.sum_start, p->vnet.sum_offset);
	case IO_VNET_TCP:
	case IO_VNET_UDP:
		if (p->ip.protocol != protocol ||
		    wire_split_begin(worker_packet_bytes(p), &p->ip, p->vnet.segment, &split) != ERR_NONE)
			return false;
		p->segment = p->vnet.segment;
		p->packets = (unsigned)wire_split_left(&split);
		p->longest = wire_split_len(&split);
		return true;
	case IO_VNET_OTHER:
		break;
	}
	return false;
}

static unsigned take_packet(struct worker *w, struct worker_packet *p)
{
	if (!worker_check_inner(p) || !take_offload(p)) {
		worker_drop(w, MODEL_DROP_inner_malformed);
		return 1;
	}
	if (worker_check_martian(&p->ip))
		worker_drop_packet(w, p, MODEL_DROP_inner_martian);
	else
		route_packet(w, p);
	return p->packets;
}

/* Which SA, and that the packet may go there, was decided where it came in. */
static void seal_inner(struct worker *w, struct worker_packet *p, uint32_t spi_in)
{
	struct fwd_child *c = fwd_child_find(w->reader, spi_in);

	if (c == NULL)
		worker_drop(w, MODEL_DROP_tunnel_down);
	else if (!worker_check_inner(p))
		worker_drop(w, MODEL_DROP_inner_malformed);
	else
		worker_send(w, p, c);
}

bool worker_seal_returned(struct worker *w)
{
	struct ring *seals = &w->config.rings->seals;
	const struct fwd_inner *in;
	unsigned cnt = 0;

	w->sealed_here = true;
	while (cnt < WORKER_BURST && seals->slots != NULL && (in = ring_peek(seals)) != NULL) {
		struct worker_packet *p = &w->packets[cnt];
		struct wr out = wr_of((struct space){ w->bufs[cnt].p + WORKER_HEADROOM, WORKER_PACKET_MAX });
		const uint32_t spi_in = in->spi_in;
		*p = (struct worker_packet){ .buf = w->bufs[cnt], .off = WORKER_HEADROOM, .len = in->len };
		wr_put(&out, bytes_of(in->b, in->len));
		ring_done(seals);
		seal_inner(w, p, spi_in);
		cnt++;
	}
	worker_send_flush(w);
	w->sealed_here = false;
	return cnt == WORKER_BURST;
}

void worker_outbound(struct worker *w, const struct worker_queue *q, unsigned cnt)
{
	unsigned packets = 0;

	for (unsigned i = 0; i < cnt; i++) {
		struct worker_packet *p = &w->packets[i];
		p->child = NULL;
		p->account = q->account;
		packets += take_packet(w, p);
	}
	fwd_count(w->counters, MODEL_COUNTER_tun_in_packets, packets);
}
