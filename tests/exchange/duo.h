// Two ends of src/ike against each other: both roles, virtual time, faults on IKE messages, ESP beside them.
// One thread. All that is random comes from one seed, so that a run can be repeated.
#pragma once

#include "ike/frag.h"

#define DUO_SAS_MAX 40
#define DUO_CHILDREN_MAX 400
#define DUO_FLIGHT_MAX 512
#define DUO_POOL_MAX 256

struct duo_sa {
	bool used;
	uint64_t spi;
	struct ike_sa r;      /* as the record says: went through the codec */
	uint64_t iv;
};

struct duo_child {
	struct model_child_sa sa;
	uint64_t proof;       /* as fwd has it: the highest one is sent on; 0: not yet */
	uint32_t sent;
};

struct duo_end {
	struct ike_world world;
	struct addr_endpoint addr;
	bool has_half;
	struct ike_half half;
	uint64_t half_iv;
	struct duo_sa sas[DUO_SAS_MAX];
	unsigned child_cnt;
	struct duo_child children[DUO_CHILDREN_MAX];
	uint64_t proofs, last_esp_us;
	unsigned failures[MODEL_FAILURE_CNT], drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];
	unsigned esp_in, esp_lost; /* lost: came under an SPI that is not installed */
	unsigned esp_astray;       /* sent to where the other one is not */
	unsigned paths;            /* IKE_ACT_PATH */
};

struct duo_datagram {
	bool esp;
	unsigned to;
	uint64_t at_us;
	struct addr_endpoint from, dest;
	uint32_t spi;
	size_t len;
	uint8_t b[IKE_REPLY_MAX];
};

enum duo_fault { DUO_FINE, DUO_DROP, DUO_TWICE, DUO_LATE };

struct duo {
	uint64_t seed, rng, now_us;
	struct duo_end end[2];      /* [0] starts, [1] answers */
	struct ike_peer peer;       /* of the tunnel, at [1] */
	struct ike_start start;     /* of [0] */
	bool real_dh;               /* else a stand-in that agrees and costs nothing */
	uint64_t esp_every_us, esp_next_us; /* 0: no ESP */
	unsigned flight_cnt;
	struct duo_datagram flight[DUO_FLIGHT_MAX];
	unsigned fault_at, sent;
	enum duo_fault fault_kind;
	unsigned loss_percent;
	bool silent;                /* nothing arrives */
	struct addr_endpoint nat;   /* of a NAT before [0], which maps its port 4500; family none: there is none */
	unsigned pool_cnt;          /* what was sent lately, to be sent again by an attacker */
	struct duo_datagram pool[DUO_POOL_MAX];
	struct ike_out *out;
	/* for who watches; NULL: nobody. on_send: each IKE message that leaves, before anything happens to it. on_deliver: each
	 * one that comes, just before and just after its step. */
	void (*on_send)(void *arg, unsigned from, struct bytes msg);
	void (*on_deliver)(void *arg, const struct duo_datagram *g, bool after);
	void *watch_arg;
	struct ike_frags *frags;    /* of the half-open SA and the SAs of [0], then of [1] */
};

void duo_init(struct duo *d, uint64_t seed);
void duo_fini(struct duo *d);
uint64_t duo_random(struct duo *d);
/* [0] sends IKE_SA_INIT. */
void duo_start(struct duo *d);
/* Both are up, with one Child SA. */
void duo_up(struct duo *d);
/* Lets virtual time pass. */
void duo_run(struct duo *d, uint64_t us);
void duo_deliver(struct duo *d, const struct duo_datagram *g);
/* An event for the IKE SA that stands; nothing if there is none. child_spi is filled in. */
void duo_event(struct duo *d, unsigned end, enum ike_event_kind kind);
/* [0] has this address from now on, and knows it. */
void duo_move(struct duo *d, const char *address);

bool duo_sa(const struct duo *d, unsigned end, struct ike_sa *ret); /* the one that stands */
unsigned duo_count(const struct duo *d, unsigned end);              /* SAs that are not CLOSED */
/* Both sides have the same: no SA, or one IKE SA with the same keys and Child SAs. NULL, or what is wrong. */
const char *duo_check(const struct duo *d);
