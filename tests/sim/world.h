// The world of a simulation: one time, one source of chance, two networks, and stores that take their time. The real control code
// is linked with these functions in place of those of the kernel, of the store's thread and of the Diffie-Hellman threads.
// One thread. The same seed gives the same run.
#pragma once

#include "base/addr.h"
#include "control/dh.h"
#include "store/store.h"

#define WORLD_PROCESSES_MAX 12
#define WORLD_DATAGRAM_MAX 4096

struct world_store;

/* What may go wrong. Chances are in thousandths, delays are up to so many microseconds. */
struct world_faults {
	unsigned loss, repeat;           /* of a datagram */
	unsigned replay;                 /* it comes again much later, changed or from elsewhere */
	unsigned net_us, store_us, dh_us;
	unsigned mesh_loss, mesh_repeat; /* of one between two nodes */
	unsigned mesh_us, watch_us;
	unsigned unknown;                /* nobody hears what became of a transaction */
};

extern struct world_faults world_faults;

/* ---- time and chance (world.c) ---- */

void world_begin(uint64_t seed);
uint64_t world_now_us(void); /* since the beginning */
void world_advance(uint64_t us);
uint64_t world_random(uint64_t below); /* what befalls; crypt_random has a stream of its own */
/* Of the seed and that name alone: what a run is like stays the same whatever else is chosen, or befalls. */
uint64_t world_choose(const char *what, uint64_t below);
bool world_befalls(unsigned thousandths);
uint64_t world_hash(struct bytes b);

/* What a process reads from its clocks, beside the time of the world. */
struct world_clock {
	uint64_t mono_us;
	int64_t wall_us;
};
/* Whose code runs from now on; NULL: the world's. Returns whose ran before. */
const struct world_clock *world_enter(const struct world_clock *c);

/* From now on the process whose control is run is a dead one: what it submits and sends goes nowhere. */
void world_dying(bool on);
bool world_is_dying(void);

bool world_dh_due(const struct control_dh *d);

/* ---- the networks (world_net.c) ---- */

/* A datagram on its way. */
struct world_datagram {
	uint64_t due_us;
	unsigned from;               /* process */
	struct addr_endpoint source, to;
	bool marker;                 /* of IKE, behind a non-ESP marker (RFC 3948 2.2) */
	bool esp;
	bool native;                 /* without UDP */
	bool cut;                    /* an IP fragment, from the IP header on, of one that was as the rest says (world_ip.h) */
	uint64_t packet;             /* ESP: which one it is (traffic.h) */
	uint64_t told_rev;           /* of the cluster's store when it was sent */
	size_t len;
	uint8_t b[WORLD_DATAGRAM_MAX];
};

void world_net_begin(void);
/* The descriptor for sending from there. */
int world_net_socket(unsigned who, unsigned socket, const struct addr_endpoint *local);
/* A node's socket on the network between the nodes; fd -1: it has none any more. */
void world_net_mesh(unsigned who, int fd, const struct addr_endpoint *at);
/* The store of which datagrams tell (told_rev). */
extern const struct world_store *world_told;
/* Datagrams of the first node do not reach the second. */
extern bool world_mesh_cut[WORLD_PROCESSES_MAX][WORLD_PROCESSES_MAX];
bool world_mesh_due(unsigned who);

void world_post(const struct world_datagram *d); /* with the faults of the network, in IP fragments where the way is narrow */
void world_post_junk(unsigned cnt);              /* IP fragments of nothing, to the nodes */
/* The next datagram that has come to its time; false: none. */
bool world_take(struct world_datagram *ret);

/* IVs that were used for two different messages or packets of one key. */
unsigned world_repeated_ivs(void);
/* Says that this IV was used. message: what under it was sent. */
void world_note_iv(uint64_t key, uint64_t iv, uint64_t message);
/* The same of anything that belongs to one message for ever. False: another one has it. */
bool world_note_once(uint64_t key, uint64_t value, uint64_t message);
/* Requests for a new IKE SA that this process has sent. */
unsigned world_inits(unsigned who);

/* ---- stores (world_store.c): what is stored, and each process's way to it ---- */

/* All that was committed, in order. */
struct world_event {
	uint64_t at_us;
	unsigned who;                /* WORLD_PROCESSES_MAX: nobody, a lease lapsed */
	struct store_row row;
};

/* A process's way to a store, and what is wrong with it. */
struct world_link {
	unsigned who;
	bool remote;                 /* over a network: what became of a transaction may stay unknown */
	bool cut;
	bool frozen;                 /* the process is */
	uint64_t quiet_us;           /* until then the watch tells nothing */
	bool lose;                   /* and then it has lost its place */
	const char *hidden;          /* changes of keys that begin so are not told; NULL: none are hidden */
};

struct world_store *world_store_new(void);
void world_store_free(struct world_store *s);
void world_store_clear(struct world_store *s); /* no process uses it */
/* Until then it has no leader: nothing is read or written. */
void world_store_stop(struct world_store *s, uint64_t until_us);
/* A commit loses its rows under that prefix, and is answered as if it had not; NULL: none does. */
void world_store_forget(struct world_store *s, const char *prefix);
/* What the world itself reads, without faults. False: there is no such key. */
bool world_store_has(struct world_store *s, struct bytes key, store_row_fn *visit, void *arg);
void world_store_each(struct world_store *s, const char *prefix, store_row_fn *visit, void *arg);
uint64_t world_store_rev(const struct world_store *s);
bool world_store_is_away(const struct world_store *s); /* it has no leader */
bool world_store_was_away(const struct world_store *s, uint64_t from_us, uint64_t until_us);
/* As the api commits; it is not away. */
void world_store_write(struct world_store *s, const struct store_txn *txn);
/* Each commit from now on. */
void world_store_follow(struct world_store *s, void (*fn)(void *arg, const struct world_event *e), void *arg);
/* The last event of a key in that log up to that revision; NULL: none. */
const struct world_event *world_store_find(const struct world_store *s, struct bytes key, uint64_t rev);

/* Whether fn says so of an event up to that revision. */
bool world_store_any(const struct world_store *s, uint64_t rev, bool (*fn)(void *arg, const struct world_event *e), void *arg);

/* A handle for one process after the other; it stays when they end. */
struct store *world_link_open(struct world_store *s, unsigned who);
void world_link_close(struct store *s);
struct world_link *world_link_of(struct store *s);
/* Lets the transactions that are on their way go on; true: the process has something to hear. */
bool world_link_run(struct store *s);
