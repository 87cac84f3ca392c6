// Datagrams: which IKE SA, half-open SA or node each belongs to.
#include "control/internal.h"

#include "wire/ike.h"

/* Where a message is put together: the control thread's own, wiped by the next one. */
static uint8_t joined[IKE_FRAG_JOIN_MAX];

/* What has become of a datagram so far. */
struct journey {
	bool forwarded; /* another node has sent it here: it goes no further */
	bool looked_up; /* its IKE SA was read from the store */
};

static void start_init(struct control *c, const struct addr_endpoint *local, const struct addr_endpoint *remote,
		       struct bytes msg)
{
	const struct conf *conf = c->cfg.conf;
	size_t halves = c->halves_by_spi.cnt + c->op_cnt;

	if (!control_node_starts(c)) { /* its IKE_AUTH, at another node, could not come here */
		control_drop(c, MODEL_DROP_ike_cut);
		return;
	}
	if (halves >= conf->half_open_max || !control_source_allowed(c, &remote->addr)) {
		control_drop(c, MODEL_DROP_ike_half_open_limit);
		return;
	}
	c->world.want_cookie = halves >= conf->cookie_threshold;
	struct ike_event ev = control_message_event(c, local, remote, msg);
	struct control_op *op = control_op_new(c, OP_INIT, &ev);
	/* It counts from here on, not only once its Diffie-Hellman is done: else one source could fill that queue. */
	if (op != NULL && !control_source_add(c, &remote->addr)) {
		control_op_drop(c, op);
		op = NULL;
	}
	if (op == NULL) {
		control_drop(c, MODEL_DROP_ike_half_open_limit);
		return;
	}
	op->counted = true;
	control_op_run(c, op);
}

void control_half_event(struct control *c, struct control_half *h, const struct ike_event *ev)
{
	struct control_op *op = h->busy ? NULL : control_op_new(c, OP_HALF, ev);
	if (op == NULL) {
		control_drop(c, MODEL_DROP_ike_busy);
		return;
	}
	op->half = h;
	h->busy = true;
	control_op_run(c, op);
}

static void note_no_marker(struct control *c, const struct fwd_punt *p)
{
	struct model_failure f = { .code = MODEL_FAILURE_NO_MARKER, .stage = MODEL_STAGE_SA_INIT, .local = p->local,
				   .remote = p->remote, .first_us = c->now_us, .last_us = c->now_us, .cnt = 1 };
	control_drop(c, MODEL_DROP_ike_no_marker);
	control_failure(c, NULL, &f);
}

/* Of the answer to a request that another node has made, and that has not come by here. */
static bool comes_early(const struct control *c, const struct ike_sa *r, struct bytes msg, struct journey j)
{
	struct wire_ike_header h;

	return c->clustered && !j.looked_up && wire_ike_header_parse(msg, &h) == ERR_NONE && (h.flags & IKE_FLAG_RESPONSE) != 0 &&
	       h.msg_id >= r->tx_next;
}

/* True: the message is whole. */
static bool take_fragment(struct control *c, const struct fwd_punt *p, struct control_sa *sa, struct ike_event *ev, struct journey j)
{
	bool whole = false;
	struct ike_sa r;

	control_record_read(&sa->r, &r);
	/* It waits while the store is asked; where it may not be, it is dropped for what it is. */
	if (!comes_early(c, &r, ev->msg, j) || control_read_ike(c, sa->r.spi, p, j.forwarded) != ERR_NONE)
		whole = control_frag_take(c, &sa->frags, &r, ev, SPACE_OF(joined));
	ike_sa_wipe(&r);
	return whole;
}

/* Until IKE_AUTH an IKE SA is in the memory of one node alone, and its SPI names that one. */
static bool is_pinned(const struct wire_ike_header *h)
{
	return h->exchange == IKE_EX_SA_INIT || h->exchange == IKE_EX_INTERMEDIATE || h->exchange == IKE_EX_AUTH;
}

/* False: there is no such node, or it is this one. */
static bool send_on(struct control *c, uint16_t slot, const struct fwd_punt *p)
{
	if (slot == c->world.node_slot || !cluster_alive(&c->members, slot))
		return false;
	control_mesh_forward(c, slot, p);
	control_count(c, MODEL_COUNTER_ike_sent_on);
	return true;
}

/* An SPI that one of us has made, and that is not known here. */
static void take_unknown(struct control *c, const struct fwd_punt *p, const struct wire_ike_header *h, uint64_t ours,
			 struct journey j)
{
	if (j.looked_up)
		control_drop(c, j.forwarded ? MODEL_DROP_ike_forwarded : MODEL_DROP_ike_unknown_spi);
	else if (is_pinned(h) && !j.forwarded && send_on(c, ike_spi_slot(ours), p))
		return;
	else if (control_read_ike(c, ours, p, j.forwarded) != ERR_NONE)
		control_drop(c, MODEL_DROP_ike_looked_up);
}

static void take_known(struct control *c, const struct fwd_punt *p, struct control_sa *sa, struct ike_event *ev, struct journey j)
{
	if (ike_frag_is(ev->msg)) {
		/* The fragments of one message come to any node: one puts them together. */
		if (c->clustered && !j.forwarded && send_on(c, cluster_chosen(&c->members, sa->r.spi), p))
			return;
		if (!take_fragment(c, p, sa, ev, j))
			return;
	}
	control_sa_message(c, sa, ev);
}

static void take_half(struct control *c, struct control_half *half, struct ike_event *ev)
{
	if (!ike_frag_is(ev->msg) || control_frag_take(c, &half->frags, &half->h.sa, ev, SPACE_OF(joined)))
		control_half_event(c, half, ev);
}

static void take_datagram(struct control *c, const struct fwd_punt *p, struct journey j)
{
	struct bytes msg = bytes_of(p->msg, p->len);
	struct wire_ike_header h;

	if (p->no_marker) {
		note_no_marker(c, p);
		return;
	}
	if (wire_ike_header_parse(msg, &h) != ERR_NONE) {
		control_drop(c, MODEL_DROP_ike_malformed);
		return;
	}
	/* The original initiator's flag says which SPI is ours (RFC 7296 3.1). */
	uint64_t ours = (h.flags & IKE_FLAG_INITIATOR) != 0 ? h.spi_r : h.spi_i;
	struct ike_event ev = control_message_event(c, &p->local, &p->remote, msg);
	struct control_sa *sa = ours == 0 ? NULL : control_sa_find(c, ours);
	if (sa != NULL) {
		take_known(c, p, sa, &ev, j);
		return;
	}
	struct control_half *half = ours != 0 ? control_half_find(c, ours) : control_half_of_init(c, h.spi_i, &p->remote);
	if (half != NULL && ours == 0 && half->repeats != UINT8_MAX)
		half->repeats++;
	if (half != NULL)
		take_half(c, half, &ev);
	else if (c->cfg.site != NULL) /* a site starts, nobody starts it */
		control_drop(c, MODEL_DROP_ike_unknown_spi);
	else if (c->clustered && ours != 0 && ike_spi_check(&c->world.spi_key, ours))
		take_unknown(c, p, &h, ours, j);
	else
		start_init(c, &p->local, &p->remote, msg);
}

void control_datagram(struct control *c, const struct fwd_punt *p)
{
	control_count(c, MODEL_COUNTER_ike_in);
	take_datagram(c, p, (struct journey){ 0 });
}

void control_datagram_forwarded(struct control *c, const struct fwd_punt *p)
{
	take_datagram(c, p, (struct journey){ .forwarded = true });
}

void control_datagram_looked_up(struct control *c, const struct fwd_punt *p, bool forwarded)
{
	take_datagram(c, p, (struct journey){ .looked_up = true, .forwarded = forwarded });
}

MUST_USE enum err control_tunnel_rekey(struct control *c, struct control_tunnel *t, bool ike)
{
	enum err e = ERR_CONFLICT;

	for (struct control_sa *sa = t->sas, *next; sa != NULL; sa = next) {
		next = sa->next;
		if (sa->r.state != IKE_STATE_ESTABLISHED || sa->r.closing || (!ike && sa->r.child_cnt == 0))
			continue;
		control_sa_rekey(c, sa, ike, 0);
		e = ERR_NONE;
	}
	return e;
}
