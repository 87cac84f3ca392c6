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

void worker_outbound(struct worker *w, const struct worker_queue *q, unsigned cnt)
{
	fwd_count(w->counters, MODEL_COUNTER_tun_in_packets, cnt);
	for (unsigned i = 0; i < cnt; i++) {
		struct worker_packet *p = &w->packets[i];
		p->child = NULL;
		p->account = q->account;
		if (!worker_check_inner(p))
			worker_drop(w, MODEL_DROP_inner_malformed);
		else if (worker_check_martian(&p->ip))
			worker_drop(w, MODEL_DROP_inner_martian);
		else
			route_packet(w, p);
	}
}
