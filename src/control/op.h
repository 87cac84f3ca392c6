// A step of an IKE SA, from its event to its effect: run, commit, install, send. RFC 7296.
// The control thread only.
#pragma once

#include "cluster/sequence.h"
#include "control/dh.h"
#include "control/sa.h"
#include "store/thread.h"

struct control_starter;

#define CONTROL_OPS_MAX 4096      /* steps that wait for a commit or a DH result */
#define CONTROL_TRIES_MAX 4       /* of a step that loses its commit */

enum control_op_kind { OP_INIT, OP_START, OP_HALF, OP_SA };

/* What a step works on and what comes of it. Large: there is one only from a step's run until its effect. */
struct control_step {
	struct control_step *next;    /* idle */
	struct ike_sa sa;             /* OP_SA: before it */
	struct ike_half new_half;
	struct ike_sa new_sa, rekeyed[2];
	struct ike_out out;
};

struct control_parked;

/* One step under way, with all it needs to be run again. */
struct control_op {
	enum control_op_kind kind;
	struct control_starter *starter; /* OP_START */
	struct control_half *half;    /* OP_HALF; busy */
	struct control_sa *sa;        /* OP_SA; busy */
	struct ike_event ev;          /* ev.msg and ev.inner point to msg */
	uint8_t *msg;
	bool counted;                 /* OP_INIT: among its source's half-open ones */
	bool fresh;                   /* the event's random bytes are drawn, and nothing has been made of them */
	bool has_dh;
	uint8_t dh_op;                /* enum ike_dh_op: which result that is */
	uint64_t base_rev;            /* OP_SA: of the record for which it was asked */
	uint8_t reading;              /* reads under way, after which the step runs again */
	enum err read_err;
	bool looked_up;               /* the record was read for it */
	bool current_read;            /* OP_HALF: the one that came last too */
	struct model_id tunnel_id;    /* OP_HALF: of the IKE SA that is committed */
	struct crypt_dh_result dh;
	struct control_step *step;    /* NULL while it waits */
	struct control_parked *parked; /* while it waits for its commit */
	struct control_record made[3]; /* of new_sa and rekeyed */
	struct cluster_sequence numbers; /* what the store says of those of its new Child SA, if nodes share them */
	unsigned deleted;             /* actions whose Child SAs are deleted in the store */
	unsigned tries;
	struct hmap_node by_tag;      /* waits for DH or a commit */
	uint64_t tag;
};

/* ---- record.c: records between steps, and the room for steps ---- */

MUST_USE enum err control_record_make(const struct control *c, const struct ike_sa *sa,
				      struct control_record *ret); /* ERR_MEMORY */
/* The caller wipes *ret. */
void control_record_read(const struct control_record *r, struct ike_sa *ret);
void control_record_free(struct control_record *r);
struct control_step *control_step_take(struct control *c); /* NULL without memory */
void control_step_give(struct control *c, struct control_step *s); /* wipes what was used; NULL is fine */
/* What is to be done after the commit, without the room of a step. ERR_MEMORY. */
MUST_USE enum err control_step_park(struct control *c, struct control_op *op);
void control_step_unpark(struct control *c, struct control_op *op);
void control_parked_free(struct control_parked *p);
MUST_USE enum err control_steps_init(struct control *c); /* ERR_MEMORY */
void control_steps_free(struct control *c);

/* ---- commit.c: what a step commits ---- */

MUST_USE enum err control_commit_submit(struct control *c, struct control_op *op); /* the result comes with op->tag */
/* The SPI of the Child SA that our request asks for, and that is reserved; 0: it asks for none. */
uint32_t control_asked_spi(const struct ike_sa *sa);
/* What found no room in that transaction, now that it was done. */
void control_commit_rest(struct control *c, struct control_op *op);

/* ---- send.c ---- */

void control_keepalive(struct control *c, const struct model_path *path); /* RFC 3948 4 */
void control_send(struct control *c, const struct addr_endpoint *local, const struct addr_endpoint *remote,
		  bool marker, struct bytes msg);

/* ---- op.c ---- */

struct ike_event control_message_event(const struct control *c, const struct addr_endpoint *local,
				       const struct addr_endpoint *remote, struct bytes msg);
struct control_op *control_op_new(struct control *c, enum control_op_kind kind, const struct ike_event *ev);
/* Forgets it without any effect (the end of the process). */
void control_op_free(struct control *c, struct control_op *op);
/* And the room of its step, and what was encoded. */
void control_op_forget_step(struct control *c, struct control_op *op);

/* ---- exec.c: steps and their actions ---- */

void control_op_run(struct control *c, struct control_op *op);
void control_op_dh_done(struct control *c, const struct control_dh_done *done);
void control_op_committed(struct control *c, const struct store_done *done);
void control_op_drop(struct control *c, struct control_op *op);

/* ---- hold.c: messages that wait for the site ---- */

/* What such a message tells of: a commit, of these IKE SAs (ours; 0: no more) and this new Child SA (NULL: none). */
struct control_news {
	uint64_t rev;
	uint64_t ike[3];
	const struct model_child_sa *child;
	const struct cluster_sequence *numbers; /* its record of them, if it is sequenced */
};
void control_hold_send(struct control *c, const struct control_news *news, const struct ike_action *send);
void control_hold_news(struct control *c, const struct control_news *news); /* of which no peer is told now */
void control_held_run(struct control *c);
uint64_t control_held_next_us(const struct control *c);
void control_held_free(struct control *c);

/* ---- ivs.c: the IVs of IKE ---- */

MUST_USE enum err control_ivs_lend(struct control *c, struct ike_event *ev); /* ERR_FULL */
void control_ivs_used(struct control *c);  /* the step has sealed with what was lent */
void control_ivs_tick(struct control *c);
void control_ivs_row(struct control *c, const struct store_row *row); /* of meta/incarnation */
bool control_ivs_done(struct control *c, const struct store_done *done); /* false: it was none of these */
