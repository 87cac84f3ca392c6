#include <sys/eventfd.h>

#include "worker/state.h"

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

void worker_punt_flush(struct worker *w)
{
	if (w->punted)
		(void)eventfd_write(w->config.rings->wake_fd, 1);
	w->punted = false;
}
