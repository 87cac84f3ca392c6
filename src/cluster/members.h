// Who is in the cluster, who of them lives, and which of them a duty falls to. Pure: rows, pings and time come in.
// The control thread. doc/cluster.md.
//
// A node is a member while its record stands, which its lease keeps. It lives while its pings come: each CLUSTER_PING_US, and
// CLUSTER_DEAD_US of silence are its death. Silence counts only while we listen: after a pause of our own nobody is dead.
//
// A duty falls to the live node that does not drain and has the highest hash with the duty's bucket (rendezvous hashing, HRW),
// so that a change of members moves no more of them than it must. Nodes may disagree for a moment; a duty done twice
// is harmless, since each commit compares.
#pragma once

#include "cluster/record.h"

#define CLUSTER_NODES_MAX 64 /* besides this one */
#define CLUSTER_BUCKETS 1024
#define CLUSTER_PING_US 100000u
#define CLUSTER_DEAD_US 500000u
/* Nobody is heard for so long although leases stand, which end sooner than that: it is not they, it is us. */
#define CLUSTER_CUT_US 4000000u

struct cluster_member {
	uint16_t slot;
	struct cluster_node n;
	uint64_t mod_rev;           /* of the record */
	uint64_t heard_us;          /* of its last ping; before the first, when its record was seen */
	/* of its last ping */
	bool pinged;                /* there was one */
	bool draining, fresh;
	uint64_t applied;
	bool alive;
};

/* What a ping says of its sender. */
struct cluster_ping {
	bool draining;
	bool fresh;                 /* it has news from the store */
	uint64_t applied;           /* revision up to which it has installed what the store has */
};

/* All zero: there is no cluster. */
struct cluster_members {
	bool on;
	uint16_t self;              /* our slot; 0: none yet */
	bool held;                  /* our lease stands */
	bool draining;              /* we are */
	char site[CLUSTER_NAME_MAX];
	uint64_t looked_us;
	uint64_t heard_us;          /* when any of the others was heard last, or there were none */
	unsigned cnt;
	struct cluster_member m[CLUSTER_NODES_MAX];
	uint16_t owner[CLUSTER_BUCKETS]; /* slots */
	uint64_t version;           /* changes with whatever a duty depends on */
	uint64_t came, gone;        /* processes that became members, and that ceased to be */
};

/* ---- questions ---- */

/* Whether that duty is this node's. Without a cluster all are; without a lease none. */
bool cluster_duty(const struct cluster_members *m, uint64_t key);
/* The slot to which it falls; 0 without a cluster. */
uint16_t cluster_chosen(const struct cluster_members *m, uint64_t key);
/* Our own slot, or that of a node that lives. */
bool cluster_alive(const struct cluster_members *m, uint16_t slot);
/* NULL: none. */
const struct cluster_member *cluster_member_at(const struct cluster_members *m, uint16_t slot);
const struct cluster_member *cluster_member_of(const struct cluster_members *m, uint32_t incarnation);
/* The least revision that the other live nodes of our site have installed; UINT64_MAX: there are none. */
uint64_t cluster_site_applied(const struct cluster_members *m);
/* Likewise of all sites. */
uint64_t cluster_all_applied(const struct cluster_members *m);
/* Whether another live node is known to have installed what the store has after rev. */
bool cluster_passed(const struct cluster_members *m, uint64_t rev);
/* Whether the mesh has lost us: there are other nodes, and none of them was heard for CLUSTER_CUT_US. */
bool cluster_cut(const struct cluster_members *m, uint64_t now_us);
/* There are others, and at present none of them is heard: what they send here does not arrive either. */
bool cluster_deaf(const struct cluster_members *m);
/* Whether routers should send here: up, with a lease, not cut off; and when we had no news from the store, none of the others
 * has either (then nobody withdraws). */
bool cluster_ready(const struct cluster_members *m, bool fresh, uint64_t now_us);
/* All members are heard. */
bool cluster_whole(const struct cluster_members *m);
/* The newest format of records that every node reads. */
uint16_t cluster_format(const struct cluster_members *m);

/* ---- what happens ---- */

void cluster_members_init(struct cluster_members *m, const char *site, uint64_t now_us);
/* slot 0: none. */
void cluster_members_self(struct cluster_members *m, uint16_t slot, bool held, bool draining);
/* The record of another node. ERR_FULL: there are too many. */
MUST_USE enum err cluster_members_put(struct cluster_members *m, uint16_t slot, const struct cluster_node *n,
				      uint64_t mod_rev, uint64_t now_us);
void cluster_members_remove(struct cluster_members *m, uint16_t slot);
void cluster_members_heard(struct cluster_members *m, uint16_t slot, const struct cluster_ping *p, uint64_t now_us);
/* It has installed what the store has up to rev: said between two pings. */
void cluster_members_applied(struct cluster_members *m, uint16_t slot, uint64_t rev);
/* At least each CLUSTER_PING_US, after what came was read. True: somebody died. */
bool cluster_members_look(struct cluster_members *m, uint64_t now_us);
