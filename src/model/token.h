// API tokens: what the store keeps of them. The token itself is shown once and kept only as a hash.
// Any thread; plain values.
#pragma once

#include "base/bytes.h"
#include "model/id.h"

#define MODEL_TOKEN_NAME_MAX 128
#define MODEL_TOKEN_EMAIL_MAX 256

enum model_token_right { MODEL_TOKEN_READ = 1, MODEL_TOKEN_WRITE = 2 };

struct model_token {
	struct model_id id;
	struct model_id account_id;
	uint8_t hash[32];               /* SHA-256 of the token's text (a token has 256 random bits) */
	uint8_t right;                  /* enum model_token_right; write includes read */
	char name[MODEL_TOKEN_NAME_MAX];
	char email[MODEL_TOKEN_EMAIL_MAX]; /* not empty: also good as X-Auth-Email + X-Auth-Key */
	uint64_t created_us;
	uint64_t revoked_us;            /* 0: good */
};

#define MODEL_TOKEN_RECORD_MAX 640

MUST_USE enum err model_token_encode(const struct model_token *t, struct wr *w);
MUST_USE enum err model_token_decode(struct bytes record, struct model_token *ret);
