// IP fragments of one datagram that came to different nodes are gathered at one of them (RFC 791 3.2, RFC 8200 4.5).
//
// Each node gets a copy of the fragments that come to it. The hash of what makes a datagram one chooses the node; fragments that came elsewhere
// go there through the mesh and are given to its kernel, which puts the datagram together as if all had come there. The kernel
// here has those that came here, too: a datagram that is whole here it has taken already. So a node waits a moment for the
// rest before it sends anything on, and the last one of a datagram that came here alone goes nowhere, however late it is.
// All of it is bounded: strangers can send fragments. That fragments which overlap are no datagram (RFC 5722)
// is the kernel's to see, which has them all; one that is all of its datagram (RFC 6946) is no business of ours.
#include "control/gather.h"

#include <stdlib.h>

#include "wire/ip.h"

#define FORGET_US 2000000u
#define READ_A_TURN 64
#define SENT_A_SECOND 2000

static bool is_open(const struct control *c)
{
	return c->cfg.cluster != NULL && c->cfg.fragments.copies4 > 0;
}

enum err control_gather_start(struct control *c)
{
	if (!is_open(c))
		return ERR_NONE;
	c->gather = calloc(1, sizeof(*c->gather));
	if (c->gather == NULL)
		return ERR_MEMORY;
	c->gather->budget = (struct control_budget){ SENT_A_SECOND, c->now_us };
	return ERR_NONE;
}

int control_gather_fd(const struct control *c, bool v6)
{
	return c->gather == NULL ? -1 : v6 ? c->cfg.fragments.copies6 : c->cfg.fragments.copies4;
}

static void forget(struct control_gather *g, struct control_datagram_parts *d)
{
	for (struct control_piece *p; (p = d->first) != NULL; free(p)) {
		d->first = p->next;
		g->piece_cnt--;
	}
}

static void end(struct control_gather *g, struct control_datagram_parts *d)
{
	forget(g, d);
	*d = (struct control_datagram_parts){ 0 };
	g->used_cnt--;
}

void control_gather_free(struct control *c)
{
	for (unsigned i = 0; c->gather != NULL && i < CONTROL_GATHER_DATAGRAMS_MAX; i++)
		forget(c->gather, &c->gather->datagrams[i]);
	free(c->gather);
	c->gather = NULL;
	if (is_open(c))
		io_fragments_close(&c->cfg.fragments);
}

/* ---- what a fragment is of ---- */

/* RFC 791 3.2: source, destination, protocol and identification; RFC 8200 4.5: without the protocol, which only the first fragment
 * has. The same hash at every node. */
static uint64_t key_of(const struct wire_ip *ip, const struct wire_ip_fragment *f)
{
	static const struct siphash_key everywhere = { 0 };
	uint8_t b[16 + 16 + 4];
	struct wr w = wr_of(SPACE_OF(b));

	wr_put(&w, addr_bytes(&ip->src));
	wr_put(&w, addr_bytes(&ip->dst));
	if (ip->version == 4) {
		wr_u8(&w, ip->protocol);
		wr_u16(&w, (uint16_t)f->id);
	} else {
		wr_u32(&w, f->id);
	}
	must(!w.bad);
	return siphash(&everywhere, wr_bytes(&w));
}

static bool is_ours(const struct control *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->cfg.socket_cnt; i++)
		if (addr_eq(&c->cfg.sockets[i].local.addr, a))
			return true;
	return false;
}

/* A fragment of a datagram to an address of the gateway. */
static bool read_fragment(const struct control *c, struct bytes packet, struct wire_ip *ret, struct wire_ip_fragment *ret_part)
{
	return wire_ip_parse(packet, ret) == ERR_NONE && wire_ip_fragment(packet, ret, ret_part) && is_ours(c, &ret->dst);
}

/* ---- copies of what came here ---- */

static void send_on(struct control *c, uint64_t key, struct bytes packet)
{
	uint16_t slot = cluster_chosen(&c->members, key);

	if (slot == c->members.self) /* since a moment: the kernel here has it */
		return;
	if (!control_budget_take(&c->gather->budget, c->now_us, SENT_A_SECOND, SENT_A_SECOND)) {
		control_drop(c, MODEL_DROP_ip_fragment);
		return;
	}
	control_count(c, MODEL_COUNTER_ip_fragments_sent_on);
	control_mesh_fragment(c, slot, packet);
}

static struct control_datagram_parts *find(struct control_gather *g, uint64_t key)
{
	for (unsigned i = 0; i < CONTROL_GATHER_DATAGRAMS_MAX; i++)
		if (g->datagrams[i].used && g->datagrams[i].key == key)
			return &g->datagrams[i];
	return NULL;
}

/* A place, or that of the oldest of which nothing waits: of a datagram that was whole or sent on there is little more to come. NULL:
 * something waits of each. */
static struct control_datagram_parts *find_place(struct control_gather *g)
{
	struct control_datagram_parts *oldest = NULL;

	for (unsigned i = 0; i < CONTROL_GATHER_DATAGRAMS_MAX; i++) {
		struct control_datagram_parts *d = &g->datagrams[i];
		if (!d->used)
			return d;
		if (d->first == NULL && (oldest == NULL || d->since_us < oldest->since_us))
			oldest = d;
	}
	if (oldest != NULL)
		end(g, oldest);
	return oldest;
}

static struct control_datagram_parts *begin(struct control *c, uint64_t key)
{
	struct control_datagram_parts *d = find_place(c->gather);

	if (d == NULL)
		return NULL;
	*d = (struct control_datagram_parts){ .used = true, .key = key, .since_us = c->now_us };
	c->gather->used_cnt++;
	return d;
}

/* False: no room. */
static bool keep(struct control_gather *g, struct control_datagram_parts *d, struct bytes packet)
{
	struct control_piece *p = g->piece_cnt == CONTROL_GATHER_PIECES_MAX ? NULL : malloc(sizeof(*p) + packet.len);

	if (p == NULL)
		return false;
	p->len = packet.len;
	memcpy(p->b, packet.p, packet.len);
	p->next = d->first;
	d->first = p;
	g->piece_cnt++;
	return true;
}

/* One that comes again adds nothing. */
static void note(struct control_datagram_parts *d, const struct wire_ip *ip, uint32_t len)
{
	uint32_t from = ip->fragment_offset / CONTROL_GATHER_UNIT;
	uint32_t end = ip->more_fragments ? from + len / CONTROL_GATHER_UNIT
					  : from + (len + CONTROL_GATHER_UNIT - 1) / CONTROL_GATHER_UNIT;

	for (uint32_t i = from; i < end && i / 8 < sizeof(d->here); i++) {
		d->have += (d->here[i / 8] >> i % 8 & 1) == 0;
		d->here[i / 8] = (uint8_t)(d->here[i / 8] | 1u << i % 8);
	}
	if (!ip->more_fragments)
		d->total = end;
	d->whole = d->total != 0 && d->have >= d->total;
}

static void take_copy(struct control *c, struct bytes packet)
{
	struct wire_ip_fragment part;
	struct wire_ip ip;

	if (!read_fragment(c, packet, &ip, &part))
		return;
	const struct bytes exact = bytes_of(packet.p, ip.total_len);
	uint64_t key = key_of(&ip, &part);
	uint16_t slot = cluster_chosen(&c->members, key);
	if (slot == c->members.self || !cluster_alive(&c->members, slot))
		return; /* the kernel here is the one */
	struct control_datagram_parts *d = find(c->gather, key);
	if (d == NULL)
		d = begin(c, key);
	if (d == NULL) {
		control_drop(c, MODEL_DROP_ip_fragment);
		return;
	}
	note(d, &ip, part.len);
	if (d->whole)
		forget(c->gather, d);
	else if (d->sent)
		send_on(c, key, exact);
	else if (!keep(c->gather, d, exact))
		control_drop(c, MODEL_DROP_ip_fragment);
}

void control_gather_receive(struct control *c, bool v6)
{
	size_t len;

	for (unsigned i = 0; i < READ_A_TURN; i++) {
		if (io_fragment_take(control_gather_fd(c, v6), SPACE_OF(c->gather->room), &len) != ERR_NONE)
			return;
		take_copy(c, bytes_of(c->gather->room, len));
	}
}

/* ---- the rest ---- */

void control_gather_take(struct control *c, struct bytes packet)
{
	struct wire_ip_fragment part;
	struct wire_ip ip;

	if (c->gather == NULL || !read_fragment(c, packet, &ip, &part) ||
	    io_fragment_give(&c->cfg.fragments, &ip.dst, bytes_of(packet.p, ip.total_len)) != ERR_NONE)
		control_drop(c, MODEL_DROP_ip_fragment);
}

void control_gather_timers(struct control *c)
{
	struct control_gather *g = c->gather;

	for (unsigned i = 0; g != NULL && g->used_cnt != 0 && i < CONTROL_GATHER_DATAGRAMS_MAX; i++) {
		struct control_datagram_parts *d = &g->datagrams[i];
		if (!d->used || c->now_us < d->since_us + CONTROL_GATHER_WAIT_US)
			continue;
		for (const struct control_piece *p = d->first; p != NULL; p = p->next)
			send_on(c, d->key, bytes_of(p->b, p->len));
		d->sent = d->sent || !d->whole;
		forget(g, d);
		if (c->now_us >= d->since_us + FORGET_US)
			end(g, d);
	}
}

uint64_t control_gather_next_us(const struct control *c)
{
	const struct control_gather *g = c->gather;
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; g != NULL && g->piece_cnt != 0 && i < CONTROL_GATHER_DATAGRAMS_MAX; i++) {
		const struct control_datagram_parts *d = &g->datagrams[i];
		if (d->used && d->first != NULL && d->since_us + CONTROL_GATHER_WAIT_US < at)
			at = d->since_us + CONTROL_GATHER_WAIT_US;
	}
	return at;
}
