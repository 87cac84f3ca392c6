#include "wire/ip.h"

/* Words of the machine's own order are summed: the sum of RFC 1071 is the same in either order but for the order of its
 * two bytes (RFC 1071 2 B). Eight lanes, each of the sums of its lower and upper 32 bits, which cannot overflow in a
 * packet. Loads are of any alignment. */
typedef uint64_t lanes __attribute__((vector_size(64)));
enum { BLOCK = sizeof(lanes) };

static inline __attribute__((always_inline)) uint64_t sum_blocks(const uint8_t *p, size_t cnt)
{
	lanes sum = { 0 }, v;
	uint64_t total = 0;

	for (size_t i = 0; i < cnt; i++) {
		memcpy(&v, p + i * BLOCK, sizeof(v));
		sum += (v & UINT32_MAX) + (v >> 32);
	}
	for (size_t i = 0; i < BLOCK / sizeof(uint64_t); i++)
		total += (sum[i] & UINT32_MAX) + (sum[i] >> 32);
	return total;
}

#ifdef __x86_64__
__attribute__((target("avx512f"))) static uint64_t sum_avx512(const uint8_t *p, size_t cnt)
{
	return sum_blocks(p, cnt);
}

__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *p, size_t cnt)
{
	return sum_blocks(p, cnt);
}

static uint64_t sum_fastest(const uint8_t *p, size_t cnt)
{
	if (__builtin_cpu_supports("avx512f"))
		return sum_avx512(p, cnt);
	return __builtin_cpu_supports("avx2") ? sum_avx2(p, cnt) : sum_blocks(p, cnt);
}
#else
static uint64_t sum_fastest(const uint8_t *p, size_t cnt)
{
	return sum_blocks(p, cnt);
}
#endif

static uint16_t fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* What is left of whole blocks; the last byte of an odd number is padded with a zero (RFC 1071 1). */
static uint64_t sum_tail(struct rd *r)
{
	uint64_t sum = 0;
	uint32_t word;
	uint8_t last[4] = { 0 };

	while (rd_left(r) >= sizeof(word)) {
		rd_copy(r, &word, sizeof(word));
		sum += word;
	}
	rd_copy(r, last, rd_left(r));
	memcpy(&word, last, sizeof(word));
	return sum + word;
}

uint16_t wire_checksum(struct bytes b, uint32_t start)
{
	struct rd r = rd_of(b);
	size_t cnt = b.len / BLOCK;
	uint64_t sum = 0;

	if (cnt != 0)
		sum = sum_fastest(rd_bytes(&r, cnt * BLOCK).p, cnt);
	uint16_t own = fold(sum + sum_tail(&r));
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		own = (uint16_t)(own << 8 | own >> 8);
	return fold((uint64_t)own + start);
}

uint32_t wire_pseudo_sum(const struct wire_ip *ip, size_t payload_len)
{
	uint32_t sum = (uint32_t)payload_len + ip->protocol;

	sum = wire_checksum(addr_bytes(&ip->src), sum);
	return wire_checksum(addr_bytes(&ip->dst), sum);
}
