// What workers hand to the control thread: IKE datagrams, notices about SAs, and in a cluster ESP packets of SAs that this node
// does not know yet, and inner packets of SAs that are numbered elsewhere or later. Both may come back. Rings of one element
// type each.
// A worker produces, the control thread consumes (returns, seals: the other way round); each worker has its own rings and an eventfd.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "base/ring.h"
#include "base/siphash.h"

#define FWD_PUNT_MSG_MAX 8192 /* the longest IKE datagram that is looked at (IKE_MESSAGE_MAX) */
#define FWD_PUNT_CNT 512
#define FWD_KNOWN_CNT 256
#define FWD_NOTICE_CNT 4096
#define FWD_STRAY_MAX 9216 /* the longest ESP packet that is kept */
#define FWD_STRAY_CNT 256
#define FWD_INNER_MAX 9200 /* the longest inner packet that is numbered by another node: wire/mesh.h has room for it */
#define FWD_INNER_CNT 1024 /* 50 ms of 20,000 packets a second */

/* One IKE datagram, without the non-ESP marker. */
struct fwd_punt {
	struct addr_endpoint local, remote;
	bool natt;      /* came to UDP 4500, behind the marker */
	bool no_marker; /* came to UDP 4500 without it: only counted and told */
	uint16_t len;
	uint8_t msg[FWD_PUNT_MSG_MAX];
};

enum fwd_notice_kind {
	FWD_NOTICE_FIRST,   /* the first valid packet of an inbound SA: the peer surely has it */
	FWD_NOTICE_ADDRESS, /* a valid packet of the SA came from another address; at most one a second and SA */
	FWD_NOTICE_IV_LOW,  /* the outbound IV space of the SA nears its end */
	FWD_NOTICE_NUMBERS, /* half of the SA's block of numbers is used */
	FWD_NOTICE_TOO_BIG, /* a router says that a packet was too big for its next link; it may lie */
};

/* What a router quotes of our packet, and the MTU that it names. */
struct fwd_too_big {
	uint32_t spi_out, mtu;
	struct addr_endpoint local, remote; /* ports 0 with native ESP */
};

struct fwd_notice {
	uint8_t kind;
	uint32_t spi_in;             /* not with TOO_BIG */
	struct addr_endpoint remote; /* ADDRESS */
	struct fwd_too_big too_big;  /* TOO_BIG */
};

/* One ESP packet, from its SPI on, of an SA that another node may have made a moment ago. */
struct fwd_stray {
	struct addr_endpoint remote; /* outer source; port 0 with native ESP */
	uint32_t spi;
	uint8_t tos;                 /* of the outer packet */
	uint8_t worker;              /* that it came to */
	bool native;
	uint16_t len;
	uint8_t b[FWD_STRAY_MAX];
};

/* An inner packet that is ready to be sealed, and the SA that it goes out on. */
struct fwd_inner {
	uint32_t spi_in;
	uint16_t len;
	uint8_t b[FWD_INNER_MAX];
};

struct fwd_punt_rings {
	struct ring punts;   /* struct fwd_punt: to no SA of ours, so first messages and junk */
	struct ring known;   /* struct fwd_punt: to an SPI of ours; served first, so that no flood starves an SA */
	struct ring notices; /* struct fwd_notice */
	struct ring strays;  /* struct fwd_stray; of no slots where there is no cluster */
	struct ring returns; /* struct fwd_stray: to be opened now; control calls fwd_wake */
	struct ring inners;  /* struct fwd_inner: not to be numbered here now; of no slots where there is no cluster */
	struct ring seals;   /* struct fwd_inner: to be sealed now; control calls fwd_wake */
	struct siphash_key spi_key; /* of the check bytes in our SPIs; set before workers start */
	int wake_fd;         /* eventfd, written by the worker after it pushed */
};

/* The ring for an IKE message: by the check byte of its SPI, which one in 256 of junk has too. */
struct ring *fwd_punt_ring(struct fwd_punt_rings *r, struct bytes msg);

/* Whether a packet of that unknown SPI is worth a look in the store. */
static inline bool fwd_punt_has_strays(const struct fwd_punt_rings *r)
{
	return r->strays.slots != NULL;
}
bool fwd_punt_is_stray(const struct fwd_punt_rings *r, uint32_t spi);
