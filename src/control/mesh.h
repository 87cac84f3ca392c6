// The socket between the nodes of a cluster, as mesh.c and mesh_take.c share it.
// The control thread only. Format: wire/mesh.h.
#pragma once

#include "cluster/link.h"
#include "cluster/pieces.h"
#include "control/internal.h"

struct control_mesh {
	struct cluster_link link;
	struct cluster_pieces pieces;
	uint64_t ping_us;             /* when the next one is due */
	uint64_t applied, told;       /* revisions: what is installed, and what the others know of that */
	uint32_t number;              /* of messages that go in pieces */
	uint8_t text[WIRE_MESH_MESSAGE_MAX];
	uint8_t part[WIRE_MESH_TEXT_MAX];
	uint8_t out[WIRE_MESH_DATAGRAM_MAX];
	uint8_t in[WIRE_MESH_DATAGRAM_MAX + 1]; /* one more, to see what is too long */
	struct fwd_punt punt;
};

/* What the others do not know yet of what is installed, and each CLUSTER_PING_US a sign of life. fresh: the store's news come. True: the sign was sent. */
bool control_mesh_tell(struct control *c, bool fresh);
