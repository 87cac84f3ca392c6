// What the control thread holds of all, and the functions between its files that belong to no noun of their own.
// The control thread only. loop.c says what a turn does; config.h, sa.h, child.h, op.h, cluster.h and why.h have the rest.
#pragma once

#include "base/log.h"
#include "base/siphash.h"
#include "control/budget.h"
#include "control/cluster.h"
#include "control/op.h"
#include "control/round.h"
#include "control/why.h"
#include "model/live.h"

#define CONTROL_SETTLE_MAX 256
#define CONTROL_UNWANTED_MAX 16
#define CONTROL_TAG_QUIET UINT64_MAX /* of a transaction whose result changes nothing here */
#define CONTROL_CLIENTS_MAX 8     /* who may ask a site for its status at a time */

/* A fresh incarnation on its way, for the IVs of IKE (ivs.c). */
struct control_renewal {
	uint64_t tag;                 /* of the read or the transaction; 0: none is under way */
	bool writes;
	uint32_t stored;              /* what the store has, and the revision of that */
	uint64_t mod_rev;
	uint32_t asked;               /* the last number that we have asked for */
	uint64_t retry_us;
};

struct control {
	struct control_config cfg;
	bool clustered;               /* other nodes work on the same SAs */
	bool followed;                /* what the store has of SAs is watched: others change it, or a commit of ours of which we never heard */
	uint16_t format;              /* in which SA records are written (format.c) */
	uint64_t format_rev;          /* of that row; 0: there is none */
	struct crypt_seal_ring seal_keys;
	uint8_t lock_keys[CRYPT_SEAL_KEYS_MAX][CRYPT_SEAL_KEY_LEN]; /* of the same: under the first SAs are in the store */
	uint8_t secret[CRYPT_SEAL_KEY_LEN];  /* of all processes over this store, and all their sealing keys (keys.c) */
	uint8_t psk_key[CRYPT_SEAL_KEY_LEN]; /* of this process: under it PSKs are in memory */
	size_t decoy_len, decoy_box_len; /* a key of no tunnel, opened where there is none */
	uint8_t decoy[MODEL_PSK_SEALED_MAX], decoy_box[MODEL_PSK_SEALED_MAX];
	struct control_boxes boxes;
	struct fwd *fwd;
	struct fwd_counters *counters;
	struct store_thread *store;
	struct control_dh *dh;
	int epoll_fd, signal_fd, live_fd;
	bool stop;
	uint64_t end_us;              /* not 0: a site takes leave, until then at most */
	bool astray;                  /* an SA may be */
	uint64_t keepalive_us;        /* when NATs are looked after again */
	uint64_t now_us;              /* of this turn of the loop */
	uint64_t clock_offset_us;     /* wall clock minus monotonic, at the start (clock.c) */
	uint64_t clock_tick_us;       /* when the last tick came */
	uint64_t clock_warn_us;       /* when a wrong clock may be logged again */
	struct siphash_key hash_key;
	struct crypt_iv_space ike_iv; /* of all IKE SAs together: whatever comes and goes, no IV is made twice */
	struct control_renewal renewal;
	uint64_t iv_spare;            /* the first of a step's IVs that were taken and not used, 0: none */
	struct ike_world world;
	struct cluster_members members; /* all zero: there is no cluster */
	struct control_node *node;    /* NULL: there is no cluster */
	struct control_mesh *mesh;    /* likewise */
	struct control_gather *gather; /* likewise */
	struct control_seen *seen;    /* likewise */
	struct control_seqs *seqs;    /* likewise */
	uint32_t profile_cnt[MODEL_PROFILE_CNT]; /* configured tunnels of each profile */
	uint64_t cookie_turn_us;      /* when the cookie secret changes */

	struct hmap accounts_by_id, accounts_by_number, tunnels, routes;
	struct hmap by_customer, by_remote; /* tunnels (address.c) */
	struct hmap halves_by_spi, halves_by_init, sas, children, ops, sources;
	/* what other nodes do */
	struct hmap buried, reads, lots;
	struct heap lot_timers;
	unsigned stray_cnt;           /* in all lots */
	struct control_relist relist;
	struct control_orphan *orphans; /* orphan.c */
	unsigned orphan_cnt;
	uint64_t orphans_us;          /* when they are looked at again */
	unsigned settle_cnt;          /* tunnels whose state is looked at when all rows that came together are installed */
	struct model_id settle[CONTROL_SETTLE_MAX];
	uint32_t larval_spi;          /* of the last row that only kept an SPI */
	struct control_round graves, unwanted; /* old ones are looked for; SAs of tunnels that were deleted are */
	unsigned unwanted_cnt;        /* tunnels that were deleted and have got an SA since: what there is no room for waits for the round */
	struct model_id unwanted_ids[CONTROL_UNWANTED_MAX];
	uint64_t seen_rev;            /* all that the store had then is installed */
	struct control_budget read_budget; /* of look-ups */
	uint32_t use_epoch;           /* grows with each process that joins: it has to be told all */
	struct control_held *held, **held_tail;
	unsigned held_cnt;
	struct heap half_timers, sa_timers, child_timers, waiting_starts, fresh_starts, frag_timers;
	int client_fds[CONTROL_CLIENTS_MAX]; /* of the status socket of a site; -1: free */
	unsigned op_cnt;
	unsigned idle_step_cnt;
	struct control_step *idle_steps;
	uint64_t next_tag;
	uint64_t flush_us;            /* when states are written again */
	struct control_round check;   /* of the use of the Child SAs */
	uint64_t publish_us;          /* routes are not published before */
	bool publish_due;
	struct control_tunnel *dirty;
	struct control_unknown unknown[CONTROL_UNKNOWN_MAX];
	struct control_solving solving;
	unsigned gone_cnt;            /* ever; the last of them are kept */
	struct control_gone gone[CONTROL_GONE_MAX];
	struct control_round samples; /* with which the watches are fed */
	uint64_t solve_us;            /* when it is looked again for who was meant, and what was found is written */
	struct log_limit failure_log, commit_log;
};

/* ---- loop.c ---- */

/* What control_run does again and again: waits so long at most (0: not at all), then does all that is due. */
void control_turn(struct control *c, int wait_ms);

/* ---- clock.c: the clock of records ---- */

void control_clock_init(struct control *c);
void control_clock_read(struct control *c);
/* Of a cluster: before anything is read that may have expired. ERR_RANGE: this machine's clock is wrong; it is logged. */
MUST_USE enum err control_clock_load(struct control *c, struct store *s);
void control_clock_tick(struct control *c, struct bytes value); /* another node's tick: its time draws ours */
void control_tick_encode(uint64_t now_us, uint16_t slot, struct wr *w);

/* ---- format.c ---- */

/* What records are written in; ERR_VERSION: a newer program wrote them. The cause is logged. */
MUST_USE enum err control_format_load(struct control *c, struct store *s);

/* ---- restore.c ---- */

MUST_USE enum err control_restore(struct control *c, struct store *s);

/* ---- keys.c: what is sealed in the store ---- */

/* Takes the keys of the configuration, and the secret of the store; made by the first process. ERR_AUTH: it is sealed under
 * none of our keys; in a cluster only, elsewhere everything begins anew. */
MUST_USE enum err control_keys_load(struct control *c, struct store *s);
/* After the configuration: PSKs that lie under an older key are sealed again, to the first one. */
MUST_USE enum err control_keys_reseal(struct control *c, struct store *s);
MUST_USE enum err control_seal_record(const struct control *c, const struct model_key *key, struct bytes record,
				      struct space out, size_t *ret_len);
/* The IKE SA and the Child SA of a row. ERR_AUTH: under none of our keys; else the errors of their decoders. The caller wipes
 * *ret. */
MUST_USE enum err control_open_sa(const struct control *c, const struct store_row *row, struct ike_sa *ret);
MUST_USE enum err control_open_child(const struct control *c, const struct store_row *row, struct model_child_sa *ret);

/* ---- live.c: one socket of questions; closes it and sets it to -1 when the other side has ---- */

void control_live_serve(struct control *c, int *fd);

static inline void control_drop(struct control *c, enum model_drop d)
{
	fwd_count_drop(c->counters, d);
}

static inline void control_count(struct control *c, enum model_counter k)
{
	fwd_count(c->counters, k, 1);
}
