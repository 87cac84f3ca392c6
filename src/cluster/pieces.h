// Messages of the mesh that are longer than a datagram: put together of their pieces. Pure; bounded: the oldest gives way.
// The control thread. Format: wire/mesh.h, PIECE.
#pragma once

#include "wire/mesh.h"

#define CLUSTER_PIECES_MAX 32           /* messages in the making */
#define CLUSTER_PIECES_LIFE_US 1000000u

struct cluster_pieces_one {
	uint32_t from;                  /* incarnation; 0: free */
	uint32_t number;
	uint64_t since_us;
	uint8_t cnt;
	uint8_t have;                   /* bit set over the pieces */
	uint16_t len[WIRE_MESH_PIECES_MAX];
	uint8_t parts[WIRE_MESH_PIECES_MAX][WIRE_MESH_PART_MAX];
};

struct cluster_pieces {
	struct cluster_pieces_one one[CLUSTER_PIECES_MAX];
	uint8_t whole[WIRE_MESH_MESSAGE_MAX];
};

/* Takes the piece of an authenticated sender. ERR_NONE: *ret_text is the message, until the next call; ERR_AGAIN: others
 * are missing; ERR_SYNTAX: it does not go with the others, or the whole is too long: all of them are forgotten.
 * *ret_lost: a message was given up for this one. */
MUST_USE enum err cluster_pieces_take(struct cluster_pieces *p, uint32_t from, const struct wire_mesh_msg *piece,
				      uint64_t now_us, struct bytes *ret_text, bool *ret_lost);

/* How many pieces a message of that length takes: 1 is none. */
unsigned cluster_pieces_cnt(size_t len);
/* Piece number index of cnt. */
struct wire_mesh_msg cluster_pieces_cut(struct bytes text, uint32_t number, unsigned index, unsigned cnt);
