#include "worker/state.h"

enum { IP6_MTU_MIN = 1280, MSS_CLAMP_OFF = 1, TCP4_HEADERS = 40, TCP6_HEADERS = 60 };

void worker_clamp(struct worker *w, struct worker_packet *p, const struct fwd_child *c)
{
	uint16_t mss = fwd_tunnel_config(fwd_child_tunnel(c))->mss_clamp;
	uint16_t mtu = fwd_child_outer(c)->mtu;
	uint16_t headers = p->ip.version == 4 ? TCP4_HEADERS : TCP6_HEADERS;

	if (mss == MSS_CLAMP_OFF || p->ip.protocol != IP_PROTO_TCP || (mss == 0 && mtu <= headers))
		return;
	if (wire_tcp_clamp_mss(worker_packet_space(p), &p->ip, mss != 0 ? mss : (uint16_t)(mtu - headers)))
		fwd_count(w->counters, MODEL_COUNTER_mss_clamped, 1);
}

/* A host's routes or rules may be such that they lead what was just sealed back into the TUN, to be sealed again without end. */
static bool is_outer_of(const struct worker_packet *p, const struct fwd_child *c)
{
	const struct model_path *path = &fwd_child_outer(c)->path;
	uint16_t src, dst;

	if (p->ip.protocol != IP_PROTO_ESP && p->ip.protocol != IP_PROTO_UDP)
		return false;
	if (!addr_eq(&p->ip.dst, &path->remote.addr) || !addr_eq(&p->ip.src, &path->local.addr))
		return false;
	return p->ip.protocol == IP_PROTO_ESP ||
	       (wire_ports(&p->ip, &src, &dst) && (src == IKE_PORT || src == IKE_NATT_PORT));
}

void worker_forward_tunnel(struct worker *w, struct worker_packet *p, struct fwd_tunnel *t)
{
	const struct fwd_tunnel *about = p->child != NULL ? fwd_child_tunnel(p->child) : t;
	enum model_drop why;
	struct fwd_child *c = fwd_tunnel_sender(t, &p->ip, &why);

	if (c == NULL) {
		worker_refuse(w, p, why,
			      why == MODEL_DROP_tunnel_down ? WIRE_ICMP_HOST_UNREACHABLE : WIRE_ICMP_ADMIN, 0,
			      about);
		return;
	}
	if (fwd_account_is_host(p->account) && is_outer_of(p, c)) {
		worker_drop_packet(w, p, MODEL_DROP_outer_loop);
		return;
	}
	uint16_t mtu = fwd_child_outer(c)->mtu;
	/* IPv6 must pass 1280 bytes on every link (RFC 8200 5): below that the outer packet is fragmented, as
	 * it is for IPv4 packets that allow fragments. */
	if (p->ip.version == 6 && mtu < IP6_MTU_MIN)
		mtu = IP6_MTU_MIN;
	size_t len = p->segment != 0 ? p->longest : p->len;
	if (len > mtu && p->ip.dont_fragment) {
		worker_refuse(w, p, MODEL_DROP_too_big, WIRE_ICMP_TOO_BIG, mtu, about);
		return;
	}
	worker_clamp(w, p, c);
	if (!fwd_account_is_host(p->account))
		wire_ip_decrement_ttl(worker_packet_space(p));
	worker_send(w, p, c);
}

void worker_forward_offramp(struct worker *w, struct worker_packet *p)
{
	struct fwd_queue q = fwd_offramp_queue(w->reader, p->account);

	if (q.fd < 0) {
		worker_refuse(w, p, MODEL_DROP_offramp_down, WIRE_ICMP_NO_ROUTE, 0,
			      fwd_child_tunnel(p->child));
		return;
	}
	if (!fwd_account_is_host(p->account))
		wire_ip_decrement_ttl(worker_packet_space(p));
	worker_offramp_put(w, &q, p);
}
