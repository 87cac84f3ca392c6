// onramp-load: UDP packets at a pace, and how many of them arrived.
//
//   onramp-load send FROM TO PORT RATE SECONDS     64 bytes each; RATE 0: as fast as it can. Prints how many were sent.
//   onramp-load count ADDRESS PORT                 until SIGTERM, then prints how many different ones came
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

#define PACKET_LEN 64
#define BURST 64
#define NUMBERS_MAX (1u << 26)

static int open_udp(const char *address, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 16 << 20;

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0) {
		perror(address);
		exit(2);
	}
	return fd;
}

static unsigned send_burst(int fd, uint32_t first, unsigned cnt)
{
	static uint8_t b[BURST][PACKET_LEN];
	struct iovec iov[BURST];
	struct mmsghdr m[BURST] = { 0 };

	for (unsigned i = 0; i < cnt; i++) {
		struct wr w = wr_of(SPACE_OF(b[i]));
		wr_u32(&w, first + i);
		iov[i] = (struct iovec){ b[i], PACKET_LEN };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	int n = sendmmsg(fd, m, cnt, 0);
	return n > 0 ? (unsigned)n : 0;
}

static int run_send(char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[4], NULL, 10)) };
	int fd = open_udp(argv[2], "0");
	double rate = strtod(argv[5], NULL), seconds = strtod(argv[6], NULL);
	uint64_t begin = clock_mono_ns(), now;
	uint32_t sent = 0;

	if (inet_pton(AF_INET, argv[3], &to.sin_addr) != 1 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		perror(argv[3]);
		return 2;
	}
	while ((double)((now = clock_mono_ns()) - begin) < seconds * 1e9) {
		double due = rate == 0 ? (double)sent + BURST : (double)(now - begin) * rate / 1e9;
		unsigned cnt = due < (double)sent ? 0 : (unsigned)(due - (double)sent);
		sent += send_burst(fd, sent, cnt < BURST ? cnt : BURST);
		if (cnt < BURST)
			poll(NULL, 0, 1);
	}
	printf("%u\n", sent);
	return 0;
}

static int run_count(char **argv)
{
	static uint64_t seen[NUMBERS_MAX / 64];
	sigset_t set;
	uint64_t cnt = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct pollfd p[2] = { { .fd = open_udp(argv[2], argv[3]), .events = POLLIN },
			       { .fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN } };
	while (poll(p, 2, -1) > 0 && (p[0].revents != 0 || p[1].revents == 0)) {
		uint8_t b[PACKET_LEN];
		for (ssize_t n; (n = recv(p[0].fd, b, sizeof(b), MSG_DONTWAIT)) > 0;) {
			struct rd r = rd_of(bytes_of(b, (size_t)n));
			uint32_t number = rd_u32(&r) % NUMBERS_MAX;
			cnt += (seen[number / 64] >> number % 64 & 1) == 0;
			seen[number / 64] |= (uint64_t)1 << number % 64;
		}
	}
	printf("%llu\n", (unsigned long long)cnt);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[1], "send") == 0)
		return run_send(argv);
	if (argc == 4 && strcmp(argv[1], "count") == 0)
		return run_count(argv);
	fprintf(stderr, "usage: onramp-load send FROM TO PORT RATE SECONDS\n       onramp-load count ADDRESS PORT\n");
	return 2;
}
