#include "model/tunnel.h"

#include "codec.h"

CODEC_OF(model_tunnel_decode, struct model_tunnel);

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

static struct model_tunnel a_good_tunnel(void)
{
	struct model_tunnel t;
	model_tunnel_init(&t);
	t.id = (struct model_id){ { 7, 7 } };
	t.account_id = (struct model_id){ { 9 } };
	strcpy(t.name, "branch 1");
	t.cloudflare_endpoint = address("192.0.2.1");
	t.interface_address = prefix("10.252.2.26/31");
	return t;
}

static void record_comes_back_as_it_was(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel(), u;
	uint8_t room[MODEL_TUNNEL_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	t.has_description = true;
	strcpy(t.description, "ISP \xc3\x84\nsecond line");
	t.customer_endpoint = address("203.0.113.254");
	t.interface_address6 = prefix("fd00::a/127");
	t.health_check = (struct model_health_check){ false, MODEL_RATE_HIGH, MODEL_PROBE_REQUEST,
						      MODEL_DIRECTION_UNIDIRECTIONAL, "203.0.113.9" };
	t.allow_null_cipher = true;
	t.replay_protection = true;
	t.onramp = (struct model_tunnel_onramp){ 301, 121, 6, 64, 1300, 1400, MODEL_START_RESPOND,
						MODEL_PROFILE_MODERN, true, MODEL_REKEY_MAX, 12345 };
	t.psk_set_us = 5;
	t.created_us = 6;
	t.modified_us = 7;
	assert_int_equal(model_tunnel_encode(&t, &w), ERR_NONE);
	assert_int_equal(model_tunnel_decode(wr_bytes(&w), &u), ERR_NONE);
	assert_true(model_id_eq(&t.id, &u.id));
	assert_true(model_id_eq(&t.account_id, &u.account_id));
	assert_string_equal(t.name, u.name);
	assert_true(u.has_description);
	assert_string_equal(t.description, u.description);
	assert_true(addr_eq(&t.cloudflare_endpoint, &u.cloudflare_endpoint));
	assert_true(addr_eq(&t.customer_endpoint, &u.customer_endpoint));
	assert_true(addr_prefix_eq(&t.interface_address, &u.interface_address));
	assert_true(addr_prefix_eq(&t.interface_address6, &u.interface_address6));
	assert_memory_equal(&t.health_check, &u.health_check, sizeof(t.health_check));
	assert_true(u.allow_null_cipher);
	assert_true(u.replay_protection);
	assert_int_equal(u.onramp.ike_lifetime_s, 301);
	assert_int_equal(u.onramp.child_lifetime_s, 121);
	assert_int_equal(u.onramp.dpd_delay_s, 6);
	assert_int_equal(u.onramp.replay_window, 64);
	assert_int_equal(u.onramp.mss_clamp, 1300);
	assert_int_equal(u.onramp.outer_mtu, 1400);
	assert_int_equal(u.onramp.start_action, MODEL_START_RESPOND);
	assert_int_equal(u.onramp.profile, MODEL_PROFILE_MODERN);
	assert_true(u.onramp.esn);
	assert_int_equal(u.onramp.child_rekey_bytes, MODEL_REKEY_MAX);
	assert_int_equal(u.onramp.child_rekey_packets, 12345);
	assert_int_equal(u.psk_set_us, 5);
	assert_int_equal(u.created_us, 6);
	assert_int_equal(u.modified_us, 7);
	codec_keeps_the_rules(&codec, wr_bytes(&w), 0);
}

static void fields_that_a_record_lacks_have_their_defaults(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel(), u, fresh;
	uint8_t room[256];
	struct wr w = wr_of(SPACE_OF(room));

	tlv_begin(&w, 1);
	tlv_bytes(&w, 1, BYTES_OF(t.id.b));
	tlv_bytes(&w, 2, BYTES_OF(t.account_id.b));
	tlv_text(&w, 3, t.name);
	tlv_addr(&w, 5, &t.cloudflare_endpoint);
	tlv_prefix(&w, 7, &t.interface_address);
	assert_int_equal(model_tunnel_decode(wr_bytes(&w), &u), ERR_NONE);
	model_tunnel_init(&fresh);
	assert_memory_equal(&u.health_check, &fresh.health_check, sizeof(u.health_check));
	assert_int_equal(u.onramp.ike_lifetime_s, 86400);
	assert_int_equal(u.onramp.child_lifetime_s, 28800);
	assert_int_equal(u.onramp.dpd_delay_s, 30);
	assert_int_equal(u.onramp.outer_mtu, 1500);
	assert_int_equal(u.onramp.profile, MODEL_PROFILE_MAGIC);
	assert_false(u.has_description);
	assert_false(u.allow_null_cipher || u.onramp.esn);
	assert_int_equal(u.onramp.child_rekey_bytes + u.onramp.child_rekey_packets, 0);
}

static void record_without_its_name_is_refused(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();
	uint8_t room[256];
	struct wr w = wr_of(SPACE_OF(room));
	tlv_begin(&w, 1);
	tlv_bytes(&w, 1, BYTES_OF(t.id.b));
	tlv_bytes(&w, 2, BYTES_OF(t.account_id.b));
	tlv_addr(&w, 5, &t.cloudflare_endpoint);
	tlv_prefix(&w, 7, &t.interface_address);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_SYNTAX);
}

static void biggest_tunnel_fits_its_record(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();
	uint8_t room[MODEL_TUNNEL_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	memset(t.name, 'n', sizeof(t.name) - 1);
	memset(t.description, 'd', sizeof(t.description) - 1);
	memset(t.health_check.target, 't', sizeof(t.health_check.target) - 1);
	t.has_description = true;
	t.cloudflare_endpoint = address("2001:db8::1");
	t.customer_endpoint = address("2001:db8::2");
	t.interface_address6 = prefix("fd00::a/127");
	assert_int_equal(model_tunnel_encode(&t, &w), ERR_NONE);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_NONE);
}

static void expect_problem(const struct model_tunnel *t, int code, const char *field, const char *word)
{
	struct model_problem p = { 0 };
	assert_int_equal(model_tunnel_check(t, &p), ERR_RANGE);
	assert_int_equal(p.code, code);
	assert_string_equal(p.field, field);
	if (strstr(p.text, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", p.text, word);
	assert_true(strlen(p.text) < MODEL_PROBLEM_MAX - 1); /* nothing was cut off */
}

static void expect_good(const struct model_tunnel *t)
{
	struct model_problem p = { 0 };
	if (model_tunnel_check(t, &p) != ERR_NONE)
		fail_msg("%s: %s", p.field, p.text);
}

static void name_has_1_to_255_printable_characters(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();

	memset(t.name, 'x', 255);
	expect_good(&t);
	strcpy(t.name, "a");
	expect_good(&t);
	t.name[0] = 0;
	expect_problem(&t, MODEL_CODE_NAME, "/name", "1 to 255");
	static const char *const bad[] = { "a\nb", "a\x1b[31m", "a\x7f", "caf\xc3\xa9" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		strcpy(t.name, bad[i]);
		expect_problem(&t, MODEL_CODE_NAME, "/name", "printable");
	}
}

static void description_is_utf8_without_control_characters(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();
	static const char *const good[] = { "", "line\nline\ttab", "\xc3\x84\xe2\x82\xac\xf0\x9f\x98\x80",
					    "\xed\x9f\xbf", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xe0\xa0\x80" };
	static const char *const bad[] = { "\x1b[0m", "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
					   "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc2\x85", "\x7f", "\xe2\x82",
					   "\xf0\x8f\xbf\xbf", "\xff" };
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		strcpy(t.description, good[i]);
		expect_good(&t);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		strcpy(t.description, bad[i]);
		expect_problem(&t, MODEL_CODE_TEXT, "/description", "UTF-8");
	}
}

static void endpoints_are_unicast_and_of_one_family(void **state)
{
	(void)state;
	struct model_tunnel good = a_good_tunnel(), t = good;

	t.cloudflare_endpoint = (struct addr){ 0 };
	expect_problem(&t, MODEL_CODE_ENDPOINT, "/cloudflare_endpoint", "not a unicast");
	static const char *const bad[] = { "0.0.0.0", "224.0.0.1", "239.255.255.255", "255.255.255.255", "::", "ff02::1" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t = good;
		t.cloudflare_endpoint = address(bad[i]);
		expect_problem(&t, MODEL_CODE_ENDPOINT, "/cloudflare_endpoint", bad[i]);
		t = good;
		t.customer_endpoint = address(bad[i]);
		expect_problem(&t, MODEL_CODE_ENDPOINT, "/customer_endpoint", bad[i]);
	}
	t = good;
	t.customer_endpoint = address("2001:db8::1");
	expect_problem(&t, MODEL_CODE_ENDPOINT, "/customer_endpoint", "two IP versions");
	t.customer_endpoint = t.cloudflare_endpoint;
	expect_problem(&t, MODEL_CODE_ENDPOINT, "/customer_endpoint", "own address");
	t.cloudflare_endpoint = address("2001:db8::2");
	t.customer_endpoint = address("2001:db8::3");
	expect_good(&t);
}

static void interface_address_is_a_host_of_a_30_or_31_in_private_space(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();
	static const char *const good[] = { "10.0.0.0/31",	"10.0.0.1/31",	     "10.0.0.1/30",
					    "10.0.0.2/30",	"172.16.0.1/30",     "172.31.255.254/31",
					    "192.168.255.255/31", "169.254.240.1/30", "169.254.255.254/31" };
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "10.0.0.0/30", "network or broadcast" }, { "10.0.0.3/30", "network or broadcast" },
		{ "10.0.0.1/29", "/31 or /30" },	   { "10.0.0.1/32", "/31 or /30" },
		{ "fd00::1/127", "/31 or /30" },	   { "8.8.8.8/31", "169.254.240.0/20" },
		{ "172.15.255.254/31", "must lie in" },	   { "172.32.0.0/31", "must lie in" },
		{ "192.167.0.0/31", "must lie in" },	   { "169.254.239.254/31", "must lie in" },
		{ "11.0.0.0/31", "must lie in" },
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		t.interface_address = prefix(good[i]);
		expect_good(&t);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t.interface_address = prefix(bad[i].text);
		expect_problem(&t, MODEL_CODE_INTERFACE_ADDRESS, "/interface_address", bad[i].word);
		expect_problem(&t, MODEL_CODE_INTERFACE_ADDRESS, "/interface_address", bad[i].text);
	}
	t.interface_address = (struct addr_prefix){ 0 };
	expect_problem(&t, MODEL_CODE_INTERFACE_ADDRESS, "/interface_address", "/31 or /30");
}

static void interface_address6_is_a_routable_127(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();
	static const char *const good[] = { "fd00::a/127", "fd00::b/127", "2001:db8::/127" };
	static const char *const bad[] = { "fd00::a/126", "fd00::a/128", "::1/127", "::/127", "ff02::1/127",
					   "fe80::1/127", "10.0.0.1/31" };
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		t.interface_address6 = prefix(good[i]);
		expect_good(&t);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t.interface_address6 = prefix(bad[i]);
		expect_problem(&t, MODEL_CODE_INTERFACE_ADDRESS, "/interface_address6", bad[i]);
	}
}

static void customer_side_is_the_other_host(void **state)
{
	(void)state;
	static const struct {
		const char *ours, *theirs;
	} pairs[] = {
		{ "10.252.2.26/31", "10.252.2.27" }, { "10.252.2.27/31", "10.252.2.26" },
		{ "10.0.0.1/30", "10.0.0.2" },	     { "10.0.0.2/30", "10.0.0.1" },
		{ "10.0.0.253/30", "10.0.0.254" },   { "fd00::a/127", "fd00::b" },
		{ "fd00::b/127", "fd00::a" },	     { "10.0.0.0/30", "-" },
		{ "10.0.0.3/30", "-" },		     { "10.0.0.1/29", "-" },
		{ "10.0.0.1/32", "-" },		     { "fd00::a/126", "-" },
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		char text[ADDR_TEXT_MAX];
		struct addr_prefix p = prefix(pairs[i].ours);
		struct addr a = model_tunnel_customer_side(&p);
		assert_string_equal(addr_format(&a, text), pairs[i].theirs);
	}
}

static void health_target_follows_the_direction(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();
	char text[ADDR_TEXT_MAX];
	struct addr a = model_tunnel_health_target(&t);

	assert_string_equal(addr_format(&a, text), "10.252.2.27"); /* bidirectional is the default */
	t.customer_endpoint = address("203.0.113.1");
	a = model_tunnel_health_target(&t);
	assert_string_equal(addr_format(&a, text), "10.252.2.27");
	t.health_check.direction = MODEL_DIRECTION_UNIDIRECTIONAL;
	a = model_tunnel_health_target(&t);
	assert_string_equal(addr_format(&a, text), "203.0.113.1");
	strcpy(t.health_check.target, "198.51.100.7");
	a = model_tunnel_health_target(&t);
	assert_string_equal(addr_format(&a, text), "198.51.100.7");
}

static void health_target_is_an_address(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel();
	static const char *const bad[] = { "example.com", "10.0.0.1/32", "224.0.0.1", " 10.0.0.1", "0.0.0.0" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		strcpy(t.health_check.target, bad[i]);
		expect_problem(&t, MODEL_CODE_HEALTH_CHECK, "/health_check/target", "unicast IP address");
	}
	strcpy(t.health_check.target, "2001:db8::7");
	expect_good(&t);
	t.health_check.rate = 3;
	expect_problem(&t, MODEL_CODE_HEALTH_CHECK, "/health_check", "low, mid or high");
}

static void onramp_numbers_have_limits(void **state)
{
	(void)state;
	struct model_tunnel good = a_good_tunnel(), t = good;

#define LIMIT(field, name, value, ok)                                                                  \
	do {                                                                                     \
		t = good;                                                                        \
		t.onramp.field = value;                                                          \
		if (ok)                                                                          \
			expect_good(&t);                                                         \
		else                                                                             \
			expect_problem(&t, MODEL_CODE_ONRAMP, "/onramp/" name, "must be");     \
	} while (0)
	LIMIT(ike_lifetime_s, "ike_lifetime", 299, false);
	LIMIT(ike_lifetime_s, "ike_lifetime", 300, true);
	LIMIT(ike_lifetime_s, "ike_lifetime", 604800, true);
	LIMIT(ike_lifetime_s, "ike_lifetime", 604801, false);
	LIMIT(ike_lifetime_s, "ike_lifetime", 0, false);
	LIMIT(child_lifetime_s, "child_lifetime", 119, false);
	LIMIT(child_lifetime_s, "child_lifetime", 120, true);
	LIMIT(child_lifetime_s, "child_lifetime", 604801, false);
	LIMIT(dpd_delay_s, "dpd_delay", 0, true);
	LIMIT(dpd_delay_s, "dpd_delay", 1, false);
	LIMIT(dpd_delay_s, "dpd_delay", 4, false);
	LIMIT(dpd_delay_s, "dpd_delay", 5, true);
	LIMIT(dpd_delay_s, "dpd_delay", 3601, false);
	LIMIT(replay_window, "replay_window", 0, true);
	LIMIT(replay_window, "replay_window", 31, false);
	LIMIT(replay_window, "replay_window", 32, true);
	LIMIT(replay_window, "replay_window", 4097, false);
	LIMIT(mss_clamp, "mss_clamp", 0, true);
	LIMIT(mss_clamp, "mss_clamp", 1, true);
	LIMIT(mss_clamp, "mss_clamp", 2, false);
	LIMIT(mss_clamp, "mss_clamp", 535, false);
	LIMIT(mss_clamp, "mss_clamp", 536, true);
	LIMIT(mss_clamp, "mss_clamp", 9001, false);
	LIMIT(outer_mtu, "outer_mtu", 575, false);
	LIMIT(outer_mtu, "outer_mtu", 576, true);
	LIMIT(outer_mtu, "outer_mtu", 9001, false);
	LIMIT(child_rekey_bytes, "child_rekey_bytes", 1, false);
	LIMIT(child_rekey_bytes, "child_rekey_bytes", MODEL_REKEY_BYTES_MIN - 1, false);
	LIMIT(child_rekey_bytes, "child_rekey_bytes", MODEL_REKEY_BYTES_MIN, true);
	LIMIT(child_rekey_bytes, "child_rekey_bytes", MODEL_REKEY_MAX, true);
	LIMIT(child_rekey_bytes, "child_rekey_bytes", MODEL_REKEY_MAX + 1, false);
	LIMIT(child_rekey_packets, "child_rekey_packets", 0, true);
	LIMIT(child_rekey_packets, "child_rekey_packets", 99, false);
	LIMIT(child_rekey_packets, "child_rekey_packets", 100, true);
	LIMIT(child_rekey_packets, "child_rekey_packets", MODEL_REKEY_MAX + 1, false);
	LIMIT(esn, "esn", true, false);
	good.replay_protection = true;
	LIMIT(esn, "esn", true, true);
	LIMIT(start_action, "start_action", 1, false);
	LIMIT(profile, "profile", MODEL_PROFILE_MODERN, true);
	LIMIT(profile, "profile", MODEL_PROFILE_CNT, false);
	good.cloudflare_endpoint = address("2001:db8::1");
	LIMIT(outer_mtu, "outer_mtu", 1279, false);
	LIMIT(outer_mtu, "outer_mtu", 1280, true);
#undef LIMIT
}

static void two_tunnels_may_not_share_name_or_addresses(void **state)
{
	(void)state;
	struct model_tunnel t = a_good_tunnel(), other = t;
	struct model_problem p;

	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_NONE); /* itself */
	other.id.b[15] = 1;
	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_EXISTS);
	assert_int_equal(p.code, MODEL_CODE_NAME_TAKEN);
	strcpy(other.name, "Branch 1");
	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_EXISTS);
	assert_int_equal(p.code, MODEL_CODE_ADDRESS_CLASH);
	assert_string_equal(p.field, "/interface_address");
	assert_non_null(strstr(p.text, "Branch 1"));
	other.interface_address = prefix("10.252.2.25/30");
	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_EXISTS);
	other.interface_address = prefix("10.252.2.28/31");
	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_NONE);
	t.interface_address6 = prefix("fd00::a/127");
	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_NONE);
	other.interface_address6 = prefix("fd00::b/127");
	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_EXISTS);
	assert_string_equal(p.field, "/interface_address6");
	/* the longest name and addresses still leave the remedy readable */
	memset(other.name, 'n', 255);
	t.interface_address6 = prefix("2001:1111:2222:3333:4444:5555:6666:7776/127");
	other.interface_address6 = prefix("2001:1111:2222:3333:4444:5555:6666:7777/127");
	assert_int_equal(model_tunnel_check_pair(&t, &other, &p), ERR_EXISTS);
	assert_non_null(strstr(p.text, "that no tunnel has"));
}

static void enum_names_are_read_in_any_letter_case(void **state)
{
	(void)state;
	uint8_t v = 9;
	assert_int_equal(model_rate_parse(bytes_str("HIGH"), &v), ERR_NONE);
	assert_string_equal(model_rate_name(v), "high");
	assert_int_equal(model_probe_parse(bytes_str("Request"), &v), ERR_NONE);
	assert_string_equal(model_probe_name(v), "request");
	assert_int_equal(model_direction_parse(bytes_str("bidirectional"), &v), ERR_NONE);
	assert_string_equal(model_direction_name(v), "bidirectional");
	v = 9;
	assert_int_equal(model_rate_parse(bytes_str("fast"), &v), ERR_SYNTAX);
	assert_int_equal(model_rate_parse(bytes_str(""), &v), ERR_SYNTAX);
	assert_int_equal(model_direction_parse(bytes_str("bidirectionalbidirectional"), &v), ERR_SYNTAX);
	assert_int_equal(v, 9);
	assert_string_equal(model_rate_name(200), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_comes_back_as_it_was),
		cmocka_unit_test(fields_that_a_record_lacks_have_their_defaults),
		cmocka_unit_test(record_without_its_name_is_refused),
		cmocka_unit_test(biggest_tunnel_fits_its_record),
		cmocka_unit_test(name_has_1_to_255_printable_characters),
		cmocka_unit_test(description_is_utf8_without_control_characters),
		cmocka_unit_test(endpoints_are_unicast_and_of_one_family),
		cmocka_unit_test(interface_address_is_a_host_of_a_30_or_31_in_private_space),
		cmocka_unit_test(interface_address6_is_a_routable_127),
		cmocka_unit_test(customer_side_is_the_other_host),
		cmocka_unit_test(health_target_follows_the_direction),
		cmocka_unit_test(health_target_is_an_address),
		cmocka_unit_test(onramp_numbers_have_limits),
		cmocka_unit_test(two_tunnels_may_not_share_name_or_addresses),
		cmocka_unit_test(enum_names_are_read_in_any_letter_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
