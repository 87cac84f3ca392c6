// The numbers of sequenced Child SAs in a cluster: which node gives them out, out of which block, and what packets that wait for
// it do. Without a cluster there is nothing here, and workers number for themselves.
// The control thread. Rules: cluster/sequence.h; what it costs: doc/cluster.md.
//
//   AWAY ── taken by compare-and-swap ─► WAITS ── the former holder has left, or is dead ─► NUMBERS
//    ▲                                    ▲ └─── another took it ──┐                           │
//    │                                    └── to be seen whether ──┼── it still is ours ───────┤
//    │                                                             ▼                           │
//    └── it has told the new holder ── CEASES ◄── all know the new holder ── LEAVES ◄──────────┘
//
// The commit that makes an SA names its first holder, which goes from AWAY to NUMBERS when it hears of that.
// A holder from which another takes an SA goes on for as long as packets may still be sent to it: so nothing is lost, and nothing of it
// comes behind what the new one numbers, which waits until then.
#pragma once

#include "cluster/sequence.h"
#include "control/internal.h"

#define CONTROL_NUMBERS_FIRST (UINT64_C(1) << 18) /* of the first holder, and of who takes over; each block after that is twice as long, */
#define CONTROL_NUMBERS_MAX (UINT64_C(1) << 22)   /* up to this */
/* A process that did nothing for so long asks before it numbers again: others may believe it dead (CLUSTER_DEAD_US). */
#define CONTROL_NUMBERS_AWAKE_US 300000u

enum control_seq_phase {
	CONTROL_SEQ_AWAY,
	CONTROL_SEQ_WAITS,   /* ours in the store; no worker numbers yet */
	CONTROL_SEQ_NUMBERS,
	CONTROL_SEQ_LEAVES,  /* another's in the store; workers still number */
	CONTROL_SEQ_CEASES,  /* workers finish what they have in hand */
};

enum control_seq_ask { CONTROL_SEQ_NOTHING, CONTROL_SEQ_READ, CONTROL_SEQ_TAKE, CONTROL_SEQ_MORE };

/* A packet that waits for numbers, or for a node that has some. */
struct control_inner {
	struct control_inner *next;
	uint64_t until_us;
	uint32_t spi_in;
	bool forwarded;               /* another node sent it: it goes no further */
	uint16_t len;
	uint8_t b[];
};

struct control_seq {
	struct control_child *child;
	struct heap_node timer;
	enum control_seq_phase phase;
	/* the store */
	struct cluster_sequence is;   /* the newest that is known */
	uint64_t rev;                 /* of that; 0: nothing is */
	bool stale;                   /* there is something newer */
	struct hmap_node by_tag;      /* while something is asked */
	uint64_t tag;                 /* 0: nothing is */
	enum control_seq_ask asked;
	uint64_t asked_above, asked_out; /* TAKE, MORE: the numbers in between */
	uint16_t asked_from;          /* TAKE: the slot of the holder before; 0: none that lives */
	uint64_t ask_us;              /* not asked before */
	/* WAITS, NUMBERS */
	uint64_t above;               /* numbers from here up to is.out are ours */
	uint64_t block;               /* length of the newest part of them */
	bool low;                     /* half of that is used */
	bool doubted;                 /* the store is asked whether they still are; no longer than until doubt_us */
	uint64_t doubt_us;
	uint64_t taken_rev;           /* by which they became ours */
	uint16_t former_slot;         /* who may number until start_us */
	uint64_t start_us;
	/* AWAY */
	uint64_t nominated_us;        /* since when it is ours by the hash; 0: it is not */
	uint64_t lost_us, calm_us, patience_us; /* when it was taken from us, how long it stays there, and how long the next time */
	/* LEAVES, CEASES */
	uint64_t leave_us;
	uint32_t given;               /* CEASES: in the worker's ring */
	struct fwd_passing *passing;  /* CEASES: since all of that was taken; NULL: it was not yet */
	/* packets (seq_queue.c) */
	unsigned waiting;
	struct control_inner *first, **last;
	bool full;                    /* the worker's ring was */
};

struct control_seqs {
	struct heap timers;
	struct hmap by_tag;
	uint64_t version;             /* of the members, when it was begun to look at all */
	bool looking;                 /* that is not over, and goes on at: */
	size_t bucket;
	uint64_t turn_us;             /* when the last turn began; 0: there was none */
	uint64_t woken_us;            /* of the last turn before which nothing was done for too long; 0: there was none */
	uint64_t removed_rev;         /* of the newest record whose SA was here and is not any more */
	bool stands;                  /* cluster_sequence_stands */
	uint64_t doubt_tag;           /* what was asked up to this one was answered before all was doubted */
	unsigned waiting;             /* packets of all */
	size_t waiting_bytes;
	struct control_inner *early, **early_last; /* of other nodes, which know an SA that this one has not heard of yet */
	unsigned early_cnt;
	uint64_t wake;                /* bit set of workers for whom there is something */
};

static inline bool control_seq_numbers(const struct control_seq *s)
{
	return s->phase == CONTROL_SEQ_NUMBERS || s->phase == CONTROL_SEQ_LEAVES;
}

static inline bool control_seq_held(const struct control_seq *s)
{
	return s->phase == CONTROL_SEQ_WAITS || s->phase == CONTROL_SEQ_NUMBERS;
}

static inline void control_seq_earlier(uint64_t *at, uint64_t than)
{
	if (than < *at)
		*at = than;
}

/* ---- seq_queue.c ---- */

struct ring *control_seq_ring(const struct control *c, const struct control_seq *s); /* of the worker that gets its packets */
/* A packet of ours or of another node: to a worker, to the holder, or it waits. True: it is the first that does, and a step is due. */
MUST_USE bool control_seq_queue(struct control *c, struct control_seq *s, struct bytes packet, bool forwarded);
/* What waits goes, as far as it can now. */
void control_seq_flush(struct control *c, struct control_seq *s);
void control_seq_remove_first(struct control *c, struct control_seq *s);
/* A packet of an SA that is not here yet; taken out again, and then freed by drop_copy. */
void control_seq_keep_early(struct control *c, uint32_t spi_in, struct bytes packet);
struct control_inner *control_seq_take_early(struct control *c, struct control_inner **at);
void control_seq_drop_copy(struct control *c, struct control_inner *in);
/* What has waited for its SA too long goes. */
void control_seq_early_timers(struct control *c);
void control_seq_early_free(struct control *c);

/* ---- seq_step.c ---- */

/* Does what can be done now, and sets the timer for the rest. */
void control_seq_step(struct control *c, struct control_seq *s);
bool control_seq_ours(const struct control *c, const struct cluster_sequence *s);
void control_seq_number(struct control *c, struct control_seq *s); /* the worker gets its numbers */
void control_seq_cease(struct control *c, struct control_seq *s);
void control_seq_tell_left(struct control *c, const struct control_seq *s);

/* ---- seq_pass.c ---- */

/* Its child is new here: what has come early follows. */
void control_seq_began(struct control *c, struct control_seq *s);
/* Its child has ended: what waits leaves on the SA that the tunnel sends on since. */
void control_seq_end(struct control *c, struct control_seq *s);
