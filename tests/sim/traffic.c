#include "traffic.h"

#include <sys/eventfd.h>

#include "base/clock.h"
#include "esp/burst.h"
#include "fwd/state.h"
#include "history.h"

#define PACKETS_MAX 65536
#define INNER_LEN 28
#define PAUSE_US 400000u
#define CALM_PAUSE_US 60000u

static bool on, calm;
static uint64_t cnt;
static unsigned sent, lost;
static bool is_calm[PACKETS_MAX], has_come[PACKETS_MAX];

void traffic_begin(bool wanted)
{
	on = wanted;
	calm = false;
	cnt = sent = lost = 0;
	memset(is_calm, 0, sizeof(is_calm));
	memset(has_come, 0, sizeof(has_come));
}

void traffic_calm(bool now)
{
	calm = now;
}

void traffic_count(void)
{
	for (uint64_t i = 0; i < cnt; i++) {
		sent += is_calm[i];
		if (is_calm[i] && !has_come[i])
			history_add("packet %llu did not come", (unsigned long long)i);
		lost += is_calm[i] && !has_come[i];
		is_calm[i] = false;
	}
}

unsigned traffic_sent(void)
{
	return sent;
}

unsigned traffic_lost(void)
{
	return lost;
}

/* ---- out ---- */

static void make_inner(struct space room, uint64_t number)
{
	static const uint8_t head[20] = { 0x45, 0, 0, INNER_LEN, 0, 0, 0, 0, 64, 253, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1 };
	struct wr w = wr_of(room);

	wr_put(&w, BYTES_OF(head));
	wr_u64(&w, number);
	must(!w.bad && wr_len(&w) == INNER_LEN);
}

/* The IV stands behind the SPI and the sequence number (RFC 4303 2, RFC 4106 3). */
static void note_iv(const struct process *p, struct bytes packet)
{
	struct rd r = rd_of(packet);
	const uint64_t key[] = { rd_u32(&r), p->kind };

	rd_skip(&r, 4);
	world_note_iv(world_hash(bytes_of((const uint8_t *)key, sizeof(key))), rd_u64(&r), cnt + 1);
}

static void send_packet(struct process *p, struct fwd_child *child)
{
	const struct fwd_outer *outer = fwd_child_outer(child);
	struct world_datagram d = { .from = p->who, .source = outer->path.local, .to = outer->path.remote, .esp = true,
				    .told_rev = world_store_rev(all.ws) };
	uint8_t room[128];
	const size_t front = esp_front_len(fwd_child_out(child));
	struct esp_job j = { .sa = fwd_child_out(child), .buf = SPACE_OF(room), .off = front, .len = INNER_LEN,
			     .next_header = IP_PROTO_IPIP };

	must(cnt < PACKETS_MAX);
	make_inner((struct space){ room + front, INNER_LEN }, cnt);
	esp_seal(&j, 1, 0);
	if (!j.ok)
		return;
	struct wr w = wr_of(SPACE_OF(d.b));
	wr_put(&w, bytes_of(room + j.off, j.len));
	d.len = wr_len(&w);
	note_iv(p, wr_bytes(&w));
	if (calm)
		history_add("%s sends packet %llu on %08x", p->name, (unsigned long long)cnt, fwd_child_spi_in(child));
	is_calm[cnt++] = calm;
	fwd_child_count_out(child, 1, INNER_LEN, 0);
	world_post(&d);
}

static struct fwd_child *sender_of(const struct process *p, unsigned site)
{
	const struct control_tunnel *ct = process_tunnel(p, site);
	const struct fwd_tunnel *t = ct == NULL ? NULL : fwd_tunnel_find(p->fwd, &ct->id);
	uint8_t room[INNER_LEN];
	enum model_drop why;
	struct wire_ip ip;

	make_inner(SPACE_OF(room), 0);
	must(wire_ip_parse(BYTES_OF(room), &ip) == ERR_NONE);
	return t == NULL ? NULL : fwd_tunnel_sender(t, &ip, &why);
}

void traffic_send(struct process *p)
{
	if (!on || p->c == NULL || process_is_frozen(p) || world_now_us() < p->packets_us)
		return;
	p->packets_us = world_now_us() + world_random(calm ? CALM_PAUSE_US : PAUSE_US);
	(void)world_enter(&p->clock);
	unsigned tunnels = p->kind == PROCESS_SITE ? 1 : all.cnt - all.gateways;
	struct fwd_child *child = sender_of(p, 1 + (unsigned)world_random(tunnels));
	if (child != NULL)
		send_packet(p, child);
	(void)world_enter(NULL);
}

/* ---- in ---- */

static void note_arrival(struct process *p, struct fwd_child *child, struct bytes inner, const struct addr_endpoint *remote)
{
	struct rd r = rd_of(inner);
	const struct fwd_notice n = { .kind = FWD_NOTICE_FIRST, .spi_in = fwd_child_spi_in(child), .remote = *remote };

	rd_skip(&r, INNER_LEN - 8);
	uint64_t number = rd_u64(&r);
	must(!r.bad && number < PACKETS_MAX);
	has_come[number] = true;
	fwd_child_count_in(child, 1, inner.len, clock_unix_us());
	if (fwd_child_claim(child, FWD_NOTICE_FIRST, clock_mono_ms()) && !ring_push(&p->rings.notices, &n))
		fwd_child_withdraw(child, FWD_NOTICE_FIRST);
	(void)eventfd_write(p->rings.wake_fd, 1);
}

static void keep_stray(struct process *p, const struct addr_endpoint *remote, uint32_t spi, struct bytes packet)
{
	struct fwd_stray *s = fwd_punt_has_strays(&p->rings) && fwd_punt_is_stray(&p->rings, spi) ? ring_slot(&p->rings.strays) : NULL;

	if (s == NULL) {
		history_add("%s: a packet of %08x is not taken: unknown SPI", p->name, spi);
		return;
	}
	s->remote = *remote;
	s->spi = spi;
	s->worker = 0;
	s->native = false;
	struct wr w = wr_of(SPACE_OF(s->b));
	wr_put(&w, packet);
	s->len = (uint16_t)wr_len(&w);
	ring_give(&p->rings.strays);
	(void)eventfd_write(p->rings.wake_fd, 1);
}

static void open_packet(struct process *p, const struct addr_endpoint *remote, struct bytes packet, bool returned)
{
	struct rd r = rd_of(packet);
	uint32_t spi = rd_u32(&r);
	struct fwd_child *child = fwd_child_find(&p->fwd->readers[0], spi);
	uint8_t room[256];
	struct wr w = wr_of(SPACE_OF(room));

	if (child == NULL) {
		if (!returned)
			keep_stray(p, remote, spi, packet);
		return;
	}
	wr_put(&w, packet);
	must(!w.bad);
	struct esp_job j = { .sa = fwd_child_in(child), .buf = SPACE_OF(room), .len = wr_len(&w) };
	esp_open(&j, 1, 0);
	if (j.ok)
		note_arrival(p, child, bytes_of(room + j.off, j.len), remote);
	else
		history_add("%s: a packet of %08x is not taken", p->name, spi);
}

void traffic_take(struct process *p, const struct world_datagram *d)
{
	(void)world_enter(&p->clock);
	open_packet(p, &d->source, bytes_of(d->b, d->len), false);
	(void)world_enter(NULL);
}

void traffic_returned(struct process *p)
{
	const struct fwd_stray *s;

	while (p->rings.returns.slots != NULL && (s = ring_peek(&p->rings.returns)) != NULL) {
		open_packet(p, &s->remote, bytes_of(s->b, s->len), true);
		ring_done(&p->rings.returns);
	}
}
