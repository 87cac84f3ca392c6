// How much of a key all nodes of a cluster together have used. Each counts its own packets, and tells the others when they have grown
// by a part of a limit; so a limit is judged by the sum, and by what the others may not have told yet. What a process has
// used stays used when it is gone: the others know it, and tell it to those who come later.
#include "control/internal.h"

#include <stdlib.h>

#define PARTS 16         /* all nodes together tell less of a limit than one of so many parts late */
#define PROCESSES_MAX (4 * CLUSTER_NODES_MAX) /* of one Child SA */

/* How much one node may use of a limit without a word. */
static uint64_t step_of(const struct control *c, uint64_t limit)
{
	uint64_t step = limit / (PARTS * (c->members.cnt + 1));
	return limit == UINT64_MAX ? limit : control_larger(step, 1);
}

static struct wire_mesh_used used_of(const struct control *c, const struct control_child *child, const struct fwd_child_stats *own)
{
	return (struct wire_mesh_used){ .spi_in = child->spi_in, .incarnation = c->cfg.incarnation,
					.in_packets = own->in_packets, .out_packets = own->out_packets,
					.in_bytes = own->in_bytes, .out_bytes = own->out_bytes };
}

static bool is_news(const struct control *c, const struct control_child *child, const struct wire_mesh_used *now)
{
	const struct esp_limits *l = &child->limits;
	const struct wire_mesh_used *told = &child->told;
	uint64_t packets = control_larger(now->in_packets - told->in_packets, now->out_packets - told->out_packets);
	uint64_t bytes = control_larger(now->in_bytes - told->in_bytes, now->out_bytes - told->out_bytes);

	return packets >= step_of(c, l->soft_packets) || bytes >= step_of(c, l->soft_bytes) ||
	       now->in_packets - told->in_packets >= step_of(c, l->soft_numbers);
}

/* ---- telling ---- */

void control_use_begin(struct control_use_list *l, unsigned most, void (*send)(struct control *c, struct bytes list))
{
	l->send = send;
	l->sent = 0;
	l->most = most;
	l->w = wr_of(SPACE_OF(l->b));
}

void control_use_end(struct control *c, struct control_use_list *l)
{
	if (wr_len(&l->w) == 0)
		return;
	l->send(c, wr_bytes(&l->w));
	l->sent++;
	l->w = wr_of(SPACE_OF(l->b));
}

static void tell(struct control *c, struct control_use_list *l, const struct wire_mesh_used *u)
{
	wire_mesh_used_put(&l->w, u);
	must(!l->w.bad);
	if (wr_len(&l->w) == sizeof(l->b))
		control_use_end(c, l);
}

void control_use_look(struct control *c, struct control_use_list *l, struct control_child *child, const struct fwd_child_stats *own)
{
	const struct wire_mesh_used now = used_of(c, child, own);
	bool joined = child->told_epoch != c->use_epoch;

	if (!c->clustered || l->sent >= l->most || (!joined && !is_news(c, child, &now)))
		return;
	if (child->told.incarnation != 0 || is_news(c, child, &now)) {
		tell(c, l, &now);
		child->told = now;
	}
	for (const struct control_use *o = child->use; joined && o != NULL; o = o->next)
		tell(c, l, &o->u);
	child->told_epoch = c->use_epoch;
}

/* ---- hearing ---- */

static struct control_use *find_use(const struct control_child *child, uint32_t incarnation, unsigned *ret_cnt)
{
	*ret_cnt = 0;
	for (struct control_use *o = child->use; o != NULL; o = o->next, ++*ret_cnt)
		if (o->u.incarnation == incarnation)
			return o;
	return NULL;
}

void control_use_take(struct control *c, const struct wire_mesh_used *u)
{
	struct control_child *child = control_child_find(c, u->spi_in);
	unsigned cnt;

	if (child == NULL || u->incarnation == c->cfg.incarnation)
		return;
	struct control_use *o = find_use(child, u->incarnation, &cnt);
	if (o == NULL && cnt < PROCESSES_MAX && (o = calloc(1, sizeof(*o))) != NULL) {
		o->u = *u;
		o->next = child->use;
		child->use = o;
	}
	if (o == NULL)
		return;
	/* Words come late, and by way of others. */
	o->u.in_packets = control_larger(o->u.in_packets, u->in_packets);
	o->u.out_packets = control_larger(o->u.out_packets, u->out_packets);
	o->u.in_bytes = control_larger(o->u.in_bytes, u->in_bytes);
	o->u.out_bytes = control_larger(o->u.out_bytes, u->out_bytes);
}

void control_use_free(struct control_child *child)
{
	for (struct control_use *o; (o = child->use) != NULL; free(o))
		child->use = o->next;
}

/* ---- the sum ---- */

static uint64_t untold(const struct control *c, uint64_t limit)
{
	return limit == UINT64_MAX ? 0 : c->members.cnt * step_of(c, limit);
}

struct esp_used control_use_sum(const struct control *c, const struct control_child *child, const struct fwd_child_stats *own)
{
	const struct esp_limits *l = &child->limits;
	struct wire_mesh_used all = used_of(c, child, own);

	for (const struct control_use *o = child->use; o != NULL; o = o->next) {
		all.in_packets += o->u.in_packets;
		all.out_packets += o->u.out_packets;
		all.in_bytes += o->u.in_bytes;
		all.out_bytes += o->u.out_bytes;
	}
	/* Each node has outbound numbers of its own, or one has blocks of them; the inbound ones are those of the peer, which
	 * counts for all. */
	return (struct esp_used){
		.packets = control_larger(all.in_packets, all.out_packets) + untold(c, l->soft_packets),
		.bytes = child->bytes_before + control_larger(all.in_bytes, all.out_bytes) + untold(c, l->soft_bytes),
		.numbers = control_larger(control_larger(own->seq_out, control_seq_used(child)), control_larger(own->seq_in, all.in_packets)),
	};
}
