// The world of a simulation: one clock, one source of random bytes, a network, and stores that take their time. The real control code
// is linked with these functions in place of those of the kernel, of the store's thread and of the Diffie-Hellman threads.
// One thread. The same seed gives the same run.
#pragma once

#include "base/addr.h"
#include "store/store.h"

#define WORLD_DATAGRAM_MAX 4096

/* A datagram on its way. */
struct world_datagram {
	uint64_t due_us;
	unsigned from;               /* descriptor of the sender */
	struct addr_endpoint to;
	bool marker;
	size_t len;
	uint8_t b[WORLD_DATAGRAM_MAX];
};

/* What may go wrong, each in thousandths; 0: never. */
struct world_faults {
	unsigned loss, repeat;       /* of a datagram */
	unsigned net_us, store_us, dh_us; /* delays are up to that */
};

extern struct world_faults world_faults;

void world_begin(uint64_t seed);
void world_end(void);
uint64_t world_now_us(void); /* since the beginning */
void world_advance(uint64_t us);
uint64_t world_random(uint64_t below); /* what befalls; crypt_random has a stream of its own */

/* The next datagram that has come to its time; false: none. */
bool world_take(struct world_datagram *ret);

/* From now on the process whose control is run is a dead one: what it submits to its store goes nowhere. */
void world_dying(bool on);

/* IVs that were used for two different messages of one IKE SA and sender. */
unsigned world_repeated_ivs(void);
/* Requests for a new IKE SA that were sent. */
unsigned world_inits(void);
