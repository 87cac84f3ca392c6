#include "packet.h"

#include "base/iana.h"

uint64_t packet_mix(uint64_t v)
{
	v += 0x9e3779b97f4a7c15u;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
	v = (v ^ v >> 27) * 0x94d049bb133111ebu;
	return v ^ v >> 31;
}

static void fill(uint64_t seed, struct space room)
{
	struct wr w = wr_of(room);

	for (size_t i = 0; i < room.cap / 8; i++)
		wr_u64(&w, packet_mix(seed + i));
	must(!w.bad && room.cap % 8 == 0);
}

/* The kernel fills in the checksum of the IP header; a UDP checksum of 0 is none (RFC 768). */
void packet_wrap(const struct packet_way *way, struct bytes body, struct packet *ret)
{
	bool udp = way->from_port != 0;
	struct wr w = wr_of(SPACE_OF(ret->b));

	wr_u8(&w, 0x45);
	wr_u8(&w, 0);
	wr_u16(&w, (uint16_t)(20u + (udp ? 8u : 0u) + body.len));
	wr_u16(&w, (uint16_t)packet_mix(way->from ^ body.len));
	wr_u16(&w, way->more_fragments ? 0x2000 : 0);
	wr_u8(&w, 60);
	wr_u8(&w, udp ? 17 : 50);
	wr_u16(&w, 0);
	wr_u32(&w, way->from);
	wr_u32(&w, way->to);
	if (udp) {
		wr_u16(&w, way->from_port);
		wr_u16(&w, way->to_port);
		/* the whole datagram, of which this is the first part */
		wr_u16(&w, (uint16_t)(8u + body.len + (way->more_fragments ? 512u : 0u)));
		wr_u16(&w, 0);
	}
	wr_put(&w, body);
	must(!w.bad);
	ret->len = wr_len(&w);
}

uint64_t packet_init_spi(uint32_t source)
{
	return packet_mix(source) | 1;
}

static void put_offer(struct wire_ike_builder *b)
{
	const struct wire_ike_sa sa = { .cnt = 1, .p = { { .number = 1, .protocol = IKE_PROTO_IKE, .cnt = 3, .t = {
		{ .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
		{ .type = IKE_TT_PRF, .id = IKE_PRF_HMAC_SHA2_256 },
		{ .type = IKE_TT_KE, .id = IKE_GROUP_MODP2048 } } } } };

	wire_ike_put_sa(b, &sa);
}

size_t packet_init(uint32_t source, struct bytes cookie, struct space room)
{
	const struct wire_ike_header h = { .spi_i = packet_init_spi(source), .major = 2, .exchange = IKE_EX_SA_INIT,
					   .flags = IKE_FLAG_INITIATOR };
	const struct bytes none = { 0 };
	uint8_t ke[256], nonce[32], hash[24];
	struct wire_ike_builder b;
	struct bytes msg;

	fill(source, SPACE_OF(ke));
	fill(~(uint64_t)source, SPACE_OF(nonce));
	fill(source * 3u, SPACE_OF(hash));
	ke[0] &= 0x7f; /* below the prime */
	wire_ike_begin(&b, room, &h);
	if (cookie.len != 0)
		wire_ike_put_notify(&b, IKE_PROTO_NONE, none, IKE_N_COOKIE, cookie);
	put_offer(&b);
	wire_ike_put_ke(&b, IKE_GROUP_MODP2048, BYTES_OF(ke));
	wire_ike_put_nonce(&b, BYTES_OF(nonce));
	wire_ike_put_notify(&b, IKE_PROTO_NONE, none, IKE_N_NAT_DETECTION_SOURCE_IP, bytes_of(hash, 20));
	wire_ike_put_notify(&b, IKE_PROTO_NONE, none, IKE_N_NAT_DETECTION_DESTINATION_IP, bytes_of(hash + 4, 20));
	wire_ike_put_notify(&b, IKE_PROTO_NONE, none, IKE_N_IKEV2_FRAGMENTATION_SUPPORTED, none);
	must(wire_ike_finish(&b, &msg) == ERR_NONE);
	return msg.len;
}

size_t packet_junk(const struct packet_junk *j, struct space room)
{
	uint8_t text[1024];
	struct wr w = wr_of(room);
	uint8_t payload = j->fragment ? IKE_PL_SKF : IKE_PL_SK;
	size_t body = 4u + (j->fragment ? 4u : 0u) + j->len;

	must(j->len <= sizeof(text));
	fill(j->random, SPACE_OF(text));
	wr_u64(&w, j->spi_i);
	wr_u64(&w, j->spi_r);
	wr_u8(&w, payload);
	wr_u8(&w, 0x20);
	wr_u8(&w, j->exchange);
	wr_u8(&w, IKE_FLAG_INITIATOR);
	wr_u32(&w, j->msg_id);
	wr_u32(&w, (uint32_t)(WIRE_IKE_HEADER_LEN + body));
	wr_u8(&w, 0);
	wr_u8(&w, 0);
	wr_u16(&w, (uint16_t)body);
	if (j->fragment) {
		uint16_t total = (uint16_t)(2 + j->random % 32);
		wr_u16(&w, (uint16_t)(1 + (j->random >> 8) % total));
		wr_u16(&w, total);
	}
	wr_put(&w, bytes_of(text, j->len));
	must(!w.bad);
	return wr_len(&w);
}
