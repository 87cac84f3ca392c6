// The mesh: datagrams between the nodes of a cluster, authenticated and encrypted. Nothing is answered, so a stranger learns nothing.
#include "control/node.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/secret.h"
#include "cluster/link.h"
#include "cluster/pieces.h"
#include "io/udp.h"

#define RECEIVE_A_TURN 256

struct control_mesh {
	struct cluster_link link;
	struct cluster_pieces pieces;
	uint64_t ping_us;             /* when the next one is due */
	uint64_t applied, told;       /* revisions: what is installed, and what the others know of that */
	uint32_t number;              /* of messages that go in pieces */
	uint8_t text[WIRE_MESH_MESSAGE_MAX];
	uint8_t part[WIRE_MESH_TEXT_MAX];
	uint8_t out[WIRE_MESH_DATAGRAM_MAX];
	uint8_t in[WIRE_MESH_DATAGRAM_MAX + 1]; /* one more, to see what is too long */
	struct fwd_punt punt;
};

enum err control_mesh_start(struct control *c)
{
	if (c->cfg.cluster == NULL)
		return ERR_NONE;
	c->mesh = calloc(1, sizeof(*c->mesh));
	if (c->mesh == NULL)
		return ERR_MEMORY;
	return cluster_link_init(&c->mesh->link, BYTES_OF(c->secret), c->cfg.incarnation);
}

void control_mesh_free(struct control *c)
{
	if (c->mesh != NULL) {
		secret_wipe(c->mesh, sizeof(*c->mesh));
		free(c->mesh);
	}
	if (c->cfg.cluster != NULL && c->cfg.mesh_fd >= 0)
		close(c->cfg.mesh_fd);
	c->mesh = NULL;
}

int control_mesh_fd(const struct control *c)
{
	return c->mesh == NULL ? -1 : c->cfg.mesh_fd;
}

void control_mesh_forget(struct control *c, uint32_t incarnation)
{
	if (c->mesh != NULL)
		cluster_link_gone(&c->mesh->link, incarnation);
}

/* ---- sending ---- */

static void send_text(struct control *c, const struct cluster_member *to, struct bytes text)
{
	struct control_mesh *m = c->mesh;
	size_t len;

	if (cluster_link_seal(&m->link, to->n.incarnation, text, SPACE_OF(m->out), &len) != ERR_NONE ||
	    io_udp_send(c->cfg.mesh_fd, &to->n.mesh, false, bytes_of(m->out, len)) != ERR_NONE)
		control_drop(c, MODEL_DROP_mesh_send);
	else
		control_count(c, MODEL_COUNTER_mesh_out);
}

static void send_message(struct control *c, const struct cluster_member *to, const struct wire_mesh_msg *msg)
{
	struct control_mesh *m = c->mesh;
	struct wr w = wr_of(SPACE_OF(m->text));

	wire_mesh_build(&w, msg);
	const struct bytes text = wr_bytes(&w);
	unsigned cnt = cluster_pieces_cnt(text.len);
	if (text.len == 0) { /* longer than any message of the mesh */
		control_drop(c, MODEL_DROP_mesh_send);
	} else if (cnt == 1) {
		send_text(c, to, text);
	} else {
		uint32_t number = m->number++;
		for (unsigned i = 0; i < cnt; i++) {
			const struct wire_mesh_msg piece = cluster_pieces_cut(text, number, i, cnt);
			struct wr p = wr_of(SPACE_OF(m->part));
			wire_mesh_build(&p, &piece);
			must(!p.bad);
			send_text(c, to, wr_bytes(&p));
		}
	}
}

static void send_to_slot(struct control *c, uint16_t slot, const struct wire_mesh_msg *msg)
{
	const struct cluster_member *to = cluster_member_at(&c->members, slot);

	if (c->mesh == NULL)
		return;
	if (to == NULL || !to->alive)
		control_drop(c, MODEL_DROP_mesh_gone);
	else
		send_message(c, to, msg);
}

/* site: to those of ours alone. */
static void send_to_all(struct control *c, bool site, const struct wire_mesh_msg *msg)
{
	for (unsigned i = 0; i < c->members.cnt; i++) {
		const struct cluster_member *to = &c->members.m[i];
		if (to->alive && (!site || strcmp(to->n.site, c->members.site) == 0))
			send_message(c, to, msg);
	}
}

void control_mesh_forward(struct control *c, uint16_t slot, const struct fwd_punt *p)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_FORWARD,
					 .forward = { .natt = p->natt, .no_marker = p->no_marker, .local = p->local,
						      .remote = p->remote, .msg = bytes_of(p->msg, p->len) } };
	send_to_slot(c, slot, &m);
}

void control_mesh_inner(struct control *c, uint16_t slot, uint32_t spi_in, struct bytes packet)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_INNER, .inner = { spi_in, packet } };
	send_to_slot(c, slot, &m);
}

void control_mesh_proven(struct control *c, uint32_t spi_in)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_PROVEN, .spi_in = spi_in };
	if (c->mesh != NULL)
		send_to_all(c, false, &m);
}

void control_mesh_taken(struct control *c, uint32_t spi_in, uint64_t rev, uint64_t out)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_TAKEN, .taken = { spi_in, rev, out } };
	if (c->mesh != NULL)
		send_to_all(c, false, &m);
}

void control_mesh_row(struct control *c, uint64_t rev, uint64_t mod_rev, struct bytes key, struct bytes value)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_ROW, .row = { mod_rev, key, value } };

	for (unsigned i = 0; c->mesh != NULL && i < c->members.cnt; i++) {
		const struct cluster_member *to = &c->members.m[i];
		if (to->alive && to->applied < rev && strcmp(to->n.site, c->members.site) == 0)
			send_message(c, to, &m);
	}
}

void control_mesh_fragment(struct control *c, uint16_t slot, struct bytes packet)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_FRAGMENT, .fragment = packet };
	send_to_slot(c, slot, &m);
}

void control_mesh_used(struct control *c, struct bytes list)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_USED, .used = list };
	if (c->mesh != NULL)
		send_to_all(c, false, &m);
}

void control_mesh_ask(struct control *c, uint32_t number, struct bytes list)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_ASK, .ask = { number, list } };
	if (c->mesh != NULL)
		send_to_all(c, false, &m);
}

void control_mesh_seen(struct control *c, uint16_t slot, uint32_t number, struct bytes list)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_SEEN, .seen = { number, list } };
	send_to_slot(c, slot, &m);
}

void control_mesh_too_big(struct control *c, const struct fwd_too_big *t)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_TOO_BIG,
					 .too_big = { t->spi_out, t->mtu, t->local, t->remote } };
	if (c->mesh != NULL)
		send_to_all(c, false, &m);
}

void control_mesh_left(struct control *c, uint16_t slot, uint32_t spi_in, uint64_t rev)
{
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_LEFT, .taken = { spi_in, rev, 0 } };
	send_to_slot(c, slot, &m);
}

void control_mesh_applied(struct control *c, uint64_t rev)
{
	if (c->mesh != NULL && rev > c->mesh->applied)
		c->mesh->applied = rev;
}

uint64_t control_mesh_site_applied(const struct control *c)
{
	return cluster_site_applied(&c->members);
}

/* To the dead as well: they may live again. A node that hears nobody may still be heard, where the mesh is cut one way: fragments
 * and duties are not for it then. */
static void ping_all(struct control *c)
{
	bool draining = c->members.draining || cluster_deaf(&c->members);
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_PING,
					 .ping = { .draining = draining, .fresh = control_node_fresh(c),
						   .applied = c->mesh->applied } };
	for (unsigned i = 0; i < c->members.cnt; i++)
		send_message(c, &c->members.m[i], &m);
}

/* ---- receiving ---- */

static void take_forward(struct control *c, const struct wire_mesh_msg *m)
{
	struct fwd_punt *p = &c->mesh->punt;
	struct wr w = wr_of(SPACE_OF(p->msg));

	wr_put(&w, m->forward.msg);
	if (w.bad) {
		control_drop(c, MODEL_DROP_mesh_malformed);
		return;
	}
	p->local = m->forward.local;
	p->remote = m->forward.remote;
	p->natt = m->forward.natt;
	p->no_marker = m->forward.no_marker;
	p->len = (uint16_t)wr_len(&w);
	control_datagram_forwarded(c, p);
}

static void take_ping(struct control *c, uint16_t slot, const struct wire_mesh_msg *m)
{
	const struct cluster_ping p = { .draining = m->ping.draining, .fresh = m->ping.fresh, .applied = m->ping.applied };
	cluster_members_heard(&c->members, slot, &p, c->now_us);
}

/* What the store tells a little later, of SAs alone. */
static void take_row(struct control *c, const struct wire_mesh_msg *m)
{
	const struct store_row row = { .key = m->row.key, .value = m->row.value, .create_rev = m->row.mod_rev,
				       .mod_rev = m->row.mod_rev };

	if (!bytes_starts(row.key, bytes_str(MODEL_KEY_IKE)) && !bytes_starts(row.key, bytes_str(MODEL_KEY_CHILD)) &&
	    !bytes_starts(row.key, bytes_str(MODEL_KEY_SEQUENCE))) {
		control_drop(c, MODEL_DROP_mesh_unwanted);
		return;
	}
	if (control_relist_row(c, &row))
		control_mirror_change(c, &row);
}

static void take_used(struct control *c, struct bytes list)
{
	struct wire_mesh_used u;

	while (wire_mesh_used_next(&list, &u))
		control_use_take(c, &u);
}

static void take_too_big(struct control *c, const struct wire_mesh_msg *m)
{
	const struct fwd_too_big t = { .spi_out = m->too_big.spi_out, .mtu = m->too_big.mtu, .local = m->too_big.local,
				       .remote = m->too_big.remote };
	(void)control_path_heard(c, &t);
}

/* A message that is no piece. */
static void take_message(struct control *c, const struct cluster_member *from, struct bytes text)
{
	struct wire_mesh_msg m;

	enum err e = wire_mesh_parse(text, &m);
	if (e != ERR_NONE) {
		control_drop(c, e == ERR_UNSUPPORTED ? MODEL_DROP_mesh_unwanted : MODEL_DROP_mesh_malformed);
		return;
	}
	switch (m.kind) {
	case WIRE_MESH_PING:
		take_ping(c, from->slot, &m);
		break;
	case WIRE_MESH_FORWARD:
		take_forward(c, &m);
		break;
	case WIRE_MESH_PROVEN:
		control_proven(c, m.spi_in);
		break;
	case WIRE_MESH_APPLIED:
		cluster_members_applied(&c->members, from->slot, m.applied);
		break;
	case WIRE_MESH_USED:
		take_used(c, m.used);
		break;
	case WIRE_MESH_ROW:
		take_row(c, &m);
		break;
	case WIRE_MESH_FRAGMENT:
		control_gather_take(c, m.fragment);
		break;
	case WIRE_MESH_ASK:
		control_seen_asked(c, from->slot, m.ask.number, m.ask.list);
		break;
	case WIRE_MESH_SEEN:
		control_seen_answered(c, from, m.seen.number, m.seen.list);
		break;
	case WIRE_MESH_INNER:
		control_seq_inner(c, m.inner.spi_in, m.inner.packet);
		break;
	case WIRE_MESH_TAKEN:
		control_seq_taken(c, from, m.taken.spi_in, m.taken.rev, m.taken.out);
		break;
	case WIRE_MESH_LEFT:
		control_seq_left(c, from->slot, m.taken.spi_in, m.taken.rev);
		break;
	case WIRE_MESH_TOO_BIG:
		take_too_big(c, &m);
		break;
	case WIRE_MESH_PIECE:
		control_drop(c, MODEL_DROP_mesh_unwanted);
		break;
	}
}

static void take_text(struct control *c, const struct cluster_member *from, struct bytes text)
{
	struct wire_mesh_msg m;
	struct bytes whole;
	bool lost;

	if (wire_mesh_parse(text, &m) != ERR_NONE || m.kind != WIRE_MESH_PIECE) {
		take_message(c, from, text);
		return;
	}
	enum err e = cluster_pieces_take(&c->mesh->pieces, from->n.incarnation, &m, c->now_us, &whole, &lost);
	if (lost)
		control_drop(c, MODEL_DROP_mesh_pieces);
	if (e == ERR_NONE)
		take_message(c, from, whole);
	else if (e != ERR_AGAIN)
		control_drop(c, MODEL_DROP_mesh_malformed);
}

static void take_datagram(struct control *c, struct space datagram)
{
	struct control_mesh *m = c->mesh;
	struct wire_mesh_header h;
	struct bytes text;

	if (wire_mesh_header_parse(bytes_of(datagram.p, datagram.cap), &h) != ERR_NONE) {
		control_drop(c, MODEL_DROP_mesh_malformed);
		return;
	}
	const struct cluster_member *from = cluster_member_of(&c->members, h.from);
	if (from == NULL) {
		control_drop(c, MODEL_DROP_mesh_stranger);
		return;
	}
	enum err e = cluster_link_open(&m->link, &h, datagram, &text);
	if (e != ERR_NONE) {
		/* DENIED: to the process that was here before, or of one that was forgotten. */
		control_drop(c, e == ERR_EXISTS ? MODEL_DROP_mesh_replay : e == ERR_DENIED ? MODEL_DROP_mesh_stranger
											  : MODEL_DROP_mesh_auth);
		return;
	}
	control_count(c, MODEL_COUNTER_mesh_in);
	take_text(c, from, text);
}

void control_mesh_receive(struct control *c)
{
	struct control_mesh *m = c->mesh;
	size_t len;

	for (unsigned i = 0; i < RECEIVE_A_TURN; i++) {
		if (io_udp_recv(c->cfg.mesh_fd, SPACE_OF(m->in), &len) != ERR_NONE)
			break;
		take_datagram(c, (struct space){ m->in, len });
	}
	control_mirror_settle(c);
}

/* ---- timers ---- */

void control_mesh_timers(struct control *c)
{
	struct control_mesh *m = c->mesh;

	if (m == NULL)
		return;
	if (m->applied > m->told) {
		const struct wire_mesh_msg msg = { .kind = WIRE_MESH_APPLIED, .applied = m->applied };
		send_to_all(c, true, &msg);
		m->told = m->applied;
	}
	if (c->now_us < m->ping_us)
		return;
	m->ping_us = c->now_us + CLUSTER_PING_US;
	ping_all(c);
	control_mesh_receive(c); /* what waits was said before the judgement */
	if (cluster_members_look(&c->members, c->now_us))
		log_warn("a node of the cluster is silent: its duties go to the others");
}

uint64_t control_mesh_next_us(const struct control *c)
{
	return c->mesh == NULL ? UINT64_MAX : c->mesh->ping_us;
}
