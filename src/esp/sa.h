// One direction of a Child SA: keys in locked memory, sequence numbers, replay window, crypto context.
// Making and freeing: the control thread. Sealing and opening (esp/burst.h): workers, each by its own index.
// RFC 4303 2.2, 2.2.1, 3.3.3, 3.4.3; RFC 4106 3.1.
#pragma once

#include "crypt/iv_space.h"
#include "model/sa.h"

#define ESP_REPLAY_MAX 4096 /* packets in the replay window */
#define ESP_REPLAY_ESN 64   /* where none was asked for: extended numbers cannot do without (RFC 4303 A) */

/* What must never repeat under one outbound key. It outlives every SA made with that key: an SA that is
 * installed again goes on where it was. */
struct esp_counter {
	struct crypt_iv_space ivs;
	_Atomic uint64_t seq; /* the last number given out */
};

/* seq_used: numbers up to this one may have been used by an earlier process; 0 for a new SA. */
void esp_counter_init(struct esp_counter *c, uint32_t incarnation, uint64_t seq_used);

/* The key has reached its end: nothing is sealed under it any more. */
void esp_counter_end(struct esp_counter *c);

struct esp_sa;

/* The SA copies the keys that it needs and borrows the counter.
 * ERR_UNSUPPORTED: a suite that this build cannot run; ERR_RANGE: window;
 * ERR_MEMORY, ERR_CRYPTO. */
MUST_USE enum err esp_sa_new_out(const struct model_child_sa *child, struct esp_counter *counter,
				 unsigned worker_cnt, struct esp_sa **ret);
/* replay_window in packets, 0: none, or ESP_REPLAY_ESN with extended sequence numbers. */
MUST_USE enum err esp_sa_new_in(const struct model_child_sa *child, uint16_t replay_window,
				unsigned worker_cnt, struct esp_sa **ret);
/* Wipes. No worker may use it any more; NULL is fine. */
void esp_sa_free(struct esp_sa *sa);

/* Outbound, where several nodes send on the SA: numbers are given out from `above` (not below what was) up to `last`, and no
 * others. Before the SA is published: (0, 0), and there are none. The control thread. */
void esp_sa_allot(struct esp_sa *sa, uint64_t above, uint64_t last);

/* Inbound: the highest sequence number that came, 0: none, or there is no window. Any thread. */
uint64_t esp_sa_seq_in(const struct esp_sa *sa);

/* Inbound, with a window: that number has come somewhere. Any thread. */
void esp_sa_seen(struct esp_sa *sa, uint64_t seq);

/* Outbound: IVs or sequence numbers are used up to three quarters. Any thread. */
bool esp_sa_is_low(const struct esp_sa *sa);
