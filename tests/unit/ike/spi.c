#include "ike_test.h"

#include "crypt/random.h"

static const struct siphash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 }, other = { 1, 2 };

static void a_made_ike_spi_passes_its_check_and_has_the_slot_on_top(void **state)
{
	uint8_t random[8];

	(void)state;
	for (uint16_t slot = 0; slot < 4096; slot++) {
		crypt_random(random, sizeof(random));
		uint64_t spi = ike_spi_make(&key, slot, random);
		assert_true(ike_spi_check(&key, spi));
		assert_int_equal(ike_spi_slot(spi), slot);
		assert_int_not_equal(spi, 0);
	}
}

static void junk_passes_one_time_in_256(void **state)
{
	unsigned ike = 0, esp = 0, foreign = 0;
	uint8_t random[8];

	(void)state;
	for (uint32_t i = 0; i < 65536; i++) {
		crypt_random(random, sizeof(random));
		struct rd r = rd_of(BYTES_OF(random));
		uint64_t v = rd_u64(&r);
		ike += ike_spi_check(&key, v);
		esp += ike_esp_spi_check(&key, (uint32_t)v);
		foreign += ike_spi_check(&other, ike_spi_make(&key, 1, random));
	}
	assert_in_range(ike, 150, 380);
	assert_in_range(esp, 150, 380);
	assert_in_range(foreign, 150, 380);
}

static void a_made_esp_spi_passes_its_check_and_is_never_reserved(void **state)
{
	uint8_t random[8];

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		crypt_random(random, sizeof(random));
		uint32_t spi = ike_esp_spi_make(&key, random);
		assert_true(spi >= 256 && ike_esp_spi_check(&key, spi));
	}
	for (uint32_t spi = 0; spi < 256; spi++)
		assert_false(ike_esp_spi_check(&key, spi));
}

static void zero_random_bytes_give_valid_spis(void **state)
{
	const uint8_t zero[8] = { 0 };

	(void)state;
	assert_true(ike_spi_make(&key, 0, zero) != 0 && ike_spi_check(&key, ike_spi_make(&key, 0, zero)));
	assert_true(ike_esp_spi_make(&key, zero) >= 256);
}

TESTS(cmocka_unit_test(a_made_ike_spi_passes_its_check_and_has_the_slot_on_top),
      cmocka_unit_test(junk_passes_one_time_in_256),
      cmocka_unit_test(a_made_esp_spi_passes_its_check_and_is_never_reserved),
      cmocka_unit_test(zero_random_bytes_give_valid_spis))
