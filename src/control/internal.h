// What the files of control share: its tables and the functions between them.
// The control thread only.
#pragma once

#include "base/heap.h"
#include "base/hmap.h"
#include "base/log.h"
#include "base/siphash.h"
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

#define CONTROL_WAITING_MAX 4     /* datagrams kept for an SA whose step waits */
#define CONTROL_FRAGS_MAX 256     /* messages of which some fragments came; above, the oldest is forgotten */
#define CONTROL_UNKNOWN_MAX 64    /* failures that belong to no tunnel */
#define CONTROL_GONE_MAX 32       /* deleted tunnels that are remembered */
#define CONTROL_OPS_MAX 4096      /* steps that wait for a commit or a DH result */
#define CONTROL_SEQ_BLOCK (1u << 22) /* outbound sequence numbers that are reserved at a time */
#define CONTROL_IN_BLOCK (UINT64_C(1) << 28) /* inbound numbers between two marks */
#define CONTROL_BYTES_BLOCK (UINT64_C(1) << 34)
#define CONTROL_TRIES_MAX 4       /* of a step that loses its commit */
#define CONTROL_CLIENTS_MAX 8     /* who may ask a site for its status at a time */

/* ---- configuration, mirrored from the store (config.c) ---- */

struct control_route {
	struct control_route *next;
	struct model_route m;
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
	struct model_psk psk;         /* each key locked under psk_key */
	struct control_sa *sas;
	struct addr last_remote;      /* where its last IKE SA came from */
	/* life (state.c) */
	bool up;
	uint64_t since_us;
	struct explain_history why;
	struct explain_watch watch;
	struct addr_endpoint seen_local, seen_at; /* the path, as the watch knows it */
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
	struct ike_half h;
	struct crypt_iv_space iv;
	struct control_frags *frags;
	bool busy;
	uint8_t repeats;              /* of its IKE_SA_INIT */
	bool explained;               /* it is known why there was no good IKE_AUTH */
	bool stale;                   /* our address has changed meanwhile */
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
	struct crypt_iv_space iv;     /* outlives every step; moves with the keys only */
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

struct control_child {
	struct hmap_node by_spi;
	struct heap_node timer;
	uint32_t spi_in;
	uint64_t ike_spi;             /* our SPI of the IKE SA that has it now */
	struct model_id tunnel_id;
	struct model_suite suite;
	struct control_marks marks;   /* what the store knows */
	uint64_t bytes_before;        /* under one key, before this process */
	struct esp_limits limits;
	uint64_t ask_us;              /* at a soft limit: the IKE SA is not asked for a rekey before */
	bool ended;                   /* a hard one was: it is about to be deleted */
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
	bool has_dh;
	struct crypt_dh_result dh;
	struct control_step *step;    /* NULL while it waits */
	struct control_parked *parked; /* while it waits for its commit */
	struct control_record made[3]; /* of new_sa and rekeyed */
	unsigned deleted;             /* actions whose Child SAs are deleted in the store */
	unsigned tries;
	struct hmap_node by_tag;      /* waits for DH or a commit */
	uint64_t tag;
};

struct control {
	struct control_config cfg;
	struct crypt_seal_private seal_key;
	uint8_t sa_key[CRYPT_SEAL_KEY_LEN];
	uint8_t psk_key[CRYPT_SEAL_KEY_LEN]; /* of this process: under it PSKs are in memory */
	size_t decoy_len;             /* a locked key of no tunnel, opened where there is none */
	uint8_t decoy[MODEL_PSK_SEALED_MAX];
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
	uint64_t clock_offset_us;     /* wall clock minus monotonic, at the start */
	struct siphash_key hash_key;
	struct ike_world world;
	uint32_t profile_cnt[MODEL_PROFILE_CNT]; /* configured tunnels of each profile */
	uint64_t cookie_turn_us;      /* when the cookie secret changes */

	struct hmap accounts_by_id, accounts_by_number, tunnels;
	struct hmap halves_by_spi, halves_by_init, sas, children, ops, sources;
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
	struct log_limit failure_log;
};

/* config.c */
MUST_USE enum err control_config_load(struct control *c, struct store *s, uint64_t *ret_rev);
void control_config_change(struct control *c, const struct store_row *row);
void control_config_publish(struct control *c); /* what changed since: routes, off-ramps */
void control_config_free(struct control *c);
void control_config_put_account(struct control *c, const struct model_account *m);
/* NULL without memory. */
struct control_tunnel *control_config_put_tunnel(struct control *c, const struct model_tunnel *m);
/* Frees the entry of a tunnel that is no longer configured and has no SA left. */
void control_tunnel_idle(struct control *c, struct control_tunnel *t);
struct control_tunnel *control_tunnel_find(const struct control *c, const struct model_id *id);
struct control_account *control_account_find(const struct control *c, const struct model_id *id);
struct control_account *control_account_by_number(const struct control *c, uint32_t number);
bool control_find_tunnel(void *arg, const struct model_identity *id, const struct addr *local,
			 const struct addr *remote, struct ike_peer *ret);

/* sas.c */
void control_datagram(struct control *c, const struct fwd_punt *punt);
void control_half_event(struct control *c, struct control_half *h, const struct ike_event *ev);
void control_half_arm(struct control *c, struct control_half *h);
void control_sa_event(struct control *c, struct control_sa *sa, const struct ike_event *ev);
void control_sa_close(struct control *c, struct control_sa *sa, enum model_failure_code code);
/* Rekeys the IKE SA, or each of its Child SAs (spi 0) or one of them, as soon as the window is free. */
void control_sa_rekey(struct control *c, struct control_sa *sa, bool ike, uint32_t spi_in);
/* The same for what stands of a tunnel. ERR_CONFLICT: nothing does. */
MUST_USE enum err control_tunnel_rekey(struct control *c, struct control_tunnel *t, bool ike);
void control_sas_timers(struct control *c);
uint64_t control_sas_next_us(const struct control *c);
void control_notice(struct control *c, const struct fwd_notice *n);
struct control_sa *control_sa_find(const struct control *c, uint64_t our_spi);
struct control_child *control_child_find(const struct control *c, uint32_t spi_in);
/* Makes the entry of a record, and owns its encoding *made from then on; NULL without memory. */
struct control_sa *control_sa_add(struct control *c, const struct ike_sa *r, struct control_record *made, uint64_t mod_rev,
				  const struct crypt_iv_space *iv, struct control_tunnel *t);
void control_sa_remove(struct control *c, struct control_sa *sa);
void control_sa_arm(struct control *c, struct control_sa *sa, const struct ike_sa *r);
void control_sas_free(struct control *c);
/* The step of an SA has ended. The SA may be gone afterwards. */
void control_sa_idle(struct control *c, struct control_sa *sa);
/* False without memory. */
bool control_half_add(struct control *c, const struct ike_half *half);
void control_half_remove(struct control *c, struct control_half *h);
uint64_t control_spi_hash(const struct control *c, uint64_t spi);

/* record.c: records between steps, and the room for steps */
MUST_USE enum err control_record_make(const struct ike_sa *sa, struct control_record *ret); /* ERR_MEMORY */
/* The caller wipes *ret. */
void control_record_read(const struct control_record *r, struct ike_sa *ret);
void control_record_free(struct control_record *r);
struct control_step *control_step_take(struct control *c); /* NULL without memory */
void control_step_give(struct control *c, struct control_step *s); /* wipes what was used; NULL is fine */
/* What is to be done after the commit, without the room of a step. ERR_MEMORY. */
MUST_USE enum err control_step_park(struct control *c, struct control_op *op);
void control_step_unpark(struct control *c, struct control_op *op);
void control_parked_free(struct control_parked *p);
MUST_USE enum err control_steps_init(struct control *c); /* ERR_MEMORY */
void control_steps_free(struct control *c);

/* source.c: half-open handshakes by their source */
bool control_source_add(struct control *c, const struct addr *a); /* false without memory */
void control_source_remove(struct control *c, const struct addr *a);
bool control_source_allowed(const struct control *c, const struct addr *a);

/* frag.c: fragments of IKE messages */

/* Takes a fragment for the SA with that record; owner is where it keeps its fragments. True: the message is whole, and *ev
 * carries it in room until the next call. */
bool control_frag_take(struct control *c, struct control_frags **owner, const struct ike_sa *r, struct ike_event *ev,
		       struct space room);
void control_frag_free(struct control *c, struct control_frags **owner);
void control_frags_timers(struct control *c);

/* exec.c: steps and their actions */
struct control_op *control_op_new(struct control *c, enum control_op_kind kind, const struct ike_event *ev);
void control_op_run(struct control *c, struct control_op *op);
void control_op_dh_done(struct control *c, const struct control_dh_done *done);
void control_op_committed(struct control *c, const struct store_done *done);
/* Forgets it without any effect (the end of the process). */
void control_op_free(struct control *c, struct control_op *op);
void control_op_drop(struct control *c, struct control_op *op);
void control_keepalive(struct control *c, const struct model_path *path); /* RFC 3948 4 */
void control_send(struct control *c, const struct addr_endpoint *local, const struct addr_endpoint *remote,
		  bool marker, struct bytes msg);

/* install.c: Child SAs */
void control_child_install(struct control *c, const struct model_child_sa *child, uint32_t replaces);
void control_child_remove(struct control *c, uint32_t spi_in);
void control_children_timers(struct control *c);
/* The record of the marks, CONTROL_MARKS_LEN bytes. An older one has the outbound number alone, in 4 bytes: decode
 * takes both. False: neither. */
void control_marks_encode(const struct control_marks *m, uint8_t ret[static CONTROL_MARKS_LEN]);
bool control_marks_decode(struct bytes record, struct control_marks *ret);
/* Once a second: raises the marks in the store of SAs that have used half of their block, and asks for the rekey of those that
 * have reached a soft limit, for the end of those at a hard one. */
void control_children_check(struct control *c);
/* last valid ESP packet over the SA's children, 0: none */
uint64_t control_sa_last_esp(const struct control *c, const struct ike_sa *r);

/* restore.c */
MUST_USE enum err control_restore(struct control *c, struct store *s);
MUST_USE enum err control_seal_record(const struct control *c, const struct model_key *key, struct bytes record,
				      struct space out, size_t *ret_len);

/* state.c: up and down, and the store's copy */
void control_tunnel_check_up(struct control *c, struct control_tunnel *t);
void control_tunnel_dirty(struct control *c, struct control_tunnel *t);
void control_states_flush(struct control *c);
MUST_USE enum err control_states_load(struct control *c, struct store *s);

/* live.c: one socket of questions; closes it and sets it to -1 when the other side has. */
void control_live_serve(struct control *c, int *fd);

/* site.c: tunnels that we start */
MUST_USE enum err control_site_load(struct control *c);
void control_site_free(struct control *c);
void control_site_publish(struct control *c, const struct control_account *a);
/* After the SAs were restored: tunnels without one start. */
void control_site_begin(struct control *c);
void control_site_timers(struct control *c);
uint64_t control_site_next_us(const struct control *c);
/* What became of an attempt, or of the tunnel's IKE SAs; do nothing for tunnels that the peer starts. */
void control_site_failed(struct control *c, const struct model_id *tunnel_id);
void control_site_up(struct control *c, struct control_tunnel *t);
void control_site_check(struct control *c, struct control_tunnel *t, bool clean);
/* Marks an SA whose local address is not its tunnel's any more: the next turn tells it. */
void control_site_follow(struct control *c, struct control_sa *sa);
/* The handshake was made from a former address: it is dropped, and another one begins. */
void control_site_drop_half(struct control *c, struct control_half *h);
/* Begins to take leave of the gateways; done: no SA is left. */
void control_site_leave(struct control *c);
bool control_site_left(const struct control *c);
bool control_find_selectors(void *arg, const struct ike_sa *sa, uint32_t spi_in, struct ike_ts_lists *ret);

/* why.c: failures */
void control_failure(struct control *c, struct control_tunnel *t, const struct model_failure *f);
void control_why_half(struct control *c, const struct control_half *h); /* it expired */
void control_why_fragments(struct control *c, const struct control_frags *f); /* the rest did not come */
/* An IKE SA came up; replaced: another one of the tunnel stood. */
void control_why_start(struct control *c, struct control_tunnel *t, const struct model_path *path, bool replaced);
/* A handshake of it, or a Child SA, came to a good end. */
void control_why_settle(struct control *c, struct control_tunnel *t);
/* told: by MOBIKE, so it is no NAT that flaps. */
void control_why_path(struct control *c, struct control_tunnel *t, const struct model_path *path, bool told);
void control_why_gone(struct control *c, struct control_tunnel *t); /* the tunnel was deleted */
void control_why_tick(struct control *c);  /* once a turn: samples, closest tunnels */
void control_why_flush(struct control *c); /* what belongs to no tunnel, to the store */
MUST_USE enum err control_why_load(struct control *c, struct store *s);

static inline void control_drop(struct control *c, enum model_drop d)
{
	fwd_count_drop(c->counters, d);
}

static inline void control_count(struct control *c, enum model_counter k)
{
	fwd_count(c->counters, k, 1);
}
