// The IKE SAs and half-open SAs: which of them a datagram, a timer or a notice belongs to.
#include "control/internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/secret.h"
#include "crypt/random.h"
#include "wire/ike.h"

#define ASK_BUSY_US 100000u
#define ASK_DUTY_US 1000000u
#define DUE_A_TURN 256 /* timers: after a start those of all SAs may be due at once */
/* In a cluster: any node may have to answer again, also one that comes only then. */
#define CLOSED_MORE_US UINT64_C(120000000)

/* ---- tables ---- */

uint64_t control_spi_hash(const struct control *c, uint64_t spi)
{
	return siphash_u64(&c->hash_key, spi);
}

/* A repeated IKE_SA_INIT has no SPI of ours yet: it is known by the peer's SPI and address (RFC 7296 2.1). */
static uint64_t hash_init(const struct control *c, uint64_t spi_i, const struct addr_endpoint *remote)
{
	uint8_t b[8 + 16 + 2];
	struct wr w = wr_of(SPACE_OF(b));
	wr_u64(&w, spi_i);
	wr_put(&w, bytes_of(remote->addr.b, sizeof(remote->addr.b)));
	wr_u16(&w, remote->port);
	return siphash(&c->hash_key, BYTES_OF(b));
}

struct control_sa *control_sa_find(const struct control *c, uint64_t our_spi)
{
	for (struct hmap_node *n = hmap_first(&c->sas, control_spi_hash(c, our_spi)); n != NULL; n = hmap_next(n)) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		if (sa->r.spi == our_spi)
			return sa;
	}
	return NULL;
}

static struct control_half *find_half(const struct control *c, uint64_t our_spi)
{
	for (struct hmap_node *n = hmap_first(&c->halves_by_spi, control_spi_hash(c, our_spi)); n != NULL;
	     n = hmap_next(n)) {
		struct control_half *h = CONTAINER_OF(n, struct control_half, by_spi);
		if (ike_sa_our_spi(&h->h.sa) == our_spi)
			return h;
	}
	return NULL;
}

static struct control_half *find_init(const struct control *c, uint64_t spi_i, const struct addr_endpoint *remote)
{
	for (struct hmap_node *n = hmap_first(&c->halves_by_init, hash_init(c, spi_i, remote)); n != NULL;
	     n = hmap_next(n)) {
		struct control_half *h = CONTAINER_OF(n, struct control_half, by_init);
		if (h->h.sa.spi_i == spi_i && addr_endpoint_eq(&h->h.sa.path.remote, remote))
			return h;
	}
	return NULL;
}

/* A peer's counts at its address, and is known by its first message. */
static bool add_peers(struct control *c, struct control_half *h)
{
	const struct ike_sa *sa = &h->h.sa;

	if (!control_source_add(c, &sa->path.remote.addr))
		return false;
	hmap_add(&c->halves_by_init, &h->by_init, hash_init(c, sa->spi_i, &sa->path.remote));
	return true;
}

static void remove_peers(struct control *c, struct control_half *h)
{
	hmap_remove(&c->halves_by_init, &h->by_init);
	control_source_remove(c, &h->h.sa.path.remote.addr);
}

void control_half_arm(struct control *c, struct control_half *h)
{
	if (heap_set(&c->half_timers, &h->timer, ike_half_timer(&h->h)) != ERR_NONE)
		log_error("no memory for the timer of a half-open IKE SA");
}

static void free_half(struct control_half *h)
{
	ike_half_wipe(&h->h);
	free(h);
}

bool control_half_add(struct control *c, const struct ike_half *half)
{
	struct control_half *h = malloc(sizeof(*h));
	if (h == NULL)
		return false;
	memset(h, 0, offsetof(struct control_half, h));
	h->h = *half;
	if (half->start == NULL && !add_peers(c, h)) {
		free_half(h);
		return false;
	}
	if (heap_set(&c->half_timers, &h->timer, ike_half_timer(half)) != ERR_NONE) {
		if (half->start == NULL)
			remove_peers(c, h);
		free_half(h);
		return false;
	}
	hmap_add(&c->halves_by_spi, &h->by_spi, control_spi_hash(c, ike_sa_our_spi(&half->sa)));
	return true;
}

void control_half_remove(struct control *c, struct control_half *h)
{
	hmap_remove(&c->halves_by_spi, &h->by_spi);
	heap_remove(&c->half_timers, &h->timer);
	control_frag_free(c, &h->frags);
	if (h->h.start == NULL)
		remove_peers(c, h);
	free_half(h);
}

struct control_sa *control_sa_add(struct control *c, const struct ike_sa *r, struct control_record *made, uint64_t mod_rev,
				  struct control_tunnel *t)
{
	struct control_sa *sa = calloc(1, sizeof(*sa));
	if (sa == NULL)
		return NULL;
	sa->r = *made;
	*made = (struct control_record){ 0 };
	sa->mod_rev = mod_rev;
	sa->tunnel = t;
	sa->next = t->sas;
	t->sas = sa;
	control_address_remote(c, t, &r->path.remote.addr);
	hmap_add(&c->sas, &sa->by_spi, control_spi_hash(c, sa->r.spi));
	control_sa_arm(c, sa, r);
	control_site_follow(c, sa);
	return sa;
}

static struct control_datagram *take_waiting(struct control_sa *sa)
{
	struct control_datagram *d = sa->waiting;

	if (d == NULL)
		return NULL;
	sa->waiting = d->next;
	sa->waiting_cnt--;
	return d;
}

static void free_message(struct control_datagram *d)
{
	if (d->whole)
		secret_wipe(d->msg, (size_t)d->len + d->inner_len);
	free(d);
}

static void free_sa(struct control *c, struct control_sa *sa)
{
	for (struct control_datagram *d; (d = take_waiting(sa)) != NULL;)
		free_message(d);
	control_frag_free(c, &sa->frags);
	control_record_free(&sa->r);
	free(sa);
}

void control_sa_remove(struct control *c, struct control_sa *sa)
{
	struct control_tunnel *t = sa->tunnel;
	struct control_sa **p = &t->sas;

	must(!sa->busy);
	control_orphan_children(c, sa);
	control_mirror_bury(c, false, sa->r.spi, sa->mod_rev, 0);
	while (*p != sa)
		p = &(*p)->next;
	*p = sa->next;
	hmap_remove(&c->sas, &sa->by_spi);
	heap_remove(&c->sa_timers, &sa->timer);
	free_sa(c, sa);
	control_tunnel_check_up(c, t);
	control_tunnel_idle(c, t);
}

void control_sas_free(struct control *c)
{
	struct hmap_walk w;
	for (struct hmap_node *n = hmap_walk_first(&c->sas, &w); n != NULL; n = hmap_walk_next(&c->sas, &w)) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		hmap_remove(&c->sas, &sa->by_spi);
		free_sa(c, sa);
	}
	for (struct hmap_node *n = hmap_walk_first(&c->halves_by_spi, &w); n != NULL;
	     n = hmap_walk_next(&c->halves_by_spi, &w))
		control_half_remove(c, CONTAINER_OF(n, struct control_half, by_spi));
	for (struct hmap_node *n = hmap_walk_first(&c->children, &w); n != NULL; n = hmap_walk_next(&c->children, &w)) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		control_seq_remove(c, child);
		hmap_remove(&c->children, n);
		control_use_free(child);
		free(child);
	}
	hmap_fini(&c->sas);
	hmap_fini(&c->halves_by_spi);
	hmap_fini(&c->halves_by_init);
	hmap_fini(&c->children);
	hmap_fini(&c->sources);
	heap_fini(&c->sa_timers);
	heap_fini(&c->half_timers);
	heap_fini(&c->child_timers);
	heap_fini(&c->frag_timers);
}

/* ---- events ---- */

static struct ike_event message_event(const struct control *c, const struct addr_endpoint *local,
				      const struct addr_endpoint *remote, struct bytes msg)
{
	return (struct ike_event){ .kind = IKE_EV_MESSAGE, .now_us = c->now_us, .msg = msg, .local = *local,
				   .remote = *remote };
}

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

/* A step is under way: the message waits its turn, a few at most; the peer repeats what is lost. */
static void keep_waiting(struct control *c, struct control_sa *sa, const struct ike_event *ev)
{
	size_t len = ev->msg.len + ev->inner.len;
	struct control_datagram **last = &sa->waiting;
	struct control_datagram *d = sa->waiting_cnt == CONTROL_WAITING_MAX ? NULL : malloc(sizeof(*d) + len);
	if (d == NULL) {
		control_drop(c, MODEL_DROP_ike_busy);
		return;
	}
	*d = (struct control_datagram){
		.local = ev->local,
		.remote = ev->remote,
		.whole = ev->whole,
		.inner_first = ev->inner_first,
		.len = (uint16_t)ev->msg.len,
		.inner_len = (uint16_t)ev->inner.len,
	};
	struct wr w = wr_of((struct space){ d->msg, len });
	wr_put(&w, ev->msg);
	wr_put(&w, ev->inner);
	must(!w.bad);
	while (*last != NULL)
		last = &(*last)->next;
	*last = d;
	sa->waiting_cnt++;
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
	struct control_datagram *d = take_waiting(sa);
	if (d == NULL)
		return;
	struct ike_event ev = message_event(c, &d->local, &d->remote, bytes_of(d->msg, d->len));
	ev.whole = d->whole;
	ev.inner_first = d->inner_first;
	ev.inner = bytes_of(d->msg + d->len, d->inner_len);
	control_sa_event(c, sa, &ev);
	free_message(d);
}

void control_sa_message(struct control *c, struct control_sa *sa, const struct ike_event *ev)
{
	if (sa->busy)
		keep_waiting(c, sa, ev);
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

/* ---- half-open limits ---- */

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
	struct ike_event ev = message_event(c, local, remote, msg);
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

/* ---- datagrams ---- */

static void note_no_marker(struct control *c, const struct fwd_punt *p)
{
	struct model_failure f = { .code = MODEL_FAILURE_NO_MARKER, .stage = MODEL_STAGE_SA_INIT, .local = p->local,
				   .remote = p->remote, .first_us = c->now_us, .last_us = c->now_us, .cnt = 1 };
	control_drop(c, MODEL_DROP_ike_no_marker);
	control_failure(c, NULL, &f);
}

/* Where a message is put together: the control thread's own, wiped by the next one. */
static uint8_t joined[IKE_FRAG_JOIN_MAX];

/* What has become of a datagram so far. */
struct journey {
	bool forwarded; /* another node has sent it here: it goes no further */
	bool looked_up; /* its IKE SA was read from the store */
};

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
	struct ike_event ev = message_event(c, &p->local, &p->remote, msg);
	struct control_sa *sa = ours == 0 ? NULL : control_sa_find(c, ours);
	if (sa != NULL) {
		take_known(c, p, sa, &ev, j);
		return;
	}
	struct control_half *half = ours != 0 ? find_half(c, ours) : find_init(c, h.spi_i, &p->remote);
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

/* ---- notices of the workers ---- */

enum fwd_path_word control_path_heard(struct control *c, const struct fwd_too_big *t)
{
	enum fwd_path_word word = fwd_path_too_big(c->fwd, t, clock_mono_ms());

	if (word == FWD_PATH_LOWERED)
		fwd_count(fwd_control_counters(c->fwd), MODEL_COUNTER_path_mtu_lowered, 1);
	return word;
}

/* A router does not know which node has sent the packet. */
static void take_too_big(struct control *c, const struct fwd_too_big *t)
{
	enum fwd_path_word word = control_path_heard(c, t);

	if (word != FWD_PATH_IGNORED)
		control_mesh_too_big(c, t);
	if (word != FWD_PATH_LOWERED)
		fwd_count_drop(fwd_control_counters(c->fwd), MODEL_DROP_icmp_ignored);
}

/* A rekey has replaced it meanwhile. */
static bool is_replaced(const struct control_sa *sa, uint32_t spi_in)
{
	struct ike_sa r;

	control_record_read(&sa->r, &r);
	bool replaced = ike_sa_child_replaced(&r, spi_in);
	ike_sa_wipe(&r);
	return replaced;
}

bool control_proven(struct control *c, uint32_t spi_in)
{
	const struct control_child *child = control_child_find(c, spi_in);
	const struct control_sa *sa = child == NULL ? NULL : control_sa_find(c, child->ike_spi);

	/* A straggler on one that was replaced meanwhile must not bring sending back to it. */
	if (child == NULL || (sa != NULL && is_replaced(sa, spi_in)))
		return false;
	fwd_child_prove(c->fwd, spi_in);
	return true;
}

void control_notice(struct control *c, const struct fwd_notice *n)
{
	if (n->kind == FWD_NOTICE_TOO_BIG) {
		take_too_big(c, &n->too_big);
		return;
	}
	struct control_child *child = control_child_find(c, n->spi_in);
	if (child == NULL)
		return;
	struct control_sa *sa = control_sa_find(c, child->ike_spi);
	struct ike_event ev = { .kind = IKE_EV_ADDRESS, .now_us = c->now_us, .remote = n->remote };
	switch ((enum fwd_notice_kind)n->kind) {
	case FWD_NOTICE_FIRST:
		if (control_proven(c, n->spi_in))
			control_mesh_proven(c, n->spi_in);
		break;
	case FWD_NOTICE_ADDRESS:
		if (sa == NULL || sa->busy)
			break;
		ev.local = sa->r.path.local;
		control_sa_event(c, sa, &ev);
		break;
	case FWD_NOTICE_IV_LOW:
		if (sa != NULL)
			control_sa_rekey(c, sa, false, n->spi_in);
		break;
	case FWD_NOTICE_NUMBERS:
		control_seq_low(c, n->spi_in);
		break;
	case FWD_NOTICE_TOO_BIG:
		break;
	}
}

/* ---- timers ---- */

void control_sa_arm(struct control *c, struct control_sa *sa, const struct ike_sa *r)
{
	uint64_t at = ike_sa_timer(r, control_sa_last_esp(c, r));
	if (heap_set(&c->sa_timers, &sa->timer, at) != ERR_NONE)
		log_error("no memory for the timer of an IKE SA");
}

static void halves_timers(struct control *c)
{
	const struct ike_event ev = { .kind = IKE_EV_TIMER, .now_us = c->now_us };
	struct heap_node *n;

	for (unsigned left = DUE_A_TURN; left-- > 0 && (n = heap_first(&c->half_timers)) != NULL && n->at <= c->now_us;) {
		struct control_half *h = CONTAINER_OF(n, struct control_half, timer);
		/* It is asked again soon if it is busy; the step sets its next time. */
		if (heap_set(&c->half_timers, n, c->now_us + 100000) != ERR_NONE)
			break;
		if (!h->busy)
			control_half_event(c, h, &ev);
	}
}

static uint64_t when_due(const struct control *c, const struct control_sa *sa, uint64_t *ret_last_esp_us)
{
	struct ike_sa r;

	control_record_read(&sa->r, &r);
	*ret_last_esp_us = control_sa_last_esp(c, &r);
	if (sa->heard_us > *ret_last_esp_us)
		*ret_last_esp_us = sa->heard_us;
	uint64_t at = ike_sa_timer(&r, *ret_last_esp_us);
	if (r.state == IKE_STATE_CLOSED && c->clustered)
		at += CLOSED_MORE_US;
	ike_sa_wipe(&r);
	return at;
}

/* Its record goes when nobody will repeat the last request any more; with several nodes the watch then tells it to all. */
static void forget_closed(struct control *c, struct control_sa *sa)
{
	const struct model_key key = model_key_ike(sa->r.spi);
	const struct store_cmp cmp = { model_key_bytes(&key), sa->mod_rev };
	const struct store_op op = { .kind = STORE_DELETE, .key = model_key_bytes(&key) };
	const struct store_txn txn = { .cmps = &cmp, .cmp_cnt = 1, .ops = &op, .op_cnt = 1 };

	if (store_thread_submit(c->store, &txn, CONTROL_TAG_QUIET) != ERR_NONE)
		log_debug("an ended IKE SA stays in the store for now");
}

/* Of an SA whose time has come; it may be gone afterwards. */
static void run_timer(struct control *c, struct control_sa *sa, uint64_t last_esp_us)
{
	const struct ike_event ev = { .kind = IKE_EV_TIMER, .now_us = c->now_us, .last_esp_us = last_esp_us };

	if (sa->r.state != IKE_STATE_CLOSED)
		control_sa_event(c, sa, &ev);
	else if (c->clustered)
		forget_closed(c, sa);
	else
		control_sa_remove(c, sa);
}

void control_sas_timers(struct control *c)
{
	struct heap_node *n;

	halves_timers(c);
	for (unsigned left = DUE_A_TURN; left-- > 0 && (n = heap_first(&c->sa_timers)) != NULL && n->at <= c->now_us;) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, timer);
		uint64_t last_esp_us;
		/* ESP that arrived since the timer was set puts the liveness check off. */
		uint64_t at = when_due(c, sa, &last_esp_us);
		bool due = at <= c->now_us, duty = control_duty_sa(c, sa->r.spi);
		/* Another node's duty may become ours. */
		uint64_t again = !duty || sa->r.state == IKE_STATE_CLOSED ? ASK_DUTY_US : ASK_BUSY_US;
		if (heap_set(&c->sa_timers, n, due ? c->now_us + again : at) != ERR_NONE)
			break;
		if (due && duty && !sa->busy)
			run_timer(c, sa, last_esp_us);
	}
	control_children_timers(c);
	control_frags_timers(c);
}

static uint64_t first_of(const struct heap *h, uint64_t at)
{
	const struct heap_node *n = heap_first(h);
	return n != NULL && n->at < at ? n->at : at;
}

uint64_t control_sas_next_us(const struct control *c)
{
	return first_of(&c->half_timers, first_of(&c->sa_timers, first_of(&c->child_timers, UINT64_MAX)));
}
