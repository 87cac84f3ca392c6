#include "ike/step.h"

/* A check byte under a key of the cluster. The top bit keeps the two kinds apart,
 * since an ESP SPI's random part is also a possible IKE one. */
#define ESP_KIND ((uint64_t)1 << 63)

static uint8_t check_byte(const struct siphash_key *key, uint64_t head)
{
	return (uint8_t)siphash_u64(key, head);
}

uint64_t ike_spi_make(const struct siphash_key *key, uint16_t slot, const uint8_t random[static 8])
{
	struct rd r = rd_of(bytes_of(random, 8));
	uint64_t bits = rd_u64(&r) & (((uint64_t)1 << 44) - 1);

	must(slot < 4096);
	if (bits == 0) /* RFC 7296 3.1: the responder's SPI is not zero */
		bits = 1;
	uint64_t head = (uint64_t)slot << 44 | bits;
	return head << 8 | check_byte(key, head);
}

bool ike_spi_check(const struct siphash_key *key, uint64_t spi)
{
	return check_byte(key, spi >> 8) == (uint8_t)spi;
}

uint32_t ike_esp_spi_make(const struct siphash_key *key, const uint8_t random[static 8])
{
	struct rd r = rd_of(bytes_of(random, 8));
	uint32_t head = (uint32_t)rd_u64(&r) & 0xffffff;

	if (head == 0) /* RFC 4303 2.1: 0 to 255 are reserved */
		head = 1;
	return head << 8 | check_byte(key, ESP_KIND | head);
}

bool ike_esp_spi_check(const struct siphash_key *key, uint32_t spi)
{
	return spi >= 256 && check_byte(key, ESP_KIND | spi >> 8) == (uint8_t)spi;
}
