#include "model/route.h"

#include "codec.h"

CODEC_OF(model_route_decode, struct model_route);

static struct addr_prefix prefix(const char *text)
{
	struct addr_prefix p;
	assert_int_equal(addr_prefix_parse(bytes_str(text), &p), ERR_NONE);
	return p;
}

static struct addr address(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(bytes_str(text), &a), ERR_NONE);
	return a;
}

static struct model_route a_good_route(void)
{
	struct model_route r;
	model_route_init(&r);
	r.id = (struct model_id){ { 1 } };
	r.account_id = (struct model_id){ { 2 } };
	r.prefix = prefix("10.10.10.100/24");
	r.nexthop = address("10.252.2.27");
	r.priority = 100;
	return r;
}

static void record_comes_back_as_it_was(void **state)
{
	(void)state;
	struct model_route r = a_good_route(), s;
	uint8_t room[MODEL_ROUTE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	r.weight = 64;
	r.has_description = true;
	r.has_scope = true;
	r.colo_name_cnt = 2;
	strcpy(r.colo_names[0], "den01");
	strcpy(r.colo_names[1], "ams02");
	model_route_add_region(&r, 7);
	model_route_add_region(&r, 0);
	model_route_add_region(&r, 7);
	r.created_us = 3;
	r.modified_us = 4;
	assert_int_equal(model_route_encode(&r, &w), ERR_NONE);
	assert_int_equal(model_route_decode(wr_bytes(&w), &s), ERR_NONE);
	assert_true(model_id_eq(&r.id, &s.id));
	assert_true(model_id_eq(&r.account_id, &s.account_id));
	assert_true(addr_prefix_eq(&r.prefix, &s.prefix)); /* host bits kept */
	assert_true(addr_eq(&r.nexthop, &s.nexthop));
	assert_int_equal(s.priority, 100);
	assert_int_equal(s.weight, 64);
	assert_true(s.has_description);
	assert_string_equal(s.description, "");
	assert_true(s.has_scope);
	assert_int_equal(s.colo_name_cnt, 2);
	assert_string_equal(s.colo_names[0], "den01");
	assert_string_equal(s.colo_names[1], "ams02");
	assert_int_equal(s.region_cnt, 2);
	assert_int_equal(s.regions[0], 7);
	assert_int_equal(s.regions[1], 0);
	assert_int_equal(s.created_us, 3);
	assert_int_equal(s.modified_us, 4);
	codec_keeps_the_rules(&codec, wr_bytes(&w), (uint64_t)1 << 9);
}

/* Records of the release before have the set alone; of an order only what fits the set counts. */
static void regions_of_an_older_record_are_in_the_order_of_their_names(void **state)
{
	(void)state;
	struct model_route r = a_good_route(), s;
	uint8_t room[MODEL_ROUTE_RECORD_MAX], more[8192];
	struct wr w = wr_of(SPACE_OF(room));

	model_route_add_region(&r, 5);
	assert_int_equal(model_route_encode(&r, &w), ERR_NONE);
	assert_int_equal(model_route_decode(wr_bytes(&w), &s), ERR_NONE);
	assert_int_equal(s.region_cnt, 1);
	assert_int_equal(s.regions[0], 5);
	struct bytes odd = codec_append(wr_bytes(&w), 13, bytes_of("\xff\x05\x04\x05", 4), more);
	assert_int_equal(model_route_decode(odd, &s), ERR_NONE);
	assert_int_equal(s.region_cnt, 1);
	assert_int_equal(s.regions[0], 5);
	odd = codec_append(wr_bytes(&w), 13, bytes_of("\1\2\3\4\5\6\7\1\2\3\4\5\6\7\1\2\3", 17), more);
	assert_int_equal(codec_try(&codec, odd), ERR_SYNTAX);
}

static void biggest_route_fits_its_record(void **state)
{
	(void)state;
	struct model_route r = a_good_route();
	uint8_t room[MODEL_ROUTE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	r.prefix = prefix("2001:db8::/32");
	r.nexthop = address("fd00::b");
	r.has_description = r.has_scope = true;
	memset(r.description, 'd', sizeof(r.description) - 1);
	r.colo_name_cnt = MODEL_ROUTE_COLOS_MAX;
	for (size_t i = 0; i < r.colo_name_cnt; i++)
		memset(r.colo_names[i], 'c', MODEL_ROUTE_COLO_MAX - 1);
	for (uint8_t i = MODEL_ROUTE_REGIONS_MAX; i > 0; i--)
		model_route_add_region(&r, (uint8_t)(i - 1));
	assert_int_equal(model_route_encode(&r, &w), ERR_NONE);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_NONE);

	uint8_t more[8192];
	assert_int_equal(codec_try(&codec, codec_append(wr_bytes(&w), 9, bytes_str("den01"), more)), ERR_SYNTAX);
}

static void expect_problem(const struct model_route *r, int code, const char *field, const char *word)
{
	struct model_problem p = { 0 };
	assert_int_equal(model_route_check(r, &p), ERR_RANGE);
	assert_int_equal(p.code, code);
	assert_string_equal(p.field, field);
	if (strstr(p.text, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", p.text, word);
	assert_true(strlen(p.text) < MODEL_PROBLEM_MAX - 1);
}

static void expect_good(const struct model_route *r)
{
	struct model_problem p = { 0 };
	if (model_route_check(r, &p) != ERR_NONE)
		fail_msg("%s: %s", p.field, p.text);
}

static void prefix_is_any_unicast_space(void **state)
{
	(void)state;
	struct model_route r = a_good_route();
	static const char *const good[] = { "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "8.8.8.8/32",
					    "169.254.240.0/24", "100.64.0.0/10", "192.0.0.0/2" };
	static const char *const good6[] = { "::/0", "2000::/3", "fd00::1/128", "::/1" };
	static const char *const bad[] = { "224.0.0.0/4",  "239.1.2.3/32", "127.0.0.1/32", "127.0.0.0/8",
					   "0.0.0.0/8",	   "0.1.2.3/32",   "240.0.0.0/4",  "255.255.255.255/32",
					   "224.0.0.0/3" };
	static const char *const bad6[] = { "ff00::/8", "ff02::1/128", "::1/128", "::/128", "fe80::/10",
					    "fe80::1/64", "::ffff:10.0.0.0/104" };
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		r.prefix = prefix(good[i]);
		expect_good(&r);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r.prefix = prefix(bad[i]);
		expect_problem(&r, MODEL_CODE_PREFIX, "/prefix", bad[i]);
	}
	r.nexthop = address("fd00::b");
	for (size_t i = 0; i < ARRAY_LEN(good6); i++) {
		r.prefix = prefix(good6[i]);
		expect_good(&r);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad6); i++) {
		r.prefix = prefix(bad6[i]);
		expect_problem(&r, MODEL_CODE_PREFIX, "/prefix", "not unicast space");
	}
	r.prefix = (struct addr_prefix){ 0 };
	expect_problem(&r, MODEL_CODE_PREFIX, "/prefix", "not unicast space");
}

static void nexthop_is_unicast_of_the_prefix_family(void **state)
{
	(void)state;
	struct model_route r = a_good_route();
	static const char *const bad[] = { "0.0.0.0", "224.0.0.5", "255.255.255.255", "127.0.0.1" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r.nexthop = address(bad[i]);
		expect_problem(&r, MODEL_CODE_NEXTHOP, "/nexthop", "customer side");
	}
	r.nexthop = (struct addr){ 0 };
	expect_problem(&r, MODEL_CODE_NEXTHOP, "/nexthop", "customer side");
	r.nexthop = address("fd00::b");
	expect_problem(&r, MODEL_CODE_NEXTHOP, "/nexthop", "another IP version");
}

static void numbers_have_limits(void **state)
{
	(void)state;
	struct model_route r = a_good_route();
	r.priority = 0;
	expect_good(&r);
	r.priority = 400000;
	expect_good(&r);
	r.priority = 400001;
	expect_problem(&r, MODEL_CODE_PRIORITY, "/priority", "400001");
	r.priority = 1;
	r.weight = 256;
	expect_good(&r);
	r.weight = 257;
	expect_problem(&r, MODEL_CODE_WEIGHT, "/weight", "1 to 256");
}

static void texts_and_scope_are_checked(void **state)
{
	(void)state;
	struct model_route r = a_good_route();
	strcpy(r.description, "\x01");
	expect_problem(&r, MODEL_CODE_TEXT, "/description", "UTF-8");
	r.description[0] = 0;
	r.colo_name_cnt = 1;
	expect_problem(&r, MODEL_CODE_SCOPE, "/scope/colo_names", "den01");
	strcpy(r.colo_names[0], "den 01");
	expect_problem(&r, MODEL_CODE_SCOPE, "/scope/colo_names", "den01");
	strcpy(r.colo_names[0], "den01");
	expect_good(&r);
	for (uint8_t i = 0; i < MODEL_REGION_CNT; i++)
		model_route_add_region(&r, i);
	expect_good(&r);
	model_route_add_region(&r, MODEL_REGION_CNT);
	expect_problem(&r, MODEL_CODE_SCOPE, "/scope/colo_regions", "WNAM");
}

static void duplicate_ignores_host_bits_and_order_of_the_scope(void **state)
{
	(void)state;
	struct model_route a = a_good_route(), b = a_good_route();
	b.id.b[0] = 99;
	b.prefix = prefix("10.10.10.7/24");
	b.weight = 5;
	assert_true(model_route_same(&a, &b));
	a.colo_name_cnt = b.colo_name_cnt = 2;
	strcpy(a.colo_names[0], "den01");
	strcpy(a.colo_names[1], "ams02");
	strcpy(b.colo_names[0], "ams02");
	strcpy(b.colo_names[1], "den01");
	assert_true(model_route_same(&a, &b));
	strcpy(b.colo_names[1], "ams02");
	assert_false(model_route_same(&a, &b));
	b = a;
	b.priority++;
	assert_false(model_route_same(&a, &b));
	b = a;
	b.nexthop.b[3]++;
	assert_false(model_route_same(&a, &b));
	b = a;
	b.prefix.len = 25;
	assert_false(model_route_same(&a, &b));
	b = a;
	model_route_add_region(&b, 0);
	assert_false(model_route_same(&a, &b));
	model_route_add_region(&a, 3);
	model_route_add_region(&a, 0);
	model_route_add_region(&b, 3);
	assert_true(model_route_same(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_comes_back_as_it_was),
		cmocka_unit_test(regions_of_an_older_record_are_in_the_order_of_their_names),
		cmocka_unit_test(biggest_route_fits_its_record),
		cmocka_unit_test(prefix_is_any_unicast_space),
		cmocka_unit_test(nexthop_is_unicast_of_the_prefix_family),
		cmocka_unit_test(numbers_have_limits),
		cmocka_unit_test(texts_and_scope_are_checked),
		cmocka_unit_test(duplicate_ignores_host_bits_and_order_of_the_scope),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
