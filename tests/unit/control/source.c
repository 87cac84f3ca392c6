// Half-open handshakes by address and by network.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/internal.h"

static const struct conf limits = { .half_open_per_address = 2, .half_open_per_prefix = 5 };

static struct control *make(const struct conf *conf)
{
	struct control *c = calloc(1, sizeof(*c));

	must(c != NULL && hmap_init(&c->sources) == ERR_NONE);
	c->cfg.conf = conf;
	return c;
}

static struct addr address(const char *text)
{
	struct addr a;
	must(addr_parse(bytes_str(text), &a) == ERR_NONE);
	return a;
}

static bool add(struct control *c, const char *text)
{
	struct addr a = address(text);
	bool allowed = control_source_allowed(c, &a);
	return allowed && control_source_add(c, &a);
}

static void take_off(struct control *c, const char *text)
{
	struct addr a = address(text);
	control_source_remove(c, &a);
}

static void finish(struct control *c)
{
	assert_int_equal(c->sources.cnt, 0); /* what went leaves nothing */
	hmap_fini(&c->sources);
	free(c);
}

static void an_address_has_its_share_and_gets_it_again(void **state)
{
	struct control *c = make(&limits);

	(void)state;
	assert_true(add(c, "192.0.2.1") && add(c, "192.0.2.1"));
	assert_false(add(c, "192.0.2.1"));
	assert_true(add(c, "192.0.2.2"));
	take_off(c, "192.0.2.1");
	assert_true(add(c, "192.0.2.1"));
	assert_false(add(c, "192.0.2.1"));
	take_off(c, "192.0.2.1");
	take_off(c, "192.0.2.1");
	take_off(c, "192.0.2.2");
	finish(c);
}

static void a_network_has_its_share_whatever_its_addresses(void **state)
{
	static const char *const v4[] = { "192.0.2.0", "192.0.2.1", "192.0.2.128", "192.0.2.254", "192.0.2.255" };
	static const char *const v6[] = { "2001:db8:1::", "2001:db8:1::1", "2001:db8:1:ffff::1", "2001:db8:1:2:3:4:5:6",
					  "2001:db8:1:8000::" };
	struct control *c = make(&limits);

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_true(add(c, v4[i]) && add(c, v6[i]));
	assert_false(add(c, "192.0.2.77"));
	assert_false(add(c, "2001:db8:1:7::7"));
	assert_true(add(c, "192.0.3.77") && add(c, "2001:db8:2:7::7"));
	/* the families do not meet, though the first bytes be the same */
	assert_true(add(c, "c000:0200::1"));
	take_off(c, "192.0.2.128");
	assert_true(add(c, "192.0.2.77"));
	assert_false(add(c, "192.0.2.78"));
	take_off(c, "192.0.2.77");
	take_off(c, "192.0.3.77");
	take_off(c, "2001:db8:2:7::7");
	take_off(c, "c000:0200::1");
	for (unsigned i = 0; i < 5; i++) {
		take_off(c, v6[i]);
		if (i != 2)
			take_off(c, v4[i]);
	}
	finish(c);
}

static void a_network_has_no_less_than_one_of_its_addresses(void **state)
{
	static const struct conf odd = { .half_open_per_address = 3, .half_open_per_prefix = 1 };
	struct control *c = make(&odd);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_true(add(c, "192.0.2.1"));
	assert_false(add(c, "192.0.2.1") || add(c, "192.0.2.2"));
	for (unsigned i = 0; i < 3; i++)
		take_off(c, "192.0.2.1");
	finish(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_its_share_and_gets_it_again),
		cmocka_unit_test(a_network_has_its_share_whatever_its_addresses),
		cmocka_unit_test(a_network_has_no_less_than_one_of_its_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
