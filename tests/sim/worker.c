#include "worker.h"

#include <sys/eventfd.h>

#include "base/clock.h"
#include "cover.h"
#include "esp/burst.h"
#include "esp/state.h"
#include "fwd/state.h"
#include "history.h"
#include "keys.h"
#include "traffic.h"
#include "world_nat.h"

#define INNER_LEN 28
#define STRIDE 60000u /* numbers: a packet of a sequenced SA stands for so many, so that blocks come to their end */

const struct process *worker_lawless;

static struct fwd_reader *reader_of(const struct process *p)
{
	return &p->fwd->readers[0];
}

static void make_inner(struct space room, uint64_t packet)
{
	static const uint8_t head[20] = { 0x45, 0, 0, INNER_LEN, 0, 0, 0, 0, 64, 253, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1 };
	struct wr w = wr_of(room);

	wr_put(&w, BYTES_OF(head));
	wr_u64(&w, packet);
	must(!w.bad && wr_len(&w) == INNER_LEN);
}

static uint64_t packet_of(struct bytes inner)
{
	struct rd r = rd_of(inner);

	rd_skip(&r, INNER_LEN - 8);
	uint64_t packet = rd_u64(&r);
	must(!r.bad);
	return packet;
}

/* ---- notices ---- */

static void tell(struct process *p, struct fwd_child *child, enum fwd_notice_kind kind, const struct addr_endpoint *remote)
{
	struct fwd_notice n = { .kind = (uint8_t)kind, .spi_in = fwd_child_spi_in(child) };

	if (!fwd_child_claim(child, kind, clock_mono_ms()))
		return;
	if (remote != NULL)
		n.remote = *remote;
	if (!ring_push(&p->rings.notices, &n))
		fwd_child_withdraw(child, kind);
	(void)eventfd_write(p->rings.wake_fd, 1);
}

/* ---- out ---- */

struct fwd_child *worker_sender(const struct process *p, unsigned site)
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

/* The IV stands behind the SPI and the sequence number (RFC 4303 2, RFC 4106 3). */
static void note_iv(const struct process *p, struct bytes sealed, uint64_t packet)
{
	struct rd r = rd_of(sealed);
	const uint64_t key[] = { rd_u32(&r), p->kind };

	rd_skip(&r, 4);
	world_note_iv(world_hash(bytes_of((const uint8_t *)key, sizeof(key))), rd_u64(&r), packet + 1);
}

/* As if others had gone before it. Where numbers are extended the peer's window is open, and does not like what they leave out. */
static void pass_numbers(struct fwd_child *child)
{
	struct esp_sa *out = fwd_child_out(child);
	uint64_t at = atomic_load(&out->counter->seq), last = atomic_load(&out->last);

	if (!out->esn && at + STRIDE < last)
		atomic_store(&out->counter->seq, at + STRIDE);
}

static void seal(struct process *p, struct fwd_child *child, uint64_t packet)
{
	const struct fwd_outer *outer = fwd_child_outer(child);
	struct world_datagram d = { .from = p->who, .source = world_nat_out(p->who, &outer->path.local), .to = outer->path.remote,
				    .esp = true, .native = !outer->path.udp_encap, .packet = packet,
				    .told_rev = world_store_rev(all.ws) };
	uint8_t room[128];
	const size_t front = esp_front_len(fwd_child_out(child));
	struct esp_job j = { .sa = fwd_child_out(child), .buf = SPACE_OF(room), .off = front, .len = INNER_LEN,
			     .next_header = IP_PROTO_IPIP };

	make_inner((struct space){ room + front, INNER_LEN }, packet);
	if (fwd_child_is_sequenced(child))
		pass_numbers(child);
	esp_seal(&j, 1, 0);
	if (!j.ok) {
		traffic_dropped(p, packet, j.drop);
		return;
	}
	struct wr w = wr_of(SPACE_OF(d.b));
	wr_put(&w, bytes_of(room + j.off, j.len));
	d.len = wr_len(&w);
	note_iv(p, wr_bytes(&w), packet);
	keys_sealed(p, child, atomic_load(&fwd_child_out(child)->counter->seq), packet);
	if (fwd_child_is_sequenced(child) && fwd_child_wants_numbers(child))
		tell(p, child, FWD_NOTICE_NUMBERS, NULL);
	traffic_sealed(p, child, packet);
	fwd_child_count_out(child, 1, INNER_LEN, 0);
	world_post(&d);
}

static void hand_over(struct process *p, const struct fwd_child *child, uint64_t packet)
{
	struct fwd_inner *slot = p->rings.inners.slots == NULL ? NULL : ring_slot(&p->rings.inners);

	if (slot == NULL) {
		traffic_dropped(p, packet, MODEL_DROP_seq_full);
		return;
	}
	slot->spi_in = fwd_child_spi_in(child);
	slot->len = INNER_LEN;
	make_inner((struct space){ slot->b, INNER_LEN }, packet);
	ring_give(&p->rings.inners);
	(void)eventfd_write(p->rings.wake_fd, 1);
	p->poked = true;
	traffic_handed_over(packet);
	cover_add(COVER_inner);
}

static bool may_number(const struct process *p, struct fwd_child *child, bool given)
{
	if (!fwd_child_is_sequenced(child) || fwd_child_is_numbered(reader_of(p), child, clock_mono_ms(), given))
		return true;
	if (worker_lawless == p)
		esp_sa_allot(fwd_child_out(child), 0, UINT32_MAX);
	return worker_lawless == p;
}

void worker_send(struct process *p, struct fwd_child *child, uint64_t packet)
{
	if (may_number(p, child, false))
		seal(p, child, packet);
	else
		hand_over(p, child, packet);
}

static void seal_given(struct process *p)
{
	const struct fwd_inner *in;

	while (p->rings.seals.slots != NULL && (in = ring_peek(&p->rings.seals)) != NULL) {
		struct fwd_child *child = fwd_child_find(reader_of(p), in->spi_in);
		uint64_t packet = packet_of(bytes_of(in->b, in->len));
		ring_done(&p->rings.seals);
		if (child != NULL && may_number(p, child, true))
			seal(p, child, packet);
		else
			traffic_dropped(p, packet, child == NULL ? MODEL_DROP_tunnel_down : MODEL_DROP_seq_moved);
		p->poked = true;
	}
}

/* ---- in ---- */

/* As in worker/inbound.c: the packet proves that the peer has the SA, and says where it may be. */
static void take_inner(struct process *p, struct fwd_child *child, struct bytes inner, const struct addr_endpoint *remote, bool native)
{
	const struct model_path *path = &fwd_child_outer(child)->path;
	bool ports_differ = !native && path->udp_encap && path->remote.port != remote->port;

	traffic_came(p, packet_of(inner));
	keys_opened(p, child);
	fwd_child_count_in(child, 1, inner.len, clock_unix_us());
	tell(p, child, FWD_NOTICE_FIRST, NULL);
	if (ports_differ || !addr_eq(&path->remote.addr, &remote->addr))
		tell(p, child, FWD_NOTICE_ADDRESS, &(struct addr_endpoint){ remote->addr, native ? 0 : remote->port });
}

static void keep_stray(struct process *p, const struct addr_endpoint *remote, bool native, uint32_t spi, struct bytes packet)
{
	struct fwd_stray *s = fwd_punt_has_strays(&p->rings) && fwd_punt_is_stray(&p->rings, spi) ? ring_slot(&p->rings.strays) : NULL;

	if (s == NULL) {
		history_add("%s: a packet of %08x is not taken: unknown SPI", p->name, spi);
		return;
	}
	s->remote = *remote;
	s->spi = spi;
	s->worker = 0;
	s->native = native;
	struct wr w = wr_of(SPACE_OF(s->b));
	wr_put(&w, packet);
	s->len = (uint16_t)wr_len(&w);
	ring_give(&p->rings.strays);
	(void)eventfd_write(p->rings.wake_fd, 1);
}

/* number: which packet it was that was sent. */
static void open_packet(struct process *p, const struct addr_endpoint *remote, bool native, struct bytes packet, const uint64_t *number)
{
	struct rd r = rd_of(packet);
	uint32_t spi = rd_u32(&r);
	struct fwd_child *child = fwd_child_find(reader_of(p), spi);
	uint8_t room[256];
	struct wr w = wr_of(SPACE_OF(room));

	if (child == NULL) {
		if (number != NULL)
			keep_stray(p, remote, native, spi, packet);
		return;
	}
	wr_put(&w, packet);
	must(!w.bad);
	struct esp_job j = { .sa = fwd_child_in(child), .buf = SPACE_OF(room), .len = wr_len(&w) };
	esp_open(&j, 1, 0);
	if (j.ok)
		take_inner(p, child, bytes_of(room + j.off, j.len), remote, native);
	else if (j.drop == MODEL_DROP_esp_replay && number != NULL)
		traffic_overtaken(p, *number);
	else
		history_add("%s: a packet of %08x is not taken: %s", p->name, spi, model_drop_name(j.drop));
}

void worker_take(struct process *p, const struct world_datagram *d)
{
	(void)world_enter(&p->clock);
	open_packet(p, &d->source, d->native, bytes_of(d->b, d->len), &d->packet);
	(void)world_enter(NULL);
}

void worker_turn(struct process *p)
{
	const struct fwd_stray *s;

	while (p->rings.returns.slots != NULL && (s = ring_peek(&p->rings.returns)) != NULL) {
		cover_add(COVER_returned);
		open_packet(p, &s->remote, s->native, bytes_of(s->b, s->len), NULL);
		ring_done(&p->rings.returns);
	}
	seal_given(p);
}
