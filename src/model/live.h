// Live detail of a tunnel, and what to do with it now: asked of the gateway process by the api process, never stored.
// Any thread; plain values. The messages are fixed TLV records (base/tlv.h) in one SOCK_SEQPACKET packet each.
//
//   request   version | op u8 | account id | tunnel id, or the one after which to go on (op TUNNELS) | number u32
//   reply     version | error u8 | number u32, of the request | a nested record for each tunnel, counter or failure | more u8
#pragma once

#include "model/failure.h"
#include "model/sa.h"

enum model_live_op { MODEL_LIVE_TUNNEL = 1, MODEL_LIVE_TUNNELS = 2, MODEL_LIVE_COUNTERS = 3, MODEL_LIVE_UNKNOWN = 4,
	/* the history of a tunnel, newest first, and behind it the failures of unknown identities that are near it */
	MODEL_LIVE_WHY = 5,
	/* ask for a rekey of the tunnel's Child SAs, or of its IKE SA; the answer does not wait for it. ERR_CONFLICT: not up */
	MODEL_LIVE_REKEY_CHILD = 6, MODEL_LIVE_REKEY_IKE = 7,
	/* the nodes of the cluster as this one knows them, itself first; and whether this one shall get traffic. ERR_UNSUPPORTED:
	 * there is no cluster */
	MODEL_LIVE_NODES = 8, MODEL_LIVE_NODE_DRAIN = 9, MODEL_LIVE_NODE_UNDRAIN = 10,
	MODEL_LIVE_OP_LAST = MODEL_LIVE_NODE_UNDRAIN };

/* The one account of a site (onrampd --site). */
static inline struct model_id model_live_site_account(void)
{
	return (struct model_id){ .b = { [15] = 1 } };
}

struct model_live_request {
	uint8_t op;
	struct model_id account_id;
	struct model_id tunnel_id;
	uint32_t number; /* comes back with the reply; 0: none */
};

#define MODEL_LIVE_NAME_MAX 64

struct model_live_tunnel {
	struct model_id account_id, tunnel_id;
	char name[MODEL_LIVE_NAME_MAX]; /* of a site's tunnel; else "": the store has it */
	bool up;                     /* has a Child SA */
	uint64_t since_us;           /* of the present state */
	uint8_t identity_type;       /* enum ike_id_type, 0: none yet */
	char identity[MODEL_IDENTITY_TEXT_MAX];
	struct model_suite ike_suite;   /* encr 0: no IKE SA */
	struct model_suite child_suite; /* encr 0: no Child SA */
	struct model_path path;
	uint16_t start_port;         /* to which the peer sent IKE_SA_INIT: 500 or 4500 */
	bool nat_claimed;            /* NAT_DETECTION says the peer is behind a NAT */
	bool nat_seen;               /* its source port is none of 500 and 4500: a NAT is really there */
	uint16_t child_cnt;
	uint16_t effective_mtu;      /* largest inner packet, 0: no Child SA */
	uint32_t child_rekeys, ike_rekeys;
	uint64_t in_packets, in_bytes, out_packets, out_bytes; /* inner bytes, since the gateway started */
	uint64_t last_in_us;         /* last opened packet, 0: none */
	bool has_failure;
	struct model_failure failure;
};

struct model_live_counter {
	char name[48];
	uint64_t value;
};

struct model_live_node {
	uint16_t slot;               /* 0: none yet */
	char name[MODEL_LIVE_NAME_MAX], site[MODEL_LIVE_NAME_MAX];
	char mesh[ADDR_ENDPOINT_TEXT_MAX];
	uint32_t incarnation;
	bool self, alive, draining;
	bool fresh;                  /* the store's news come */
	bool ready;                  /* of this node: routers should send here */
	uint64_t applied;            /* revision of the store up to which it has installed SAs */
};

#define MODEL_LIVE_MESSAGE_MAX 65536

MUST_USE enum err model_live_request_encode(const struct model_live_request *r, struct wr *w);
MUST_USE enum err model_live_request_decode(struct bytes b, struct model_live_request *ret);

/* A reply is begun, filled while there is room, and ended. add: ERR_FULL leaves the reply as it was. */
struct model_live_reply {
	struct wr w;
};
void model_live_reply_begin(struct model_live_reply *r, struct space room, enum err result);
void model_live_reply_number(struct model_live_reply *r, uint32_t number); /* right after that */
MUST_USE enum err model_live_reply_add_tunnel(struct model_live_reply *r, const struct model_live_tunnel *t);
MUST_USE enum err model_live_reply_add_counter(struct model_live_reply *r, const char *name, uint64_t value);
MUST_USE enum err model_live_reply_add_node(struct model_live_reply *r, const struct model_live_node *n);
MUST_USE enum err model_live_reply_add_failure(struct model_live_reply *r, const struct model_failure *f);
struct bytes model_live_reply_end(struct model_live_reply *r, bool more);

/* Reads a reply: one of the callbacks for each entry (NULL: skipped). ERR_SYNTAX and the like for a
 * broken one; *ret_error is the gateway's own answer. */
struct model_live_sink {
	void (*tunnel)(void *arg, const struct model_live_tunnel *t);
	void (*counter)(void *arg, const struct model_live_counter *c);
	void (*failure)(void *arg, const struct model_failure *f);
	void (*node)(void *arg, const struct model_live_node *n);
	void *arg;
};
MUST_USE enum err model_live_reply_parse(struct bytes b, const struct model_live_sink *sink, enum err *ret_error,
					 bool *ret_more);
/* The number of the request that it answers; 0: it has none. */
uint32_t model_live_reply_answers(struct bytes b);
