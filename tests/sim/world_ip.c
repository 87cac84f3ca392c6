#include "world_ip.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cover.h"
#include "history.h"
#include "io/fragment.h"
#include "wire/ip.h"

#define CUTS_MAX 8192              /* a power of two, and the identification tells them apart */
#define CUT_US 60000000u           /* none is on its way for longer */
#define KERNEL_US 30000000u        /* as long as Linux waits for the rest */
#define JUST_US 3000000u           /* nodes remember so long what came to them, and a little more */
#define UNIT 8
#define TEXT_MAX (WORLD_DATAGRAM_MAX + 16)
#define UNITS_MAX ((TEXT_MAX + UNIT - 1) / UNIT)
#define COPIES_MAX 256             /* that wait for a process */
#define WHOLES_MAX 256
#define IP_LEN 20
#define UDP_LEN 8
#define JUNK_LEN 64

/* What one kernel has of a datagram. */
struct queue {
	uint64_t since_us;
	unsigned have;                 /* units */
	bool changed;                  /* a piece is not as it was sent: the checksum will say so */
	bool by_mesh;
	bool here[UNITS_MAX];
};

/* A datagram that was cut. */
struct cut {
	uint32_t number;
	uint64_t at_us;
	struct world_datagram d;
	size_t text_len;               /* of what the pieces carry: behind the IP header */
	unsigned pieces, come, wholes;
	bool excused;                  /* nodes did not agree, or a process has forgotten what it knew of it */
	struct queue at[WORLD_IP_NODES_MAX];
};

struct copy {
	size_t len;
	uint8_t b[WORLD_DATAGRAM_MAX];
};

struct node {
	int fd;
	unsigned first, cnt;
	struct copy copies[COPIES_MAX];
};

struct whole {
	unsigned who;
	uint32_t number;
};

bool world_ip_deaf, world_ip_twice;
static unsigned mtu;               /* of the way to the nodes; 0: nothing is cut */
static struct addr gateway;
static uint32_t numbers;
static unsigned wrong, whole_cnt;
static struct cut *cuts[CUTS_MAX];
static struct node nodes[WORLD_IP_NODES_MAX];
static struct whole wholes[WHOLES_MAX];

void world_ip_begin(void)
{
	mtu = 0;
	world_ip_deaf = world_ip_twice = false;
	numbers = wrong = whole_cnt = 0;
	for (unsigned i = 0; i < CUTS_MAX; i++) {
		free(cuts[i]);
		cuts[i] = NULL;
	}
	for (unsigned i = 0; i < WORLD_IP_NODES_MAX; i++) {
		nodes[i].fd = -1;
		nodes[i].first = nodes[i].cnt = 0;
	}
}

void world_ip_narrow(unsigned to_mtu, const struct addr *to)
{
	mtu = to_mtu;
	gateway = *to;
}

bool world_ip_is_narrow(void)
{
	return mtu != 0;
}

unsigned world_ip_wrong(void)
{
	return wrong;
}

/* ---- pieces ---- */

/* RFC 791 3.1. */
static void put_header(struct wr *w, const struct world_datagram *d, uint32_t number, size_t at, size_t len, bool more)
{
	size_t begin = wr_len(w);

	wr_u16(w, 0x4500);
	wr_u16(w, (uint16_t)(IP_LEN + len));
	wr_u16(w, (uint16_t)number);
	wr_u16(w, (uint16_t)((more ? 0x2000u : 0) | at / UNIT));
	wr_u8(w, 64);
	wr_u8(w, d->native ? IP_PROTO_ESP : IP_PROTO_UDP);
	wr_u16(w, 0);
	wr_put(w, addr_bytes(&d->source.addr));
	wr_put(w, addr_bytes(&d->to.addr));
	uint16_t sum = wire_checksum(bytes_of(wr_bytes(w).p + begin, IP_LEN), 0);
	wr_set_u16(w, begin + 10, (uint16_t)~sum);
}

/* What is behind the IP header: RFC 768, RFC 3948 2.2. */
static struct bytes text_of(const struct world_datagram *d, struct space room)
{
	struct wr w = wr_of(room);
	size_t len = d->len + (d->marker ? 4 : 0);

	if (!d->native) {
		wr_u16(&w, d->source.port);
		wr_u16(&w, d->to.port);
		wr_u16(&w, (uint16_t)(UDP_LEN + len));
		wr_u16(&w, 0);
	}
	if (d->marker)
		wr_u32(&w, 0);
	wr_put(&w, bytes_of(d->b, d->len));
	must(!w.bad);
	return wr_bytes(&w);
}

static struct cut *find(uint32_t id)
{
	struct cut *c = cuts[id % CUTS_MAX];
	return c != NULL && (uint16_t)c->number == (uint16_t)id ? c : NULL;
}

static struct cut *keep(const struct world_datagram *d, size_t text_len)
{
	struct cut **at = &cuts[++numbers % CUTS_MAX];

	must(*at == NULL || (*at)->at_us + CUT_US < world_now_us());
	free(*at);
	*at = calloc(1, sizeof(**at));
	must(*at != NULL);
	(*at)->number = numbers;
	(*at)->at_us = world_now_us();
	(*at)->d = *d;
	(*at)->text_len = text_len;
	return *at;
}

bool world_ip_cut(const struct world_datagram *d, void (*post)(const struct world_datagram *piece))
{
	struct world_datagram piece;
	uint8_t room[TEXT_MAX];

	if (mtu == 0 || !addr_eq(&d->to.addr, &gateway))
		return false;
	const struct bytes text = text_of(d, SPACE_OF(room));
	size_t part = (mtu - IP_LEN) / UNIT * UNIT;
	if (text.len <= mtu - IP_LEN)
		return false;
	struct cut *c = keep(d, text.len);
	cover_add(COVER_cut);
	piece = *d;
	piece.cut = true;
	for (size_t at = 0; at < text.len; at += part, c->pieces++) {
		size_t len = text.len - at < part ? text.len - at : part;
		struct wr w = wr_of(SPACE_OF(piece.b));
		put_header(&w, d, c->number, at, len, at + len < text.len);
		wr_put(&w, bytes_of(text.p + at, len));
		must(!w.bad);
		piece.len = wr_len(&w);
		post(&piece);
	}
	return true;
}

void world_ip_junk(unsigned cnt, void (*post)(const struct world_datagram *piece))
{
	struct world_datagram d = { .to = { gateway, 4500 }, .cut = true };

	for (unsigned i = 0; i < cnt; i++) {
		struct wr w = wr_of(SPACE_OF(d.b));
		d.source.addr = addr_from_v4_u32(0xc0a80000u + (uint32_t)world_random(1u << 16));
		put_header(&w, &d, (uint32_t)world_random(UINT16_MAX), world_random(3) * JUNK_LEN, JUNK_LEN, world_random(4) != 0);
		wr_zero(&w, JUNK_LEN);
		must(!w.bad);
		d.len = wr_len(&w);
		post(&d);
	}
}

/* ---- a kernel ---- */

static bool is_of(const struct cut *c, const struct wire_ip *ip)
{
	return addr_eq(&c->d.source.addr, &ip->src) && addr_eq(&c->d.to.addr, &ip->dst) &&
	       ip->protocol == (c->d.native ? IP_PROTO_ESP : IP_PROTO_UDP);
}

static bool is_as_sent(const struct cut *c, const struct wire_ip *ip)
{
	uint8_t room[TEXT_MAX];
	const struct bytes text = text_of(&c->d, SPACE_OF(room));
	size_t to = ip->fragment_offset + ip->payload.len;

	return to <= text.len && (to < text.len) == ip->more_fragments &&
	       bytes_eq(bytes_of(text.p + ip->fragment_offset, ip->payload.len), ip->payload);
}

/* A datagram comes once, and once more at most for each piece that came again. */
static void finish(struct cut *c, unsigned who)
{
	struct queue *q = &c->at[who];

	if (!q->changed) {
		must(whole_cnt < WHOLES_MAX);
		wholes[whole_cnt++] = (struct whole){ who, c->number };
		c->wholes++;
		if (q->by_mesh)
			cover_add(COVER_gathered);
		if (!c->excused && c->wholes + c->pieces > 1 + c->come) {
			history_add("datagram %u has come %u times, of %u pieces %u", c->number, c->wholes, c->pieces, c->come);
			wrong++;
		}
	}
	*q = (struct queue){ 0 };
}

/* As Linux does it (ip_fragment.c): what is there already is ignored, what overlaps it spoils all. */
static void put(struct cut *c, unsigned who, const struct wire_ip *ip, bool by_mesh)
{
	struct queue *q = &c->at[who];
	size_t from = ip->fragment_offset / UNIT, to = from + (ip->payload.len + UNIT - 1) / UNIT, had = 0;

	if (q->have != 0 && q->since_us + KERNEL_US < world_now_us())
		*q = (struct queue){ 0 };
	if (to > UNITS_MAX)
		return;
	for (size_t i = from; i < to; i++)
		had += q->here[i];
	if (had == to - from)
		return;
	if (had != 0) {
		*q = (struct queue){ 0 };
		return;
	}
	if (q->have == 0)
		q->since_us = world_now_us();
	for (size_t i = from; i < to; i++)
		q->here[i] = true;
	q->have += (unsigned)(to - from);
	q->changed = q->changed || !is_as_sent(c, ip);
	q->by_mesh = q->by_mesh || by_mesh;
	if (q->have == (c->text_len + UNIT - 1) / UNIT)
		finish(c, who);
}

static void take(unsigned who, struct bytes packet, bool by_mesh)
{
	struct wire_ip ip;
	struct wire_ip_fragment part;

	if (wire_ip_parse(packet, &ip) != ERR_NONE || !wire_ip4_checksum_ok(bytes_of(packet.p, ip.header_len)) ||
	    !wire_ip_fragment(packet, &ip, &part))
		return;
	struct cut *c = find(part.id);
	if (c == NULL || !is_of(c, &ip))
		return;
	if (!by_mesh)
		c->come++;
	put(c, who, &ip, by_mesh);
}

static void copy(unsigned who, struct bytes packet)
{
	struct node *n = &nodes[who];

	if (n->fd < 0 || n->cnt == COPIES_MAX || world_ip_deaf)
		return;
	struct copy *slot = &n->copies[(n->first + n->cnt++) % COPIES_MAX];
	struct wr w = wr_of(SPACE_OF(slot->b));
	wr_put(&w, packet);
	must(!w.bad);
	slot->len = packet.len;
}

void world_ip_come(unsigned who, const struct world_datagram *piece)
{
	const struct bytes packet = bytes_of(piece->b, piece->len);

	must(who < WORLD_IP_NODES_MAX);
	take(who, packet, false);
	copy(who, packet);
	unsigned other = (who + 1) % WORLD_IP_NODES_MAX;
	while (other != who && nodes[other].fd < 0)
		other = (other + 1) % WORLD_IP_NODES_MAX;
	if (world_ip_twice)
		take(other, packet, true);
}

bool world_ip_whole(unsigned *ret_who, const struct world_datagram **ret)
{
	if (whole_cnt == 0)
		return false;
	const struct whole w = wholes[--whole_cnt];
	*ret_who = w.who;
	*ret = &find(w.number)->d;
	return true;
}

/* ---- processes ---- */

struct io_fragments world_ip_open(unsigned who)
{
	struct node *n = &nodes[who];

	must(who < WORLD_IP_NODES_MAX && n->fd < 0);
	n->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); /* always readable: whoever runs is asked for what has come */
	must(n->fd >= 0);
	n->first = n->cnt = 0;
	return (struct io_fragments){ .copies4 = n->fd, .copies6 = -1, .way4 = n->fd };
}

static unsigned whose(int fd)
{
	unsigned who = 0;

	while (who < WORLD_IP_NODES_MAX && nodes[who].fd != fd)
		who++;
	must(who < WORLD_IP_NODES_MAX);
	return who;
}

bool world_ip_due(unsigned who)
{
	return who < WORLD_IP_NODES_MAX && nodes[who].cnt != 0;
}

void world_ip_disturb(void (*lost)(uint64_t packet))
{
	for (uint32_t n = numbers; n != 0; n--) {
		struct cut *c = find(n);
		if (c == NULL || c->at_us + JUST_US < world_now_us())
			return;
		c->excused = true;
		if (c->wholes == 0 && c->d.esp)
			lost(c->d.packet);
	}
}

void world_ip_forget(unsigned who)
{
	for (uint32_t n = numbers; n != 0 && who < WORLD_IP_NODES_MAX; n--) {
		struct cut *c = find(n);
		if (c == NULL || c->at_us + CUT_US < world_now_us())
			return;
		c->excused = c->excused || c->at[who].have != 0;
	}
}

/* ---- the system calls ---- */

void io_fragments_close(struct io_fragments *f)
{
	nodes[whose(f->copies4)].fd = -1;
	close(f->copies4);
	*f = IO_FRAGMENTS_NONE;
}

MUST_USE enum err io_fragment_take(int copies, struct space room, size_t *ret_len)
{
	struct node *n = &nodes[whose(copies)];
	struct wr w = wr_of(room);

	if (n->cnt == 0)
		return ERR_AGAIN;
	const struct copy *c = &n->copies[n->first];
	wr_put(&w, bytes_of(c->b, c->len));
	must(!w.bad);
	*ret_len = c->len;
	n->first = (n->first + 1) % COPIES_MAX;
	n->cnt--;
	return ERR_NONE;
}

MUST_USE enum err io_fragment_give(const struct io_fragments *f, const struct addr *to, struct bytes packet)
{
	(void)to;
	if (!world_is_dying())
		take(whose(f->way4), packet, true);
	return ERR_NONE;
}
