// What is configured, mirrored from the store: accounts, tunnels, routes, PSKs; the life of a tunnel, and how we start one of a site.
// The control thread only.
#pragma once

#include "base/heap.h"
#include "base/hmap.h"
#include "control/control.h"
#include "control/start.h"
#include "explain/history.h"
#include "explain/watch.h"
#include "ike/step.h"
#include "model/account.h"
#include "model/key.h"
#include "model/psk.h"
#include "model/route.h"
#include "model/state.h"
#include "model/tunnel.h"

struct control_half;
struct control_sa;

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
	struct hmap_node by_customer, by_remote; /* while there is such an address (address.c) */
	struct addr customer;         /* its customer_endpoint, as that map has it */
	struct addr last_remote;      /* where its last IKE SA came from */
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

/* Tunnels whose PSKs are still to be opened (psk.c). */
struct control_boxes {
	size_t cnt, cap;
	struct model_id *ids;
};

/* ---- find.c ---- */

struct control_tunnel *control_tunnel_find(const struct control *c, const struct model_id *id);
struct control_account *control_account_find(const struct control *c, const struct model_id *id);
struct control_account *control_account_by_number(const struct control *c, uint32_t number);
uint64_t control_id_hash(const struct control *c, const struct model_id *id);

/* ---- tunnel.c ---- */

/* Frees the entry of a tunnel that is no longer configured and has no SA left. */
void control_tunnel_idle(struct control *c, struct control_tunnel *t);
void control_tunnel_free(struct control *c, struct control_tunnel *t);
void control_order_forget(struct control_account *a); /* of its tunnels, for status */

/* ---- address.c: tunnels by where their peers are ---- */

void control_address_customer(struct control *c, struct control_tunnel *t, const struct addr *customer); /* family none: it has none */
void control_address_remote(struct control *c, struct control_tunnel *t, const struct addr *remote);
void control_address_forget(struct control *c, struct control_tunnel *t); /* before it is freed */
/* Of an address identity, which is good only where the pair of endpoints is one tunnel's. NULL: none, or several. */
struct control_tunnel *control_address_find(const struct control *c, const struct addr *id, const struct addr *local);
/* Before IKE_AUTH the peer has no name: its address may tell whose it is. NULL: it may be nobody's, or that of several. */
struct control_tunnel *control_address_guess(const struct control *c, const struct addr *remote);

/* ---- config.c ---- */

MUST_USE enum err control_config_load(struct control *c, struct store *s, uint64_t *ret_rev);
void control_config_change(struct control *c, const struct store_row *row);
void control_config_publish(struct control *c); /* what changed since: routes, off-ramps */
/* Ends what has no record any more. */
void control_config_sweep(struct control *c, bool (*is_there)(const struct control *c, const struct model_key *key));
void control_config_free(struct control *c);
void control_config_put_account(struct control *c, const struct model_account *m);
/* NULL without memory. */
struct control_tunnel *control_config_put_tunnel(struct control *c, const struct model_tunnel *m);
bool control_find_tunnel(void *arg, const struct model_identity *id, const struct addr *local,
			 const struct addr *remote, struct ike_peer *ret);
void control_find_previous_psk(void *arg, const struct model_id *tunnel_id, struct secret *ret);

/* ---- psk.c: pre-shared keys ---- */

MUST_USE enum err control_psks_init(struct control *c);
void control_psk_put(struct control *c, struct control_tunnel *t, const struct model_psk *m); /* as the store has it */
/* The key of a tunnel and, after that, the one before it, empty where it has none; t NULL: there is no tunnel. Whether there is
 * one, and which keys it has, does not show in the time that it takes. */
void control_psk_open(struct control *c, struct control_tunnel *t, struct secret *ret);
void control_psk_open_previous(const struct control *c, const struct control_tunnel *t, struct secret *ret);
bool control_psks_wait(const struct control *c); /* some are still to be opened; each turn opens one tunnel's */
void control_psks_tick(struct control *c);
void control_psks_free(struct control *c);

/* ---- state.c: up and down, and the store's copy ---- */

void control_tunnel_check_up(struct control *c, struct control_tunnel *t);
void control_tunnel_dirty(struct control *c, struct control_tunnel *t);
void control_states_flush(struct control *c);
MUST_USE enum err control_states_load(struct control *c, struct store *s);

/* ---- site.c: tunnels that we start ---- */

MUST_USE enum err control_site_load(struct control *c);
void control_site_free(struct control *c);
/* After the SAs were restored: tunnels without one start. */
void control_site_begin(struct control *c);
void control_site_timers(struct control *c);
uint64_t control_site_next_us(const struct control *c);
/* Begins to take leave of the gateways; done: no SA is left. */
void control_site_leave(struct control *c);
bool control_site_left(const struct control *c);
uint32_t control_find_rows(void *arg, const struct model_id *tunnel_id, enum model_phase phase);
bool control_find_selectors(void *arg, const struct ike_sa *sa, uint32_t spi_in, struct ike_ts_lists *ret);

/* ---- site_routes.c ---- */

void control_site_publish(struct control *c, const struct control_account *a);

/* ---- attempt.c: what became of an attempt, or of the tunnel's IKE SAs; nothing is done for tunnels that the peer starts ---- */

void control_site_failed(struct control *c, const struct model_id *tunnel_id);
void control_site_up(struct control *c, struct control_tunnel *t);
void control_site_check(struct control *c, struct control_tunnel *t, bool clean);
/* The handshake was made from a former address: it is dropped, and another one begins. */
void control_site_drop_half(struct control *c, struct control_half *h);
bool control_tunnel_stands(const struct control_tunnel *t); /* one of its IKE SAs does, and is not about to end */
void control_attempt_end(struct control *c, struct control_starter *s, bool clean);
void control_attempt_wait(struct control *c, struct control_starter *s); /* until its machine begins again */
