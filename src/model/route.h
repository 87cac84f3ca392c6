// A static route of an account: prefix to next hop, where the next hop is the customer side of a tunnel.
// Any thread; plain values. Magic WAN API "routes".
#pragma once

#include "base/addr.h"
#include "model/id.h"
#include "model/problem.h"

#define MODEL_ROUTE_DESCRIPTION_MAX 1025
#define MODEL_ROUTE_COLOS_MAX 16
#define MODEL_ROUTE_COLO_MAX 16       /* "den01" */
#define MODEL_ROUTE_REGIONS_MAX 16    /* more than there are, for those of a later program */
#define MODEL_ROUTE_EQUAL_MAX 64      /* routes with the same prefix and priority */
#define MODEL_ROUTE_WEIGHT_MAX 256
#define MODEL_ROUTE_PRIORITY_MAX 400000 /* the penalties of health checks (500000, 1000000) stay above it */

struct model_route {
	struct model_id id;
	struct model_id account_id;
	struct addr_prefix prefix;     /* as given, host bits kept for the echo; routing masks them */
	struct addr nexthop;
	uint32_t priority;             /* lower wins */
	uint16_t weight;               /* 0: not given, an equal share */
	bool has_description;
	bool has_scope;
	char description[MODEL_ROUTE_DESCRIPTION_MAX];
	uint8_t colo_name_cnt;
	char colo_names[MODEL_ROUTE_COLOS_MAX][MODEL_ROUTE_COLO_MAX];
	uint8_t region_cnt;
	uint8_t regions[MODEL_ROUTE_REGIONS_MAX]; /* indices of model_region_names, each once, in the order given */
	uint64_t created_us;
	uint64_t modified_us;
};

#define MODEL_ROUTE_RECORD_MAX 2048
#define MODEL_REGION_CNT 9
/* AFR APAC EEUR ENAM ME OC SAM WEUR WNAM */
extern const char *const model_region_names[MODEL_REGION_CNT];
/* One more region; one that is there already changes nothing. */
void model_route_add_region(struct model_route *r, uint8_t region);

void model_route_init(struct model_route *r);

/* ERR_RANGE with *problem filled. */
MUST_USE enum err model_route_check(const struct model_route *r, struct model_problem *problem);

/* Same masked prefix, next hop, priority and scope: a duplicate. */
bool model_route_same(const struct model_route *a, const struct model_route *b);

MUST_USE enum err model_route_encode(const struct model_route *r, struct wr *w);
MUST_USE enum err model_route_decode(struct bytes record, struct model_route *ret);
