#include "base/siphash.h"

static inline uint64_t rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static inline uint64_t load_le(struct bytes b)
{
	uint64_t m = 0;
	for (size_t i = 0; i < b.len; i++)
		m |= (uint64_t)b.p[i] << (8 * i);
	return m;
}

uint64_t siphash(const struct siphash_key *key, struct bytes data)
{
	uint64_t v[4] = { key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
			  key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u };
	struct rd r = rd_of(data);

	for (bool last = false; !last;) {
		last = rd_left(&r) < 8;
		uint64_t m = last ? load_le(rd_rest(&r)) | (uint64_t)data.len << 56 : load_le(rd_bytes(&r, 8));
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash_u64(const struct siphash_key *key, uint64_t value)
{
	uint8_t b[8];
	for (size_t i = 0; i < 8; i++)
		b[i] = (uint8_t)(value >> (8 * i));
	return siphash(key, BYTES_OF(b));
}
