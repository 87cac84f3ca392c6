#include "io/vnet.h"

#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

_Static_assert(sizeof(struct virtio_net_hdr) == IO_VNET_LEN, "the header that the kernel takes by default");

static uint8_t find_kind(uint8_t gso)
{
	switch (gso & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return IO_VNET_SINGLE;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return IO_VNET_TCP;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return IO_VNET_UDP;
	default:
		return IO_VNET_OTHER;
	}
}

struct io_vnet io_vnet_parse(const uint8_t header[static IO_VNET_LEN])
{
	struct virtio_net_hdr h;

	memcpy(&h, header, sizeof(h));
	return (struct io_vnet){
		.kind = find_kind(h.gso_type),
		.needs_checksum = (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0,
		.sum_start = h.csum_start,
		.sum_offset = h.csum_offset,
		.header_len = h.hdr_len,
		.segment = h.gso_size,
	};
}

void io_vnet_build(const struct io_vnet *v, uint8_t header[static IO_VNET_LEN])
{
	struct virtio_net_hdr h = {
		.flags = v->needs_checksum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.gso_type = VIRTIO_NET_HDR_GSO_NONE,
		.hdr_len = v->header_len,
		.gso_size = v->segment,
		.csum_start = v->sum_start,
		.csum_offset = v->sum_offset,
	};

	must(v->kind != IO_VNET_OTHER);
	if (v->kind == IO_VNET_TCP)
		h.gso_type = v->version == 6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	else if (v->kind == IO_VNET_UDP)
		h.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	memcpy(header, &h, sizeof(h));
}
