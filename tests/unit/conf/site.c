#include "conf/site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/iana.h"
#include "model/proposal.h"

static char path[] = "/tmp/onramp-site-XXXXXX", key_path[] = "/tmp/onramp-psk-XXXXXX";
static char error[CONF_ERROR_MAX];

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(name, mode), 0);
}

/* A file with one tunnel; more goes under its section. */
static const char *one_tunnel(const char *more)
{
	static char text[4096];
	snprintf(text, sizeof(text), "[tunnel hq]\ngateway = 192.0.2.1\npsk_file = %s\n%s", key_path, more);
	return text;
}

static enum err read_text(const char *text, struct conf_site *ret)
{
	memset(error, 0, sizeof(error));
	write_file(path, text, 0644);
	return conf_site_read(path, ret, error);
}

static void expect_good(const char *text, struct conf_site *ret)
{
	write_file(key_path, "secret\n", 0600);
	if (read_text(text, ret) != ERR_NONE)
		fail_msg("%s", error);
}

static void expect_error(const char *text, enum err e, int line, const char *word)
{
	struct conf_site s = { .tunnel_cnt = 77 };
	char begin[64];

	enum err got = read_text(text, &s);
	if (got != e)
		fail_msg("%s: got %d for\n%s", error, got, text);
	snprintf(begin, sizeof(begin), line > 0 ? "%s:%d: " : "%s: ", path, line);
	if (strncmp(error, begin, strlen(begin)) != 0 || strstr(error, word) == NULL)
		fail_msg("\"%s\" does not begin with \"%s\" or say \"%s\"", error, begin, word);
	assert_int_equal(s.tunnel_cnt, 77);
}

static void expect_tunnel_error(const char *more, enum err e, int line, const char *word)
{
	write_file(key_path, "secret\n", 0600);
	expect_error(one_tunnel(more), e, line, word);
}

static void three_lines_are_a_tunnel(void **state)
{
	(void)state;
	struct conf_site s;
	char text[ADDR_PREFIX_TEXT_MAX];

	expect_good(one_tunnel(""), &s);
	assert_string_equal(s.state_dir, "/var/lib/onramp-site");
	assert_string_equal(s.run_dir, "/run/onramp-site");
	assert_string_equal(s.tun, "onr0");
	assert_int_equal(s.tun_mtu, 1400);
	assert_true(s.install_routes && s.native_esp);
	assert_int_equal(s.route_table, 254);
	assert_int_equal(s.mark, 0);
	assert_int_equal(s.nat_keepalive, 20);
	assert_int_equal(s.tunnel_cnt, 1);
	const struct conf_tunnel *t = &s.tunnels[0];
	assert_string_equal(t->name, "hq");
	assert_true(bytes_eq(secret_bytes(&t->psk), bytes_str("secret")));
	assert_int_equal(t->identity.type, 0);
	assert_int_equal(t->gateway_id.type, IKE_ID_IPV4_ADDR);
	assert_true(bytes_eq(bytes_of(t->gateway_id.b, t->gateway_id.len), addr_bytes(&t->gateway)));
	assert_int_equal(t->start_port, 0);
	assert_int_equal(t->encap, CONF_ENCAP_AUTO);
	assert_int_equal(t->profile, CONF_PROFILE_MAGIC);
	assert_int_equal(t->local_ts.cnt, 2);
	assert_string_equal(addr_prefix_format(&t->remote_ts.p[1], text), "::/0");
	assert_false(t->null_encryption || t->default_route || t->esn);
	assert_int_equal(t->rekey_bytes + t->rekey_packets, 0);
	conf_site_free(&s);
}

static void every_key_of_a_tunnel_is_taken(void **state)
{
	(void)state;
	struct conf_site s;
	char text[ADDR_PREFIX_TEXT_MAX];

	expect_good(one_tunnel("gateway_id = fqdn:gw.example.net\nlocal_address = 203.0.113.2\n"
			       "identity = keyid:0x0aff\nstart_port = 4500\nencap = udp\nprofile = modern\n"
			       "addresses = 10.0.0.3/31,\n  fd00::3/127\nroutes = 192.168.7.9/24 10.0.0.0/8\n"
			       "local_ts = 10.0.0.0/8\nremote_ts = 192.168.0.0/16\ndpd_delay = 7\nike_lifetime = 600\n"
			       "child_lifetime = 300\nmtu = 1400\nmss_clamp = 1200\nreplay_window = 64\n"
			       "null_encryption = yes\nesn = yes\nrekey_bytes = 1099511627776\nrekey_packets = 100\n"),
		    &s);
	const struct conf_tunnel *t = &s.tunnels[0];
	assert_int_equal(t->gateway_id.type, IKE_ID_FQDN);
	assert_int_equal(t->identity.type, IKE_ID_KEY_ID);
	assert_true(bytes_eq(bytes_of(t->identity.b, t->identity.len), bytes_of("\x0a\xff", 2)));
	assert_int_equal(t->start_port, 1);
	assert_int_equal(t->encap, CONF_ENCAP_UDP);
	assert_int_equal(t->profile, CONF_PROFILE_MODERN);
	assert_int_equal(t->addresses.cnt, 2);
	assert_string_equal(addr_prefix_format(&t->addresses.p[1], text), "fd00::3/127");
	assert_string_equal(addr_prefix_format(&t->routes.p[0], text), "192.168.7.0/24");
	assert_int_equal(t->routes.cnt, 2);
	assert_int_equal(t->local_ts.cnt, 1);
	assert_int_equal(t->dpd_delay + t->ike_lifetime + t->child_lifetime, 907);
	assert_int_equal(t->mss_clamp, 1200);
	assert_int_equal(t->replay_window, 64);
	assert_true(t->null_encryption && t->esn);
	assert_int_equal(t->rekey_bytes, UINT64_C(1) << 40);
	assert_int_equal(t->rekey_packets, 100);
	conf_site_free(&s);
}

static void identities_have_their_forms(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint8_t type, len;
	} forms[] = {
		{ "fqdn:a.b", IKE_ID_FQDN, 3 },	       { "user:a@b", IKE_ID_RFC822_ADDR, 3 },
		{ "keyid:1_ab", IKE_ID_KEY_ID, 4 },    { "192.0.2.9", IKE_ID_IPV4_ADDR, 4 },
		{ "2001:db8::9", IKE_ID_IPV6_ADDR, 16 },
	};
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct conf_site s;
		char more[64];
		snprintf(more, sizeof(more), "identity = %s\n", forms[i].text);
		expect_good(one_tunnel(more), &s);
		assert_int_equal(s.tunnels[0].identity.type, forms[i].type);
		assert_int_equal(s.tunnels[0].identity.len, forms[i].len);
		conf_site_free(&s);
	}
	expect_tunnel_error("identity = branch\n", ERR_RANGE, 4, "fqdn:NAME");
	expect_tunnel_error("rekey_packets = 99\n", ERR_RANGE, 4, "0 or a number from 100");
	expect_tunnel_error("rekey_bytes = 1000\n", ERR_RANGE, 4, "0 or a number from 1048576");
	expect_tunnel_error("identity = fqdn:\n", ERR_RANGE, 4, "fqdn:NAME");
	expect_tunnel_error("identity = keyid:0xabc\n", ERR_RANGE, 4, "keyid:0xHEX");
}

static bool has_row(uint32_t rows, enum model_phase phase, const char *word)
{
	for (size_t i = 0; i < model_transform_cnt; i++)
		if ((model_transforms[i].phase & phase) != 0 && strcmp(model_transforms[i].swanctl, word) == 0)
			return model_rows_have(rows, &model_transforms[i]);
	fail_msg("no row %s", word);
	return false;
}

static void algorithms_are_limited_by_kind(void **state)
{
	(void)state;
	struct conf_site s;

	expect_good(one_tunnel("ike_algorithms = aes128gcm16-prfsha384, prfsha256\nesp_algorithms = aes256 modp2048\n"), &s);
	uint32_t ike = s.tunnels[0].ike_rows, child = s.tunnels[0].child_rows;
	assert_true(has_row(ike, MODEL_PHASE_IKE, "aes128gcm16") && !has_row(ike, MODEL_PHASE_IKE, "aes256gcm16"));
	assert_true(has_row(ike, MODEL_PHASE_IKE, "prfsha384") && has_row(ike, MODEL_PHASE_IKE, "prfsha256"));
	assert_false(has_row(ike, MODEL_PHASE_IKE, "prfsha512"));
	assert_true(has_row(ike, MODEL_PHASE_IKE, "ecp384") && has_row(ike, MODEL_PHASE_IKE, "modp2048"));
	assert_true(has_row(child, MODEL_PHASE_CHILD, "aes256") && has_row(child, MODEL_PHASE_CHILD, "sha1"));
	assert_true(has_row(child, MODEL_PHASE_CHILD, "modp2048") && !has_row(child, MODEL_PHASE_CHILD, ""));
	conf_site_free(&s);
	expect_good(one_tunnel(""), &s);
	assert_int_equal(s.tunnels[0].ike_rows, 0);
	conf_site_free(&s);
	expect_tunnel_error("ike_algorithms = aes128\n", ERR_RANGE, 1, "ike_algorithms: the profile magic has no \"aes128\"");
	expect_tunnel_error("esp_algorithms = aes256-sha1\nprofile = modern\n", ERR_RANGE, 1, "profile modern has no \"sha1\"");
	expect_tunnel_error("esp_algorithms = null-sha256\n", ERR_RANGE, 1, "null_encryption = yes");
	expect_tunnel_error("ike_algorithms = aaaaaaaaaaaaaaaaaaaa\n", ERR_RANGE, 4, "words of 15 characters");
}

static void many_tunnels_keep_their_own_values(void **state)
{
	(void)state;
	static char text[200000];
	struct conf_site s;
	size_t len = 0;

	for (unsigned i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[tunnel t%u]\ngateway = 192.0.%u.%u\npsk_file = %s\nroutes = 10.%u.%u.0/24\n", i,
					i / 250, i % 250 + 1, key_path, i / 250, i % 250);
	expect_good(text, &s);
	assert_int_equal(s.tunnel_cnt, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(s.tunnels[i].gateway.b[3], i % 250 + 1);
		assert_int_equal(s.tunnels[i].routes.cnt, 1);
		assert_int_equal(s.tunnels[i].routes.p[0].addr.b[2], i % 250);
	}
	conf_site_free(&s);
}

static void mistakes_are_named_with_their_line(void **state)
{
	(void)state;
	expect_error("[site]\n", ERR_RANGE, 0, "there is no tunnel");
	expect_error("[tunnel]\n", ERR_SYNTAX, 1, "needs a name");
	expect_error("[site x]\n", ERR_SYNTAX, 1, "without \"x\"");
	expect_error("[tunnel a b]\n", ERR_RANGE, 1, "letters");
	expect_error("[tunel a]\n", ERR_SYNTAX, 1, "[tunnel NAME]");
	expect_error("[tunnel a]\nrout = 1\n", ERR_SYNTAX, 2, "\"routes\" under [tunnel NAME]");
	expect_error("[site]\ngateway = 192.0.2.1\n", ERR_SYNTAX, 2, "under [tunnel NAME]");
	expect_error("[site]\n[tunnel a]\nmtu = 1400\n", ERR_RANGE, 2, "gateway is missing");
	expect_error("[tunnel a]\ngateway = 192.0.2.1\n", ERR_RANGE, 1, "psk_file is missing");
	expect_tunnel_error("mtu = 1400\nmtu = 1400\n", ERR_SYNTAX, 5, "given twice");
	expect_tunnel_error("start_port = 501\n", ERR_RANGE, 4, "500 or 4500");
	expect_tunnel_error("encap = esp\n", ERR_RANGE, 4, "auto, udp or native");
	expect_tunnel_error("routes = 10.0.0.0/8, 10/8\n", ERR_RANGE, 4, "\"10/8\"");
	expect_tunnel_error("dpd_delay = 3\n", ERR_RANGE, 1, "dpd_delay");
	expect_tunnel_error("local_address = 2001:db8::1\n", ERR_RANGE, 1, "two IP versions");
	expect_tunnel_error("encap = native\nstart_port = 4500\n", ERR_RANGE, 1, "4500");
	expect_tunnel_error("addresses = 192.0.2.1/32\n", ERR_RANGE, 1, "outer address");
	expect_tunnel_error("[tunnel hq]\ngateway = 192.0.2.2\n", ERR_RANGE, 4, "line 1");
	expect_tunnel_error("[site]\nnative_esp = no\n[tunnel b]\ngateway = 192.0.2.2\nencap = native\n", ERR_RANGE, 6,
			    "native_esp");
	expect_tunnel_error("local_ts = 10.0.0.0/24 10.0.1.0/24 10.0.2.0/24 10.0.3.0/24 10.0.4.0/24 10.0.5.0/24\n"
			    "  10.0.6.0/24 10.0.7.0/24 10.0.8.0/24\n", ERR_RANGE, 1, "at most 8");
}

static void outer_packets_can_be_told_by_their_mark(void **state)
{
	static const char *const wrong[] = { "0x", "0x1g", "-1", "0x100000000", "4294967296", "1f", "00000000000000001" };
	(void)state;
	struct conf_site s;
	struct conf base;
	char text[64];

	write_file(key_path, "secret\n", 0600);
	expect_good(one_tunnel("[site]\nroute_table = 70000\nmark = 0xCafe0017\n"), &s);
	assert_int_equal(s.route_table, 70000);
	assert_int_equal(s.mark, 0xcafe0017);
	assert_int_equal(conf_site_base(&s, &base), ERR_NONE);
	assert_int_equal(base.outer_mark, 0xcafe0017);
	conf_site_free(&s);
	expect_good(one_tunnel("[site]\nmark = 4294967295\n"), &s);
	assert_int_equal(s.mark, UINT32_MAX);
	conf_site_free(&s);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(text, sizeof(text), "[site]\nmark = %s\n", wrong[i]);
		expect_tunnel_error(text, ERR_RANGE, 5, "a firewall mark");
	}
	expect_tunnel_error("[site]\nroute_table = 0\n", ERR_RANGE, 5, "from 1");
	expect_tunnel_error("[site]\nroute_table = 255\n", ERR_RANGE, 5, "own addresses");
}

static void a_gateways_very_address_is_no_route(void **state)
{
	(void)state;
	struct conf_site s;

	expect_tunnel_error("routes = 192.0.2.1/32\n", ERR_RANGE, 1, "outer address of a gateway");
	expect_tunnel_error("[tunnel b]\ngateway = 192.0.2.2\npsk = x\nroutes = 192.0.2.1/32\n", ERR_RANGE, 4, "outer address of a gateway");
	expect_good(one_tunnel("routes = 192.0.2.1/32\n[site]\nmark = 7\n"), &s);
	conf_site_free(&s);
	expect_good(one_tunnel("routes = 192.0.2.1/32\n[site]\ninstall_routes = no\n"), &s);
	conf_site_free(&s);
}

static void a_default_route_is_asked_for_twice(void **state)
{
	(void)state;
	struct conf_site s;

	expect_tunnel_error("routes = ::/0\n", ERR_RANGE, 1, "default_route = yes");
	expect_good(one_tunnel("routes = 0.0.0.0/0 ::/0\ndefault_route = yes\n"), &s);
	conf_site_free(&s);
}

static void keys_that_others_may_read_are_refused(void **state)
{
	(void)state;
	struct conf_site s;

	write_file(key_path, "secret\n", 0640);
	expect_error(one_tunnel(""), ERR_DENIED, 1, "chmod 0600");
	write_file(path, "[tunnel a]\ngateway = 192.0.2.1\npsk = inline\n", 0644);
	assert_int_equal(conf_site_read(path, &s, error), ERR_DENIED);
	assert_non_null(strstr(error, "psk_file"));
	assert_null(strstr(error, "inline"));
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(conf_site_read(path, &s, error), ERR_NONE);
	assert_true(bytes_eq(secret_bytes(&s.tunnels[0].psk), bytes_str("inline")));
	conf_site_free(&s);
}

static void every_character_of_a_key_in_the_file_counts(void **state)
{
	(void)state;
	struct conf_site s;

	write_file(path, "[tunnel a]\ngateway = 192.0.2.1 ; a\n psk = \"a = b ;c\" #d: \nidentity = fqdn:x # its name\n[tunnel b]\ngateway = 192.0.2.2\npsk:;x", 0600);
	assert_int_equal(conf_site_read(path, &s, error), ERR_SYNTAX); /* an indented line */
	write_file(path, "[tunnel a]\ngateway = 192.0.2.1 ; a\npsk = \"a = b ;c\" #d: \nidentity = fqdn:x # its name\n[tunnel b]\ngateway = 192.0.2.2\npsk:;x", 0600);
	if (conf_site_read(path, &s, error) != ERR_NONE)
		fail_msg("%s", error);
	assert_true(bytes_eq(secret_bytes(&s.tunnels[0].psk), bytes_str("\"a = b ;c\" #d:")));
	assert_true(bytes_eq(secret_bytes(&s.tunnels[1].psk), bytes_str(";x")));
	assert_int_equal(s.tunnels[0].identity.len, 1);
	conf_site_free(&s);
}

static void only_the_newline_at_the_end_is_no_part_of_a_key(void **state)
{
	(void)state;
	static const struct {
		const char *text, *key, *word;
	} cases[] = {
		{ "k", "k", NULL },	 { "k\r\n", "k", NULL },	    { " k \n", " k ", NULL },
		{ "", NULL, "is empty" }, { "a\nb\n", NULL, "more than one line" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_site s;
		write_file(key_path, cases[i].text, 0600);
		if (cases[i].key == NULL) {
			expect_error(one_tunnel(""), ERR_RANGE, 1, cases[i].word);
			continue;
		}
		assert_int_equal(read_text(one_tunnel(""), &s), ERR_NONE);
		assert_true(bytes_eq(secret_bytes(&s.tunnels[0].psk), bytes_str(cases[i].key)));
		conf_site_free(&s);
	}
	char long_key[400];
	memset(long_key, 'x', sizeof(long_key));
	long_key[300] = 0;
	write_file(key_path, long_key, 0600);
	expect_error(one_tunnel(""), ERR_RANGE, 1, "at most 256");
	assert_int_equal(unlink(key_path), 0);
	expect_error(one_tunnel(""), ERR_RANGE, 1, "No such file");
}

static void base_has_each_local_address_once(void **state)
{
	(void)state;
	struct conf_site s;
	struct conf c;
	static char text[8192];
	size_t len = 0;

	expect_good(one_tunnel("local_address = 203.0.113.2\n"), &s);
	assert_int_equal(conf_site_base(&s, &c), ERR_NONE);
	assert_int_equal(c.gateway_address_cnt, 1);
	assert_string_equal(c.state_dir, "/var/lib/onramp-site");
	assert_int_equal(c.offramp_mtu, 1400);
	conf_site_free(&s);
	for (unsigned i = 0; i < 34; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[tunnel t%u]\ngateway = 192.0.2.1\nlocal_address = 203.0.113.%u\npsk_file = %s\n", i,
					i / 2 + 1, key_path);
	expect_good(text, &s);
	assert_int_equal(conf_site_base(&s, &c), ERR_FULL);
	s.tunnel_cnt = 32;
	assert_int_equal(conf_site_base(&s, &c), ERR_NONE);
	assert_int_equal(c.gateway_address_cnt, 16);
	s.tunnel_cnt = 34;
	conf_site_free(&s);
}

static void example_names_what_is_missing(void **state)
{
	(void)state;
	FILE *f = fopen(path, "w");
	struct conf_site s;

	assert_non_null(f);
	conf_site_print_example(f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(conf_site_read(path, &s, error), ERR_RANGE);
	assert_non_null(strstr(error, "tunnel branch: gateway is missing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_lines_are_a_tunnel),
		cmocka_unit_test(every_key_of_a_tunnel_is_taken),
		cmocka_unit_test(identities_have_their_forms),
		cmocka_unit_test(algorithms_are_limited_by_kind),
		cmocka_unit_test(many_tunnels_keep_their_own_values),
		cmocka_unit_test(mistakes_are_named_with_their_line),
		cmocka_unit_test(outer_packets_can_be_told_by_their_mark),
		cmocka_unit_test(a_gateways_very_address_is_no_route),
		cmocka_unit_test(a_default_route_is_asked_for_twice),
		cmocka_unit_test(keys_that_others_may_read_are_refused),
		cmocka_unit_test(every_character_of_a_key_in_the_file_counts),
		cmocka_unit_test(only_the_newline_at_the_end_is_no_part_of_a_key),
		cmocka_unit_test(base_has_each_local_address_once),
		cmocka_unit_test(example_names_what_is_missing),
	};
	int a = mkstemp(path), b = mkstemp(key_path);
	if (a < 0 || b < 0)
		return 1;
	close(a);
	close(b);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	unlink(key_path);
	return failed;
}
