// Detectors of what goes wrong over time: each a small state machine that is fed with times and numbers.
// The thread that owns the watch; pure. One watch a tunnel.
//
//   explain_watch_start    an IKE SA of the tunnel came up     restart loop, two peers
//   explain_watch_path     the peer's address was changed      NAT flapping
//   explain_watch_sample   then, and every few seconds        no ESP, ESP stopped, one way, no child, anti-replay
//
// Each returns the signs that are new, or over.
#pragma once

#include "model/failure.h"

/* What has to be there before a detector speaks. */
enum {
	EXPLAIN_LOOP_STARTS = 4,      /* in EXPLAIN_LOOP_S, each while the former IKE SA stood */
	EXPLAIN_LOOP_S = 300,
	EXPLAIN_TURNS_S = 600,        /* A, B, A within */
	EXPLAIN_FLAPS = 4,            /* in EXPLAIN_FLAPS_S */
	EXPLAIN_FLAPS_S = 600,
	EXPLAIN_PACKETS = 4,          /* one way, before the other way is missed */
	EXPLAIN_PATIENCE_S = 10,      /* so long */
	EXPLAIN_STOPPED_S = 30,
	EXPLAIN_STOPPED_PACKETS = 10,
	EXPLAIN_NO_CHILD_S = 20,
	EXPLAIN_SLOT_S = 10,          /* of the answers per packet, see anti-replay */
	EXPLAIN_SLOT_PACKETS = 20,
	EXPLAIN_SLOTS_BAD = 2,
};

#define EXPLAIN_STARTS_MAX 6
#define EXPLAIN_SIGNS_MAX 6

struct explain_sign {
	uint8_t code;  /* enum model_failure_code */
	bool over;     /* its cause is gone; else it is there */
	char what[160];
};

struct explain_watch {
	/* IKE SAs, the newest last */
	uint8_t start_cnt;
	struct {
		uint32_t at_s;
		bool replaced;    /* the former one stood and did not get a Delete */
		struct addr from;
	} starts[EXPLAIN_STARTS_MAX];
	uint32_t flaps_s[EXPLAIN_FLAPS];
	uint32_t open;            /* bit set of enum open in watch.c */
	uint32_t told_s;          /* the last time that it was told of one of those that are over by themselves */
	/* of the present IKE SA */
	uint64_t epoch_us, era;
	uint64_t in0, out0;       /* counters at its start */
	uint32_t in_since_s, out_since_s; /* the first packet seen, 0: none */
	uint32_t in_moved_s;      /* the last time that more had come in */
	uint64_t in_last, out_at_in;      /* inbound then, and outbound then */
	/* answers per 100 packets, in slots */
	uint32_t slot_s;
	uint64_t slot_in, slot_out, slot_switches;
	uint16_t usual;           /* while one thread sent; 0: not known */
	uint32_t usual_in;        /* packets in a second then */
	uint8_t bad_slots;
};

/* Its cause stood when the process before this one ended, or another node has found it, last at last_us: the watch says when it is
 * over. */
void explain_watch_restore(struct explain_watch *w, uint8_t code, uint64_t last_us);
/* Another node has found that it is over. */
void explain_watch_forget(struct explain_watch *w, uint8_t code);
/* replaced: another IKE SA of the tunnel was up and its peer had not taken leave. */
unsigned explain_watch_start(struct explain_watch *w, uint64_t now_us, const struct addr *from, bool replaced,
			     struct explain_sign signs[static EXPLAIN_SIGNS_MAX]);
unsigned explain_watch_path(struct explain_watch *w, uint64_t now_us, const struct addr_endpoint *before,
			    const struct addr_endpoint *now, struct explain_sign signs[static EXPLAIN_SIGNS_MAX]);

struct explain_sample {
	uint64_t epoch_us;        /* when the present IKE SA came up, 0: there is none */
	uint64_t ike_heard_us;    /* the last IKE message of the peer */
	unsigned child_cnt;
	uint64_t in_packets, out_packets; /* of the tunnel, growing for as long as the era is the same */
	uint64_t in_before, out_before;   /* of these, those that were before the IKE SA */
	uint64_t era;             /* changes with those whose counters these are the sums of */
	uint64_t switches;        /* how often another thread sent than the one before */
};
unsigned explain_watch_sample(struct explain_watch *w, uint64_t now_us, const struct explain_sample *s,
			      struct explain_sign signs[static EXPLAIN_SIGNS_MAX]);
