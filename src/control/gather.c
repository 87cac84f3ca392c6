// IP fragments of one datagram that came to different nodes are gathered at one of them (RFC 791 3.2; IPv4).
//
// Each node gets a copy of the fragments that come to it. The hash of what makes a datagram one chooses the node; fragments that came elsewhere
// go there through the mesh and are given to its kernel, which puts the datagram together as if all had come there. The kernel
// here has those that came here, too: a datagram that is whole here it has taken already. So a node waits a moment for the
// rest before it sends anything on. All of it is bounded: strangers can send fragments.
#include "control/internal.h"

#include <stdlib.h>
#include <unistd.h>

#include "io/fragment.h"
#include "wire/ip.h"

#define DATAGRAMS_MAX 256
#define PIECES_MAX 1024              /* of all that wait */
#define WAIT_US 10000u
#define FORGET_US 2000000u
#define READ_A_TURN 64
#define SENT_A_SECOND 2000

struct piece {
	struct piece *next;
	size_t len;
	uint8_t b[];
};

struct datagram {
	bool used, sent, whole;          /* sent: what comes now goes at once; whole: it was, here */
	uint64_t key;                    /* the hash of what makes it one */
	uint64_t since_us;
	uint32_t have, total;            /* bytes; total 0: the last fragment has not come */
	struct piece *first;
};

struct control_gather {
	struct datagram datagrams[DATAGRAMS_MAX];
	unsigned used_cnt, piece_cnt;
	uint64_t budget, fill_us;
	uint8_t room[IO_FRAGMENT_MAX];
};

enum err control_gather_start(struct control *c)
{
	if (c->cfg.cluster == NULL || c->cfg.fragment_fd <= 0)
		return ERR_NONE;
	c->gather = calloc(1, sizeof(*c->gather));
	if (c->gather == NULL)
		return ERR_MEMORY;
	c->gather->budget = SENT_A_SECOND;
	c->gather->fill_us = c->now_us;
	return ERR_NONE;
}

int control_gather_fd(const struct control *c)
{
	return c->gather == NULL ? -1 : c->cfg.fragment_fd;
}

static void forget(struct control_gather *g, struct datagram *d)
{
	for (struct piece *p; (p = d->first) != NULL; free(p)) {
		d->first = p->next;
		g->piece_cnt--;
	}
}

static void end(struct control_gather *g, struct datagram *d)
{
	forget(g, d);
	*d = (struct datagram){ 0 };
	g->used_cnt--;
}

void control_gather_free(struct control *c)
{
	for (unsigned i = 0; c->gather != NULL && i < DATAGRAMS_MAX; i++)
		forget(c->gather, &c->gather->datagrams[i]);
	free(c->gather);
	c->gather = NULL;
	if (c->cfg.cluster != NULL && c->cfg.fragment_fd > 0) {
		close(c->cfg.fragment_fd);
		close(c->cfg.fragment_way_fd);
	}
}

/* ---- what a fragment is of ---- */

/* RFC 791 3.2: source, destination, protocol and identification; the same hash at every node. */
static uint64_t key_of(const struct wire_ip *ip, struct bytes packet)
{
	static const struct siphash_key everywhere = { 0 };
	uint8_t b[4 + 4 + 1 + 2];
	struct wr w = wr_of(SPACE_OF(b));
	struct rd r = rd_of(packet);

	rd_skip(&r, 4);
	wr_put(&w, addr_bytes(&ip->src));
	wr_put(&w, addr_bytes(&ip->dst));
	wr_u8(&w, ip->protocol);
	wr_u16(&w, rd_u16(&r));
	must(!w.bad && !r.bad);
	return siphash(&everywhere, BYTES_OF(b));
}

static bool is_ours(const struct control *c, const struct addr *a)
{
	for (unsigned i = 0; i < c->cfg.socket_cnt; i++)
		if (addr_eq(&c->cfg.sockets[i].local.addr, a))
			return true;
	return false;
}

/* A fragment of a datagram to an address of the gateway. */
static bool read_fragment(const struct control *c, struct bytes packet, struct wire_ip *ret)
{
	return wire_ip_parse(packet, ret) == ERR_NONE && ret->version == 4 && (ret->more_fragments || ret->fragment_offset != 0) &&
	       is_ours(c, &ret->dst);
}

/* ---- copies of what came here ---- */

static bool allowed(struct control *c)
{
	struct control_gather *g = c->gather;
	uint64_t more = (c->now_us - g->fill_us) * SENT_A_SECOND / 1000000;

	if (more != 0) {
		g->budget = g->budget + more < SENT_A_SECOND ? g->budget + more : SENT_A_SECOND;
		g->fill_us = c->now_us;
	}
	if (g->budget == 0)
		return false;
	g->budget--;
	return true;
}

static void send_on(struct control *c, uint64_t key, struct bytes packet)
{
	if (!allowed(c)) {
		control_drop(c, MODEL_DROP_ip_fragment);
		return;
	}
	control_count(c, MODEL_COUNTER_ip_fragments_sent_on);
	control_mesh_fragment(c, cluster_chosen(&c->members, key), packet);
}

static struct datagram *find(struct control_gather *g, uint64_t key)
{
	for (unsigned i = 0; i < DATAGRAMS_MAX; i++)
		if (g->datagrams[i].used && g->datagrams[i].key == key)
			return &g->datagrams[i];
	return NULL;
}

/* NULL: there are too many. */
static struct datagram *begin(struct control *c, uint64_t key)
{
	struct control_gather *g = c->gather;

	for (unsigned i = 0; i < DATAGRAMS_MAX; i++) {
		struct datagram *d = &g->datagrams[i];
		if (d->used)
			continue;
		*d = (struct datagram){ .used = true, .key = key, .since_us = c->now_us };
		g->used_cnt++;
		return d;
	}
	return NULL;
}

/* False: no room. */
static bool keep(struct control_gather *g, struct datagram *d, const struct wire_ip *ip, struct bytes packet)
{
	struct piece *p = g->piece_cnt == PIECES_MAX ? NULL : malloc(sizeof(*p) + packet.len);

	if (p == NULL)
		return false;
	p->len = packet.len;
	memcpy(p->b, packet.p, packet.len);
	p->next = d->first;
	d->first = p;
	g->piece_cnt++;
	d->have += (uint32_t)ip->payload.len;
	if (!ip->more_fragments)
		d->total = (uint32_t)(ip->fragment_offset + ip->payload.len);
	d->whole = d->total != 0 && d->have >= d->total;
	if (d->whole)
		forget(g, d);
	return true;
}

static void take_copy(struct control *c, struct bytes packet)
{
	struct wire_ip ip;

	if (!read_fragment(c, packet, &ip))
		return;
	const struct bytes exact = bytes_of(packet.p, ip.total_len);
	uint64_t key = key_of(&ip, exact);
	uint16_t slot = cluster_chosen(&c->members, key);
	if (slot == c->members.self || !cluster_alive(&c->members, slot))
		return; /* the kernel here is the one */
	struct datagram *d = find(c->gather, key);
	if (d == NULL)
		d = begin(c, key);
	if (d != NULL && d->sent)
		send_on(c, key, exact);
	else if (d == NULL || (!d->whole && !keep(c->gather, d, &ip, exact)))
		control_drop(c, MODEL_DROP_ip_fragment);
}

void control_gather_receive(struct control *c)
{
	size_t len;

	for (unsigned i = 0; i < READ_A_TURN; i++) {
		if (io_fragment_take(c->cfg.fragment_fd, SPACE_OF(c->gather->room), &len) != ERR_NONE)
			return;
		take_copy(c, bytes_of(c->gather->room, len));
	}
}

/* ---- the rest ---- */

void control_gather_take(struct control *c, struct bytes packet)
{
	struct wire_ip ip;

	if (c->gather == NULL || !read_fragment(c, packet, &ip) ||
	    io_fragment_give(c->cfg.fragment_way_fd, &ip.dst, bytes_of(packet.p, ip.total_len)) != ERR_NONE)
		control_drop(c, MODEL_DROP_ip_fragment);
}

void control_gather_timers(struct control *c)
{
	struct control_gather *g = c->gather;

	for (unsigned i = 0; g != NULL && g->used_cnt != 0 && i < DATAGRAMS_MAX; i++) {
		struct datagram *d = &g->datagrams[i];
		if (!d->used || c->now_us < d->since_us + WAIT_US)
			continue;
		for (const struct piece *p = d->first; p != NULL; p = p->next)
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

	for (unsigned i = 0; g != NULL && g->piece_cnt != 0 && i < DATAGRAMS_MAX; i++) {
		const struct datagram *d = &g->datagrams[i];
		if (d->used && d->first != NULL && d->since_us + WAIT_US < at)
			at = d->since_us + WAIT_US;
	}
	return at;
}
