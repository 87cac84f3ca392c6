// An account: a tenant with its own tunnels, routes, tokens and routing table.
// Any thread; plain values. doc/api.md.
#pragma once

#include "base/addr.h"
#include "model/id.h"
#include "model/problem.h"

#define MODEL_ACCOUNT_NAME_MAX 256  /* with the NUL */
#define MODEL_ACCOUNT_NETNS_MAX 64
#define MODEL_ACCOUNT_ENDPOINTS_MAX 16

struct model_account {
	struct model_id id;
	uint32_t number;                    /* stands in IKE identities; 1 and up, never used twice */
	char name[MODEL_ACCOUNT_NAME_MAX];
	char offramp_netns[MODEL_ACCOUNT_NETNS_MAX]; /* "" is the main namespace */
	bool offramp_default;               /* packets for no route go to the off-ramp (else they are dropped) */
	uint8_t endpoint_cnt;               /* 0: every gateway address of the node */
	struct addr endpoints[MODEL_ACCOUNT_ENDPOINTS_MAX];
	uint64_t created_us;
	uint64_t modified_us;
};

#define MODEL_ACCOUNT_RECORD_MAX 1024

/* Values at the start: off-ramp on, all gateway addresses. */
void model_account_init(struct model_account *a);

/* ERR_RANGE with *problem filled when a field breaks a rule. */
MUST_USE enum err model_account_check(const struct model_account *a, struct model_problem *problem);

/* Record codec. encode: ERR_FULL. decode: ERR_SHORT, ERR_SYNTAX, ERR_VERSION; *ret untouched on failure. */
MUST_USE enum err model_account_encode(const struct model_account *a, struct wr *w);
MUST_USE enum err model_account_decode(struct bytes record, struct model_account *ret);
