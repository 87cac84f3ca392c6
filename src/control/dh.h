// Helper threads for Diffie-Hellman: a bounded queue in front, results behind, oldest first.
// All functions: the control thread. The arithmetic runs in the helpers.
#pragma once

#include "ike/step.h"

#define CONTROL_DH_QUEUE_MAX 256
#define CONTROL_DH_RESERVED 64 /* of them for urgent ones */

struct control_dh;

struct control_dh_done {
	uint64_t tag;
	enum err err; /* of ike_dh_run */
	struct crypt_dh_result result;
};

MUST_USE enum err control_dh_new(unsigned threads, struct control_dh **ret);
void control_dh_free(struct control_dh *d); /* waits for the helpers; NULL is fine */

/* The values of the job are copied. urgent: of an SA that stands, or of our own; done before those of strangers, who cannot
 * fill the queue either. ERR_FULL: the queue is full. */
MUST_USE enum err control_dh_submit(struct control_dh *d, uint64_t tag, const struct ike_dh_job *job, bool urgent);

int control_dh_fd(const struct control_dh *d); /* readable when results wait */

/* Takes one result; false when none waits. The caller wipes it. */
bool control_dh_take(struct control_dh *d, struct control_dh_done *ret);
