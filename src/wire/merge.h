// Packets of one flow that follow each other put together to one superpacket, as receive offload does it.
// Any thread; pure, no allocation. RFC 9293 3.1, RFC 768, RFC 6864; the rules are those of the kernel's GRO.
//
// Nothing is lost that a receiver could have seen: cut again, the superpacket gives the same packets. A packet joins only
// when its checksum is right, for afterwards there is none.
#pragma once

#include "wire/ip.h"

#define WIRE_MERGE_MAX 64 /* packets; what the kernel takes in one UDP superpacket */

/* What merging asks of one packet. */
struct wire_piece {
	struct bytes packet;
	size_t ip_len, header_len; /* IP headers; with the transport header */
	size_t payload_len;
	uint32_t pseudo_sum;       /* with the length */
	uint32_t seq;
	uint16_t id;
	uint8_t version, protocol;
	uint8_t flags;             /* TCP */
};

/* False: this one goes alone (no payload, IP options, extension headers, fragment, TCP flags that mean more, UDP without
 * a checksum). */
bool wire_piece_parse(struct bytes packet, const struct wire_ip *ip, struct wire_piece *ret);
/* Nothing can be put behind it. */
bool wire_piece_is_last(const struct wire_piece *p);

struct wire_merge {
	struct wire_piece first;
	size_t payload_len;  /* of all */
	unsigned cnt;
	uint32_t next_seq;
	uint8_t last_flags;
	bool verified, same_id, closed;
};

void wire_merge_begin(struct wire_merge *m, const struct wire_piece *first);
/* False: it does not follow, or a checksum is wrong. After true its payload belongs behind that of the others. */
bool wire_merge_add(struct wire_merge *m, const struct wire_piece *p);
/* Edits the headers of the first packet, in place, to those of a superpacket of two packets or more whose transport
 * checksum is left to the kernel. headers: at least first.header_len bytes. Returns where in the transport header the
 * checksum stands. */
size_t wire_merge_finish(const struct wire_merge *m, struct space headers);
