#include "ike/parts.h"

/* RFC 7296 2.23: SHA-1(SPIi | SPIr | address | port) */
MUST_USE enum err ike_natd_hash(uint64_t spi_i, uint64_t spi_r, const struct addr_endpoint *e,
				uint8_t ret[static 20])
{
	uint8_t text[8 + 8 + 16 + 2];
	struct wr w = wr_of(SPACE_OF(text));

	wr_u64(&w, spi_i);
	wr_u64(&w, spi_r);
	wr_put(&w, addr_bytes(&e->addr));
	wr_u16(&w, e->port);
	must(!w.bad);
	struct bytes all = wr_bytes(&w);
	return crypt_sha1(&all, 1, ret);
}

/* Whether any notify of the type carries the hash; *ret_any: whether there is one at all. A peer with
 * several addresses sends several for its source. */
static bool has_hash(const struct wire_ike_payloads *in, uint16_t type, struct bytes hash, bool *ret_any)
{
	bool match = false, any = false;

	for (unsigned i = 0; i < in->cnt; i++) {
		struct wire_ike_notify n;
		if (in->p[i].type != IKE_PL_NOTIFY || wire_ike_notify_parse(in->p[i].body, &n) != ERR_NONE)
			continue;
		any |= n.type == type;
		match |= n.type == type && bytes_eq(n.data, hash);
	}
	*ret_any = any;
	return match;
}

MUST_USE enum err ike_natd_judge(const struct wire_ike_payloads *in, const struct wire_ike_header *h,
				 const struct ike_event *ev, struct ike_natd *ret)
{
	uint8_t source[20], destination[20];
	bool any_source, any_destination;

	enum err e = ike_natd_hash(h->spi_i, h->spi_r, &ev->remote, source);
	if (e == ERR_NONE)
		e = ike_natd_hash(h->spi_i, h->spi_r, &ev->local, destination);
	if (e != ERR_NONE)
		return e;
	bool source_ok = has_hash(in, IKE_N_NAT_DETECTION_SOURCE_IP, BYTES_OF(source), &any_source);
	bool destination_ok =
		has_hash(in, IKE_N_NAT_DETECTION_DESTINATION_IP, BYTES_OF(destination), &any_destination);
	*ret = (struct ike_natd){
		.present = any_source && any_destination,
		.nat_peer = any_source && !source_ok,
		.nat_local = any_destination && !destination_ok,
	};
	return ERR_NONE;
}

bool ike_natd_seen_as(const struct wire_ike_payloads *in, uint8_t seen_as[static 20])
{
	struct wire_ike_notify n;
	uint8_t none[20] = { 0 };

	if (!wire_ike_notify_find(in, IKE_N_NAT_DETECTION_DESTINATION_IP, &n) || n.data.len != sizeof(none))
		return false;
	bool other = memcmp(seen_as, none, sizeof(none)) != 0 && memcmp(seen_as, n.data.p, sizeof(none)) != 0;
	memcpy(seen_as, n.data.p, sizeof(none));
	return other;
}

MUST_USE enum err ike_natd_put(struct wire_ike_builder *b, uint64_t spi_i, uint64_t spi_r,
			       const struct addr_endpoint *local, const struct addr_endpoint *remote)
{
	uint8_t source[20], destination[20];

	enum err e = ike_natd_hash(spi_i, spi_r, local, source);
	if (e == ERR_NONE)
		e = ike_natd_hash(spi_i, spi_r, remote, destination);
	if (e != ERR_NONE)
		return e;
	wire_ike_put_plain_notify(b, IKE_N_NAT_DETECTION_SOURCE_IP, BYTES_OF(source));
	wire_ike_put_plain_notify(b, IKE_N_NAT_DETECTION_DESTINATION_IP, BYTES_OF(destination));
	return ERR_NONE;
}
