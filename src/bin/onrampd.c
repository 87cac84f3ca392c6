// onrampd: reads the configuration and becomes the parent process.
#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "bin/roles.h"
#include "conf/site.h"
#include "host/site.h"

static const char usage[] =
	"usage: onrampd [-c FILE] [--check]\n"
	"       onrampd --site FILE [--check]\n"
	"       onrampd --migrate FROM TO\n"
	"\n"
	"The anycast IPsec gateway; with --site the customer side of tunnels. It stays in the foreground and logs to\n"
	"standard error.\n"
	"\n"
	"  -c, --config FILE   the configuration (default " CONF_FILE_DEFAULT ")\n"
	"      --site FILE     start the tunnels of this file (" CONF_SITE_FILE_DEFAULT ")\n"
	"      --migrate       move the store of configuration FROM into the empty one of TO, while no daemon runs\n"
	"      --check         read the configuration, say what is wrong with it, and end\n"
	"      --example       print an example configuration with every key and its default\n"
	"      --site-example  the same for --site\n"
	"      --version       print the version\n"
	"  -h, --help          this text\n"
	"\n"
	"man pages: onrampd(8), onramp.conf(5), onramp-site.conf(5), onramp(1)\n";

enum { OPT_CHECK = 256, OPT_EXAMPLE, OPT_VERSION, OPT_MAN, OPT_SITE, OPT_SITE_EXAMPLE, OPT_SITE_MAN, OPT_MIGRATE };

static bool choose_crypto(const char *path, const char *section, enum crypt_esp_choice choice)
{
	const char *why;

	if (crypt_esp_choose(choice, &why) == ERR_NONE)
		return true;
	fprintf(stderr, "onrampd: %s: [%s] esp_crypto: %s\n", path, section, why);
	return false;
}

static int run_gateway(const char *path, bool check)
{
	const struct host_mains mains = { .gateway = gateway_main, .api = api_main };
	char error[CONF_ERROR_MAX];
	struct conf conf;

	if (conf_read(path, &conf, error) != ERR_NONE) {
		fprintf(stderr, "onrampd: %s\n", error);
		return 1;
	}
	if (!choose_crypto(path, "gateway", conf.esp_crypto))
		return 1;
	log_init("onrampd", conf.log_level);
	if (check && host_check_files(&conf) != ERR_NONE)
		return 1;
	if (check) {
		printf("%s: good\n", path);
		return 0;
	}
	if (host_admin_answers(&conf)) {
		log_error("an onrampd runs already with run_dir = %s", conf.run_dir);
		return 1;
	}
	return host_run(&conf, NULL, &mains);
}

static int serve_site(struct conf_site *site)
{
	const struct host_mains mains = { .gateway = gateway_main };
	struct conf conf;

	log_init("onrampd", site->log_level);
	if (host_site_answers(site->run_dir)) {
		log_error("an onrampd --site runs already with run_dir = %s", site->run_dir);
		return 1;
	}
	if (host_site_addresses(site) != ERR_NONE)
		return 1;
	if (conf_site_base(site, &conf) != ERR_NONE) {
		log_error("the tunnels have more than %d local addresses", CONF_ADDRESSES_MAX);
		return 1;
	}
	return host_run(&conf, site, &mains);
}

static int run_site(const char *path, bool check)
{
	char error[CONF_ERROR_MAX];
	struct conf_site site;
	int status = 0;

	if (conf_site_read(path, &site, error) != ERR_NONE) {
		fprintf(stderr, "onrampd: %s\n", error);
		return 1;
	}
	if (!choose_crypto(path, "site", site.esp_crypto))
		status = 1;
	else if (check)
		printf("%s: good, %u tunnel%s\n", path, site.tunnel_cnt, site.tunnel_cnt == 1 ? "" : "s");
	else
		status = serve_site(&site);
	conf_site_free(&site);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, OPT_CHECK },
		{ "example", no_argument, NULL, OPT_EXAMPLE }, { "version", no_argument, NULL, OPT_VERSION },
		{ "man-keys", no_argument, NULL, OPT_MAN }, { "help", no_argument, NULL, 'h' },
		{ "site", required_argument, NULL, OPT_SITE }, { "site-example", no_argument, NULL, OPT_SITE_EXAMPLE },
		{ "site-man-keys", no_argument, NULL, OPT_SITE_MAN }, { "migrate", no_argument, NULL, OPT_MIGRATE },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = CONF_FILE_DEFAULT, *site = NULL;
	bool check = false, migrate = false;

	for (int opt; (opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (opt) {
		case 'c': path = optarg; break;
		case OPT_SITE: site = optarg; break;
		case OPT_CHECK: check = true; break;
		case OPT_MIGRATE: migrate = true; break;
		case OPT_EXAMPLE: conf_print_example(stdout); return 0;
		case OPT_SITE_EXAMPLE: conf_site_print_example(stdout); return 0;
		case OPT_MAN: conf_print_man(stdout); return 0;
		case OPT_SITE_MAN: conf_site_print_man(stdout); return 0;
		case OPT_VERSION: puts("onrampd " ONRAMP_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (migrate && argc - optind == 2)
		return migrate_main(argv[optind], argv[optind + 1]);
	if (migrate || optind != argc) {
		if (migrate)
			fprintf(stderr, "onrampd: --migrate needs two configurations\n%s", usage);
		else
			fprintf(stderr, "onrampd: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return 2;
	}
	return site == NULL ? run_gateway(path, check) : run_site(site, check);
}
