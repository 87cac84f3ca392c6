// Child SAs: installed in fwd, their expiry, and how much of their keys is used. RFC 4301 4.4.2, RFC 4303 3.3.3.
// The control thread only.
#pragma once

#include "base/heap.h"
#include "base/hmap.h"
#include "control/control.h"
#include "esp/limits.h"
#include "ike/step.h"
#include "store/thread.h"
#include "wire/mesh.h"

#define CONTROL_SEQ_BLOCK (1u << 22) /* outbound sequence numbers that are reserved at a time */
#define CONTROL_IN_BLOCK (UINT64_C(1) << 28) /* inbound numbers between two marks */
#define CONTROL_BYTES_BLOCK (UINT64_C(1) << 34)

/* What the store has about the use of a Child SA's keys, so that a restart begins above it (RFC 4303 3.3.3). */
struct control_marks {
	uint64_t out;   /* outbound numbers up to this one may be used */
	uint64_t in;    /* an inbound number that was taken */
	uint64_t bytes; /* inner bytes under one key */
};
#define CONTROL_MARKS_LEN 24

/* The value of a child/ record that only keeps the SPI, of a Child SA that we have asked for. */
#define CONTROL_LARVAL "larval"

/* What another process has used of the keys of a Child SA, as it has told last (use.c). */
struct control_use {
	struct control_use *next;
	struct wire_mesh_used u;
};

struct control_child {
	struct hmap_node by_spi;
	struct heap_node timer;
	uint32_t spi_in;
	uint64_t ike_spi;             /* our SPI of the IKE SA that has it now */
	uint64_t rev;                 /* of its record */
	uint64_t expires_us;
	struct model_id tunnel_id;
	struct model_suite suite;
	struct control_marks marks;   /* what the store knows */
	struct control_marks raised;  /* what it is being told */
	bool raising;
	uint64_t bytes_before;        /* under one key, before this process */
	struct esp_limits limits;
	struct control_use *use;      /* of the others */
	struct wire_mesh_used told;   /* of our own, and in which epoch (use_epoch) */
	uint32_t told_epoch;
	uint64_t ask_us;              /* at a soft limit: the IKE SA is not asked for a rekey before */
	bool ended;                   /* a hard one was: it is about to be deleted */
	struct control_seq *seq;      /* in a cluster, of one that is sequenced; else NULL (seq.h) */
};

static inline uint64_t control_larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- install.c: Child SAs. rev: of the commit that made it, or deleted it; 0: it is removed here alone ---- */

void control_child_install(struct control *c, const struct model_child_sa *child, uint32_t replaces, uint64_t rev);
void control_child_remove(struct control *c, uint32_t spi_in, uint64_t rev);

/* ---- marks.c ---- */

/* The record of the marks, CONTROL_MARKS_LEN bytes. decode takes all that cluster_sequence_decode takes. False: none of that. */
void control_marks_encode(const struct control_marks *m, uint8_t ret[static CONTROL_MARKS_LEN]);
bool control_marks_decode(struct bytes record, struct control_marks *ret);

/* ---- check.c ---- */

void control_children_timers(struct control *c);
/* False: it was no result of these marks' transactions. */
bool control_marks_done(struct control *c, const struct store_done *done);
#define CONTROL_TAG_MARKS (UINT64_C(1) << 61) /* of those, and the SPI */
/* Each of them once a second, or less often where there are more than a hundred thousand: raises the marks in the store of SAs that
 * have used half of their block, and asks for the rekey of those that have reached a soft limit, for the end of those at a hard one. */
void control_children_check(struct control *c);
uint64_t control_children_next_us(const struct control *c);

/* ---- use.c: how much of a key all nodes together have used ---- */

/* What is to be told to the others in one part of a round over the Child SAs. */
struct control_use_list {
	void (*send)(struct control *c, struct bytes list);
	unsigned sent, most;          /* datagrams */
	struct wr w;
	uint8_t b[WIRE_MESH_USED_MAX * WIRE_MESH_USED_LEN];
};
/* What finds no room in so many datagrams waits for the next round. */
void control_use_begin(struct control_use_list *l, unsigned most, void (*send)(struct control *c, struct bytes list));
/* own: what this process has used. Told if it is more than a little. */
void control_use_look(struct control *c, struct control_use_list *l, struct control_child *child, const struct fwd_child_stats *own);
void control_use_end(struct control *c, struct control_use_list *l);
/* Of all processes that there were, with what the others may not have told yet. */
struct esp_used control_use_sum(const struct control *c, const struct control_child *child, const struct fwd_child_stats *own);
void control_use_take(struct control *c, const struct wire_mesh_used *u); /* another process, or another one of it, has told */
void control_use_free(struct control_child *child);

/* last valid ESP packet over the SA's children, 0: none */
uint64_t control_sa_last_esp(const struct control *c, const struct ike_sa *r);
