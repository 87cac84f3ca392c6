// onramp-flood: strangers at a gateway. Sends from any source address, reads what comes back from a packet socket, and prints
// one line of JSON: what was sent, what was answered, and whether any answer was bigger than what had asked for it.
//
//   onramp-flood DEVICE GATEWAY COUNT RATE KIND=SHARE,... [SPI_I SPI_R PEER PEER_PORT]
//
// Sources: 198.19.0.0/16 never sees an answer; 198.18.0.0/16 belongs to somebody who returns cookies. KIND:
//   init      a first message from 198.19          proven  one from 198.18, whose cookie request is answered
//   cookie    with a cookie that nobody gave        piece   the first IP fragment of a first message, never the rest
//   auth      IKE_AUTH of junk to half-open SAs of 198.18, alone and as fragments
//   lost      IKE fragments of no SA                esp     ESP under SPIs of nobody, native and in UDP
//   known     messages of junk under the SPIs of an SA that stands, from its peer's address, alone and as fragments
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/iana.h"
#include "packet.h"

#define STRANGERS 0xc6130000u /* 198.19.0.0 */
#define PROVEN 0xc6120000u    /* 198.18.0.0 */
#define HALVES_MAX 64

enum kind { INIT, PROVE, COOKIE, PIECE, AUTH, LOST, ESP, KNOWN, KIND_CNT };
static const char *const kind_names[] = { "init", "proven", "cookie", "piece", "auth", "lost", "esp", "known" };

struct half {
	uint32_t source;
	uint64_t spi_i, spi_r;
};

struct flood {
	int out, in;
	uint32_t gateway, peer;
	uint16_t peer_port;
	uint64_t count, rate, spi_i, spi_r, random;
	unsigned share[KIND_CNT], share_sum;
	/* what was sent and what came */
	uint64_t sent[KIND_CNT], failed, answers, cookies, returned, initiated, unasked, bigger;
	uint64_t bytes_out, bytes_in; /* of first messages without a cookie that the gateway gave, and of answers to them */
	uint16_t asked[2][65536];     /* bytes of the longest first message of a source: strangers, proven */
	uint8_t returned_by[65536];   /* a source of 198.18 has proven itself */
	unsigned half_cnt;
	struct half halves[HALVES_MAX];
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "onramp-flood: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t next_random(struct flood *f)
{
	return packet_mix(f->random++);
}

static void send_packet(struct flood *f, const struct packet_way *way, struct bytes body)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(way->to) };
	struct packet p;

	packet_wrap(way, body, &p);
	if (sendto(f->out, p.b, p.len, 0, (struct sockaddr *)&to, sizeof(to)) != (ssize_t)p.len)
		f->failed++;
}

static struct packet_way way_of(const struct flood *f, uint32_t from, uint16_t port)
{
	return (struct packet_way){ .from = from, .to = f->gateway, .from_port = port, .to_port = port };
}

/* ---- kinds ---- */

static uint16_t *asked_of(struct flood *f, uint32_t source)
{
	return &f->asked[(source & 0xffff0000u) == PROVEN][source & 0xffffu];
}

static void send_init(struct flood *f, uint32_t source, struct bytes cookie, bool returned)
{
	uint8_t room[PACKET_MAX - 40];
	const struct packet_way way = way_of(f, source, IKE_PORT);
	size_t len = packet_init(source, cookie, SPACE_OF(room));

	if (!returned) {
		uint16_t *asked = asked_of(f, source);
		*asked = *asked < len ? (uint16_t)len : *asked;
		f->bytes_out += len;
	}
	send_packet(f, &way, bytes_of(room, len));
}

static void send_cookie(struct flood *f, uint32_t source)
{
	uint8_t cookie[9]; /* as long as the gateway's own */
	struct wr w = wr_of(SPACE_OF(cookie));

	wr_u8(&w, (uint8_t)next_random(f));
	wr_u64(&w, next_random(f));
	send_init(f, source, BYTES_OF(cookie), false);
}

static void send_piece(struct flood *f, uint32_t source)
{
	uint8_t room[PACKET_MAX - 40];
	struct packet_way way = way_of(f, source, IKE_PORT);

	way.more_fragments = true;
	(void)packet_init(source, (struct bytes){ 0 }, SPACE_OF(room));
	send_packet(f, &way, bytes_of(room, 256));
}

static void send_junk(struct flood *f, const struct packet_way *way, uint64_t spi_i, uint64_t spi_r, uint8_t exchange)
{
	uint8_t room[PACKET_MAX - 40], marked[PACKET_MAX - 36];
	struct packet_junk j = { .spi_i = spi_i, .spi_r = spi_r, .random = next_random(f), .exchange = exchange };
	struct wr w = wr_of(SPACE_OF(marked));

	j.msg_id = (uint32_t)(exchange == IKE_EX_AUTH ? 1 : j.random % 8);
	j.fragment = (j.random >> 20) % 2 != 0;
	j.len = (uint16_t)(40 + (j.random >> 30) % 900);
	struct bytes msg = bytes_of(room, packet_junk(&j, SPACE_OF(room)));
	if (way->to_port == IKE_NATT_PORT)
		wr_u32(&w, 0);
	wr_put(&w, msg);
	must(!w.bad);
	send_packet(f, way, wr_bytes(&w));
}

static void send_auth(struct flood *f)
{
	if (f->half_cnt == 0)
		return;
	const struct half *h = &f->halves[next_random(f) % f->half_cnt];
	const struct packet_way way = way_of(f, h->source, IKE_PORT);
	send_junk(f, &way, h->spi_i, h->spi_r, IKE_EX_AUTH);
}

static void send_esp(struct flood *f, uint32_t source)
{
	struct packet_way way = way_of(f, source, IKE_NATT_PORT);
	uint8_t b[120];
	struct wr w = wr_of(SPACE_OF(b));

	if (next_random(f) % 2 != 0)
		way.from_port = way.to_port = 0;
	wr_u32(&w, (uint32_t)next_random(f) | 0x100);
	for (unsigned i = 0; i < 14; i++)
		wr_u64(&w, next_random(f));
	send_packet(f, &way, wr_bytes(&w));
}

static void send_kind(struct flood *f, enum kind kind)
{
	uint32_t low = (uint32_t)next_random(f) & 0xffffu;
	const struct packet_way stranger = way_of(f, STRANGERS | low, IKE_PORT);
	const struct packet_way known = way_of(f, f->peer, f->peer_port);

	f->sent[kind]++;
	switch (kind) {
	case INIT:
		send_init(f, STRANGERS | low, (struct bytes){ 0 }, false);
		break;
	case PROVE:
		send_init(f, PROVEN | low, (struct bytes){ 0 }, false);
		break;
	case COOKIE:
		send_cookie(f, STRANGERS | low);
		break;
	case PIECE:
		send_piece(f, STRANGERS | low);
		break;
	case AUTH:
		send_auth(f);
		break;
	case LOST:
		send_junk(f, &stranger, next_random(f), next_random(f), IKE_EX_AUTH);
		break;
	case ESP:
		send_esp(f, STRANGERS | low);
		break;
	case KNOWN:
		send_junk(f, &known, f->spi_i, f->spi_r, IKE_EX_INFORMATIONAL);
		break;
	case KIND_CNT:
		break;
	}
}

/* ---- answers ---- */

static void take_answer(struct flood *f, uint32_t source, struct bytes msg)
{
	bool proven = (source & 0xffff0000u) == PROVEN && f->returned_by[source & 0xffffu] != 0;
	uint16_t asked = *asked_of(f, source);
	struct wire_ike_header h;
	struct wire_ike_payloads in;
	struct wire_ike_notify n;

	f->answers++;
	f->unasked += asked == 0;
	if (!proven) {
		f->bytes_in += msg.len;
		f->bigger += msg.len > asked;
	}
	if (wire_ike_header_parse(msg, &h) != ERR_NONE || h.exchange != IKE_EX_SA_INIT ||
	    wire_ike_payloads_parse(h.next, bytes_of(msg.p + WIRE_IKE_HEADER_LEN, msg.len - WIRE_IKE_HEADER_LEN), &in) != ERR_NONE)
		return;
	if (h.spi_r != 0 && (source & 0xffff0000u) == PROVEN) {
		f->initiated++;
		f->halves[next_random(f) % HALVES_MAX] = (struct half){ source, h.spi_i, h.spi_r };
		f->half_cnt = f->half_cnt < HALVES_MAX ? f->half_cnt + 1 : HALVES_MAX;
		return;
	}
	if (!wire_ike_notify_find(&in, IKE_N_COOKIE, &n))
		return;
	f->cookies++;
	if ((source & 0xffff0000u) != PROVEN)
		return;
	f->returned_by[source & 0xffffu] = 1;
	f->returned++;
	send_init(f, source, n.data, true);
}

static void take_packet(struct flood *f, struct bytes packet)
{
	struct rd r = rd_of(packet);

	rd_skip(&r, 9);
	uint8_t protocol = rd_u8(&r);
	rd_skip(&r, 6);
	uint32_t to = rd_u32(&r);
	uint16_t from_port = rd_u16(&r), port = rd_u16(&r);
	rd_skip(&r, 4);
	uint32_t net = to & 0xffff0000u;
	if (r.bad || protocol != 17 || (net != STRANGERS && net != PROVEN) || from_port != port)
		return;
	if (port == IKE_NATT_PORT)
		rd_skip(&r, 4);
	struct bytes msg = rd_bytes(&r, rd_left(&r));
	if (!r.bad)
		take_answer(f, to, msg);
}

static void take_all(struct flood *f)
{
	uint8_t b[2048];
	ssize_t n;

	while ((n = recv(f->in, b, sizeof(b), MSG_DONTWAIT)) > 0)
		take_packet(f, bytes_of(b, (size_t)n));
}

/* ---- running ---- */

static enum kind choose(struct flood *f)
{
	unsigned at = (unsigned)(next_random(f) % f->share_sum), kind = 0;

	while (at >= f->share[kind])
		at -= f->share[kind++];
	return (enum kind)kind;
}

static void wait_until(struct flood *f, uint64_t until_ns)
{
	for (uint64_t now; (now = clock_mono_ns()) < until_ns;) {
		struct pollfd p = { .fd = f->in, .events = POLLIN };
		if (poll(&p, 1, (int)((until_ns - now + 999999) / 1000000)) > 0)
			take_all(f);
	}
}

/* In portions of a millisecond, so that the pace does not cost a system call each. */
static void run(struct flood *f)
{
	uint64_t begin = clock_mono_ns();

	for (uint64_t i = 0; i < f->count;) {
		uint64_t due = (clock_mono_ns() - begin) * f->rate / 1000000000u;
		if (due > i + 200) /* it was held up: no burst to make up for it */
			begin += (due - i - 200) * 1000000000u / f->rate;
		for (due = due > i + 200 ? i + 200 : due; i < due && i < f->count; i++)
			send_kind(f, choose(f));
		take_all(f);
		wait_until(f, clock_mono_ns() + 1000000);
	}
	wait_until(f, clock_mono_ns() + 500000000);
}

static void report(const struct flood *f, double seconds)
{
	printf("{\"seconds\": %.3f", seconds);
	for (unsigned i = 0; i < KIND_CNT; i++)
		printf(", \"%s\": %llu", kind_names[i], (unsigned long long)f->sent[i]);
	printf(", \"failed\": %llu, \"answers\": %llu, \"cookies\": %llu, \"returned\": %llu, \"initiated\": %llu, \"unasked\": %llu, "
	       "\"bigger\": %llu, \"bytes_out\": %llu, \"bytes_in\": %llu}\n",
	       (unsigned long long)f->failed, (unsigned long long)f->answers, (unsigned long long)f->cookies,
	       (unsigned long long)f->returned, (unsigned long long)f->initiated, (unsigned long long)f->unasked,
	       (unsigned long long)f->bigger, (unsigned long long)f->bytes_out, (unsigned long long)f->bytes_in);
}

static void open_sockets(struct flood *f, const char *device)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex(device) };
	int room = 8 << 20;

	f->out = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	f->in = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
	if (f->out < 0 || f->in < 0 || bind(f->in, (struct sockaddr *)&ll, sizeof(ll)) != 0 ||
	    setsockopt(f->in, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0)
		die(device);
}

static void parse_shares(struct flood *f, char *text)
{
	for (char *word = strtok(text, ","); word != NULL; word = strtok(NULL, ",")) {
		char *equals = strchr(word, '=');
		unsigned i = 0;
		while (equals != NULL && i < KIND_CNT &&
		       (strncmp(word, kind_names[i], (size_t)(equals - word)) != 0 || kind_names[i][equals - word] != '\0'))
			i++;
		if (equals == NULL || i == KIND_CNT) {
			errno = EINVAL;
			die(word);
		}
		f->share[i] = (unsigned)strtoul(equals + 1, NULL, 10);
		f->share_sum += f->share[i];
	}
}

static uint32_t parse_addr(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1) {
		errno = EINVAL;
		die(text);
	}
	return ntohl(a.s_addr);
}

int main(int argc, char **argv)
{
	static struct flood f;

	if (argc != 6 && argc != 10) {
		fprintf(stderr, "usage: onramp-flood DEVICE GATEWAY COUNT RATE KIND=SHARE,... [SPI_I SPI_R PEER PEER_PORT]\n");
		return 2;
	}
	open_sockets(&f, argv[1]);
	f.gateway = parse_addr(argv[2]);
	f.count = strtoull(argv[3], NULL, 10);
	f.rate = strtoull(argv[4], NULL, 10);
	parse_shares(&f, argv[5]);
	if (argc == 10) {
		f.spi_i = strtoull(argv[6], NULL, 16);
		f.spi_r = strtoull(argv[7], NULL, 16);
		f.peer = parse_addr(argv[8]);
		f.peer_port = (uint16_t)strtoul(argv[9], NULL, 10);
	}
	if (f.rate == 0 || f.share_sum == 0 || (f.share[KNOWN] != 0 && argc != 10)) {
		errno = EINVAL;
		die("rate, shares");
	}
	f.random = clock_mono_ns();
	uint64_t begin = clock_mono_ns();
	run(&f);
	report(&f, (double)(clock_mono_ns() - begin) / 1e9);
	return 0;
}
