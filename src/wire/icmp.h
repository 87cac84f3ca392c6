// ICMP and ICMPv6: the errors that a router sends, and answers to echo requests.
// Any thread; pure, no allocation. RFC 792, 1122 3.2.2, 1191, 1812 4.3.2, 4443.
#pragma once

#include "wire/ip.h"

enum wire_icmp_error {
	WIRE_ICMP_TTL_EXPIRED,
	WIRE_ICMP_NO_ROUTE,
	WIRE_ICMP_HOST_UNREACHABLE,
	WIRE_ICMP_ADMIN,
	WIRE_ICMP_TOO_BIG,
};

#define WIRE_ICMP_ERROR_MAX 1280 /* RFC 4443 3; v4 errors stay within 576 (RFC 1812 4.3.2.3) */

/* True when an error may be sent about the packet: not about ICMP errors, later fragments, multicast or
 * unspecified addresses, a v4 source that names no single host, a wrong v4 header checksum (RFC 1122 3.2.2,
 * RFC 1812 4.3.2.7, RFC 4443 2.4). */
bool wire_icmp_error_allowed(const struct wire_ip *ip, struct bytes packet);

/* A whole IP packet with the error, from `from` (same family) to the packet's source. mtu: TOO_BIG only.
 * ERR_FULL, ERR_RANGE: family. */
MUST_USE enum err wire_icmp_error_build(enum wire_icmp_error kind, uint32_t mtu, const struct addr *from,
					const struct wire_ip *ip, struct bytes packet, struct space room,
					size_t *ret_len);

/* True for an echo request, whole, not fragmented, with a right checksum. False with IP options or extension
 * headers: a reply may not just send them back (RFC 1122 3.2.2.6, RFC 5095). */
bool wire_icmp_is_echo_request(const struct wire_ip *ip);

/* Turns an echo request into its reply in place: addresses and type swapped, TTL 64, checksums right. */
void wire_icmp_echo_reply(struct space packet, const struct wire_ip *ip);

/* An echo request (tests and probes): a whole IP packet. ERR_FULL, ERR_RANGE: families differ. */
MUST_USE enum err wire_icmp_echo_build(const struct addr *src, const struct addr *dst, uint16_t id,
				       uint16_t seq, struct bytes data, struct space room, size_t *ret_len);
