// A store of one key and a mesh between three nodes, instead of control's own: the test says when what is asked is answered, and when
// what is said arrives.
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
	uint64_t rev, mod_rev;
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
