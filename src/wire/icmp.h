// ICMP and ICMPv6: the errors that a router sends, answers to echo requests, and what routers say about our ESP.
// Any thread; pure, no allocation. RFC 792, 1122 3.2.2, 1191, 1812 4.3.2, 4443, 8201.
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

/* A router's word that an ESP packet was too big for the next link, with what it quotes of the packet. */
struct wire_too_big {
	uint32_t mtu;              /* of the next link; where the router does not say, a guess (RFC 1191 5) */
	uint32_t quoted_len;       /* of the packet, by its header; above mtu */
	struct addr_endpoint src, dst; /* of the packet: ours and the peer's; ports 0 without UDP */
	bool udp;
	uint32_t spi;
};
/* message: from the ICMP header on; version: 4 or 6. The checksum of a v6 message, whose pseudo header is not here, is the
 * kernel's to check (RFC 3542 3.1). ERR_RANGE: another message; ERR_SYNTAX: a wrong checksum, or it quotes no ESP packet, too
 * little to see the SPI, or one that would have fitted. */
MUST_USE enum err wire_too_big_parse(uint8_t version, struct bytes message, struct wire_too_big *ret);
