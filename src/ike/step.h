// IKEv2 as a pure function: (record, event) -> (new record, actions). One file per exchange behind it.
// Any thread; no socket, clock, random source, log or memory of its own. RFC 7296, 5282, 6989.
//
//   IKE_SA_INIT of a peer       ike_init_step     no record yet; makes a struct ike_half
//   our own IKE_SA_INIT         ike_start_step    makes a struct ike_half
//   what follows, timers        ike_half_step     half -> half or record
//   everything later, timers    ike_sa_step       record -> record (and maybe the ones that replace it)
//
// The caller commits the new record and the children of the actions in one transaction, then does the
// actions in their order: install, then send ("commit, then answer"). If the transaction is lost to a
// conflict it reads again and steps again with fresh random bytes.
//
// Diffie-Hellman is slow: a step that needs it returns the single action IKE_ACT_DH and no new record.
// The caller has a helper compute it and calls the same step again, with the same event and its result. Our own
// CREATE_CHILD_SA and IKE_SA_INIT begin in steps of IKE_EV_TIMER and IKE_EV_START only, so that no step needs two.
#pragma once

#include "base/siphash.h"
#include "crypt/dh.h"
#include "ike/sa.h"
#include "model/counter.h"
#include "model/drop.h"
#include "model/failure.h"
#include "model/tunnel.h"
#include "base/secret.h"

/* ---- what a step may ask about the world; const while it runs ---- */

/* A tunnel as the handshake needs it. Filled by find_tunnel; the stepping code wipes it. */
struct ike_peer {
	struct model_id account_id, tunnel_id;
	uint32_t account_number;
	struct addr gateway_endpoint, customer_endpoint;
	bool allow_null, allow_esn;
	struct model_tunnel_onramp settings;
	struct secret psk;          /* empty: none set yet */
};

/* The selectors of a Child SA, or of one that is asked for. */
struct ike_ts_lists {
	uint8_t remote_cnt, local_cnt;
	struct model_ts remote[MODEL_TS_MAX], local[MODEL_TS_MAX];
};

struct ike_world {
	const char *domain;            /* of the identities */
	uint16_t node_slot;            /* 0 to 4095 */
	struct siphash_key spi_key;    /* check bytes of SPIs */
	struct siphash_key cookie_key[2]; /* the present secret and the one before */
	uint8_t cookie_version;        /* of cookie_key[0]; the other one is version - 1 */
	uint8_t cookie_make;           /* which of them new cookies are made with: 1 while not every node may have the present one */
	uint8_t profiles;              /* MODEL_PROFILE_BIT of those that tunnels here have, 0: the default one */
	bool want_cookie;              /* half-open SAs are above the threshold: answer INITs with a cookie */
	/* The tunnel of an identity, for a peer that talks to local from remote. False: unknown. An address
	 * identity matches only where (gateway_endpoint, customer_endpoint) is unique. */
	bool (*find_tunnel)(void *arg, const struct model_identity *id, const struct addr *local,
			    const struct addr *remote, struct ike_peer *ret);
	/* The key of that tunnel before the present one, empty where it has none; of NULL: of a tunnel that there is not. Asked for
	 * each peer that is refused, so that its verdict can name it. NULL: no tunnel has one. */
	void (*find_previous_psk)(void *arg, const struct model_id *tunnel_id, struct secret *ret);
	/* The selectors of the installed child with this SPI of ours; for 0: of the Child SA that the tunnel asks for
	 * when we start one. False: unknown, and no request is made. NULL: any to any, always. */
	bool (*find_selectors)(void *arg, const struct ike_sa *sa, uint32_t spi_in, struct ike_ts_lists *ret);
	/* The rows of model_transforms that the tunnel may be negotiated with. NULL, or 0: all of its profile. */
	uint32_t (*find_rows)(void *arg, const struct model_id *tunnel_id, enum model_phase phase);
	void *arg;
	uint16_t fragment_mtu;         /* the longest IP packet that IKE sends where the peer takes fragments; 0: 1280 */
	uint8_t decoy_psk[32];         /* random, per process: unknown identities are checked against it */
};

/* ---- what we start with ---- */

/* A gateway and how to reach it. Holds the PSK: the owner wipes it. */
struct ike_start {
	struct ike_peer peer;          /* ids, settings, allow_null, allow_esn and psk are used */
	uint8_t id_type;               /* ours: IDi */
	uint16_t id_len;
	uint8_t id[IKE_ID_MAX];
	uint8_t gateway_id_type;       /* the IDr that we expect and ask for; 0: the address of remote, not asked for */
	uint16_t gateway_id_len;
	uint8_t gateway_id[IKE_ID_MAX];
	struct addr_endpoint local, remote; /* ports: where it starts, both 500 or both 4500 */
	uint8_t encap;                 /* enum ike_encap */
	uint8_t pfs;                   /* enum ike_pfs */
	uint32_t ike_rows, child_rows; /* of model_transforms, 0: all of the profile */
	bool mobike;                   /* say that we may move (RFC 4555); with NAT traversal that means port 4500 */
	bool initial_contact;          /* we know of no other IKE SA with the gateway (RFC 7296 2.4) */
	struct ike_ts_lists ts;        /* of the first Child SA */
};

/* ---- events ---- */

#define IKE_RANDOM_LEN 256
#define IKE_FRAGS_OUT_MAX 8              /* datagrams of one message of ours */
#define IKE_IV_CNT (2 * IKE_FRAGS_OUT_MAX) /* of a step: for an answer, and behind them for a request of our own */

enum ike_event_kind {
	IKE_EV_MESSAGE,  /* a datagram */
	IKE_EV_TIMER,    /* ike_sa_timer's time has come */
	IKE_EV_CLOSE,    /* the tunnel was deleted or changed, or the gateway stops: send Delete */
	IKE_EV_ADDRESS,  /* a valid ESP packet of the SA came from another address */
	IKE_EV_MOVED,    /* we have another address: local. Of an SA that cannot move nothing is left */
	IKE_EV_CHILD_EXPIRED, /* child_spi reached its hard lifetime: delete it */
	IKE_EV_REKEY_CHILD, /* child_spi nears the end of its packets or IVs, or somebody asks for it: rekey it soon */
	IKE_EV_REKEY_IKE,   /* rekey the IKE SA soon */
	IKE_EV_NEW_CHILD,   /* ask for the tunnel's Child SA (world->find_selectors with SPI 0) */
	IKE_EV_START,       /* of ike_start_step alone */
};

/* How much of what must not repeat is used. */
enum ike_wear { IKE_WEAR_FINE, IKE_WEAR_LOW, IKE_WEAR_ENDING };

struct ike_event {
	enum ike_event_kind kind;
	uint64_t now_us;
	struct bytes msg;                    /* MESSAGE: the IKE message, without the non-ESP marker */
	bool whole;                          /* MESSAGE: came in fragments; msg is the first of them (ike/frag.h) */
	uint8_t inner_first;                 /* whole: type of the first payload */
	struct bytes inner;                  /* whole: the payloads, verified and decrypted */
	struct addr_endpoint local, remote;  /* MESSAGE: as received; ADDRESS: remote is the new one; MOVED: local is,
					      * without a port */
	const struct crypt_dh_result *dh;    /* the result asked for by IKE_ACT_DH, else NULL; secret_len 0 of
					      * RESPOND and DERIVE: the peer's value was refused (ERR_RANGE) */
	uint64_t last_esp_us;                /* TIMER: last valid ESP packet of its children, 0: none */
	uint32_t child_spi;                  /* CHILD_EXPIRED, REKEY_CHILD: ours; 0 of REKEY_CHILD: each of them */
	uint8_t close_code;                  /* CLOSE: enum model_failure_code for the record; MODEL_FAILURE_CNT: it is no failure */
	uint64_t iv;                         /* the first of IKE_IV_CNT counter IVs for this SA's own AES-GCM */
	uint8_t iv_wear;                     /* enum ike_wear: of that IV space */
	uint8_t random[IKE_RANDOM_LEN];      /* fresh for each step, never used for two */
};

/* ---- actions ---- */

enum ike_dh_op {
	IKE_DH_RESPOND,  /* crypt_dh_respond: a key pair, and the secret with peer_public */
	IKE_DH_GENERATE, /* crypt_dh_generate: a key pair; the private value comes back in the result */
	IKE_DH_DERIVE,   /* crypt_dh_finish: the secret of private with peer_public */
};

struct ike_dh_job {
	enum ike_dh_op op;
	uint16_t group;
	struct bytes peer_public, private;
};

/* What a helper thread does for IKE_ACT_DH; slow. */
MUST_USE enum err ike_dh_run(const struct ike_dh_job *job, struct crypt_dh_result *ret);

enum ike_action_kind {
	IKE_ACT_DH,             /* dh: compute and step again */
	IKE_ACT_CHILD_PUT,      /* child: commit and install; replaces: our SPI of the child it rekeys, or 0 */
	IKE_ACT_CHILD_PROVEN,   /* spi: the peer surely has it; sending may move to it */
	IKE_ACT_CHILD_DELETE,   /* spi: remove */
	IKE_ACT_PATH,           /* path: of the SA and all its children from now on (with native ESP its ports are IKE's
				 * alone) */
	IKE_ACT_SEND,           /* msg from local to remote; marker: behind the non-ESP marker */
	IKE_ACT_INITIAL_CONTACT, /* drop every other IKE SA of this tunnel (RFC 7296 2.4) */
	IKE_ACT_FAILURE,        /* failure */
	IKE_ACT_DROP,           /* drop: the message was dropped for this reason */
	IKE_ACT_COUNT,          /* counter */
};

struct ike_action {
	enum ike_action_kind kind;
	union {
		struct ike_dh_job dh; /* borrows the event's message or out->scratch, and the record or half of the step */
		struct { const struct model_child_sa *child; uint32_t replaces; } put; /* borrows out->child */
		uint32_t spi;
		struct model_path path;
		struct { struct bytes msg; struct addr_endpoint local, remote; bool marker; } send; /* borrows out */
		enum model_drop drop;
		enum model_counter counter;
	};
};

#define IKE_ACTIONS_MAX (IKE_CHILDREN_MAX + 2 * IKE_FRAGS_OUT_MAX + 16)

/* The result of a step. Large: keep one for the thread, zero at first. Holds keys: ike_out_wipe after use. */
struct ike_out {
	unsigned cnt;
	struct ike_action actions[IKE_ACTIONS_MAX];
	struct model_failure failure;  /* of IKE_ACT_FAILURE, at most one a step */
	struct model_child_sa child;   /* of IKE_ACT_CHILD_PUT, at most one a step */
	bool changed;                  /* *ret differs from the record in more than message ids, cached reply and last_in_us */
	bool asks;                     /* the answer depends on what the record says, not only that it is there: with several
					* writers it is true only if the record is the newest, also when nothing changed */
	bool sealed;                   /* IVs of the event were used */
	bool has_sa;                   /* *ret was filled */
	bool has_half;                 /* *ret_half was filled */
	bool has_rekeyed;              /* ret_rekeyed[0] was filled: the IKE SA that replaces this one. Its
					* children were this one's: their ike_spi becomes its SPI in the commit */
	bool has_redundant;            /* ret_rekeyed[1] too: the loser of two rekeys that met, without children */
	bool clear[2];                 /* that room has had plaintext in it, */
	size_t clear_len;              /* and so many bytes of scratch */
	uint8_t room[2][IKE_REPLY_MAX]; /* messages in the making: an answer, a request of our own */
	uint8_t sent[2][IKE_REPLY_MAX]; /* the same in fragments */
	uint8_t scratch[IKE_MESSAGE_MAX]; /* the decrypted copy of the event's message */
};

void ike_out_wipe(struct ike_out *out);

/* ---- steps ---- */

/* The first message of a peer. Fills *ret and sends the answer, or sends a cookie request or an error
 * notify (never longer than the request), or drops; out->has_sa tells whether *ret was filled. Also the door for messages to no
 * SA at all: IKEv1 and other versions are dropped with a failure, later exchanges with a drop reason. */
void ike_init_step(const struct ike_world *world, const struct ike_event *ev, struct ike_half *ret,
		   struct ike_out *out);

/* Our own first message (IKE_EV_START): fills *ret (has_half) and sends IKE_SA_INIT. start is borrowed by the half-open
 * SA: it must outlive it. */
void ike_start_step(const struct ike_world *world, const struct ike_start *start, const struct ike_event *ev,
		    struct ike_half *ret, struct ike_out *out);

/* A message or timer for a half-open SA. On success *ret is ESTABLISHED and out->has_sa is true. With has_half *ret_half
 * takes the place of half. Otherwise the caller frees the half-open SA when out->changed is true (it is over: wrong PSK or
 * identity, no answer; the failure was given and the answer sent), and keeps it as it is if not (a forged message
 * must not end a handshake). */
void ike_half_step(const struct ike_world *world, const struct ike_half *half, const struct ike_event *ev,
		   struct ike_half *ret_half, struct ike_sa *ret, struct ike_out *out);

/* When a half-open SA wants its next IKE_EV_TIMER: ours to be repeated or given up. Of a peer's: when it is too old. */
uint64_t ike_half_timer(const struct ike_half *half);

/* Any event for an established (or rekeyed, or closed) SA. *ret is filled when has_sa: state CLOSED
 * in it means that the SA and its children are gone (the actions delete each child). */
void ike_sa_step(const struct ike_world *world, const struct ike_sa *sa, const struct ike_event *ev,
		 struct ike_sa *ret, struct ike_sa ret_rekeyed[static 2], struct ike_out *out);

/* When the SA wants its next IKE_EV_TIMER: own request to repeat, rekeys, liveness, lifetime. Of a CLOSED one: when
 * to forget the record (no event for that). */
uint64_t ike_sa_timer(const struct ike_sa *sa, uint64_t last_esp_us);

/* ---- SPIs ---- */

/* IKE: slot 12 | random 44 | check 8. ESP: random 24 | check 8, at least 256. random is 8 fresh bytes. */
uint64_t ike_spi_make(const struct siphash_key *key, uint16_t slot, const uint8_t random[static 8]);
static inline uint16_t ike_spi_slot(uint64_t spi) /* of the node that made it; tells nothing before ike_spi_check */
{
	return (uint16_t)(spi >> 52);
}
bool ike_spi_check(const struct siphash_key *key, uint64_t spi);
uint32_t ike_esp_spi_make(const struct siphash_key *key, const uint8_t random[static 8]);
bool ike_esp_spi_check(const struct siphash_key *key, uint32_t spi);

/* ---- the transition table, for documents and tests (ike/table.c) ---- */
void ike_table_print(void (*line)(void *arg, const char *text), void *arg);
