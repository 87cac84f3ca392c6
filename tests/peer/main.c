// onramp-peer: the test peer with sockets. Brings a tunnel up, runs the steps that were asked for, checks each,
// prints one line of JSON, and exits with 0 only if all of it held. See usage() for the options.
#include "run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "model/proposal.h"
#include "wire/esp.h"
#include "wire/icmp.h"

_Noreturn void run_die(const char *fmt, ...)
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
		run_die("socket for port %u: %s", port, strerror(errno));
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
	uint8_t room[4 + PACKET_MAX];
	bool natt = r->p.local.port == IKE_NATT_PORT;
	bool marker = natt && (r->fault == NULL || r->fault->way != FAULT_WAY_MARKER);
	struct bytes msg;

	while (peer_next(&list, &msg)) {
		struct wr w = wr_of(SPACE_OF(room));
		if (marker)
			wr_u32(&w, 0);
		size_t at = wr_bytes(&w).len;
		wr_put(&w, msg);
		if (r->fault == NULL || fault_send(r->fault, (struct space){ room + at, msg.len }, list.len == 0))
			send_to(r, natt ? r->udp4500 : r->udp500, r->p.remote.port, wr_bytes(&w));
	}
}

static void send_esp(struct run *r, struct bytes packet)
{
	if (packet.len == 0)
		run_die("an inner packet cannot be sealed");
	if (r->encap)
		send_to(r, r->udp4500, IKE_NATT_PORT, packet);
	else
		send_to(r, r->raw, 0, packet);
}

static void send_inner(struct run *r, struct bytes inner)
{
	struct peer_child *c = peer_child_last(&r->p);
	uint8_t room[PACKET_MAX];

	if (c == NULL)
		return;
	if (r->dummies)
		send_esp(r, bytes_of(room, peer_esp_dummy(c, inner.len, SPACE_OF(room))));
	send_esp(r, bytes_of(room, peer_esp_seal(c, inner, r->tfc, SPACE_OF(room))));
}

/* ---- receiving ---- */

static void take_ike(struct run *r, struct bytes msg)
{
	unsigned which;

	if (r->size_cnt < ARRAY_LEN(r->sizes))
		r->sizes[r->size_cnt++] = (unsigned)msg.len;
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
	run_die("no --inner address for the family of --ping");
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
			run_die("--size is too big");
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
		run_die("step ping needs --ping");
	for (unsigned i = 0; i < r->ping_cnt; i++)
		ok &= ping(r, &r->ping[i]);
	return ok;
}

static bool rekey_child(struct run *r, bool pfs)
{
	const struct peer_child *old = peer_child_last(&r->p);
	uint32_t spi = old == NULL ? 0 : old->spi_in;

	if (old == NULL || (pfs && r->esp_pfs.group == IKE_GROUP_NONE))
		run_die(old == NULL ? "nothing to rekey" : "--esp has no group for rekey-pfs");
	peer_start_child(&r->p, old, pfs ? &r->esp_pfs : NULL);
	if (!exchange(r, 0) || r->p.notify != 0)
		return false;
	peer_start_delete_child(&r->p, peer_child_find(&r->p, spi));
	return exchange(r, 0) && r->p.notify == 0;
}

static bool add_children(struct run *r, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		peer_start_child(&r->p, NULL, NULL);
		if (!exchange(r, 0) || r->p.notify != 0)
			return false;
	}
	return true;
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
	if (strncmp(step, "children:", 9) == 0)
		return add_children(r, (unsigned)atoi(step + 9));
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
		run_die("unknown step \"%s\"", step);
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
	if (r->p.notify == 0 && r->only_init)
		return "half-open";
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
	report(r, ",\"sizes\":[");
	for (unsigned i = 0; i < r->size_cnt; i++)
		report(r, "%s%u", i == 0 ? "" : ",", r->sizes[i]);
	report(r, "]");
	if (!ok)
		fail(r, "the handshake ended with '%s', expected was '%s'", outcome, r->expect);
	if (ok && r->steps != NULL)
		ok = run_steps(r);
	ok = ok && r->error[0] == '\0';
	printf("{\"ok\":%s,%s,\"error\":\"%s\"}\n", ok ? "true" : "false", r->report, r->error);
	peer_fini(&r->p);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct run r;

	run_read_args(&r, argc, argv);
	return run_all(&r);
}
