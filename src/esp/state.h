// What an SA is inside this folder.
// esp/*.c only. The fields are constant once made, but for `own`, of which each worker writes its own
// element, and `last`, which the control thread writes.
#pragma once

#include "crypt/esp_cipher.h"
#include "esp/burst.h"
#include "esp/replay.h"
#include "esp/sa.h"

/* In locked memory, for the keys. */
struct esp_sa {
	/* What every packet needs: one cache line. */
	uint32_t spi;
	bool inbound, counter_iv, esn;
	uint8_t iv_len, icv_len, block_len;
	struct crypt_esp *ctx;       /* of all workers; NULL: each has its own */
	struct esp_counter *counter; /* outbound */
	struct esp_replay replay;    /* inbound */
	_Atomic uint64_t last;       /* outbound: the last number that may be given out; UINT64_MAX: all that the counter has */

	/* To make contexts of, where each worker has its own. */
	struct model_suite suite;
	unsigned worker_cnt;
	struct model_child_keys keys;
	struct crypt_esp *own[];
};
_Static_assert(offsetof(struct esp_sa, suite) <= 64, "the packet road needs one cache line of an SA");

/* Outbound numbers end below this: without extended ones they may not cycle (RFC 4303 3.3.3). */
static inline uint64_t esp_seq_end(const struct esp_sa *sa)
{
	return sa->esn ? ESP_SEQ_END : UINT64_C(1) << 32;
}

struct crypt_esp *esp_sa_own_context(struct esp_sa *sa, unsigned worker);

/* The context that this worker may use, NULL when it cannot be made now. */
static inline struct crypt_esp *esp_sa_context(struct esp_sa *sa, unsigned worker)
{
	return sa->ctx != NULL ? sa->ctx : esp_sa_own_context(sa, worker);
}

/* Reads a byte of each SA. With many SAs they come from memory: all at once then, and not one after the
 * other. A processor may drop prefetches when there are many, but no reads. */
static inline void esp_touch_sas(const struct esp_job *jobs, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		if (i == 0 || jobs[i].sa != jobs[i - 1].sa)
			(void)*(const volatile uint8_t *)&jobs[i].sa->iv_len;
}
