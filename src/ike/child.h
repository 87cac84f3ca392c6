// Child SAs of the record, and what CREATE_CHILD_SA is made of in both directions.
// Inside ike/ only; any thread, pure. RFC 7296 1.2, 1.3, 2.8, 2.9, 2.17.
#pragma once

#include "ike/ctx.h"
#include "ike/parts.h"

/* ---- child.c: used by IKE_AUTH and CREATE_CHILD_SA ---- */

struct ike_child_ref *ike_child_find(struct ike_sa *sa, uint32_t spi_in, uint32_t spi_out); /* 0: any */
void ike_child_forget(struct ike_sa *sa, struct ike_child_ref *ref);
/* CHILD_DELETE for each child that is still installed, and none is left in the record. */
void ike_child_delete_all(struct ike_ctx *c);
/* Asks for a new one soon, where we started the tunnel and no child is left. */
void ike_child_want(struct ike_ctx *c);
/* An ESP SPI of ours that no child of the record has; 0 if none was found. */
uint32_t ike_child_spi(const struct ike_ctx *c, unsigned random_at);

/* The step's failure: the Child SA was not made, or not as it was asked for. */
struct model_failure *ike_child_fail(struct ike_ctx *c, enum model_failure_code code);

/* A Child SA in the making. */
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

/* ---- child_offer.c: those that we ask for ---- */

/* The selectors of a child, 0: of a new one. False: they are not known. */
bool ike_child_selectors(const struct ike_ctx *c, uint32_t spi_in, struct ike_ts_lists *ret);
/* SA of a request (group NONE: without PFS), and its TSi and TSr. */
void ike_child_put_offer(struct ike_ctx *c, struct wire_ike_builder *b, uint32_t spi, uint16_t group);
void ike_child_put_selectors(struct wire_ike_builder *b, const struct ike_ts_lists *ts);
/* The answer to that: true with the plan filled. False: *ret_what says what is wrong with it. */
bool ike_child_take(struct ike_ctx *c, const struct ike_request *q, const struct ike_ts_lists *asked,
		    struct ike_child_plan *ret, const char **ret_what);
/* Makes a Delete for a child that the peer has and we never installed. */
void ike_child_disown(struct ike_ctx *c, uint32_t spi_in, uint32_t spi_out);

/* ---- refusal.c: what an error notify to our request means ---- */

/* The first error notify of the message, 0: none. */
uint16_t ike_refusal_of(const struct wire_ike_payloads *in, struct wire_ike_notify *ret);
/* The failure of a CREATE_CHILD_SA that was refused: by a notify, or what NULL is not. */
void ike_refusal_note(struct ike_ctx *c, const struct ike_request *q, uint16_t type, const char *what);
/* True: the next request is made for the group that this notify names. */
bool ike_refusal_other_group(struct ike_ctx *c, const struct ike_request *q, const struct wire_ike_notify *n);

/* ---- rival.c: a rekey of the peer while ours is on its way (RFC 7296 2.8.1, 2.8.2) ---- */

/* Its nonces. */
void ike_rival_note(struct ike_sa *sa, struct bytes ni, struct bytes nr);
/* Whether ours has the lowest of the four, so that the peer's stands. */
bool ike_rival_wins(const struct ike_rival *v, struct bytes ni, struct bytes nr);
void ike_rival_forget(struct ike_sa *sa);
