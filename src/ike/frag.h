// IKE fragments: what came so far of one message, each piece verified and decrypted before it is kept.
// Memory of the caller, beside the SA's record and not in it: a lost reassembly costs a repetition, no more. Control
// thread, and whoever else steps SAs. RFC 7383.
//
// Whoever takes datagrams gives those that ike_frag_is knows to ike_frag_take instead of a step. When it says WHOLE,
// the step runs with an event that carries the message's plaintext (ev->inner), as if it had come in one piece.
#pragma once

#include "ike/sa.h"
#include "ike/step.h"

#define IKE_FRAGS_MAX 64           /* pieces of one message */
#define IKE_FRAGS_LIFE_US 20000000u /* from the first piece to the last, else all are forgotten */

struct ike_frags {
	bool used;
	bool response;
	uint8_t exchange;
	uint8_t first;          /* type of the first payload inside, from fragment 1 */
	uint32_t msg_id;
	uint16_t total, cnt;    /* fragments in all, and those that are here */
	uint64_t since_us;
	struct {
		bool here;
		uint16_t at, len; /* in room */
	} piece[IKE_FRAGS_MAX];
	uint16_t room_len, head_len;
	uint8_t room[IKE_MESSAGE_MAX]; /* plaintext */
	uint8_t head[IKE_MESSAGE_MAX]; /* the datagram with fragment 1, which stands for the message afterwards */
};

enum ike_frag_result {
	IKE_FRAG_DROPPED, /* out says why; or the cached answer goes out again */
	IKE_FRAG_KEPT,    /* the message is not whole yet */
	IKE_FRAG_WHOLE,   /* ike_frag_join makes the event */
};

/* Whether a datagram is a fragment, by its outside alone. */
bool ike_frag_is(struct bytes msg);

/* Takes a fragment for the SA (the record, or that of a half-open one). f is zeroed memory at first. out is reset and
 * filled with IKE_ACT_DROP, IKE_ACT_SEND (RFC 7383 2.6.1: the answer again, to fragment 1 of a request that
 * was answered), IKE_ACT_COUNT. It changes no record. */
enum ike_frag_result ike_frag_take(struct ike_frags *f, const struct ike_sa *sa, const struct ike_event *ev,
				   struct ike_out *out);

/* The whole message: ev->msg becomes fragment 1, ev->inner the plaintext, both in room; f is empty afterwards.
 * room: IKE_FRAG_JOIN_MAX bytes. */
#define IKE_FRAG_JOIN_MAX (2 * IKE_MESSAGE_MAX)
void ike_frag_join(struct ike_frags *f, struct space room, struct ike_event *ev);

/* Wipes: it holds what peers said in private. */
void ike_frag_forget(struct ike_frags *f);
