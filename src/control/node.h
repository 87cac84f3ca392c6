// This node in the cluster: its slot under a lease, the tick by which nodes see that news come, and the cookie secret.
// The control thread. doc/cluster.md.
#pragma once

#include "control/internal.h"

#define CONTROL_LEASE_MS 3000u
#define CONTROL_RENEW_US 1000000u
#define CONTROL_TICK_US 1000000u
#define CONTROL_STALE_US 3000000u  /* no tick for so long: there is no news from the store */

/* Of a claim: without a lease; a lease is asked for; the slot is; it is ours. */
enum control_node_phase { CONTROL_NODE_LOST, CONTROL_NODE_GRANTING, CONTROL_NODE_CLAIMING, CONTROL_NODE_HELD };

struct control_node {
	struct cluster_node self;  /* as it is written */
	enum control_node_phase phase;
	uint16_t slot;             /* 0: none yet */
	uint64_t mod_rev;          /* of our record */
	uint64_t lease, lease_us;  /* its number, and how long it lasts */
	uint64_t until_us;         /* it stands so long for sure */
	uint64_t asked_us;         /* when the grant or renewal under way was asked for */
	uint64_t next_us;          /* when to renew, or to claim again */
	bool renewing;
	bool writing, dirty;       /* our record is being written; is to be */
	unsigned conflicts;        /* of the claim */
	/* the tick */
	uint64_t tick_rev, tick_seen_us;
	bool ticking;
	/* the cookie secret (cookie.c) */
	struct cluster_cookie cookie;
	uint64_t cookie_rev;       /* 0: none yet */
	bool turning;
	uint64_t format_us;        /* when the format of records may rise, 0: not (format.c) */
	uint64_t settle_us;        /* from then on cookies are made with the newest secret */
};

/* What a result is of: its tag is CONTROL_TAG_NODE and more. */
enum control_node_tag { NODE_TAG_RENEW, NODE_TAG_GRANT, NODE_TAG_CLAIM, NODE_TAG_WRITE, NODE_TAG_TICK, NODE_TAG_COOKIE,
			NODE_TAG_FORMAT, NODE_TAG_READ };

static inline uint64_t control_node_tag(enum control_node_tag t)
{
	return CONTROL_TAG_NODE + (uint64_t)t;
}

/* cookie.c */
MUST_USE enum err control_cookie_load(struct control *c, struct store *s); /* makes it where there is none */
void control_cookie_change(struct control *c, const struct store_row *row);
void control_cookie_timers(struct control *c);

/* format.c */
void control_format_change(struct control *c, const struct store_row *row);
void control_format_timers(struct control *c);
