// A superpacket of one flow, as segmentation offload hands it over, cut into the packets that it stands for.
// Any thread; pure, no allocation. What the kernel's own segmentation does: RFC 9293 3.1, RFC 768, RFC 3168 6.1.2, RFC 6864.
#pragma once

#include "wire/ip.h"

struct wire_split {
	struct bytes headers; /* of the superpacket: IP and transport */
	struct rd payload;    /* what is still to be given */
	size_t segment;       /* payload bytes of each packet but the last */
	size_t ip_len;        /* bytes of IP headers */
	uint32_t addresses;   /* pseudo header without the length */
	uint32_t seq;         /* TCP, of the next packet */
	uint16_t id;          /* IPv4, of the next packet */
	uint8_t version, protocol;
	bool first;
};

/* The transport checksum of the superpacket is not read. ip: of packet, whose length is ip->total_len.
 * ERR_SYNTAX: not TCP or UDP, a fragment, headers cut short, no segment length or nothing to cut. */
MUST_USE enum err wire_split_begin(struct bytes packet, const struct wire_ip *ip, size_t segment, struct wire_split *ret);

/* How many packets are left, and how long the next one is. */
size_t wire_split_left(const struct wire_split *s);
size_t wire_split_len(const struct wire_split *s);

/* Writes the next packet, with its checksums, to out, which has room for it (asserted). */
void wire_split_next(struct wire_split *s, struct space out);

/* Completes a transport checksum that was left to the device: the ones' complement sum from start to the end goes to
 * start + offset, where the sum of the pseudo header stands now. False: that is not inside of the packet. */
bool wire_checksum_complete(struct space packet, size_t start, size_t offset);
