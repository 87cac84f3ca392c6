// Child SAs as control knows them: installed into fwd, and removed.
#include "control/internal.h"

#include <stdlib.h>

/* t NULL: the tunnel was deleted meanwhile. */
static void set_limits(const struct control *c, struct control_child *child, const struct control_tunnel *t)
{
	uint64_t packets = t == NULL ? 0 : t->m.onramp.child_rekey_packets;
	uint64_t bytes = t == NULL ? 0 : t->m.onramp.child_rekey_bytes;

	/* Where in their range the limits are must not be the same for all; it is no secret. */
	esp_limits_make(&child->suite, packets, bytes, t != NULL && t->starter != NULL, (uint32_t)control_child_hash(c, child->spi_in),
			&child->limits);
}

void control_child_install(struct control *c, const struct model_child_sa *m, uint32_t replaces, uint64_t rev)
{
	struct control_child *child = control_child_find(c, m->spi_in);
	char suite[MODEL_SUITE_TEXT_MAX];

	if (child != NULL) { /* another node has told of it before the commit of our own was heard of */
		child->rev = control_larger(child->rev, rev);
		return;
	}
	child = calloc(1, sizeof(*child));
	enum err e = child == NULL ? ERR_MEMORY : fwd_child_put(c->fwd, m);
	if (e == ERR_NONE)
		e = heap_set(&c->child_timers, &child->timer, m->expires_us);
	if (e != ERR_NONE) {
		log_error("Child SA %08x cannot be installed: %s", m->spi_in, err_text(e));
		free(child);
		return;
	}
	child->spi_in = m->spi_in;
	child->ike_spi = m->ike_spi;
	child->rev = rev;
	child->expires_us = m->expires_us;
	child->tunnel_id = m->tunnel_id;
	child->suite = m->suite;
	child->marks = (struct control_marks){ m->seq_out_used + CONTROL_SEQ_BLOCK, m->seq_in_seen, m->bytes_used };
	child->bytes_before = m->bytes_used;
	hmap_add(&c->children, &child->by_spi, control_child_hash(c, m->spi_in));
	if (m->sequenced)
		control_seq_add(c, child);
	const struct control_tunnel *t = control_tunnel_find(c, &m->tunnel_id);
	set_limits(c, child, t);
	log_info("tunnel %s: Child SA %08x %s, %s", t == NULL ? "-" : t->m.name, m->spi_in,
		 replaces != 0 ? "rekeyed" : "up", model_suite_text(&m->suite, suite));
	control_park_ready(c, m->spi_in, true);
}

void control_child_remove(struct control *c, uint32_t spi_in, uint64_t rev)
{
	struct control_child *child = control_child_find(c, spi_in);

	fwd_child_delete(c->fwd, spi_in);
	if (child == NULL)
		return;
	struct control_tunnel *t = control_tunnel_find(c, &child->tunnel_id);
	control_bury_child(c, child, control_larger(rev, child->rev));
	control_seq_remove(c, child);
	hmap_remove(&c->children, &child->by_spi);
	heap_remove(&c->child_timers, &child->timer);
	control_use_free(child);
	free(child);
	if (t != NULL)
		control_tunnel_check_up(c, t);
}

uint64_t control_sa_last_esp(const struct control *c, const struct ike_sa *r)
{
	struct fwd_child_stats s;
	uint64_t last = 0;

	for (unsigned i = 0; i < r->child_cnt; i++)
		if (fwd_child_stats(c->fwd, r->children[i].spi_in, &s) == ERR_NONE && s.last_in_us > last)
			last = s.last_in_us;
	return last;
}
