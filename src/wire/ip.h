// IPv4 and IPv6 packets: headers as views, the few edits a router makes, checksums.
// Any thread; pure, no allocation. RFC 791, 8200, 1071, 1624.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "base/iana.h"

#define WIRE_IP4_HEADER_MIN 20
#define WIRE_IP6_HEADER_LEN 40
#define WIRE_IP6_FRAGMENT_LEN 8
#define WIRE_IP6_EXTENSIONS_MAX 8 /* in one packet; real ones have one or two, junk could have thousands */

struct wire_ip {
	uint8_t version;     /* 4 or 6 */
	uint8_t tos;         /* DSCP and ECN */
	uint8_t ttl;         /* hop limit */
	uint8_t protocol;    /* of the payload, behind IPv6 extension headers */
	bool dont_fragment;  /* v6: always true */
	bool more_fragments;
	uint16_t fragment_offset; /* in bytes; not 0: payload has no transport header */
	struct addr src, dst;
	size_t header_len;   /* up to the payload, extension headers included */
	size_t total_len;    /* by the header, at most the given length */
	struct bytes payload;
};

/* ERR_SHORT: the header or the total length exceeds packet; ERR_VERSION: neither 4 nor 6;
 * ERR_SYNTAX: a header length, a fragment's place or an extension chain that cannot be, or a chain above
 * the cap. Bytes behind total_len are ignored.
 * The v4 header checksum is not checked (see wire_ip4_checksum_ok). */
MUST_USE enum err wire_ip_parse(struct bytes packet, struct wire_ip *ret);

struct wire_ip_fragment {
	uint32_t id;         /* identification */
	uint32_t len;        /* how much of the datagram it is; in IPv6 with the headers behind the fragment header */
};
/* Of a packet that has parsed. False: it is none, or (RFC 6946) all of its datagram, or, in IPv6, its header does not come right
 * behind the IPv6 header. */
bool wire_ip_fragment(struct bytes packet, const struct wire_ip *ip, struct wire_ip_fragment *ret);

bool wire_ip4_checksum_ok(struct bytes header);

/* The ones' complement sum of RFC 1071 over b, folded to 16 bits, host order, not inverted. */
uint16_t wire_checksum(struct bytes b, uint32_t start);

/* The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) of payload_len bytes of ip.protocol, as a start for
 * wire_checksum. */
uint32_t wire_pseudo_sum(const struct wire_ip *ip, size_t payload_len);

/* Ports of TCP, UDP, SCTP; false when there are none (other protocol, later fragment, too short). */
bool wire_ports(const struct wire_ip *ip, uint16_t *ret_src, uint16_t *ret_dst);

/* Lowers TTL or hop limit by one in place and mends the v4 checksum (RFC 1624). The packet must have
 * parsed, and ttl must not be 0 (asserted). */
void wire_ip_decrement_ttl(struct space packet);

/* A hash over addresses, protocol and ports, the same for all packets of a flow. Fragments of one
 * packet hash alike only if all fragments do without ports: later fragments and first ones use addresses
 * only. */
uint32_t wire_flow_hash(const struct wire_ip *ip);

/* Lowers the MSS option of a TCP SYN to mss, in place, checksum mended (RFC 1624). True if it changed
 * something; false for other packets, for a MSS that is low enough, and for malformed options. */
bool wire_tcp_clamp_mss(struct space packet, const struct wire_ip *ip, uint16_t mss);
