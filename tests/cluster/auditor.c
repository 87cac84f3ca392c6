// The auditor: sees every packet that gateways send, in the router's namespace, and knows nothing of their code.
//
//   auditor ANYCAST4 ANYCAST6 FROM-DEVICE... [--rising DEVICE...]
//
// What comes in from a gateway (FROM-DEVICE) with one of these sources is ESP, in UDP or native, or IKE. It fails on
//   repeat   a second ESP packet with the same (SPI, IV), or another IKE message with the same (IKE SA, direction, IV);
//            an IKE message that is sent again is the same to the last byte
//   fall     an ESP sequence number that is not above the one before it of its SPI, among what leaves through a device
//            named after --rising: the order in which the peer there gets them; or one that was there before
// A number that is new and so far below that no window reaches there is only counted, as `late`: it is of a node that was stopped
// while it had the packet in hand, and was replaced.
// IVs are the first 8 bytes behind the header: a whole IV of AES-GCM (RFC 4106, RFC 5282), half a random one of AES-CBC.
// NULL encryption has none, so a lab that uses it has no auditor. On SIGTERM one line of JSON; status 1: it has failed.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICES_MAX 64
#define SAID_MAX 20
#define RECEIVE_BUFFER (64 << 20)
#define LATE (1u << 16)

enum { IKE_HEADER = 28, PAYLOAD_SK = 46, PAYLOAD_SKF = 53, FLAG_INITIATOR = 0x08 };

/* ---- a set of (SA, IV) -> digest of the message ---- */

struct seen {
	uint64_t sa[3]; /* all zero: a free place */
	uint64_t iv;
	uint64_t digest;
};

struct set {
	struct seen *places;
	size_t cap, cnt; /* cap is a power of two */
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ (h >> 29);
}

static uint64_t digest_of(const uint8_t *p, size_t n)
{
	uint64_t h = n;

	for (size_t i = 0; i < n; i++)
		h = mix(h, p[i]);
	return h;
}

static bool is_same(const struct seen *a, const struct seen *b)
{
	return memcmp(a->sa, b->sa, sizeof(a->sa)) == 0 && a->iv == b->iv;
}

static struct seen *place_of(struct set *s, const struct seen *k)
{
	size_t at = mix(mix(mix(mix(1, k->sa[0]), k->sa[1]), k->sa[2]), k->iv) & (s->cap - 1);

	while (s->places[at].sa[0] != 0 && !is_same(&s->places[at], k))
		at = (at + 1) & (s->cap - 1);
	return &s->places[at];
}

static void grow(struct set *s)
{
	struct set bigger = { .cap = s->cap == 0 ? 1 << 16 : s->cap * 2, .cnt = s->cnt };

	bigger.places = calloc(bigger.cap, sizeof(*bigger.places));
	if (bigger.places == NULL) {
		perror("auditor");
		exit(2);
	}
	for (size_t i = 0; i < s->cap; i++)
		if (s->places[i].sa[0] != 0)
			*place_of(&bigger, &s->places[i]) = s->places[i];
	free(s->places);
	*s = bigger;
}

/* The one that was there before, or NULL. */
static struct seen *add(struct set *s, const struct seen *k)
{
	if (s->cnt * 2 >= s->cap)
		grow(s);
	struct seen *place = place_of(s, k);
	if (place->sa[0] != 0)
		return place;
	*place = *k;
	s->cnt++;
	return NULL;
}

/* ---- what was seen ---- */

static struct {
	in_addr_t anycast4;
	struct in6_addr anycast6;
	int from[DEVICES_MAX], rising[DEVICES_MAX];
	unsigned from_cnt, rising_cnt;
	struct set ivs, spis; /* of spis: the last sequence number in `digest` */
	uint64_t esp, ike, sent_again, rising_esp, fragments, repeats, falls, late, dropped;
	unsigned said;
} audit;

static volatile sig_atomic_t ended;

static void end(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	va_list args;

	if (audit.said++ >= SAID_MAX)
		return;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static void take_esp(const uint8_t *p, size_t n)
{
	if (n < 16)
		return;
	const struct seen k = { .sa = { 1, get32(p) }, .iv = get64(p + 8), .digest = get32(p + 4) };
	audit.esp++;
	const struct seen *before = add(&audit.ivs, &k);
	if (before == NULL)
		return;
	audit.repeats++;
	say("repeat: ESP SPI %08x, IV %016llx, sequence numbers %llu and %llu", get32(p), (unsigned long long)k.iv,
	    (unsigned long long)before->digest, (unsigned long long)k.digest);
}

static void take_rising(const uint8_t *p, size_t n)
{
	if (n < 16)
		return;
	const struct seen k = { .sa = { 1, get32(p) }, .digest = get32(p + 4) };
	const struct seen number = { .sa = { 4, get32(p) }, .iv = get32(p + 4) };
	audit.rising_esp++;
	if (add(&audit.ivs, &number) != NULL) {
		audit.falls++;
		say("fall: ESP SPI %08x, %llu twice", get32(p), (unsigned long long)k.digest);
		return;
	}
	struct seen *before = add(&audit.spis, &k);
	if (before == NULL)
		return;
	if (before->digest > k.digest + LATE) {
		audit.late++;
	} else if (before->digest >= k.digest) {
		audit.falls++;
		say("fall: ESP SPI %08x, %llu after %llu", get32(p), (unsigned long long)k.digest,
		    (unsigned long long)before->digest);
	} else {
		before->digest = k.digest;
	}
}

/* RFC 7296 3.1: initiator's SPI, responder's SPI, next payload, ..., flags, message id, length. The encrypted payload is the
 * only one of what we send after IKE_SA_INIT; of a fragment (RFC 7383 2.5) number and count come before the IV. */
static void take_ike(const uint8_t *p, size_t n)
{
	if (n < IKE_HEADER + 4)
		return;
	size_t iv = IKE_HEADER + 4 + (p[16] == PAYLOAD_SKF ? 4 : 0);
	if ((p[16] != PAYLOAD_SK && p[16] != PAYLOAD_SKF) || n < iv + 8)
		return;
	const struct seen k = { .sa = { 2u + ((p[19] & FLAG_INITIATOR) != 0), get64(p), get64(p + 8) }, .iv = get64(p + iv),
				.digest = digest_of(p, n) };
	audit.ike++;
	const struct seen *before = add(&audit.ivs, &k);
	if (before == NULL)
		return;
	if (before->digest == k.digest) {
		audit.sent_again++;
		return;
	}
	audit.repeats++;
	say("repeat: IKE SA %016llx, message %u, IV %016llx", (unsigned long long)k.sa[1], get32(p + 20),
	    (unsigned long long)k.iv);
}

static bool is_one_of(const int *devices, unsigned cnt, int device)
{
	for (unsigned i = 0; i < cnt; i++)
		if (devices[i] == device)
			return true;
	return false;
}

/* Of a packet of a gateway. rising: it leaves; else it came in. */
static void take_payload(uint8_t protocol, const uint8_t *data, size_t len, bool rising)
{
	if (len < 8)
		return;
	if (protocol == IPPROTO_ESP) {
		(rising ? take_rising : take_esp)(data, len);
	} else if (protocol == IPPROTO_UDP) {
		unsigned port = (unsigned)data[0] << 8 | data[1];
		data += 8;
		len -= 8;
		bool marked = port == 4500 && len > 4 && get32(data) == 0;
		if (port == 4500 && len > 4 && !marked)
			(rising ? take_rising : take_esp)(data, len);
		else if (!rising && marked)
			take_ike(data + 4, len - 4);
		else if (!rising && port == 500)
			take_ike(data, len);
	}
}

static void take_packet4(const uint8_t *p, size_t n, bool rising)
{
	size_t head = n < 20 ? 0 : 4u * (p[0] & 15u);
	size_t total = n < 20 ? 0 : (size_t)p[2] << 8 | p[3];
	in_addr_t source;

	if (head < 20 || total > n || total < head)
		return;
	memcpy(&source, p + 12, sizeof(source));
	if (source != audit.anycast4)
		return;
	if (((p[6] & 0x1f) | p[7]) != 0) {
		audit.fragments++; /* of an ESP packet: its IV is in the first */
		return;
	}
	take_payload(p[9], p + head, total - head, rising);
}

/* Gateways send no other extension header than that of fragments. */
static void take_packet6(const uint8_t *p, size_t n, bool rising)
{
	size_t len = n < 40 ? 0 : (size_t)p[4] << 8 | p[5];

	if (n < 40 || len > n - 40 || memcmp(p + 8, &audit.anycast6, sizeof(audit.anycast6)) != 0)
		return;
	if (p[6] != IPPROTO_FRAGMENT)
		take_payload(p[6], p + 40, len, rising);
	else if (len < 8 || (p[42] | (p[43] & 0xf8)) != 0)
		audit.fragments++;
	else
		take_payload(p[40], p + 48, len - 8, rising);
}

static void take_packet(const uint8_t *p, size_t n, bool rising)
{
	if (n != 0 && p[0] >> 4 == 4)
		take_packet4(p, n, rising);
	else if (n != 0 && p[0] >> 4 == 6)
		take_packet6(p, n, rising);
}

static void take_next(int fd)
{
	static uint8_t buffer[65536];
	struct sockaddr_ll from;
	socklen_t from_len = sizeof(from);

	ssize_t n = recvfrom(fd, buffer, sizeof(buffer), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	if (n < 0)
		return;
	bool leaves = from.sll_pkttype == PACKET_OUTGOING;
	if (leaves && is_one_of(audit.rising, audit.rising_cnt, from.sll_ifindex))
		take_packet(buffer, (size_t)n, true);
	else if (!leaves && is_one_of(audit.from, audit.from_cnt, from.sll_ifindex))
		take_packet(buffer, (size_t)n, false);
}

/* What the kernel could not keep was not seen: then nothing is proven. */
static void count_dropped(int fd)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
		audit.dropped += stats.tp_drops;
}

static int open_socket(void)
{
	const int size = RECEIVE_BUFFER;
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0) {
		perror("auditor: AF_PACKET");
		exit(2);
	}
	return fd;
}

static void read_arguments(int argc, char **argv)
{
	bool rising = false;

	if (argc < 4 || inet_pton(AF_INET, argv[1], &audit.anycast4) != 1 || inet_pton(AF_INET6, argv[2], &audit.anycast6) != 1) {
		fputs("usage: auditor ANYCAST4 ANYCAST6 FROM-DEVICE... [--rising DEVICE...]\n", stderr);
		exit(2);
	}
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "--rising") == 0) {
			rising = true;
			continue;
		}
		int index = (int)if_nametoindex(argv[i]);
		unsigned *cnt = rising ? &audit.rising_cnt : &audit.from_cnt;
		if (index == 0 || *cnt == DEVICES_MAX) {
			fprintf(stderr, "auditor: no device %s\n", argv[i]);
			exit(2);
		}
		(rising ? audit.rising : audit.from)[(*cnt)++] = index;
	}
}

int main(int argc, char **argv)
{
	const struct sigaction on_end = { .sa_handler = end };

	read_arguments(argc, argv);
	int fd = open_socket();
	sigaction(SIGTERM, &on_end, NULL);
	sigaction(SIGINT, &on_end, NULL);
	fputs("auditor: watching\n", stderr);
	for (struct pollfd p = { .fd = fd, .events = POLLIN };;) {
		int n = poll(&p, 1, ended ? 0 : 100);
		if (n == 0 && ended)
			break;
		if (n > 0)
			take_next(fd);
	}
	count_dropped(fd);
	printf("{\"esp\": %llu, \"ike\": %llu, \"sent_again\": %llu, \"rising_esp\": %llu, \"fragments\": %llu, \"repeats\": %llu,"
	       " \"falls\": %llu, \"late\": %llu, \"dropped\": %llu}\n", (unsigned long long)audit.esp, (unsigned long long)audit.ike,
	       (unsigned long long)audit.sent_again, (unsigned long long)audit.rising_esp, (unsigned long long)audit.fragments,
	       (unsigned long long)audit.repeats, (unsigned long long)audit.falls, (unsigned long long)audit.late, (unsigned long long)audit.dropped);
	return audit.repeats + audit.falls + audit.dropped != 0;
}
