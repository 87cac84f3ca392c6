// Single records out of the store, decoded; and the number and id values that have no codec of their own.
// Inside api only; its one thread.
#pragma once

#include "api/call.h"
#include "model/key.h"
#include "model/psk.h"
#include "model/state.h"

/* ERR_NOTFOUND; the store's errors; ERR_SYNTAX and the like for a record that cannot be read.
 * A store of NULL is away. */
MUST_USE enum err api_record_account(struct store *s, const struct model_key *key, struct model_account *ret);
MUST_USE enum err api_record_token(struct store *s, const struct model_key *key, struct model_token *ret);
MUST_USE enum err api_record_psk(struct store *s, const struct model_key *key, struct model_psk *ret);
MUST_USE enum err api_record_state(struct store *s, const struct model_key *key,
				   struct model_tunnel_state *ret);
MUST_USE enum err api_record_id(struct store *s, const struct model_key *key, struct model_id *ret);
MUST_USE enum err api_record_u32(struct store *s, const struct model_key *key, uint32_t *ret,
				 uint64_t *ret_mod_rev);
/* The revision that changed the key last, 0: there is none. */
MUST_USE enum err api_record_rev(struct store *s, const struct model_key *key, uint64_t *ret_mod_rev);
