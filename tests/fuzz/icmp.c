// wire/icmp.h: errors about any packet that parses, echo replies to any that is an echo request, and what routers say.
#include "fuzz.h"

#include "wire/icmp.h"

/* What we send parses, has right checksums, and begs no error in return. */
static void check_sent(struct bytes packet, const struct addr *from, const struct addr *to)
{
	struct wire_ip ip;
	uint32_t sum = 0;

	must(wire_ip_parse(packet, &ip) == ERR_NONE && ip.total_len == packet.len);
	must(addr_eq(&ip.src, from) && addr_eq(&ip.dst, to));
	if (ip.version == 4) {
		must(wire_ip4_checksum_ok(bytes_of(packet.p, ip.header_len)));
	} else {
		sum = wire_checksum(addr_bytes(&ip.src), IP_PROTO_ICMP6 + (uint32_t)ip.payload.len);
		sum = wire_checksum(addr_bytes(&ip.dst), sum);
	}
	must(wire_checksum(ip.payload, sum) == 0xffff);
}

static void build_errors(const struct wire_ip *ip, struct bytes packet)
{
	static const enum wire_icmp_error kinds[] = { WIRE_ICMP_TTL_EXPIRED, WIRE_ICMP_NO_ROUTE,
						      WIRE_ICMP_HOST_UNREACHABLE, WIRE_ICMP_ADMIN,
						      WIRE_ICMP_TOO_BIG };
	uint8_t room[WIRE_ICMP_ERROR_MAX];
	struct addr from = { .b = { 192, 0, 2, 1 }, .family = ip->src.family };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct wire_ip error;
		size_t len;
		must(wire_icmp_error_build(kinds[i], 1400, &from, ip, packet, SPACE_OF(room), &len) ==
		     ERR_NONE);
		must(len <= (ip->version == 4 ? 576 : WIRE_ICMP_ERROR_MAX));
		check_sent(bytes_of(room, len), &from, &ip->src);
		must(wire_ip_parse(bytes_of(room, len), &error) == ERR_NONE);
		must(!wire_icmp_error_allowed(&error, bytes_of(room, len)));
	}
}

static void read_too_big(uint8_t version, struct bytes message)
{
	struct wire_too_big t;

	if (wire_too_big_parse(version, message, &t) != ERR_NONE)
		return;
	must(t.spi >= 256 && t.quoted_len > t.mtu);
	must(t.udp || (t.src.port == 0 && t.dst.port == 0));
	must(t.src.addr.family == (version == 4 ? ADDR_V4 : ADDR_V6) && t.dst.addr.family == t.src.addr.family);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t room[1 << 16];
	struct bytes packet = bytes_of(data, len);
	struct wire_ip ip;

	if (len > sizeof(room) || wire_ip_parse(packet, &ip) != ERR_NONE)
		return 0;
	read_too_big(ip.version, ip.payload);
	if (wire_icmp_error_allowed(&ip, packet))
		must(ip.fragment_offset == 0 && !addr_is_multicast(&ip.src) && !addr_is_multicast(&ip.dst));
	build_errors(&ip, packet);
	if (wire_icmp_is_echo_request(&ip)) {
		bool right = ip.version == 6 || wire_ip4_checksum_ok(bytes_of(data, ip.header_len));
		struct space copy = copy_to(packet, SPACE_OF(room));
		wire_icmp_echo_reply(copy, &ip);
		if (right)
			check_sent(bytes_of(copy.p, ip.total_len), &ip.dst, &ip.src);
	}
	return 0;
}
