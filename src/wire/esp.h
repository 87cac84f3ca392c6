// ESP headers and trailers, and what may stand on UDP 4500.
// Any thread; pure, no allocation. RFC 4303 2, RFC 3948 2.
#pragma once

#include "base/bytes.h"

#define WIRE_ESP_HEADER_LEN 8
#define WIRE_ESP_SPI_MIN 256 /* 1 to 255 are reserved, 0 is the non-ESP marker */

struct wire_esp {
	uint32_t spi;
	uint32_t seq;
};

/* This one and the next stand here, because they are on every packet's road.
 *
 * ERR_SHORT: fewer than 8 bytes; ERR_RANGE: an SPI below 256. */
MUST_USE static inline enum err wire_esp_parse(struct bytes packet, struct wire_esp *ret)
{
	struct rd r = rd_of(packet);
	struct wire_esp esp = { .spi = rd_u32(&r) };

	esp.seq = rd_u32(&r);
	if (r.bad)
		return ERR_SHORT;
	if (esp.spi < WIRE_ESP_SPI_MIN)
		return ERR_RANGE;
	*ret = esp;
	return ERR_NONE;
}

/* Takes padding, pad length and next header off decrypted text. ERR_SYNTAX: pad length above the
 * text, or padding that is not 1, 2, 3, ... (RFC 4303 2.4). */
MUST_USE static inline enum err wire_esp_strip(struct bytes text, struct bytes *ret_inner,
					       uint8_t *ret_next_header)
{
	struct rd r = rd_of(text);
	struct rd trailer = rd_of(rd_back(&r, 2));
	size_t pad_len = rd_u8(&trailer);
	uint8_t next_header = rd_u8(&trailer);
	struct bytes pad = rd_back(&r, pad_len);

	if (r.bad)
		return ERR_SYNTAX;
	/* RFC 4303 2.4: the receiver should look at the padding; the integrity check came before this. */
	for (size_t i = 0; i < pad.len; i++) {
		if (pad.p[i] != i + 1)
			return ERR_SYNTAX;
	}
	*ret_inner = rd_rest(&r);
	*ret_next_header = next_header;
	return ERR_NONE;
}

/* Bytes of padding so that inner + padding + 2 is a multiple of block_len (a power of two, asserted; at least
 * 4, RFC 4303 2.4). */
size_t wire_esp_pad_len(size_t inner_len, size_t block_len);

/* What a datagram to UDP 4500 is (RFC 3948 2.2 and 2.3, RFC 7296 2.23 and 3.1): body is what
 * stands behind the marker, the whole datagram where there is none. NOMARKER: looks like an IKE message
 * without the marker. */
enum wire_natt { WIRE_NATT_KEEPALIVE, WIRE_NATT_IKE, WIRE_NATT_ESP, WIRE_NATT_NOMARKER, WIRE_NATT_JUNK };
enum wire_natt wire_natt_classify(struct bytes datagram, struct bytes *ret_body);
