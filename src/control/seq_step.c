// A step of a sequenced SA's numbers: what can be done now, and when the next one is due.
#include "control/seq.h"

#include <stdlib.h>

#include "base/crash.h"

#define AGAIN_US 100000u         /* after a question to the store that came to nothing */
#define POLL_US 2000u

bool control_seq_ours(const struct control *c, const struct cluster_sequence *s)
{
	return s->incarnation == c->cfg.incarnation && s->slot != 0;
}

void control_seq_tell_left(struct control *c, const struct control_seq *s)
{
	if (cluster_sequence_holder(&c->members, &s->is) != NULL)
		control_mesh_left(c, s->is.slot, s->child->spi_in, s->rev);
}

void control_seq_number(struct control *c, struct control_seq *s)
{
	fwd_child_number(c->fwd, s->child->spi_in, s->above, s->is.out, s->is.out - s->block / 2);
	s->low = false;
}

static bool submit(struct control *c, const struct control_seq *s)
{
	const struct model_key key = model_key_sequence(s->child->spi_in);
	struct cluster_sequence next = { s->asked_out, s->is.in, s->is.bytes, c->members.self, c->cfg.incarnation };
	struct fwd_child_stats stats;
	uint8_t room[CLUSTER_SEQUENCE_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	if (fwd_child_stats(c->fwd, s->child->spi_in, &stats) == ERR_NONE && stats.seq_in > next.in)
		next.in = stats.seq_in;
	cluster_sequence_encode(&next, &w);
	must(!w.bad);
	const struct store_cmp cmp = { model_key_bytes(&key), s->rev };
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), wr_bytes(&w) };
	const struct store_txn txn = { .cmps = &cmp, .cmp_cnt = 1, .ops = &op, .op_cnt = 1 };
	crash_point("before-block");
	return store_thread_submit(c->store, &txn, s->tag) == ERR_NONE;
}

static bool read_row(struct control *c, const struct control_seq *s)
{
	const struct model_key key = model_key_sequence(s->child->spi_in);
	return store_thread_read(c->store, model_key_bytes(&key), s->tag) == ERR_NONE;
}

/* The next numbers that nobody has. False: the key is at its end, and its SA is about to be. */
static bool choose_block(const struct control *c, struct control_seq *s, bool take)
{
	const struct cluster_member *holder = cluster_sequence_holder(&c->members, &s->is);
	uint64_t twice = s->block < CONTROL_NUMBERS_MAX ? 2 * s->block : CONTROL_NUMBERS_MAX;
	uint64_t block = take ? CONTROL_NUMBERS_FIRST : twice, end = esp_seq_end_of(&s->child->suite) - 1;

	if (s->is.out >= end)
		return false;
	s->asked_above = s->is.out;
	s->asked_out = end - s->is.out < block ? end : s->is.out + block;
	s->asked_from = take && holder != NULL && holder->alive ? holder->slot : 0;
	return true;
}

static void ask(struct control *c, struct control_seq *s, enum control_seq_ask what)
{
	s->ask_us = c->now_us + AGAIN_US;
	if (what != CONTROL_SEQ_READ && !choose_block(c, s, what == CONTROL_SEQ_TAKE)) {
		s->low = false;
		return;
	}
	s->tag = ++c->next_tag;
	if (what == CONTROL_SEQ_READ ? !read_row(c, s) : !submit(c, s)) {
		s->tag = 0;
		return;
	}
	s->asked = what;
	hmap_add(&c->seqs->by_tag, &s->by_tag, siphash_u64(&c->hash_key, s->tag));
}

/* When this node may take it, or take it again. */
static uint64_t due(struct control *c, struct control_seq *s)
{
	if (!cluster_duty(&c->members, s->child->spi_in))
		s->nominated_us = 0;
	else if (s->nominated_us == 0)
		s->nominated_us = c->now_us;
	if (s->phase != CONTROL_SEQ_AWAY)
		return UINT64_MAX;
	if (control_seq_ours(c, &s->is) && c->members.held) /* by a transaction of which we have not heard */
		return 0;
	return cluster_sequence_due(&c->members, &s->is, s->child->spi_in, s->nominated_us, s->calm_us);
}

/* The worker has taken what it was given, and all workers are done with what they then had in hand. */
static bool has_ceased(struct control *c, struct control_seq *s)
{
	if (s->passing == NULL && !ring_taken(control_seq_ring(c, s), s->given))
		return false;
	if (s->passing == NULL) {
		s->passing = malloc(sizeof(*s->passing));
		if (s->passing == NULL) /* perhaps later */
			return false;
		fwd_passing_begin(c->fwd, s->passing);
	}
	return fwd_passing_over(c->fwd, s->passing);
}

void control_seq_cease(struct control *c, struct control_seq *s)
{
	s->given = ring_given(control_seq_ring(c, s));
	s->phase = CONTROL_SEQ_CEASES;
}

static void leave(struct control *c, struct control_seq *s)
{
	if (s->phase == CONTROL_SEQ_LEAVES && (c->now_us >= s->leave_us || cluster_all_applied(&c->members) >= s->rev)) {
		fwd_child_finish(c->fwd, s->child->spi_in);
		control_seq_cease(c, s);
	}
	if (s->phase != CONTROL_SEQ_CEASES || !has_ceased(c, s))
		return;
	fwd_child_unnumber(c->fwd, s->child->spi_in);
	free(s->passing);
	s->passing = NULL;
	s->phase = CONTROL_SEQ_AWAY;
	control_seq_tell_left(c, s);
}

static void begin(struct control *c, struct control_seq *s)
{
	if (s->doubted && c->now_us >= s->doubt_us)
		s->doubted = false;
	if (s->phase != CONTROL_SEQ_WAITS || s->doubted || !c->seqs->stands)
		return;
	if (c->now_us < s->start_us && cluster_alive(&c->members, s->former_slot))
		return;
	s->phase = CONTROL_SEQ_NUMBERS;
	control_seq_number(c, s);
}

/* What is to be asked of the store, and from when on. */
static enum control_seq_ask choose(struct control *c, struct control_seq *s, uint64_t *ret_at)
{
	uint64_t at = due(c, s);

	*ret_at = s->ask_us;
	if (s->rev == 0 || s->stale || s->doubted)
		return s->nominated_us != 0 || s->first != NULL || control_seq_held(s) ? CONTROL_SEQ_READ : CONTROL_SEQ_NOTHING;
	if (control_seq_held(s))
		return s->low ? CONTROL_SEQ_MORE : CONTROL_SEQ_NOTHING;
	if (at == UINT64_MAX)
		return CONTROL_SEQ_NOTHING;
	*ret_at = at > s->ask_us ? at : s->ask_us;
	return CONTROL_SEQ_TAKE;
}

static void arm(struct control *c, struct control_seq *s)
{
	uint64_t at = UINT64_MAX, ask_at;

	if (s->tag == 0 && choose(c, s, &ask_at) != CONTROL_SEQ_NOTHING)
		control_seq_earlier(&at, ask_at);
	if (s->doubted)
		control_seq_earlier(&at, s->doubt_us);
	if (s->phase == CONTROL_SEQ_WAITS && s->start_us > c->now_us)
		control_seq_earlier(&at, s->start_us);
	if (s->phase == CONTROL_SEQ_LEAVES || s->phase == CONTROL_SEQ_CEASES || s->full)
		control_seq_earlier(&at, c->now_us + POLL_US);
	if (s->first != NULL)
		control_seq_earlier(&at, s->first->until_us);
	if (at == UINT64_MAX)
		heap_remove(&c->seqs->timers, &s->timer);
	else if (heap_set(&c->seqs->timers, &s->timer, at) != ERR_NONE)
		log_error("no memory for the timer of a Child SA");
}

void control_seq_step(struct control *c, struct control_seq *s)
{
	uint64_t at;

	leave(c, s);
	begin(c, s);
	enum control_seq_ask what = choose(c, s, &at);
	if (c->store != NULL && s->tag == 0 && what != CONTROL_SEQ_NOTHING && at <= c->now_us)
		ask(c, s, what);
	control_seq_flush(c, s);
	arm(c, s);
}
