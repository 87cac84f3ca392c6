/* flow: numbered UDP packets for measuring, in superpackets at both ends (UDP_SEGMENT, UDP_GRO), and what came of them.
 *
 *   flow send OWN ADDRESS PORT SIZE RATE SECONDS RUN   SIZE bytes of payload, RATE packets a second (0: as fast as it goes)
 *   flow rtt OWN ADDRESS PORT COUNT INTERVAL_US        one packet at a time, which the sink sends back
 *   flow sink ADDRESS PORT                             one line for each run that ended
 *
 * Each prints JSON. A sender says what the socket took, and ends its run with a few packets that say so; the sink counts
 * numbers that came, came again, and came behind a higher one. RUN grows from run to run: what is late is ignored. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	SEGMENTS_MAX = 64,
	MESSAGE_MAX = 61000,           /* what fits one superpacket of a tunnel too */
	BATCH_US = 500,                /* of a slower flow, packets of so long leave together */
	BUFFER_LEN = 16 * 1024 * 1024,
	MESSAGES = 16,
	SEEN_MAX = 1 << 27,            /* packets of a run */
	ROUND_TRIPS_MAX = 100000,
	END_TIMES = 3,
	SETTLE_MS = 120,
	ANSWER_MS = 1000,
};

enum kind { KIND_DATA = 0x6f6e7201, KIND_END, KIND_ECHO };

struct header {
	uint32_t kind, run;
	uint64_t number;               /* END: how many were sent */
};

static void fail(const char *what)
{
	fprintf(stderr, "flow: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static socklen_t read_address(const char *text, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = v4.sin_port };

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(ret, &v4, sizeof(v4));
		return sizeof(v4);
	}
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1) {
		fprintf(stderr, "flow: %s is no address\n", text);
		exit(2);
	}
	memcpy(ret, &v6, sizeof(v6));
	return sizeof(v6);
}

static int open_socket(const char *own, const char *port)
{
	struct sockaddr_storage ss = { 0 };
	int len = BUFFER_LEN;
	socklen_t ss_len = read_address(own, port, &ss);

	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
	/* Above the system's limit where we may. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof(len)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &len, sizeof(len)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
	if (bind(fd, (struct sockaddr *)&ss, ss_len) != 0)
		fail(own);
	return fd;
}

static int connect_socket(char **arg)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t ss_len = read_address(arg[1], arg[2], &ss);

	int fd = open_socket(arg[0], "0");
	if (connect(fd, (struct sockaddr *)&ss, ss_len) != 0)
		fail(arg[1]);
	return fd;
}

static void put_header(uint8_t *at, enum kind kind, uint32_t run, uint64_t number)
{
	struct header h = { htonl(kind), htonl(run), htobe64(number) };
	memcpy(at, &h, sizeof(h));
}

static struct header get_header(const uint8_t *at)
{
	struct header h;
	memcpy(&h, at, sizeof(h));
	return (struct header){ ntohl(h.kind), ntohl(h.run), be64toh(h.number) };
}

/* ---- send ---- */

/* False: nothing of it left. */
static bool send_batch(int fd, uint8_t *data, size_t size, unsigned cnt)
{
	union {
		char room[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = { .room = { 0 } };
	struct iovec iov = { data, size * cnt };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint16_t segment = (uint16_t)size;
	ssize_t n;

	if (cnt > 1) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof(control.room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	}
	do
		n = sendmsg(fd, &m, 0);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

static unsigned choose_batch(size_t size, double rate)
{
	double cnt = (double)(MESSAGE_MAX / size);

	if (cnt > SEGMENTS_MAX)
		cnt = SEGMENTS_MAX;
	if (rate > 0 && cnt > rate * BATCH_US / 1e6)
		cnt = rate * BATCH_US / 1e6;
	return cnt < 1 ? 1 : (unsigned)cnt;
}

static void end_run(int fd, uint8_t *data, uint32_t run, uint64_t sent)
{
	for (unsigned i = 0; i < END_TIMES; i++) {
		sleep_until(now_ns() + SETTLE_MS * UINT64_C(1000000));
		put_header(data, KIND_END, run, sent);
		(void)send_batch(fd, data, sizeof(struct header), 1);
	}
}

static int run_send(char **arg)
{
	size_t size = strtoul(arg[3], NULL, 10);
	double rate = strtod(arg[4], NULL);
	uint64_t length = (uint64_t)(strtod(arg[5], NULL) * 1e9), sent = 0, refused = 0;
	uint32_t run = (uint32_t)strtoul(arg[6], NULL, 10);
	int fd = connect_socket(arg);

	if (size < sizeof(struct header) || size > MESSAGE_MAX)
		return 2;
	unsigned batch = choose_batch(size, rate);
	uint8_t *data = calloc(batch, size);
	if (data == NULL)
		fail("memory");
	uint64_t start = now_ns(), now = start;
	while (now - start < length) {
		for (unsigned i = 0; i < batch; i++)
			put_header(data + i * size, KIND_DATA, run, sent + i);
		/* A refusal is told of by ICMP or by a full queue: the numbers are used for the next ones. */
		if (send_batch(fd, data, size, batch))
			sent += batch;
		else
			refused++;
		if (rate > 0)
			sleep_until(start + (uint64_t)((double)(sent + refused * batch) * 1e9 / rate));
		now = now_ns();
	}
	printf("{\"run\": %" PRIu32 ", \"sent\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"seconds\": %.6f}\n", run, sent,
	       refused * batch, (double)(now - start) / 1e9);
	end_run(fd, data, run, sent);
	free(data);
	close(fd);
	return 0;
}

/* ---- round trips ---- */

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* In microseconds; below 0: no answer. */
static double measure_round_trip(int fd, uint64_t number)
{
	uint8_t data[64] = { 0 };
	uint64_t start = now_ns();
	struct pollfd p = { .fd = fd, .events = POLLIN };

	put_header(data, KIND_ECHO, 0, number);
	if (!send_batch(fd, data, sizeof(data), 1))
		return -1;
	while (poll(&p, 1, ANSWER_MS) == 1) {
		ssize_t n = recv(fd, data, sizeof(data), 0);
		if (n == (ssize_t)sizeof(data) && get_header(data).number == number)
			return (double)(now_ns() - start) / 1e3;
		if (n < 0)
			break;
	}
	return -1;
}

static int run_rtt(char **arg)
{
	int fd = connect_socket(arg);
	unsigned long cnt = strtoul(arg[3], NULL, 10), got = 0;
	uint64_t interval = strtoul(arg[4], NULL, 10) * UINT64_C(1000);

	if (cnt == 0 || cnt > ROUND_TRIPS_MAX)
		return 2;
	double *us = calloc(cnt, sizeof(*us));
	if (us == NULL)
		fail("memory");
	for (unsigned long i = 0; i < cnt; i++) {
		double one = measure_round_trip(fd, i);
		if (one >= 0)
			us[got++] = one;
		sleep_until(now_ns() + interval);
	}
	if (got == 0) {
		fprintf(stderr, "flow: no answer\n");
		return 1;
	}
	qsort(us, got, sizeof(*us), compare);
	printf("{\"answers\": %lu, \"lost\": %lu, \"median_us\": %.2f, \"p99_us\": %.2f}\n", got, cnt - got, us[got / 2],
	       us[got * 99 / 100]);
	free(us);
	close(fd);
	return 0;
}

/* ---- sink ---- */

struct tally {
	uint32_t run;
	bool ended;
	uint64_t received, duplicates, behind, beyond, next;
	uint64_t first_ns, last_ns;
	uint8_t *seen;                 /* a bit for each number */
};

static void begin_tally(struct tally *t, uint32_t run)
{
	uint64_t used = t->next < SEEN_MAX ? t->next : SEEN_MAX;
	uint8_t *seen = t->seen;

	memset(seen, 0, used / 8 + (used < SEEN_MAX));
	*t = (struct tally){ .run = run, .seen = seen };
	t->first_ns = t->last_ns = now_ns();
}

static void take_number(struct tally *t, uint64_t number)
{
	if (number >= SEEN_MAX) {
		t->beyond++;
		return;
	}
	uint8_t bit = (uint8_t)(1 << number % 8);
	if ((t->seen[number / 8] & bit) != 0)
		t->duplicates++;
	else
		t->received++;
	t->seen[number / 8] |= bit;
	t->behind += number < t->next;
	if (number >= t->next)
		t->next = number + 1;
}

static void end_tally(struct tally *t, uint64_t sent)
{
	if (t->ended)
		return;
	t->ended = true;
	printf("{\"run\": %" PRIu32 ", \"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"duplicates\": %" PRIu64
	       ", \"behind\": %" PRIu64 ", \"beyond\": %" PRIu64 ", \"seconds\": %.6f}\n",
	       t->run, sent, t->received, t->duplicates, t->behind, t->beyond, (double)(t->last_ns - t->first_ns) / 1e9);
	fflush(stdout);
}

static void take_packet(int fd, struct tally *t, const uint8_t *p, size_t len, const struct sockaddr_storage *from,
			socklen_t from_len)
{
	if (len < sizeof(struct header))
		return;
	struct header h = get_header(p);
	if (h.kind == KIND_ECHO) {
		(void)sendto(fd, p, len, MSG_DONTWAIT, (const struct sockaddr *)from, from_len);
		return;
	}
	if ((h.kind != KIND_DATA && h.kind != KIND_END) || h.run < t->run)
		return;
	if (h.run > t->run)
		begin_tally(t, h.run);
	if (h.kind == KIND_DATA)
		take_number(t, h.number);
	else
		end_tally(t, h.number);
}

static size_t read_segment(struct msghdr *m, size_t len)
{
	int value = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&value, CMSG_DATA(c), sizeof(value));
	return value > 0 ? (size_t)value : len;
}

static void take_message(int fd, struct tally *t, struct mmsghdr *m)
{
	const uint8_t *data = m->msg_hdr.msg_iov->iov_base;
	size_t segment = read_segment(&m->msg_hdr, m->msg_len);

	for (size_t at = 0; at < m->msg_len; at += segment) {
		size_t left = m->msg_len - at;
		take_packet(fd, t, data + at, left < segment ? left : segment, m->msg_hdr.msg_name, m->msg_hdr.msg_namelen);
	}
}

static _Noreturn void run_sink(char **arg)
{
	static uint8_t data[MESSAGES][65536];
	static char controls[MESSAGES][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	static struct sockaddr_storage names[MESSAGES];
	int fd = open_socket(arg[0], arg[1]), one = 1;
	struct tally t = { .seen = calloc(SEEN_MAX / 8, 1), .ended = true };
	struct mmsghdr m[MESSAGES];
	struct iovec iovs[MESSAGES];

	if (t.seen == NULL)
		fail("memory");
	if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)) != 0)
		fail("UDP_GRO");
	for (;;) {
		for (unsigned i = 0; i < MESSAGES; i++) {
			iovs[i] = (struct iovec){ data[i], sizeof(data[i]) };
			m[i].msg_hdr = (struct msghdr){ &names[i], sizeof(names[i]), &iovs[i], 1, controls[i],
							sizeof(controls[i]), 0 };
		}
		int n = recvmmsg(fd, m, MESSAGES, MSG_WAITFORONE, NULL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail("recvmmsg");
		for (int i = 0; i < n; i++)
			take_message(fd, &t, &m[i]);
		if (!t.ended)
			t.last_ns = now_ns();
	}
}

int main(int argc, char **argv)
{
	if (argc == 9 && strcmp(argv[1], "send") == 0)
		return run_send(argv + 2);
	if (argc == 7 && strcmp(argv[1], "rtt") == 0)
		return run_rtt(argv + 2);
	if (argc == 4 && strcmp(argv[1], "sink") == 0)
		run_sink(argv + 2);
	fprintf(stderr, "usage: flow send OWN ADDRESS PORT SIZE RATE SECONDS RUN | rtt OWN ADDRESS PORT COUNT INTERVAL_US | "
			"sink ADDRESS PORT\n");
	return 2;
}
