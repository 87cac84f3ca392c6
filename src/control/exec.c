// Runs steps and does what they ask: Diffie-Hellman by a helper, then commit, then install, then send.
#include "control/internal.h"

#include "base/crash.h"
#include "base/secret.h"
#include "crypt/random.h"
#include "wire/ike.h"

#define PUT_OFF_US 1000000u

/* ---- the steps of an IKE SA, one at a time ---- */

void control_sa_event(struct control *c, struct control_sa *sa, const struct ike_event *ev)
{
	struct control_op *op = control_op_new(c, OP_SA, ev);
	if (op == NULL) {
		control_drop(c, MODEL_DROP_ike_busy);
		return;
	}
	op->sa = sa;
	sa->busy = true;
	control_op_run(c, op);
}

/* The step of an SA has ended: does what was asked for meanwhile, one thing at a time, else takes the next datagram. */
void control_sa_idle(struct control *c, struct control_sa *sa)
{
	sa->busy = false;
	if (sa->gone) {
		control_sa_remove(c, sa);
		return;
	}
	c->astray = c->astray || sa->astray;
	if (sa->close_code != 0) {
		enum model_failure_code code = (enum model_failure_code)(sa->close_code - 1);
		sa->close_code = 0;
		control_sa_close(c, sa, code);
		return;
	}
	if (sa->rekey_ike || sa->rekey_children) {
		bool ike = sa->rekey_ike;
		*(ike ? &sa->rekey_ike : &sa->rekey_children) = false;
		control_sa_rekey(c, sa, ike, 0);
		return;
	}
	struct control_datagram *d = control_waiting_take(sa);
	if (d == NULL)
		return;
	struct ike_event ev = control_message_event(c, &d->local, &d->remote, bytes_of(d->msg, d->len));
	ev.whole = d->whole;
	ev.inner_first = d->inner_first;
	ev.inner = bytes_of(d->msg + d->len, d->inner_len);
	control_sa_event(c, sa, &ev);
	control_waiting_free(d);
}

void control_sa_message(struct control *c, struct control_sa *sa, const struct ike_event *ev)
{
	if (sa->busy)
		control_waiting_keep(c, sa, ev);
	else
		control_sa_event(c, sa, ev);
}

void control_sa_close(struct control *c, struct control_sa *sa, enum model_failure_code code)
{
	if (sa->busy) {
		sa->close_code = (uint8_t)(code + 1);
		return;
	}
	const struct ike_event ev = { .kind = IKE_EV_CLOSE, .now_us = c->now_us, .close_code = (uint8_t)code };
	control_sa_event(c, sa, &ev);
}

void control_sa_rekey(struct control *c, struct control_sa *sa, bool ike, uint32_t spi_in)
{
	const struct ike_event ev = { .kind = ike ? IKE_EV_REKEY_IKE : IKE_EV_REKEY_CHILD, .now_us = c->now_us,
				      .child_spi = spi_in };
	if (!sa->busy)
		control_sa_event(c, sa, &ev);
	else if (ike)
		sa->rekey_ike = true;
	else
		sa->rekey_children = true;
}

/* A peer may have several IKE SAs, as while it authenticates again; one that forgets them, or means harm, could have any number. */
void control_tunnel_trim(struct control *c, struct control_tunnel *t, const struct control_sa *keep)
{
	struct control_sa *oldest = NULL;
	unsigned cnt = 0;

	for (struct control_sa *sa = t->sas; sa != NULL; sa = sa->next) {
		if (sa->r.state != IKE_STATE_ESTABLISHED || sa->r.closing || sa->close_code != 0)
			continue;
		cnt++;
		if (sa != keep && (oldest == NULL || sa->r.created_us < oldest->r.created_us))
			oldest = sa;
	}
	if (cnt > CONTROL_TUNNEL_SAS_MAX)
		control_sa_close(c, oldest, MODEL_FAILURE_REPLACED);
}

/* ---- operations ---- */

/* Ends an operation whose step had its effect, or none; whatever waited for it goes on. */
void control_op_drop(struct control *c, struct control_op *op)
{
	struct control_half *half = op->half;
	struct control_sa *sa = op->sa;
	const struct control_starter *unborn = op->starter;

	control_op_free(c, op);
	if (unborn != NULL)
		control_site_failed(c, &unborn->tunnel->id);
	if (half != NULL)
		half->busy = false;
	if (sa != NULL)
		control_sa_idle(c, sa);
}

static struct control_op *find_op(const struct control *c, uint64_t tag)
{
	for (struct hmap_node *n = hmap_first(&c->ops, siphash_u64(&c->hash_key, tag)); n != NULL; n = hmap_next(n)) {
		struct control_op *op = CONTAINER_OF(n, struct control_op, by_tag);
		if (op->tag == tag)
			return op;
	}
	return NULL;
}

/* ---- actions ---- */

/* RFC 7296 2.4: the peer says that it knows of no other IKE SA with us. The new children need no proof then: what is
 * sent on the former ones until they are gone would be lost. */
static void drop_others(struct control *c, struct control_tunnel *t, const struct control_sa *keep, const struct ike_sa *r)
{
	for (unsigned i = 0; keep != NULL && i < r->child_cnt; i++)
		fwd_child_prove(c->fwd, r->children[i].spi_in);
	for (struct control_sa *sa = t->sas, *next; sa != NULL; sa = next) {
		next = sa->next;
		if (sa != keep)
			control_sa_close(c, sa, MODEL_FAILURE_REPLACED);
	}
}

static struct control_tunnel *tunnel_of(struct control *c, const struct control_op *op)
{
	if (op->sa != NULL)
		return op->sa->tunnel;
	return op->step->out.has_sa && op->kind == OP_HALF ? control_tunnel_find(c, &op->step->new_sa.tunnel_id) : NULL;
}

static void apply_path(struct control *c, struct control_tunnel *t, const struct ike_sa *sa, const struct ike_action *a)
{
	if (t != NULL)
		control_why_path(t, &a->path);
	for (unsigned i = 0; i < sa->child_cnt; i++)
		fwd_child_path(c->fwd, sa->children[i].spi_in, &a->path);
}

static void take_failure(struct control *c, struct control_op *op, struct control_tunnel *t)
{
	struct model_failure *f = &op->step->out.failure;

	f->last_us = c->now_us; /* not older than what its step has done: a tunnel may be up since this step */
	if (f->code == MODEL_FAILURE_HALF_OPEN_TIMEOUT && op->half != NULL && op->half->h.start == NULL) {
		control_why_half(c, op->half); /* it knows more of what the peer did */
		return;
	}
	if (f->code == MODEL_FAILURE_DECRYPT && op->half != NULL)
		op->half->explained = true;
	control_failure(c, t, f);
}

static bool has_action(const struct ike_out *out, enum ike_action_kind kind)
{
	for (unsigned i = 0; i < out->cnt; i++)
		if (out->actions[i].kind == kind)
			return true;
	return false;
}

/* What is told must be true at every node of the site: Child SAs, and SPIs at which the answer to a request of ours will arrive. */
static bool concerns_all(const struct control_op *op)
{
	const struct control_step *s = op->step;

	if (has_action(&s->out, IKE_ACT_CHILD_PUT) || has_action(&s->out, IKE_ACT_CHILD_DELETE))
		return true;
	return s->out.has_rekeyed || (op->kind == OP_SA && s->out.has_sa && s->new_sa.tx_next != s->sa.tx_next);
}

/* Of a commit. rev 0: there was none. */
static struct control_news news_of(const struct control_op *op, const struct control_sa *sa, uint64_t rev)
{
	const struct control_step *s = op->step;
	struct control_news n = { .rev = rev, .ike = { sa != NULL ? sa->r.spi : 0 }, .numbers = &op->numbers };

	if (op->kind == OP_SA && s->out.has_rekeyed)
		n.ike[1] = ike_sa_our_spi(&s->rekeyed[0]);
	if (op->kind == OP_SA && s->out.has_redundant)
		n.ike[2] = ike_sa_our_spi(&s->rekeyed[1]);
	for (unsigned i = 0; i < s->out.cnt; i++)
		if (s->out.actions[i].kind == IKE_ACT_CHILD_PUT)
			n.child = s->out.actions[i].put.child;
	return n;
}

/* Everything that is not a commit, in the order that the step gave. sa is the entry after the step, or NULL; rev that of
 * its commit, 0: there was none. */
static void act(struct control *c, struct control_op *op, struct control_sa *sa, uint64_t rev)
{
	struct control_tunnel *t = tunnel_of(c, op);
	bool hold = c->clustered && rev != 0 && concerns_all(op);
	const struct control_news news = hold ? news_of(op, sa, rev) : (struct control_news){ 0 };

	for (unsigned i = 0; i < op->step->out.cnt; i++) {
		const struct ike_action *a = &op->step->out.actions[i];
		switch (a->kind) {
		case IKE_ACT_DH:
			break;
		case IKE_ACT_CHILD_PUT:
			control_child_install(c, a->put.child, a->put.replaces, rev);
			control_seq_made(c, a->put.child->spi_in, rev, &op->numbers);
			if (t != NULL)
				control_why_settle(c, t);
			break;
		case IKE_ACT_CHILD_PROVEN:
			fwd_child_prove(c->fwd, a->spi);
			break;
		case IKE_ACT_CHILD_DELETE:
			control_child_remove(c, a->spi, rev);
			break;
		case IKE_ACT_PATH:
			apply_path(c, t, &op->step->new_sa, a);
			break;
		case IKE_ACT_SEND:
			if (hold)
				control_hold_send(c, &news, a);
			else
				control_send(c, &a->send.local, &a->send.remote, a->send.marker, a->send.msg);
			break;
		case IKE_ACT_INITIAL_CONTACT:
			if (t != NULL)
				drop_others(c, t, sa, &op->step->new_sa);
			break;
		case IKE_ACT_FAILURE:
			take_failure(c, op, t);
			break;
		case IKE_ACT_DROP:
			control_drop(c, a->drop);
			break;
		case IKE_ACT_COUNT:
			control_count(c, a->counter);
			break;
		}
	}
	if (hold && !has_action(&op->step->out, IKE_ACT_SEND))
		control_hold_news(c, &news);
	if (t != NULL)
		control_tunnel_check_up(c, t);
}

/* ---- the end of a step ---- */

/* Our own first message goes out when its answer can be taken. */
static void finish_start(struct control *c, struct control_op *op)
{
	if (op->step->out.has_half && control_half_add(c, &op->step->new_half)) {
		op->starter = NULL;
		act(c, op, NULL, 0);
	}
	control_op_drop(c, op);
}

static void finish_init(struct control *c, struct control_op *op)
{
	if (op->step->out.has_sa && !control_half_add(c, &op->step->new_half))
		control_drop(c, MODEL_DROP_ike_half_open_limit);
	else
		act(c, op, NULL, 0);
	control_op_drop(c, op);
}

static bool stands(const struct control_tunnel *t)
{
	for (const struct control_sa *sa = t->sas; sa != NULL; sa = sa->next)
		if (sa->r.state == IKE_STATE_ESTABLISHED && !sa->r.closing)
			return true;
	return false;
}

/* The entry of an SA that a step has made. The watch may have told of it, and of what another node has done with it since, before the
 * store has told of our own commit: then that is newer. */
static struct control_sa *take_made(struct control *c, const struct ike_sa *r, struct control_record *made, uint64_t rev,
				    struct control_tunnel *t)
{
	struct control_sa *sa = control_sa_find(c, made->spi);

	return sa != NULL ? sa : control_sa_add(c, r, made, rev, t);
}

/* The committed record of a handshake becomes an SA; the half-open one has done its work. */
static void finish_auth(struct control *c, struct control_op *op, uint64_t rev)
{
	struct control_tunnel *t = control_tunnel_find(c, &op->step->new_sa.tunnel_id);
	struct control_half *half = op->half;
	bool replaced = t != NULL && stands(t);
	struct control_sa *sa = t == NULL ? NULL : take_made(c, &op->step->new_sa, &op->made[0], rev, t);

	op->half = NULL;
	if (sa == NULL) {
		control_drop(c, MODEL_DROP_ike_unexpected); /* the tunnel was deleted while the commit ran */
	} else {
		char to[ADDR_ENDPOINT_TEXT_MAX], suite[MODEL_SUITE_TEXT_MAX];
		bool idle = !sa->busy;
		sa->busy = true;
		if (c->clustered && rev > t->cur_seen) {
			t->cur_spi = sa->r.spi;
			t->cur_rev = t->cur_seen = rev;
		}
		control_why_settle(c, t);
		act(c, op, sa, rev);
		control_why_start(c, t, &sa->r.path, replaced);
		log_info("tunnel %s: IKE SA up with %s, %s", t->m.name,
			 addr_endpoint_format(&sa->r.path.remote, to),
			 model_suite_text(&op->step->new_sa.suite, suite));
		op->sa = idle ? sa : NULL;
		control_site_up(c, t);
		control_tunnel_trim(c, t, sa);
	}
	control_half_remove(c, half);
	control_op_drop(c, op);
}

static void finish_half(struct control *c, struct control_op *op)
{
	struct control_half *half = op->half;
	act(c, op, NULL, 0);
	if (op->step->out.has_half)
		half->h = op->step->new_half;
	if (!op->step->out.changed) {
		control_half_arm(c, half);
		control_op_drop(c, op);
		if (half->stale)
			control_site_drop_half(c, half);
		return;
	}
	/* it failed for good */
	const struct model_id tunnel_id = half->h.sa.tunnel_id;
	bool ours = half->h.start != NULL;
	op->half = NULL;
	control_half_remove(c, half);
	control_op_drop(c, op);
	if (ours)
		control_site_failed(c, &tunnel_id);
}

/* Children that moved to the IKE SA that replaces theirs (RFC 7296 2.8). */
static void adopt_children(struct control *c, const struct ike_sa *rekeyed)
{
	for (unsigned i = 0; i < rekeyed->child_cnt; i++) {
		struct control_child *child = control_child_find(c, rekeyed->children[i].spi_in);
		if (child != NULL)
			child->ike_spi = ike_sa_our_spi(rekeyed);
	}
}

/* The tunnel may start again at once: the peer has deleted the SA, or we have moved away from it. */
static bool ended_well(const struct ike_out *out)
{
	return has_action(out, IKE_ACT_FAILURE) &&
	       (out->failure.code == MODEL_FAILURE_PEER_DELETED || out->failure.code == MODEL_FAILURE_MOVED);
}

/* The record as the step has left it, unless another node has gone on from that already. False: it has. */
static bool take_record(struct control *c, struct control_op *op, uint64_t rev)
{
	struct control_sa *sa = op->sa;

	if (rev != 0 && rev <= sa->mod_rev)
		return false;
	sa->tunnel->child_rekeys += op->step->new_sa.child_rekeys - op->step->sa.child_rekeys;
	control_why_moves(c, sa->tunnel, &op->step->sa, &op->step->new_sa);
	control_record_free(&sa->r);
	sa->r = op->made[0];
	op->made[0] = (struct control_record){ 0 };
	if (rev != 0)
		sa->mod_rev = rev;
	return true;
}

static void finish_sa(struct control *c, struct control_op *op, uint64_t rev)
{
	struct control_sa *sa = op->sa;
	struct control_tunnel *t = sa->tunnel;
	bool newest = true;

	if (op->step->out.has_sa) {
		newest = take_record(c, op, rev);
		if (op->step->out.has_rekeyed && control_sa_find(c, op->made[1].spi) == NULL &&
		    control_sa_add(c, &op->step->rekeyed[0], &op->made[1], rev, t) != NULL) {
			adopt_children(c, &op->step->rekeyed[0]);
			t->ike_rekeys++;
		}
		if (op->step->out.has_redundant)
			(void)take_made(c, &op->step->rekeyed[1], &op->made[2], rev, t);
	}
	act(c, op, sa, rev);
	if (op->step->out.has_sa && sa->r.state == IKE_STATE_CLOSED)
		control_site_check(c, t, ended_well(&op->step->out));
	/* a CLOSED one stays a while for repeated requests; the timer removes it */
	if (newest)
		control_sa_arm(c, sa, op->step->out.has_sa ? &op->step->new_sa : &op->step->sa);
	control_op_drop(c, op);
}

/* ---- running ---- */

static void run_step(struct control *c, struct control_op *op)
{
	struct control_step *s = op->step;

	if (!op->fresh)
		crypt_random(op->ev.random, sizeof(op->ev.random));
	op->fresh = false;
	if (op->kind == OP_SA)
		control_record_read(&op->sa->r, &s->sa);
	op->ev.dh = op->has_dh ? &op->dh : NULL;
	if (control_ivs_lend(c, &op->ev) != ERR_NONE) {
		control_drop(c, MODEL_DROP_iv_exhausted);
		return;
	}
	switch (op->kind) {
	case OP_INIT:
		ike_init_step(&c->world, &op->ev, &s->new_half, &s->out);
		break;
	case OP_START:
		ike_start_step(&c->world, &op->starter->ike, &op->ev, &s->new_half, &s->out);
		break;
	case OP_HALF:
		ike_half_step(&c->world, &op->half->h, &op->ev, &s->new_half, &s->new_sa, &s->out);
		break;
	case OP_SA:
		ike_sa_step(&c->world, &s->sa, &op->ev, &s->new_sa, s->rekeyed, &s->out);
		break;
	}
	if (s->out.sealed)
		control_ivs_used(c);
}

/* How it is numbered stays with the SA, whatever becomes of the tunnel's setting: all nodes must agree. */
static void mark_child(const struct control *c, struct control_op *op)
{
	struct model_child_sa *child = &op->step->out.child;

	for (unsigned i = 0; i < op->step->out.cnt; i++) {
		if (op->step->out.actions[i].kind != IKE_ACT_CHILD_PUT)
			continue;
		const struct control_tunnel *t = control_tunnel_find(c, &child->tunnel_id);
		child->sequenced = (t != NULL && t->m.replay_protection) || child->suite.esn == IKE_ESN_YES;
	}
}

static void finish(struct control *c, struct control_op *op, uint64_t rev)
{
	switch (op->kind) {
	case OP_INIT:
		finish_init(c, op);
		break;
	case OP_START:
		finish_start(c, op);
		break;
	case OP_HALF:
		if (op->step->out.has_sa)
			finish_auth(c, op, rev);
		else
			finish_half(c, op);
		break;
	case OP_SA:
		finish_sa(c, op, rev);
		break;
	}
}

/* What must be in the store before it is true. Where others write too, the record here may be old: only the commit shows
 * that an answer is right that depends on it. A liveness check asks for nothing, and any node may answer it. */
static bool needs_commit(const struct control *c, const struct control_op *op)
{
	if (c->clustered && op->kind == OP_SA && op->step->out.has_sa && op->step->out.asks)
		return true;
	return op->kind != OP_INIT && op->kind != OP_START && op->step->out.has_sa && (op->kind == OP_HALF || op->step->out.changed);
}

/* The records that are to be committed and kept. */
static enum err encode(const struct control *c, struct control_op *op)
{
	const struct control_step *s = op->step;

	if (op->kind != OP_HALF && op->kind != OP_SA)
		return ERR_NONE;
	enum err e = s->out.has_sa ? control_record_make(c, &s->new_sa, &op->made[0]) : ERR_NONE;
	if (e == ERR_NONE && s->out.has_rekeyed)
		e = control_record_make(c, &s->rekeyed[0], &op->made[1]);
	if (e == ERR_NONE && s->out.has_redundant)
		e = control_record_make(c, &s->rekeyed[1], &op->made[2]);
	return e;
}

/* The job is copied; the step runs again, from the beginning, with the result. It has made nothing out of its random bytes. */
static void wait_for_dh(struct control *c, struct control_op *op)
{
	enum err e = control_dh_submit(c->dh, op->tag, &op->step->out.actions[0].dh, op->kind != OP_INIT);

	op->dh_op = (uint8_t)op->step->out.actions[0].dh.op;
	op->base_rev = op->kind == OP_SA ? op->sa->mod_rev : 0;
	op->fresh = true;
	control_op_forget_step(c, op);
	if (e != ERR_NONE) {
		control_drop(c, MODEL_DROP_ike_dh_queue);
		control_op_drop(c, op);
	}
}

/* ---- a record that is not the newest ---- */

static bool is_current_known(const struct control *c, const struct control_op *op)
{
	const struct control_tunnel *t = control_tunnel_find(c, &op->tunnel_id);
	return t == NULL || t->cur_spi == 0 || control_sa_find(c, t->cur_spi) != NULL;
}

static void read_key(struct control *c, struct control_op *op, struct model_key key)
{
	enum err e = store_thread_read(c->store, model_key_bytes(&key), op->tag);

	if (e == ERR_NONE)
		op->reading++;
	else
		op->read_err = e;
}

/* What another node has written is read, and the step begins anew. */
static void read_again(struct control *c, struct control_op *op)
{
	control_op_forget_step(c, op);
	op->looked_up = true;
	op->read_err = ERR_NONE;
	/* A key pair may be of another group than the record now asks for, a secret of another request. */
	if (op->kind == OP_SA && op->dh_op != IKE_DH_RESPOND)
		op->has_dh = false;
	read_key(c, op, model_key_ike(op->kind == OP_SA ? op->sa->r.spi : ike_sa_our_spi(&op->half->h.sa)));
	if (op->kind == OP_HALF && c->clustered)
		read_key(c, op, model_key_current(&op->tunnel_id));
	if (op->reading == 0) {
		control_drop(c, MODEL_DROP_ike_busy);
		control_op_drop(c, op);
	}
}

/* The commit of which nobody knew whether it was done has been done: the SA is there, and answers. */
static void hand_over(struct control *c, struct control_op *op, struct control_sa *sa)
{
	struct control_half *half = op->half;

	op->half = NULL;
	if (op->ev.kind == IKE_EV_MESSAGE)
		control_sa_message(c, sa, &op->ev);
	control_half_remove(c, half);
	control_op_drop(c, op);
}

static void take_read(struct control *c, struct control_op *op, enum err err)
{
	struct control_sa *sa = op->kind == OP_HALF ? control_sa_find(c, ike_sa_our_spi(&op->half->h.sa)) : NULL;

	if (err != ERR_NONE)
		op->read_err = err;
	if (--op->reading != 0)
		return;
	if (op->read_err != ERR_NONE) { /* the peer repeats its request */
		control_drop(c, MODEL_DROP_ike_busy);
		control_op_drop(c, op);
		return;
	}
	if (sa != NULL) {
		hand_over(c, op, sa);
		return;
	}
	if (op->kind == OP_HALF && !op->current_read && !is_current_known(c, op)) {
		op->current_read = true;
		read_key(c, op, model_key_ike(control_tunnel_find(c, &op->tunnel_id)->cur_spi));
		if (op->reading != 0)
			return;
	}
	op->ev.now_us = c->now_us;
	control_op_run(c, op);
}

static bool is_response(struct bytes msg)
{
	struct wire_ike_header h;
	return wire_ike_header_parse(msg, &h) == ERR_NONE && (h.flags & IKE_FLAG_RESPONSE) != 0;
}

/* The answer to a request of ours that another node has made, and that has not come by here. */
static bool comes_early(struct control *c, const struct control_op *op)
{
	const struct ike_out *out = &op->step->out;

	return c->clustered && op->kind == OP_SA && !op->looked_up && op->ev.kind == IKE_EV_MESSAGE && out->cnt == 1 &&
	       out->actions[0].kind == IKE_ACT_DROP && out->actions[0].drop == MODEL_DROP_ike_msgid &&
	       is_response(op->ev.msg) && control_read_allowed(c);
}

/* The store does not write, or has too much to do: of what is due every SA would try it again and again. */
static void put_off(struct control *c, const struct control_op *op)
{
	uint64_t at = c->now_us + PUT_OFF_US;

	if (op->kind == OP_SA && op->ev.kind == IKE_EV_TIMER && op->sa->timer.at < at &&
	    heap_set(&c->sa_timers, &op->sa->timer, at) != ERR_NONE)
		log_error("no memory for the timer of an IKE SA");
}

/* ---- from its beginning to its end ---- */

void control_op_run(struct control *c, struct control_op *op)
{
	bool gone = op->kind == OP_SA && op->sa->gone;

	control_op_forget_step(c, op);
	op->step = gone ? NULL : control_step_take(c);
	if (op->step == NULL) {
		control_drop(c, gone ? MODEL_DROP_ike_gone : MODEL_DROP_ike_busy);
		control_op_drop(c, op);
		return;
	}
	run_step(c, op);
	mark_child(c, op);
	if (comes_early(c, op)) {
		read_again(c, op);
		return;
	}
	if (op->step->out.cnt != 0 && op->step->out.actions[0].kind == IKE_ACT_DH) {
		wait_for_dh(c, op);
		return;
	}
	enum err e = encode(c, op);
	if (e == ERR_NONE && !needs_commit(c, op)) {
		finish(c, op, 0);
		return;
	}
	crash_point("before-commit");
	if (e == ERR_NONE)
		e = control_commit_submit(c, op);
	if (e == ERR_NONE)
		e = control_step_park(c, op);
	if (e != ERR_NONE) { /* the peer repeats its request */
		put_off(c, op);
		control_drop(c, MODEL_DROP_ike_busy);
		control_op_drop(c, op);
	}
}

void control_op_dh_done(struct control *c, const struct control_dh_done *done)
{
	struct control_op *op = find_op(c, done->tag);
	if (op == NULL)
		return;
	/* A value that is not valid is told to the step by empty lengths: it decides what the peer hears. */
	op->dh = done->result;
	if (done->err != ERR_NONE)
		op->dh.public_len = op->dh.secret_len = 0;
	/* The record has changed meanwhile: only the answer to the same message is still the same. */
	op->has_dh = op->kind != OP_SA || op->dh_op == IKE_DH_RESPOND || op->sa->mod_rev == op->base_rev;
	op->ev.now_us = c->now_us;
	control_op_run(c, op);
}

void control_op_committed(struct control *c, const struct store_done *done)
{
	struct control_op *op = find_op(c, done->tag);
	if (op == NULL)
		return;
	if (op->reading != 0) {
		take_read(c, op, done->result.err);
		return;
	}
	if (done->result.err == ERR_NONE) {
		crash_point("after-commit");
		control_step_unpark(c, op);
		control_commit_rest(c, op);
		finish(c, op, done->result.rev);
		crash_point("after-reply");
		return;
	}
	/* An SPI that is taken, or another writer: the step runs again with what the store has, and fresh random bytes and IVs. */
	if (done->result.err == ERR_CONFLICT && ++op->tries < CONTROL_TRIES_MAX) {
		read_again(c, op);
		return;
	}
	uint32_t held;
	if (log_limit_take(&c->commit_log, c->now_us / 1000, &held))
		log_error("an IKE step could not be committed: %s (%u lines held back)", err_text(done->result.err), held);
	put_off(c, op);
	control_op_drop(c, op);
}
