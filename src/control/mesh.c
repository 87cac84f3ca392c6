// The mesh: datagrams between the nodes of a cluster, authenticated and encrypted. Nothing is answered, so a stranger learns nothing.
#include "control/mesh.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/secret.h"
#include "io/udp.h"

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
static void ping_all(struct control *c, bool fresh)
{
	bool draining = c->members.draining || cluster_deaf(&c->members);
	const struct wire_mesh_msg m = { .kind = WIRE_MESH_PING,
					 .ping = { .draining = draining, .fresh = fresh,
						   .applied = c->mesh->applied } };
	for (unsigned i = 0; i < c->members.cnt; i++)
		send_message(c, &c->members.m[i], &m);
}

bool control_mesh_tell(struct control *c, bool fresh)
{
	struct control_mesh *m = c->mesh;

	if (m->applied > m->told) {
		const struct wire_mesh_msg msg = { .kind = WIRE_MESH_APPLIED, .applied = m->applied };
		send_to_all(c, true, &msg);
		m->told = m->applied;
	}
	if (c->now_us < m->ping_us)
		return false;
	m->ping_us = c->now_us + CLUSTER_PING_US;
	ping_all(c, fresh);
	return true;
}
