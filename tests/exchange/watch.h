// What IKEv2 says must become of an SA when a message comes, written once more and apart from src/ike: a small model that
// watches two ends (duo.h), foretells each step, and ends the process where an end does something else.
// One thread. RFC 7296 2.1 to 2.4, 2.21, 2.25, 1.4.1.
#pragma once

#include "look.h"

#define WATCH_MARKS_MAX 256
#define WATCH_IVS_MAX (1u << 16)

/* An IKE SA of an end, as the model has it. */
struct watch_mark {
	bool used;
	unsigned end;
	uint64_t spi_i, spi_r;
	enum ike_state state;
	uint32_t rx_next;
	bool rival;                 /* the peer's rekey of it was answered well */
	/* the last request that was answered, and its answer */
	bool has_reply;
	uint32_t reply_id;
	uint64_t request_hash, reply_hash;
	/* our own request that waits */
	bool pending, pending_delete;
	uint32_t pending_id;
	uint8_t pending_exchange;
};

enum watch_fate {
	WATCH_LOOSE,     /* a fragment, or the handshake: the rules that always hold alone */
	WATCH_UNTOUCHED, /* nothing changes and nothing is said */
	WATCH_REPEATED,  /* nothing changes, the same answer again */
	WATCH_TAKEN,     /* a request: one answer, the next id */
	WATCH_ANSWERED,  /* the answer to our own request */
};

struct watch {
	struct duo *d;
	struct look_keys keys;
	struct watch_mark marks[WATCH_MARKS_MAX];
	bool made_up;               /* the message that is delivered was not made by the other end */
	uint64_t seen_us;           /* of the last look */
	/* the step under way */
	bool in_step;
	enum watch_fate fate;
	struct watch_mark *mark;
	unsigned states;            /* bit set of enum ike_state that it may lead to */
	uint16_t error;             /* the error that the answer must have; 0: any or none */
	bool may_rekey, may_make_child;
	uint64_t records, children; /* of the end, before */
	unsigned sas, child_cnt;
	unsigned requests, replies; /* sent in it */
	uint64_t reply_hash;
	uint16_t reply_error;
	bool reply_opened;
	/* IVs that were used: a hash of key and IV, and one of the message that had it */
	unsigned iv_cnt;
	struct { uint64_t key, msg; } ivs[WATCH_IVS_MAX];
	unsigned long steps, taken, repeated, answered, untouched; /* how much was seen */
	char what[256];             /* of the message, for reports */
};

/* Watches d from now on. */
void watch_init(struct watch *w, struct duo *d);
/* A message that the test made up or changed. */
void watch_deliver(struct watch *w, const struct duo_datagram *g);
/* What timers and events did since the last message is within the rules, too. */
void watch_check(struct watch *w);
