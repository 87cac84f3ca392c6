// Helper threads for Diffie-Hellman: a bounded queue in front, results behind, oldest first.
// All functions: the control thread. The arithmetic runs in the helpers.
#pragma once

#include "crypt/dh.h"

#define CONTROL_DH_QUEUE_MAX 256

struct control_dh;

struct control_dh_done {
	uint64_t tag;
	enum err err; /* of crypt_dh_respond */
	struct crypt_dh_result result;
};

MUST_USE enum err control_dh_new(unsigned threads, struct control_dh **ret);
void control_dh_free(struct control_dh *d); /* waits for the helpers; NULL is fine */

/* peer_public is copied. ERR_FULL: the queue is full. */
MUST_USE enum err control_dh_submit(struct control_dh *d, uint64_t tag, uint16_t group, struct bytes peer_public);

int control_dh_fd(const struct control_dh *d); /* readable when results wait */

/* Takes one result; false when none waits. The caller wipes it. */
bool control_dh_take(struct control_dh *d, struct control_dh_done *ret);
