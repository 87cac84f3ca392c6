#include "rig.h"

enum { SPI = 0x1000, FULL = 1500 };

static uint16_t path_mtu(struct rig *r, unsigned tunnel)
{
	struct model_id id = rig_id(tunnel);
	struct fwd_tunnel_stats s;
	assert_int_equal(fwd_tunnel_stats(r->fwd, &id, &s), ERR_NONE);
	return s.path_mtu;
}

static uint16_t inner_mtu(struct rig *r, uint32_t spi)
{
	return fwd_child_outer(fwd_child_find(r->reader, spi))->mtu;
}

/* About a packet of the SA as rig_child makes it. */
static struct fwd_too_big word(uint32_t spi, uint32_t mtu)
{
	const struct model_child_sa c = rig_child(1, spi);
	return (struct fwd_too_big){ .spi_out = c.spi_out, .mtu = mtu, .local = c.path.local, .remote = c.path.remote };
}

static void all_sas_of_the_tunnel_follow_and_later_ones_too(void **state)
{
	struct rig *r = *state;
	struct fwd_too_big t = word(SPI, 1400);

	rig_tunnel(r, 1, 1);
	rig_tunnel(r, 1, 2);
	rig_install(r, 1, SPI);
	rig_install(r, 1, 0x2000);
	rig_install(r, 2, 0x3000);
	uint16_t before = inner_mtu(r, SPI);
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 1), FWD_PATH_LOWERED);
	assert_int_equal(path_mtu(r, 1), 1400);
	assert_int_equal(inner_mtu(r, SPI), before - 100);
	assert_int_equal(inner_mtu(r, 0x2000), before - 100);
	rig_install(r, 1, 0x4000);
	assert_int_equal(inner_mtu(r, 0x4000), before - 100);
	assert_int_equal(path_mtu(r, 2), FULL);
	assert_int_equal(inner_mtu(r, 0x3000), before);
	/* Upwards nobody is believed. */
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 2), FWD_PATH_IGNORED);
	t.mtu = 1450;
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 2), FWD_PATH_IGNORED);
	assert_int_equal(path_mtu(r, 1), 1400);
}

static void a_word_with_anything_wrong_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct fwd_too_big wrong[7];

	rig_tunnel(r, 1, 1);
	rig_install(r, 1, SPI);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		wrong[i] = word(SPI, 1000);
	wrong[0].spi_out++;
	wrong[1].spi_out = SPI; /* our own SPI, which the peer sends on */
	wrong[2].local.addr = rig_addr("192.0.2.9");
	wrong[3].remote.addr = rig_addr("198.51.100.9");
	wrong[4].local.port = wrong[4].remote.port = 0; /* native ESP */
	wrong[5].remote.port++;
	wrong[6].mtu = FULL;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(fwd_path_too_big(r->fwd, &wrong[i], 1), FWD_PATH_IGNORED);
	assert_int_equal(path_mtu(r, 1), FULL);
	fwd_child_delete(r->fwd, SPI);
	wrong[0] = word(SPI, 1000);
	assert_int_equal(fwd_path_too_big(r->fwd, &wrong[0], 1), FWD_PATH_IGNORED);
}

static void it_never_falls_below_what_every_link_must_carry(void **state)
{
	struct rig *r = *state;
	struct fwd_too_big t = word(SPI, 0);

	rig_tunnel(r, 1, 1);
	rig_install(r, 1, SPI);
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 1), FWD_PATH_LOWERED);
	assert_int_equal(path_mtu(r, 1), 576);
	assert_true(inner_mtu(r, SPI) > 500);
	struct model_child_sa v6 = rig_child(2, 0x2000);
	v6.path.local.addr = rig_addr("2001:db8::1");
	v6.path.remote.addr = rig_addr("2001:db8::2");
	rig_tunnel(r, 1, 2);
	assert_int_equal(fwd_child_put(r->fwd, &v6), ERR_NONE);
	t = (struct fwd_too_big){ .spi_out = v6.spi_out, .mtu = 1280, .local = v6.path.local, .remote = v6.path.remote };
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 1), FWD_PATH_LOWERED);
	assert_int_equal(path_mtu(r, 2), 1280);
}

/* RFC 8201 4: such a message must be discarded. */
static void a_link_that_ipv6_may_not_have_is_not_believed(void **state)
{
	struct rig *r = *state;
	struct model_child_sa v6 = rig_child(1, SPI);

	v6.path.local.addr = rig_addr("2001:db8::1");
	v6.path.remote.addr = rig_addr("2001:db8::2");
	rig_tunnel(r, 1, 1);
	assert_int_equal(fwd_child_put(r->fwd, &v6), ERR_NONE);
	struct fwd_too_big t = { .spi_out = v6.spi_out, .mtu = 1279, .local = v6.path.local, .remote = v6.path.remote };
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 1), FWD_PATH_IGNORED);
	assert_int_equal(path_mtu(r, 1), FULL);
}

/* Somebody sends what is too big for a path that is known: another node does not know it yet. */
static void of_a_known_path_it_says_so_once_a_second(void **state)
{
	struct rig *r = *state;
	struct fwd_too_big t = word(SPI, 1400), wider = word(SPI, 1450), full = word(SPI, FULL);

	rig_tunnel(r, 1, 1);
	rig_install(r, 1, SPI);
	assert_int_equal(fwd_path_too_big(r->fwd, &wider, 1000), FWD_PATH_LOWERED);
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 1100), FWD_PATH_LOWERED);
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 2099), FWD_PATH_IGNORED);
	assert_int_equal(fwd_path_too_big(r->fwd, &wider, 2100), FWD_PATH_KNOWN);
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 2101), FWD_PATH_IGNORED);
	assert_int_equal(fwd_path_too_big(r->fwd, &full, 5000), FWD_PATH_IGNORED);
	assert_int_equal(path_mtu(r, 1), 1400);
	/* The last word counts. */
	fwd_paths_age(r->fwd, 2100 + FWD_PATH_AGE_MS - 1);
	assert_int_equal(path_mtu(r, 1), 1400);
}

static void it_is_forgotten_after_a_while(void **state)
{
	struct rig *r = *state;
	struct fwd_too_big t = word(SPI, 1400), more = word(SPI, 1300);

	rig_tunnel(r, 1, 1);
	rig_install(r, 1, SPI);
	uint16_t before = inner_mtu(r, SPI);
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 1000), FWD_PATH_LOWERED);
	assert_int_equal(fwd_path_too_big(r->fwd, &more, 5000), FWD_PATH_LOWERED);
	fwd_paths_age(r->fwd, 5000 + FWD_PATH_AGE_MS - 1);
	assert_int_equal(path_mtu(r, 1), 1300);
	fwd_paths_age(r->fwd, 5000 + FWD_PATH_AGE_MS);
	assert_int_equal(path_mtu(r, 1), FULL);
	assert_int_equal(inner_mtu(r, SPI), before);
	/* And may be learned again. */
	assert_int_equal(fwd_path_too_big(r->fwd, &t, 6000 + FWD_PATH_AGE_MS), FWD_PATH_LOWERED);
	assert_int_equal(path_mtu(r, 1), 1400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_sas_of_the_tunnel_follow_and_later_ones_too, rig_start, rig_stop),
		cmocka_unit_test_setup_teardown(a_word_with_anything_wrong_changes_nothing, rig_start, rig_stop),
		cmocka_unit_test_setup_teardown(it_never_falls_below_what_every_link_must_carry, rig_start, rig_stop),
		cmocka_unit_test_setup_teardown(a_link_that_ipv6_may_not_have_is_not_believed, rig_start, rig_stop),
		cmocka_unit_test_setup_teardown(of_a_known_path_it_says_so_once_a_second, rig_start, rig_stop),
		cmocka_unit_test_setup_teardown(it_is_forgotten_after_a_while, rig_start, rig_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
