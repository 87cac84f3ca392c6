// The networks: between sites and gateways, and between the nodes.
#include "world.h"

#include <stdlib.h>

#include "cover.h"
#include "history.h"
#include "io/udp.h"
#include "world_ip.h"
#include "world_nat.h"

#define SOCKETS 2             /* of a process */
#define SOCKET_FIRST 100000   /* above all real descriptors */
#define DATAGRAMS_MAX 4096
#define JUNK_US 5000u
#define IV_SLOTS (1u << 18)
#define PAYLOAD_SK 46         /* RFC 7296 3.14 */
#define PAYLOAD_SKF 53        /* RFC 7383 2.5 */
#define EXCHANGE_SA_INIT 34

struct seen_iv {
	uint64_t key, iv, message; /* all zero: free */
};

struct mesh_node {
	int fd;
	struct addr_endpoint at;
};

/* Between nodes: shorter, and to a process. */
struct mesh_datagram {
	uint64_t due_us;
	unsigned to;
	size_t len;
	uint8_t b[WORLD_DATAGRAM_MAX];
};

const struct world_store *world_told;
bool world_mesh_cut[WORLD_PROCESSES_MAX][WORLD_PROCESSES_MAX];
static unsigned repeated, datagram_cnt, mesh_cnt, iv_cnt;
static struct world_datagram datagrams[DATAGRAMS_MAX];
static struct mesh_datagram mesh[DATAGRAMS_MAX];
static struct seen_iv ivs[IV_SLOTS];
static struct addr_endpoint sockets[WORLD_PROCESSES_MAX][SOCKETS];
static struct mesh_node nodes[WORLD_PROCESSES_MAX];
static unsigned inits[WORLD_PROCESSES_MAX];

void world_net_begin(void)
{
	world_told = NULL;
	world_nat_begin();
	world_ip_begin();
	repeated = datagram_cnt = mesh_cnt = iv_cnt = 0;
	memset(ivs, 0, sizeof(ivs));
	memset(inits, 0, sizeof(inits));
	memset(world_mesh_cut, 0, sizeof(world_mesh_cut));
	for (unsigned i = 0; i < WORLD_PROCESSES_MAX; i++)
		nodes[i].fd = -1;
}

int world_net_socket(unsigned who, unsigned socket, const struct addr_endpoint *local)
{
	sockets[who][socket] = *local;
	return (int)(SOCKET_FIRST + who * SOCKETS + socket);
}

void world_net_mesh(unsigned who, int fd, const struct addr_endpoint *at)
{
	nodes[who] = (struct mesh_node){ fd, *at };
}

/* ---- what must not be seen twice ---- */

unsigned world_repeated_ivs(void)
{
	return repeated;
}

unsigned world_inits(unsigned who)
{
	return inits[who];
}

bool world_note_once(uint64_t key, uint64_t value, uint64_t message)
{
	const uint64_t both[] = { key, value };
	uint64_t at = world_hash(bytes_of((const uint8_t *)both, sizeof(both))) % IV_SLOTS;

	for (; ivs[at].message != 0; at = (at + 1) % IV_SLOTS)
		if (ivs[at].key == key && ivs[at].iv == value)
			return ivs[at].message == message;
	must(++iv_cnt < IV_SLOTS / 2);
	ivs[at] = (struct seen_iv){ key, value, message };
	return true;
}

void world_note_iv(uint64_t key, uint64_t iv, uint64_t message)
{
	if (world_note_once(key, iv, message))
		return;
	history_add("IV %016llx is used again", (unsigned long long)iv);
	repeated++;
}

/* The same message may be sent again (RFC 7296 2.1), another one under the same IV may not (RFC 5282 4). */
static void check_iv(unsigned from, struct bytes msg)
{
	uint8_t who[17];
	struct wr w = wr_of(SPACE_OF(who));
	bool fragment = msg.len > 16 && msg.p[16] == PAYLOAD_SKF;
	size_t at = 28 + (fragment ? 8 : 4);

	if (msg.len < at + 8)
		return;
	inits[from] += msg.p[18] == EXCHANGE_SA_INIT && (msg.p[19] & 0x28) == 0x08; /* of the initiator, a request */
	if (msg.p[16] != PAYLOAD_SK && !fragment)
		return;
	wr_put(&w, bytes_of(msg.p, 16));
	wr_u8(&w, msg.p[19] & 0x08);
	struct rd r = rd_of(bytes_of(msg.p + at, 8));
	world_note_iv(world_hash(BYTES_OF(who)), rd_u64(&r), world_hash(msg));
}

/* ---- between sites and gateways ---- */

static void queue(const struct world_datagram *d)
{
	must(datagram_cnt < DATAGRAMS_MAX);
	datagrams[datagram_cnt] = *d;
	datagrams[datagram_cnt++].due_us = world_now_us() + 1 + world_random(world_faults.net_us);
}

/* A stranger has listened. */
static void replay(const struct world_datagram *d)
{
	struct world_datagram *again = &datagrams[datagram_cnt];

	queue(d);
	cover_add(COVER_copied);
	again->due_us += world_random(20000000);
	if (world_random(2) == 0)
		again->source.addr.b[3] ^= 0xff;
	if (world_random(2) == 0)
		again->b[world_random(d->len)] ^= (uint8_t)(1u << world_random(8));
}

static void pass(const struct world_datagram *d)
{
	if (!world_befalls(world_faults.loss))
		queue(d);
	if (world_befalls(world_faults.repeat))
		queue(d);
	if (world_befalls(world_faults.replay))
		replay(d);
}

void world_post(const struct world_datagram *d)
{
	if (!world_ip_cut(d, pass))
		pass(d);
}

static void queue_soon(const struct world_datagram *d)
{
	queue(d);
	datagrams[datagram_cnt - 1].due_us = world_now_us() + 1 + world_random(JUNK_US);
}

void world_post_junk(unsigned cnt)
{
	unsigned room = datagram_cnt < DATAGRAMS_MAX / 2 ? DATAGRAMS_MAX / 2 - datagram_cnt : 0;

	world_ip_junk(cnt < room ? cnt : room, queue_soon);
}

bool world_take(struct world_datagram *ret)
{
	for (unsigned i = 0; i < datagram_cnt; i++) {
		if (datagrams[i].due_us > world_now_us())
			continue;
		*ret = datagrams[i];
		datagrams[i] = datagrams[--datagram_cnt];
		return true;
	}
	return false;
}

/* ---- between nodes ---- */

static void queue_mesh(unsigned to, struct bytes msg)
{
	struct mesh_datagram *d = &mesh[mesh_cnt];
	struct wr w = wr_of(SPACE_OF(d->b));

	must(mesh_cnt < DATAGRAMS_MAX);
	wr_put(&w, msg);
	must(!w.bad);
	d->to = to;
	d->len = msg.len;
	d->due_us = world_now_us() + 1 + world_random(world_faults.mesh_us);
	mesh_cnt++;
}

static void send_mesh(int fd, const struct addr_endpoint *at, struct bytes msg)
{
	unsigned from = 0, to = 0;

	while (from < WORLD_PROCESSES_MAX && nodes[from].fd != fd)
		from++;
	while (to < WORLD_PROCESSES_MAX && (nodes[to].fd < 0 || !addr_endpoint_eq(&nodes[to].at, at)))
		to++;
	must(from < WORLD_PROCESSES_MAX);
	history_mix(from * 100 + to, msg.len);
	if (to == WORLD_PROCESSES_MAX || world_mesh_cut[from][to])
		return;
	if (!world_befalls(world_faults.mesh_loss))
		queue_mesh(to, msg);
	if (world_befalls(world_faults.mesh_repeat))
		queue_mesh(to, msg);
}

static unsigned find_mesh(unsigned who)
{
	unsigned i = 0;

	while (i < mesh_cnt && (mesh[i].to != who || mesh[i].due_us > world_now_us()))
		i++;
	return i;
}

bool world_mesh_due(unsigned who)
{
	return nodes[who].fd >= 0 && find_mesh(who) < mesh_cnt;
}

/* ---- the system calls ---- */

MUST_USE enum err io_udp_send(int fd, const struct addr_endpoint *to, bool marker, struct bytes msg)
{
	struct world_datagram d = { .to = *to, .marker = marker, .len = msg.len,
				    .told_rev = world_told == NULL ? 0 : world_store_rev(world_told) };
	struct wr w = wr_of(SPACE_OF(d.b));

	if (world_is_dying())
		return ERR_NONE;
	if (fd < SOCKET_FIRST) {
		send_mesh(fd, to, msg);
		return ERR_NONE;
	}
	unsigned socket = (unsigned)(fd - SOCKET_FIRST);
	d.from = socket / SOCKETS;
	d.source = world_nat_out(d.from, &sockets[d.from][socket % SOCKETS]);
	wr_put(&w, msg);
	must(!w.bad);
	check_iv(d.from, msg);
	world_post(&d);
	return ERR_NONE;
}

MUST_USE enum err io_udp_recv(int fd, struct space room, size_t *ret_len)
{
	unsigned who = 0;

	while (who < WORLD_PROCESSES_MAX && nodes[who].fd != fd)
		who++;
	unsigned i = who == WORLD_PROCESSES_MAX ? mesh_cnt : find_mesh(who);
	if (i == mesh_cnt)
		return ERR_AGAIN;
	struct wr w = wr_of(room);
	wr_put(&w, bytes_of(mesh[i].b, mesh[i].len));
	must(!w.bad);
	*ret_len = mesh[i].len;
	mesh[i] = mesh[--mesh_cnt];
	return ERR_NONE;
}
