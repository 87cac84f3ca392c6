#include "wire/esp.h"

#include "base/iana.h"

/* Offsets in an IKE header (RFC 7296 3.1). */
enum { IKE_HEADER_LEN = 28, IKE_LENGTH_AT = 24, IKE_VERSION_AT = 17 };

MUST_USE enum err wire_esp_parse(struct bytes packet, struct wire_esp *ret)
{
	struct rd r = rd_of(packet);
	struct wire_esp esp = { 0 };

	esp.spi = rd_u32(&r);
	esp.seq = rd_u32(&r);
	if (r.bad)
		return ERR_SHORT;
	if (esp.spi < WIRE_ESP_SPI_MIN)
		return ERR_RANGE;
	*ret = esp;
	return ERR_NONE;
}

MUST_USE enum err wire_esp_strip(struct bytes text, struct bytes *ret_inner, uint8_t *ret_next_header)
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

size_t wire_esp_pad_len(size_t inner_len, size_t block_len)
{
	size_t align = block_len < 4 ? 4 : block_len;
	size_t tail = (inner_len % align + 2) % align;
	return tail == 0 ? 0 : align - tail;
}

/* IKE sent to port 4500 as if it were 500. As ESP it would be an SPI that somebody chose, with a length,
 * a version and an exchange in the right places of its ciphertext: one packet in 2^50. */
static bool looks_like_ike(struct bytes datagram)
{
	struct rd r = rd_of(datagram);

	rd_skip(&r, IKE_VERSION_AT);
	uint8_t major = rd_u8(&r) >> 4;
	uint8_t exchange = rd_u8(&r);
	rd_skip(&r, IKE_LENGTH_AT - IKE_VERSION_AT - 2);
	uint32_t length = rd_u32(&r);
	if (r.bad || length != datagram.len)
		return false;
	if (major == 1) /* RFC 2408 3.1: 1 to 5, and 32, 33 of RFC 2409 */
		return (exchange >= 1 && exchange <= 5) || exchange == 32 || exchange == 33;
	return major == 2 && exchange >= IKE_EX_SA_INIT && exchange <= IKE_EX_INTERMEDIATE;
}

enum wire_natt wire_natt_classify(struct bytes datagram, struct bytes *ret_body)
{
	struct rd r = rd_of(datagram);
	uint32_t marker = rd_u32(&r);
	struct wire_esp esp;

	if (!r.bad && marker == 0) {
		*ret_body = rd_rest(&r);
		return ret_body->len < IKE_HEADER_LEN ? WIRE_NATT_JUNK : WIRE_NATT_IKE;
	}
	*ret_body = datagram;
	if (datagram.len == 1 && datagram.p[0] == 0xff)
		return WIRE_NATT_KEEPALIVE;
	if (looks_like_ike(datagram))
		return WIRE_NATT_NOMARKER;
	return wire_esp_parse(datagram, &esp) == ERR_NONE ? WIRE_NATT_ESP : WIRE_NATT_JUNK;
}
