// The exchanges: which handler an input has in a state, and what the handlers have of each other.
// Inside ike/ only; any thread, pure. RFC 7296 1.2 to 1.4, RFC 4555.
#pragma once

#include "ike/child.h"
#include "ike/ctx.h"
#include "ike/parts.h"

/* ---- table.c: which handler ---- */

enum ike_input { IKE_IN_REQUEST, IKE_IN_RESPONSE, IKE_ON_TIMER, IKE_ON_CLOSE, IKE_ON_ADDRESS, IKE_ON_MOVED, IKE_ON_CHILD_EXPIRED, IKE_ON_DUTY };

/* The row for an input in a state; NULL: it is not expected. exchange is 0 for all but messages. */
ike_handler ike_table_find(enum ike_state state, enum ike_input input, uint8_t exchange);

/* ---- end.c ---- */

/* Ends the SA here: its children are deleted; step.c wipes the keys and keeps the cached reply for a while. */
enum ike_state ike_end_now(struct ike_ctx *c);
/* Children deleted, our Delete on its way; CLOSED follows its answer. */
enum ike_state ike_end_begin(struct ike_ctx *c);

/* ---- IKE_SA_INIT and IKE_AUTH ---- */

/* A plain answer to a message outside any SA, at most as long as the message itself. */
void ike_init_notify(const struct ike_event *ev, struct ike_out *out, const struct wire_ike_header *h, uint16_t type,
		     struct bytes data);
enum ike_state ike_init_repeat(struct ike_ctx *c);          /* init.c */
enum ike_state ike_auth_request(struct ike_ctx *c);         /* auth.c */

/* start.c: our IKE_SA_INIT and its answers */
void ike_start_message(struct ike_ctx *c);
enum ike_state ike_start_timer(struct ike_ctx *c);
/* start_auth.c: our IKE_AUTH */
MUST_USE enum err ike_start_auth(struct ike_ctx *c);
enum ike_state ike_start_auth_response(struct ike_ctx *c);

/* ---- CREATE_CHILD_SA that the peer starts ---- */

enum ike_state ike_create_request(struct ike_ctx *c);       /* create.c: of any kind */
enum ike_state ike_create_refuse(struct ike_ctx *c);
enum ike_state ike_rekey_request(struct ike_ctx *c, const struct wire_ike_sa *offer, const struct wire_ike_ke *ke,
				 struct bytes ni);          /* rekey_ike.c */

/* ---- CREATE_CHILD_SA that we start ---- */

/* own.c. Starts what is due and needs the window; true if that was something. Only in a step of IKE_EV_TIMER. */
bool ike_own_due(struct ike_ctx *c);
uint64_t ike_own_time(const struct ike_sa *sa);
enum ike_state ike_own_response(struct ike_ctx *c);
enum ike_state ike_own_child_response(struct ike_ctx *c, const struct ike_request *q); /* own_child.c */
enum ike_state ike_own_ike_response(struct ike_ctx *c, const struct ike_request *q);   /* own_ike.c */
/* Whether the IKE SA that the peer made takes the place of this one, for ours came to nothing. */
bool ike_rival_promote(struct ike_ctx *c);
/* A record that takes the place of c->sa, with its children and without keys; and c->sa without children. */
void ike_rekey_new(const struct ike_ctx *c, enum ike_role role, const struct model_suite *suite, uint64_t spi_i,
		   uint64_t spi_r, struct ike_sa *ret);
void ike_rekey_retire(struct ike_ctx *c);

/* ---- INFORMATIONAL and the life of an SA ---- */

enum ike_state ike_info_request(struct ike_ctx *c);         /* info.c */
enum ike_state ike_info_response(struct ike_ctx *c);
enum ike_state ike_live_timer(struct ike_ctx *c);           /* live.c */
enum ike_state ike_live_close(struct ike_ctx *c);
enum ike_state ike_live_child_expired(struct ike_ctx *c);
enum ike_state ike_live_duty(struct ike_ctx *c);            /* REKEY_CHILD, REKEY_IKE, NEW_CHILD */

/* ---- move.c: addresses that change (RFC 4555, RFC 7296 2.23) ---- */

enum ike_state ike_move_address(struct ike_ctx *c);         /* the handler of IKE_ON_ADDRESS */
enum ike_state ike_move_self(struct ike_ctx *c);            /* of IKE_ON_MOVED */
/* NO_NATS_ALLOWED that does not fit the addresses of the message (RFC 4555 3.9); then the step's failure is filled. */
bool ike_move_nat_forbidden(struct ike_ctx *c);
/* What an INFORMATIONAL request says of addresses, and its part of the answer. */
void ike_move_request(struct ike_ctx *c);
/* The request is answered: the check of a new address starts where one is due. */
void ike_move_check(struct ike_ctx *c);
/* The answers to our UPDATE_SA_ADDRESSES, reachability and liveness checks, and the state that follows. */
enum ike_state ike_move_response(struct ike_ctx *c, const struct ike_request *q);
