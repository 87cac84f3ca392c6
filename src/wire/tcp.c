#include "wire/edit.h"
#include "wire/ip.h"

/* RFC 9293 3.1 and 3.2. */
enum { TCP_HEADER_MIN = 20, TCP_CHECKSUM_AT = 16, TCP_FLAG_SYN = 0x02 };
enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_MSS_LEN = 4 };

/* Finds the value of the one MSS option. False when there is none, when there are two (which of them a
 * host takes is not known) and when an option's length cannot be. */
static bool find_mss(struct bytes options, size_t *ret_at, uint16_t *ret_mss)
{
	struct rd r = rd_of(options);
	bool found = false;

	while (rd_left(&r) > 0) {
		uint8_t kind = rd_u8(&r);
		if (kind == OPTION_END)
			break;
		if (kind == OPTION_NOP)
			continue;
		size_t len = rd_u8(&r);
		if (r.bad || len < 2 || (kind == OPTION_MSS && (len != OPTION_MSS_LEN || found)))
			return false;
		size_t at = options.len - rd_left(&r);
		struct rd value = rd_sub(&r, len - 2);
		if (r.bad)
			return false;
		if (kind == OPTION_MSS) {
			found = true;
			*ret_at = at;
			*ret_mss = rd_u16(&value);
		}
	}
	return found;
}

static uint16_t swap_bytes(uint16_t v)
{
	return (uint16_t)(v << 8 | v >> 8);
}

bool wire_tcp_clamp_mss(struct space packet, const struct wire_ip *ip, uint16_t mss)
{
	size_t mss_at = 0;
	uint16_t old = 0;

	if (ip->protocol != IP_PROTO_TCP || ip->fragment_offset != 0)
		return false;
	struct rd r = rd_of(ip->payload);
	rd_skip(&r, 12); /* ports and sequence numbers */
	size_t header_len = (rd_u8(&r) >> 4) * 4u;
	uint8_t flags = rd_u8(&r);
	rd_skip(&r, 6); /* window, checksum, urgent pointer */
	if (r.bad || header_len < TCP_HEADER_MIN || (flags & TCP_FLAG_SYN) == 0)
		return false;
	struct bytes options = rd_bytes(&r, header_len - TCP_HEADER_MIN);
	if (r.bad || !find_mss(options, &mss_at, &old) || old <= mss)
		return false;

	struct wr w = edit_of(packet);
	size_t at = TCP_HEADER_MIN + mss_at;
	wr_set_u16(&w, ip->header_len + at, mss);
	/* Behind an odd number of NOPs the value lies across two words, swapped in the sum (RFC 1071 2 B). */
	bool odd = at % 2 != 0;
	edit_mend_checksum(&w, ip->header_len + TCP_CHECKSUM_AT, odd ? swap_bytes(old) : old,
			   odd ? swap_bytes(mss) : mss);
	return true;
}
