// The gateway's end of an exchange in a test: src/ike with a store of encoded records around it.
// One thread; virtual time. Does what control does, so that every commit goes through the record codec.
#pragma once

#include "ike/frag.h"

#define GATEWAY_SAS_MAX 6
#define GATEWAY_CHILDREN_MAX 160
#define GATEWAY_OUT_MAX 16
#define GATEWAY_TUNNELS_MAX 4

struct gateway_tunnel {
	struct ike_peer peer;
	struct secret previous_psk;
};

struct gateway_sa {
	bool used;
	uint64_t spi;
	size_t len;
	uint8_t record[IKE_SA_RECORD_MAX]; /* the encoded SA */
	uint64_t iv;
};

struct gateway_child {
	bool proven;
	struct model_child_sa sa;
	uint32_t replaces;
};

struct gateway_datagram {
	struct addr_endpoint local, remote;
	bool marker;
	size_t len;
	uint8_t b[IKE_MESSAGE_MAX];
};

struct gateway {
	struct ike_world world;
	unsigned tunnel_cnt;
	struct gateway_tunnel tunnels[GATEWAY_TUNNELS_MAX];
	uint64_t now_us;
	bool has_half;
	struct ike_half half;
	uint64_t half_iv;
	struct gateway_sa sas[GATEWAY_SAS_MAX];
	unsigned child_cnt;
	struct gateway_child children[GATEWAY_CHILDREN_MAX];
	uint64_t last_esp_us;
	bool conflict;                 /* every commit is lost once: step again */
	/* what was seen, over all steps */
	unsigned drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];
	unsigned pieces;               /* fragments that were kept and did not make a message whole */
	unsigned failure_cnt, paths, initial_contacts, dhs, finds, previous_asked;
	struct model_failure failure;  /* the last */
	bool changed;                  /* of the last step */
	struct ike_out *step_out;
	struct ike_frags *frags;       /* of the half-open SA [0] and the SAs [1..]; not part of what is saved */
	/* what came out; the test takes it away. Last, so that the rest can be saved and put back cheaply. */
	unsigned out_cnt;
	struct gateway_datagram out[GATEWAY_OUT_MAX];
};

/* A world with one tunnel: account 1234567, PSK "correct horse", gateway 192.0.2.1 and any customer. */
void gateway_init(struct gateway *g);
void gateway_fini(struct gateway *g);
struct ike_peer *gateway_tunnel(struct gateway *g);

/* A datagram. */
void gateway_input(struct gateway *g, const struct addr_endpoint *local, const struct addr_endpoint *remote,
		   struct bytes msg);
/* Timers that are due at now_us. */
void gateway_timers(struct gateway *g);
uint64_t gateway_next_us(const struct gateway *g);
/* Other events for the SA of that SPI (ours). */
void gateway_event(struct gateway *g, uint64_t spi, struct ike_event ev);

/* The decoded record; the SA must be there. */
struct ike_sa gateway_sa(const struct gateway *g, uint64_t spi);
struct gateway_sa *gateway_sa_find(struct gateway *g, uint64_t spi);
struct gateway_child *gateway_child_find(struct gateway *g, uint32_t spi_in);
/* How many records are there in a state. */
unsigned gateway_count(const struct gateway *g, enum ike_state state);
/* A number that changes when anything that is kept changes (records, children, half-open SA). */
uint64_t gateway_fingerprint(const struct gateway *g);
