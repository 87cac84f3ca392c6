#include "fwd/lpm.h"

#include "rig.h"

static uint32_t noise = 2463534242;

static uint32_t random_u32(void)
{
	noise ^= noise << 13;
	noise ^= noise >> 17;
	noise ^= noise << 5;
	return noise;
}

/* Addresses that lie close together, so that prefixes nest and touch. */
static struct addr random_addr(uint8_t family)
{
	static const uint8_t few[] = { 0x00, 0xff, 0x80, 0x7f, 0x0a, 0x01 };
	struct addr a = { .family = family };

	for (size_t i = 0; i < addr_len(family); i++)
		a.b[i] = random_u32() % 4 == 0 ? (uint8_t)random_u32() : few[random_u32() % ARRAY_LEN(few)];
	return a;
}

static uint32_t find_naively(const struct fwd_lpm_entry *e, size_t cnt, const struct addr *a)
{
	uint32_t best = FWD_LPM_NONE;
	int len = -1;

	for (size_t i = 0; i < cnt; i++)
		if (addr_prefix_contains(&e[i].prefix, a) && e[i].prefix.len > len) {
			len = e[i].prefix.len;
			best = e[i].value;
		}
	return best;
}

static bool is_listed(const struct fwd_lpm_entry *e, size_t cnt, const struct addr_prefix *p)
{
	for (size_t i = 0; i < cnt; i++)
		if (addr_prefix_eq(&e[i].prefix, p))
			return true;
	return false;
}

static void check_table(uint8_t family, size_t want)
{
	struct fwd_lpm_entry *entries = calloc(want + 1, sizeof(*entries));
	struct fwd_lpm l;
	size_t cnt = 0;

	assert_non_null(entries);
	for (size_t i = 0; i < want; i++) {
		struct addr_prefix p = { random_addr(family),
					 (uint8_t)(random_u32() % (8 * addr_len(family) + 1)) };
		p = addr_prefix_mask(&p);
		if (!is_listed(entries, cnt, &p))
			entries[cnt++] = (struct fwd_lpm_entry){ p, (uint32_t)i };
	}
	assert_int_equal(fwd_lpm_build(entries, cnt, &l), ERR_NONE);
	for (unsigned i = 0; i < 300; i++) {
		struct addr a = random_addr(family);
		assert_int_equal(fwd_lpm_find(&l, &a), find_naively(entries, cnt, &a));
	}
	/* The borders of each prefix, and their neighbours, are where mistakes are. */
	for (size_t i = 0; i < cnt; i++) {
		struct addr ends[2];
		addr_prefix_range(&entries[i].prefix, &ends[0], &ends[1]);
		for (unsigned e = 0; e < 2; e++)
			for (unsigned step = 0; step < 3; step++) {
				struct addr a = ends[e];
				uint8_t *last = &a.b[addr_len(family) - 1];
				*last = (uint8_t)(*last + step - 1);
				assert_int_equal(fwd_lpm_find(&l, &a), find_naively(entries, cnt, &a));
			}
	}
	fwd_lpm_fini(&l);
	free(entries);
}

static void random_tables_agree_with_a_naive_list(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 5, 10, 30, 100, 400 };
	(void)state;

	for (unsigned round = 0; round < 8; round++)
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			check_table(ADDR_V4, sizes[i]);
			check_table(ADDR_V6, sizes[i]);
		}
}

static void prefixes_of_every_length_nest(void **state)
{
	static const uint8_t families[] = { ADDR_V4, ADDR_V6 };
	(void)state;

	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		struct fwd_lpm_entry e[129];
		struct fwd_lpm l;
		unsigned bits = (unsigned)(8 * addr_len(families[f]));
		struct addr zero = { .family = families[f] };
		for (unsigned i = 0; i <= bits; i++)
			e[i] = (struct fwd_lpm_entry){ { zero, (uint8_t)i }, i };
		assert_int_equal(fwd_lpm_build(e, bits + 1, &l), ERR_NONE);
		assert_int_equal(fwd_lpm_find(&l, &zero), bits);
		for (unsigned i = 0; i < bits; i++) {
			struct addr a = zero;
			a.b[i / 8] = (uint8_t)(0x80u >> i % 8);
			assert_int_equal(fwd_lpm_find(&l, &a), i);
		}
		fwd_lpm_fini(&l);
	}
}

static void the_highest_address_has_no_neighbour(void **state)
{
	struct fwd_lpm_entry e[] = { { rig_prefix("255.255.255.255/32"), 1 }, { rig_prefix("128.0.0.0/1"), 2 } };
	struct addr top = rig_addr("255.255.255.255"), below = rig_addr("255.255.255.254"), low = rig_addr("1.2.3.4");
	struct fwd_lpm l;
	(void)state;

	assert_int_equal(fwd_lpm_build(e, 2, &l), ERR_NONE);
	assert_int_equal(fwd_lpm_find(&l, &top), 1);
	assert_int_equal(fwd_lpm_find(&l, &below), 2);
	assert_int_equal(fwd_lpm_find(&l, &low), FWD_LPM_NONE);
	fwd_lpm_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_tables_agree_with_a_naive_list),
		cmocka_unit_test(prefixes_of_every_length_nest),
		cmocka_unit_test(the_highest_address_has_no_neighbour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
