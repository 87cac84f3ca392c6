// Edits of a packet in place: fields by their offset, every access bounded, checksums mended.
// Inside wire only, any thread; the packet belongs to the caller. RFC 1624.
#pragma once

#include "base/bytes.h"

/* A writer that stands at the end of the packet, so that wr_set_u8 and its like reach all of it. */
static inline struct wr edit_of(struct space packet)
{
	struct wr w = wr_of(packet);
	(void)wr_reserve(&w, packet.cap);
	return w;
}

static inline uint16_t edit_get_u16(const struct wr *w, size_t at)
{
	struct rd r = rd_of(wr_bytes(w));
	rd_skip(&r, at);
	uint16_t v = rd_u16(&r);
	must(!r.bad);
	return v;
}

static inline void edit_set_bytes(struct wr *w, size_t at, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		wr_set_u8(w, at + i, b.p[i]);
}

/* RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m'), where m is a 16 bit word of what is summed. */
static inline void edit_mend_checksum(struct wr *w, size_t checksum_at, uint16_t old, uint16_t new)
{
	uint32_t sum = 0xffffu - edit_get_u16(w, checksum_at) + (0xffffu - old) + new;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	wr_set_u16(w, checksum_at, (uint16_t)(0xffffu - sum));
}

/* Replaces a word that lies on a word boundary of what the checksum covers, and mends the checksum. */
static inline void edit_word(struct wr *w, size_t at, uint16_t new, size_t checksum_at)
{
	uint16_t old = edit_get_u16(w, at);
	wr_set_u16(w, at, new);
	edit_mend_checksum(w, checksum_at, old, new);
}
