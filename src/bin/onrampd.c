// onrampd: reads the configuration and becomes the parent process.
#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "bin/roles.h"
#include "conf/conf.h"

static const char usage[] =
	"usage: onrampd [-c FILE] [--check]\n"
	"\n"
	"The anycast IPsec gateway. It stays in the foreground and logs to standard error.\n"
	"\n"
	"  -c, --config FILE   the configuration (default " CONF_FILE_DEFAULT ")\n"
	"      --check         read the configuration, say what is wrong with it, and end\n"
	"      --example       print an example configuration with every key and its default\n"
	"      --version       print the version\n"
	"  -h, --help          this text\n"
	"\n"
	"man pages: onrampd(8), onramp.conf(5), onramp(1)\n";

enum { OPT_CHECK = 256, OPT_EXAMPLE, OPT_VERSION, OPT_MAN };

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, OPT_CHECK },
		{ "example", no_argument, NULL, OPT_EXAMPLE }, { "version", no_argument, NULL, OPT_VERSION },
		{ "man-keys", no_argument, NULL, OPT_MAN }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = CONF_FILE_DEFAULT;
	char error[CONF_ERROR_MAX];
	struct conf conf;
	bool check = false;

	for (int opt; (opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (opt) {
		case 'c': path = optarg; break;
		case OPT_CHECK: check = true; break;
		case OPT_EXAMPLE: conf_print_example(stdout); return 0;
		case OPT_MAN: conf_print_man(stdout); return 0;
		case OPT_VERSION: puts("onrampd " ONRAMP_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "onrampd: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return 2;
	}
	conf_init(&conf);
	if (conf_read(path, &conf, error) != ERR_NONE) {
		fprintf(stderr, "onrampd: %s\n", error);
		return 1;
	}
	const char *why;
	if (crypt_esp_choose(conf.esp_crypto, &why) != ERR_NONE) {
		fprintf(stderr, "onrampd: %s: [gateway] esp_crypto: %s\n", path, why);
		return 1;
	}
	if (check) {
		printf("%s: good\n", path);
		return 0;
	}
	log_init("onrampd", conf.log_level);
	const struct host_mains mains = { .gateway = gateway_main, .api = api_main };
	return host_run(&conf, NULL, &mains);
}
