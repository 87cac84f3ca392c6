#include "watch.h"

#include <stdio.h>
#include <stdlib.h>

#define BIT(state) (1u << (state))

static _Noreturn void wrong(const struct watch *w, const char *what)
{
	const struct watch_mark *m = w->mark;

	fprintf(stderr, "seed %llu, step %lu, %s: %s\n", (unsigned long long)w->d->seed, w->steps, w->what, what);
	if (m != NULL)
		fprintf(stderr, "state %d, next id %u, answered %d id %u, own request %d id %u exchange %u; sent %u requests, %u answers, error %u\n",
			(int)m->state, m->rx_next, m->has_reply, m->reply_id, m->pending, m->pending_id, m->pending_exchange, w->requests,
			w->replies, w->reply_error);
	abort();
}

static uint64_t hash_more(uint64_t h, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		h = (h ^ b.p[i]) * 0x100000001b3u;
	return h;
}

static uint64_t hash(struct bytes b)
{
	return hash_more(0xcbf29ce484222325u, b);
}

/* ---- what an end has ---- */

static const struct duo_sa *slot_of(const struct watch *w, const struct watch_mark *m)
{
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		const struct duo_sa *s = &w->d->end[m->end].sas[i];
		if (s->used && s->r.spi_i == m->spi_i && s->r.spi_r == m->spi_r)
			return s;
	}
	return NULL;
}

static uint64_t hash_records(const struct duo_end *e, unsigned *ret_cnt)
{
	static uint8_t room[IKE_SA_RECORD_MAX];
	uint64_t h = 1;

	*ret_cnt = 0;
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		struct wr w = wr_of(SPACE_OF(room));
		if (!e->sas[i].used)
			continue;
		must(ike_sa_encode(&e->sas[i].r, MODEL_FORMAT_OLDEST, &w) == ERR_NONE);
		h = hash_more(h, wr_bytes(&w));
		(*ret_cnt)++;
	}
	return h;
}

static uint64_t hash_children(const struct duo_end *e)
{
	uint64_t h = 1;

	for (unsigned i = 0; i < e->child_cnt; i++)
		h += hash(bytes_of((const uint8_t *)&e->children[i].sa.spi_in, sizeof(uint32_t)));
	return h;
}

/* What must be true of an end at any time. */
static void check_always(const struct watch *w, unsigned end)
{
	const struct duo_end *e = &w->d->end[end];

	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		const struct ike_sa *sa = &e->sas[i].r;
		if (!e->sas[i].used)
			continue;
		if (!sa->auth_verified || sa->state == IKE_STATE_HALF_OPEN)
			wrong(w, "an SA without a verified AUTH");
		if (!model_id_eq(&sa->account_id, &w->d->peer.account_id) || !model_id_eq(&sa->tunnel_id, &w->d->peer.tunnel_id))
			wrong(w, "an SA of another account");
		if (sa->state == IKE_STATE_CLOSED && sa->child_cnt != 0)
			wrong(w, "Child SAs of a closed IKE SA");
	}
	for (unsigned i = 0; i < e->child_cnt; i++) {
		const struct model_child_sa *c = &e->children[i].sa;
		const struct ike_sa *owner = NULL;
		for (unsigned n = 0; n < DUO_SAS_MAX; n++)
			if (e->sas[n].used && e->sas[n].spi == c->ike_spi && e->sas[n].r.state != IKE_STATE_CLOSED)
				owner = &e->sas[n].r;
		if (owner == NULL)
			wrong(w, "a Child SA without an IKE SA");
		if (!model_id_eq(&c->account_id, &owner->account_id) || !model_id_eq(&c->tunnel_id, &owner->tunnel_id))
			wrong(w, "a Child SA of another account");
	}
}

/* ---- marks ---- */

static struct watch_mark *find_mark(struct watch *w, unsigned end, uint64_t spi_i, uint64_t spi_r)
{
	for (unsigned i = 0; i < WATCH_MARKS_MAX; i++) {
		struct watch_mark *m = &w->marks[i];
		if (m->used && m->end == end && m->spi_i == spi_i && m->spi_r == spi_r)
			return m;
	}
	return NULL;
}

static void add_mark(struct watch *w, unsigned end, const struct ike_sa *sa)
{
	unsigned i = 0;

	while (i < WATCH_MARKS_MAX && w->marks[i].used)
		i++;
	must(i < WATCH_MARKS_MAX);
	w->marks[i] = (struct watch_mark){ .used = true, .end = end, .spi_i = sa->spi_i, .spi_r = sa->spi_r,
					   .state = (enum ike_state)sa->state, .rx_next = sa->rx_next };
	if (sa->reply.len != 0) { /* IKE_AUTH was the first */
		w->marks[i].has_reply = true;
		w->marks[i].reply_id = sa->reply.msg_id;
		w->marks[i].request_hash = 0;
	}
}

/* RFC 7296 2.8.2: the peer's rekey was answered while ours was on its way, which nobody answered until the SA was given up:
 * then the peer's stands. */
static bool spend_rival(struct watch *w, unsigned end)
{
	for (unsigned i = 0; i < WATCH_MARKS_MAX; i++) {
		struct watch_mark *m = &w->marks[i];
		const struct duo_sa *s = m->used ? slot_of(w, m) : NULL;
		if (m->end != end || !m->rival || (s != NULL && s->r.state != IKE_STATE_CLOSED))
			continue;
		m->rival = false;
		return true;
	}
	return false;
}

/* Within a step it is judged afterwards whether there may be a new one. */
static void add_new_marks(struct watch *w, unsigned end)
{
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		const struct duo_sa *s = &w->d->end[end].sas[i];
		if (!s->used || find_mark(w, end, s->r.spi_i, s->r.spi_r) != NULL)
			continue;
		if (!w->in_step && !spend_rival(w, end))
			wrong(w, "an SA came without a message");
		add_mark(w, end, &s->r);
	}
}

/* Timers and events end an SA, or tell the peer something; they take no message. */
static void follow_mark(struct watch *w, struct watch_mark *m)
{
	const struct duo_sa *s = slot_of(w, m);

	if (s == NULL) {
		/* a closed one is kept a minute */
		if (m->state != IKE_STATE_CLOSED && w->d->now_us - w->seen_us < 60000000)
			wrong(w, "an SA went without being closed");
		m->used = false;
		return;
	}
	if (s->r.state != m->state && s->r.state != IKE_STATE_CLOSED)
		wrong(w, "a timer led to a state that it cannot lead to");
	if (s->r.rx_next != m->rx_next)
		wrong(w, "a message id moved without a message");
	m->state = (enum ike_state)s->r.state;
}

void watch_check(struct watch *w)
{
	snprintf(w->what, sizeof(w->what), "between messages");
	for (unsigned i = 0; i < WATCH_MARKS_MAX; i++)
		if (w->marks[i].used)
			follow_mark(w, &w->marks[i]);
	w->seen_us = w->d->now_us;
	for (unsigned end = 0; end < 2; end++) {
		check_always(w, end);
		add_new_marks(w, end);
	}
}

/* ---- what is sent ---- */

/* A nonce of AES-GCM belongs to one message. */
static void note_iv(struct watch *w, const struct look *l, struct bytes msg)
{
	uint64_t key = hash_more(hash(bytes_of((const uint8_t *)&l->h.spi_i, 16)), bytes_of((const uint8_t *)&l->iv, 8)) +
		       (l->h.flags & IKE_FLAG_INITIATOR);
	uint64_t of = hash(msg);
	unsigned at = (unsigned)(key % WATCH_IVS_MAX);

	for (; w->ivs[at].msg != 0; at = (at + 1) % WATCH_IVS_MAX) {
		if (w->ivs[at].key != key)
			continue;
		if (w->ivs[at].msg != of)
			wrong(w, "an IV was used for two messages");
		return;
	}
	must(++w->iv_cnt < WATCH_IVS_MAX / 2);
	w->ivs[at].key = key;
	w->ivs[at].msg = of;
}

static void see_send(void *arg, unsigned from, struct bytes msg)
{
	struct watch *w = arg;
	static struct look l;

	look_learn(&w->keys, w->d);
	bool opened = look_open(&w->keys, msg, &l);
	if (opened)
		note_iv(w, &l, msg);
	if (wire_ike_header_parse(msg, &l.h) != ERR_NONE)
		wrong(w, "a message that is none was sent");
	if ((l.h.flags & IKE_FLAG_RESPONSE) != 0) {
		w->replies++;
		w->reply_hash = hash_more(w->reply_hash, msg);
		w->reply_opened = opened && !l.fragment;
		w->reply_error = w->reply_opened ? look_error(&l) : 0;
		return;
	}
	w->requests++;
	add_new_marks(w, from);
	struct watch_mark *m = find_mark(w, from, l.h.spi_i, l.h.spi_r);
	if (m == NULL)
		return; /* of a handshake */
	if (m->pending && l.h.msg_id != m->pending_id && l.h.msg_id != m->pending_id + 1)
		wrong(w, "a message id was left out");
	m->pending_delete = opened && look_deletes(&l, IKE_PROTO_IKE);
	m->pending = true;
	m->pending_id = l.h.msg_id;
	m->pending_exchange = l.h.exchange;
}

/* ---- foretelling ---- */

static bool is_known(uint8_t type)
{
	return type >= IKE_PL_SA && type <= IKE_PL_EAP && type != IKE_PL_SK;
}

/* RFC 7296 2.5, 3: 0, or the error that a request with this chain gets. */
static uint16_t judge_chain(const struct look *l)
{
	static const uint8_t single[] = { IKE_PL_KE, IKE_PL_TSI, IKE_PL_TSR };

	for (unsigned i = 0; i < l->in.cnt; i++)
		if (l->in.p[i].critical && !is_known(l->in.p[i].type))
			return IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD;
	if (l->h.exchange != IKE_EX_CREATE_CHILD_SA)
		return 0;
	bool response = (l->h.flags & IKE_FLAG_RESPONSE) != 0;
	unsigned sa = wire_ike_count(&l->in, IKE_PL_SA), nonce = wire_ike_count(&l->in, IKE_PL_NONCE);
	if (sa > 1 || nonce > 1 || (!response && (sa == 0 || nonce == 0)))
		return IKE_N_INVALID_SYNTAX;
	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		if (wire_ike_count(&l->in, single[i]) > 1)
			return IKE_N_INVALID_SYNTAX;
	return 0;
}

static bool has_notify(const struct look *l, uint16_t type)
{
	struct wire_ike_notify n;
	return wire_ike_notify_find(&l->in, type, &n);
}

/* RFC 7296 1.4.1, 2.21.2 */
static void foretell_info(struct watch *w, const struct look *l)
{
	struct wire_ike_delete del;

	for (unsigned i = 0; i < l->in.cnt; i++) {
		if (l->in.p[i].type == IKE_PL_DELETE && wire_ike_delete_parse(l->in.p[i].body, &del) != ERR_NONE) {
			w->error = IKE_N_INVALID_SYNTAX;
			return;
		}
	}
	if (!look_deletes(l, IKE_PROTO_IKE) && !has_notify(l, IKE_N_AUTHENTICATION_FAILED))
		return;
	w->states = BIT(IKE_STATE_CLOSED);
	w->may_rekey = true; /* two rekeys of it had met: the other one stands now */
}

static void foretell_create(struct watch *w, const struct look *l, const struct ike_sa *sa)
{
	const struct wire_ike_payload *p = wire_ike_find(&l->in, IKE_PL_SA, 0);
	struct wire_ike_sa offer;

	if (sa->state == IKE_STATE_REKEYED || sa->closing) { /* RFC 7296 2.25.2 */
		w->error = IKE_N_TEMPORARY_FAILURE;
		return;
	}
	bool ike = wire_ike_sa_parse(p->body, &offer) == ERR_NONE && offer.p[0].protocol == IKE_PROTO_IKE;
	w->may_rekey = ike;
	w->may_make_child = !ike;
	if (ike)
		w->states |= BIT(IKE_STATE_REKEYED);
}

static void foretell_request(struct watch *w, struct watch_mark *m, const struct look *l, bool opened, struct bytes msg)
{
	const struct ike_sa *sa = &slot_of(w, m)->r;

	if (m->has_reply && l->h.msg_id == m->reply_id && (m->request_hash == 0 || m->request_hash == hash(msg))) {
		w->fate = m->request_hash == 0 ? WATCH_LOOSE : WATCH_REPEATED;
		return;
	}
	if (l->h.msg_id < m->rx_next || l->h.msg_id == UINT32_MAX || m->state == IKE_STATE_CLOSED || !opened ||
	    (l->h.exchange != IKE_EX_CREATE_CHILD_SA && l->h.exchange != IKE_EX_INFORMATIONAL))
		return;
	w->fate = WATCH_TAKEN;
	w->states = BIT(m->state);
	w->error = judge_chain(l);
	if (w->error == 0 && l->h.exchange == IKE_EX_INFORMATIONAL)
		foretell_info(w, l);
	else if (w->error == 0)
		foretell_create(w, l, sa);
}

static void foretell_response(struct watch *w, const struct watch_mark *m, const struct look *l, bool opened)
{
	if (!m->pending || l->h.msg_id != m->pending_id || l->h.exchange != m->pending_exchange ||
	    m->state == IKE_STATE_CLOSED || !opened || judge_chain(l) != 0)
		return;
	w->fate = WATCH_ANSWERED;
	w->states = m->pending_delete ? BIT(IKE_STATE_CLOSED) : BIT(m->state);
	if (l->h.exchange == IKE_EX_CREATE_CHILD_SA && m->state == IKE_STATE_ESTABLISHED) {
		w->states |= BIT(IKE_STATE_REKEYED);
		w->may_rekey = w->may_make_child = true;
	}
}

static void describe(struct watch *w, const struct duo_datagram *g, const struct look *l, bool opened)
{
	snprintf(w->what, sizeof(w->what), "%s message to %u: exchange %u, %s %u of %016llx, %zu bytes%s", w->made_up ? "made-up" : "true",
		 g->to, l->h.exchange, (l->h.flags & IKE_FLAG_RESPONSE) != 0 ? "response" : "request", l->h.msg_id,
		 (unsigned long long)l->h.spi_i, g->len, opened ? ", opened" : "");
}

static void before_step(struct watch *w, const struct duo_datagram *g)
{
	const struct duo_end *e = &w->d->end[g->to];
	struct bytes msg = bytes_of(g->b, g->len);
	static struct look l;

	watch_check(w);
	w->in_step = true;
	w->steps++;
	w->fate = WATCH_UNTOUCHED;
	w->mark = NULL;
	w->states = w->error = 0;
	w->may_rekey = w->may_make_child = false;
	w->requests = w->replies = 0;
	w->reply_hash = 1;
	w->records = hash_records(e, &w->sas);
	w->children = hash_children(e);
	w->child_cnt = e->child_cnt;
	memset(&l.h, 0, sizeof(l.h));
	look_learn(&w->keys, w->d);
	bool opened = look_open(&w->keys, msg, &l);
	describe(w, g, &l, opened);
	if (wire_ike_header_parse(msg, &l.h) != ERR_NONE)
		return;
	struct watch_mark *m = find_mark(w, g->to, l.h.spi_i, l.h.spi_r);
	/* RFC 7296 3.1: the initiator's flag says which SPI is whose; the wrong way round it is a message to no SA. */
	if (m == NULL || ((l.h.flags & IKE_FLAG_INITIATOR) != 0) == (slot_of(w, m)->r.role == IKE_INITIATOR)) {
		w->fate = WATCH_LOOSE;
		return;
	}
	w->mark = m;
	if (l.h.major != 2)
		return;
	if (ike_frag_is(msg))
		w->fate = WATCH_LOOSE;
	else if ((l.h.flags & IKE_FLAG_RESPONSE) != 0)
		foretell_response(w, m, &l, opened);
	else
		foretell_request(w, m, &l, opened, msg);
}

/* ---- comparing ---- */

static void expect_untouched(struct watch *w, uint64_t records, uint64_t children)
{
	if (records != w->records || children != w->children)
		wrong(w, "a message that is nothing changed something");
	if (w->fate == WATCH_UNTOUCHED && w->replies + w->requests != 0)
		wrong(w, "a message that is nothing was answered");
	if (w->fate != WATCH_REPEATED)
		return;
	if (w->replies == 0 || w->requests != 0 || (w->mark->reply_hash != 0 && w->reply_hash != w->mark->reply_hash))
		wrong(w, "a repeated request did not get the same answer");
}

static void expect_taken(struct watch *w, const struct wire_ike_header *h, struct bytes msg)
{
	struct watch_mark *m = w->mark;

	if (w->replies == 0)
		wrong(w, "a good request was not answered");
	if (w->error != 0 && w->reply_opened && w->reply_error != w->error)
		wrong(w, "another error than the one that fits");
	m->rival |= w->may_rekey && h->exchange == IKE_EX_CREATE_CHILD_SA && w->reply_error == 0;
	m->rx_next = h->msg_id + 1;
	m->has_reply = true;
	m->reply_id = h->msg_id;
	m->request_hash = hash(msg);
	m->reply_hash = w->reply_hash;
}

/* The SA of the message is where it was foretold to be. */
static void expect_state(struct watch *w)
{
	const struct duo_sa *s = slot_of(w, w->mark);

	if (s == NULL || (w->states & BIT(s->r.state)) == 0)
		wrong(w, "a state that was not foretold");
	if (s->r.rx_next != w->mark->rx_next)
		wrong(w, "another message id than the next");
	w->mark->state = (enum ike_state)s->r.state;
}

static void expect_bounds(struct watch *w, unsigned end)
{
	const struct duo_end *e = &w->d->end[end];
	unsigned sas;

	(void)hash_records(e, &sas);
	if (sas > w->sas + (w->may_rekey ? 2u : 0u))
		wrong(w, "an IKE SA that nobody asked for");
	if (e->child_cnt > w->child_cnt + w->may_make_child)
		wrong(w, "a Child SA that nobody asked for");
	if (w->error != 0 && e->child_cnt > w->child_cnt)
		wrong(w, "a Child SA out of a refusal");
}

/* A fragment or the handshake: an SA appears by a true IKE_AUTH alone. */
static void follow_loose(struct watch *w, unsigned end, const struct wire_ike_header *h)
{
	unsigned sas;
	uint64_t records = hash_records(&w->d->end[end], &sas), children = hash_children(&w->d->end[end]);

	if (w->mark == NULL && sas > w->sas && (w->made_up || h->exchange != IKE_EX_AUTH))
		wrong(w, "an IKE SA without a handshake");
	if (w->mark == NULL && w->made_up && (records != w->records || children != w->children))
		wrong(w, "a message to no SA changed one");
	if (w->mark == NULL)
		return;
	const struct duo_sa *s = slot_of(w, w->mark);
	must(s != NULL);
	if (s->r.rx_next < w->mark->rx_next)
		wrong(w, "a message id went back");
	if (s->r.rx_next != w->mark->rx_next) {
		w->mark->has_reply = true;
		w->mark->request_hash = w->mark->reply_hash = 0; /* of a message that came in pieces */
		w->mark->reply_id = s->r.rx_next - 1;
	}
	w->mark->rx_next = s->r.rx_next;
	w->mark->state = (enum ike_state)s->r.state;
	w->mark->pending = s->r.request.kind != IKE_REQUEST_NONE;
}

static void after_step(struct watch *w, const struct duo_datagram *g)
{
	const struct duo_end *e = &w->d->end[g->to];
	struct bytes msg = bytes_of(g->b, g->len);
	struct wire_ike_header h = { 0 };
	unsigned sas;
	uint64_t records = hash_records(e, &sas), children = hash_children(e);

	if (wire_ike_header_parse(msg, &h) != ERR_NONE)
		h = (struct wire_ike_header){ 0 };
	switch (w->fate) {
	case WATCH_LOOSE:
		follow_loose(w, g->to, &h);
		break;
	case WATCH_UNTOUCHED:
		w->untouched++;
		expect_untouched(w, records, children);
		break;
	case WATCH_REPEATED:
		w->repeated++;
		expect_untouched(w, records, children);
		break;
	case WATCH_TAKEN:
		w->taken++;
		expect_taken(w, &h, msg);
		expect_state(w);
		expect_bounds(w, g->to);
		break;
	case WATCH_ANSWERED:
		w->answered++;
		if (w->replies != 0)
			wrong(w, "an answer was answered");
		if (w->requests == 0)
			w->mark->pending = false;
		expect_state(w);
		expect_bounds(w, g->to);
		break;
	}
	add_new_marks(w, g->to);
	check_always(w, g->to);
	w->in_step = false;
}

static void see_deliver(void *arg, const struct duo_datagram *g, bool after)
{
	if (after)
		after_step(arg, g);
	else
		before_step(arg, g);
}

void watch_init(struct watch *w, struct duo *d)
{
	memset(w, 0, sizeof(*w));
	w->d = d;
	d->on_send = see_send;
	d->on_deliver = see_deliver;
	d->watch_arg = w;
}

void watch_deliver(struct watch *w, const struct duo_datagram *g)
{
	w->made_up = true;
	duo_deliver(w->d, g);
	w->made_up = false;
}
