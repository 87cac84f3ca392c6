// The records by which the nodes of a cluster know each other, and the cookie secret that they share.
// Any thread; pure. Keys: node/<slot>, meta/cookie. A field that a newer program wrote is kept by an older one that writes
// the record again.
#pragma once

#include "base/siphash.h"
#include "base/tlv.h"
#include "crypt/seal.h"

#define CLUSTER_SLOT_MAX 4095 /* the 12 bits of an IKE SPI; 0 belongs to gateways without a cluster */
#define CLUSTER_NAME_MAX 64   /* with its NUL */
#define CLUSTER_RECORD_MAX 1024
#define CLUSTER_REST_MAX 256  /* of fields that this program does not know */

/* Unknown fields, as they were read. */
struct cluster_rest {
	uint16_t len;
	uint8_t b[CLUSTER_REST_MAX];
};

enum cluster_state { CLUSTER_UP = 1, CLUSTER_DRAINING = 2 };

struct cluster_node {
	uint32_t incarnation;           /* of the process: never given out twice */
	uint8_t state;                  /* enum cluster_state */
	uint16_t format_oldest, format_newest; /* of SA records, that it reads (model/format.h) */
	struct addr_endpoint mesh;
	char name[CLUSTER_NAME_MAX], site[CLUSTER_NAME_MAX];
	struct cluster_rest rest;
};

/* The secrets of RFC 7296 2.6: the newest, and the one before. sealed: both, under the cluster's key. */
#define CLUSTER_COOKIE_SEALED_LEN (32 + CRYPT_SEAL_OVERHEAD)
struct cluster_cookie {
	uint8_t version;                /* of the newest */
	uint64_t turned_us;             /* wall clock of who did it */
	uint8_t sealed[CLUSTER_COOKIE_SEALED_LEN];
	struct cluster_rest rest;
};

/* The writer turns bad without room. */
void cluster_node_encode(const struct cluster_node *n, struct wr *w);
void cluster_cookie_encode(const struct cluster_cookie *k, struct wr *w);

/* ERR_SYNTAX: not well formed, or a field missing; ERR_VERSION; ERR_FULL: too many unknown fields. */
MUST_USE enum err cluster_node_decode(struct bytes b, struct cluster_node *ret);
MUST_USE enum err cluster_cookie_decode(struct bytes b, struct cluster_cookie *ret);

/* The slot of a key node/<slot>. ERR_SYNTAX. */
MUST_USE enum err cluster_slot_of_key(struct bytes key, uint16_t *ret);
