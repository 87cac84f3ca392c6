// IKE SAs, half open and between two steps, and the messages that wait for them. RFC 7296, RFC 7383.
// The control thread only.
#pragma once

#include "base/heap.h"
#include "base/hmap.h"
#include "control/control.h"
#include "ike/frag.h"
#include "ike/step.h"
#include "model/failure.h"

struct control_child;
struct control_tunnel;

#define CONTROL_TUNNEL_SAS_MAX 16 /* IKE SAs of a tunnel that stand; above, the oldest is closed */
#define CONTROL_WAITING_MAX 4     /* datagrams kept for an SA whose step waits */
#define CONTROL_FRAGS_MAX 256     /* messages of which some fragments came; above, the oldest is forgotten */

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

/* ---- find.c ---- */

struct control_sa *control_sa_find(const struct control *c, uint64_t our_spi);
struct control_child *control_child_find(const struct control *c, uint32_t spi_in);
uint64_t control_spi_hash(const struct control *c, uint64_t spi);
uint64_t control_child_hash(const struct control *c, uint32_t spi_in);

/* ---- sas.c ---- */

/* False without memory. */
bool control_half_add(struct control *c, const struct ike_half *half);
void control_half_remove(struct control *c, struct control_half *h);
void control_half_arm(struct control *c, struct control_half *h);
struct control_half *control_half_find(const struct control *c, uint64_t our_spi);
/* The one of the peer's first message. */
struct control_half *control_half_of_init(const struct control *c, uint64_t spi_i, const struct addr_endpoint *remote);
/* Makes the entry of a record, and owns its encoding *made from then on; NULL without memory. */
struct control_sa *control_sa_add(struct control *c, const struct ike_sa *r, struct control_record *made, uint64_t mod_rev,
				  struct control_tunnel *t);
void control_sa_remove(struct control *c, struct control_sa *sa);
void control_sa_arm(struct control *c, struct control_sa *sa, const struct ike_sa *r);
/* Marks an SA whose local address is not its tunnel's any more: the next turn tells it. */
void control_site_follow(struct control *c, struct control_sa *sa);
/* Messages that wait until a step is over. take: the oldest, NULL: none; free wipes it. */
void control_waiting_keep(struct control *c, struct control_sa *sa, const struct ike_event *ev);
struct control_datagram *control_waiting_take(struct control_sa *sa);
void control_waiting_free(struct control_datagram *d);
void control_sas_free(struct control *c);

/* ---- exec.c ---- */

void control_sa_event(struct control *c, struct control_sa *sa, const struct ike_event *ev);
/* A message, which waits if a step is under way. */
void control_sa_message(struct control *c, struct control_sa *sa, const struct ike_event *ev);
void control_sa_close(struct control *c, struct control_sa *sa, enum model_failure_code code);
/* Closes the tunnel's oldest IKE SA beside that one if it has too many. */
void control_tunnel_trim(struct control *c, struct control_tunnel *t, const struct control_sa *keep);
/* Rekeys the IKE SA, or each of its Child SAs (spi 0) or one of them, as soon as the window is free. */
void control_sa_rekey(struct control *c, struct control_sa *sa, bool ike, uint32_t spi_in);
/* The step of an SA has ended. The SA may be gone afterwards. */
void control_sa_idle(struct control *c, struct control_sa *sa);

/* ---- datagram.c ---- */

void control_datagram(struct control *c, const struct fwd_punt *punt);
void control_datagram_forwarded(struct control *c, const struct fwd_punt *punt); /* by another node: it goes no further */
/* That its IKE SA was looked up in the store for: it is not looked up again. */
void control_datagram_looked_up(struct control *c, const struct fwd_punt *punt, bool forwarded);
void control_half_event(struct control *c, struct control_half *h, const struct ike_event *ev);
/* What control_sa_rekey does, for what stands of a tunnel. ERR_CONFLICT: nothing does. */
MUST_USE enum err control_tunnel_rekey(struct control *c, struct control_tunnel *t, bool ike);

/* ---- notice.c ---- */

void control_notice(struct control *c, const struct fwd_notice *n);
/* What a router said, to this node or another. */
enum fwd_path_word control_path_heard(struct control *c, const struct fwd_too_big *t);
/* The peer has this Child SA: sending may move to it. False: there is none, or it is replaced. */
bool control_proven(struct control *c, uint32_t spi_in);

/* ---- timers.c ---- */

void control_sas_timers(struct control *c);
uint64_t control_sas_next_us(const struct control *c);

/* ---- frag.c: fragments of IKE messages ---- */

/* Takes a fragment for the SA with that record; owner is where it keeps its fragments. True: the message is whole, and *ev
 * carries it in room until the next call. */
bool control_frag_take(struct control *c, struct control_frags **owner, const struct ike_sa *r, struct ike_event *ev,
		       struct space room);
void control_frag_free(struct control *c, struct control_frags **owner);
void control_frags_timers(struct control *c);

/* ---- source.c: half-open handshakes by their source ---- */

bool control_source_add(struct control *c, const struct addr *a); /* false without memory */
void control_source_remove(struct control *c, const struct addr *a);
bool control_source_allowed(const struct control *c, const struct addr *a);
