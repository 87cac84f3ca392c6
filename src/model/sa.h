// A Child SA as a record: everything that is needed to seal and open its packets and to go on after a restart.
// Any thread; plain values. RFC 7296 2.17, RFC 4301 4.4.2.
#pragma once

#include "base/addr.h"
#include "model/format.h"
#include "model/id.h"
#include "model/proposal.h"

#define MODEL_TS_MAX 8          /* selectors a side in one Child SA */
#define MODEL_CHILD_KEY_MAX 36  /* AES-256-GCM key and 4 byte salt; CBC-256 has 32 */
#define MODEL_CHILD_ICV_KEY_MAX 32

/* A range of addresses, ports and one protocol (0: any). RFC 7296 3.13.1. */
struct model_ts {
	uint8_t protocol;
	uint16_t port_first, port_last;
	struct addr first, last;
};

struct model_child_keys {
	uint8_t encr[MODEL_CHILD_KEY_MAX]; /* with the salt behind it for AEAD (RFC 4106 8.1) */
	uint8_t integ[MODEL_CHILD_ICV_KEY_MAX];
};

/* How packets of an SA travel outside. */
struct model_path {
	struct addr_endpoint local;  /* our gateway address; port 500, 4500, or 0 with native ESP */
	struct addr_endpoint remote;
	bool udp_encap;              /* ESP in UDP (RFC 3948), else IP protocol 50 */
};

struct model_child_sa {
	uint32_t spi_in;   /* ours */
	uint32_t spi_out;  /* the peer's */
	uint64_t ike_spi;  /* our SPI of the IKE SA that it belongs to */
	struct model_id account_id;
	struct model_id tunnel_id;
	struct model_suite suite;
	struct model_child_keys keys_in, keys_out;
	struct model_path path;
	uint8_t ts_local_cnt, ts_remote_cnt; /* local: our side; remote: the customer's side */
	struct model_ts ts_local[MODEL_TS_MAX];
	struct model_ts ts_remote[MODEL_TS_MAX];
	uint64_t created_us;
	uint64_t expires_us;
	bool sequenced;    /* the peer checks for replays: in a cluster one node numbers all packets to it */
	uint64_t seq_out_first; /* outbound numbers up to this one are reserved with the record itself */
	/* Not in the record, because they change with every packet; of an SA that goes on after a restart: */
	uint64_t seq_out_used; /* outbound numbers up to this one may be used up */
	uint64_t seq_in_seen;  /* an inbound number that was taken, less than 2^32 below the last one */
	uint64_t bytes_used;   /* inner bytes under one key, about */
};

#define MODEL_CHILD_RECORD_MAX 2048 /* holds keys: seal before it leaves the process */

MUST_USE enum err model_child_encode(const struct model_child_sa *c, uint16_t format, struct wr *w);
MUST_USE enum err model_child_decode(struct bytes record, struct model_child_sa *ret);

/* The codec of a list of selectors, of suites and of paths is shared with the IKE SA's record. */
void model_suite_put(struct wr *w, uint16_t type, const struct model_suite *s);
MUST_USE enum err model_suite_get(struct bytes value, struct model_suite *ret);
void model_path_put(struct wr *w, uint16_t type, const struct model_path *p);
MUST_USE enum err model_path_get(struct bytes value, struct model_path *ret);
void model_ts_put(struct wr *w, uint16_t type, const struct model_ts *ts);
MUST_USE enum err model_ts_get(struct bytes value, struct model_ts *ret);

bool model_ts_contains(const struct model_ts *ts, const struct addr *a, uint8_t protocol, uint16_t port);
