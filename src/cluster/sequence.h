// Which node numbers the packets of a Child SA whose peer checks for replays: what the store says of it, and when this node may
// take it over. Pure: rows and members come in.
// The control thread. Key: seq/<spi in>. RFC 4303 3.3.3.
//
// The record names the holder, by slot and incarnation, and the last number that it may use. It changes by compare-and-swap alone: a
// holder adds a block before it has used the one that it has; who takes over begins above. So no number is given out
// twice, whatever a former holder still does with its own block. The first block comes with the SA's own commit. The hash over the
// members only nominates.
#pragma once

#include "cluster/members.h"

#define CLUSTER_SEQUENCE_MAX 128          /* bytes of a record */
#define CLUSTER_SEQUENCE_SETTLE_US 2000000u /* a holder that lives and does not drain stays so long after another was nominated */

struct cluster_sequence {
	uint64_t out;         /* outbound numbers up to this one may be used by now */
	uint64_t in;          /* an inbound number that was taken */
	uint64_t bytes;       /* inner bytes under one key, about */
	uint16_t slot;        /* of the holder; 0: none */
	uint32_t incarnation;
};

/* The writer turns bad without room. */
void cluster_sequence_encode(const struct cluster_sequence *s, struct wr *w);
/* Also what a gateway without a cluster has written, which names no holder: three numbers in 24 bytes, or the outbound one in 4.
 * ERR_SYNTAX, ERR_SHORT, ERR_VERSION. */
MUST_USE enum err cluster_sequence_decode(struct bytes b, struct cluster_sequence *ret);

/* The record of a new SA: the first numbers, up to that one, are those of the node to which it falls, so that none has to ask for
 * them before a packet leaves. incarnation: this process's. If that node is not known they are nobody's. */
void cluster_sequence_first(const struct cluster_members *m, uint32_t incarnation, uint32_t spi_in, uint64_t out,
			    struct cluster_sequence *ret);

/* The member that is the holder, as the process that it then was; NULL: there is none any more, or it is this one. */
const struct cluster_member *cluster_sequence_holder(const struct cluster_members *m, const struct cluster_sequence *s);

/* From when on this node may take the SA over; UINT64_MAX: that is another one's. nominated_us: since when it is ours by the hash;
 * calm_us: not before, as long as the holder has its lease. */
uint64_t cluster_sequence_due(const struct cluster_members *m, const struct cluster_sequence *s, uint32_t spi_in,
			      uint64_t nominated_us, uint64_t calm_us);

/* As far as this node can know, the others leave it what it holds: its lease stands, or none of them has news from the store either. */
bool cluster_sequence_stands(const struct cluster_members *m);
