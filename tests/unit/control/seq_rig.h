// Three nodes and the numbers of one Child SA: a store of one key and a mesh between them, instead of control's own. The test says when
// what is asked is answered, and when what is said arrives.
#pragma once

#include "control/seq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypt/suite.h"
#include "esp/burst.h"
#include "fwd/state.h"

enum { NODES = 3, ASKED_MAX = 64, MAIL_MAX = 65536, BLOCK = 1 << 18 };
#define SPI 0x1234u
#define FIRST_US UINT64_C(1000000000)

/* ---- a store of one key ---- */

struct asked {
	uint64_t tag, cmp;
	bool read;
	size_t len;
	uint8_t value[CLUSTER_SEQUENCE_MAX];
};

struct store_thread { /* the one of a node */
	unsigned cnt;
	struct asked asked[ASKED_MAX];
};

static struct {
	uint64_t rev, mod_rev, create_rev;
	size_t len;
	uint8_t value[CLUSTER_SEQUENCE_MAX];
} store;

static void write_value(uint8_t room[static CLUSTER_SEQUENCE_MAX], size_t *ret_len, struct bytes value)
{
	struct wr w = wr_of((struct space){ room, CLUSTER_SEQUENCE_MAX });
	wr_put(&w, value);
	must(!w.bad);
	*ret_len = wr_len(&w);
}

MUST_USE enum err store_thread_submit(struct store_thread *t, const struct store_txn *txn, uint64_t tag)
{
	must(t->cnt < ASKED_MAX && txn->cmp_cnt == 1 && txn->op_cnt == 1 && txn->lease == 0);
	struct asked *a = &t->asked[t->cnt++];
	*a = (struct asked){ .tag = tag, .cmp = txn->cmps[0].mod_rev };
	write_value(a->value, &a->len, txn->ops[0].value);
	return ERR_NONE;
}

MUST_USE enum err store_thread_read(struct store_thread *t, struct bytes key, uint64_t tag)
{
	(void)key;
	must(t->cnt < ASKED_MAX);
	t->asked[t->cnt++] = (struct asked){ .tag = tag, .read = true };
	return ERR_NONE;
}

/* What else control would ask of it. */
MUST_USE enum err store_thread_list(struct store_thread *t, struct bytes prefix, struct bytes after, size_t limit, uint64_t tag)
{
	(void)t, (void)prefix, (void)after, (void)limit, (void)tag;
	return ERR_FULL;
}
MUST_USE enum err store_thread_grant(struct store_thread *t, uint64_t ttl_ms, uint64_t tag)
{
	(void)t, (void)ttl_ms, (void)tag;
	return ERR_FULL;
}
MUST_USE enum err store_thread_renew(struct store_thread *t, uint64_t lease, uint64_t tag)
{
	(void)t, (void)lease, (void)tag;
	return ERR_FULL;
}
bool store_thread_lost(struct store_thread *t)
{
	(void)t;
	return false;
}

static void put_record(const struct cluster_sequence *s)
{
	struct wr w = wr_of(SPACE_OF(store.value));

	cluster_sequence_encode(s, &w);
	store.len = wr_len(&w);
	store.mod_rev = ++store.rev;
}

static struct cluster_sequence record(void)
{
	struct cluster_sequence s;
	assert_int_equal(cluster_sequence_decode(bytes_of(store.value, store.len), &s), ERR_NONE);
	return s;
}

/* ---- a mesh ---- */

enum mail_kind { MAIL_INNER, MAIL_TAKEN, MAIL_LEFT };

struct mail {
	enum mail_kind kind;
	unsigned from, to;
	uint64_t rev, out;
	uint8_t packet;
};

static struct mail mails[MAIL_MAX];
static unsigned mail_cnt, mail_at;
static bool cut[NODES]; /* from the mesh */

static struct node {
	struct control c;
	struct fwd_punt_rings rings;
	struct store_thread thread;
} nodes[NODES];

static unsigned number_of(const struct control *c)
{
	unsigned at = 0;
	while (&nodes[at].c != c)
		must(++at < NODES);
	return at;
}

static void mail(struct control *c, unsigned to, struct mail m)
{
	m.from = number_of(c);
	m.to = to;
	must(mail_cnt < MAIL_MAX);
	if (!cut[m.from] && !cut[to])
		mails[mail_cnt++] = m;
}

void control_mesh_inner(struct control *c, uint16_t slot, uint32_t spi_in, struct bytes packet)
{
	must(spi_in == SPI);
	mail(c, slot - 1u, (struct mail){ .kind = MAIL_INNER, .packet = packet.p[0] });
}
void control_mesh_taken(struct control *c, uint32_t spi_in, uint64_t rev, uint64_t out)
{
	must(spi_in == SPI);
	for (unsigned i = 0; i < NODES; i++)
		if (i != number_of(c) && cluster_alive(&c->members, (uint16_t)(i + 1)))
			mail(c, i, (struct mail){ .kind = MAIL_TAKEN, .rev = rev, .out = out });
}
void control_mesh_left(struct control *c, uint16_t slot, uint32_t spi_in, uint64_t rev)
{
	must(spi_in == SPI);
	mail(c, slot - 1u, (struct mail){ .kind = MAIL_LEFT, .rev = rev });
}
void control_mesh_forward(struct control *c, uint16_t slot, const struct fwd_punt *p)
{
	(void)c, (void)slot, (void)p;
}
void control_mesh_proven(struct control *c, uint32_t spi_in)
{
	(void)c, (void)spi_in;
}
void control_mesh_too_big(struct control *c, const struct fwd_too_big *t)
{
	(void)c, (void)t;
}
void control_mesh_fragment(struct control *c, uint16_t slot, struct bytes packet)
{
	(void)c, (void)slot, (void)packet;
}
void control_mesh_used(struct control *c, struct bytes list)
{
	(void)c, (void)list;
}
void control_mesh_row(struct control *c, uint64_t rev, uint64_t mod_rev, struct bytes key, struct bytes value)
{
	(void)c, (void)rev, (void)mod_rev, (void)key, (void)value;
}
uint64_t control_mesh_site_applied(const struct control *c)
{
	(void)c;
	return UINT64_MAX;
}
void control_mesh_applied(struct control *c, uint64_t rev)
{
	(void)c, (void)rev;
}
void control_mesh_forget(struct control *c, uint32_t incarnation)
{
	(void)c, (void)incarnation;
}
MUST_USE enum err control_mesh_start(struct control *c)
{
	(void)c;
	return ERR_NONE;
}
void control_mesh_receive(struct control *c)
{
	(void)c;
}
void control_mesh_timers(struct control *c)
{
	(void)c;
}
uint64_t control_mesh_next_us(const struct control *c)
{
	(void)c;
	return UINT64_MAX;
}
int control_mesh_fd(const struct control *c)
{
	(void)c;
	return -1;
}
void control_mesh_free(struct control *c)
{
	(void)c;
}

/* All that was said, and what is said to that. */
static void deliver(void)
{
	while (mail_at < mail_cnt) {
		const struct mail m = mails[mail_at++];
		struct control *c = &nodes[m.to].c;
		const struct cluster_member *from = cluster_member_at(&c->members, (uint16_t)(m.from + 1));
		if (from == NULL)
			continue; /* a stranger */
		switch (m.kind) {
		case MAIL_INNER: control_seq_inner(c, SPI, bytes_of(&m.packet, 1)); break;
		case MAIL_TAKEN: control_seq_taken(c, from, SPI, m.rev, m.out); break;
		case MAIL_LEFT: control_seq_left(c, from->slot, SPI, m.rev); break;
		}
	}
}

static struct model_child_sa make_child(bool esn)
{
	struct model_child_sa child = { .spi_in = SPI, .spi_out = 0x99, .sequenced = true, .expires_us = 0,
					.tunnel_id = { .b = { 1 } },
					.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256, .esn = esn ? IKE_ESN_YES : IKE_ESN_NONE } };
	child.path.local.addr = child.path.remote.addr = addr_from_v4_u32(0x7f000001);
	child.ts_local_cnt = child.ts_remote_cnt = 1;
	child.ts_local[0] = child.ts_remote[0] = (struct model_ts){ .port_last = UINT16_MAX, .first = addr_from_v4_u32(0),
								    .last = addr_from_v4_u32(UINT32_MAX) };
	return child;
}

/* ---- the nodes ---- */

static uint64_t now_us;

static void make_node(unsigned at, const struct model_child_sa *child)
{
	struct node *n = &nodes[at];
	struct control *c = &n->c;
	struct hmap *maps[] = { &c->children, &c->tunnels, &c->sas, &c->buried };
	const struct fwd_tunnel_config config = { .tunnel_id = child->tunnel_id, .account_number = 7, .outer_mtu = 1500 };

	*n = (struct node){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		must(hmap_init(maps[i]) == ERR_NONE);
	must(fwd_new(1, at + 1, &c->fwd) == ERR_NONE && fwd_account_put(c->fwd, 7, true) == ERR_NONE);
	must(fwd_tunnel_put(c->fwd, &config) == ERR_NONE);
	must(ring_init(&n->rings.seals, 64, sizeof(struct fwd_inner)) == ERR_NONE);
	c->counters = fwd_control_counters(c->fwd);
	c->cfg.rings = &n->rings;
	c->cfg.worker_cnt = 1;
	c->cfg.incarnation = 10 + at;
	c->clustered = true;
	c->store = &n->thread;
	c->now_us = now_us;
	cluster_members_init(&c->members, "default", now_us);
	cluster_members_self(&c->members, (uint16_t)(at + 1), true, false);
	for (unsigned i = 0; i < NODES; i++) {
		const struct cluster_node other = { .incarnation = 10 + i, .state = CLUSTER_UP, .site = "default" };
		if (i != at)
			must(cluster_members_put(&c->members, (uint16_t)(i + 1), &other, 1, now_us) == ERR_NONE);
	}
	must(control_seq_start(c) == ERR_NONE);
	control_child_install(c, child, 0, 1);
}

static int begin_with(bool esn)
{
	const struct model_child_sa child = make_child(esn);
	const struct cluster_sequence nobodys = { 0 };

	now_us = FIRST_US;
	store.rev = 5;
	store.create_rev = 1;
	mail_cnt = mail_at = 0;
	memset(cut, 0, sizeof(cut));
	put_record(&nobodys);
	for (unsigned i = 0; i < NODES; i++)
		make_node(i, &child);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NODES; i++) {
		struct control *c = &nodes[i].c;
		control_child_remove(c, SPI, 9);
		assert_true(c->seqs->waiting == 0 && c->seqs->waiting_bytes == 0 && c->seqs->by_tag.cnt == 0);
		control_graves_free(c);
		control_seq_free(c);
		hmap_fini(&c->children);
		hmap_fini(&c->tunnels);
		hmap_fini(&c->sas);
		heap_fini(&c->child_timers);
		ring_fini(&nodes[i].rings.seals);
		fwd_free(c->fwd);
	}
	return 0;
}

static struct control_seq *seq_of(unsigned at)
{
	return control_child_find(&nodes[at].c, SPI)->seq;
}

/* ---- what happens to them ---- */

/* A turn of that node, all of whose others are heard. */
static void turn(unsigned at)
{
	struct control *c = &nodes[at].c;

	c->now_us = now_us;
	control_seq_turn(c);
	control_seq_timers(c);
}

static void turns(void)
{
	for (unsigned i = 0; i < NODES; i++)
		turn(i);
}

static void tell(unsigned at)
{
	const struct model_key key = model_key_sequence(SPI);
	const struct store_row row = { .key = model_key_bytes(&key), .value = bytes_of(store.value, store.len),
				       .mod_rev = store.mod_rev, .create_rev = store.create_rev };
	control_mirror_change(&nodes[at].c, &row);
}

static struct store_done commit(const struct asked *a, enum err outcome, bool applied)
{
	struct store_done done = { .tag = a->tag, .result = { .err = outcome } };

	if (!applied)
		return done;
	if (a->cmp == store.mod_rev) {
		write_value(store.value, &store.len, bytes_of(a->value, a->len));
		store.mod_rev = ++store.rev;
	} else if (outcome == ERR_NONE) {
		done.result.err = ERR_CONFLICT;
	}
	done.result.rev = store.rev;
	return done;
}

/* Everything that the node has asked, done by the store. outcome: what it hears; applied: whether it is done. */
static void answer_as(unsigned at, enum err outcome, bool applied)
{
	struct store_thread *t = &nodes[at].thread;
	const unsigned cnt = t->cnt;
	static struct asked all[ASKED_MAX];

	for (unsigned i = 0; i < cnt; i++)
		all[i] = t->asked[i];
	t->cnt = 0;
	for (unsigned i = 0; i < cnt; i++) {
		struct store_done done = { .tag = all[i].tag, .result = { .err = outcome, .rev = store.rev } };
		if (!all[i].read)
			done = commit(&all[i], outcome, applied);
		else if (outcome == ERR_NONE)
			tell(at);
		assert_true(control_seq_done(&nodes[at].c, &done));
	}
}

static void answer(unsigned at)
{
	answer_as(at, ERR_NONE, true);
}

/* Until nobody asks or says anything more; the store's news come to all. */
static void settle(void)
{
	for (unsigned i = 0; i < 20; i++) {
		turns();
		for (unsigned at = 0; at < NODES; at++)
			answer(at);
		deliver();
		for (unsigned at = 0; at < NODES; at++)
			tell(at);
		deliver();
	}
}

/* How `at` sees `other`. */
static void see(unsigned at, unsigned other, bool alive, bool draining)
{
	struct cluster_members *m = &nodes[at].c.members;
	const struct cluster_ping p = { .draining = draining, .fresh = true, .applied = store.rev };

	if (alive) {
		cluster_members_heard(m, (uint16_t)(other + 1), &p, now_us);
		return;
	}
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].slot == other + 1) {
			m->m[i].alive = false;
			m->version++;
		}
	for (unsigned b = 0; b < CLUSTER_BUCKETS; b++) /* what share_out gives, but for who is left over */
		if (m->owner[b] == other + 1)
			m->owner[b] = m->self;
}

/* The node that numbers, and no other does. */
static unsigned holder(void)
{
	unsigned found = NODES;

	for (unsigned i = 0; i < NODES; i++) {
		struct fwd_child_stats s;
		assert_int_equal(fwd_child_stats(nodes[i].c.fwd, SPI, &s), ERR_NONE);
		if (!s.numbered)
			continue;
		assert_int_equal(found, NODES);
		found = i;
	}
	assert_true(found < NODES);
	return found;
}

/* What a worker does with a packet of its own: the number that it gets, 0: it is dropped. */
static uint32_t seal(unsigned at)
{
	struct fwd_child *child = fwd_spi_find(nodes[at].c.fwd, SPI);
	uint8_t b[200] = { 0 };
	struct esp_job job = { .sa = fwd_child_out(child), .buf = SPACE_OF(b), .off = 64, .len = 40, .next_header = IP_PROTO_IPIP };
	struct rd r;

	esp_seal(&job, 1, 0);
	if (!job.ok)
		return 0;
	r = rd_of(bytes_of(b + job.off, job.len));
	(void)rd_u32(&r);
	return rd_u32(&r);
}

static bool numbers(unsigned at)
{
	struct fwd_child_stats s;
	assert_int_equal(fwd_child_stats(nodes[at].c.fwd, SPI, &s), ERR_NONE);
	return s.numbered;
}

/* A worker of that node hands a packet over; its one byte is the mark. */
static void hand_over(unsigned at, uint8_t mark)
{
	static struct fwd_inner in;
	in = (struct fwd_inner){ .spi_in = SPI, .len = 1, .b = { mark } };
	control_seq_local(&nodes[at].c, &in);
}

/* The marks of what waits for the workers of that node. */
static const char *given(unsigned at)
{
	static char text[256];
	static struct fwd_inner in;
	size_t n = 0;

	while (n + 1 < sizeof(text) && ring_pop(&nodes[at].rings.seals, &in))
		text[n++] = (char)in.b[0];
	text[n] = 0;
	return text;
}

static uint64_t dropped(unsigned at, enum model_drop d)
{
	return atomic_load(&nodes[at].c.counters->drop[d]);
}

static uint64_t dropped_all(void)
{
	uint64_t sum = 0;
	for (unsigned at = 0; at < NODES; at++)
		for (unsigned d = 0; d < MODEL_DROP_CNT; d++)
			sum += dropped(at, d);
	return sum;
}
