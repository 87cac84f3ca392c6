// wire/ip.h: any bytes as a packet; what parsed is hashed, forwarded and clamped as the packet road does it.
#include "fuzz.h"

#include "wire/ip.h"

static void check_view(const struct wire_ip *ip, struct bytes packet)
{
	uint8_t family = ip->version == 4 ? ADDR_V4 : ADDR_V6;

	must(ip->version == 4 || ip->version == 6);
	must(ip->src.family == family && ip->dst.family == family);
	must(ip->header_len >= (ip->version == 4 ? WIRE_IP4_HEADER_MIN : WIRE_IP6_HEADER_LEN));
	must(ip->total_len <= packet.len && ip->header_len + ip->payload.len == ip->total_len);
	must_lie_within(ip->payload, packet);
}

/* The copy still parses, and says the same but for a TTL that is one lower. */
static void forward(const struct wire_ip *ip, struct space copy)
{
	struct wire_ip after;
	bool right = ip->version == 4 && wire_ip4_checksum_ok(bytes_of(copy.p, ip->header_len));

	wire_ip_decrement_ttl(copy);
	must(wire_ip_parse(bytes_of(copy.p, copy.cap), &after) == ERR_NONE);
	must(after.ttl + 1 == ip->ttl && wire_flow_hash(&after) == wire_flow_hash(ip));
	must(!right || wire_ip4_checksum_ok(bytes_of(copy.p, ip->header_len)));
}

/* TCP's sum is what it was before: right stays right and wrong stays wrong. */
static void clamp(struct space copy)
{
	struct wire_ip ip, after;

	must(wire_ip_parse(bytes_of(copy.p, copy.cap), &ip) == ERR_NONE);
	uint16_t before = wire_checksum(ip.payload, 0);
	if (!wire_tcp_clamp_mss(copy, &ip, 536))
		return;
	must(wire_ip_parse(bytes_of(copy.p, copy.cap), &after) == ERR_NONE);
	must(wire_checksum(after.payload, 0) % 0xffff == before % 0xffff);
	must(!wire_tcp_clamp_mss(copy, &after, 536));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t room[1 << 16];
	struct bytes packet = bytes_of(data, len);
	struct wire_ip ip;
	struct wire_ip_fragment f;
	uint16_t src, dst;

	if (len > sizeof(room) || wire_ip_parse(packet, &ip) != ERR_NONE)
		return 0;
	check_view(&ip, packet);
	must(!wire_ports(&ip, &src, &dst) || ip.fragment_offset == 0);
	if (wire_ip_fragment(packet, &ip, &f))
		must((ip.more_fragments || ip.fragment_offset != 0) && f.len >= ip.payload.len && f.len <= ip.total_len);
	if (ip.ttl > 0)
		forward(&ip, copy_to(packet, SPACE_OF(room)));
	clamp(copy_to(packet, SPACE_OF(room)));
	return 0;
}
