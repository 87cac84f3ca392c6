// The datagrams of the mesh: what the nodes of a cluster tell each other over the management network.
// Any thread; pure. Sealing: cluster/link.h.
//
//   datagram   version u8 | 0 u8 | 0 u16 | incarnation of the sender u32 | of the receiver u32 | counter u64 |
//              AES-256-GCM(message) | ICV 16
//   message    kind u8 | body
//
//   PING       flags u8 | applied revision u64 | what newer programs add
//   FORWARD    flags u8 | local | remote | IKE message           an endpoint: family u8 (4, 6) | address | port u16
//   PROVEN     SPI of ours u32
//   APPLIED    revision u64
//   INNER      SPI of ours u32 | inner packet
//   TAKEN      SPI of ours u32 | revision u64 | number u64     the sender numbers the SA's packets, above that number
//   LEFT       SPI of ours u32 | revision u64                  the sender has ceased to, for the one that took it by that revision
//   FRAGMENT   IP packet                                      which is one of a datagram's
//   PIECE      message number u32 | index u8 | count u8 | a part of a message
//   ROW        revision u64 | length of the key u8 | key | value            of the store
//   USED       one or more of: SPI of ours u32 | incarnation u32 | packets in u64, out u64 | inner bytes in u64, out u64
//   ASK        number u32 | one or more SPIs of ours of IKE SAs u64
//   SEEN       number u32 | of each of these: packets in u64, out u64 | switches u64 | out since it was asked before u32 |
//              in, out by the SAs that there are u32, u32 | milliseconds since the peer was heard u32
//   TOO_BIG    SPI of the peer u32 | MTU u32 | local | remote      a router's word about an ESP packet; endpoints as above
//
// A longer message goes in pieces, each a datagram of at most WIRE_MESH_DATAGRAM_MAX bytes.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"

#define WIRE_MESH_VERSION 1
#define WIRE_MESH_HEADER_LEN 20
#define WIRE_MESH_ICV_LEN 16
#define WIRE_MESH_DATAGRAM_MAX 1452 /* with UDP and IPv6 in an Ethernet frame */
#define WIRE_MESH_TEXT_MAX (WIRE_MESH_DATAGRAM_MAX - WIRE_MESH_HEADER_LEN - WIRE_MESH_ICV_LEN)
#define WIRE_MESH_PIECE_LEN 7       /* in front of the part */
#define WIRE_MESH_PART_MAX (WIRE_MESH_TEXT_MAX - WIRE_MESH_PIECE_LEN)
#define WIRE_MESH_PIECES_MAX 7
#define WIRE_MESH_MESSAGE_MAX 9216  /* an inner packet of 9000 bytes, an IKE datagram of 8192 */

_Static_assert(WIRE_MESH_PIECES_MAX * WIRE_MESH_PART_MAX >= WIRE_MESH_MESSAGE_MAX, "every message fits the pieces");

struct wire_mesh_header {
	uint32_t from, to; /* incarnations */
	uint64_t counter;
};

enum wire_mesh_kind {
	WIRE_MESH_PING = 1, WIRE_MESH_FORWARD, WIRE_MESH_PROVEN, WIRE_MESH_APPLIED, WIRE_MESH_INNER, WIRE_MESH_PIECE,
	WIRE_MESH_TAKEN, WIRE_MESH_LEFT, WIRE_MESH_USED, WIRE_MESH_ROW,
	WIRE_MESH_FRAGMENT, WIRE_MESH_ASK, WIRE_MESH_SEEN, WIRE_MESH_TOO_BIG
};

/* What one process has used of the keys of a Child SA. */
struct wire_mesh_used {
	uint32_t spi_in, incarnation;
	uint64_t in_packets, out_packets, in_bytes, out_bytes;
};
#define WIRE_MESH_USED_LEN 40
#define WIRE_MESH_USED_MAX 32 /* in a message, which then is one datagram */

/* What one process has seen of a tunnel, by its IKE SA. */
struct wire_mesh_seen {
	uint64_t in_packets, out_packets, switches; /* of the tunnel */
	uint32_t sent;               /* since it was asked before */
	uint32_t in_now, out_now;    /* by the SAs that there are; no more than fits */
	uint32_t heard_ms;           /* WIRE_MESH_SEEN_NOTHING: it does not know the IKE SA */
};
#define WIRE_MESH_SEEN_NOTHING UINT32_MAX
#define WIRE_MESH_SEEN_LEN 40
#define WIRE_MESH_SEEN_MAX 32 /* in a message, which then is one datagram */

struct wire_mesh_msg {
	enum wire_mesh_kind kind;
	union {
		struct { bool draining, fresh; uint64_t applied; } ping;
		struct { bool natt, no_marker; struct addr_endpoint local, remote; struct bytes msg; } forward;
		uint32_t spi_in;  /* PROVEN */
		uint64_t applied; /* APPLIED */
		struct { uint32_t spi_in; struct bytes packet; } inner;
		struct { uint32_t spi_in; uint64_t rev, out; } taken; /* LEFT: without out */
		struct { uint32_t number; uint8_t index, cnt; struct bytes part; } piece;
		struct { uint64_t mod_rev; struct bytes key, value; } row;
		struct bytes fragment;
		struct bytes used; /* USED: that many of WIRE_MESH_USED_LEN */
		struct { uint32_t number; struct bytes list; } ask;  /* of 8 */
		struct { uint32_t number; struct bytes list; } seen; /* of WIRE_MESH_SEEN_LEN */
		struct { uint32_t spi_out, mtu; struct addr_endpoint local, remote; } too_big;
	};
};

void wire_mesh_header_build(struct wr *w, const struct wire_mesh_header *h);
/* Also that there may be a message behind it. ERR_SHORT, ERR_LONG, ERR_VERSION, ERR_SYNTAX. */
MUST_USE enum err wire_mesh_header_parse(struct bytes datagram, struct wire_mesh_header *ret);

/* The writer turns bad without room. */
void wire_mesh_build(struct wr *w, const struct wire_mesh_msg *m);
void wire_mesh_used_put(struct wr *w, const struct wire_mesh_used *u);
/* Takes the first of the list; false: it was empty. */
bool wire_mesh_used_next(struct bytes *list, struct wire_mesh_used *ret);
/* The same for the lists of ASK and SEEN. */
bool wire_mesh_ask_next(struct bytes *list, uint64_t *ret_spi);
void wire_mesh_seen_put(struct wr *w, const struct wire_mesh_seen *s);
bool wire_mesh_seen_next(struct bytes *list, struct wire_mesh_seen *ret);
/* What *ret borrows is of text. ERR_UNSUPPORTED: a kind of a newer program; ERR_SYNTAX. */
MUST_USE enum err wire_mesh_parse(struct bytes text, struct wire_mesh_msg *ret);
