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

/* ERR_SHORT: fewer than 8 bytes; ERR_RANGE: an SPI below 256. */
MUST_USE enum err wire_esp_parse(struct bytes packet, struct wire_esp *ret);

/* Takes padding, pad length and next header off decrypted text. ERR_SYNTAX: pad length above the
 * text, or padding that is not 1, 2, 3, ... (RFC 4303 2.4). */
MUST_USE enum err wire_esp_strip(struct bytes text, struct bytes *ret_inner, uint8_t *ret_next_header);

/* Bytes of padding so that inner + padding + 2 is a multiple of block_len (at least 4, RFC 4303 2.4). */
size_t wire_esp_pad_len(size_t inner_len, size_t block_len);

/* What a datagram to UDP 4500 is (RFC 3948 2.2 and 2.3, RFC 7296 2.23 and 3.1): body is what
 * stands behind the marker, the whole datagram where there is none. NOMARKER: looks like an IKE message
 * without the marker. */
enum wire_natt { WIRE_NATT_KEEPALIVE, WIRE_NATT_IKE, WIRE_NATT_ESP, WIRE_NATT_NOMARKER, WIRE_NATT_JUNK };
enum wire_natt wire_natt_classify(struct bytes datagram, struct bytes *ret_body);
