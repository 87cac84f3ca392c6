#include "esp/mtu.h"

#include "rig.h"

static void figures_for_a_path_of_1500_are_the_documented_ones(void **state)
{
	(void)state;
	assert_int_equal(esp_mtu(&suite_gcm256, 1500, ADDR_V4, false), 1446);
	assert_int_equal(esp_mtu(&suite_gcm128, 1500, ADDR_V4, true), 1438);
	assert_int_equal(esp_mtu(&suite_cbc_sha256, 1500, ADDR_V4, false), 1438);
	assert_int_equal(esp_mtu(&suite_cbc_sha256, 1500, ADDR_V4, true), 1422);
	assert_int_equal(esp_mtu(&suite_gcm256, 1500, ADDR_V6, false), 1426);
	assert_int_equal(esp_mtu(&suite_gcm256, 1500, ADDR_V6, true), 1418);
}

/* An inner packet of that size fills the path, one more byte does not fit it. */
static void the_figure_is_the_largest_that_fits(void **state)
{
	static const struct model_suite *const suites[] = { &suite_gcm128, &suite_cbc_sha256, &suite_cbc_sha1,
							    &suite_null_sha1, &suite_null_sha256 };
	(void)state;

	for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
		struct esp_counter counter;
		esp_counter_init(&counter, 1, 0);
		struct esp_sa *out = make_out(suites[s], &counter);
		for (uint16_t path = 576; path < 640; path++) {
			uint16_t mtu = esp_mtu(suites[s], path, ADDR_V4, true);
			uint8_t inner[1024] = { 0 };
			struct esp_job fits = make_job(out, bytes_of(inner, mtu));
			struct esp_job above = make_job(out, bytes_of(inner, (size_t)mtu + 1));
			esp_seal(&fits, 1, 0);
			esp_seal(&above, 1, 0);
			assert_true(fits.ok && above.ok);
			assert_true(28 + fits.len <= path);
			assert_true(28 + above.len > path);
			free(fits.buf.p);
			free(above.buf.p);
		}
		esp_sa_free(out);
	}
}

static void nothing_fits_a_path_that_is_too_narrow(void **state)
{
	static const struct model_suite unknown = { .encr = 99 };
	(void)state;

	assert_int_equal(esp_mtu(&suite_gcm128, 55, ADDR_V4, false), 0);
	assert_int_equal(esp_mtu(&suite_gcm128, 56, ADDR_V4, false), 2);
	assert_int_equal(esp_mtu(&suite_gcm128, 0, ADDR_V6, true), 0);
	assert_int_equal(esp_mtu(&unknown, 1500, ADDR_V4, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_for_a_path_of_1500_are_the_documented_ones),
		cmocka_unit_test(the_figure_is_the_largest_that_fits),
		cmocka_unit_test(nothing_fits_a_path_that_is_too_narrow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
