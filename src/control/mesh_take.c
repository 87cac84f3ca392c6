// What the other nodes tell this one.
#include "control/mesh.h"

#include "io/udp.h"

#define RECEIVE_A_TURN 256

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

void control_mesh_timers(struct control *c)
{
	if (c->mesh == NULL || !control_mesh_tell(c, control_node_fresh(c)))
		return;
	control_mesh_receive(c); /* what waits was said before the judgement */
	if (cluster_members_look(&c->members, c->now_us))
		log_warn("a node of the cluster is silent: its duties go to the others");
}

uint64_t control_mesh_next_us(const struct control *c)
{
	return c->mesh == NULL ? UINT64_MAX : c->mesh->ping_us;
}
