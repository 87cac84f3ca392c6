// Runs the API over a store in memory, without a gateway: for tests/api/run.
//   api_host SOCKET DUMP [CERTIFICATE KEY]
//     the administrator's socket; a file for all that the store holds at the end; files for TLS
// Prints the TCP port as its first line. Ends on SIGTERM or SIGINT.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/server.h"
#include "base/log.h"

static int listen_tcp(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 128) == 0);
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	must(strlen(path) < sizeof(a.sun_path));
	memcpy(a.sun_path, path, strlen(path) + 1);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 16) == 0);
	return fd;
}

static void dump_row(void *arg, const struct store_row *row)
{
	FILE *f = arg;

	must(fwrite(row->key.p, 1, row->key.len, f) == row->key.len);
	fputc('\n', f);
	must(fwrite(row->value.p, 1, row->value.len, f) == row->value.len);
	fputc('\n', f);
}

static void dump_store(struct store *s, const char *path)
{
	FILE *f = fopen(path, "w");
	must(f != NULL);
	must(store_range(s, bytes_str(""), bytes_str(""), 0, dump_row, f, NULL) == ERR_NONE);
	must(fclose(f) == 0);
}

static const char *read_file(const char *path)
{
	static char rooms[2][16384];
	static unsigned used;
	FILE *f = fopen(path, "r");

	must(f != NULL && used < 2);
	must(fread(rooms[used], 1, sizeof(rooms[0]) - 1, f) > 0);
	fclose(f);
	return rooms[used++];
}

static void serve(struct api_server *server, int signals)
{
	struct pollfd p[] = { { .fd = api_server_fd(server), .events = POLLIN },
			      { .fd = signals, .events = POLLIN } };

	for (;;) {
		must(poll(p, 2, -1) > 0 || errno == EINTR);
		if (p[1].revents != 0)
			return;
		api_server_run(server);
	}
}

int main(int argc, char **argv)
{
	static struct conf conf;
	struct crypt_seal_private seal;
	struct api_server *server;
	struct store *store;
	sigset_t set;
	uint16_t port;

	must(argc == 3 || argc == 5);
	log_init("api", LOG_LEVEL_DEBUG);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	must(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	signal(SIGPIPE, SIG_IGN);
	int signals = signalfd(-1, &set, SFD_CLOEXEC);
	must(signals >= 0);

	snprintf(conf.identity_domain, sizeof(conf.identity_domain), "ipsec.cloudflare.com");
	conf.gateway_address_cnt = 2;
	must(addr_parse(bytes_str("198.51.100.10"), &conf.gateway_addresses[0]) == ERR_NONE);
	must(addr_parse(bytes_str("2001:db8::10"), &conf.gateway_addresses[1]) == ERR_NONE);
	must(store_memory_new(&store) == ERR_NONE && crypt_seal_generate(&seal) == ERR_NONE);
	struct api_config config = { .http_fd = listen_tcp(&port),
				     .admin_fd = listen_unix(argv[1]),
				     .store = store,
				     .live_fd = -1,
				     .conf = &conf };
	must(crypt_seal_public_of(&seal, &config.seal) == ERR_NONE);
	if (argc == 5) {
		config.tls_cert_pem = read_file(argv[3]);
		config.tls_key_pem = read_file(argv[4]);
	}
	must(api_server_start(&config, &server) == ERR_NONE);
	printf("%u\n", port);
	fflush(stdout);
	serve(server, signals);
	dump_store(store, argv[2]);
	api_server_stop(server);
	close(signals);
	return 0;
}
