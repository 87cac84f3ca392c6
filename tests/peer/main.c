// onramp-peer: the test peer with sockets. Brings a tunnel up, runs the steps that were asked for, checks each,
// prints one line of JSON, and exits with 0 only if all of it held. See usage() for the options.
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/proposal.h"
#include "wire/esp.h"
#include "wire/icmp.h"

#define PINGS_MAX 8
#define PACKET_MAX 9216

struct run {
	struct peer p;
	struct peer_options o;
	int udp500, udp4500, raw;
	unsigned inner_cnt, ping_cnt;
	struct addr inner[PINGS_MAX], ping[PINGS_MAX];
	unsigned count, size, interval_ms, timeout_ms;
	const char *expect, *steps;
	struct peer_suite esp_pfs;
	bool encap;
	/* echo replies of the ping under way */
	uint16_t ping_id;
	unsigned ping_received, ping_bad;
	const struct addr *ping_dst;
	uint64_t ping_sent_us, ping_rtt_us;
	bool replied[4096];
	unsigned echo_answered;
	enum peer_event last;
	char report[8192];
	char error[256];
};

static _Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "onramp-peer: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(2);
}

static void report(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void report(struct run *r, const char *fmt, ...)
{
	size_t len = strlen(r->report);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(r->report + len, sizeof(r->report) - len, fmt, ap);
	va_end(ap);
}

static void fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct run *r, const char *fmt, ...)
{
	va_list ap;
	if (r->error[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
}

static uint64_t now_us(void)
{
	return clock_mono_ns() / 1000;
}

/* ---- sockets ---- */

static socklen_t to_sockaddr(const struct addr_endpoint *e, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (e->addr.family == ADDR_V4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;
		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->addr.b, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	memcpy(&in6->sin6_addr, e->addr.b, 16);
	return sizeof(*in6);
}

static int open_socket(const struct run *r, int type, int protocol, uint16_t port)
{
	struct addr_endpoint at = { r->o.local.addr, port };
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&at, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, protocol), big = 4 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) != 0)
		die("socket for port %u: %s", port, strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	return fd;
}

static void send_to(const struct run *r, int fd, uint16_t port, struct bytes b)
{
	struct addr_endpoint to = { r->p.remote.addr, port };
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&to, &ss);

	if (sendto(fd, b.p, b.len, 0, (struct sockaddr *)&ss, len) < 0)
		fprintf(stderr, "onramp-peer: send: %s\n", strerror(errno));
}

static void send_ike(const struct run *r, struct bytes list)
{
	uint8_t room[PACKET_MAX];
	bool natt = r->p.local.port == IKE_NATT_PORT;
	struct bytes msg;

	while (peer_next(&list, &msg)) {
		struct wr w = wr_of(SPACE_OF(room));
		if (natt)
			wr_u32(&w, 0);
		wr_put(&w, msg);
		send_to(r, natt ? r->udp4500 : r->udp500, r->p.remote.port, wr_bytes(&w));
	}
}

static void send_inner(struct run *r, struct bytes inner)
{
	struct peer_child *c = peer_child_last(&r->p);
	uint8_t room[PACKET_MAX];

	if (c == NULL)
		return;
	size_t len = peer_esp_seal(c, inner, SPACE_OF(room));
	if (len == 0)
		die("an inner packet of %zu bytes cannot be sealed", inner.len);
	if (r->encap)
		send_to(r, r->udp4500, IKE_NATT_PORT, bytes_of(room, len));
	else
		send_to(r, r->raw, 0, bytes_of(room, len));
}

/* ---- receiving ---- */

static void take_ike(struct run *r, struct bytes msg)
{
	unsigned which;
	enum peer_event e = peer_input(&r->p, msg, &which);

	if (e == PEER_EV_ANSWER)
		send_ike(r, bytes_of(r->p.ike[which].answer, r->p.ike[which].answer_len));
	if (e == PEER_EV_AGAIN)
		send_ike(r, bytes_of(r->p.ike[0].request, r->p.ike[0].request_len));
	if (e != PEER_EV_IGNORED)
		r->last = e;
}

/* An echo reply to ours is counted once, and only if it brings the same data. */
static void take_reply(struct run *r, const struct wire_ip *ip)
{
	struct rd rd = rd_of(ip->payload);

	rd_skip(&rd, 4);
	uint16_t id = rd_u16(&rd), seq = rd_u16(&rd);
	struct bytes data = rd_rest(&rd);
	if (rd.bad || id != r->ping_id || seq >= ARRAY_LEN(r->replied) || r->ping_dst == NULL ||
	    !addr_eq(&ip->src, r->ping_dst))
		return;
	bool good = data.len == r->size;
	for (size_t i = 0; good && i < data.len; i++)
		good = data.p[i] == (uint8_t)(i * 7 + seq);
	if (!good) {
		r->ping_bad++;
	} else if (!r->replied[seq]) {
		r->replied[seq] = true;
		r->ping_received++;
		r->ping_rtt_us = now_us() - r->ping_sent_us;
	}
}

static void take_inner(struct run *r, struct bytes inner)
{
	uint8_t copy[PACKET_MAX];
	struct wire_ip ip;

	if (inner.len > sizeof(copy) || wire_ip_parse(inner, &ip) != ERR_NONE || ip.payload.len < 8)
		return;
	bool v4 = ip.version == 4;
	if (ip.protocol == (v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6) && ip.payload.p[0] == (v4 ? 0 : 129)) {
		take_reply(r, &ip);
	} else if (wire_icmp_is_echo_request(&ip)) {
		memcpy(copy, inner.p, ip.total_len);
		wire_icmp_echo_reply((struct space){ copy, ip.total_len }, &ip);
		send_inner(r, bytes_of(copy, ip.total_len));
		r->echo_answered++;
	}
}

static void take_esp(struct run *r, struct space packet)
{
	struct wire_esp esp;
	struct bytes inner;

	if (wire_esp_parse(bytes_of(packet.p, packet.cap), &esp) != ERR_NONE)
		return;
	struct peer_child *c = peer_child_find(&r->p, esp.spi);
	if (c == NULL)
		return;
	enum err e = peer_esp_open(c, packet, &inner);
	if (e == ERR_NONE)
		take_inner(r, inner);
	else
		fail(r, "ESP of the gateway: %s", err_text(e));
}

static void take_natt(struct run *r, struct space d)
{
	struct bytes body;

	switch (wire_natt_classify(bytes_of(d.p, d.cap), &body)) {
	case WIRE_NATT_IKE:
		take_ike(r, body);
		break;
	case WIRE_NATT_ESP:
		if (!r->encap)
			fail(r, "ESP in UDP although there is no NAT");
		take_esp(r, d);
		break;
	case WIRE_NATT_NOMARKER:
	case WIRE_NATT_KEEPALIVE:
	case WIRE_NATT_JUNK:
		break;
	}
}

/* A raw IPv4 socket shows the IP header, a raw IPv6 one does not. */
static void take_raw(struct run *r, struct space d)
{
	struct wire_ip ip;
	size_t skip = 0;

	if (r->o.local.addr.family == ADDR_V4) {
		if (wire_ip_parse(bytes_of(d.p, d.cap), &ip) != ERR_NONE || !addr_eq(&ip.src, &r->p.remote.addr))
			return;
		skip = ip.header_len;
	}
	if (r->encap && peer_child_last(&r->p) != NULL)
		fail(r, "native ESP although there is a NAT");
	take_esp(r, (struct space){ d.p + skip, d.cap - skip });
}

static void take_one(struct run *r, int fd)
{
	uint8_t b[PACKET_MAX];
	ssize_t n = recv(fd, b, sizeof(b), MSG_DONTWAIT);

	if (n <= 0)
		return;
	struct space d = { b, (size_t)n };
	if (fd == r->udp500)
		take_ike(r, bytes_of(b, d.cap));
	else if (fd == r->udp4500)
		take_natt(r, d);
	else
		take_raw(r, d);
}

/* Serves the sockets until then. */
static void serve(struct run *r, uint64_t until_us, bool (*done)(const struct run *r))
{
	while (now_us() < until_us && (done == NULL || !done(r))) {
		struct pollfd fds[] = { { .fd = r->udp500, .events = POLLIN },
					{ .fd = r->udp4500, .events = POLLIN },
					{ .fd = r->raw, .events = POLLIN } };
		uint64_t left = until_us - now_us();
		if (poll(fds, 3, left > 20000 ? 20 : (int)(left / 1000 + 1)) <= 0)
			continue;
		for (unsigned i = 0; i < 3; i++)
			if ((fds[i].revents & POLLIN) != 0)
				take_one(r, fds[i].fd);
	}
}

static bool is_idle(const struct run *r)
{
	return r->p.ike[0].step == PEER_IDLE && r->p.ike[1].step == PEER_IDLE;
}

/* Sends what was started, again each second, until it is answered. */
static bool exchange(struct run *r, unsigned which)
{
	uint64_t end = now_us() + r->timeout_ms * (uint64_t)1000;
	const struct peer_ike *sa = &r->p.ike[which];

	while (now_us() < end && !is_idle(r)) {
		uint64_t next = now_us() + 1000000;
		send_ike(r, bytes_of(sa->request, sa->request_len));
		serve(r, next < end ? next : end, is_idle);
	}
	return is_idle(r);
}

/* ---- steps ---- */

static const struct addr *inner_of(const struct run *r, uint8_t family)
{
	for (unsigned i = 0; i < r->inner_cnt; i++)
		if (r->inner[i].family == family)
			return &r->inner[i];
	die("no --inner address for the family of --ping");
}

static bool all_replied(const struct run *r)
{
	return r->ping_received == r->count;
}

static bool ping(struct run *r, const struct addr *dst)
{
	uint8_t data[PACKET_MAX], room[PACKET_MAX];
	char text[ADDR_TEXT_MAX];
	size_t len;

	r->ping_id = (uint16_t)(r->ping_id + 1);
	r->ping_dst = dst;
	r->ping_received = r->ping_bad = 0;
	memset(r->replied, 0, sizeof(r->replied));
	for (uint16_t seq = 0; seq < r->count; seq++) {
		for (size_t i = 0; i < r->size; i++)
			data[i] = (uint8_t)(i * 7 + seq);
		if (wire_icmp_echo_build(inner_of(r, dst->family), dst, r->ping_id, seq, bytes_of(data, r->size),
					 SPACE_OF(room), &len) != ERR_NONE)
			die("--size is too big");
		r->ping_sent_us = now_us();
		send_inner(r, bytes_of(room, len));
		serve(r, now_us() + r->interval_ms * (uint64_t)1000, seq + 1u == r->count ? all_replied : NULL);
	}
	serve(r, now_us() + 2000000, all_replied);
	report(r, ",\"to\":\"%s\",\"sent\":%u,\"received\":%u,\"damaged\":%u,\"last_rtt_us\":%llu",
	       addr_format(dst, text), r->count, r->ping_received, r->ping_bad, (unsigned long long)r->ping_rtt_us);
	r->ping_dst = NULL;
	return r->ping_received == r->count && r->ping_bad == 0;
}

static bool ping_all(struct run *r)
{
	bool ok = true;

	if (r->ping_cnt == 0)
		die("step ping needs --ping");
	for (unsigned i = 0; i < r->ping_cnt; i++)
		ok &= ping(r, &r->ping[i]);
	return ok;
}

static bool rekey_child(struct run *r, bool pfs)
{
	const struct peer_child *old = peer_child_last(&r->p);
	uint32_t spi = old == NULL ? 0 : old->spi_in;

	if (old == NULL || (pfs && r->esp_pfs.group == IKE_GROUP_NONE))
		die(old == NULL ? "nothing to rekey" : "--esp has no group for rekey-pfs");
	peer_start_child(&r->p, old, pfs ? &r->esp_pfs : NULL);
	if (!exchange(r, 0) || r->p.notify != 0)
		return false;
	peer_start_delete_child(&r->p, peer_child_find(&r->p, spi));
	return exchange(r, 0) && r->p.notify == 0;
}

static bool rekey_ike(struct run *r)
{
	peer_start_ike_rekey(&r->p, &r->p.ike[0].suite);
	if (!exchange(r, 0) || r->p.notify != 0)
		return false;
	peer_start_delete_ike(&r->p, 1);
	return exchange(r, 1);
}

static bool run_step(struct run *r, const char *step)
{
	if (strcmp(step, "ping") == 0)
		return ping_all(r);
	if (strcmp(step, "rekey") == 0)
		return rekey_child(r, false);
	if (strcmp(step, "rekey-pfs") == 0)
		return rekey_child(r, true);
	if (strcmp(step, "rekey-ike") == 0)
		return rekey_ike(r);
	if (strcmp(step, "child") == 0)
		peer_start_child(&r->p, NULL, NULL);
	else if (strcmp(step, "liveness") == 0)
		peer_start_liveness(&r->p);
	else if (strcmp(step, "delete-child") == 0 && r->p.child_cnt > 0)
		peer_start_delete_child(&r->p, peer_child_last(&r->p));
	else if (strcmp(step, "delete") == 0)
		peer_start_delete_ike(&r->p, 0);
	else if (strncmp(step, "wait:", 5) == 0) {
		serve(r, now_us() + (uint64_t)(atof(step + 5) * 1e6), NULL);
		report(r, ",\"requests_of_gateway\":%u,\"echo_answered\":%u", r->p.requests_taken, r->echo_answered);
		return true;
	} else if (strcmp(step, "closed") == 0) {
		return r->p.closed_by_gateway;
	} else {
		die("unknown step \"%s\"", step);
	}
	return exchange(r, 0) && r->p.notify == 0;
}

static bool run_steps(struct run *r)
{
	char *steps = strdup(r->steps), *save = NULL;
	bool ok = true, first = true;

	report(r, ",\"steps\":[");
	for (char *s = strtok_r(steps, ",", &save); s != NULL && ok; s = strtok_r(NULL, ",", &save)) {
		report(r, "%s{\"step\":\"%s\"", first ? "" : ",", s);
		first = false;
		ok = run_step(r, s);
		report(r, ",\"ok\":%s", ok ? "true" : "false");
		if (r->p.notify != 0)
			report(r, ",\"notify\":%u", r->p.notify);
		report(r, "}");
		if (!ok)
			fail(r, "step %s failed (notify %u)", s, r->p.notify);
	}
	report(r, "]");
	free(steps);
	return ok;
}

/* ---- the whole ---- */

static const struct {
	const char *name;
	uint16_t notify;
} outcomes[] = {
	{ "auth-failed", IKE_N_AUTHENTICATION_FAILED }, { "no-proposal", IKE_N_NO_PROPOSAL_CHOSEN },
	{ "ts-unacceptable", IKE_N_TS_UNACCEPTABLE },	{ "invalid-syntax", IKE_N_INVALID_SYNTAX },
	{ "invalid-ke", IKE_N_INVALID_KE_PAYLOAD },	{ "version", IKE_N_INVALID_MAJOR_VERSION },
};

static void report_sa(struct run *r)
{
	const struct peer_suite *s = &r->p.ike[0].suite;
	struct model_suite m = { s->encr, s->key_bits, s->prf, s->integ, s->group, 0 };
	char text[MODEL_SUITE_TEXT_MAX];

	if (r->p.ike[0].spi_r != 0)
		report(r, ",\"ike\":\"%s\"", model_suite_text(&m, text));
	const struct peer_child *c = peer_child_last(&r->p);
	if (c != NULL) {
		m = (struct model_suite){ c->suite.encr, c->suite.key_bits, 0, c->suite.integ, c->suite.group, 0 };
		report(r, ",\"child\":\"%s\"", model_suite_text(&m, text));
	}
	report(r, ",\"start_port\":%u,\"port\":%u,\"nat_local\":%s,\"nat_remote\":%s,\"esp\":\"%s\"", r->o.local.port,
	       r->p.local.port, r->p.nat_local ? "true" : "false", r->p.nat_remote ? "true" : "false",
	       r->encap ? "udp" : "native");
}

/* What came of the handshake, as a word of --expect. */
static const char *hand_shake(struct run *r)
{
	peer_start_init(&r->p);
	if (!exchange(r, 0))
		return "silence";
	if (r->p.notify == 0) {
		peer_start_auth(&r->p);
		if (!exchange(r, 0))
			return "silence";
	}
	r->encap = r->p.nat_local || r->p.nat_remote ||
		   (r->o.natd == PEER_NATD_NONE && r->p.local.port == IKE_NATT_PORT);
	if (r->p.notify == 0)
		return "up";
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (outcomes[i].notify == r->p.notify)
			return outcomes[i].name;
	return "other";
}

static int run_all(struct run *r)
{
	r->udp500 = open_socket(r, SOCK_DGRAM, IPPROTO_UDP, IKE_PORT);
	r->udp4500 = open_socket(r, SOCK_DGRAM, IPPROTO_UDP, IKE_NATT_PORT);
	r->raw = open_socket(r, SOCK_RAW, IP_PROTO_ESP, 0);
	r->ping_id = (uint16_t)getpid();
	peer_init(&r->p, &r->o);
	uint64_t start = now_us();
	const char *outcome = hand_shake(r);
	uint64_t took = now_us() - start;
	bool ok = strcmp(outcome, r->expect) == 0;
	report(r, "\"outcome\":\"%s\",\"ike_up\":%s,\"handshake_us\":%llu", outcome, r->p.ike[0].up ? "true" : "false",
	       (unsigned long long)took);
	if (r->p.notify != 0)
		report(r, ",\"notify\":%u", r->p.notify);
	report_sa(r);
	if (!ok)
		fail(r, "the handshake ended with '%s', expected was '%s'", outcome, r->expect);
	if (ok && r->steps != NULL)
		ok = run_steps(r);
	ok = ok && r->error[0] == '\0';
	printf("{\"ok\":%s,%s,\"error\":\"%s\"}\n", ok ? "true" : "false", r->report, r->error);
	peer_fini(&r->p);
	return ok ? 0 : 1;
}

/* ---- options ---- */

static void usage(void)
{
	fputs("onramp-peer --gateway ADDRESS --local ADDRESS --id KIND:TEXT [options]\n"
	      "  --id fqdn:X | email:X | keyid:X | address   identity\n"
	      "  --psk-file FILE      pre-shared key (or environment ONRAMP_PEER_PSK)\n"
	      "  --start-port 500|4500\n"
	      "  --nat true|fake|none what NAT detection says: the truth, a NAT that is not there, nothing\n"
	      "  --ike aes256gcm16-prfsha256-modp2048   may be repeated; strongSwan's words\n"
	      "  --esp aes256gcm16[-modp2048]           may be repeated; the group is for rekey-pfs\n"
	      "  --ke-group N         send the first KE payload for this group\n"
	      "  --ts-local PREFIX --ts-remote PREFIX   may be repeated; default any, v4 and v6\n"
	      "  --transport --esn --no-auth --ask-config --ikev1 --no-initial-contact\n"
	      "  --inner ADDRESS --ping ADDRESS         may be repeated; --count N --size BYTES --interval-ms N\n"
	      "  --do STEP,...        ping child rekey rekey-pfs rekey-ike liveness delete-child delete wait:SECONDS closed\n"
	      "  --expect up|auth-failed|no-proposal|ts-unacceptable|invalid-ke|silence\n"
	      "  --timeout SECONDS    for each exchange, default 10\n",
	      stderr);
	exit(2);
}

/* One of strongSwan's words into the suite; the group of a Child SA is kept for rekeys. */
static bool take_word(struct peer_suite *s, enum model_phase phase, const char *word)
{
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if ((t->phase & phase) == 0 || t->swanctl[0] == '\0' || strcmp(t->swanctl, word) != 0)
			continue;
		switch (t->type) {
		case IKE_TT_ENCR:
			s->encr = t->id;
			s->key_bits = t->key_bits;
			return true;
		case IKE_TT_INTEG:
			s->integ = t->id;
			return true;
		case IKE_TT_PRF:
			s->prf = t->id;
			return true;
		case IKE_TT_KE:
			s->group = t->id;
			return true;
		case IKE_TT_ESN:
			return true;
		}
	}
	return false;
}

static struct peer_suite parse_suite(const char *text, enum model_phase phase)
{
	/* words for what the gateway must refuse */
	static const struct {
		const char *word;
		uint8_t type;
		uint16_t id, key_bits;
	} others[] = {
		{ "aes128", IKE_TT_ENCR, IKE_ENCR_AES_CBC, 128 },
		{ "3des", IKE_TT_ENCR, 3, 0 },
		{ "sha1", IKE_TT_INTEG, IKE_INTEG_HMAC_SHA1_96, 0 },
		{ "prfsha1", IKE_TT_PRF, 2, 0 },
	};
	struct peer_suite s = { 0 };
	char *copy = strdup(text), *save = NULL;

	for (char *w = strtok_r(copy, "-", &save); w != NULL; w = strtok_r(NULL, "-", &save)) {
		bool found = take_word(&s, phase, w);
		for (size_t i = 0; !found && i < ARRAY_LEN(others); i++) {
			if (strcmp(others[i].word, w) != 0)
				continue;
			found = true;
			if (others[i].type == IKE_TT_ENCR)
				s.encr = others[i].id, s.key_bits = others[i].key_bits;
			else if (others[i].type == IKE_TT_INTEG)
				s.integ = others[i].id;
			else
				s.prf = others[i].id;
		}
		if (!found)
			die("unknown algorithm \"%s\"", w);
	}
	free(copy);
	return s;
}

static struct addr parse_addr(const char *text)
{
	struct addr a;
	if (addr_parse(bytes_str(text), &a) != ERR_NONE)
		die("\"%s\" is no address", text);
	return a;
}

static void parse_id(struct peer_options *o, const char *text)
{
	static const struct {
		const char *prefix;
		uint8_t type;
	} kinds[] = { { "fqdn:", IKE_ID_FQDN }, { "email:", IKE_ID_RFC822_ADDR }, { "keyid:", IKE_ID_KEY_ID } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i].prefix), len = strlen(text);
		if (strncmp(text, kinds[i].prefix, n) != 0)
			continue;
		if (len - n > sizeof(o->id) || len == n)
			die("--id is empty or too long");
		o->id_type = kinds[i].type;
		o->id_len = (uint16_t)(len - n);
		memcpy(o->id, text + n, len - n);
		return;
	}
	if (strcmp(text, "address") != 0)
		die("--id wants fqdn:, email:, keyid: or address");
	o->id_type = 0; /* filled in when --local is known */
}

static void read_psk(struct peer_options *o, const char *path)
{
	uint8_t b[SECRET_MAX + 2];
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		die("%s: %s", path, strerror(errno));
	n = fread(b, 1, sizeof(b), f);
	fclose(f);
	while (n > 0 && b[n - 1] == '\n')
		n--;
	if (secret_set(&o->psk, bytes_of(b, n)) != ERR_NONE)
		die("%s: the key is too long", path);
}

static void add_ts(struct wire_ike_ts *list, uint8_t *cnt, const char *text)
{
	struct addr_prefix p;
	struct wire_ike_ts ts = { .port_last = UINT16_MAX };

	if (addr_prefix_parse(bytes_str(text), &p) != ERR_NONE || *cnt == PEER_TS_MAX)
		die("\"%s\" is no prefix, or one too many", text);
	addr_prefix_range(&p, &ts.first, &ts.last);
	list[(*cnt)++] = ts;
}

static unsigned parse_number(const char *text, unsigned max)
{
	uint64_t v;
	if (text_u64_parse(bytes_str(text), max, &v) != ERR_NONE)
		die("\"%s\" is no number up to %u", text, max);
	return (unsigned)v;
}

static void to_ikev1(void *arg, struct peer_edit *e)
{
	(void)arg;
	e->h.major = 1;
	e->h.exchange = 2; /* Main Mode */
	e->h.flags = 0;
}

enum { O_GATEWAY = 256, O_LOCAL, O_ID, O_PSK, O_PORT, O_NAT, O_IKE, O_ESP, O_KE, O_TSL, O_TSR, O_TRANSPORT, O_ESN, O_NOAUTH,
       O_CONFIG, O_V1, O_NOIC, O_INNER, O_PING, O_COUNT, O_SIZE, O_INTERVAL, O_DO, O_EXPECT, O_TIMEOUT, O_HELP };

static const struct option long_options[] = {
	{ "gateway", 1, NULL, O_GATEWAY },    { "local", 1, NULL, O_LOCAL },
	{ "id", 1, NULL, O_ID },	      { "psk-file", 1, NULL, O_PSK },
	{ "start-port", 1, NULL, O_PORT },    { "nat", 1, NULL, O_NAT },
	{ "ike", 1, NULL, O_IKE },	      { "esp", 1, NULL, O_ESP },
	{ "ke-group", 1, NULL, O_KE },	      { "ts-local", 1, NULL, O_TSL },
	{ "ts-remote", 1, NULL, O_TSR },      { "transport", 0, NULL, O_TRANSPORT },
	{ "esn", 0, NULL, O_ESN },	      { "no-auth", 0, NULL, O_NOAUTH },
	{ "ask-config", 0, NULL, O_CONFIG },  { "ikev1", 0, NULL, O_V1 },
	{ "no-initial-contact", 0, NULL, O_NOIC }, { "inner", 1, NULL, O_INNER },
	{ "ping", 1, NULL, O_PING },	      { "count", 1, NULL, O_COUNT },
	{ "size", 1, NULL, O_SIZE },	      { "interval-ms", 1, NULL, O_INTERVAL },
	{ "do", 1, NULL, O_DO },	      { "expect", 1, NULL, O_EXPECT },
	{ "timeout", 1, NULL, O_TIMEOUT },    { "help", 0, NULL, O_HELP },
	{ 0 },
};

/* Counts of what was given; the first of a list replaces the defaults. */
struct given {
	unsigned ike, esp;
	bool tsi, tsr;
};

static void take_list(struct run *r, struct given *given, int option, const char *arg)
{
	struct peer_options *o = &r->o;

	if (option == O_IKE && given->ike < PEER_PROPOSALS_MAX) {
		o->ike[given->ike++] = parse_suite(arg, MODEL_PHASE_IKE);
		o->ike_cnt = given->ike;
	} else if (option == O_ESP && given->esp < PEER_PROPOSALS_MAX) {
		struct peer_suite s = parse_suite(arg, MODEL_PHASE_CHILD);
		if (given->esp == 0)
			r->esp_pfs = s;
		s.group = IKE_GROUP_NONE; /* there is no KE payload in IKE_AUTH */
		o->esp[given->esp++] = s;
		o->esp_cnt = given->esp;
	} else if (option == O_TSL) {
		o->tsi_cnt = given->tsi ? o->tsi_cnt : 0;
		given->tsi = true;
		add_ts(o->tsi, &o->tsi_cnt, arg);
	} else if (option == O_TSR) {
		o->tsr_cnt = given->tsr ? o->tsr_cnt : 0;
		given->tsr = true;
		add_ts(o->tsr, &o->tsr_cnt, arg);
	} else if (option == O_INNER && r->inner_cnt < PINGS_MAX) {
		r->inner[r->inner_cnt++] = parse_addr(arg);
	} else if (option == O_PING && r->ping_cnt < PINGS_MAX) {
		r->ping[r->ping_cnt++] = parse_addr(arg);
	} else {
		die("too many of one option");
	}
}

static void take_option(struct run *r, int option, const char *arg)
{
	struct peer_options *o = &r->o;

	switch (option) {
	case O_GATEWAY: o->remote.addr = parse_addr(arg); break;
	case O_LOCAL: o->local.addr = parse_addr(arg); break;
	case O_ID: parse_id(o, arg); break;
	case O_PSK: read_psk(o, arg); break;
	case O_PORT: o->local.port = o->remote.port = (uint16_t)parse_number(arg, 4500); break;
	case O_NAT:
		o->natd = strcmp(arg, "fake") == 0   ? PEER_NATD_FAKE
			  : strcmp(arg, "none") == 0 ? PEER_NATD_NONE
						     : PEER_NATD_TRUE;
		break;
	case O_KE: o->ke_group = (uint16_t)parse_number(arg, UINT16_MAX); break;
	case O_TRANSPORT: o->transport_mode = true; break;
	case O_ESN: o->esn_only = true; break;
	case O_NOAUTH: o->no_auth_payload = true; break;
	case O_CONFIG: o->ask_config = true; break;
	case O_V1: o->edit = to_ikev1; break;
	case O_NOIC: o->initial_contact = false; break;
	case O_COUNT: r->count = parse_number(arg, ARRAY_LEN(r->replied)); break;
	case O_SIZE: r->size = parse_number(arg, 8900); break;
	case O_INTERVAL: r->interval_ms = parse_number(arg, 60000); break;
	case O_DO: r->steps = arg; break;
	case O_EXPECT: r->expect = arg; break;
	case O_TIMEOUT: r->timeout_ms = parse_number(arg, 3600) * 1000; break;
	default: usage();
	}
}

int main(int argc, char **argv)
{
	static struct run r = { .count = 3, .size = 56, .interval_ms = 20, .timeout_ms = 10000, .expect = "up" };
	struct given given = { 0 };
	const char *env = getenv("ONRAMP_PEER_PSK");
	bool has_id = false;
	int c;

	peer_options_init(&r.o);
	r.o.local.port = r.o.remote.port = IKE_PORT;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		has_id |= c == O_ID;
		if (c == O_IKE || c == O_ESP || c == O_TSL || c == O_TSR || c == O_INNER || c == O_PING)
			take_list(&r, &given, c, optarg);
		else
			take_option(&r, c, optarg);
	}
	if (optind != argc || r.o.local.addr.family == ADDR_NONE || r.o.local.addr.family != r.o.remote.addr.family ||
	    !has_id)
		usage();
	if (r.o.id_type == 0) {
		r.o.id_type = r.o.local.addr.family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR;
		r.o.id_len = (uint16_t)addr_len(r.o.local.addr.family);
		memcpy(r.o.id, r.o.local.addr.b, r.o.id_len);
	}
	if (env != NULL && r.o.psk.len == 0 && secret_set(&r.o.psk, bytes_str(env)) != ERR_NONE)
		die("ONRAMP_PEER_PSK is too long");
	if (r.o.psk.len == 0)
		die("no pre-shared key");
	return run_all(&r);
}
