// A tunnel's pre-shared keys as the store has them: sealed to the gateways, the one in force and the one before.
// Any thread; plain values. crypt/seal.h makes and opens the sealed bytes.
#pragma once

#include "base/bytes.h"
#include "model/id.h"

#define MODEL_PSK_LEN_MAX 256    /* bytes of a key given by the caller */
#define MODEL_PSK_SEALED_MAX 384 /* a sealed key: MODEL_PSK_LEN_MAX + CRYPT_SEAL_OVERHEAD */

struct model_psk {
	struct model_id tunnel_id;
	uint16_t current_len;
	uint8_t current[MODEL_PSK_SEALED_MAX];
	uint16_t previous_len; /* 0: none; only used to say "the peer still has the old key" */
	uint8_t previous[MODEL_PSK_SEALED_MAX];
	uint64_t set_us;
};

#define MODEL_PSK_RECORD_MAX 1024

MUST_USE enum err model_psk_encode(const struct model_psk *p, struct wr *w);
MUST_USE enum err model_psk_decode(struct bytes record, struct model_psk *ret);
