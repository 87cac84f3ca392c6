// What the store, other nodes and workers say of the numbers of sequenced SAs, and their beginning and end.
#include "control/seq.h"

#include <stdlib.h>

#include "base/crash.h"

#define ABSENT_US 1000000u       /* and after there was no record */
#define LEAVE_US 250000u         /* a holder that has lost an SA goes on for so long, unless all know earlier */
#define START_US 400000u         /* its successor waits so long for its word */
#define DOUBT_US 1000000u        /* when the store does not say whether a block is ours, it is */
#define FIRST_DOUBT_US 300000u   /* likewise of the first one, which nobody takes from a node that lives: its packets wait no longer */
#define PATIENCE_US 2000000u     /* an SA that was taken by a node that we believe dead; each time twice as long, */
#define PATIENCE_MAX_US 64000000u /* up to this */
#define BEHIND (UINT64_C(1) << 30)  /* numbers: so far behind the others' the upper half is soon concluded wrongly (RFC 4303 A2.2) */

/* ---- finding ---- */

static struct control_seq *find(const struct control *c, uint32_t spi_in)
{
	const struct control_child *child = control_child_find(c, spi_in);
	return child == NULL ? NULL : child->seq;
}

/* ---- what the store says ---- */

/* Somebody else has it. One whom we believe dead and who takes it all the same hears us as little as we him: then it stays there
 * for a while, and longer each time, lest it goes back and forth. */
static void lose(struct control *c, struct control_seq *s)
{
	const struct cluster_member *taker = cluster_sequence_holder(&c->members, &s->is);

	s->nominated_us = 0;
	s->low = s->doubted = false;
	if (taker == NULL || !taker->alive) {
		bool again = s->lost_us != 0 && c->now_us - s->lost_us < 4 * PATIENCE_MAX_US;
		s->patience_us = again && s->patience_us < PATIENCE_MAX_US ? 2 * s->patience_us : again ? PATIENCE_MAX_US : PATIENCE_US;
		s->lost_us = c->now_us;
		s->calm_us = c->now_us + s->patience_us;
	}
	s->leave_us = c->now_us + LEAVE_US;
	if (s->phase == CONTROL_SEQ_NUMBERS) {
		s->phase = CONTROL_SEQ_LEAVES;
		return;
	}
	s->phase = CONTROL_SEQ_AWAY;
	control_seq_tell_left(c, s);
}

/* With extended numbers the upper half is concluded from what came before, and much may have come to others alone. */
static void catch_up(struct control *c, const struct control_seq *s)
{
	struct fwd_child_stats stats;

	if (s->child->suite.esn == IKE_ESN_YES && fwd_child_stats(c->fwd, s->child->spi_in, &stats) == ERR_NONE &&
	    s->is.in > stats.seq_in + BEHIND)
		fwd_child_seen(c->fwd, s->child->spi_in, s->is.in);
}

/* The numbers above that one, up to s->is.out, are ours by s->rev; from: who may number until start_us, 0: nobody. */
static void hold_block(struct control_seq *s, uint64_t above, uint16_t from, uint64_t start_us)
{
	s->above = above;
	s->block = s->is.out - above;
	s->taken_rev = s->rev;
	s->former_slot = from;
	s->start_us = start_us;
	s->low = false;
	s->phase = CONTROL_SEQ_WAITS;
}

/* The commit that has made the SA says that its first block is ours, and none of it was used: the SA was not here before (its record
 * may be one that we had). Of what is old we ask first whether it still is so. */
static void take_first(struct control *c, struct control_seq *s)
{
	const struct control_seqs *all = c->seqs;
	bool woken = all->woken_us != 0 && c->now_us < all->woken_us + DOUBT_US;

	hold_block(s, 0, 0, 0);
	s->doubted = woken || cluster_passed(&c->members, s->rev);
	s->doubt_us = c->now_us + (woken ? DOUBT_US : FIRST_DOUBT_US);
}

/* first: the record is as the SA's own commit has put it. */
static void learn(struct control *c, struct control_seq *s, const struct cluster_sequence *is, uint64_t rev, bool first)
{
	uint64_t in = is->in > s->is.in ? is->in : s->is.in;

	if (rev > s->rev) {
		bool fresh = first && s->rev == 0 && rev > c->seqs->removed_rev;
		s->is = *is;
		s->rev = rev;
		if (fresh && control_seq_ours(c, is) && s->phase == CONTROL_SEQ_AWAY)
			take_first(c, s);
		else if (control_seq_held(s) && !control_seq_ours(c, is))
			lose(c, s);
		else if (s->phase == CONTROL_SEQ_NUMBERS) /* a block of which we did not know whether it was given */
			control_seq_number(c, s);
	}
	s->is.in = in;
	catch_up(c, s);
	control_seq_step(c, s);
}

void control_seq_row(struct control *c, const struct store_row *row, uint32_t spi_in)
{
	struct control_seq *s = find(c, spi_in);
	struct cluster_sequence is;

	if (s == NULL)
		return;
	if (row->deleted) { /* its child goes too: until we hear of that, nobody numbers it */
		is = (struct cluster_sequence){ s->is.out, s->is.in, s->is.bytes, 0, 0 };
		learn(c, s, &is, row->mod_rev, false);
		return;
	}
	enum err e = cluster_sequence_decode(row->value, &is);
	if (e == ERR_NONE)
		learn(c, s, &is, row->mod_rev, row->create_rev == row->mod_rev);
	else
		log_warn("record %.*s: %s", (int)row->key.len, (const char *)row->key.p, err_text(e));
}

/* What the new holder says is what the store says, but sooner. */
void control_seq_taken(struct control *c, const struct cluster_member *by, uint32_t spi_in, uint64_t rev, uint64_t out)
{
	struct control_seq *s = find(c, spi_in);
	const struct cluster_sequence is = { .out = out, .in = s == NULL ? 0 : s->is.in, .bytes = s == NULL ? 0 : s->is.bytes,
					     .slot = by->slot, .incarnation = by->n.incarnation };
	if (s != NULL)
		learn(c, s, &is, rev, false);
}

void control_seq_made(struct control *c, uint32_t spi_in, uint64_t rev, const struct cluster_sequence *is)
{
	struct control_seq *s = find(c, spi_in);

	if (s != NULL)
		learn(c, s, is, rev, true);
}

void control_seq_left(struct control *c, uint16_t slot, uint32_t spi_in, uint64_t rev)
{
	struct control_seq *s = find(c, spi_in);

	if (s == NULL || s->phase != CONTROL_SEQ_WAITS || rev != s->taken_rev || slot != s->former_slot)
		return;
	s->start_us = 0;
	control_seq_step(c, s);
}

/* ---- what is asked of it ---- */

static void forget_tag(struct control *c, struct control_seq *s)
{
	if (s->tag != 0)
		hmap_remove(&c->seqs->by_tag, &s->by_tag);
	s->tag = 0;
}

/* The block is ours: only an explicit success says so. */
static void take(struct control *c, struct control_seq *s, const struct store_done *done)
{
	bool is_news = done->tag > c->seqs->doubt_tag;

	crash_point("after-block");
	s->is = (struct cluster_sequence){ s->asked_out, s->is.in, s->is.bytes, c->members.self, c->cfg.incarnation };
	s->rev = done->result.rev;
	hold_block(s, s->asked_above, s->asked_from, s->asked_from == 0 ? 0 : c->now_us + START_US);
	s->doubted = !is_news;
	s->doubt_us = c->now_us + DOUBT_US;
	log_debug("Child SA %08x is numbered here, above %llu", s->child->spi_in, (unsigned long long)s->above);
	control_mesh_taken(c, s->child->spi_in, s->rev, s->is.out);
}

static void take_more(struct control *c, struct control_seq *s, const struct store_done *done)
{
	s->block = s->asked_out - s->asked_above;
	s->is.out = s->asked_out;
	s->rev = done->result.rev;
	s->doubted = s->doubted && done->tag <= c->seqs->doubt_tag;
	if (s->phase == CONTROL_SEQ_NUMBERS)
		control_seq_number(c, s);
}

static void take_result(struct control *c, struct control_seq *s, const struct store_done *done)
{
	enum control_seq_ask asked = s->asked;

	if (asked == CONTROL_SEQ_READ) {
		s->stale = done->result.err != ERR_NONE;
		s->doubted = s->doubted && (s->stale || done->tag <= c->seqs->doubt_tag);
		if (!s->stale)
			s->ask_us = s->rev != 0 ? 0 : c->now_us + ABSENT_US;
	} else if (done->result.err != ERR_NONE) {
		/* Another was first, or nobody knows: what stands there is read, and asked for again above it. */
		s->stale = true;
		if (done->result.err == ERR_CONFLICT)
			s->ask_us = 0;
	} else if (s->rev <= done->result.rev) { /* else it is another's already */
		s->ask_us = 0;
		if (asked == CONTROL_SEQ_TAKE)
			take(c, s, done);
		else
			take_more(c, s, done);
	}
}

bool control_seq_done(struct control *c, const struct store_done *done)
{
	if (c->seqs == NULL)
		return false;
	for (struct hmap_node *n = hmap_first(&c->seqs->by_tag, siphash_u64(&c->hash_key, done->tag)); n != NULL; n = hmap_next(n)) {
		struct control_seq *s = CONTAINER_OF(n, struct control_seq, by_tag);
		if (s->tag != done->tag)
			continue;
		forget_tag(c, s);
		take_result(c, s, done);
		control_seq_step(c, s);
		return true;
	}
	return false;
}

static void step_child(void *arg, struct hmap_node *n)
{
	const struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);

	if (child->seq != NULL)
		control_seq_step(arg, child->seq);
}

/* ---- is it still ours? ---- */

static void doubt(struct control *c, struct control_seq *s)
{
	if (s->phase == CONTROL_SEQ_AWAY)
		return;
	fwd_child_unnumber(c->fwd, s->child->spi_in);
	if (s->phase == CONTROL_SEQ_LEAVES)
		control_seq_cease(c, s);
	if (!control_seq_held(s))
		return;
	s->phase = CONTROL_SEQ_WAITS;
	s->start_us = 0;
	s->doubted = true;
	s->doubt_us = c->now_us + DOUBT_US;
	s->ask_us = c->now_us;
}

static void doubt_all(struct control *c)
{
	struct hmap_walk w;

	c->seqs->doubt_tag = c->next_tag;
	for (struct hmap_node *n = hmap_walk_first(&c->children, &w); n != NULL; n = hmap_walk_next(&c->children, &w)) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		if (child->seq == NULL)
			continue;
		doubt(c, child->seq);
		control_seq_step(c, child->seq);
	}
}

void control_seq_turn(struct control *c)
{
	struct control_seqs *all = c->seqs;

	if (all == NULL)
		return;
	if (all->turn_us != 0 && c->now_us - all->turn_us > CONTROL_NUMBERS_AWAKE_US) {
		all->woken_us = c->now_us;
		doubt_all(c);
	}
	all->turn_us = c->now_us;
	fwd_number_until(c->fwd, (c->now_us - c->clock_offset_us + CONTROL_NUMBERS_AWAKE_US) / 1000);
}

/* ---- the rest of a turn ---- */

static void look_at_members(struct control *c)
{
	struct control_seqs *all = c->seqs;
	bool stands = cluster_sequence_stands(&c->members);

	if (stands != all->stands) {
		all->stands = stands;
		doubt_all(c);
	}
	if (c->members.version != all->version) {
		all->version = c->members.version;
		all->looking = true;
		all->bucket = 0;
	}
	if (all->looking)
		all->looking = control_round_walk(&c->children, &all->bucket, step_child, c);
}

void control_seq_timers(struct control *c)
{
	struct control_seqs *all = c->seqs;
	struct heap_node *n;

	if (all == NULL)
		return;
	look_at_members(c);
	control_seq_early_timers(c);
	for (size_t left = all->timers.cnt; left-- > 0 && (n = heap_first(&all->timers)) != NULL && n->at <= c->now_us;)
		control_seq_step(c, CONTAINER_OF(n, struct control_seq, timer));
	for (unsigned i = 0; all->wake != 0; i++, all->wake >>= 1)
		if (all->wake & 1)
			fwd_wake(c->fwd, i);
}

uint64_t control_seq_next_us(const struct control *c)
{
	const struct heap_node *n = c->seqs == NULL ? NULL : heap_first(&c->seqs->timers);
	uint64_t at = n != NULL ? n->at : UINT64_MAX;

	if (c->seqs != NULL && c->seqs->early != NULL)
		control_seq_earlier(&at, c->seqs->early->until_us);
	if (c->seqs != NULL && c->seqs->looking)
		at = c->now_us;
	return at;
}

uint64_t control_seq_used(const struct control_child *child)
{
	const uint64_t out = child->seq == NULL ? 0 : child->seq->is.out, hard = child->limits.hard_numbers;
	return out < hard ? out : hard - 1;
}

void control_seq_low(struct control *c, uint32_t spi_in)
{
	struct control_seq *s = find(c, spi_in);

	if (s == NULL || !control_seq_held(s))
		return;
	s->low = true;
	control_seq_step(c, s);
}

void control_seq_check(struct control *c, const struct control_child *child, const struct fwd_child_stats *stats)
{
	struct control_seq *s = child->seq;

	if (s == NULL || s->phase != CONTROL_SEQ_NUMBERS || stats->seq_in <= s->is.in + CONTROL_IN_BLOCK)
		return;
	s->low = true;
	control_seq_step(c, s);
}

/* ---- making and freeing ---- */

enum err control_seq_start(struct control *c)
{
	if (!c->clustered)
		return ERR_NONE;
	c->seqs = calloc(1, sizeof(*c->seqs));
	if (c->seqs == NULL || hmap_init(&c->seqs->by_tag) != ERR_NONE)
		return ERR_MEMORY;
	c->seqs->stands = true;
	fwd_share_numbers(c->fwd);
	return ERR_NONE;
}

/* Looked at in the next turn, when there is a store to ask. */
void control_seq_add(struct control *c, struct control_child *child)
{
	if (c->seqs == NULL)
		return;
	struct control_seq *s = calloc(1, sizeof(*s));
	if (s == NULL || heap_set(&c->seqs->timers, &s->timer, c->now_us) != ERR_NONE) {
		log_error("no memory: nothing is sent on Child SA %08x here", child->spi_in);
		free(s);
		return;
	}
	s->child = child;
	child->seq = s;
	control_seq_began(c, s);
}

void control_seq_remove(struct control *c, struct control_child *child)
{
	struct control_seq *s = child->seq;

	if (s == NULL)
		return;
	child->seq = NULL;
	if (s->rev > c->seqs->removed_rev)
		c->seqs->removed_rev = s->rev;
	control_seq_end(c, s);
	forget_tag(c, s);
	heap_remove(&c->seqs->timers, &s->timer);
	free(s->passing);
	free(s);
}

void control_seq_free(struct control *c)
{
	if (c->seqs == NULL)
		return;
	control_seq_early_free(c);
	heap_fini(&c->seqs->timers);
	hmap_fini(&c->seqs->by_tag);
	free(c->seqs);
	c->seqs = NULL;
}
