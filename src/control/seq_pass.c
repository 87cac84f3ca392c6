// Where inner packets of sequenced SAs come from: workers, other nodes, SAs that have begun or ended.
#include "control/seq.h"

static void pass(struct control *c, struct control_seq *s, struct bytes packet, bool forwarded)
{
	if (control_seq_queue(c, s, packet, forwarded))
		control_seq_step(c, s);
}

void control_seq_began(struct control *c, struct control_seq *s)
{
	for (struct control_inner **at = &c->seqs->early; *at != NULL;) {
		if ((*at)->spi_in != s->child->spi_in) {
			at = &(*at)->next;
			continue;
		}
		struct control_inner *in = control_seq_take_early(c, at);
		pass(c, s, bytes_of(in->b, in->len), true);
		control_seq_drop_copy(c, in);
	}
}

/* A rekey is not to cost those who hear of its end last (RFC 7296 2.8). False: the tunnel sends on none that is numbered. */
static bool pass_on(struct control *c, const struct model_id *tunnel, struct bytes packet)
{
	const struct control_child *child = control_child_find(c, fwd_tunnel_sends_on(c->fwd, tunnel, packet));

	if (child == NULL || child->seq == NULL)
		return false;
	pass(c, child->seq, packet, false);
	return true;
}

void control_seq_end(struct control *c, struct control_seq *s)
{
	for (; s->first != NULL; control_seq_remove_first(c, s))
		if (!pass_on(c, &s->child->tunnel_id, bytes_of(s->first->b, s->first->len)))
			control_drop(c, MODEL_DROP_seq_expired);
}

/* Others hear of the end a moment later, and still send what is to be numbered. */
static void pass_late(struct control *c, const struct model_id *tunnel, struct bytes packet, enum model_drop why)
{
	if (tunnel == NULL || !pass_on(c, tunnel, packet))
		control_drop(c, why);
}

void control_seq_local(struct control *c, const struct fwd_inner *in)
{
	const struct control_child *child = control_child_find(c, in->spi_in);

	if (child == NULL || child->seq == NULL)
		pass_late(c, control_buried_tunnel(c, in->spi_in), bytes_of(in->b, in->len), MODEL_DROP_tunnel_down);
	else
		pass(c, child->seq, bytes_of(in->b, in->len), false);
}

void control_seq_inner(struct control *c, uint32_t spi_in, struct bytes packet)
{
	const struct control_child *child = control_child_find(c, spi_in);
	const struct model_id *buried = child == NULL ? control_buried_tunnel(c, spi_in) : NULL;

	if (packet.len > FWD_INNER_MAX)
		control_drop(c, MODEL_DROP_seq_moved);
	else if (child != NULL && child->seq != NULL)
		pass(c, child->seq, packet, true);
	else if (child == NULL && buried == NULL && c->seqs != NULL)
		control_seq_keep_early(c, spi_in, packet);
	else
		pass_late(c, buried, packet, MODEL_DROP_seq_moved);
}
