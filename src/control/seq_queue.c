// Inner packets of sequenced SAs on their way: to the workers that number them, through the mesh to the node that does, or they wait a
// little while it is not settled which one that is. Everything is bounded.
#include "control/seq.h"

#include <stdlib.h>

#include "base/crash.h"

#define WAIT_US UINT64_C(600000) /* longer than a successor waits */
#define WAITING_MAX 2048              /* packets of one SA */
#define ALL_WAITING_MAX 8192
#define ALL_BYTES_MAX (8u << 20)
#define EARLY_MAX 1024                /* packets of SAs that are not here yet */

enum fate { GONE, WAITS };

/* ---- on their way ---- */

static unsigned worker_of(const struct control *c, const struct control_seq *s)
{
	return s->child->spi_in % c->cfg.worker_cnt;
}

struct ring *control_seq_ring(const struct control *c, const struct control_seq *s)
{
	return &c->cfg.rings[worker_of(c, s)].seals;
}

static bool give_worker(struct control *c, struct control_seq *s, struct bytes packet)
{
	struct ring *seals = control_seq_ring(c, s);
	struct fwd_inner *slot = seals->slots == NULL ? NULL : ring_slot(seals);

	s->full = slot == NULL;
	if (slot == NULL)
		return false;
	struct wr w = wr_of(SPACE_OF(slot->b));
	wr_put(&w, packet);
	slot->spi_in = s->child->spi_in;
	slot->len = (uint16_t)wr_len(&w);
	ring_give(seals);
	c->seqs->wake |= UINT64_C(1) << worker_of(c, s);
	crash_point("mid-block");
	return true;
}

static enum fate try_pass(struct control *c, struct control_seq *s, struct bytes packet, bool forwarded)
{
	if (control_seq_numbers(s))
		return give_worker(c, s, packet) ? GONE : WAITS;
	const struct cluster_member *holder = cluster_sequence_holder(&c->members, &s->is);
	if (s->phase == CONTROL_SEQ_WAITS || holder == NULL || !holder->alive)
		return WAITS;
	if (!forwarded) {
		control_mesh_inner(c, holder->slot, s->child->spi_in, packet);
		return GONE;
	}
	/* The others may hear of it from the store before we hear that it is ours. */
	if (s->tag != 0 && s->asked == CONTROL_SEQ_TAKE)
		return WAITS;
	control_drop(c, MODEL_DROP_seq_moved);
	return GONE;
}

/* ---- waiting ---- */

/* NULL: there is no room for it. */
static struct control_inner *copy(struct control *c, uint32_t spi_in, struct bytes packet, bool forwarded)
{
	struct control_seqs *all = c->seqs;
	struct control_inner *in = NULL;

	if (all->waiting < ALL_WAITING_MAX && all->waiting_bytes + packet.len <= ALL_BYTES_MAX)
		in = malloc(sizeof(*in) + packet.len);
	if (in == NULL)
		return NULL;
	*in = (struct control_inner){ .until_us = c->now_us + WAIT_US, .spi_in = spi_in, .forwarded = forwarded,
				      .len = (uint16_t)packet.len };
	memcpy(in->b, packet.p, packet.len);
	all->waiting++;
	all->waiting_bytes += packet.len;
	return in;
}

void control_seq_drop_copy(struct control *c, struct control_inner *in)
{
	c->seqs->waiting--;
	c->seqs->waiting_bytes -= in->len;
	free(in);
}

static void append(struct control_inner **first, struct control_inner ***last, struct control_inner *in)
{
	if (*first == NULL)
		*last = first;
	**last = in;
	*last = &in->next;
}

static void keep(struct control *c, struct control_seq *s, struct bytes packet, bool forwarded)
{
	struct control_inner *in = s->waiting < WAITING_MAX ? copy(c, s->child->spi_in, packet, forwarded) : NULL;

	if (in == NULL) {
		control_drop(c, MODEL_DROP_seq_full);
		return;
	}
	append(&s->first, &s->last, in);
	s->waiting++;
}

void control_seq_remove_first(struct control *c, struct control_seq *s)
{
	struct control_inner *in = s->first;

	s->first = in->next;
	s->waiting--;
	control_seq_drop_copy(c, in);
}

void control_seq_flush(struct control *c, struct control_seq *s)
{
	s->full = false;
	for (; s->first != NULL; control_seq_remove_first(c, s)) {
		const struct control_inner *in = s->first;
		if (in->until_us <= c->now_us)
			control_drop(c, MODEL_DROP_seq_expired);
		else if (try_pass(c, s, bytes_of(in->b, in->len), in->forwarded) == WAITS)
			break;
	}
}

bool control_seq_queue(struct control *c, struct control_seq *s, struct bytes packet, bool forwarded)
{
	if (s->first == NULL && try_pass(c, s, packet, forwarded) == GONE)
		return false;
	bool is_first = s->first == NULL;
	keep(c, s, packet, forwarded);
	return is_first;
}

/* ---- of SAs that are not here yet ---- */

/* Who commits an SA, and who hears of it first, send to its first holder at once. */
void control_seq_keep_early(struct control *c, uint32_t spi_in, struct bytes packet)
{
	struct control_seqs *all = c->seqs;
	struct control_inner *in = all->early_cnt < EARLY_MAX ? copy(c, spi_in, packet, true) : NULL;

	if (in == NULL) {
		control_drop(c, MODEL_DROP_seq_full);
		return;
	}
	append(&all->early, &all->early_last, in);
	all->early_cnt++;
}

struct control_inner *control_seq_take_early(struct control *c, struct control_inner **at)
{
	struct control_seqs *all = c->seqs;
	struct control_inner *in = *at;

	*at = in->next;
	if (all->early_last == &in->next)
		all->early_last = at;
	all->early_cnt--;
	return in;
}

void control_seq_early_timers(struct control *c)
{
	while (c->seqs->early != NULL && c->seqs->early->until_us <= c->now_us) {
		control_seq_drop_copy(c, control_seq_take_early(c, &c->seqs->early));
		control_drop(c, MODEL_DROP_seq_expired);
	}
}

void control_seq_early_free(struct control *c)
{
	while (c->seqs->early != NULL)
		control_seq_drop_copy(c, control_seq_take_early(c, &c->seqs->early));
}
