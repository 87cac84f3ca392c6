// All accounts, for the administrator's calls.
// Inside api only; its one thread.
#pragma once

#include "api/call.h"

struct api_accounts {
	struct model_account *list; /* by number */
	size_t cnt, cap;
};

/* Fails the call. Call api_accounts_fini in any case. */
void api_accounts_load(struct api_call *c, struct api_accounts *ret);
void api_accounts_fini(struct api_accounts *a);

/* Revokes all tokens of an account that is gone, and tells the log what could not be. */
void api_tokens_revoke(struct api_call *c, const struct model_id *account);
