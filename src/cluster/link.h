// Sealing of mesh datagrams between two processes of the cluster: authenticated, encrypted, each taken once.
// The control thread. Format: wire/mesh.h.
//
//   key of a direction = HKDF(cluster key, "onramp mesh" | incarnation of the sender | of the receiver): 32, and 4 of salt
//   nonce              = salt | counter, one counter for all that this process sends
//
// Incarnations are never given out twice and the counter never goes back, so no nonce repeats under a key whatever is
// forgotten here of peers that went away. What was taken of whom is kept for CLUSTER_LINK_PEERS processes; the oldest of those
// that went away is forgotten first, and then neither it nor what is older and forgotten is taken up again.
#pragma once

#include "cluster/members.h"
#include "wire/mesh.h"

#define CLUSTER_LINK_KEY_LEN 32
#define CLUSTER_LINK_PEERS (2 * CLUSTER_NODES_MAX)
#define CLUSTER_LINK_WINDOW 1024 /* datagrams that may come behind later ones */

struct cluster_link_peer {
	uint32_t incarnation;            /* 0: free */
	bool gone;                       /* it is no member any more */
	uint8_t out[36], in[36];
	uint64_t top;                    /* the highest counter that was taken, plus 1 */
	uint64_t window[CLUSTER_LINK_WINDOW / 64]; /* bit counter % CLUSTER_LINK_WINDOW: it was taken */
};

struct cluster_link {
	uint8_t key[CLUSTER_LINK_KEY_LEN];
	uint32_t self;                   /* our incarnation */
	uint64_t next;                   /* counter */
	uint32_t floor;                  /* no process up to this one is taken up again */
	struct cluster_link_peer peers[CLUSTER_LINK_PEERS];
};

/* cluster_key: what all nodes share; a key of its own is made of it. ERR_CRYPTO. */
MUST_USE enum err cluster_link_init(struct cluster_link *l, struct bytes cluster_key, uint32_t self);
void cluster_link_fini(struct cluster_link *l); /* wipes */

/* That process is no member any more; it may become one again. */
void cluster_link_gone(struct cluster_link *l, uint32_t incarnation);

/* A datagram with that text, of 1 to WIRE_MESH_TEXT_MAX bytes. ERR_FULL: no room, or the counter has ended; ERR_DENIED: of a
 * process that was forgotten; ERR_CRYPTO. */
MUST_USE enum err cluster_link_seal(struct cluster_link *l, uint32_t to, struct bytes text, struct space out,
				    size_t *ret_len);

/* The text of a datagram whose header was read, decrypted in place: it is borrowed of the datagram. The caller knows the sender
 * as a member. ERR_DENIED: not to us, or of a process that was forgotten; ERR_AUTH; ERR_EXISTS: it was taken
 * before, or is too old to tell. */
MUST_USE enum err cluster_link_open(struct cluster_link *l, const struct wire_mesh_header *h, struct space datagram,
				    struct bytes *ret_text);
