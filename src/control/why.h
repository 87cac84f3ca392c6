// Failures: of tunnels, and those that belong to none; what all nodes of a cluster have seen of a tunnel.
// The control thread only.
#pragma once

#include "cluster/members.h"
#include "control/config.h"
#include "explain/near.h"
#include "model/failure.h"

struct control_frags;

#define CONTROL_UNKNOWN_MAX 64    /* failures that belong to no tunnel */
#define CONTROL_GONE_MAX 32       /* deleted tunnels that are remembered */

/* A failure that belongs to no tunnel (why.c). */
struct control_unknown {
	struct model_failure f;       /* cnt 0: free */
	bool unsolved;                /* the tunnel that was meant is still to be looked for */
	bool dirty;
	uint64_t after_us;            /* not written before */
	uint64_t told_us;             /* when the log had it last, 0: never */
};

/* Whom an unknown name means is looked for among all tunnels, some in each turn. */
struct control_solving {
	struct control_unknown *u;    /* NULL: nothing is looked for */
	struct explain_near asked, near; /* what was asked for, and the best so far */
	size_t bucket;                /* where the next part of the tunnels begins */
	size_t left;                  /* tunnels that may still be compared before the next sample */
};

/* A tunnel that was deleted since the start. */
struct control_gone {
	struct model_id account_id, tunnel_id;
	uint32_t account_number;
};

/* ---- why.c: failures ---- */

void control_failure(struct control *c, struct control_tunnel *t, const struct model_failure *f);
void control_why_half(struct control *c, const struct control_half *h); /* it expired */
void control_why_fragments(struct control *c, const struct control_frags *f); /* the rest did not come */
/* An IKE SA came up; replaced: another one of the tunnel stood. */
void control_why_start(struct control *c, struct control_tunnel *t, const struct model_path *path, bool replaced);
/* One came up at another node, which judges by it: the others know of it. */
void control_why_started(struct control *c, struct control_tunnel *t, const struct model_path *path, bool replaced);
/* What all nodes have seen of the tunnel of that SA, its newest. */
void control_why_seen(struct control *c, const struct control_sa *sa, const struct explain_sample *s);
const struct control_sa *control_why_newest(const struct control_tunnel *t); /* established, and not about to end; NULL: none */
/* A handshake of it, or a Child SA, came to a good end. */
void control_why_settle(struct control *c, struct control_tunnel *t);
void control_why_path(struct control_tunnel *t, const struct model_path *path); /* where the peer is from now on */
/* A record was replaced by the one that comes after it, by this node or another: all of them count how often the peer moved untold,
 * and the one whose duty it is judges. */
void control_why_moves(struct control *c, struct control_tunnel *t, const struct ike_sa *before, const struct ike_sa *now);
void control_why_gone(struct control *c, struct control_tunnel *t); /* the tunnel was deleted */
void control_why_tick(struct control *c);  /* once a turn: samples, closest tunnels */
uint64_t control_why_next_us(const struct control *c); /* of the samples, and of what is looked for */
void control_why_flush(struct control *c); /* what belongs to no tunnel, to the store */
MUST_USE enum err control_why_load(struct control *c, struct store *s);
/* A row of a tunnel's failures: another node's, or our own that comes back. */
void control_why_change(struct control *c, const struct store_row *row);

/* ---- seen.c: what all nodes have seen of tunnels. Without a cluster nothing is done ---- */

MUST_USE enum err control_seen_start(struct control *c);
void control_seen_timers(struct control *c);
/* From another node: what this one has seen of the tunnels of those IKE SAs; what that one has, which was asked. */
void control_seen_asked(struct control *c, uint16_t slot, uint32_t number, struct bytes list);
void control_seen_answered(struct control *c, const struct cluster_member *by, uint32_t number, struct bytes list);
void control_seen_free(struct control *c);
