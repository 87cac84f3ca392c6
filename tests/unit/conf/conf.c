#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define GOOD "[node]\ngateway_addresses = 192.0.2.1\n"

static char path[] = "/tmp/onramp-conf-XXXXXX";
static char error[CONF_ERROR_MAX];

static void write_file(const void *text, size_t len)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static enum err read_text(const char *text, struct conf *ret)
{
	memset(error, 0, sizeof(error));
	write_file(text, strlen(text));
	return conf_read(path, ret, error);
}

static void expect_good(const char *text, struct conf *ret)
{
	if (read_text(text, ret) != ERR_NONE)
		fail_msg("%s", error);
}

/* The error names file and line (0: only the file), and says `word`; the value stays as it was. */
static void expect_error(const char *text, enum err e, int line, const char *word)
{
	struct conf c;
	char begin[64];
	memset(&c, 0xa5, sizeof(c));
	enum err got = read_text(text, &c);
	if (got != e)
		fail_msg("%s: got %d for\n%s", error, got, text);
	if (line > 0)
		snprintf(begin, sizeof(begin), "%s:%d: ", path, line);
	else
		snprintf(begin, sizeof(begin), "%s: ", path);
	if (strncmp(error, begin, strlen(begin)) != 0 || strstr(error, word) == NULL)
		fail_msg("\"%s\" does not begin with \"%s\" or say \"%s\"", error, begin, word);
	assert_null(strchr(error, '\n'));
	for (size_t i = 0; i < sizeof(c); i++)
		assert_int_equal(((uint8_t *)&c)[i], 0xa5);
}

static void defaults_are_those_of_the_manual(void **state)
{
	(void)state;
	struct conf c;
	char text[ADDR_ENDPOINT_TEXT_MAX];
	conf_init(&c);
	assert_int_equal(c.gateway_address_cnt, 0);
	assert_string_equal(c.identity_domain, "ipsec.cloudflare.com");
	assert_string_equal(c.state_dir, "/var/lib/onramp");
	assert_string_equal(c.seal_key, "/etc/onramp/seal.key");
	assert_string_equal(c.run_dir, "/run/onramp");
	assert_string_equal(c.user, "onramp");
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.workers, 0);
	assert_int_equal(c.half_open_max, 10000);
	assert_int_equal(c.half_open_per_address, 16);
	assert_int_equal(c.half_open_per_prefix, 256);
	assert_int_equal(c.cookie_threshold, 100);
	assert_int_equal(c.dh_threads, 1);
	assert_int_equal(c.ike_fragment_mtu, 1280);
	assert_true(c.native_esp);
	assert_int_equal(c.esp_crypto, CRYPT_ESP_AUTO);
	assert_int_equal(c.store_engine, CONF_STORE_SQLITE);
	assert_int_equal(c.etcd_endpoint_cnt, 0);
	assert_string_equal(c.etcd_ca, "");
	assert_string_equal(c.etcd_prefix, "onramp/");
	assert_int_equal(c.etcd_timeout_ms, 4000);
	assert_int_equal(c.offramp_mtu, 1500);
	assert_true(c.install_routes);
	assert_string_equal(addr_endpoint_format(&c.api_listen, text), "127.0.0.1:8080");
	assert_string_equal(c.api_tls_cert, "");
	assert_string_equal(c.api_tls_key, "");
}

static void every_key_is_read(void **state)
{
	(void)state;
	struct conf c;
	char text[ADDR_ENDPOINT_TEXT_MAX];
	expect_good("# comment\n; another\n\n[node]\n"
		    "gateway_addresses = 192.0.2.1, 2001:db8::1 ; two of them\n"
		    "identity_domain = ipsec.example.net\nstate_dir=/s\nseal_key = /k\nrun_dir: /r\nuser = "
		    "nobody\nlog_level = debug\n[gateway]\nworkers = 3\nhalf_open_max = "
		    "20\nhalf_open_per_address = 5\nhalf_open_per_prefix = 7\ncookie_threshold = 0\ndh_threads = 2\nike_fragment_mtu = 576\nnative_esp = "
		    "no\nesp_crypto = openssl\n[offramp]\nofframp_mtu = 1400\ninstall_routes = false\n[api]\napi_listen = "
		    "[2001:db8::1]:443\napi_tls_cert = /c\napi_tls_key = /t\n",
		    &c);
	assert_int_equal(c.gateway_address_cnt, 2);
	assert_string_equal(addr_format(&c.gateway_addresses[0], text), "192.0.2.1");
	assert_string_equal(addr_format(&c.gateway_addresses[1], text), "2001:db8::1");
	assert_string_equal(c.identity_domain, "ipsec.example.net");
	assert_string_equal(c.state_dir, "/s");
	assert_string_equal(c.seal_key, "/k");
	assert_string_equal(c.run_dir, "/r");
	assert_string_equal(c.user, "nobody");
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.workers, 3);
	assert_int_equal(c.half_open_max, 20);
	assert_int_equal(c.half_open_per_address, 5);
	assert_int_equal(c.half_open_per_prefix, 7);
	assert_int_equal(c.cookie_threshold, 0);
	assert_int_equal(c.dh_threads, 2);
	assert_int_equal(c.ike_fragment_mtu, 576);
	assert_false(c.native_esp);
	assert_int_equal(c.esp_crypto, CRYPT_ESP_OPENSSL);
	assert_int_equal(c.offramp_mtu, 1400);
	assert_false(c.install_routes);
	assert_string_equal(addr_endpoint_format(&c.api_listen, text), "[2001:db8::1]:443");
	assert_string_equal(c.api_tls_cert, "/c");
	assert_string_equal(c.api_tls_key, "/t");
}

static void comments_may_stand_behind_a_value(void **state)
{
	(void)state;
	struct conf c;
	expect_good("[node]\ngateway_addresses = 192.0.2.1,\t# the first\n  192.0.2.2 # and the second\nstate_dir = /s#1 # the # store\n"
		    "run_dir = /r ; here\nuser = nobody #\n", &c);
	assert_int_equal(c.gateway_address_cnt, 2);
	assert_string_equal(c.state_dir, "/s#1");
	assert_string_equal(c.run_dir, "/r");
	assert_string_equal(c.user, "nobody");
	expect_error("[node]\nstate_dir = # none\n", ERR_RANGE, 2, "absolute path");
}

static void unknown_names_are_refused_with_the_nearest_known_one(void **state)
{
	(void)state;
	expect_error(GOOD "log_levl = info\n", ERR_SYNTAX, 3, "unknown key \"log_levl\"; the nearest known "
							      "one is \"log_level\"");
	expect_error(GOOD "[gateway]\nworker = 2\n", ERR_SYNTAX, 4, "\"workers\" under [gateway]");
	expect_error(GOOD "workers = 2\n", ERR_SYNTAX, 3, "but under [gateway]");
	expect_error("workers = 2\n", ERR_SYNTAX, 1, "before any section; it belongs under [gateway]");
	expect_error(GOOD "[gatway]\nworkers = 2\n", ERR_SYNTAX, 3, "unknown section [gatway]; the nearest "
								    "known one is [gateway]");
	expect_error(GOOD "[Node]\n", ERR_SYNTAX, 3, "[node]");
	expect_error(GOOD "Log_level = info\n", ERR_SYNTAX, 3, "log_level");
	expect_error(GOOD "= 3\n", ERR_SYNTAX, 3, "unknown key \"\"");
}

static void lines_of_no_form_are_refused(void **state)
{
	(void)state;
	expect_error(GOOD "rubbish\n", ERR_SYNTAX, 3, "neither");
	expect_error(GOOD "rubbish\n\nworkers = 2\n", ERR_SYNTAX, 3, "neither"); /* the first of two errors */
	expect_error(GOOD "workers = 2\nrubbish\n", ERR_SYNTAX, 3, "[gateway]");
	expect_error(GOOD "[node\n", ERR_SYNTAX, 3, "closing ]");
	expect_error(GOOD "[node] user = x\n", ERR_SYNTAX, 3, "line must end");
	expect_error("rubbish\n" GOOD "[nod]\n", ERR_SYNTAX, 1, "neither");
	struct conf c;
	expect_good(GOOD "[gateway] # why\nworkers = 2", &c); /* no line end at the end */
	assert_int_equal(c.workers, 2);
	expect_good("[node]\r\ngateway_addresses = 192.0.2.1\r\n", &c);
}

static void long_lines_and_binary_files_are_refused(void **state)
{
	(void)state;
	struct conf c;
	char text[2048] = GOOD "identity_domain = ";
	memset(text + strlen(text), 'a', 1000);
	expect_error(text, ERR_SYNTAX, 3, "longer than");
	static const char nul[] = GOOD "user = a\0b\n";
	write_file(nul, sizeof(nul) - 1);
	assert_int_equal(conf_read(path, &c, error), ERR_SYNTAX);
	assert_non_null(strstr(error, "NUL"));
}

static void key_given_twice_is_refused_but_a_list_may_go_on(void **state)
{
	(void)state;
	struct conf c;
	expect_error(GOOD "user = a\nuser = b\n", ERR_SYNTAX, 4, "given twice");
	expect_error(GOOD "user = a\n  log_level = info\n", ERR_SYNTAX, 4, "indented");
	expect_good("[node]\ngateway_addresses = 192.0.2.1,\n   192.0.2.2\n\t2001:db8::1\nuser = x\n", &c);
	assert_int_equal(c.gateway_address_cnt, 3);
	assert_string_equal(c.user, "x");
}

static void bad_values_name_key_and_remedy(void **state)
{
	(void)state;
	static const struct {
		const char *line, *word;
	} bad[] = {
		{ "[node]\ngateway_addresses = 192.0.2.300", "\"192.0.2.300\" is not a unicast IP address" },
		{ "[node]\ngateway_addresses = 224.0.0.1", "not a unicast" },
		{ "[node]\ngateway_addresses = 192.0.2.1 192.0.2.1", "twice: 192.0.2.1" },
		{ "[node]\nidentity_domain = example.net.", "identity_domain must be a domain name" },
		{ "[node]\nidentity_domain = a..b", "domain name" },
		{ "[node]\nidentity_domain = -a.b", "domain name" },
		{ "[node]\nidentity_domain = a_b.c", "domain name" },
		{ "[node]\nidentity_domain =", "domain name" },
		{ "[node]\nstate_dir = var/lib", "state_dir must be an absolute path" },
		{ "[node]\nstate_dir =", "absolute path" },
		{ "[node]\nrun_dir = "
		  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "run_dir must have at most 90 characters" },
		{ "[node]\nuser = 0x", "user must be" },
		{ "[node]\nuser = a b", "user must be" },
		{ "[node]\nlog_level = loud", "error, warn, info or debug" },
		{ "[gateway]\nworkers = 257", "workers must be a number from 0 to 256" },
		{ "[gateway]\nworkers = 257", "256, not \"257\"" },
		{ "[gateway]\nworkers = -1", "number" },
		{ "[gateway]\nworkers = 0x10", "number" },
		{ "[gateway]\nworkers = 99999999999999999999", "number" },
		{ "[gateway]\nhalf_open_max = 0", "from 1 to" },
		{ "[gateway]\nnative_esp = maybe", "native_esp must be yes or no" },
		{ "[gateway]\nesp_crypto = fast", "esp_crypto must be auto, ipsec-mb or openssl" },
		{ "[offramp]\nofframp_mtu = 1279", "from 1280 to 9000" },
		{ "[api]\napi_listen = 127.0.0.1", "address and a port" },
		{ "[api]\napi_listen = 127.0.0.1:0", "address and a port" },
		{ "[api]\napi_listen = 127.0.0.1:65536", "address and a port" },
		{ "[api]\napi_listen = ::1:8080", "address and a port" },
		{ "[api]\napi_listen = [127.0.0.1]:80", "address and a port" },
		{ "[api]\napi_listen = localhost:80", "address and a port" },
		{ "[api]\napi_listen = :80", "address and a port" },
		{ "[api]\napi_listen =", "address and a port" },
		{ "[api]\napi_tls_cert = cert.pem", "absolute path" },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_error(bad[i].line, ERR_RANGE, 2, bad[i].word);
}

static void too_many_addresses_are_refused(void **state)
{
	(void)state;
	struct conf c;
	char text[2048] = "[node]\ngateway_addresses =\n";
	for (int i = 1; i <= CONF_ADDRESSES_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "  192.0.2.%d,\n", i);
	expect_good(text, &c);
	assert_int_equal(c.gateway_address_cnt, CONF_ADDRESSES_MAX);
	strcat(text, " 192.0.2.200\n");
	expect_error(text, ERR_RANGE, 3 + CONF_ADDRESSES_MAX, "at most 16");
}

static void values_must_go_together(void **state)
{
	(void)state;
	struct conf c;
	expect_error("", ERR_RANGE, 0, "gateway_addresses is missing");
	expect_error("[node]\ngateway_addresses =\n", ERR_RANGE, 2, "gateway_addresses is missing");
	expect_error(GOOD "[api]\napi_listen = 192.0.2.1:8080\n", ERR_RANGE, 4, "192.0.2.1:8080, which is not a loopback");
	expect_error(GOOD "[api]\napi_listen = 0.0.0.0:8080\n", ERR_RANGE, 4, "not a loopback");
	expect_error(GOOD "[api]\napi_listen = [::]:8080\n", ERR_RANGE, 4, "not a loopback");
	expect_error(GOOD "[api]\napi_tls_cert = /c\n", ERR_RANGE, 4, "api_tls_key is missing");
	expect_error(GOOD "[api]\napi_tls_key = /c\n", ERR_RANGE, 4, "api_tls_cert is missing");
	expect_error(GOOD "[api]\n\n# all\napi_listen = 0.0.0.0:8080\n[gateway]\n", ERR_RANGE, 6, "not a loopback");
	expect_error(GOOD "[gateway]\nhalf_open_max = 4\n", ERR_RANGE, 4, "half_open_per_address");
	expect_good(GOOD "[api]\napi_listen = [::1]:8080\n", &c);
	expect_good(GOOD "[api]\napi_listen = 127.9.9.9:8080\n", &c);
	expect_good(GOOD "[api]\napi_listen = 0.0.0.0:443\napi_tls_cert = /c\napi_tls_key = /k\n", &c);
}

static void file_that_cannot_be_read_is_named(void **state)
{
	(void)state;
	struct conf c;
	assert_int_equal(conf_read("/nonexistent/onramp.conf", &c, error), ERR_NOTFOUND);
	assert_string_equal(error, "/nonexistent/onramp.conf: No such file or directory");
	assert_int_equal(conf_read("/tmp", &c, error), ERR_SYSTEM);
	assert_non_null(strstr(error, "/tmp: "));
}

#define ETCD GOOD "[store]\nengine = etcd\n"
#define FILES "etcd_ca = /a\netcd_cert = /b\netcd_key = /c\n"

static void etcd_takes_members_files_and_a_prefix(void **state)
{
	(void)state;
	struct conf c;
	char text[ADDR_ENDPOINT_TEXT_MAX];
	expect_good(ETCD FILES "etcd_endpoints = 192.0.2.11:2379,\n [2001:db8::1]:2380\netcd_prefix = site-1/onramp/\n"
		    "etcd_timeout_ms = 9000\n", &c);
	assert_int_equal(c.store_engine, CONF_STORE_ETCD);
	assert_int_equal(c.etcd_endpoint_cnt, 2);
	assert_string_equal(addr_endpoint_format(&c.etcd_endpoints[0], text), "192.0.2.11:2379");
	assert_string_equal(addr_endpoint_format(&c.etcd_endpoints[1], text), "[2001:db8::1]:2380");
	assert_string_equal(c.etcd_ca, "/a");
	assert_string_equal(c.etcd_cert, "/b");
	assert_string_equal(c.etcd_key, "/c");
	assert_string_equal(c.etcd_prefix, "site-1/onramp/");
	assert_int_equal(c.etcd_timeout_ms, 9000);
}

static void etcd_without_what_it_needs_is_an_error(void **state)
{
	(void)state;
	expect_error(ETCD FILES, ERR_RANGE, 4, "engine = etcd needs etcd_endpoints as well");
	expect_error(ETCD "etcd_endpoints = 192.0.2.1:1\netcd_ca = /a\netcd_cert = /b\n", ERR_RANGE, 4, "needs etcd_key");
	expect_error(ETCD "etcd_endpoints = etcd.example.net:2379\n", ERR_RANGE, 5, "is not an address and a port");
	expect_error(ETCD "etcd_endpoints = 192.0.2.1:2379 192.0.2.2\n", ERR_RANGE, 5, "\"192.0.2.2\" is not");
	expect_error(ETCD "etcd_prefix = onramp\n", ERR_RANGE, 5, "etcd_prefix must be letters");
	expect_error(ETCD "etcd_prefix = on ramp/\n", ERR_RANGE, 5, "etcd_prefix must be letters");
	expect_error(ETCD "etcd_timeout_ms = 999\n", ERR_RANGE, 5, "from 1000 to 60000");
	expect_error(GOOD "[store]\nengine = redis\n", ERR_RANGE, 4, "must be sqlite or etcd");
}

static void node_of_a_cluster_has_an_address_and_a_name(void **state)
{
	(void)state;
	struct conf c;
	char text[ADDR_ENDPOINT_TEXT_MAX];
	expect_good(ETCD FILES "etcd_endpoints = 192.0.2.11:2379\n[cluster]\nmesh_address = [2001:db8::21]:4700\nnode = n-1.x\n"
		    "site = west\n", &c);
	assert_string_equal(addr_endpoint_format(&c.cluster.mesh_address, text), "[2001:db8::21]:4700");
	assert_string_equal(c.cluster.node, "n-1.x");
	assert_string_equal(c.cluster.site, "west");
	expect_good(GOOD, &c);
	assert_int_equal(c.cluster.mesh_address.port, 0);
	assert_string_equal(c.cluster.site, "default");
	expect_error(GOOD "[cluster]\nmesh_address = 192.0.2.21:4700\n", ERR_RANGE, 4, "needs [store] engine = etcd");
	expect_error(GOOD "[cluster]\nmesh_address = 192.0.2.21\n", ERR_RANGE, 4, "a unicast address and a port");
	expect_error(GOOD "[cluster]\nmesh_address = 0.0.0.0:4700\n", ERR_RANGE, 4, "a unicast address and a port");
	expect_error(GOOD "[cluster]\nnode = a b\n", ERR_RANGE, 4, "node must be a name");
	expect_error(GOOD "[cluster]\nsite =\n", ERR_RANGE, 4, "site must be a name");
}

static char *printed(void (*print)(FILE *f))
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	assert_non_null(f);
	print(f);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void example_with_its_values_switched_on_gives_the_defaults(void **state)
{
	(void)state;
	struct conf c, d;
	char *text = printed(conf_print_example);
	unsigned keys = 0;

	for (char *p = text; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (p[0] == '#' && p[1] >= 'a' && p[1] <= 'z') {
			p[0] = ' ';
			memmove(p, p + 1, strlen(p)); /* uncomment */
			keys++;
		}
	}
	assert_int_equal(keys, 31);
	expect_good(text, &c);
	conf_init(&d);
	assert_int_equal(c.gateway_address_cnt, 2);
	assert_string_equal(c.identity_domain, d.identity_domain);
	assert_string_equal(c.state_dir, d.state_dir);
	assert_string_equal(c.seal_key, d.seal_key);
	assert_string_equal(c.run_dir, d.run_dir);
	assert_string_equal(c.user, d.user);
	assert_int_equal(c.log_level, d.log_level);
	assert_int_equal(c.workers, d.workers);
	assert_int_equal(c.half_open_max, d.half_open_max);
	assert_int_equal(c.half_open_per_address, d.half_open_per_address);
	assert_int_equal(c.half_open_per_prefix, d.half_open_per_prefix);
	assert_int_equal(c.cookie_threshold, d.cookie_threshold);
	assert_int_equal(c.dh_threads, d.dh_threads);
	assert_int_equal(c.ike_fragment_mtu, d.ike_fragment_mtu);
	assert_int_equal(c.native_esp, d.native_esp);
	assert_int_equal(c.esp_crypto, d.esp_crypto);
	assert_int_equal(c.store_engine, d.store_engine);
	assert_int_equal(c.etcd_endpoint_cnt, 3);
	assert_string_equal(c.etcd_key, "/etc/onramp/etcd/gateway.key");
	assert_string_equal(c.etcd_prefix, d.etcd_prefix);
	assert_int_equal(c.etcd_timeout_ms, d.etcd_timeout_ms);
	assert_int_equal(c.offramp_mtu, d.offramp_mtu);
	assert_int_equal(c.install_routes, d.install_routes);
	assert_true(addr_endpoint_eq(&c.api_listen, &d.api_listen));
	assert_string_equal(c.api_tls_cert, "");
	assert_string_equal(c.api_tls_key, "");
	free(text);
}

static void untouched_example_only_lacks_the_addresses(void **state)
{
	(void)state;
	char *text = printed(conf_print_example);
	expect_error(text, ERR_RANGE, 0, "gateway_addresses is missing");
	free(text);
}

static void manual_has_every_key_of_the_example(void **state)
{
	(void)state;
	char *man = printed(conf_print_man), *text = printed(conf_print_example);
	unsigned keys = 0;
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char key[64], escaped[128] = "*";
		if (sscanf(line, "#%63[a-z_] =", key) != 1 || line[1] == ' ')
			continue;
		for (const char *c = key; *c != 0; c++)
			snprintf(escaped + strlen(escaped), sizeof(escaped) - strlen(escaped), *c == '_' ? "\\%c" : "%c", *c);
		strcat(escaped, "*\n\t");
		assert_non_null(strstr(man, escaped));
		keys++;
	}
	assert_int_equal(keys, 31);
	free(man);
	free(text);
}

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(comments_may_stand_behind_a_value),
		cmocka_unit_test(unknown_names_are_refused_with_the_nearest_known_one),
		cmocka_unit_test(lines_of_no_form_are_refused),
		cmocka_unit_test(long_lines_and_binary_files_are_refused),
		cmocka_unit_test(key_given_twice_is_refused_but_a_list_may_go_on),
		cmocka_unit_test(bad_values_name_key_and_remedy),
		cmocka_unit_test(too_many_addresses_are_refused),
		cmocka_unit_test(values_must_go_together),
		cmocka_unit_test(file_that_cannot_be_read_is_named),
		cmocka_unit_test(etcd_takes_members_files_and_a_prefix),
		cmocka_unit_test(node_of_a_cluster_has_an_address_and_a_name),
		cmocka_unit_test(etcd_without_what_it_needs_is_an_error),
		cmocka_unit_test(example_with_its_values_switched_on_gives_the_defaults),
		cmocka_unit_test(untouched_example_only_lacks_the_addresses),
		cmocka_unit_test(manual_has_every_key_of_the_example),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
