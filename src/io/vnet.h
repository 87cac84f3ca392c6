// The header in front of packets of a TUN with IFF_VNET_HDR: what the kernel left to us, or we leave to the kernel.
// Any thread; pure.
#pragma once

#include "base/bytes.h"

#define IO_VNET_LEN 10 /* of struct virtio_net_hdr, in the machine's own byte order */

enum io_vnet_kind { IO_VNET_SINGLE, IO_VNET_TCP, IO_VNET_UDP, IO_VNET_OTHER };

struct io_vnet {
	uint8_t kind;                  /* enum io_vnet_kind: a packet, or a superpacket of this protocol */
	bool needs_checksum;           /* the sum from sum_start on belongs sum_offset behind it */
	uint16_t sum_start, sum_offset;
	uint16_t header_len, segment;  /* of a superpacket: all headers; payload bytes of each packet but the last */
	uint8_t version;               /* of IP; only for building */
};

struct io_vnet io_vnet_parse(const uint8_t header[static IO_VNET_LEN]);
void io_vnet_build(const struct io_vnet *v, uint8_t header[static IO_VNET_LEN]);
