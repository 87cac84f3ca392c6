// Child SAs looked at again and again: marks raised in the store, rekeys asked for at soft limits, ends at hard ones and with time.
#include "control/internal.h"

#define CHECK_US 1000000u
#define USES_MAX 16    /* datagrams to each of the others, of what was used of the keys of all SAs */
#define USES_OF_PART 2 /* or of a part of them */
#define ASK_AGAIN_US UINT64_C(300000000) /* after a rekey that was not made, and of which the IKE SA has no pause */

static struct control_marks marks_of(const struct control_child *child, const struct fwd_child_stats *s)
{
	uint64_t out = s->seq_out + CONTROL_SEQ_BLOCK, end = esp_seq_end_of(&child->suite);

	return (struct control_marks){
		.out = out < end ? out : end - 1,
		.in = control_larger(s->seq_in, child->marks.in),
		.bytes = child->bytes_before + control_larger(s->in_bytes, s->out_bytes),
	};
}

/* A peer with a replay window takes nothing that is numbered below what it has seen, and after a restart nobody knows
 * how far the counter was. So the store is always ahead of it: a block is reserved before it is used, the first one by the
 * SA's own record, and the next process begins above the mark. */
static void write_marks(struct control *c, struct control_child *child, const struct control_marks *m)
{
	struct model_key key = model_key_sequence(child->spi_in);
	uint8_t b[CONTROL_MARKS_LEN];

	control_marks_encode(m, b);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), BYTES_OF(b) };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
	child->raised = *m;
	child->raising = store_thread_submit(c->store, &txn, CONTROL_TAG_MARKS + child->spi_in) == ERR_NONE;
}

/* Only an explicit success counts: else they are raised again. */
bool control_marks_done(struct control *c, const struct store_done *done)
{
	if (done->tag < CONTROL_TAG_MARKS || done->tag - CONTROL_TAG_MARKS > UINT32_MAX)
		return false;
	struct control_child *child = control_child_find(c, (uint32_t)(done->tag - CONTROL_TAG_MARKS));
	if (child != NULL && child->raising && done->result.err == ERR_NONE)
		child->marks = child->raised;
	if (child != NULL)
		child->raising = false;
	return true;
}

/* The inbound number must be known well within the 2^32 in which its upper half can be concluded (RFC 4303 A2.2), and the
 * bytes well within their limit. */
static bool marks_are_old(const struct control_child *child, const struct control_marks *now)
{
	return now->out > child->marks.out + CONTROL_SEQ_BLOCK / 2 || now->in > child->marks.in + CONTROL_IN_BLOCK ||
	       now->bytes > child->marks.bytes + CONTROL_BYTES_BLOCK ||
	       (now->out > child->marks.out && now->out + 1 == esp_seq_end_of(&child->suite));
}

static void ask_rekey(struct control *c, struct control_child *child)
{
	struct control_sa *sa = control_sa_find(c, child->ike_spi);
	const struct control_tunnel *t = control_tunnel_find(c, &child->tunnel_id);

	/* A busy one is asked in the next turn; what is refused has pauses of its own, and is asked for again after a while. */
	if (c->now_us < child->ask_us || sa == NULL || sa->busy || !control_duty_sa(c, sa->r.spi))
		return;
	child->ask_us = c->now_us + ASK_AGAIN_US;
	log_debug("tunnel %s: Child SA %08x has reached a limit of its use, and is rekeyed",
		  t == NULL ? "-" : t->m.name, child->spi_in);
	control_sa_rekey(c, sa, false, child->spi_in);
}

/* RFC 4301 4.4.2.1: at its end it is not used any more; its timer deletes it. */
static void end_child(struct control *c, struct control_child *child)
{
	const struct control_tunnel *t = control_tunnel_find(c, &child->tunnel_id);

	if (child->ended)
		return;
	child->ended = true;
	log_warn("tunnel %s: Child SA %08x has reached the end of its key, and was not rekeyed in time: it is deleted",
		 t == NULL ? "-" : t->m.name, child->spi_in);
	fwd_child_end(c->fwd, child->spi_in);
	if (heap_set(&c->child_timers, &child->timer, c->now_us) != ERR_NONE)
		log_error("no memory for the timer of a Child SA");
}

static void check_limits(struct control *c, struct control_child *child, const struct fwd_child_stats *s)
{
	const struct esp_used used = control_use_sum(c, child, s);

	switch (esp_limits_judge(&child->limits, &used)) {
	case ESP_WEAR_FINE:
		break;
	case ESP_WEAR_SOFT:
		ask_rekey(c, child);
		break;
	case ESP_WEAR_HARD:
		end_child(c, child);
		break;
	}
}

struct checking {
	struct control *c;
	struct control_use_list uses;
};

static void check_child(void *arg, struct hmap_node *n)
{
	struct checking *k = arg;
	struct control *c = k->c;
	struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
	struct fwd_child_stats s;

	if (fwd_child_stats(c->fwd, child->spi_in, &s) != ERR_NONE) {
		control_orphan_left(c, child);
		return;
	}
	const struct control_marks now = marks_of(child, &s);
	/* Of several nodes each numbers for itself, or one does by blocks (seq.c); what must not repeat has its incarnation. */
	if (!c->clustered && !child->raising && marks_are_old(child, &now))
		write_marks(c, child, &now);
	control_seq_check(c, child, &s);
	control_use_look(c, &k->uses, child, &s);
	check_limits(c, child, &s);
}

/* Between two looks an SA must not use the other half of its block, two million packets. */
void control_children_check(struct control *c)
{
	struct checking k = { .c = c };

	if (c->now_us < c->check.next_us)
		return;
	control_use_begin(&k.uses, c->children.cnt <= CONTROL_PART ? USES_MAX : USES_OF_PART, control_mesh_used);
	(void)control_round_part(&c->check, c->now_us, CHECK_US, &c->children, check_child, &k);
	control_use_end(c, &k.uses);
}

uint64_t control_children_next_us(const struct control *c)
{
	return c->children.cnt == 0 ? UINT64_MAX : c->check.next_us;
}

void control_children_timers(struct control *c)
{
	struct heap_node *n;

	while ((n = heap_first(&c->child_timers)) != NULL && n->at <= c->now_us) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, timer);
		struct control_sa *sa = control_sa_find(c, child->ike_spi);
		const struct ike_event ev = { .kind = IKE_EV_CHILD_EXPIRED, .now_us = c->now_us,
					      .child_spi = child->spi_in };
		/* Asked again in a second: the SA may be busy, or its one request under way. */
		if (heap_set(&c->child_timers, n, c->now_us + 1000000) != ERR_NONE)
			break;
		/* The end is everybody's; to tell the peer is one's alone. */
		if (sa == NULL)
			control_child_remove(c, child->spi_in, 0);
		else if (!control_duty_sa(c, sa->r.spi))
			fwd_child_delete(c->fwd, child->spi_in);
		else if (!sa->busy)
			control_sa_event(c, sa, &ev);
	}
}
