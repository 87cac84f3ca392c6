// Child SAs as control knows them: installed into fwd, proven, expired, removed.
#include "control/internal.h"

#include <stdlib.h>

static uint64_t hash_child(const struct control *c, uint32_t spi_in)
{
	return siphash_u64(&c->hash_key, spi_in);
}

struct control_child *control_child_find(const struct control *c, uint32_t spi_in)
{
	for (struct hmap_node *n = hmap_first(&c->children, hash_child(c, spi_in)); n != NULL; n = hmap_next(n)) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		if (child->spi_in == spi_in)
			return child;
	}
	return NULL;
}

void control_child_install(struct control *c, const struct model_child_sa *m, uint32_t replaces)
{
	struct control_child *child = calloc(1, sizeof(*child));
	char suite[MODEL_SUITE_TEXT_MAX];

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
	child->tunnel_id = m->tunnel_id;
	child->suite = m->suite;
	child->seq_mark = m->seq_out_used + CONTROL_SEQ_BLOCK;
	hmap_add(&c->children, &child->by_spi, hash_child(c, m->spi_in));
	const struct control_tunnel *t = control_tunnel_find(c, &m->tunnel_id);
	log_info("tunnel %s: Child SA %08x %s, %s", t == NULL ? "-" : t->m.name, m->spi_in,
		 replaces != 0 ? "rekeyed" : "up", model_suite_text(&m->suite, suite));
}

void control_child_remove(struct control *c, uint32_t spi_in)
{
	struct control_child *child = control_child_find(c, spi_in);

	fwd_child_delete(c->fwd, spi_in);
	if (child == NULL)
		return;
	struct control_tunnel *t = control_tunnel_find(c, &child->tunnel_id);
	hmap_remove(&c->children, &child->by_spi);
	heap_remove(&c->child_timers, &child->timer);
	free(child);
	if (t != NULL)
		control_tunnel_check_up(c, t);
}

void control_children_timers(struct control *c)
{
	struct heap_node *n;

	while ((n = heap_first(&c->child_timers)) != NULL && n->at <= c->now_us) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, timer);
		struct control_sa *sa = control_sa_find(c, child->ike_spi);
		const struct ike_event ev = { .kind = IKE_EV_CHILD_EXPIRED, .now_us = c->now_us,
					      .child_spi = child->spi_in };
		/* Asked again in a second: the SA may be busy, or its one request under way. */
		if (heap_set(&c->child_timers, n, c->now_us + 1000000) != ERR_NONE)
			break;
		if (sa == NULL)
			control_child_remove(c, child->spi_in);
		else if (!sa->busy)
			control_sa_event(c, sa, &ev);
	}
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

/* A peer with a replay window takes nothing that is numbered below what it has seen, and after a restart nobody knows
 * how far the counter was. So the store is always ahead of it: a block is reserved before it is used, and the
 * next process begins above the mark (design section 6.2 asks this only of sequenced tunnels). */
static void reserve(struct control *c, struct control_child *child, uint64_t used)
{
	uint64_t want = used + CONTROL_SEQ_BLOCK;
	uint32_t mark = want > UINT32_MAX ? UINT32_MAX : (uint32_t)want;
	struct model_key key = model_key_sequence(child->spi_in);
	uint8_t b[4];
	struct wr w = wr_of(SPACE_OF(b));

	wr_u32(&w, mark);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), BYTES_OF(b) };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
	if (store_thread_submit(c->store, &txn, 0) == ERR_NONE)
		child->seq_mark = mark;
}

void control_sequences_reserve(struct control *c)
{
	struct fwd_child_stats s;
	struct hmap_walk w;

	if (c->now_us < c->reserve_us)
		return;
	c->reserve_us = c->now_us + 1000000;
	for (struct hmap_node *n = hmap_walk_first(&c->children, &w); n != NULL; n = hmap_walk_next(&c->children, &w)) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		if (child->seq_mark != UINT32_MAX && fwd_child_stats(c->fwd, child->spi_in, &s) == ERR_NONE &&
		    s.seq_out + CONTROL_SEQ_BLOCK / 2 > child->seq_mark)
			reserve(c, child, s.seq_out);
	}
}
