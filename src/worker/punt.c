#include <sys/eventfd.h>

#include "wire/icmp.h"
#include "worker/state.h"

enum { TOO_BIG_RATE = 1000 };

void worker_punt(struct worker *w, const struct worker_socket *s, const struct worker_packet *p,
		 struct bytes msg, bool natt, bool no_marker)
{
	if (msg.len > FWD_PUNT_MSG_MAX) {
		worker_drop(w, MODEL_DROP_ike_malformed);
		return;
	}
	struct ring *ring = fwd_punt_ring(w->config.rings, msg);
	struct fwd_punt *slot = ring_slot(ring);
	w->punted = true;
	if (slot == NULL) {
		worker_drop(w, MODEL_DROP_punt_full);
		return;
	}
	slot->local = s->local;
	slot->remote = p->remote;
	slot->natt = natt;
	slot->no_marker = no_marker;
	struct wr out = wr_of(SPACE_OF(slot->msg));
	wr_put(&out, msg);
	slot->len = (uint16_t)wr_len(&out);
	ring_give(ring);
}

void worker_stray(struct worker *w, const struct worker_packet *p, uint32_t spi)
{
	struct fwd_punt_rings *r = w->config.rings;

	if (!fwd_punt_has_strays(r) || w->returned) {
		worker_drop(w, MODEL_DROP_esp_unknown_spi);
		return;
	}
	if (!fwd_punt_is_stray(r, spi)) {
		worker_drop(w, MODEL_DROP_esp_bad_spi);
		return;
	}
	struct fwd_stray *slot = p->len > FWD_STRAY_MAX ? NULL : ring_slot(&r->strays);
	w->punted = true;
	if (slot == NULL) {
		worker_drop(w, MODEL_DROP_esp_park_full);
		return;
	}
	slot->remote = p->remote;
	slot->spi = spi;
	slot->tos = p->outer_tos;
	slot->worker = (uint8_t)w->config.index;
	slot->native = p->native;
	slot->len = (uint16_t)p->len;
	struct wr out = wr_of(SPACE_OF(slot->b));
	wr_put(&out, worker_packet_bytes(p));
	ring_give(&r->strays);
}

void worker_inner(struct worker *w, const struct fwd_child *c, struct bytes packet)
{
	struct ring *inners = &w->config.rings->inners;

	if (w->sealed_here) {
		worker_drop(w, MODEL_DROP_seq_moved);
		return;
	}
	struct fwd_inner *slot = inners->slots == NULL || packet.len > FWD_INNER_MAX ? NULL : ring_slot(inners);
	w->punted = true;
	if (slot == NULL) {
		worker_drop(w, MODEL_DROP_seq_full);
		return;
	}
	slot->spi_in = fwd_child_spi_in(c);
	slot->len = (uint16_t)packet.len;
	struct wr out = wr_of(SPACE_OF(slot->b));
	wr_put(&out, packet);
	ring_give(inners);
}

void worker_notice(struct worker *w, struct fwd_child *c, enum fwd_notice_kind kind,
		   const struct addr_endpoint *remote)
{
	if (!fwd_child_claim(c, kind, w->now_ms))
		return;
	struct fwd_notice n = { .kind = (uint8_t)kind, .spi_in = fwd_child_spi_in(c) };
	if (remote != NULL)
		n.remote = *remote;
	w->punted = true;
	/* A later packet tells it again. */
	if (!ring_push(&w->config.rings->notices, &n))
		fwd_child_withdraw(c, kind);
}

/* A raw IPv4 socket gives the IP header too, an IPv6 one does not (RFC 3542 3). */
static enum err read_too_big(const struct worker_socket *s, struct bytes packet, struct wire_too_big *ret)
{
	struct wire_ip ip;

	if (s->local.addr.family == ADDR_V6)
		return wire_too_big_parse(6, packet, ret);
	enum err e = wire_ip_parse(packet, &ip);
	if (e == ERR_NONE && (ip.version != 4 || ip.protocol != IP_PROTO_ICMP))
		e = ERR_SYNTAX;
	return e != ERR_NONE ? e : wire_too_big_parse(4, ip.payload, ret);
}

void worker_too_big(struct worker *w, const struct worker_socket *s, const struct worker_packet *p)
{
	struct wire_too_big t;

	enum err e = read_too_big(s, worker_packet_bytes(p), &t);
	if (e == ERR_RANGE) /* about other troubles: ports, hosts, networks */
		return;
	if (e != ERR_NONE || !worker_take_token(&w->too_big_limit, TOO_BIG_RATE, w->now_ms)) {
		worker_drop(w, MODEL_DROP_icmp_ignored);
		return;
	}
	const struct fwd_notice n = {
		.kind = FWD_NOTICE_TOO_BIG,
		.too_big = { .spi_out = t.spi, .mtu = t.mtu, .local = t.src, .remote = t.dst },
	};
	w->punted = true;
	if (!ring_push(&w->config.rings->notices, &n))
		worker_drop(w, MODEL_DROP_icmp_ignored);
}

void worker_punt_flush(struct worker *w)
{
	if (w->punted)
		(void)eventfd_write(w->config.rings->wake_fd, 1);
	w->punted = false;
}
