// The exchanges: which handler an input has in a state, and what the handlers have of each other.
// Inside ike/ only; any thread, pure. RFC 7296 1.2 to 1.4, RFC 4555.
#pragma once

#include "ike/ctx.h"
#include "ike/parts.h"

/* ---- table.c: the rules of payloads, and of states ---- */

enum ike_input { IKE_IN_REQUEST, IKE_IN_RESPONSE, IKE_ON_TIMER, IKE_ON_CLOSE, IKE_ON_ADDRESS, IKE_ON_MOVED, IKE_ON_CHILD_EXPIRED, IKE_ON_DUTY };

/* "IKE_AUTH"; "" for what is none. */
const char *ike_exchange_name(uint8_t exchange);
/* The row for an input in a state; NULL: it is not expected. exchange is 0 for all but messages. */
ike_handler ike_table_find(enum ike_state state, enum ike_input input, uint8_t exchange);

/* 0, or the notify by which a request with these payloads is refused. *ret_type: the unknown critical payload. */
uint16_t ike_rules_check(uint8_t exchange, bool response, const struct wire_ike_payloads *in, uint8_t *ret_type);

/* ---- the exchanges ---- */

/* A plain answer to a message outside any SA, at most as long as the message itself. */
void ike_init_notify(const struct ike_event *ev, struct ike_out *out, const struct wire_ike_header *h, uint16_t type,
		     struct bytes data);

enum ike_state ike_init_repeat(struct ike_ctx *c);          /* init.c */
enum ike_state ike_auth_request(struct ike_ctx *c);         /* auth.c */
enum ike_state ike_create_request(struct ike_ctx *c);       /* child.c: CREATE_CHILD_SA of any kind */
enum ike_state ike_create_refuse(struct ike_ctx *c);
enum ike_state ike_rekey_request(struct ike_ctx *c, const struct wire_ike_sa *offer, const struct wire_ike_ke *ke,
				 struct bytes ni);          /* rekey_ike.c */
enum ike_state ike_info_request(struct ike_ctx *c);         /* info.c */
enum ike_state ike_info_response(struct ike_ctx *c);
enum ike_state ike_live_timer(struct ike_ctx *c);           /* live.c */
enum ike_state ike_live_close(struct ike_ctx *c);
enum ike_state ike_live_child_expired(struct ike_ctx *c);
enum ike_state ike_live_duty(struct ike_ctx *c);            /* REKEY_CHILD, REKEY_IKE, NEW_CHILD */

/* The answer becomes this one notify (RFC 7296 2.21: one error a request). */
void ike_reply_notify(struct ike_ctx *c, uint16_t type, struct bytes data);
/* A request that is authentic and yet not well formed: what names the payload. */
void ike_reply_syntax(struct ike_ctx *c, const char *what);
/* The step ends here with the single action IKE_ACT_DH. */
void ike_want_dh(struct ike_ctx *c, uint16_t group, struct bytes peer_public);

/* A Child SA in the making; used by IKE_AUTH and CREATE_CHILD_SA. */
struct ike_child_plan {
	struct ike_choice choice;
	struct ike_ts_lists ts;
	uint32_t replaces;     /* our SPI of the child that it rekeys, 0: none */
	bool ours;             /* we asked for it; then spi_in was in our request */
	uint32_t spi_in;
};
/* 0 with the plan filled, or the notify that refuses the child; then the step's failure is filled. */
uint16_t ike_child_decide(struct ike_ctx *c, enum ike_ke_rule rule, uint16_t ke_group,
			  struct ike_child_plan *ret);
/* Derives, adds the child to the record and the actions. ERR_CRYPTO. */
MUST_USE enum err ike_child_add(struct ike_ctx *c, const struct ike_child_plan *plan, struct bytes ni,
				struct bytes nr, struct bytes dh_secret, uint32_t *ret_spi);
void ike_child_put_sa(struct ike_ctx *c, const struct ike_child_plan *plan, uint32_t spi);
void ike_child_put_ts(struct ike_ctx *c, const struct ike_child_plan *plan);

struct ike_child_ref *ike_child_find(struct ike_sa *sa, uint32_t spi_in, uint32_t spi_out); /* 0: any */
void ike_child_forget(struct ike_sa *sa, struct ike_child_ref *ref);
/* CHILD_DELETE for each child that is still installed, and none is left in the record. */
void ike_child_delete_all(struct ike_ctx *c);

/* Ends the SA here: its children are deleted; step.c wipes the keys and keeps the cached reply for a while. */
enum ike_state ike_live_end(struct ike_ctx *c);
/* Children deleted, our Delete on its way; CLOSED follows its answer. */
enum ike_state ike_live_begin_end(struct ike_ctx *c);

/* ---- move.c: addresses that change (RFC 4555, RFC 7296 2.23, design section 6.6) ---- */

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
/* The candidate has not answered, or is not asked any more: what was sent there goes on as liveness check of the path. */
void ike_move_forget(struct ike_sa *sa);
/* An own request about addresses waits for the window. */
bool ike_move_due(const struct ike_sa *sa);
void ike_move_start(struct ike_ctx *c);
/* The payloads of such a request, and NAT detection in liveness checks. */
void ike_move_put(struct ike_ctx *c, enum ike_request_kind kind, const struct ike_request *facts,
		  struct wire_ike_builder *b);

/* start.c: our IKE_SA_INIT and its answers */
void ike_start_message(struct ike_ctx *c);
enum ike_state ike_start_timer(struct ike_ctx *c);
/* start_auth.c: our IKE_AUTH */
MUST_USE enum err ike_start_auth(struct ike_ctx *c);
enum ike_state ike_start_auth_response(struct ike_ctx *c);

/* ---- own_child.c: Child SAs that we ask for ---- */

/* An ESP SPI of ours that no child of the record has; 0 if none was found. */
uint32_t ike_child_spi(const struct ike_ctx *c, unsigned random_at);
/* The selectors of a child, 0: of a new one. False: they are not known. */
bool ike_child_selectors(const struct ike_ctx *c, uint32_t spi_in, struct ike_ts_lists *ret);
/* SA of a request (group NONE: without PFS), and its TSi and TSr. */
void ike_child_put_offer(struct ike_ctx *c, struct wire_ike_builder *b, uint32_t spi, uint16_t group);
void ike_child_put_selectors(struct wire_ike_builder *b, const struct ike_ts_lists *ts);
/* The answer to that: true with the plan filled. False: *ret_what says what is wrong with it. */
bool ike_child_take(struct ike_ctx *c, const struct ike_request *q, const struct ike_ts_lists *asked,
		    struct ike_child_plan *ret, const char **ret_what);
/* The first error notify of the message, 0: none. */
uint16_t ike_error_of(const struct wire_ike_payloads *in, struct wire_ike_notify *ret);
/* Makes a Delete for a child that the peer has and we never installed. */
void ike_child_disown(struct ike_ctx *c, uint32_t spi_in, uint32_t spi_out);

enum ike_state ike_own_child_response(struct ike_ctx *c, const struct ike_request *q);
/* Asks for a new one soon, where we started the tunnel and no child is left. */
void ike_child_want(struct ike_ctx *c);

/* ---- own.c, own_ike.c: CREATE_CHILD_SA that we start ---- */

/* Starts what is due and needs the window; true if that was something. Only in a step of IKE_EV_TIMER. */
bool ike_own_due(struct ike_ctx *c);
uint64_t ike_own_time(const struct ike_sa *sa);
enum ike_state ike_own_response(struct ike_ctx *c);
enum ike_state ike_own_ike_response(struct ike_ctx *c, const struct ike_request *q);
/* The failure of a request that was refused: by a notify, or what NULL is not. */
void ike_own_refused(struct ike_ctx *c, const struct ike_request *q, uint16_t type, const char *what);
/* True: the next request is made for the group that this notify names. */
bool ike_own_other_group(struct ike_ctx *c, const struct ike_request *q, const struct wire_ike_notify *n);
/* The step ends here with the single action IKE_ACT_DH. */
void ike_ask_dh(struct ike_ctx *c, const struct ike_dh_job *job);
/* The private value of the pending request, in the record of the caller. */
struct bytes ike_own_private(const struct ike_ctx *c);

/* A rekey of the peer while ours is on its way: its nonces; whether ours has the lowest of the four, so that the peer's
 * stands; whether the IKE SA that the peer made takes the place of this one, for ours came to nothing. */
void ike_rival_note(struct ike_sa *sa, struct bytes ni, struct bytes nr);
bool ike_rival_wins(const struct ike_rival *v, struct bytes ni, struct bytes nr);
bool ike_rival_promote(struct ike_ctx *c);
void ike_rival_forget(struct ike_sa *sa);

/* A record that takes the place of c->sa, with its children and without keys; and c->sa without children. */
void ike_rekey_new(const struct ike_ctx *c, enum ike_role role, const struct model_suite *suite, uint64_t spi_i,
		   uint64_t spi_r, struct ike_sa *ret);
void ike_rekey_retire(struct ike_ctx *c);

/* ---- duty.c: what is due when, with jitter and back-off ---- */

/* The time for a rekey of an SA with this lifetime that begins now (RFC 7296 2.8: with jitter). */
uint64_t ike_duty_soft(const struct ike_ctx *c, uint32_t lifetime_s, unsigned random_at);
/* Looks at message ids and IVs after each step of an SA that stands: rekeys it when they are low, ends it before they repeat. */
enum ike_state ike_duty_wear(struct ike_ctx *c);
/* When to try again after so many tries. */
uint64_t ike_duty_again(const struct ike_ctx *c, unsigned tries);
