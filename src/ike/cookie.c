#include "ike/parts.h"

/* RFC 7296 2.6: Cookie = <version of secret> | MAC(secret, Ni | IPi | SPIi). Nothing is kept between the
 * question and the answer, and any node with the secrets can check it. */
static void compute(uint8_t version, const struct siphash_key *key, struct bytes ni, const struct addr *remote,
		    uint64_t spi_i, uint8_t ret[static IKE_COOKIE_LEN])
{
	uint8_t text[1 + 2 + WIRE_IKE_NONCE_MAX + 1 + 16 + 8];
	struct wr w = wr_of(SPACE_OF(text));
	struct wr out = wr_of((struct space){ ret, IKE_COOKIE_LEN });

	must(ni.len <= WIRE_IKE_NONCE_MAX);
	wr_u8(&w, version);
	wr_u16(&w, (uint16_t)ni.len);
	wr_put(&w, ni);
	wr_u8(&w, remote->family);
	wr_put(&w, addr_bytes(remote));
	wr_u64(&w, spi_i);
	must(!w.bad);
	wr_u8(&out, version);
	wr_u64(&out, siphash(key, wr_bytes(&w)));
}

void ike_cookie_make(const struct ike_world *world, struct bytes ni, const struct addr *remote, uint64_t spi_i,
		     uint8_t ret[static IKE_COOKIE_LEN])
{
	unsigned make = world->cookie_make;

	must(make < ARRAY_LEN(world->cookie_key));
	compute((uint8_t)(world->cookie_version - make), &world->cookie_key[make], ni, remote, spi_i, ret);
}

bool ike_cookie_check(const struct ike_world *world, struct bytes cookie, struct bytes ni,
		      const struct addr *remote, uint64_t spi_i)
{
	uint8_t good[IKE_COOKIE_LEN];

	if (cookie.len != IKE_COOKIE_LEN)
		return false;
	/* The secret before this one is still good for cookies given out just before the change. */
	unsigned age = (uint8_t)(world->cookie_version - cookie.p[0]);
	if (age >= ARRAY_LEN(world->cookie_key))
		return false;
	compute(cookie.p[0], &world->cookie_key[age], ni, remote, spi_i, good);
	return bytes_eq_ct(cookie, BYTES_OF(good));
}
