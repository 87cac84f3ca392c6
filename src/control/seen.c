// What all nodes of a cluster have seen of a tunnel: the detectors of missing ESP judge by the sum, since one node sees a share.
//
// One node watches a tunnel, by duty. In rounds it asks all others for their counters, 32 tunnels at a time; only when every one has answered, it has
// a sample. So what does not come, is late, or comes from somebody who does not know the IKE SA yet, is no sample, and nothing is concluded from it:
//
//   a member is silent            none of its answers comes, and nobody is asked until it is heard or its lease has ended
//   a process came or went        sums of before do not compare with those of after: the detectors begin anew (era)
//   one is gone                   its machine may still carry traffic, until routers notice: no samples for QUIET_US
//   the duty has moved            what the former one has found is known by the store; the watch here goes on from it
#include "control/internal.h"

#include <stdlib.h>

#define ROUND_US 2000000u    /* a round lasts that long at least */
#define TURN_US 100000u      /* so often questions are asked */
#define ASKED_A_TURN 10      /* questions; what is more makes the rounds longer */
#define PARTS_A_TURN 4       /* of the tunnels, to find some that are this node's duty */
#define QUESTIONS_MAX 128    /* under way; an answer that comes after as many more is late */
#define QUIET_US 30000000u

struct question {
	uint32_t number;             /* 0: none */
	uint64_t era;
	uint64_t waits;              /* bit set of the members that have not answered, by their place */
	unsigned cnt;
	struct asked {
		uint64_t spi;
		bool unknown;        /* to somebody */
		struct wire_mesh_seen sum; /* heard_ms: the least; sent: by all */
		uint32_t most;       /* sent by one */
	} of[WIRE_MESH_SEEN_MAX];
};
_Static_assert(CLUSTER_NODES_MAX <= 64, "the bit set above is too small");

struct control_seen {
	uint64_t gone, quiet_us;     /* processes that had gone, and until when that matters */
	uint64_t round_us, turn_us;  /* when the next ones begin */
	bool over;                   /* the round is: all tunnels were looked at */
	size_t bucket;               /* else where the next part of them begins */
	size_t cnt, at;              /* IKE SAs of the part before, and how many of them were asked for */
	uint64_t spis[ASKED_A_TURN * WIRE_MESH_SEEN_MAX + 2 * CONTROL_PART];
	uint32_t number;
	struct question questions[QUESTIONS_MAX];
};

enum err control_seen_start(struct control *c)
{
	if (c->cfg.cluster == NULL)
		return ERR_NONE;
	c->seen = calloc(1, sizeof(*c->seen));
	if (c->seen == NULL)
		return ERR_MEMORY;
	c->seen->over = true;
	c->seen->quiet_us = c->now_us + QUIET_US;
	c->seen->gone = c->members.gone;
	return ERR_NONE;
}

void control_seen_free(struct control *c)
{
	free(c->seen);
	c->seen = NULL;
}

static uint64_t era_of(const struct control *c)
{
	return c->members.came + c->members.gone;
}

/* ---- what this node has seen ---- */

static uint32_t capped(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX - 1;
}

static struct wire_mesh_seen seen_here(struct control *c, uint64_t spi)
{
	const struct control_sa *sa = control_sa_find(c, spi);
	struct fwd_tunnel_stats s;

	if (sa == NULL || fwd_tunnel_stats(c->fwd, &sa->tunnel->id, &s) != ERR_NONE)
		return (struct wire_mesh_seen){ .heard_ms = WIRE_MESH_SEEN_NOTHING };
	uint64_t heard = sa->r.last_in_us > sa->heard_us ? sa->r.last_in_us : sa->heard_us;
	uint64_t before = sa->tunnel->asked_out, sent = s.out_packets > before ? s.out_packets - before : 0;
	sa->tunnel->asked_out = s.out_packets;
	return (struct wire_mesh_seen){ .in_packets = s.in_packets, .out_packets = s.out_packets, .switches = s.switches,
					.sent = capped(sent), .in_now = capped(s.in_now), .out_now = capped(s.out_now),
					.heard_ms = capped(c->now_us > heard ? (c->now_us - heard) / 1000 : 0) };
}

void control_seen_asked(struct control *c, uint16_t slot, uint32_t number, struct bytes list)
{
	uint8_t room[WIRE_MESH_SEEN_MAX * WIRE_MESH_SEEN_LEN];
	struct wr w = wr_of(SPACE_OF(room));
	uint64_t spi;

	while (wire_mesh_ask_next(&list, &spi)) {
		const struct wire_mesh_seen s = seen_here(c, spi);
		wire_mesh_seen_put(&w, &s);
	}
	must(!w.bad);
	control_mesh_seen(c, slot, number, wr_bytes(&w));
}

/* ---- the sums ---- */

static void add(struct asked *a, const struct wire_mesh_seen *s)
{
	if (s->heard_ms == WIRE_MESH_SEEN_NOTHING) {
		a->unknown = true;
		return;
	}
	a->sum.in_packets += s->in_packets;
	a->sum.out_packets += s->out_packets;
	a->sum.switches += s->switches;
	a->sum.sent = capped((uint64_t)a->sum.sent + s->sent);
	a->sum.in_now = capped((uint64_t)a->sum.in_now + s->in_now);
	a->sum.out_now = capped((uint64_t)a->sum.out_now + s->out_now);
	a->sum.heard_ms = s->heard_ms < a->sum.heard_ms ? s->heard_ms : a->sum.heard_ms;
	a->most = s->sent > a->most ? s->sent : a->most;
}

static void judge(struct control *c, const struct asked *a)
{
	const struct control_sa *sa = control_sa_find(c, a->spi);

	if (a->unknown || sa == NULL || !sa->tunnel->configured || control_why_newest(sa->tunnel) != sa ||
	    !control_duty_tunnel(c, sa->tunnel))
		return;
	/* Where several nodes send, each packet that is not of the one that sends most comes after another sender's. */
	sa->tunnel->mixed += a->sum.sent - a->most;
	uint64_t heard_us = (uint64_t)a->sum.heard_ms * 1000;
	const struct explain_sample s = {
		.epoch_us = sa->r.created_us,
		.era = era_of(c),
		.ike_heard_us = c->now_us > heard_us ? c->now_us - heard_us : 0,
		.child_cnt = sa->r.child_cnt,
		.in_packets = a->sum.in_packets,
		.out_packets = a->sum.out_packets,
		.in_before = a->sum.in_packets - a->sum.in_now,
		.out_before = a->sum.out_packets - a->sum.out_now,
		.switches = a->sum.switches + sa->tunnel->mixed,
	};
	control_why_seen(c, sa, &s);
}

static void end(struct control *c, struct question *q)
{
	bool quiet = c->now_us < c->seen->quiet_us;

	for (unsigned i = 0; i < q->cnt && !quiet; i++) {
		const struct wire_mesh_seen own = seen_here(c, q->of[i].spi);
		add(&q->of[i], &own);
		judge(c, &q->of[i]);
	}
	q->number = 0;
}

void control_seen_answered(struct control *c, const struct cluster_member *by, uint32_t number, struct bytes list)
{
	struct question *q = c->seen == NULL ? NULL : &c->seen->questions[number % QUESTIONS_MAX];
	uint64_t bit = UINT64_C(1) << (by - c->members.m);
	struct wire_mesh_seen s;
	unsigned i = 0;

	/* In one era the members keep their places. */
	if (q == NULL || number == 0 || q->number != number || q->era != era_of(c) || (q->waits & bit) == 0 ||
	    list.len != q->cnt * WIRE_MESH_SEEN_LEN) {
		control_drop(c, MODEL_DROP_mesh_unwanted);
		return;
	}
	while (wire_mesh_seen_next(&list, &s))
		add(&q->of[i++], &s);
	q->waits &= ~bit;
	if (q->waits == 0)
		end(c, q);
}

/* ---- rounds ---- */

static void find_sa(void *arg, struct hmap_node *n)
{
	struct control *c = arg;
	struct control_seen *s = c->seen;
	const struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
	const struct control_sa *sa = t->sas != NULL && t->configured && control_duty_tunnel(c, t) ? control_why_newest(t) : NULL;

	if (sa != NULL && s->cnt < ARRAY_LEN(s->spis))
		s->spis[s->cnt++] = sa->r.spi;
}

/* What the next questions are about. */
static void find_more(struct control *c)
{
	struct control_seen *s = c->seen;

	if (s->over && c->now_us < s->round_us)
		return;
	if (s->over) {
		s->round_us = c->now_us + ROUND_US;
		s->bucket = 0;
		s->over = false;
	}
	s->cnt = s->at = 0;
	for (unsigned i = 0; i < PARTS_A_TURN && !s->over && s->cnt < ASKED_A_TURN * WIRE_MESH_SEEN_MAX; i++)
		s->over = !control_round_walk(&c->tunnels, &s->bucket, find_sa, c);
}

static void ask(struct control *c)
{
	struct control_seen *s = c->seen;
	uint8_t room[WIRE_MESH_SEEN_MAX * sizeof(uint64_t)];
	struct wr w = wr_of(SPACE_OF(room));

	s->number = s->number == UINT32_MAX ? 1 : s->number + 1;
	struct question *q = &s->questions[s->number % QUESTIONS_MAX];
	q->number = s->number;
	q->era = era_of(c);
	q->waits = c->members.cnt == 64 ? UINT64_MAX : (UINT64_C(1) << c->members.cnt) - 1;
	for (q->cnt = 0; q->cnt < WIRE_MESH_SEEN_MAX && s->at < s->cnt; q->cnt++, s->at++) {
		q->of[q->cnt] = (struct asked){ .spi = s->spis[s->at], .sum.heard_ms = WIRE_MESH_SEEN_NOTHING };
		wr_u64(&w, s->spis[s->at]);
	}
	if (q->waits != 0)
		control_mesh_ask(c, q->number, wr_bytes(&w));
	else
		end(c, q);
}

void control_seen_timers(struct control *c)
{
	struct control_seen *s = c->seen;

	if (s == NULL || c->now_us < s->turn_us)
		return;
	s->turn_us = c->now_us + TURN_US;
	if (s->gone != c->members.gone) {
		s->gone = c->members.gone;
		s->quiet_us = c->now_us + QUIET_US;
	}
	if (!cluster_whole(&c->members) || c->now_us < s->quiet_us)
		return;
	if (s->at == s->cnt)
		find_more(c);
	for (unsigned i = 0; i < ASKED_A_TURN && s->at < s->cnt; i++)
		ask(c);
}
