// What an SA is inside this folder.
// esp/*.c only. The fields are constant once made, but for the contexts, each written by its worker alone.
#pragma once

#include "crypt/esp_cipher.h"
#include "esp/replay.h"
#include "esp/sa.h"

struct esp_sa {
	uint32_t spi;
	bool inbound, counter_iv;
	uint8_t iv_len, icv_len, block_len;
	uint8_t encr_len, integ_len;
	struct model_suite suite;
	struct esp_counter *counter; /* outbound */
	struct esp_replay replay;    /* inbound */
	struct model_child_keys keys;
	unsigned worker_cnt;
	struct crypt_esp *ctx[];     /* one a worker, made at its first packet */
};

/* The worker's context, NULL when it cannot be made now. */
struct crypt_esp *esp_sa_context(struct esp_sa *sa, unsigned worker);
