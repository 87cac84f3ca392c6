#include "wire/esp.h"

#include "base/iana.h"

/* Offsets in an IKE header (RFC 7296 3.1). */
enum { IKE_HEADER_LEN = 28, IKE_LENGTH_AT = 24, IKE_VERSION_AT = 17 };

size_t wire_esp_pad_len(size_t inner_len, size_t block_len)
{
	size_t align = block_len < 4 ? 4 : block_len;
	must((align & (align - 1)) == 0);
	return (0 - (inner_len + 2)) & (align - 1);
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
