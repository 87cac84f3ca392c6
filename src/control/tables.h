// The tables of control: accounts, tunnels, IKE SAs between two steps, steps under way, and what the thread holds of all.
// The control thread only.
#pragma once

#include "base/heap.h"
#include "base/hmap.h"
#include "base/log.h"
#include "base/siphash.h"
#include "cluster/sequence.h"
#include "control/control.h"
#include "control/dh.h"
#include "control/start.h"
#include "esp/limits.h"
#include "explain/history.h"
#include "explain/watch.h"
#include "ike/frag.h"
#include "ike/step.h"
#include "model/account.h"
#include "model/failure.h"
#include "model/key.h"
#include "model/live.h"
#include "model/psk.h"
#include "model/route.h"
#include "model/state.h"
#include "model/tunnel.h"
#include "store/thread.h"
#include "wire/mesh.h"

#define CONTROL_WAITING_MAX 4     /* datagrams kept for an SA whose step waits */
#define CONTROL_FRAGS_MAX 256     /* messages of which some fragments came; above, the oldest is forgotten */
#define CONTROL_UNKNOWN_MAX 64    /* failures that belong to no tunnel */
#define CONTROL_GONE_MAX 32       /* deleted tunnels that are remembered */
#define CONTROL_OPS_MAX 4096      /* steps that wait for a commit or a DH result */
#define CONTROL_SEQ_BLOCK (1u << 22) /* outbound sequence numbers that are reserved at a time */
#define CONTROL_IN_BLOCK (UINT64_C(1) << 28) /* inbound numbers between two marks */
#define CONTROL_BYTES_BLOCK (UINT64_C(1) << 34)
#define CONTROL_SETTLE_MAX 256
#define CONTROL_TAG_QUIET UINT64_MAX /* of a transaction whose result changes nothing here */
#define CONTROL_TRIES_MAX 4       /* of a step that loses its commit */
#define CONTROL_CLIENTS_MAX 8     /* who may ask a site for its status at a time */

/* ---- configuration, mirrored from the store (config.c) ---- */

/* What a route says but its texts: there may be a hundred thousand. */
struct control_route {
	struct hmap_node by_id;
	struct control_route *next, **at; /* in its account, and what points to it there */
	struct model_id id;
	struct addr_prefix prefix;
	struct addr nexthop;
	uint32_t priority;
	uint16_t weight;
};

struct control_account {
	struct hmap_node by_id, by_number;
	bool configured;              /* its own record was seen */
	struct model_account m;
	struct control_tunnel *tunnels;
	struct control_route *routes;
	struct control_tunnel **sorted; /* by id, for status; NULL: to be made */
	size_t sorted_cnt;
	bool dirty;                   /* routes must be published again */
};

struct control_tunnel {
	struct hmap_node by_id;
	struct control_tunnel *next;  /* in its account */
	struct control_account *account;
	struct model_id id;
	bool configured;              /* its own record was seen (its PSK may come first) */
	bool installed;               /* fwd knows it */
	struct model_tunnel m;
	bool has_psk;
	struct model_psk psk;         /* each key locked under psk_key (psk.c) */
	bool psk_boxed;               /* or still as the store has it */
	bool psk_old_seal;            /* the store has it under a sealing key that is not the first */
	struct control_sa *sas;
	/* of the store's cur/, in a cluster: the IKE SA that came last, what a commit compares, and how new that is */
	uint64_t cur_spi, cur_rev, cur_seen;
	struct addr last_remote;      /* where its last IKE SA came from */
	/* life (state.c) */
	bool up;
	uint64_t since_us;
	struct explain_history why;
	struct explain_watch watch;
	struct addr_endpoint seen_local, seen_at; /* the path, as the watch knows it */
	uint64_t asked_out;           /* in a cluster: packets that it had sent here when that was asked last (seen.c) */
	uint64_t mixed;               /* that nodes sent among those of another one, as far as this one knows */
	bool state_dirty;
	uint16_t why_dirty;           /* bit set of the history's slots that the store does not have */
	uint64_t why_after_us;        /* failures that only repeat are not written before */
	struct control_tunnel *next_dirty;
	uint32_t ike_rekeys, child_rekeys;
	struct control_starter *starter; /* of a tunnel that we start; else NULL */
};

/* A tunnel of the site role: how we start it, and when (site.c). */
struct control_starter {
	struct ike_start ike;         /* holds the PSK; half-open SAs borrow it */
	const struct conf_tunnel *conf;
	struct control_tunnel *tunnel;
	struct start_machine machine;
	struct heap_node waiting;     /* until when, while the machine waits */
	struct heap_node fresh;       /* until when its attempt counts among those under way */
	uint64_t sent_packets, sent_us; /* keepalives: what had been sent to the gateway, and when that was more last */
};

/* ---- IKE (sas.c) ---- */

/* A message on its way to a step: a datagram, or a message that was put together of several. */
struct control_datagram {
	struct control_datagram *next;
	struct addr_endpoint local, remote;
	bool forwarded;               /* by another node: it goes no further */
	bool whole;                   /* as in struct ike_event, with its plaintext behind msg */
	uint8_t inner_first;
	uint16_t len, inner_len;
	uint8_t msg[];
};

/* The fragments of an SA's next message (frag.c). */
struct control_frags {
	struct heap_node timer;
	struct control_frags **owner; /* the pointer to this one in its SA */
	struct model_id tunnel_id;    /* of the SA; zero while it is half open */
	struct model_path path;
	struct ike_frags f;
};

struct control_half {
	struct hmap_node by_spi, by_init;
	struct heap_node timer;
	struct control_frags *frags;
	bool busy;
	uint8_t repeats;              /* of its IKE_SA_INIT */
	bool explained;               /* it is known why there was no good IKE_AUTH */
	bool stale;                   /* our address has changed meanwhile */
	struct ike_half h;            /* last: what is before it is zero at first */
};

/* The record of an IKE SA between two steps: encoded, and what is asked of it all the time (record.c). */
struct control_record {
	uint8_t *b;                   /* NULL: none */
	uint32_t len;
	uint8_t state;                /* enum ike_state */
	uint8_t child_cnt;
	bool closing;
	uint64_t spi;                 /* ours */
	uint64_t created_us, last_in_us;
	struct model_path path;
};

struct control_sa {
	struct hmap_node by_spi;
	struct heap_node timer;
	struct control_record r;
	uint64_t mod_rev;
	uint64_t heard_us;            /* when its peer was last heard here; the record knows it of those that were stored */
	bool gone;                    /* another node has removed it while it was busy */
	struct control_tunnel *tunnel;
	struct control_sa *next;      /* in its tunnel, newest first */
	bool busy;                    /* a step waits for DH or commit */
	bool astray;                  /* our address may have changed: to be looked at when it is not busy */
	uint8_t close_code;           /* not 0: close as soon as it is not busy; enum model_failure_code + 1 */
	bool rekey_ike, rekey_children; /* asked for while it was busy */
	struct control_frags *frags;  /* NULL: none came */
	unsigned waiting_cnt;
	struct control_datagram *waiting; /* the oldest first */
};

/* What the store has about the use of a Child SA's keys, so that a restart begins above it (RFC 4303 3.3.3). */
struct control_marks {
	uint64_t out;   /* outbound numbers up to this one may be used */
	uint64_t in;    /* an inbound number that was taken */
	uint64_t bytes; /* inner bytes under one key */
};
#define CONTROL_MARKS_LEN 24

/* The value of a child/ record that only keeps the SPI, of a Child SA that we have asked for. */
#define CONTROL_LARVAL "larval"

/* What another process has used of the keys of a Child SA, as it has told last (use.c). */
struct control_use {
	struct control_use *next;
	struct wire_mesh_used u;
};

struct control_child {
	struct hmap_node by_spi;
	struct heap_node timer;
	uint32_t spi_in;
	uint64_t ike_spi;             /* our SPI of the IKE SA that has it now */
	uint64_t rev;                 /* of its record */
	uint64_t expires_us;
	struct model_id tunnel_id;
	struct model_suite suite;
	struct control_marks marks;   /* what the store knows */
	uint64_t bytes_before;        /* under one key, before this process */
	struct esp_limits limits;
	struct control_use *use;      /* of the others */
	struct wire_mesh_used told;   /* of our own, and in which epoch (use_epoch) */
	uint32_t told_epoch;
	uint64_t ask_us;              /* at a soft limit: the IKE SA is not asked for a rekey before */
	bool ended;                   /* a hard one was: it is about to be deleted */
	struct control_seq *seq;      /* in a cluster, of one that is sequenced; else NULL (seq.h) */
};

enum control_op_kind { OP_INIT, OP_START, OP_HALF, OP_SA };

/* A failure that belongs to no tunnel (why.c). */
struct control_unknown {
	struct model_failure f;       /* cnt 0: free */
	bool unsolved;                /* the tunnel that was meant is still to be looked for */
	bool dirty;
	uint64_t after_us;            /* not written before */
	uint64_t told_us;             /* when the log had it last, 0: never */
};

/* A tunnel that was deleted since the start. */
struct control_gone {
	struct model_id account_id, tunnel_id;
	uint32_t account_number;
};

/* What a step works on and what comes of it. Large: there is one only from a step's run until its effect. */
struct control_step {
	struct control_step *next;    /* idle */
	struct ike_sa sa;             /* OP_SA: before it */
	struct ike_half new_half;
	struct ike_sa new_sa, rekeyed[2];
	struct ike_out out;
};

struct control_parked;

/* One step under way, with all it needs to be run again. */
struct control_op {
	enum control_op_kind kind;
	struct control_starter *starter; /* OP_START */
	struct control_half *half;    /* OP_HALF; busy */
	struct control_sa *sa;        /* OP_SA; busy */
	struct ike_event ev;          /* ev.msg and ev.inner point to msg */
	uint8_t *msg;
	bool counted;                 /* OP_INIT: among its source's half-open ones */
	bool fresh;                   /* the event's random bytes are drawn, and nothing has been made of them */
	bool has_dh;
	uint8_t dh_op;                /* enum ike_dh_op: which result that is */
	uint64_t base_rev;            /* OP_SA: of the record for which it was asked */
	uint8_t reading;              /* reads under way, after which the step runs again */
	enum err read_err;
	bool looked_up;               /* the record was read for it */
	bool current_read;            /* OP_HALF: the one that came last too */
	struct model_id tunnel_id;    /* OP_HALF: of the IKE SA that is committed */
	struct crypt_dh_result dh;
	struct control_step *step;    /* NULL while it waits */
	struct control_parked *parked; /* while it waits for its commit */
	struct control_record made[3]; /* of new_sa and rekeyed */
	struct cluster_sequence numbers; /* what the store says of those of its new Child SA, if nodes share them */
	unsigned deleted;             /* actions whose Child SAs are deleted in the store */
	unsigned tries;
	struct hmap_node by_tag;      /* waits for DH or a commit */
	uint64_t tag;
};

/* An SA that is gone: what the store had of it up to that revision comes late (mirror.c). */
struct control_buried {
	struct hmap_node node;
	bool child;
	uint64_t spi;                 /* ours */
	uint64_t rev;
	uint64_t until_us;
	struct model_id tunnel_id;    /* of a Child SA that was here; else zero */
};

/* ESP packets of one SPI that wait for its SA (park.c). */
struct control_stray {
	struct control_stray *next;
	struct addr_endpoint remote;
	uint8_t tos, worker;
	bool native;
	uint16_t len;
	uint8_t b[];
};

struct control_lot {
	struct hmap_node by_spi;
	struct heap_node timer;       /* until when they wait, or the store is not asked again */
	uint32_t spi;
	bool gone;                    /* the store does not have it: what comes is dropped */
	unsigned cnt;
	struct control_stray *first;  /* the oldest */
};

/* An SA that is looked up in the store, and the messages that wait for it (read.c). */
struct control_read {
	struct hmap_node by_tag;
	uint64_t tag;
	bool child;
	uint64_t spi;
	unsigned waiting_cnt;
	struct control_datagram *waiting; /* the oldest first */
};

/* A fresh incarnation on its way, for the IVs of IKE (ivs.c). */
struct control_renewal {
	uint64_t tag;                 /* of the read or the transaction; 0: none is under way */
	bool writes;
	uint32_t stored;              /* what the store has, and the revision of that */
	uint64_t mod_rev;
	uint32_t asked;               /* the last number that we have asked for */
	uint64_t retry_us;
};

/* The store's keys, listed again (relist.c). */
struct control_relist {
	bool on;
	bool lost;                    /* the configuration too */
	bool waits;                   /* for a page */
	unsigned prefix;
	uint64_t tag;                 /* of that page */
	uint64_t rev;                 /* of the first page of the prefix */
	uint64_t next_us;
	struct hmap seen;             /* keys that are there */
	size_t after_len;
	uint8_t after[STORE_KEY_MAX];
};

/* Tunnels whose PSKs are still to be opened (psk.c). */
struct control_boxes {
	size_t cnt, cap;
	struct model_id *ids;
};

struct control {
	struct control_config cfg;
	bool clustered;               /* other nodes work on the same SAs */
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
	uint64_t sweep_us;            /* when old graves are looked for */
	uint64_t seen_rev;            /* all that the store had then is installed */
	uint64_t read_budget, read_fill_us; /* of look-ups: how many are left, and since when */
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
	uint64_t check_us;            /* when the use of the Child SAs is looked at again */
	uint64_t publish_us;          /* routes are not published before */
	bool publish_due;
	struct control_tunnel *dirty;
	struct control_unknown unknown[CONTROL_UNKNOWN_MAX];
	unsigned gone_cnt;            /* ever; the last of them are kept */
	struct control_gone gone[CONTROL_GONE_MAX];
	uint64_t sample_us;           /* when the watches are fed again */
	struct log_limit failure_log, commit_log;
};
