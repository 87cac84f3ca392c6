#include "worker/state.h"

enum { ECN_NONE, ECN_ECT1, ECN_ECT0, ECN_CE, ECN_MASK = 3 }; /* RFC 3168 5 */
enum { IP4_CHECKSUM_AT = 10 };

bool worker_check_inner(struct worker_packet *p)
{
	struct wire_ip ip;

	if (wire_ip_parse(worker_packet_bytes(p), &ip) != ERR_NONE)
		return false;
	if (ip.version == 4 && !wire_ip4_checksum_ok(bytes_of(p->buf.p + p->off, ip.header_len)))
		return false;
	/* Bytes behind the packet are padding against traffic analysis (RFC 4303 2.7). */
	p->len = ip.total_len;
	p->ip = ip;
	return true;
}

static bool is_odd_v4(const struct addr *a)
{
	/* "this network", loopback, multicast, reserved, broadcast */
	return a->b[0] == 0 || a->b[0] == 127 || a->b[0] >= 224;
}

static bool is_odd_v6(const struct addr *a)
{
	static const uint8_t zero[15];
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(a->b, zero, sizeof(zero)) == 0) /* unspecified and loopback */
		return a->b[15] <= 1;
	return a->b[0] == 0xff || (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80) ||
	       memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

bool worker_check_martian(const struct wire_ip *ip)
{
	if (ip->version == 4)
		return is_odd_v4(&ip->src) || is_odd_v4(&ip->dst);
	return is_odd_v6(&ip->src) || is_odd_v6(&ip->dst);
}

/* RFC 1624 3, equation 3, for the word of version, header length and TOS. */
static void set_ecn_v4(struct wr *w, struct rd *r, uint8_t ecn)
{
	uint16_t old = rd_u16(r), new = (uint16_t)((old & ~ECN_MASK) | ecn);

	rd_skip(r, IP4_CHECKSUM_AT - 2);
	uint32_t sum = (0xffffu - rd_u16(r)) + (0xffffu - old) + new;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	wr_set_u16(w, 0, new);
	wr_set_u16(w, IP4_CHECKSUM_AT, (uint16_t)(0xffffu - sum));
}

static void set_ecn(struct worker_packet *p, uint8_t ecn)
{
	struct wr w = wr_of(worker_packet_space(p));
	(void)wr_reserve(&w, p->len);
	struct rd r = rd_of(worker_packet_bytes(p));

	if (p->ip.version == 4)
		set_ecn_v4(&w, &r, ecn);
	else
		wr_set_u16(&w, 0, (uint16_t)((rd_u16(&r) & ~(ECN_MASK << 4)) | ecn << 4));
	p->ip.tos = (uint8_t)((p->ip.tos & ~ECN_MASK) | ecn);
}

bool worker_take_congestion(struct worker_packet *p)
{
	uint8_t inner = p->ip.tos & ECN_MASK, outer = p->outer_tos & ECN_MASK;

	if (outer == ECN_CE && inner == ECN_NONE)
		return false;
	/* A mark of ECT(1) stands above ECT(0), and CE above both. */
	if ((outer == ECN_CE && inner != ECN_CE) || (outer == ECN_ECT1 && inner == ECN_ECT0))
		set_ecn(p, outer);
	return true;
}
